//! What a person can have a pipe do: it is done in this process, or by the one that is at work on the pipe.

use std::sync::Arc;

use super::environment::Environment;
use super::error::Error;
use super::order::{self, Ordered, Told};
use super::report::{Outcome, Progress, Silent, Status};
use super::session::Outlet;
use super::status::status;
use super::stop::StopSignal;
use super::work::{Held, Work};
use super::worker::{self, Job, Worker};
use super::{drive, nothing_under_way, setup};
use crate::journal::{
    FollowedRecord, Journal, Kind, MAIN, Order, Phase, PipeLock, TableRecord, TableState,
};
use crate::pipe::Pipe;
use crate::schema::TableName;

/// Ends what a process does at the next batch boundary. A clone asks for the same.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<StopSignal>);

impl Stop {
    /// Asks for it.
    pub fn ask(&self) {
        self.0.ask();
    }

    /// Whether it was asked for.
    pub fn is_asked(&self) -> bool {
        self.0.is_asked()
    }

    /// Waits so long, or until it is asked for: whether it was.
    pub async fn within(&self, pause: std::time::Duration) -> bool {
        self.0.within(pause).await
    }

    /// Lets the worker look for orders now.
    pub fn nudge(&self) {
        self.0.nudge();
    }
}

/// What a pipe is to do.
#[derive(Clone, Debug)]
pub enum Command {
    /// Load what was never loaded, go on with what a crash interrupted, and follow the binlog.
    Run,
    /// Rebuild these tables (all, if there are none) and swap them in.
    Resync {
        /// The source tables.
        tables: Vec<TableName>,
        /// Whether the originals are kept current until their swap.
        live: bool,
    },
    /// Load a table that is new in the pipe file; it follows from then on.
    AddTable {
        /// The source table.
        table: TableName,
    },
    /// Go on with what is paused, has failed, or was interrupted, and with following.
    Resume,
    /// Approve the swap of tables that the gate holds, and go on.
    Approve,
}

impl Command {
    /// What the process at work is told. One that is at work runs.
    fn order(&self) -> Option<Order> {
        match self {
            Self::Run => None,
            Self::Resync { tables, live } => Some(Order::Resync {
                tables: tables.clone(),
                live: *live,
            }),
            Self::AddTable { table } => Some(Order::AddTable {
                table: table.clone(),
            }),
            Self::Resume => Some(Order::Resume),
            Self::Approve => Some(Order::Approve),
        }
    }

    /// What is begun where no process is at work, and whether the binlog is followed afterwards.
    fn job(
        &self,
        pipe: &Pipe,
        held: &Held,
        progress: &Arc<dyn Progress>,
    ) -> Result<(Option<Job>, bool), Error> {
        match self {
            Self::Run => Ok((job_of_run(pipe, held, progress)?, true)),
            Self::Resync { tables, live } => {
                let (kind, tables, live) = (Kind::Resync, tables.clone(), *live);
                Ok((Some(Job::Start { kind, tables, live }), false))
            }
            Self::AddTable { table } => Ok((Some(worker::add(&held.1, table.clone())?), false)),
            Self::Resume => Ok((job_of_resume(pipe, held)?, true)),
            Self::Approve => {
                let work = Work::take_up(pipe, held.clone(), Arc::new(Silent))?;
                match work.filter(|work| !work.resync().phase.is_over()) {
                    None => Err(nothing_under_way(pipe)),
                    Some(work) => {
                        approve_waiting(&work)?;
                        Ok((Some(Job::GoOn), false))
                    }
                }
            }
        }
    }

    fn check(&self, pipe: &Pipe) -> Result<(), Error> {
        match self {
            Self::AddTable { table } if pipe.table(table).is_none() => {
                Err(setup::unknown_table(pipe, table))
            }
            _ => Ok(()),
        }
    }
}

/// Does it to the end, in this process or, where there is one, in the process that is at work on the pipe. `stop` ends the work of this one.
pub async fn perform(
    pipe: &Pipe,
    environment: &Environment,
    command: Command,
    progress: Arc<dyn Progress>,
    stop: Stop,
) -> Result<Outcome, Error> {
    command.check(pipe)?;
    if let Some(order) = command.order().filter(|_| PipeLock::is_held(&pipe.state)) {
        match order::order(pipe, &order, &progress).await? {
            Ordered::Outcome(outcome) => return Ok(*outcome),
            Ordered::Done => return Ok(Outcome::Stopped(Box::default())),
            Ordered::NobodyThere => {}
        }
    }
    let held = Work::lock(pipe)?;
    let (job, follow) = command.job(pipe, &held, &progress)?;
    Worker::new(pipe, environment, held, progress, stop.0)
        .await?
        .run(job, follow)
        .await
}

