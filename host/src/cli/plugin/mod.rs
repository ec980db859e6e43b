//! `tidemill plugin`: the kit at the command line.

mod arguments;
mod host;
mod rows;
mod ship;
mod show;
mod test;

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::json;

use arguments::RowsArguments;
pub(super) use arguments::{PluginCommand, ServicePluginCommand};
use host::Host;

use super::exit::{Exit, Failure};
use super::printer::Printer;
use crate::kit::{self, Built, CaseReport, Event, Language, Project, Signal};
use crate::transform::{Plugin, resolve};

/// Runs a command; `pipe` is the pipe file, which rows of a source need.
pub(super) fn run(
    command: &PluginCommand,
    pipe: &Path,
    printer: &Printer,
) -> Result<Exit, Failure> {
    match command {
        PluginCommand::New {
            name,
            language,
            folder,
        } => {
            let folder = folder.as_deref().unwrap_or(name.as_ref());
            new(name, *language, folder, printer)
        }
        PluginCommand::Build { folder, out } => {
            build(&Host::start()?, folder, out.as_deref(), printer)
        }
        PluginCommand::Test(arguments) => test::run(&Host::start()?, arguments, pipe, printer),
        PluginCommand::Inspect { plugin } => inspect(&Host::start()?, plugin, printer),
        PluginCommand::Ship(command) => ship::run(command, printer),
        PluginCommand::Service(_) => Err(Failure::usage(
            "the plugins of a service are meant: name it with --server",
        )),
        PluginCommand::Dev { folder } => dev(&Host::start()?, folder, printer),
        PluginCommand::Bench {
            plugin,
            rows,
            seconds,
        } => bench(&Host::start()?, plugin, rows, *seconds, pipe, printer),
    }
}

fn new(name: &str, language: Language, folder: &Path, printer: &Printer) -> Result<Exit, Failure> {
    let created = kit::create(folder, name, language)?;
    let result = json!({ "folder": created.folder, "files": created.files, "next": created.next });
    printer.result(
        &format!("made {}", created.folder.display()),
        &show::created(&created),
        &result,
    );
    Ok(Exit::Ok)
}

fn build(
    host: &Host,
    folder: &Path,
    out: Option<&Path>,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let project = Project::open(folder)?;
    let built = kit::build(&host.runtime, &project, out).map_err(kit::Error::from)?;
    let text = show::built(&built);
    printer.result(&text, &text, &built_result(&built));
    Ok(Exit::Ok)
}

fn inspect(host: &Host, plugin: &Path, printer: &Printer) -> Result<Exit, Failure> {
    let plugin = host.inspected(plugin)?;
    printer.result(
        plugin.name(),
        &show::plugin(&plugin),
        &plugin_result(&plugin),
    );
    Ok(Exit::Ok)
}

fn dev(host: &Host, folder: &Path, printer: &Printer) -> Result<Exit, Failure> {
    let (sender, signals) = mpsc::channel();
    let stop = sender.clone();
    let waiter = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let waiter = waiter.map_err(|cause| Failure::internal(&cause))?;
    waiter.spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            // Nobody listens any more: it has ended by itself.
            let _ended = stop.send(Signal::Stop);
        }
    });
    let mut tell = |event: Event| {
        let text = show::event(&event);
        printer.result(
            text.lines().next().unwrap_or_default(),
            &text,
            &event_result(&event),
        );
    };
    kit::dev(&host.runtime, folder, &sender, &signals, &mut tell)?;
    Ok(Exit::Ok)
}

fn bench(
    host: &Host,
    path: &Path,
    arguments: &RowsArguments,
    seconds: f64,
    pipe: &Path,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let duration = Duration::try_from_secs_f64(seconds)
        .map_err(|cause| Failure::usage(format!("--seconds {seconds}: {cause}")))?;
    let (plugin, project) = host.load(path, arguments.table.is_some())?;
    let given = match rows::are_given(arguments) {
        true => rows::given(arguments, project.as_ref(), pipe)?,
        false => rows::of_first_case(project.as_ref(), path)?,
    };
    let folder = if path.is_dir() {
        path
    } else {
        path.parent().unwrap_or(path)
    };
    let passthrough = match resolve("passthrough", folder) {
        Ok(file) => Some(host.runtime.load(&file)?),
        Err(missing) => {
            printer.note(&format!("nothing to compare with: {missing}"));
            None
        }
    };
    let report = kit::bench(
        &host.runtime,
        &plugin,
        passthrough.as_ref(),
        &given.case,
        &given.rows,
        duration,
    )?;
    let rate = format!("{:.0} rows/s", report.plugin.rows_per_second());
    printer.result(&rate, &show::bench(&report), &report);
    Ok(Exit::Ok)
}

fn built_result(built: &Built) -> serde_json::Value {
    json!({ "file": built.path, "size_bytes": built.size_bytes, "digest": built.digest, "seconds": built.duration.as_secs_f64() })
}

fn plugin_result(plugin: &Plugin) -> serde_json::Value {
    json!({
        "name": plugin.name(), "version": plugin.version(), "summary": plugin.summary(), "contract": plugin.contract_version(),
        "size_bytes": plugin.size_bytes(), "digest": plugin.digest(), "imports": plugin.imports(), "config_schema": plugin.config_schema(),
    })
}

fn case_result(report: &CaseReport) -> serde_json::Value {
    let fate = report.fate.as_ref();
    json!({
        "test": report.name,
        "good": report.verdict.is_good(),
        "verdict": report.verdict,
        "rows_in": report.trial.as_ref().map(|trial| trial.rows().num_rows()),
        "rows": fate.map(|fate| crate::rows::lines(&fate.rows)),
        "filtered": fate.map(|fate| fate.filtered.iter().map(|row| row + 1).collect::<Vec<_>>()),
        "rejected": fate.map(|fate| &fate.rejected),
    })
}

fn event_result(event: &Event) -> serde_json::Value {
    match event {
        Event::Watching(folder) => json!({ "event": "watching", "folder": folder }),
        Event::Built(built) => json!({ "event": "built", "built": built_result(built) }),
        Event::Ran(report) => json!({ "event": "ran", "test": case_result(report) }),
        Event::Failed { error, kept } => {
            json!({ "event": "failed", "error": error.to_string(), "kept": kept })
        }
    }
}
