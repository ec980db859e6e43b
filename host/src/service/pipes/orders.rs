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
        let (service, caller) = (self.clone(), caller.clone());
        let id = caller.pipe(name);
        self.on_work(async move {
            if order.state == Action::Stop {
                // It doesn't wait for another order to end, which it may be meant for.
                service.supervisor.stop(&id);
            }
            let _turn = service.supervisor.turn(&id).await;
            let record = service.pipe_record(&caller, &id.name)?;
            let word = format!("{:?}", order.state).to_lowercase();
            let resync = service.act(&id, record, order).await?;
            service.note(&caller, &id, &word);
            Ok(Ordered { resync })
        })
        .await?
    }

    async fn act(
        self: &Arc<Self>,
        id: &PipeId,
        record: PipeRecord,
        order: Order,
    ) -> Result<Option<String>, Problem> {
        match order.state {
            Action::Start => self.begun(id, record, self.start(id)).await,
            Action::Resync => {
                let pipe = self.load(id)?;
                let known: HashSet<&TableName> =
                    pipe.tables.iter().map(|table| &table.source).collect();
                let mut asked = order.tables.iter();
                if let Some(table) = asked.find(|table| !known.contains(table)) {
                    return Err(Problem::not_found("table", &table.to_string()));
                }
                let (tables, live) = (order.tables, order.live);
                let command = Command::Resync { tables, live };
                let begun = self.supervisor.command(self, id, command);
                self.begun(id, record, begun).await
            }
            Action::Approve => {
                let begun = self.supervisor.command(self, id, Command::Approve);
                self.begun(id, record, begun).await
            }
            Action::Stop => {
                self.want(id, Wanted::Stopped, None)?;
                self.supervisor.stop(id);
                Ok(None)
            }
            Action::Abort => {
                let pipe = self.load(id)?;
                let aborted = lifecycle::abort(&pipe);
                let aborted = self.supervisor.with_worker(id, aborted).await;
                aborted.map_err(|error| self.problem(id, error))?;
                self.metrics.pipe(id).ended_by_order(Ending::Aborted);
                Ok(None)
            }
            Action::Rollback => {
                let pipe = self.load(id)?;
                let possible = lifecycle::foresee_rollback(&pipe);
                possible.map_err(|error| self.problem(id, error))?;
                let again = self.supervisor.stop_and_wait(id).await;
                let done = lifecycle::rollback(&pipe, &order.tables).await;
                if again {
                    self.supervisor.begin_again(self, id);
                }
                done.map_err(|error| self.problem(id, error))?;
                self.metrics.pipe(id).ended_by_order(Ending::RolledBack);
                Ok(None)
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
            (Some(_), false) => Ok(None),
            (_, true) => self.supervisor.command(self, id, Command::Resume).await,
            (None, false) => self.supervisor.command(self, id, Command::Run).await,
        }
    }

    fn want(&self, id: &PipeId, wanted: Wanted, error: Option<String>) -> Result<(), Problem> {
        let store = self.store.tenant(&id.tenant);
        store.change_pipe(&id.name, |record| {
            record.wanted = wanted;
            record.error = error;
        })?;
        Ok(())
    }

    /// Has a pipe begin something: it is to run from then on. What is refused changes nothing of what is wanted.
    async fn begun(
        &self,
        id: &PipeId,
        before: PipeRecord,
        begin: impl Future<Output = Result<Option<String>, Problem>>,
    ) -> Result<Option<String>, Problem> {
        self.supervisor.takes_orders(id).await?;
        // Before it begins: a crash in between starts it, and doesn't forget it.
        self.want(id, Wanted::Running, None)?;
        let begun = begin.await;
        if begun.is_err() {
            self.want(id, before.wanted, before.error)?;
        }
        begun
    }

    /// Loads a table that is new in the settings.
    pub(in crate::service) async fn add_table(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        table: TableName,
    ) -> Result<Ordered, Problem> {
        let (service, caller) = (self.clone(), caller.clone());
        let id = caller.pipe(name);
        self.on_work(async move {
            let _turn = service.supervisor.turn(&id).await;
            let record = service.pipe_record(&caller, &id.name)?;
            let word = format!("table {table} added");
            let command = Command::AddTable { table };
            let begun = service.supervisor.command(&service, &id, command);
            let resync = service.begun(&id, record, begun).await?;
            service.note(&caller, &id, &word);
            Ok(Ordered { resync })
        })
        .await?
    }

    /// Follows a table no longer.
    pub(in crate::service) async fn leave_table(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        table: TableName,
    ) -> Result<(), Problem> {
        let (service, caller) = (self.clone(), caller.clone());
        let id = caller.pipe(name);
        self.on_work(async move {
            let _turn = service.supervisor.turn(&id).await;
            let (_, pipe) = service.pipe_of(&caller, &id.name)?;
            let left = lifecycle::remove_table(&pipe, &table);
            let left = service.supervisor.with_worker(&id, left).await;
            left.map_err(|error| service.problem(&id, error))?;
            service.note(&caller, &id, &format!("table {table} left"));
            Ok(())
        })
        .await?
    }
}
