//! The commands on a pipe: each calls the lifecycle and shows its answer.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::arguments::{Command, ServerArguments};
use super::exit::{Exit, Failure};
use super::printer::Printer;
use super::progress::Display;
use super::{ask, init, show};
use crate::destination::embedded::{ServerSettings, run_server};
use crate::lifecycle::report::{Finding, Outcome, Phase, Severity, Status};
use crate::lifecycle::{self, Environment, Error, Stop};
use crate::pipe::Pipe;
use crate::schema::type_page;

/// Runs a ClickHouse server in this process.
pub(super) fn clickhouse(arguments: &ServerArguments) -> Result<Exit, Failure> {
    let settings = ServerSettings {
        data: arguments.data.clone(),
        http_port: arguments.http_port,
        tcp_port: arguments.tcp_port,
        library: arguments.library.clone(),
    };
    match run_server(&settings) {
        Err(error) => Err(Error::from(error).into()),
        Ok(never) => match never {},
    }
}

/// Shows the type table.
pub(super) fn types(markdown: bool, printer: &Printer) {
    let entries = type_page::entries();
    let text = match markdown {
        true => type_page::markdown(),
        false => show::types(&entries),
    };
    printer.result(&show::count(entries.len(), "type"), &text, &entries);
}

pub(super) async fn run(
    command: &Command,
    file: &Path,
    printer: &Printer,
) -> Result<Exit, Failure> {
    if let Command::Init(arguments) = command {
        return init::run(arguments, file, printer).await;
    }
    let pipe = Pipe::load(file)?;
    let environment = || Environment::of_pipe(&pipe);
    let perform = async |command| {
        let (environment, progress) = (environment()?, Arc::new(Display::new(*printer)));
        let work = |stop| lifecycle::perform(&pipe, &environment, command, progress, stop);
        outcome(printer, watched(printer, work).await?)
    };
    match command {
        Command::Check => {
            let report = lifecycle::check(&pipe, &environment()?).await?;
            printer.result(
                &show::count(report.findings.len(), "finding"),
                &show::check(&report),
                &report,
            );
            return Ok(found(&report.findings));
        }
        Command::Plan { tables } => {
            let plan = lifecycle::plan(&pipe, &environment()?, tables).await?;
            printer.result(
                &show::count(plan.tables.len(), "table"),
                &show::plan(&plan),
                &plan,
            );
            return Ok(found(&plan.findings));
        }
        Command::Preview { table, rows } => {
            let preview = lifecycle::preview(&pipe, &environment()?, table, *rows).await?;
            printer.result(
                &show::count(preview.rows.len(), "row"),
                &show::preview(&preview),
                &preview,
            );
        }
        Command::Run => {
            return perform(lifecycle::Command::Run).await;
        }
        Command::Resync { tables, live, yes } => {
            let question = question(&pipe, tables);
            if !ask::confirm(&question, *yes)? {
                return Ok(Exit::Ok);
            }
            let (tables, live) = (tables.clone(), *live);
            return perform(lifecycle::Command::Resync { tables, live }).await;
        }
        Command::AddTable { table } => {
            let table = table.clone();
            return perform(lifecycle::Command::AddTable { table }).await;
        }
        Command::RemoveTable { table, yes } => {
            let question =
                format!("Follow {table} no longer? Its destination table stays as it is.");
            if ask::confirm(&question, *yes)? {
                status(printer, &lifecycle::remove_table(&pipe, table).await?);
            }
        }
        Command::Resume => {
            return perform(lifecycle::Command::Resume).await;
        }
        Command::Approve { yes } => {
            printer_status_unless(printer, *yes, &lifecycle::status(&pipe)?);
            if !ask::confirm("Swap the tables that wait for approval?", *yes)? {
                return Ok(Exit::Ok);
            }
            return perform(lifecycle::Command::Approve).await;
        }
        Command::Status => status(printer, &lifecycle::status(&pipe)?),
        Command::Tables => {
            let tables = lifecycle::status(&pipe)?
                .resync
                .map(|resync| resync.tables)
                .unwrap_or_default();
            printer.result(
                &show::count(tables.len(), "table"),
                &show::tables(&tables),
                &tables,
            );
        }
        Command::Pause => status(printer, &lifecycle::pause(&pipe).await?),
        Command::Abort { yes } => {
            if ask::confirm(
                "Give the unfinished resync up and drop its `_resync` tables?",
                *yes,
            )? {
                status(printer, &lifecycle::abort(&pipe).await?);
            }
        }
        Command::Rollback { tables, yes } => {
            if ask::confirm("Bring back the tables from before the last resync?", *yes)? {
                status(printer, &lifecycle::rollback(&pipe, tables).await?);
            }
        }
        Command::History => {
            let resyncs = lifecycle::history(&pipe)?;
            printer.result(
                &show::count(resyncs.len(), "resync"),
                &show::history(&resyncs),
                &resyncs,
            );
        }
        Command::Query { sql } => {
            let answer = lifecycle::query(&pipe, sql).await?;
            printer.result("answered", &answer, &json!({ "tsv": answer }));
        }
        Command::Init(_)
        | Command::Plugin { .. }
        | Command::Types { .. }
        | Command::CompilePlugin { .. }
        | Command::Clickhouse(_)
        | Command::Serve(_)
        | Command::Tenant { .. }
        | Command::Rekey { .. }
        | Command::Pipe { .. }
        | Command::Man { .. }
        | Command::Completions { .. } => {}
    }
    Ok(Exit::Ok)
}

