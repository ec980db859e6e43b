//! Pipes of a tenant: made, changed, removed, and what they are told to do. The API and the pages both come here.

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};
use tracing::Instrument;
use utoipa::ToSchema;

use super::Service;
use super::auth::Caller;
use super::metrics::Ending;
use super::problem::Problem;
use super::store::{EventKind, LastResync, Made, NewEvent, PipeRecord, Wanted};
use super::supervisor::PipeId;
use super::supervisor::observer::Live;
use crate::files::write_whole;
use crate::lifecycle::report::{Phase, Status};
use crate::lifecycle::{self, Command};
use crate::pipe::{
    Access, DESTINATION_PASSWORD, Pipe, SOURCE_PASSWORD, Secrets, SourceSettings, Tenancy,
};
use crate::schema::TableName;

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

/// What is done to a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    /// Load what isn't loaded, go on with what was stopped or has failed, follow the binlog.
    Start,
    /// Stop at the next batch boundary.
    Stop,
    /// Rebuild tables and swap them in.
    Resync,
    /// Approve the swap of tables that shrank or grew too much.
    Approve,
    /// Give the unfinished resync up.
    Abort,
    /// Bring back the tables from before the last resync.
    Rollback,
}

/// An order to a pipe.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    /// What is to be done.
    pub(super) state: Action,
    /// For `resync` and `rollback`, the source tables; all, if there are none.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub(super) tables: Vec<TableName>,
    /// For `resync`, whether the originals are kept current until their swap.
    #[serde(default)]
    pub(super) live: bool,
}

/// What became of an order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Ordered {
    /// The id of the resync that was begun, where it is known at once.
    pub(super) resync: Option<String>,
}

/// Settings as they were sent.
pub(super) enum Sent {
    /// TOML.
    Toml(String),
    /// The same structure as JSON, with `secrets` beside it if there are any.
    Json(serde_json::Map<String, serde_json::Value>),
    /// TOML without secrets, and those by name.
    Apart(String, BTreeMap<String, SecretString>),
}

/// Settings that were read: their text, and the secrets that were in them.
struct Read {
    /// As it is to be checked: errors name its lines.
    whole: String,
    /// As it is kept.
    kept: String,
    secrets: BTreeMap<String, SecretString>,
}

impl Sent {
    fn read(self) -> Result<Read, Problem> {
        let unusable = |error: &dyn std::fmt::Display| Problem::unusable(error.to_string());
        let whole = match self {
            Self::Toml(text) => text,
            Self::Apart(text, secrets) => {
                return Ok(Read {
                    whole: text.clone(),
                    kept: text,
                    secrets,
                });
            }
            Self::Json(settings) => {
                toml::to_string(&without_nulls(settings)).map_err(|error| unusable(&error))?
            }
        };
        let mut table: Table = whole.parse().map_err(|error| unusable(&error))?;
        let mut secrets = BTreeMap::new();
        if let Some(named) = table.remove("secrets") {
            let named = named.try_into::<BTreeMap<String, String>>();
            let named = named.map_err(|_| Problem::unusable("`secrets` has names and texts"))?;
            secrets.extend(named.into_iter().map(|(name, value)| (name, value.into())));
        }
        for (section, name) in [
            ("source", SOURCE_PASSWORD),
            ("destination", DESTINATION_PASSWORD),
        ] {
            let section = table.get_mut(section).and_then(Value::as_table_mut);
            if let Some(Value::String(password)) = section.and_then(|s| s.remove("password")) {
                secrets.insert(name.to_owned(), password.into());
            }
        }
        let kept = match secrets.is_empty() {
            true => whole.clone(),
            // Comments go with it; a text without secrets keeps them.
            false => toml::to_string(&table).map_err(|error| unusable(&error))?,
        };
        Ok(Read {
            whole: without_secrets_table(whole, &table),
            kept,
            secrets,
        })
    }
}

