//! Pipes of a tenant: made, changed, removed, and what they are told to do. The API and the pages both come here.

mod files;
mod orders;
mod settings;
mod told;

use std::sync::Arc;

use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::task::{JoinError, spawn_blocking};
use toml::Table;
use tracing::{Instrument, Span};
use utoipa::ToSchema;

pub(super) use orders::{Action, Order, Ordered};
pub(super) use settings::Sent;

use super::Service;
use super::auth::Caller;
use super::problem::Problem;
use super::store::{EventKind, LastResync, NewEvent, PipeRecord, Wanted};
use super::supervisor::PipeId;
use super::supervisor::observer::Live;
use crate::lifecycle::report::Phase;
use crate::pipe::Pipe;

/// What a pipe is at, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum PipeState {
    /// It was never started.
    New,
    /// It connects to its servers.
    Starting,
    /// A load or resync checks and prepares.
    Setup,
    /// A load or resync loads.
    Snapshot,
    /// A resync proves, catches up and swaps.
    Resync,
    /// It follows the binlog.
    Running,
    /// It loads once, and has done so.
    Completed,
    /// It was stopped.
    Stopped,
    /// A table waits for approval of its swap.
    NeedsApproval,
    /// An error has ended it, or its last resync.
    Failed,
}

/// A pipe, as a list of pipes shows it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct PipeSummary {
    /// Its name, which is also its id.
    pub(super) name: String,
    /// What it is at.
    pub(super) state: PipeState,
    /// What is wanted of it.
    pub(super) wanted: Wanted,
    /// Why it doesn't do what is wanted.
    pub(super) error: Option<String>,
    /// The address of its source.
    pub(super) source: String,
    /// The address of its destination.
    pub(super) destination: String,
    /// The number of its tables.
    pub(super) tables: usize,
    /// How far the destination is behind the source, in seconds; null if it isn't known.
    pub(super) lag_seconds: Option<u64>,
    /// Rows of a load, or row events of the binlog, a second.
    pub(super) rows_per_second: f64,
    /// The last load or resync.
    pub(super) last_resync: Option<LastResync>,
    /// When it was made.
    pub(super) created: Timestamp,
    /// When its settings were changed last.
    pub(super) changed: Timestamp,
}

/// A pipe with its settings.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct PipeDetail {
    /// What a list shows of it.
    #[serde(flatten)]
    pub(super) summary: PipeSummary,
    /// The settings as TOML, without secrets.
    pub(super) toml: String,
    /// The same as JSON.
    #[schema(value_type = Object)]
    pub(super) settings: serde_json::Value,
    /// The names of its secrets.
    pub(super) secrets: Vec<String>,
}

impl Service {
    /// Stops a pipe and removes it with its journal. Tables of the destination stay.
    pub(super) async fn remove_pipe(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
    ) -> Result<(), Problem> {
        let id = caller.pipe(name);
        // Whatever it is at, it ends.
        self.supervisor.stop(&id);
        let _turn = self.supervisor.turn(&id).await;
        self.pipe_record(caller, name)?;
        caller
            .store(self)
            .change_pipe(name, |record| record.wanted = Wanted::Stopped)?;
        self.supervisor.stop_and_wait(&id).await;
        let removed = self.on_disk(caller, move |service, caller| {
            let folder = service.pipe_folder(&id);
            if folder.exists() {
                std::fs::remove_dir_all(&folder)?;
            }
            caller.store(service).remove_pipe(&id.name)?;
            let environment = service.environment_of(&caller.tenant);
            environment.forget_usage(&id.name);
            service.metrics.forget(&id);
            Ok(())
        });
        removed.await
    }

    /// A pipe's record, or that there is none.
    pub(super) fn pipe_record(&self, caller: &Caller, name: &str) -> Result<PipeRecord, Problem> {
        let found = caller.store(self).pipe(name)?;
        found.ok_or_else(|| Problem::not_found("pipe", name))
    }

