//! The commands on a pipe of a service: the same words, the same answers, asked of its API.

mod client;
mod uploads;
mod watch;

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::arguments::{Command, PipeCommand, RemoteArguments};
use super::commands::{self, found};
use super::exit::{Exit, Failure};
use super::plugin::PluginCommand;
use super::printer::Printer;
use super::progress::Display;
use super::{ask, show};
use crate::lifecycle::report::{
    CheckReport, Plan, Preview, ResyncSummary, Status, TableStatistics,
};
use crate::schema::TableName;
use client::{Client, List};

/// Items of a page of a list.
const PAGE: usize = 200;

/// Runs a command on a pipe of a service. `pipe`: its name, or a pipe file that has it.
pub(super) async fn run(
    command: &Command,
    server: &RemoteArguments,
    pipe: &Path,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let client = Client::new(server)?;
    match command {
        Command::Pipe { command } => return pipes(&client, command, printer).await,
        Command::Plugin {
            command: PluginCommand::Service(command),
        } => return uploads::plugins(&client, command, printer).await,
        _ => {}
    }
    let remote = Remote {
        at: format!("/v1/pipes/{}", name(pipe)?),
        client,
        printer: *printer,
    };
    remote.run(command).await
}

/// The name of a pipe, or of the pipe of a file.
fn name(pipe: &Path) -> Result<String, Failure> {
    let text = pipe.to_string_lossy();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !text.is_empty() && text.chars().all(fits) {
        return Ok(text.into_owned());
    }
    let named = std::fs::read_to_string(pipe).ok();
    let named = named.and_then(|text| text.parse::<toml::Table>().ok());
    let named = named.and_then(|file| Some(file.get("name")?.as_str()?.to_owned()));
    named.ok_or_else(|| {
        Failure::usage(format!(
            "`{text}` is neither the name of a pipe nor a pipe file: say with --pipe which pipe of the service is meant"
        ))
    })
}

/// A pipe of a service.
struct Remote {
    client: Client,
    at: String,
    printer: Printer,
}

impl Remote {
    async fn run(&self, command: &Command) -> Result<Exit, Failure> {
        let printer = &self.printer;
        match command {
            Command::Check => {
                let report: CheckReport = self.post("check", &json!({})).await?;
                let summary = show::count(report.findings.len(), "finding");
                printer.result(&summary, &show::check(&report), &report);
                return Ok(found(&report.findings));
            }
            Command::Plan { tables } => {
                let plan: Plan = self
                    .post("plan", &json!({ "tables": texts(tables) }))
                    .await?;
                let summary = show::count(plan.tables.len(), "table");
                printer.result(&summary, &show::plan(&plan), &plan);
                return Ok(found(&plan.findings));
            }
            Command::Preview { table, rows } => {
                let body = json!({ "table": table.to_string(), "rows": rows });
                let preview: Preview = self.post("preview", &body).await?;
                let summary = show::count(preview.rows.len(), "row");
                printer.result(&summary, &show::preview(&preview), &preview);
            }
            Command::Run | Command::Resume => {
                let before = self.last_resync().await?;
                let ordered = self.order(&json!({ "state": "start" })).await?;
                return self.begun(before, ordered).await;
            }
            Command::Resync { tables, live, yes } => {
                let question = format!(
                    "Resync {}? Its tables will be loaded afresh into `_resync` tables and swapped; the old ones are kept for a rollback.",
                    self.at.trim_start_matches("/v1/pipes/")
                );
                if !ask::confirm(&question, *yes)? {
                    return Ok(Exit::Ok);
                }
                let before = self.last_resync().await?;
                let order = json!({ "state": "resync", "tables": texts(tables), "live": live });
                let ordered = self.order(&order).await?;
                return self.begun(before, ordered).await;
            }
            Command::Approve { yes } => {
                if !ask::confirm("Swap the tables that wait for approval?", *yes)? {
                    return Ok(Exit::Ok);
                }
                let ordered = self.order(&json!({ "state": "approve" })).await?;
                return self.begun(None, ordered).await;
            }
            Command::AddTable { table } => {
                let before = self.last_resync().await?;
                let body = json!({ "table": table.to_string() });
                let ordered = self.post("tables", &body).await?;
                return self.begun(before, ordered).await;
            }
            Command::RemoveTable { table, yes } => {
                let question =
                    format!("Follow {table} no longer? Its destination table stays as it is.");
                if ask::confirm(&question, *yes)? {
                    let path = format!("{}/tables/{}", self.at, client::part(&table.to_string()));
                    self.client.delete(&path).await?;
                    self.show_status().await?;
                }
            }
            Command::Status => self.show_status().await?,
            Command::Tables => {
                let tables: List<TableStatistics> = self.get("tables").await?;
                let summary = show::count(tables.items.len(), "table");
                printer.result(&summary, &show::tables(&tables.items), &tables.items);
            }
            Command::History => {
                let path = format!("{}/resyncs", self.at);
                let resyncs: Vec<ResyncSummary> = self.client.all(&path, PAGE).await?;
                let summary = show::count(resyncs.len(), "resync");
                printer.result(&summary, &show::history(&resyncs), &resyncs);
            }
            Command::Pause => {
                self.order(&json!({ "state": "stop" })).await?;
                watch::until_it_stands(self).await?;
                self.show_status().await?;
            }
            Command::Abort { yes } => {
                let question = "Give the unfinished resync up and drop its `_resync` tables?";
                if ask::confirm(question, *yes)? {
                    self.ordered_status("abort").await?;
                }
            }
            Command::Rollback { tables, yes } => {
                if ask::confirm("Bring back the tables from before the last resync?", *yes)? {
                    let order = json!({ "state": "rollback", "tables": texts(tables) });
                    self.order(&order).await?;
                    self.show_status().await?;
                }
            }
            Command::Query { sql } => {
                let answer: Value = self.post("query", &json!({ "sql": sql })).await?;
                let tsv = answer["tsv"].as_str().unwrap_or_default();
                printer.result("answered", tsv, &answer);
            }
            _ => {
                return Err(Failure::usage(
                    "this command works on this machine alone: leave --server out",
                ));
            }
        }
        Ok(Exit::Ok)
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.client.get(&format!("{}/{path}", self.at)).await
    }