/// TOML has no nulls: a key that is null isn't there.
fn without_nulls(
    map: serde_json::Map<String, serde_json::Value>,
) -> serde_json::Map<String, serde_json::Value> {
    fn clean(value: serde_json::Value) -> Option<serde_json::Value> {
        use serde_json::Value;
        match value {
            Value::Null => None,
            Value::Object(map) => Some(Value::Object(without_nulls(map))),
            Value::Array(items) => {
                Some(Value::Array(items.into_iter().filter_map(clean).collect()))
            }
            value => Some(value),
        }
    }
    let fields = map.into_iter();
    fields
        .filter_map(|(key, value)| Some((key, clean(value)?)))
        .collect()
}

/// The pipe file knows no `secrets`; without them its lines are others, and it is checked as it will be kept.
fn without_secrets_table(whole: String, table: &Table) -> String {
    match whole.parse::<Table>() {
        Ok(parsed) if parsed.contains_key("secrets") => table.to_string(),
        _ => whole,
    }
}

/// A pipe's secrets, with those that are about to be kept.
#[derive(Debug)]
struct WithNew {
    new: BTreeMap<String, SecretString>,
    kept: Box<dyn Secrets>,
}

impl Secrets for WithNew {
    fn get(&self, name: &str) -> Result<Option<SecretString>, String> {
        match self.new.get(name) {
            Some(secret) => Ok(Some(secret.clone())),
            None => self.kept.get(name),
        }
    }
}

impl Service {
    /// Reads what the settings of a pipe mean, if they can be used. The pipe's place is known once its name is.
    fn check_settings(&self, caller: &Caller, read: &Read) -> Result<Pipe, Problem> {
        let table: Table = read.whole.parse().unwrap_or_default();
        let name = table
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        // A name that is none is told below; it must not become a path.
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let id = caller.pipe(if name.chars().all(fits) { name } else { "_" });
        self.settings_at(&id, self.pipe_folder(&id), read)
    }

    /// The pipe of settings that are not kept, with a folder of its own for what it needs meanwhile.
    pub(super) fn pipe_at(
        &self,
        caller: &Caller,
        folder: PathBuf,
        sent: Sent,
    ) -> Result<Pipe, Problem> {
        self.settings_at(&caller.pipe("_"), folder, &sent.read()?)
    }

    fn settings_at(&self, id: &PipeId, home: PathBuf, read: &Read) -> Result<Pipe, Problem> {
        let tenancy = self.tenancy(id);
        let access = Access::Tenant(Arc::new(Tenancy {
            home: home.clone(),
            embedded: tenancy.embedded,
            reach: tenancy.reach,
            secrets: Box::new(WithNew {
                new: read.secrets.clone(),
                kept: tenancy.secrets,
            }),
        }));
        let pipe = Pipe::parse_as(&home.join("pipe.toml"), read.whole.clone(), access);
        pipe.map_err(|error| Problem::from(error).without_path(&home))
    }

    /// The settings of a source of which a pipe is to be made.
    pub(super) fn source_settings(
        &self,
        caller: &Caller,
        mut section: Table,
        password: Option<SecretString>,
    ) -> Result<SourceSettings, Problem> {
        // Nothing is a pipe's yet: there are no files and no secrets.
        section.remove("password");
        let access = self.access(&caller.pipe("_"));
        let mut settings = Pipe::source_of(section, access)?;
        settings.password = password;
        Ok(settings)
    }

    /// Makes a pipe.
    pub(super) fn create_pipe(&self, caller: &Caller, sent: Sent) -> Result<PipeId, Problem> {
        let read = sent.read()?;
        let pipe = self.check_settings(caller, &read)?;
        let id = caller.pipe(&pipe.name);
        let tenant = self.store.tenant_record(&caller.tenant)?;
        let most = tenant.map_or(0, |tenant| tenant.quotas.pipes);
        match caller.store(self).make_pipe(&record(&pipe), most)? {
            Made::Made => {}
            Made::Exists => {
                let detail = format!("there is a pipe `{}` already", pipe.name);
                return Err(Problem::conflict(detail).suggest("change it, or choose another name"));
            }
            Made::TooMany => {
                let detail = format!("the tenant has {most} pipes, and may have no more");
                return Err(Problem::quota(detail));
            }
        }
        let kept = self.keep_settings(&id, &read);
        if kept.is_err() {
            self.store.tenant(&id.tenant).remove_pipe(&id.name)?;
        }
        kept?;
        self.note(caller, &id, "made");
        Ok(id)
    }

