//! Initial Load Stats, made out of the journal's records: nothing is counted twice, and nothing but the journal is asked.

use std::collections::HashMap;

use jiff::Timestamp;

use super::report::{ResyncSummary, TableStatistics};
use crate::journal::{
    ChunkRecord, Journal, JournalError, MAIN, ResyncRecord, TableRecord, TableState,
};
use crate::schema::Ledger;

/// A resync with the statistics of its tables.
pub(super) fn summary(
    journal: &Journal,
    resync: &ResyncRecord,
) -> Result<ResyncSummary, JournalError> {
    let tables = journal.tables(&resync.id)?;
    let followed = journal.followed(MAIN)?.into_iter();
    let followed = followed.filter(|followed| followed.resync == resync.id);
    let following: HashMap<_, _> = followed
        .map(|followed| (followed.source, followed.counts))
        .collect();
    let statistics = tables.iter().map(|table| {
        let chunks = journal.chunks(&resync.id, &table.source)?;
        let mut statistics = of_table(table, &chunks, Timestamp::now());
        // While it follows its counters go on; what they came to is kept with the load that they belong to.
        statistics.changes = following.get(&table.source).copied().or(table.changes);
        Ok(statistics)
    });
    Ok(ResyncSummary {
        id: resync.id.clone(),
        kind: resync.kind,
        phase: resync.phase,
        interrupted: resync.interrupted,
        started: to_the_second(resync.started),
        ended: resync.ended.map(to_the_second),
        position: resync.position.clone(),
        consistency: resync.consistency.clone(),
        error: resync.error.clone(),
        error_class: resync.error_class.clone(),
        tables: statistics.collect::<Result<_, JournalError>>()?,
        notes: resync.notes.clone(),
    })
}

pub(super) fn to_the_second(at: Timestamp) -> String {
    at.round(jiff::Unit::Second).unwrap_or(at).to_string()
}

/// What became of a table's rows in the chunks that are done.
pub(super) fn ledger(chunks: &[ChunkRecord]) -> Ledger {
    let mut sum = Ledger::default();
    chunks
        .iter()
        .filter_map(|chunk| chunk.result.as_ref())
        .for_each(|result| sum += result.ledger);
    sum
}

/// A table's statistics.
pub(super) fn of_table(
    table: &TableRecord,
    chunks: &[ChunkRecord],
    now: Timestamp,
) -> TableStatistics {
    let ledger = ledger(chunks);
    let done = chunks.iter().filter(|chunk| chunk.result.is_some()).count() as u64;
    let mut statistics = TableStatistics {
        source: table.source.to_string(),
        destination: table.destination.clone(),
        state: table.state.to_string(),
        ledger,
        bytes: chunks
            .iter()
            .filter_map(|chunk| chunk.result.as_ref())
            .map(|result| result.bytes)
            .sum(),
        chunks_done: done,
        chunks_total: chunks.len() as u64,
        estimated_rows: table.estimated_rows.max(ledger.read),
        carried_over: table.carried_over,
        original_rows: table.original_rows,
        reason: table.reason.clone(),
        ..TableStatistics::default()
    };
    if let Some(began) = table.began {
        let end = table.loaded.unwrap_or(now);
        set_rate(
            &mut statistics,
            table.state,
            end.duration_since(began).as_secs_f64(),
        );
    }
    statistics
}

/// Rows a second since the first chunk, and the time left by the rows that are still expected.
pub(super) fn set_rate(statistics: &mut TableStatistics, state: TableState, seconds: f64) {
    if seconds <= 0.0 || statistics.ledger.read == 0 {
        return;
    }
    statistics.rows_per_second = statistics.ledger.read as f64 / seconds;
    if state == TableState::Loading {
        let left = statistics
            .estimated_rows
            .saturating_sub(statistics.ledger.read);
        statistics.seconds_left = Some(left as f64 / statistics.rows_per_second);
    }
}