    async fn post<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<T, Failure> {
        let path = format!("{}/{path}", self.at);
        self.client.send("POST", &path, Some(body)).await
    }

    async fn order(&self, order: &Value) -> Result<Value, Failure> {
        let path = format!("{}/state", self.at);
        self.client.send("PATCH", &path, Some(order)).await
    }

    async fn show_status(&self) -> Result<(), Failure> {
        let status: Status = self.get("status").await?;
        commands::status(&self.printer, &status);
        Ok(())
    }

    async fn ordered_status(&self, state: &str) -> Result<(), Failure> {
        self.order(&json!({ "state": state })).await?;
        self.show_status().await
    }

    /// The id of the last resync.
    async fn last_resync(&self) -> Result<Option<String>, Failure> {
        let status: Status = self.get("status").await?;
        Ok(status.resync.map(|resync| resync.id))
    }

    /// Watches what was begun to its end; where only following goes on, tells what the pipe is at. Control-C ends the watching alone.
    async fn begun(&self, before: Option<String>, ordered: Value) -> Result<Exit, Failure> {
        let progress = Arc::new(Display::new(self.printer));
        let resync = ordered["resync"].as_str();
        let watched = watch::watch(self, before, resync, &*progress);
        tokio::select! {
            outcome = watched => match outcome? {
                Some(outcome) => commands::outcome(&self.printer, outcome),
                None => {
                    self.show_status().await?;
                    Ok(Exit::Ok)
                }
            },
            _ = tokio::signal::ctrl_c() => {
                self.printer.note("the service goes on; `tidemill status` tells how far it is");
                Ok(Exit::Ok)
            }
        }
    }
}

fn texts(tables: &[TableName]) -> Vec<String> {
    tables.iter().map(ToString::to_string).collect()
}

/// What is done with the pipes of a service, beside what they are told.
async fn pipes(client: &Client, command: &PipeCommand, printer: &Printer) -> Result<Exit, Failure> {
    match command {
        PipeCommand::List => {
            let pipes: Vec<Value> = client.all("/v1/pipes", PAGE).await?;
            printer.result(
                &show::count(pipes.len(), "pipe"),
                &show::pipes(&pipes),
                &pipes,
            );
        }
        PipeCommand::Create { file } => {
            let made: Value = client.send_toml("POST", "/v1/pipes", &text(file)?).await?;
            let name = made["name"].as_str().unwrap_or_default();
            let text = format!("made `{name}`; next: tidemill --pipe {name} run");
            printer.result("made", &text, &made);
        }
        PipeCommand::Change { file } => {
            let (name, text) = (name(file)?, text(file)?);
            let path = format!("/v1/pipes/{name}");
            let changed: Value = client.send_toml("PUT", &path, &text).await?;
            printer.result("changed", &format!("changed `{name}`"), &changed);
        }
        PipeCommand::Files { name } => uploads::files(client, name, printer).await?,
        PipeCommand::Upload {
            name,
            file,
            as_name,
        } => uploads::upload_file(client, name, file, as_name.as_deref(), printer).await?,
        PipeCommand::RemoveFile { name, file } => {
            uploads::remove_file(client, name, file, printer).await?;
        }
        PipeCommand::Delete { name, yes } => {
            let question = format!(
                "Stop the pipe `{name}` and remove it with its journal? Its tables in the destination stay."
            );
            if ask::confirm(&question, *yes)? {
                client
                    .delete(&format!("/v1/pipes/{}", client::part(name)))
                    .await?;
                let text = format!("removed `{name}`");
                printer.result("removed", &text, &json!({ "name": name }));
            }
        }
    }
    Ok(Exit::Ok)
}

fn text(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file)
        .map_err(|cause| Failure::usage(format!("{} can't be read: {cause}", file.display())))
}