    /// Changes a pipe's settings. What may change while it runs is in force at once, the rest with the next resync.
    pub(super) fn change_pipe(
        &self,
        caller: &Caller,
        name: &str,
        sent: Sent,
    ) -> Result<PipeId, Problem> {
        self.pipe_record(caller, name)?;
        let read = sent.read()?;
        let pipe = self.check_settings(caller, &read)?;
        if pipe.name != name {
            let detail = format!(
                "the settings are of a pipe `{}`, and this one is `{name}`: a pipe keeps its name",
                pipe.name
            );
            return Err(Problem::unusable(detail));
        }
        let id = caller.pipe(name);
        self.keep_settings(&id, &read)?;
        let new = record(&pipe);
        caller.store(self).change_pipe(name, |record| {
            *record = PipeRecord {
                created: record.created,
                wanted: record.wanted,
                error: record.error.take(),
                last: record.last.take(),
                ..new
            };
        })?;
        self.supervisor.nudge(&id);
        self.note(caller, &id, "settings changed");
        Ok(id)
    }

    /// Writes a pipe's settings and secrets.
    fn keep_settings(&self, id: &PipeId, read: &Read) -> Result<(), Problem> {
        let folder = self.pipe_folder(id);
        let mut private = std::fs::DirBuilder::new();
        private.recursive(true).mode(0o700).create(&folder)?;
        // Where plugins are looked for by name.
        let plugins = folder.join("plugins");
        if plugins.symlink_metadata().is_err() {
            symlink("../../plugins", &plugins)?;
        }
        self.put_secrets(id, &read.secrets)?;
        write_whole(&self.pipe_file(id), 0o600, &[read.kept.as_bytes()])?;
        Ok(())
    }

    /// Keeps secrets of a pipe, in place of those of their names.
    pub(super) fn put_secrets(
        &self,
        id: &PipeId,
        secrets: &BTreeMap<String, SecretString>,
    ) -> Result<(), Problem> {
        let mut sealed = Vec::with_capacity(secrets.len());
        for (name, secret) in secrets {
            check_secret_name(name)?;
            let place = [id.tenant.as_str(), &id.name, name];
            sealed.push((name.clone(), self.vault.seal(&place, secret)?));
        }
        Ok(self
            .store
            .tenant(&id.tenant)
            .put_secrets(&id.name, &sealed)?)
    }

