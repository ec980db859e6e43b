//! The commands on a pipe: each calls the lifecycle and shows its answer.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::arguments::{Command, ServerArguments};
use super::exit::{Exit, Failure};
use super::printer::Printer;
use super::progress::Display;
use super::{ask, init, show};
use crate::destination::embedded::{ServerSettings, run_server};
use crate::lifecycle::report::{Finding, Outcome, Severity, Status};
use crate::lifecycle::{self, Error};
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
    let progress = Arc::new(Display::new(*printer));
    match command {
        Command::Check => {
            let report = lifecycle::check(&pipe).await?;
            printer.result(
                &show::count(report.findings.len(), "finding"),
                &show::check(&report),
                &report,
            );
            return Ok(found(&report.findings));
        }
        Command::Plan { tables } => {
            let plan = lifecycle::plan(&pipe, tables).await?;
            printer.result(
                &show::count(plan.tables.len(), "table"),
                &show::plan(&plan),
                &plan,
            );
            return Ok(found(&plan.findings));
        }
        Command::Preview { table, rows } => {
            let preview = lifecycle::preview(&pipe, table, *rows).await?;
            printer.result(
                &show::count(preview.rows.len(), "row"),
                &show::preview(&preview),
                &preview,
            );
        }
        Command::Run => {
            return outcome(
                printer,
                watched(&pipe, printer, Box::pin(lifecycle::run(&pipe, progress))).await?,
            );
        }
        Command::Resync { tables, yes } => {
            let question = question(&pipe, tables);
            if !ask::confirm(&question, *yes)? {
                return Ok(Exit::Ok);
            }
            return outcome(
                printer,
                watched(
                    &pipe,
                    printer,
                    Box::pin(lifecycle::resync(&pipe, tables, progress)),
                )
                .await?,
            );
        }
        Command::Resume => {
            return outcome(
                printer,
                watched(&pipe, printer, Box::pin(lifecycle::resume(&pipe, progress))).await?,
            );
        }
        Command::Approve { yes } => {
            printer_status_unless(printer, *yes, &lifecycle::status(&pipe)?);
            if !ask::confirm("Swap the tables that wait for approval?", *yes)? {
                return Ok(Exit::Ok);
            }
            return outcome(
                printer,
                watched(
                    &pipe,
                    printer,
                    Box::pin(lifecycle::approve(&pipe, progress)),
                )
                .await?,
            );
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
        | Command::Clickhouse(_)
        | Command::Completions { .. } => {}
    }
    Ok(Exit::Ok)
}

/// Whether a resync would be refused.
fn found(findings: &[Finding]) -> Exit {
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

/// Runs to the end; Control-C asks for a pause at the next batch boundary, and a second one ends the process, which the journal survives.
async fn watched(
    pipe: &Pipe,
    printer: &Printer,
    work: impl Future<Output = Result<Outcome, Error>>,
) -> Result<Outcome, Error> {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        done = &mut work => return done,
        _ = tokio::signal::ctrl_c() => {}
    }
    printer.note("pausing at the next batch boundary; Control-C again ends the process at once, and nothing is lost");
    if let Err(error) = lifecycle::pause(pipe).await {
        printer.note(&error.to_string());
    }
    tokio::select! {
        done = &mut work => done,
        _ = tokio::signal::ctrl_c() => std::process::exit(130),
    }
}

fn outcome(printer: &Printer, outcome: Outcome) -> Result<Exit, Failure> {
    let (summary, exit, sentence) = match &outcome {
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

fn status(printer: &Printer, status: &Status) {
    let phase = status.resync.as_ref().map_or_else(
        || "never loaded".to_owned(),
        |resync| resync.phase.to_string(),
    );
    printer.result(&phase, &show::status(status), status);
}

/// Before a question: what it is about.
fn printer_status_unless(printer: &Printer, yes: bool, status: &Status) {
    if !yes {
        printer.note(&show::status(status));
    }
}
