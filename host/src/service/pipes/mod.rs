//! Pipes of a tenant: made, changed, removed, and what they are told to do. The API and the pages both come here.

mod files;
mod orders;
mod settings;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use toml::Table;
use tracing::Instrument;
use utoipa::ToSchema;

pub(super) use orders::{Action, Order, Ordered};
pub(super) use settings::Sent;

use super::Service;
use super::auth::Caller;
use super::problem::Problem;
use super::store::{EventKind, LastResync, NewEvent, PipeRecord, Wanted};
use super::supervisor::PipeId;
use super::supervisor::observer::Live;
use crate::lifecycle;
use crate::lifecycle::report::{Phase, Status};
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
    pub(super) async fn remove_pipe(&self, caller: &Caller, name: &str) -> Result<(), Problem> {
        let id = caller.pipe(name);
        // Whatever it is at, it ends.
        self.supervisor.stop(&id);
        let _turn = self.supervisor.turn(&id).await;
        self.pipe_record(caller, name)?;
        caller
            .store(self)
            .change_pipe(name, |record| record.wanted = Wanted::Stopped)?;
        self.supervisor.stop_and_wait(&id).await;
        let folder = self.pipe_folder(&id);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        caller.store(self).remove_pipe(name)?;
        self.environment_of(&caller.tenant).forget_usage(name);
        self.metrics.forget(&id);
        Ok(())
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

    /// A pipe as its settings are now, with an error that tells nothing of the machine.
    pub(super) fn load(&self, id: &PipeId) -> Result<Pipe, Problem> {
        self.load_pipe(id).map_err(|error| self.problem(id, error))
    }

    /// An error of a pipe, without the paths of its folder.
    pub(super) fn problem(&self, id: &PipeId, error: impl Into<Problem>) -> Problem {
        error.into().without_path(&self.pipe_folder(id))
    }

    /// What a pipe is at, by its journal and by what runs.
    pub(super) fn status_of(&self, id: &PipeId) -> Result<Status, Problem> {
        let pipe = self.load(id)?;
        let mut status = lifecycle::status(&pipe).map_err(|error| self.problem(id, error))?;
        status.file = "pipe.toml".into();
        let folder = self.pipe_folder(id);
        for drift in &mut status.drift {
            *drift = super::problem::without_path(drift, &folder);
        }
        // Rows of chunks that aren't done yet are known to the process alone.
        let live = self
            .supervisor
            .running(id)
            .map(|running| running.observer.live());
        if let (Some(resync), Some(live)) = (&mut status.resync, live)
            && live.resync.is_some_and(|(id, _)| id == resync.id)
        {
            for table in &mut resync.tables {
                if let Some(newer) = live.tables.get(&table.source)
                    && newer.ledger.read > table.ledger.read
                {
                    *table = newer.clone();
                }
            }
        }
        Ok(status)
    }

    /// A pipe as a list shows it.
    pub(super) fn summary(&self, tenant: &str, record: PipeRecord) -> PipeSummary {
        let id = PipeId {
            tenant: tenant.to_owned(),
            name: record.name.clone(),
        };
        let running = self.supervisor.running(&id);
        let live = running.as_ref().map(|running| running.observer.live());
        let following = live.as_ref().and_then(|live| live.following.as_ref());
        let sample = running.and_then(|running| running.observer.samples().pop());
        PipeSummary {
            state: state(&record, live.as_ref()),
            lag_seconds: following.and_then(|following| following.lag_seconds),
            rows_per_second: sample.map_or(0.0, |sample| {
                sample.rows_per_second + sample.events_per_second
            }),
            last_resync: last(record.last, live.as_ref()),
            name: record.name,
            wanted: record.wanted,
            error: record.error,
            source: record.source,
            destination: record.destination,
            tables: record.tables,
            created: record.created,
            changed: record.changed,
        }
    }

    /// A pipe with its settings.
    pub(super) fn detail(&self, caller: &Caller, name: &str) -> Result<PipeDetail, Problem> {
        let record = self.pipe_record(caller, name)?;
        let toml = std::fs::read_to_string(self.pipe_file(&caller.pipe(name)))?;
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
        self.work.spawn(work).await.map_err(|cause| {
            tracing::error!(%cause, "a request's work has ended unexpectedly");
            let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
            Problem::new(
                status,
                "internal",
                "the service has failed; its log says why",
            )
        })
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