    /// A pipe that exists.
    pub(super) fn pipe_of(&self, caller: &Caller, name: &str) -> Result<(PipeId, Pipe), Problem> {
        self.pipe_record(caller, name)?;
        let id = caller.pipe(name);
        let pipe = self.load(&id)?;
        Ok((id, pipe))
    }

    /// The same, read where files are.
    pub(super) async fn read_pipe(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
    ) -> Result<(PipeId, Pipe), Problem> {
        let name = name.to_owned();
        let read = move |service: &Arc<Self>, caller: &Caller| service.pipe_of(caller, &name);
        self.on_disk(caller, read).await
    }

    /// A pipe as its settings are now, with an error that tells nothing of the machine.
    pub(super) fn load(&self, id: &PipeId) -> Result<Pipe, Problem> {
        self.load_pipe(id).map_err(|error| self.problem(id, error))
    }

    /// A pipe as a list shows it.
    pub(super) fn summary(&self, tenant: &str, record: PipeRecord) -> PipeSummary {
        let id = PipeId {
            tenant: tenant.to_owned(),
            name: record.name.clone(),
        };
        let running = self.supervisor.running(&id);
        let observer = running.as_ref().map(|running| &running.observer);
        let told = |live: Option<&Live>| {
            let following = live.and_then(|live| live.following.as_ref());
            (
                state(&record, live),
                following.and_then(|following| following.lag_seconds),
                last(record.last.clone(), live),
            )
        };
        let (state, lag_seconds, last_resync) = match observer {
            Some(observer) => observer.see(|live| told(Some(live))),
            None => told(None),
        };
        let sample = observer.and_then(|observer| observer.last_sample());
        PipeSummary {
            state,
            lag_seconds,
            rows_per_second: sample.map_or(0.0, |sample| {
                sample.rows_per_second + sample.events_per_second
            }),
            last_resync,
            name: record.name,
            wanted: record.wanted,
            error: record.error.map(|error| self.stripped(&id, &error)),
            source: record.source,
            destination: record.destination,
            tables: record.tables,
            created: record.created,
            changed: record.changed,
        }
    }

    /// The settings of a pipe, without secrets.
    pub(super) fn toml(&self, id: &PipeId) -> Result<String, Problem> {
        Ok(std::fs::read_to_string(self.pipe_file(id))?)
    }

    /// A pipe with its settings.
    pub(super) fn detail(&self, caller: &Caller, name: &str) -> Result<PipeDetail, Problem> {
        let record = self.pipe_record(caller, name)?;
        let toml = self.toml(&caller.pipe(name))?;
        let table: Table = toml.parse().unwrap_or_default();
        Ok(PipeDetail {
            settings: serde_json::to_value(table).unwrap_or_default(),
            toml,
            secrets: caller.store(self).secret_names(name)?,
            summary: self.summary(&caller.tenant, record),
        })
    }

    /// Does something where pipes run, not where requests are answered.
    pub(super) async fn on_work<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Problem> {
        let work = Box::pin(work.in_current_span());
        let done = self.work.spawn(work).await;
        done.map_err(|cause| has_failed(&cause))
    }

    /// Looks at servers when it is the tenant's turn, where pipes run. A client that goes away leaves the turn to the look until that ends.
    pub(super) fn look<T: Send + 'static>(
        &self,
        caller: &Caller,
        look: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Problem>> {
        let look = Box::pin(look);
        async move {
            let turn = self.shares.look(&caller.tenant).await?;
            let looked = self.on_work(async move {
                let _turn = turn;
                look.await
            });
            looked.await
        }
    }