/// Does it in this process, which has the pipe from then on: it follows the binlog, where the pipe does, until `stop`.
pub async fn keep(
    pipe: &Pipe,
    environment: &Environment,
    command: Command,
    progress: Arc<dyn Progress>,
    stop: Stop,
) -> Result<Outcome, Error> {
    command.check(pipe)?;
    let held = Work::lock(pipe)?;
    let (job, _) = command.job(pipe, &held, &progress)?;
    Worker::new(pipe, environment, held, progress, stop.0)
        .await?
        .run(job, true)
        .await
}

/// Has the process that is at work on the pipe do it, and doesn't wait for the end: the id of the resync that it began.
pub async fn tell(pipe: &Pipe, command: &Command) -> Result<Told, Error> {
    command.check(pipe)?;
    let Some(order) = command.order() else {
        return Ok(Told::NobodyThere);
    };
    if !PipeLock::is_held(&pipe.state) {
        return Ok(Told::NobodyThere);
    }
    order::tell(pipe, &order).await
}

/// What `run` begins with.
fn job_of_run(
    pipe: &Pipe,
    held: &Held,
    progress: &Arc<dyn Progress>,
) -> Result<Option<Job>, Error> {
    let follows = pipe.cdc.follows();
    let stream = held.1.stream(MAIN)?;
    if stream.as_ref().is_some_and(|stream| stream.paused) {
        return Err(Error::Nothing {
            reason: format!("the pipe `{}` is paused", pipe.name),
            suggestion: "go on with `tidemill resume`".to_owned(),
        });
    }
    let load = Job::Start {
        kind: Kind::Load,
        tables: Vec::new(),
        live: false,
    };
    let job = match held.1.last_resync()? {
        None => Some(load),
        Some(last) if !last.phase.is_over() => match last.phase {
            // What was interrupted by a crash goes on; what a person or an error stopped waits for a person.
            Phase::Setup | Phase::Snapshot | Phase::Resync
                if (follows || last.kind == Kind::Load) && !waits(&held.1, &last.id)? =>
            {
                Some(Job::GoOn)
            }
            // A first load that has failed is tried again: there is nothing else to do.
            Phase::Failed if last.kind == Kind::Load && stream.is_none() => Some(Job::GoOn),
            _ if stream.is_some() => {
                progress.note(&format!(
                    "the resync {} is not finished (phase {}): `tidemill resume` or `tidemill abort`",
                    last.id, last.phase
                ));
                None
            }
            _ => Some(load),
        },
        Some(_) if stream.is_some() && follows => None,
        Some(last) if last.phase == Phase::Completed => {
            return Err(Error::Nothing {
                reason: format!(
                    "the pipe `{}` is loaded already (resync {})",
                    pipe.name, last.id
                ),
                suggestion: "rebuild its tables with `tidemill resync`".to_owned(),
            });
        }
        Some(_) => Some(load),
    };
    if job.is_none() && !held.1.followed(MAIN)?.iter().any(FollowedRecord::follows) {
        return Err(Error::Nothing {
            reason: format!("no table of the pipe `{}` can be followed", pipe.name),
            suggestion: "`tidemill status` says why; a resync loads them afresh".to_owned(),
        });
    }
    Ok(job)
}

/// What `resume` begins with.
fn job_of_resume(pipe: &Pipe, held: &Held) -> Result<Option<Job>, Error> {
    let stream = held.1.stream(MAIN)?;
    if let Some(mut stream) = stream.clone().filter(|stream| stream.paused) {
        stream.paused = false;
        held.1.write_stream(MAIN, &stream, &[], "resumed")?;
    }
    let last = held.1.last_resync()?;
    let is_open = last.is_some_and(|last| !last.phase.is_over());
    match (is_open, stream) {
        (true, _) => Ok(Some(Job::GoOn)),
        (false, Some(_)) if pipe.cdc.follows() => Ok(None),
        (false, _) => Err(nothing_under_way(pipe)),
    }
}

