//! What pipes are told to do.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::lifecycle::report::Phase;
use crate::lifecycle::{self, Command};
use crate::schema::TableName;
use crate::service::Service;
use crate::service::auth::Caller;
use crate::service::metrics::Ending;
use crate::service::problem::Problem;
use crate::service::store::{PipeRecord, Wanted};
use crate::service::supervisor::PipeId;

/// What is done to a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::service) enum Action {
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
pub(in crate::service) struct Order {
    /// What is to be done.
    pub(in crate::service) state: Action,
    /// For `resync` and `rollback`, the source tables; all, if there are none.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub(in crate::service) tables: Vec<TableName>,
    /// For `resync`, whether the originals are kept current until their swap.
    #[serde(default)]
    pub(in crate::service) live: bool,
}

/// What became of an order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::service) struct Ordered {
    /// The id of the resync that was begun, where it is known at once.
    pub(in crate::service) resync: Option<String>,
}

impl Service {
    /// Has a pipe do something.
    pub(in crate::service) async fn order(
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
                let known: HashSet<&TableName> =
                    pipe.tables.iter().map(|table| &table.source).collect();
                let mut asked = order.tables.iter();
                if let Some(table) = asked.find(|table| !known.contains(table)) {
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
    pub(in crate::service) async fn add_table(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        table: TableName,
    ) -> Result<Ordered, Problem> {
        let (id, _) = self.read_pipe(caller, name).await?;
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
    pub(in crate::service) async fn leave_table(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        table: TableName,
    ) -> Result<(), Problem> {
        let (id, pipe) = self.read_pipe(caller, name).await?;
        let service = self.clone();
        self.on_work(async move {
            let left = lifecycle::remove_table(&pipe, &table);
            let left = service.supervisor.with_worker(&id, left).await;
            left.map_err(|error| service.problem(&id, error))
        })
        .await??;
        Ok(())
    }
}
