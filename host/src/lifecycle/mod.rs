//! The lifecycle of a pipe: a load or resync, Setup → Snapshot → Resync, then Running, with Paused and Failed beside the way.
//!
//! | phase | what is done | after a kill -9 |
//! | --- | --- | --- |
//! | Setup | schemas are read, plugins bound, everything is checked, position P0 is noted, the `_resync` tables are created | begins again |
//! | Snapshot | chunks are loaded in parallel from a consistent snapshot; position P1 is noted at the end | finished chunks stay; without CDC only if the source has not been written to since |
//! | Resync | the copy is verified, changes from P0 until P1 is passed are applied, soft-deleted rows are carried over, pairs are swapped one after the other | goes on with the first pair that is not swapped; ClickHouse is asked for the tables' UUIDs |
//! | Running | changes are applied, from the swap on | goes on from the last committed position |
//!
//! Without CDC a pipe ends in Completed. Each step is journalled before it is done and after; a step that is done again does no harm. The
//! original is untouched until its own swap. This module knows the rooms (source, transform, destination, journal), which don't know
//! each other. One process is at work on a pipe ([`worker`]); others leave it orders.

mod binding;
mod brakes;
mod catch_up;
mod design;
mod drive;
mod error;
mod follow;
mod inspect;
mod load;
mod main_stream;
mod names;
mod order;
mod pace;
mod pinned;
mod reading;
pub mod report;
mod retry;
mod rollback;
mod session;
mod setup;
mod statistics;
mod stop;
mod swap;
mod tuning;
mod verify;
mod work;
mod worker;
mod writing;

use std::sync::Arc;

pub use error::{Error, ErrorClass};

use crate::journal::{
    FollowedRecord, Journal, Kind, MAIN, Order, Phase, PipeLock, TableRecord, TableState,
};
use crate::pipe::template::TemplateTable;
use crate::pipe::{Pipe, SourceSettings};
use crate::schema::TableName;
use crate::source::Source;
use order::Ordered;
use report::{
    CheckReport, FollowReport, FollowStatus, Outcome, Plan, Preview, Progress, ResyncSummary,
    Silent, Status,
};
use session::{Outlet, Session};
use work::{Held, Work};
use worker::{Job, Worker};

/// Ends what a process does at the next batch boundary. A clone asks for the same.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<stop::StopSignal>);

impl Stop {
    /// Asks for it.
    pub fn ask(&self) {
        self.0.ask();
    }
}

/// Checks a pipe against its servers and plugins. Nothing is changed.
pub async fn check(pipe: &Pipe) -> Result<CheckReport, Error> {
    let session = Session::open(pipe).await?;
    let report = inspect::check(&session).await;
    session.close().await?;
    report
}

/// Says what a resync of these tables (all, if there are none) would do. Nothing is changed.
pub async fn plan(pipe: &Pipe, tables: &[TableName]) -> Result<Plan, Error> {
    let session = Session::open(pipe).await?;
    let plan = inspect::plan(&session, tables).await;
    session.close().await?;
    plan
}

/// Shows the first rows of a table before and after its transforms. Nothing is changed.
pub async fn preview(pipe: &Pipe, table: &TableName, rows: usize) -> Result<Preview, Error> {
    let session = Session::open(pipe).await?;
    let preview = inspect::preview(&session, table, rows).await;
    session.close().await?;
    preview
}

/// The tables of a source, for a new pipe file; of these databases, or of all if there are none.
pub async fn init(
    settings: &SourceSettings,
    databases: &[String],
) -> Result<Vec<TemplateTable>, Error> {
    let source = Source::connect(settings).await?;
    let summaries = match databases {
        [] => source.tables(None).await?,
        databases => {
            let mut all = Vec::new();
            for database in databases {
                all.extend(source.tables(Some(database)).await?);
            }
            all
        }
    };
    let mut tables = Vec::with_capacity(summaries.len());
    for summary in summaries {
        let key = match summary.is_view {
            true => Vec::new(),
            false => source
                .table(&summary.name)
                .await?
                .key_names()
                .into_iter()
                .map(str::to_owned)
                .collect(),
        };
        tables.push(TemplateTable {
            name: summary.name,
            is_view: summary.is_view,
            estimated_rows: summary.estimated_rows,
            key,
        });
    }
    Ok(tables)
}

/// Loads a pipe that was never loaded, goes on with what a crash interrupted, and follows the binlog until `stop` says otherwise.
pub async fn run(pipe: &Pipe, progress: Arc<dyn Progress>, stop: Stop) -> Result<Outcome, Error> {
    let held = Work::lock(pipe)?;
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
    Worker::new(pipe, held, progress, stop.0)
        .await?
        .run(job, true)
        .await
}

/// Whether a resync waits for approval.
fn waits(journal: &Journal, id: &str) -> Result<bool, Error> {
    let waits = |table: &TableRecord| table.state == TableState::NeedsApproval && !table.approved;
    Ok(journal.tables(id)?.iter().any(waits))
}

