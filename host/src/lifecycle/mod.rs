//! The lifecycle of a resync: Setup → Snapshot → Resync → Completed, with Paused and Failed beside the way.
//!
//! | phase | what is done | after a kill -9 |
//! | --- | --- | --- |
//! | Setup | schemas are read, plugins bound, everything is checked, the `_resync` tables are created | begins again |
//! | Snapshot | chunks are loaded in parallel from one consistent snapshot | finished chunks stay, if the source has not been written to since; else the load begins again |
//! | Resync | the copy is verified, soft-deleted rows are carried over, pairs are swapped one after the other | goes on with the first pair that is not swapped; ClickHouse is asked for the tables' UUIDs |
//!
//! Each step is journalled before it is done and after; a step that is done again does no harm. The original is untouched until
//! its own swap. This module knows the rooms (source, transform, destination, journal), which don't know each other.

mod binding;
mod brakes;
mod design;
mod drive;
mod error;
mod inspect;
mod load;
mod names;
mod pace;
mod reading;
pub mod report;
mod retry;
mod rollback;
mod session;
mod setup;
mod statistics;
mod swap;
mod verify;
mod work;
mod writing;

use std::sync::Arc;

use jiff::Timestamp;

pub use error::{Error, ErrorClass};

use crate::journal::{Journal, Kind, Phase, PipeLock, TableState};
use crate::pipe::template::TemplateTable;
use crate::pipe::{Pipe, SourceSettings};
use crate::schema::TableName;
use crate::source::Source;
use report::{CheckReport, Outcome, Plan, Preview, Progress, ResyncSummary, Silent, Status};
use session::{Outlet, Session};
use work::Work;

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

/// The pipe's first load. A load that was interrupted goes on.
pub async fn run(pipe: &Pipe, progress: Arc<dyn Progress>) -> Result<Outcome, Error> {
    let held = Work::lock(pipe)?;
    match held.1.last_resync()? {
        Some(last)
            if !last.phase.is_over() && last.kind == Kind::Load && last.phase != Phase::Paused =>
        {
            return go_on(pipe, held, progress, |_| Ok(())).await;
        }
        Some(last) if last.phase == Phase::Completed => {
            return Err(Error::Nothing {
                reason: format!(
                    "the pipe `{}` is loaded already (resync {})",
                    pipe.name, last.id
                ),
                suggestion: "rebuild its tables with `tidemill resync`".to_owned(),
            });
        }
        _ => {}
    }
    start(pipe, held, Kind::Load, &[], progress).await
}

/// Rebuilds these tables (all, if there are none) and swaps them in.
pub async fn resync(
    pipe: &Pipe,
    tables: &[TableName],
    progress: Arc<dyn Progress>,
) -> Result<Outcome, Error> {
    start(pipe, Work::lock(pipe)?, Kind::Resync, tables, progress).await
}

/// Goes on with a resync that is paused, has failed, or whose process was killed.
pub async fn resume(pipe: &Pipe, progress: Arc<dyn Progress>) -> Result<Outcome, Error> {
    go_on(pipe, Work::lock(pipe)?, progress, |_| Ok(())).await
}

/// Approves the swap of tables that the gate holds, and goes on.
pub async fn approve(pipe: &Pipe, progress: Arc<dyn Progress>) -> Result<Outcome, Error> {
    let approve = |work: &Work| {
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
    };
    go_on(pipe, Work::lock(pipe)?, progress, approve).await
}

/// Asks the process at work on the pipe to pause at the next batch boundary; a resync that nobody works on is paused at once.
pub async fn pause(pipe: &Pipe) -> Result<Status, Error> {
    let journal = Journal::open_existing(&pipe.state)?;
    let last = journal
        .as_ref()
        .map(Journal::last_resync)
        .transpose()?
        .flatten();
    let (Some(journal), Some(last)) = (journal, last.filter(|last| !last.phase.is_over())) else {
        return Err(nothing_under_way(pipe));
    };
    if PipeLock::is_held(&pipe.state) {
        journal.request_pause(&last.id)?;
    } else if last.phase != Phase::Paused
        && let Some(work) = Work::take_up(pipe, Work::lock(pipe)?, Arc::new(Silent))?
    {
        work.enter(Phase::Paused)?;
    }
    status(pipe)
}

