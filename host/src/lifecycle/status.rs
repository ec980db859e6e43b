//! What a pipe is at, and what it was: by its journal, and by what the process at work says of now.

use super::error::Error;
use super::report::{BrakeReport, FollowReport, FollowStatus, ResyncSummary, Status};
use super::{follow, inspect, statistics};
use crate::journal::{Journal, MAIN, PipeLock, TableState};
use crate::pipe::Pipe;

/// What the pipe is at, by its journal alone.
pub fn status(pipe: &Pipe) -> Result<Status, Error> {
    let journal = Journal::open_existing(&pipe.state)?;
    let mut status = Status {
        pipe: pipe.name.clone(),
        file: pipe.path().to_owned(),
        active: PipeLock::is_held(&pipe.state),
        resync: None,
        cdc: None,
        brakes: BrakeReport::default(),
        drift: Vec::new(),
        rollback: Vec::new(),
    };
    let Some(journal) = journal else {
        return Ok(status);
    };
    let Some(last) = journal.last_resync()? else {
        return Ok(status);
    };
    let live = follow::live::read(&pipe.state).filter(|_| status.active);
    let (report, brakes) = live.map(|live| (live.report, live.brakes)).unzip();
    status.brakes = brakes.unwrap_or_default();
    status.cdc = follow_status(&journal, report, status.active)?;
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
    journal: &Journal,
    live: Option<FollowReport>,
    active: bool,
) -> Result<Option<FollowStatus>, Error> {
    let Some(stream) = journal.stream(MAIN)? else {
        return Ok(None);
    };
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
        phase: phase.to_owned(),
        error: stream.error,
        report,
    }))
}

/// All resyncs of the pipe, the last first.
pub fn history(pipe: &Pipe) -> Result<Vec<ResyncSummary>, Error> {
    latest(pipe, usize::MAX)
}

/// The latest resyncs of the pipe, the last first.
pub fn latest(pipe: &Pipe, most: usize) -> Result<Vec<ResyncSummary>, Error> {
    let Some(journal) = Journal::open_existing(&pipe.state)? else {
        return Ok(Vec::new());
    };
    let resyncs = journal.resyncs()?;
    Ok(resyncs
        .iter()
        .take(most)
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
