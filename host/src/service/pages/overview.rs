//! A pipe's Overview: where it is between Setup and Running, what it does now, what is wrong and what to do.

use std::collections::HashSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;

use super::fields::{Asked, Fields};
use super::{Frame, Head, Page, show, words};
use crate::lifecycle::report::{
    FollowState, FollowedTable, Phase, ResyncSummary, Status, TableStatistics,
};
use crate::schema::TableName;
use crate::service::Service;
use crate::service::auth::{Caller, Operator, Viewer};
use crate::service::looks::table_name;
use crate::service::pipes::{Action, Order, PipeState, PipeSummary};
use crate::service::problem::Problem;

/// Loads and resyncs that the page lists.
const HISTORY: usize = 10;

/// A step of the phase line.
struct Step {
    name: &'static str,
    about: &'static str,
    /// `done`, `now`, `held` (it was stopped or has failed there) or `next`.
    at: &'static str,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    page: Head,
    steps: [Step; 4],
    doing: String,
    status: Status,
    /// Tables that can't follow as they are.
    stuck: Vec<FollowedTable>,
    /// Tables whose swap waits for approval.
    waiting: Vec<TableStatistics>,
    history: Vec<ResyncSummary>,
    /// Which buttons make sense.
    can: Can,
}

#[derive(Default)]
struct Can {
    start: bool,
    stop: bool,
    resync: bool,
    approve: bool,
    abort: bool,
}

pub(super) async fn page(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    Path(name): Path<String>,
    Asked(query): Asked,
) -> Page {
    let made = move |service: &Arc<Service>, caller: &Caller| made(service, caller, &name, &query);
    service.on_disk(&caller, made).await
}

fn made(service: &Service, caller: &Caller, name: &str, query: &Fields) -> Page {
    let (frame, page) = Head::new(service, caller, name, "overview", query)?;
    let (id, pipe) = service.pipe_of(caller, name)?;
    let (status, history) = service.status_with_latest(&id, &pipe, HISTORY)?;
    let resync = status.resync.as_ref();
    let waiting = resync.iter().flat_map(|resync| &resync.tables);
    let waiting = waiting.filter(|table| table.waits()).cloned().collect();
    // What is being rebuilt needs nothing more.
    let unfinished = resync.filter(|resync| !resync.phase.is_over());
    let rebuilt = unfinished.iter().flat_map(|resync| &resync.tables);
    let rebuilt: HashSet<&str> = rebuilt.map(|table| table.source.as_str()).collect();
    let is_rebuilt = |table: &&FollowedTable| rebuilt.contains(table.source.as_str());
    let followed = status.cdc.iter().flat_map(|cdc| &cdc.report.tables);
    let stuck = followed.filter(|table| table.state != FollowState::Following);
    let stuck = stuck.filter(|table| !is_rebuilt(table)).cloned().collect();
    let can = match frame.operates() {
        true => can(
            &page.pipe,
            &status,
            service.supervisor.running(&id).is_some(),
        ),
        false => Can::default(),
    };
    show(&Overview {
        steps: steps(&status, pipe.cdc.follows(), page.pipe.state),
        doing: words::doing(&page.pipe, &status),
        stuck,
        waiting,
        history,
        can,
        status,
        frame,
        page,
    })
}

fn can(pipe: &PipeSummary, status: &Status, runs: bool) -> Can {
    let phase = status.resync.as_ref().map(|resync| resync.phase);
    let waits = pipe.state == PipeState::NeedsApproval;
    let stands = !runs && !waits && pipe.state != PipeState::Completed;
    Can {
        // A pipe that follows goes on with a resync that has failed.
        start: stands || runs && phase == Some(Phase::Failed),
        stop: runs,
        resync: phase.is_some_and(Phase::is_over),
        approve: waits,
        // One that is at work is stopped first.
        abort: phase.is_some_and(|phase| !phase.is_over())
            && (!runs || waits || matches!(phase, Some(Phase::Failed | Phase::Paused))),
    }
}

/// The phase line.
fn steps(status: &Status, follows: bool, state: PipeState) -> [Step; 4] {
    let last = match follows {
        true => ("Running", "Changes are applied as they are made"),
        false => ("Completed", "All tables are swapped in"),
    };
    let phase = status.resync.as_ref().map(|resync| match resync.phase {
        Phase::Paused | Phase::Failed => (resync.interrupted.unwrap_or(resync.phase), true),
        phase => (phase, false),
    });
    let now = match (phase, state) {
        (None, PipeState::Starting) => Some(0),
        (Some((Phase::Setup, _)), _) => Some(0),
        (Some((Phase::Snapshot, _)), _) => Some(1),
        (Some((Phase::Resync, _)), _) => Some(2),
        (Some((Phase::Running | Phase::Completed, _)), _) => Some(3),
        _ => None,
    };
    let stands = matches!(
        state,
        PipeState::Stopped | PipeState::Failed | PipeState::NeedsApproval
    );
    let held = phase.is_some_and(|(_, held)| held) || stands;
    let at = |i: usize| match now {
        Some(now) if i < now => "done",
        Some(now) if i == now && held => "held",
        Some(now) if i == now => "now",
        _ => "next",
    };
    let step = |i: usize, name, about| Step {
        name,
        about,
        at: at(i),
    };
    [
        step(0, "Setup", "Tables, transforms and rights are checked"),
        step(1, "Snapshot", "Rows are loaded beside the live tables"),
        step(2, "Resync", "Copies are proved, caught up and swapped"),
        step(3, last.0, last.1),
    ]
}

/// Has a pipe do something.
pub(super) async fn order(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    Path(name): Path<String>,
    fields: Fields,
) -> Page {
    let word = fields.needed("state")?.to_owned();
    let known = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(&word);
    let state = Action::deserialize(known)
        .map_err(|_| Problem::unusable(format!("a pipe can't be told to `{word}`")))?;
    let tables = fields.all("tables").map(table_name);
    let tables: Vec<TableName> = tables.collect::<Result<_, _>>()?;
    if state == Action::Resync && tables.is_empty() {
        let problem = Problem::unusable("no table was chosen for the resync");
        return Err(problem.suggest("choose at least one"));
    }
    let order = Order {
        state,
        tables: whole_pipe(&service.read_pipe(&caller, &name).await?.1, tables),
        live: fields.get("live").is_some(),
    };
    service.order(&caller, &name, order).await?;
    Ok(Redirect::to(&format!("/pipes/{name}?done={word}")).into_response())
}

/// All tables of a pipe are said by none: then the whole pipe is resynced.
fn whole_pipe(pipe: &crate::pipe::Pipe, tables: Vec<TableName>) -> Vec<TableName> {
    let chosen: HashSet<&TableName> = tables.iter().collect();
    match pipe
        .tables
        .iter()
        .all(|table| chosen.contains(&table.source))
    {
        true => Vec::new(),
        false => tables,
    }
}
