//! What a pipe is at, and what it was: by its journal, and by what the process at work says of now.

use std::collections::HashMap;

use super::error::Error;
use super::report::{BrakeReport, FollowReport, FollowStatus, ResyncSummary, Status};
use super::{follow, inspect, statistics};
use crate::journal::{Journal, MAIN, PipeLock, TableRecord, TableState};
use crate::pipe::Pipe;
use crate::schema::TableName;

/// What the pipe is at, by its journal alone.
pub fn status(pipe: &Pipe) -> Result<Status, Error> {
    of_journal(pipe, Journal::open_existing(&pipe.state)?.as_ref())
}

/// The same with the latest resyncs, at most so many, the last first.
pub fn status_with_latest(pipe: &Pipe, most: usize) -> Result<(Status, Vec<ResyncSummary>), Error> {
    let journal = Journal::open_existing(&pipe.state)?;
    let status = of_journal(pipe, journal.as_ref())?;
    let resyncs = match &journal {
        Some(journal) => latest(journal, None, most)?,
        None => None,
    };
    Ok((status, resyncs.unwrap_or_default()))
}

fn of_journal(pipe: &Pipe, journal: Option<&Journal>) -> Result<Status, Error> {
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
    status.cdc = follow_status(journal, report, status.active)?;
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
    let followed = followed.map(|tables| tables.into_iter().map(|table| table.source).collect());
    let records = last_records(journal, pipe, tables)?;
    status.drift = inspect::drift(pipe, &records, followed.as_ref());
    status.resync = Some(statistics::summary(journal, &last)?);
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
    let resyncs = resyncs(pipe, None, usize::MAX)?;
    Ok(resyncs.unwrap_or_default())
}

/// The latest resyncs of the pipe, at most so many, the last first: all of them, or those before this one. None, if there is no such one.
pub fn resyncs(
    pipe: &Pipe,
    before: Option<&str>,
    most: usize,
) -> Result<Option<Vec<ResyncSummary>>, Error> {
    match Journal::open_existing(&pipe.state)? {
        Some(journal) => latest(&journal, before, most),
        None => Ok(before.is_none().then(Vec::new)),
    }
}

/// A resync of the pipe; none, if there is no such one.
pub fn resync(pipe: &Pipe, id: &str) -> Result<Option<ResyncSummary>, Error> {
    let Some(journal) = Journal::open_existing(&pipe.state)? else {
        return Ok(None);
    };
    let found = journal.resync(id)?;
    let summary = found.map(|resync| statistics::summary(&journal, &resync));
    Ok(summary.transpose()?)
}

fn latest(
    journal: &Journal,
    before: Option<&str>,
    most: usize,
) -> Result<Option<Vec<ResyncSummary>>, Error> {
    let Some(resyncs) = journal.latest_resyncs(before, most)? else {
        return Ok(None);
    };
    let summaries = resyncs.iter();
    let summaries = summaries.map(|resync| statistics::summary(journal, resync));
    Ok(Some(summaries.collect::<Result<_, _>>()?))
}

/// The record of each table's last load: a resync of some tables leaves the others with an earlier one.
fn last_records(
    journal: &Journal,
    pipe: &Pipe,
    last: Vec<TableRecord>,
) -> Result<HashMap<TableName, TableRecord>, Error> {
    let of_last = last.into_iter();
    let mut records: HashMap<_, _> = of_last.map(|table| (table.source.clone(), table)).collect();
    for table in &pipe.tables {
        if !records.contains_key(&table.source)
            && let Some(record) = journal.last_of_table(&table.source)?
        {
            records.insert(table.source.clone(), record);
        }
    }
    Ok(records)
}
