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
use super::worker::{self, Worker};
use super::{job, nothing_under_way, setup};
use crate::journal::{Journal, MAIN, Order, Phase, PipeLock};
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

    /// Waits until it is asked for.
    pub async fn asked(&self) {
        self.0.asked().await;
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

    /// Whether the binlog is followed afterwards where the command itself doesn't say how long it lasts.
    fn follows(&self) -> bool {
        matches!(self, Self::Run | Self::Resume)
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
    let follow = command.follows();
    work(pipe, environment, (command, follow), held, progress, stop).await
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
    work(pipe, environment, (command, true), held, progress, stop).await
}

/// Does a command, and whether the binlog is followed afterwards. A stop that is asked for while servers are waited for ends that, too.
async fn work(
    pipe: &Pipe,
    environment: &Environment,
    (command, follow): (Command, bool),
    held: Held,
    progress: Arc<dyn Progress>,
    Stop(stop): Stop,
) -> Result<Outcome, Error> {
    let job = job::of(&command, pipe, &held, &progress)?;
    let worker = Worker::new(pipe, environment, held, progress, stop.clone());
    let worker = tokio::select! {
        worker = worker => worker?,
        () = stop.asked() => return Ok(Outcome::Stopped(Box::default())),
    };
    worker.run(job, follow).await
}

/// Why nothing would come of a command to a pipe that no process is at work on, as far as its journal tells.
pub fn foresee(pipe: &Pipe, command: &Command) -> Result<(), Error> {
    command.check(pipe)?;
    job::foresee(command, pipe)
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

/// Why the last resync can't be rolled back, as far as the pipe's journal tells.
pub fn foresee_rollback(pipe: &Pipe) -> Result<(), Error> {
    let journal = Journal::open_existing(&pipe.state)?;
    let last = journal.map(|journal| journal.last_resync()).transpose()?;
    match last.flatten().filter(|last| is_done(last.phase)) {
        Some(_) => Ok(()),
        None => Err(nothing_to_roll_back(pipe)),
    }
}

fn is_done(phase: Phase) -> bool {
    matches!(phase, Phase::Completed | Phase::Running)
}

fn nothing_to_roll_back(pipe: &Pipe) -> Error {
    Error::Nothing {
        reason: format!(
            "the pipe `{}` has no completed resync to roll back",
            pipe.name
        ),
        suggestion: "an unfinished one is given up with `tidemill abort`".to_owned(),
    }
}

/// Brings back the old tables of the last resync, of these tables or of all. A table that followed does so no longer.
pub async fn rollback(pipe: &Pipe, tables: &[TableName]) -> Result<Status, Error> {
    let work = Work::take_up(pipe, Work::lock(pipe)?, Arc::new(Silent))?;
    let work = work.filter(|work| is_done(work.resync().phase));
    let work = work.ok_or_else(|| nothing_to_roll_back(pipe))?;
    let outlet = Outlet::open(pipe).await?;
    let rolled_back = super::rollback::roll_back(&outlet.destination, &work, tables).await;
    outlet.close().await?;
    rolled_back?;
    drop(work);
    status(pipe)
}