/// Gives the unfinished resync up: its `_resync` tables are dropped, pairs that were swapped are swapped back.
pub async fn abort(pipe: &Pipe) -> Result<Status, Error> {
    let work = Work::take_up(pipe, Work::lock(pipe)?, Arc::new(Silent))?;
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

/// Brings back the old tables of the last resync, of these tables or of all.
pub async fn rollback(pipe: &Pipe, tables: &[TableName]) -> Result<Status, Error> {
    let work = Work::take_up(pipe, Work::lock(pipe)?, Arc::new(Silent))?;
    let Some(work) = work.filter(|work| work.resync().phase == Phase::Completed) else {
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
        drift: Vec::new(),
        rollback: Vec::new(),
    };
    let Some(journal) = journal else {
        return Ok(status);
    };
    let Some(last) = journal.last_resync()? else {
        return Ok(status);
    };
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
    status.drift = inspect::drift(pipe, &last_records(&journal)?);
    status.resync = Some(statistics::summary(&journal, &last)?);
    Ok(status)
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

/// Begins a resync: all that can be wrong is found before its first record is written.
async fn start(
    pipe: &Pipe,
    held: (PipeLock, Journal),
    kind: Kind,
    tables: &[TableName],
    progress: Arc<dyn Progress>,
) -> Result<Outcome, Error> {
    if let Some(last) = held.1.last_resync()?.filter(|last| !last.phase.is_over()) {
        return Err(Error::Unfinished {
            id: last.id,
            phase: last.phase,
            active: false,
        });
    }
    let session = Arc::new(Session::open(pipe).await?);
    let driven = async {
        let bound = setup::bind(&session, tables).await?;
        if kind == Kind::Load {
            refuse_existing(&session, &bound).await?;
        }
        let mut obstacles = setup::obstacles(&session, Some(&held.1), &bound).await?;
        if !obstacles.is_empty() {
            return Err(obstacles.swap_remove(0).into());
        }
        let expired =
            rollback::drop_expired(&session.destination, &held.1, Timestamp::now()).await?;
        let work = Arc::new(Work::begin(
            pipe,
            held,
            kind,
            setup::records(pipe, &bound),
            progress,
        )?);
        for table in expired {
            work.note(format!(
                "dropped `{table}`: the time to roll back to it is over"
            ))?;
        }
        drive::drive(&session, &work, bound).await
    };
    finish(session.clone(), driven.await).await
}

/// Goes on with the unfinished resync of the journal, after `prepare`.
async fn go_on(
    pipe: &Pipe,
    held: (PipeLock, Journal),
    progress: Arc<dyn Progress>,
    prepare: impl FnOnce(&Work) -> Result<(), Error>,
) -> Result<Outcome, Error> {
    let work = Work::take_up(pipe, held, progress)?.filter(|work| !work.resync().phase.is_over());
    let Some(work) = work.map(Arc::new) else {
        return Err(nothing_under_way(pipe));
    };
    prepare(&work)?;
    let names: Vec<TableName> = work
        .tables()
        .into_iter()
        .map(|table| table.source)
        .collect();
    let session = Arc::new(Session::open(pipe).await?);
    let driven = async {
        let bound = setup::bind(&session, &names).await?;
        drive::drive(&session, &work, bound).await
    };
    finish(session.clone(), driven.await).await
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

/// Lets go of the servers, however the run ended.
async fn finish(session: Arc<Session>, driven: Result<Outcome, Error>) -> Result<Outcome, Error> {
    // A task of the load that is about to end may still hold the session.
    let closed = session.close().await;
    let outcome = driven?;
    closed?;
    Ok(outcome)
}

fn nothing_under_way(pipe: &Pipe) -> Error {
    Error::Nothing {
        reason: format!("no resync of the pipe `{}` is under way", pipe.name),
        suggestion: "start one with `tidemill resync`".to_owned(),
    }
}