/// Whether a resync waits for approval.
fn waits(journal: &Journal, id: &str) -> Result<bool, Error> {
    let waits = |table: &TableRecord| table.state == TableState::NeedsApproval && !table.approved;
    Ok(journal.tables(id)?.iter().any(waits))
}

/// Follows a table no longer. Its destination table stays.
pub async fn remove_table(pipe: &Pipe, table: &TableName) -> Result<Status, Error> {
    let order = Order::RemoveTable {
        table: table.clone(),
    };
    if done_by_another(pipe, &order).await? {
        return status(pipe);
    }
    let held = Work::lock(pipe)?;
    worker::remove(&held.1, table)?;
    drop(held);
    status(pipe)
}

pub(super) fn approve_waiting(work: &Work) -> Result<(), Error> {
    if !work
        .tables()
        .iter()
        .any(|table| table.state == TableState::NeedsApproval)
    {
        return Err(Error::Nothing {
            reason: "no table waits for approval".to_owned(),
            suggestion: "`tidemill status` says what the pipe is at".to_owned(),
        });
    }
    drive::approve(work)
}

/// Whether the process at work has done it; there may be none.
async fn done_by_another(pipe: &Pipe, order: &Order) -> Result<bool, Error> {
    let progress: Arc<dyn Progress> = Arc::new(Silent);
    Ok(PipeLock::is_held(&pipe.state)
        && !matches!(
            order::order(pipe, order, &progress).await?,
            Ordered::NobodyThere
        ))
}

/// Asks the process at work on the pipe to stop at the next batch boundary; what nobody works on is paused at once.
pub async fn pause(pipe: &Pipe) -> Result<Status, Error> {
    let Some(journal) = Journal::open_existing(&pipe.state)? else {
        return Err(nothing_under_way(pipe));
    };
    let last = journal.last_resync()?.filter(|last| !last.phase.is_over());
    let stream = journal.stream(MAIN)?.filter(|_| pipe.cdc.follows());
    if last.is_none() && stream.is_none() {
        return Err(nothing_under_way(pipe));
    }
    if done_by_another(pipe, &Order::Pause).await? {
        return status(pipe);
    }
    let held = Work::lock(pipe)?;
    if let Some(last) = last {
        if last.phase != Phase::Paused
            && let Some(work) = Work::take_up(pipe, held, Arc::new(Silent))?
        {
            work.enter(Phase::Paused)?;
        }
    } else if let Some(mut stream) = stream {
        stream.paused = true;
        journal.write_stream(MAIN, &stream, &[], "paused")?;
    }
    status(pipe)
}

/// Gives the unfinished resync up: its `_resync` tables are dropped, pairs that were swapped are swapped back.
pub async fn abort(pipe: &Pipe) -> Result<Status, Error> {
    if done_by_another(pipe, &Order::Abort).await? {
        return status(pipe);
    }
    let work = Work::take_up(pipe, Work::lock(pipe)?, Arc::new(Silent))?;
    let Some(work) = work.filter(|work| !work.resync().phase.is_over()) else {
        return Err(nothing_under_way(pipe));
    };
    let outlet = Outlet::open(pipe).await?;
    let aborted = super::rollback::abort(&outlet.destination, &work).await;
    outlet.close().await?;
    aborted?;
    drop(work);
    status(pipe)
}

/// Brings back the old tables of the last resync, of these tables or of all. A table that followed does so no longer.
pub async fn rollback(pipe: &Pipe, tables: &[TableName]) -> Result<Status, Error> {
    let work = Work::take_up(pipe, Work::lock(pipe)?, Arc::new(Silent))?;
    let is_done = |work: &Work| matches!(work.resync().phase, Phase::Completed | Phase::Running);
    let Some(work) = work.filter(is_done) else {
        return Err(Error::Nothing {
            reason: format!(
                "the pipe `{}` has no completed resync to roll back",
                pipe.name
            ),
            suggestion: "an unfinished one is given up with `tidemill abort`".to_owned(),
        });
    };
    let outlet = Outlet::open(pipe).await?;
    let rolled_back = super::rollback::roll_back(&outlet.destination, &work, tables).await;
    outlet.close().await?;
    rolled_back?;
    drop(work);
    status(pipe)
}