/// Rebuilds these tables (all, if there are none) and swaps them in. Where a process is at work on the pipe, that one does it.
pub async fn resync(
    pipe: &Pipe,
    tables: &[TableName],
    live: bool,
    progress: Arc<dyn Progress>,
    stop: Stop,
) -> Result<Outcome, Error> {
    let order = Order::Resync {
        tables: tables.to_vec(),
        live,
    };
    let job = Job::Start {
        kind: Kind::Resync,
        tables: tables.to_vec(),
        live,
    };
    let start = |_: &Held| Ok((Some(job), false));
    ordered_or_done(pipe, order, progress, stop, start).await
}

/// Loads a table that is new in the pipe file; it follows from then on.
pub async fn add_table(
    pipe: &Pipe,
    table: &TableName,
    progress: Arc<dyn Progress>,
    stop: Stop,
) -> Result<Outcome, Error> {
    if pipe.table(table).is_none() {
        return Err(setup::unknown_table(pipe, table));
    }
    let order = Order::AddTable {
        table: table.clone(),
    };
    let start = |held: &Held| Ok((Some(worker::add(&held.1, table.clone())?), false));
    ordered_or_done(pipe, order, progress, stop, start).await
}

/// Follows a table no longer. Its destination table stays.
pub async fn remove_table(pipe: &Pipe, table: &TableName) -> Result<Status, Error> {
    let progress: Arc<dyn Progress> = Arc::new(Silent);
    let order = Order::RemoveTable {
        table: table.clone(),
    };
    if PipeLock::is_held(&pipe.state)
        && !matches!(
            order::order(pipe, &order, &progress).await?,
            Ordered::NobodyThere
        )
    {
        return status(pipe);
    }
    let held = Work::lock(pipe)?;
    worker::remove(&held.1, table)?;
    drop(held);
    status(pipe)
}

/// Goes on with what is paused, has failed, or was interrupted, and with following.
pub async fn resume(
    pipe: &Pipe,
    progress: Arc<dyn Progress>,
    stop: Stop,
) -> Result<Outcome, Error> {
    let start = |held: &Held| {
        let stream = held.1.stream(MAIN)?;
        if let Some(mut stream) = stream.clone().filter(|stream| stream.paused) {
            stream.paused = false;
            held.1.write_stream(MAIN, &stream, &[], "resumed")?;
        }
        let last = held.1.last_resync()?;
        let is_open = last.is_some_and(|last| !last.phase.is_over());
        match (is_open, stream) {
            (true, _) => Ok((Some(Job::GoOn), true)),
            (false, Some(_)) if pipe.cdc.follows() => Ok((None, true)),
            (false, _) => Err(nothing_under_way(pipe)),
        }
    };
    ordered_or_done(pipe, Order::Resume, progress, stop, start).await
}

/// Approves the swap of tables that the gate holds, and goes on.
pub async fn approve(
    pipe: &Pipe,
    progress: Arc<dyn Progress>,
    stop: Stop,
) -> Result<Outcome, Error> {
    let start = |held: &Held| {
        let work = Work::take_up(pipe, held.clone(), Arc::new(Silent))?;
        match work.filter(|work| !work.resync().phase.is_over()) {
            None => Err(nothing_under_way(pipe)),
            Some(work) => {
                approve_waiting(&work)?;
                Ok((Some(Job::GoOn), false))
            }
        }
    };
    ordered_or_done(pipe, Order::Approve, progress, stop, start).await
}