    /// Does what needs the disk or takes its time, not where requests are answered. A tenant has a bounded number of threads for it, and waits for one.
    pub(super) async fn on_disk<T: Send + 'static>(
        self: &Arc<Self>,
        caller: &Caller,
        work: impl FnOnce(&Arc<Self>, &Caller) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = self.shares.disk(&caller.tenant).await;
        let (service, caller, span) = (self.clone(), caller.clone(), Span::current());
        let done = spawn_blocking(move || {
            let _turn = turn;
            span.in_scope(|| work(&service, &caller))
        });
        done.await.unwrap_or_else(|cause| Err(has_failed(&cause)))
    }

    /// Tells that somebody has done something to a pipe.
    fn note(&self, caller: &Caller, id: &PipeId, what: &str) {
        let event = NewEvent {
            at: Timestamp::now(),
            pipe: id.name.clone(),
            kind: EventKind::Action,
            resync: None,
            phase: None,
            message: format!("{what} by `{}`", caller.token.name),
        };
        self.events.put(&id.tenant, event);
    }
}

/// A request's work has panicked.
pub(super) fn has_failed(cause: &JoinError) -> Problem {
    tracing::error!(%cause, "a request's work has ended unexpectedly");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "the service has failed; its log says why",
    )
}

/// The record of a new pipe.
fn record(pipe: &Pipe) -> PipeRecord {
    let now = Timestamp::now();
    let plugins = pipe.tables.iter().flat_map(|table| &table.transforms);
    let mut plugins: Vec<String> = plugins.map(|transform| transform.plugin.clone()).collect();
    plugins.sort();
    plugins.dedup();
    PipeRecord {
        name: pipe.name.clone(),
        created: now,
        changed: now,
        wanted: Wanted::Stopped,
        error: None,
        source: pipe.source.address.to_string(),
        destination: pipe.destination.server.to_string(),
        tables: pipe.tables.len(),
        plugins,
        last: None,
    }
}

/// A pipe's last resync: what runs knows it a moment before the store does.
fn last(stored: Option<LastResync>, live: Option<&Live>) -> Option<LastResync> {
    let Some((id, phase)) = live.and_then(|live| live.resync.as_ref()) else {
        return stored;
    };
    let stored = stored.filter(|stored| stored.id == *id);
    let started = stored.as_ref().map(|stored| stored.started);
    Some(LastResync {
        id: id.clone(),
        phase: *phase,
        started: started.or(live?.since).unwrap_or_else(Timestamp::now),
        ended: stored.and_then(|stored| stored.ended),
    })
}

/// What a pipe is at, in one word.
pub(super) fn state(record: &PipeRecord, live: Option<&Live>) -> PipeState {
    let of_phase = |phase| match phase {
        Phase::Setup => PipeState::Setup,
        Phase::Snapshot => PipeState::Snapshot,
        Phase::Resync => PipeState::Resync,
        Phase::Running => PipeState::Running,
        Phase::Completed | Phase::RolledBack => PipeState::Completed,
        Phase::Paused | Phase::Aborted => PipeState::Stopped,
        Phase::Failed => PipeState::Failed,
    };
    let last = record.last.as_ref().map(|last| last.phase);
    let Some(live) = live else {
        return match (last, &record.error) {
            (_, Some(_)) => PipeState::Failed,
            (None, _) => PipeState::New,
            (Some(Phase::Completed), _) => PipeState::Completed,
            (Some(Phase::Failed), _) => PipeState::Failed,
            (Some(Phase::Setup | Phase::Snapshot | Phase::Resync), _) => PipeState::NeedsApproval,
            (Some(_), _) => PipeState::Stopped,
        };
    };
    if live.waits {
        return PipeState::NeedsApproval;
    }
    match (&live.resync, &live.following) {
        (Some((_, phase @ (Phase::Setup | Phase::Snapshot | Phase::Resync))), _) => {
            of_phase(*phase)
        }
        (Some((_, Phase::Failed)), Some(_)) => PipeState::Failed,
        // What it says of the binlog while its first load is still to begin has no tables.
        (None, Some(following)) if following.tables.is_empty() => PipeState::Starting,
        (_, Some(_)) => PipeState::Running,
        (Some((_, phase)), None) => of_phase(*phase),
        (None, None) => PipeState::Starting,
    }
}