    /// Stops a pipe and removes it with its journal. Tables of the destination stay.
    pub(super) async fn remove_pipe(&self, caller: &Caller, name: &str) -> Result<(), Problem> {
        self.pipe_record(caller, name)?;
        let id = caller.pipe(name);
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

    /// Has a pipe do something.
    pub(super) async fn order(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        order: Order,
    ) -> Result<Ordered, Problem> {
        let record = self.pipe_record(caller, name)?;
        let id = caller.pipe(name);
        let service = self.clone();
        let word = format!("{:?}", order.state).to_lowercase();
        let caller_name = caller.clone();
        let (done, id) = self
            .on_work(async move {
                let done = service.act(&id, record, order).await;
                (done, id)
            })
            .await?;
        let done = done?;
        self.note(&caller_name, &id, &word);
        Ok(done)
    }

    async fn act(
        self: &Arc<Self>,
        id: &PipeId,
        record: PipeRecord,
        order: Order,
    ) -> Result<Ordered, Problem> {
        let none = Ordered { resync: None };
        match order.state {
            Action::Start => {
                self.want(id, Wanted::Running)?;
                let begun = self.start(id).await;
                self.unwanted_unless_running(id, record.wanted, begun)
            }
            Action::Stop => {
                self.want(id, Wanted::Stopped)?;
                self.supervisor.stop(id);
                Ok(none)
            }
            Action::Resync => {
                let pipe = self.load(id)?;
                if let Some(table) = order
                    .tables
                    .iter()
                    .find(|table| pipe.table(table).is_none())
                {
                    return Err(Problem::not_found("table", &table.to_string()));
                }
                self.want(id, Wanted::Running)?;
                let (tables, live) = (order.tables, order.live);
                let begun = self
                    .supervisor
                    .command(self, id, Command::Resync { tables, live });
                let begun = begun.await;
                self.unwanted_unless_running(id, record.wanted, begun)
            }
            Action::Approve => {
                self.want(id, Wanted::Running)?;
                let begun = self.supervisor.command(self, id, Command::Approve).await;
                self.unwanted_unless_running(id, record.wanted, begun)
            }
            Action::Abort => {
                let pipe = self.load(id)?;
                let aborted = self
                    .supervisor
                    .with_worker(id, lifecycle::abort(&pipe))
                    .await;
                aborted.map_err(|error| self.problem(id, error))?;
                self.metrics.pipe(id).ended_by_order(Ending::Aborted);
                Ok(none)
            }
            Action::Rollback => {
                let pipe = self.load(id)?;
                let again = self.supervisor.running(id).is_some();
                self.supervisor.stop_and_wait(id).await;
                let done = lifecycle::rollback(&pipe, &order.tables).await;
                if again {
                    self.want(id, Wanted::Running)?;
                    self.supervisor.command(self, id, Command::Run).await?;
                }
                done.map_err(|error| self.problem(id, error))?;
                self.metrics.pipe(id).ended_by_order(Ending::RolledBack);
                Ok(none)
            }
        }
    }

    /// Starts a pipe, or has one that runs go on with a resync that was stopped or has failed.
    async fn start(self: &Arc<Self>, id: &PipeId) -> Result<Option<String>, Problem> {
        let pipe = self.load(id)?;
        let status = lifecycle::status(&pipe).map_err(|error| self.problem(id, error))?;
        let waits = status
            .resync
            .is_some_and(|resync| matches!(resync.phase, Phase::Paused | Phase::Failed));
        let paused = status.cdc.is_some_and(|cdc| cdc.report.paused);
        match (self.supervisor.running(id), waits || paused) {
            (Some(running), false) if !running.is_stopping() => Ok(None),
            (_, true) => self.supervisor.command(self, id, Command::Resume).await,
            (_, false) => self.supervisor.command(self, id, Command::Run).await,
        }
    }

    fn want(&self, id: &PipeId, wanted: Wanted) -> Result<(), Problem> {
        let store = self.store.tenant(&id.tenant);
        store.change_pipe(&id.name, |record| {
            record.wanted = wanted;
            record.error = None;
        })?;
        Ok(())
    }

    /// What was refused doesn't change what is wanted.
    fn unwanted_unless_running(
        &self,
        id: &PipeId,
        before: Wanted,
        begun: Result<Option<String>, Problem>,
    ) -> Result<Ordered, Problem> {
        match begun {
            Ok(resync) => Ok(Ordered { resync }),
            Err(problem) => {
                self.want(id, before)?;
                Err(problem)
            }
        }
    }

    /// Loads a table that is new in the settings.
    pub(super) async fn add_table(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        table: TableName,
    ) -> Result<Ordered, Problem> {
        let (id, _) = self.pipe_of(caller, name)?;
        let service = self.clone();
        let begun = self
            .on_work(async move {
                let command = Command::AddTable { table };
                service.supervisor.command(&service, &id, command).await
            })
            .await??;
        Ok(Ordered { resync: begun })
    }

    /// Follows a table no longer.
    pub(super) async fn leave_table(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        table: TableName,
    ) -> Result<(), Problem> {
        let (id, pipe) = self.pipe_of(caller, name)?;
        let service = self.clone();
        self.on_work(async move {
            let left = lifecycle::remove_table(&pipe, &table);
            let left = service.supervisor.with_worker(&id, left).await;
            left.map_err(|error| service.problem(&id, error))
        })
        .await??;
        Ok(())
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

fn check_secret_name(name: &str) -> Result<(), Problem> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match !name.is_empty() && name.len() <= 64 && name.chars().all(fits) {
        true => Ok(()),
        false => Err(Problem::unusable(
            "a secret's name has 1 to 64 letters, digits, `-`, `_` or `.`",
        )),
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