fn approve_waiting(work: &Work) -> Result<(), Error> {
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

/// Lets the process at work do it, or does it in this one where there is none: `start` says what, and whether to follow afterwards.
async fn ordered_or_done(
    pipe: &Pipe,
    order: Order,
    progress: Arc<dyn Progress>,
    stop: Stop,
    start: impl FnOnce(&Held) -> Result<(Option<Job>, bool), Error>,
) -> Result<Outcome, Error> {
    if PipeLock::is_held(&pipe.state) {
        match order::order(pipe, &order, &progress).await? {
            Ordered::Outcome(outcome) => return Ok(outcome),
            Ordered::Done => return Ok(Outcome::Stopped(Box::default())),
            Ordered::NobodyThere => {}
        }
    }
    let held = Work::lock(pipe)?;
    let (job, follow) = start(&held)?;
    Worker::new(pipe, held, progress, stop.0)
        .await?
        .run(job, follow)
        .await
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
    let progress: Arc<dyn Progress> = Arc::new(Silent);
    if PipeLock::is_held(&pipe.state)
        && !matches!(
            order::order(pipe, &Order::Pause, &progress).await?,
            Ordered::NobodyThere
        )
    {
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
    let progress: Arc<dyn Progress> = Arc::new(Silent);
    if PipeLock::is_held(&pipe.state)
        && !matches!(
            order::order(pipe, &Order::Abort, &progress).await?,
            Ordered::NobodyThere
        )
    {
        return status(pipe);
    }
    let work = Work::take_up(pipe, Work::lock(pipe)?, progress)?;
    let Some(work) = work.filter(|work| !work.resync().phase.is_over()) else {
        return Err(nothing_under_way(pipe));
    };
    let outlet = Outlet::open(pipe).await?;
    let aborted = rollback::abort(&outlet.destination, &work).await;
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
    let rolled_back = rollback::roll_back(&outlet.destination, &work, tables).await;
    outlet.close().await?;
    rolled_back?;
    drop(work);
    status(pipe)
}

/// The answer of a query at the destination, as tab-separated text with a line of names.
pub async fn query(pipe: &Pipe, sql: &str) -> Result<String, Error> {
    let outlet = Outlet::open(pipe).await?;
    let answer = outlet.destination.query_text(sql).await;
    outlet.close().await?;
    Ok(answer?)
}

/// What the pipe is at, by its journal alone.
pub fn status(pipe: &Pipe) -> Result<Status, Error> {
    let journal = Journal::open_existing(&pipe.state)?;
    let mut status = Status {
        pipe: pipe.name.clone(),
        file: pipe.path().to_owned(),
        active: PipeLock::is_held(&pipe.state),
        resync: None,
        cdc: None,
        drift: Vec::new(),
        rollback: Vec::new(),
    };
    let Some(journal) = journal else {
        return Ok(status);
    };
    let Some(last) = journal.last_resync()? else {
        return Ok(status);
    };
    status.cdc = follow_status(pipe, &journal, status.active)?;
    let tables = journal.tables(&last.id)?;
    status.rollback = tables
        .iter()
        .filter(|table| table.state == TableState::Swapped)
        .filter_map(|table| {
            Some((
                table.destination.clone(),
                statistics::to_the_second(table.keep_old_until?),
            ))
        })
        .collect();
    let followed = match last.phase.is_over() && journal.stream(MAIN)?.is_some() {
        true => Some(journal.followed(MAIN)?),
        false => None,
    };
    status.drift = inspect::drift(pipe, &last_records(&journal)?, followed.as_deref());
    status.resync = Some(statistics::summary(&journal, &last)?);
    Ok(status)
}

/// What the pipe is at in the binlog: as the process at work says, else by the journal.
fn follow_status(
    pipe: &Pipe,
    journal: &Journal,
    active: bool,
) -> Result<Option<FollowStatus>, Error> {
    let Some(stream) = journal.stream(MAIN)? else {
        return Ok(None);
    };
    let live = follow::live::read(&pipe.state).filter(|_| active);
    let followed = journal.followed(MAIN)?;
    let report = FollowReport {
        position: Some(stream.position),
        tables: followed.iter().map(Into::into).collect(),
        paused: stream.paused,
        ..live.unwrap_or_default()
    };
    let phase = match (stream.paused, &stream.error, active) {
        (true, ..) => "paused",
        (_, Some(_), _) => "failed",
        (_, _, true) => "running",
        _ => "stopped",
    };
    Ok(Some(FollowStatus {
        phase,
        error: stream.error,
        report,
    }))
}

/// All resyncs of the pipe, the last first.
pub fn history(pipe: &Pipe) -> Result<Vec<ResyncSummary>, Error> {
    let Some(journal) = Journal::open_existing(&pipe.state)? else {
        return Ok(Vec::new());
    };
    let resyncs = journal.resyncs()?;
    Ok(resyncs
        .iter()
        .map(|resync| statistics::summary(&journal, resync))
        .collect::<Result<_, _>>()?)
}

/// The record of each table's last load: a resync of some tables leaves the others with an earlier one.
fn last_records(journal: &Journal) -> Result<Vec<crate::journal::TableRecord>, Error> {
    let mut last: Vec<crate::journal::TableRecord> = Vec::new();
    for resync in journal.resyncs()? {
        for table in journal.tables(&resync.id)? {
            if !last.iter().any(|known| known.source == table.source) {
                last.push(table);
            }
        }
    }
    Ok(last)
}

/// A first load replaces nothing: a table that is there already is a resync's matter.
async fn refuse_existing(session: &Session, tables: &[binding::BoundTable]) -> Result<(), Error> {
    for table in tables {
        if session
            .destination
            .live_table(&table.target.name)
            .await?
            .is_some()
        {
            return Err(Error::Nothing {
                reason: format!(
                    "the destination has a table `{}` already",
                    table.target.name
                ),
                suggestion: "replace it, its soft-deleted rows kept, with `tidemill resync`"
                    .to_owned(),
            });
        }
    }
    Ok(())
}

fn nothing_under_way(pipe: &Pipe) -> Error {
    Error::Nothing {
        reason: format!("no resync of the pipe `{}` is under way", pipe.name),
        suggestion: "start one with `tidemill resync`".to_owned(),
    }
}
