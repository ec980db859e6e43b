//! What commands begin with where no process is at work on the pipe, by its journal.

use std::sync::Arc;

use super::control::Command;
use super::error::Error;
use super::report::{Progress, Silent};
use super::work::{Held, Work};
use super::worker::{self, Job, WAITS};
use super::{drive, nothing_under_way};
use crate::journal::{FollowedRecord, Journal, Kind, MAIN, Phase, TableRecord, TableState};
use crate::pipe::Pipe;

/// What a command begins with.
pub(super) fn of(
    command: &Command,
    pipe: &Pipe,
    held: &Held,
    progress: &Arc<dyn Progress>,
) -> Result<Option<Job>, Error> {
    let journal = &held.1;
    match command {
        Command::Run => of_run(pipe, journal, &**progress),
        Command::Resync { tables, live } => Ok(Some(Job::Start {
            kind: Kind::Resync,
            tables: tables.clone(),
            live: *live,
        })),
        Command::AddTable { table } => Ok(Some(worker::add(journal, table.clone())?)),
        Command::Resume => of_resume(pipe, journal),
        Command::Approve => {
            let work = Work::take_up(pipe, held.clone(), Arc::new(Silent))?;
            match work.filter(|work| !work.resync().phase.is_over()) {
                None => Err(nothing_under_way(pipe)),
                Some(work) => {
                    approve_waiting(&work)?;
                    Ok(Some(Job::GoOn))
                }
            }
        }
    }
}

/// Why nothing would come of a command. Nothing is changed.
pub(super) fn foresee(command: &Command, pipe: &Pipe) -> Result<(), Error> {
    let Some(journal) = Journal::open_existing(&pipe.state)? else {
        return match command {
            Command::Resume | Command::Approve => Err(nothing_under_way(pipe)),
            Command::Run | Command::Resync { .. } | Command::AddTable { .. } => Ok(()),
        };
    };
    let open = journal.last_resync()?.filter(|last| !last.phase.is_over());
    match (command, open) {
        (Command::Run, _) => of_run(pipe, &journal, &Silent).map(drop),
        (Command::Resume, _) => to_resume(pipe, &journal).map(drop),
        (Command::Approve, None) => Err(nothing_under_way(pipe)),
        (Command::Approve, Some(open)) => {
            let waiting = journal.tables(&open.id)?;
            match waiting.iter().any(is_waiting) {
                true => Ok(()),
                false => Err(nothing_waits()),
            }
        }
        (Command::Resync { .. } | Command::AddTable { .. }, Some(open)) => Err(Error::Unfinished {
            id: open.id,
            phase: open.phase,
            active: false,
        }),
        (Command::Resync { .. }, None) => Ok(()),
        (Command::AddTable { table }, None) => worker::add(&journal, table.clone()).map(drop),
    }
}

/// What `run` begins with.
fn of_run(pipe: &Pipe, journal: &Journal, progress: &dyn Progress) -> Result<Option<Job>, Error> {
    let follows = pipe.cdc.follows();
    let stream = journal.stream(MAIN)?;
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
    let job = match journal.last_resync()? {
        None => Some(load),
        Some(last) if !last.phase.is_over() => match last.phase {
            // What was interrupted by a crash goes on; what a person or an error stopped waits for a person.
            Phase::Setup | Phase::Snapshot | Phase::Resync
                if (follows || last.kind == Kind::Load) && !waits(journal, &last.id)? =>
            {
                Some(Job::GoOn)
            }
            // A first load that has failed is tried again: there is nothing else to do.
            Phase::Failed if last.kind == Kind::Load && stream.is_none() => Some(Job::GoOn),
            _ if stream.is_some() && follows && waits(journal, &last.id)? => {
                progress.needs_approval(WAITS);
                None
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
    if job.is_none() && !journal.followed(MAIN)?.iter().any(FollowedRecord::follows) {
        return Err(Error::Nothing {
            reason: format!("no table of the pipe `{}` can be followed", pipe.name),
            suggestion: "`tidemill status` says why; a resync loads them afresh".to_owned(),
        });
    }
    Ok(job)
}

/// What `resume` begins with. What was paused is so no longer.
fn of_resume(pipe: &Pipe, journal: &Journal) -> Result<Option<Job>, Error> {
    let job = to_resume(pipe, journal)?;
    if let Some(mut stream) = journal.stream(MAIN)?.filter(|stream| stream.paused) {
        stream.paused = false;
        journal.write_stream(MAIN, &stream, &[], "resumed")?;
    }
    Ok(job)
}

fn to_resume(pipe: &Pipe, journal: &Journal) -> Result<Option<Job>, Error> {
    let last = journal.last_resync()?;
    let is_open = last.is_some_and(|last| !last.phase.is_over());
    match (is_open, journal.stream(MAIN)?) {
        (true, _) => Ok(Some(Job::GoOn)),
        (false, Some(_)) if pipe.cdc.follows() => Ok(None),
        (false, _) => Err(nothing_under_way(pipe)),
    }
}

/// Whether a resync waits for approval.
fn waits(journal: &Journal, id: &str) -> Result<bool, Error> {
    let waits = |table: &TableRecord| is_waiting(table) && !table.approved;
    Ok(journal.tables(id)?.iter().any(waits))
}

fn is_waiting(table: &TableRecord) -> bool {
    table.state == TableState::NeedsApproval
}

/// Approves the swap of the tables that wait for it.
pub(super) fn approve_waiting(work: &Work) -> Result<(), Error> {
    match work.tables().iter().any(is_waiting) {
        true => drive::approve(work),
        false => Err(nothing_waits()),
    }
}

fn nothing_waits() -> Error {
    Error::Nothing {
        reason: "no table waits for approval".to_owned(),
        suggestion: "`tidemill status` says what the pipe is at".to_owned(),
    }
}