/// Whether a resync would be refused.
pub(super) fn found(findings: &[Finding]) -> Exit {
    let error = |finding: &Finding| finding.severity == Severity::Error;
    match findings.iter().any(error) {
        true => Exit::Found,
        false => Exit::Ok,
    }
}

/// What a resync does, as the question before it.
fn question(pipe: &Pipe, tables: &[crate::schema::TableName]) -> String {
    let mappings = pipe
        .tables
        .iter()
        .filter(|mapping| tables.is_empty() || tables.contains(&mapping.source));
    let names: Vec<String> = mappings
        .map(|mapping| format!("`{}`", mapping.destination))
        .collect();
    format!(
        "Resync the pipe `{}`? {} will be loaded afresh into `_resync` tables and swapped; the old ones are kept for a rollback.",
        pipe.name,
        names.join(", ")
    )
}

/// Runs to the end; Control-C or SIGTERM ends it at the next batch boundary, and a second one ends the process, which the journal survives.
async fn watched<F: Future<Output = Result<Outcome, Error>>>(
    printer: &Printer,
    work: impl FnOnce(Stop) -> F,
) -> Result<Outcome, Failure> {
    let stop = Stop::default();
    let mut work = Box::pin(work(stop.clone()));
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|cause| Failure::internal(&cause))?;
    tokio::select! {
        done = &mut work => return Ok(done?),
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    printer.note("stopping at the next batch boundary; Control-C again ends the process at once, and nothing is lost");
    stop.ask();
    tokio::select! {
        done = &mut work => Ok(done?),
        _ = tokio::signal::ctrl_c() => std::process::exit(130),
        _ = terminate.recv() => std::process::exit(143),
    }
}

pub(super) fn outcome(printer: &Printer, outcome: Outcome) -> Result<Exit, Failure> {
    let (summary, exit, sentence) = match &outcome {
        Outcome::Stopped(report) => {
            let (exit, sentence) = match report.paused {
                true => (Exit::Paused, "paused; go on with `tidemill resume`"),
                false => (Exit::Ok, "stopped; go on with `tidemill run`"),
            };
            printer.result(
                sentence,
                &format!("{}{sentence}", show::following(report)),
                report,
            );
            return Ok(exit);
        }
        Outcome::Completed(summary) if summary.phase == Phase::Running => (
            summary,
            Exit::Ok,
            "swapped; `tidemill run` follows the binlog",
        ),
        Outcome::Completed(summary) => (summary, Exit::Ok, "completed"),
        Outcome::Paused(summary) => (
            summary,
            Exit::Paused,
            "paused; go on with `tidemill resume`",
        ),
        Outcome::NeedsApproval(summary) => (
            summary,
            Exit::NeedsApproval,
            "a table waits for `tidemill approve` or `tidemill abort`; nothing was swapped",
        ),
    };
    printer.result(
        sentence,
        &format!("{}{sentence}", show::resync(summary)),
        summary,
    );
    Ok(exit)
}

pub(super) fn status(printer: &Printer, status: &Status) {
    let phase = match (&status.resync, &status.cdc) {
        (None, _) => "never loaded".to_owned(),
        (Some(resync), Some(cdc)) if resync.phase == Phase::Running => cdc.phase.clone(),
        (Some(resync), _) => resync.phase.to_string(),
    };
    printer.result(&phase, &show::status(status), status);
}

/// Before a question: what it is about.
fn printer_status_unless(printer: &Printer, yes: bool, status: &Status) {
    if !yes {
        printer.note(&show::status(status));
    }
}
