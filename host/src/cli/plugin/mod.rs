//! `tidemill plugin`: the kit at the command line.

mod arguments;
mod rows;
mod ship;
mod show;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::json;

pub(super) use arguments::PluginCommand;
use arguments::{RowsArguments, TestArguments};

use super::exit::{Exit, Failure};
use super::printer::Printer;
use crate::kit::{self, Built, CaseReport, Event, Language, Project, Signal};
use crate::registry::Reference;
use crate::transform::{Compiler, Plugin, Runtime, RuntimeSettings, default_cache_dir, resolve};

/// Runs a command; `pipe` is the pipe file, which rows of a source need.
pub(super) fn run(
    command: &PluginCommand,
    pipe: &Path,
    printer: &Printer,
) -> Result<Exit, Failure> {
    if let PluginCommand::New {
        name,
        language,
        folder,
    } = command
    {
        return new(
            name,
            *language,
            folder.as_deref().unwrap_or(name.as_ref()),
            printer,
        );
    }
    let runtime = Runtime::new(RuntimeSettings {
        cache_dir: default_cache_dir(),
        compiler: Compiler::own(),
        ..RuntimeSettings::default()
    })?;
    match command {
        PluginCommand::New { .. } => Ok(Exit::Ok),
        PluginCommand::Build { folder, out } => {
            let project = Project::open(folder)?;
            let built = kit::build(&runtime, &project, out.as_deref()).map_err(kit::Error::from)?;
            printer.result(
                &show::built(&built),
                &show::built(&built),
                &built_result(&built),
            );
            Ok(Exit::Ok)
        }
        PluginCommand::Test(arguments) => test(&runtime, arguments, pipe, printer),
        PluginCommand::Inspect { plugin } => {
            // A path's `oci://` would be lost on the way.
            let plugin = match plugin.to_str().filter(|name| Reference::is_one(name)) {
                Some(reference) => {
                    let fetched = ship::fetch(reference)?;
                    runtime.load_bytes(&fetched.path, &fetched.bytes)?
                }
                None => load(&runtime, plugin)?.0,
            };
            printer.result(
                plugin.name(),
                &show::plugin(&plugin),
                &plugin_result(&plugin),
            );
            Ok(Exit::Ok)
        }
        PluginCommand::Ship(command) => ship::run(command, &runtime, printer),
        PluginCommand::Dev { folder } => dev(&runtime, folder, printer),
        PluginCommand::Bench {
            plugin,
            rows,
            seconds,
        } => bench(&runtime, plugin, rows, *seconds, pipe, printer),
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

/// The plugin of a folder, built if its source is newer, or of a file.
fn load(runtime: &Runtime, path: &Path) -> Result<(Arc<Plugin>, Option<Project>), Failure> {
    if !path.is_dir() {
        return Ok((runtime.load(path)?, None));
    }
    let project = Project::open(path)?;
    let plugin = kit::build_if_stale(runtime, &project).map_err(kit::Error::from)?;
    Ok((plugin, Some(project)))
}

fn test(
    runtime: &Runtime,
    arguments: &TestArguments,
    pipe: &Path,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let (plugin, project) = load(runtime, &arguments.plugin)?;
    let mut reports = Vec::new();
    if rows::are_given(&arguments.rows) {
        let given = rows::given(&arguments.rows, project.as_ref(), pipe)?;
        if let Some(file) = &arguments.save {
            crate::rows::write(file, &given.rows).map_err(kit::Error::from)?;
        }
        let case = kit::Case {
            expected: arguments.expected.clone(),
            ..given.case
        };
        reports.push(kit::check(
            runtime,
            &plugin,
            &case,
            Some(given.rows),
            arguments.update,
        )?);
    } else {
        for case in rows::cases(project.as_ref(), &arguments.plugin, &arguments.tests)? {
            reports.push(kit::check(runtime, &plugin, &case, None, arguments.update)?);
        }
    }
    let good = reports
        .iter()
        .filter(|report| report.verdict.is_good())
        .count();
    let summary = format!(
        "{good} of {} passed",
        super::show::count(reports.len(), "test")
    );
    let text = reports.iter().map(show::case).collect::<String>();
    let result: Vec<_> = reports.iter().map(case_result).collect();
    printer.result(&summary, &format!("{text}{summary}"), &result);
    Ok(if good == reports.len() {
        Exit::Ok
    } else {
        Exit::Plugin
    })
}

fn dev(runtime: &Runtime, folder: &Path, printer: &Printer) -> Result<Exit, Failure> {
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
    kit::dev(runtime, folder, &sender, &signals, &mut tell)?;
    Ok(Exit::Ok)
}

fn bench(
    runtime: &Runtime,
    path: &Path,
    arguments: &RowsArguments,
    seconds: f64,
    pipe: &Path,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let duration = Duration::try_from_secs_f64(seconds)
        .map_err(|cause| Failure::usage(format!("--seconds {seconds}: {cause}")))?;
    let (plugin, project) = load(runtime, path)?;
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
        Ok(file) => Some(runtime.load(&file)?),
        Err(missing) => {
            printer.note(&format!("nothing to compare with: {missing}"));
            None
        }
    };
    let report = kit::bench(
        runtime,
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
