//! What a pipe has done since the service was started.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::samples::Samples;
use crate::lifecycle::report::{FollowReport, Phase, TableStatistics};
use crate::schema::{Ledger, Position};

/// Tables of a pipe that are counted each by itself; those beyond are counted together.
pub(super) const MOST_TABLES: usize = 200;
/// The name under which those beyond are counted.
pub(super) const OTHERS: &str = "(others)";

/// What loads have done with a table.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct LoadCounts {
    pub(super) rows: Ledger,
    pub(super) bytes: u64,
    pub(super) chunks: u64,
}

impl From<&TableStatistics> for LoadCounts {
    fn from(statistics: &TableStatistics) -> Self {
        Self {
            rows: statistics.ledger,
            bytes: statistics.bytes,
            chunks: statistics.chunks_done,
        }
    }
}

impl LoadCounts {
    /// Raises this to what is told now, and says by how much. Chunks that are read again may tell less than before: they count once.
    fn raise(&mut self, now: Self) -> Self {
        fn raise(mark: &mut u64, now: u64) -> u64 {
            let more = now.saturating_sub(*mark);
            *mark += more;
            more
        }
        let rows = &mut self.rows;
        Self {
            rows: Ledger {
                read: raise(&mut rows.read, now.rows.read),
                written: raise(&mut rows.written, now.rows.written),
                filtered: raise(&mut rows.filtered, now.rows.filtered),
                rejected: raise(&mut rows.rejected, now.rows.rejected),
                skipped: raise(&mut rows.skipped, now.rows.skipped),
            },
            bytes: raise(&mut self.bytes, now.bytes),
            chunks: raise(&mut self.chunks, now.chunks),
        }
    }

    fn add(&mut self, more: Self) {
        self.rows += more.rows;
        self.bytes += more.bytes;
        self.chunks += more.chunks;
    }
}

/// How a resync ended, or was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::service) enum Ending {
    Completed,
    Failed,
    Paused,
    Aborted,
    RolledBack,
}

impl Ending {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Paused => "paused",
            Self::Aborted => "aborted",
            Self::RolledBack => "rolled_back",
        }
    }
}

/// The phases that take time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Busy {
    Setup,
    Snapshot,
    Resync,
}

impl Busy {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Snapshot => "snapshot",
            Self::Resync => "resync",
        }
    }
}

/// What is counted of a pipe.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) tables: BTreeMap<String, LoadCounts>,
    pub(super) endings: BTreeMap<Ending, u64>,
    phases: BTreeMap<Busy, Duration>,
    /// The phase that it is in, and since when.
    now: Option<(Busy, Instant)>,
    /// The resync that is watched.
    resync: Option<Resync>,
    /// The position in the binlog, and since when it has been there.
    position: Option<(Position, Instant)>,
}

#[derive(Clone, Debug)]
struct Resync {
    id: String,
    /// Whether all that was done for it was done in this process; else what was done before isn't counted.
    is_new: bool,
    /// How far its tables were when they were counted last.
    marks: HashMap<String, LoadCounts>,
}

impl Counts {
    /// Seconds in each phase, those of the present one included.
    pub(super) fn phases(&self) -> BTreeMap<Busy, f64> {
        let mut phases = self.phases.clone();
        if let Some((phase, since)) = self.now {
            *phases.entry(phase).or_default() += since.elapsed();
        }
        let seconds = |(phase, time): (Busy, Duration)| (phase, time.as_secs_f64());
        phases.into_iter().map(seconds).collect()
    }

    /// Seconds since the position in the binlog has moved.
    pub(super) fn position_age(&self) -> Option<f64> {
        let (_, since) = self.position.as_ref()?;
        Some(since.elapsed().as_secs_f64())
    }

    fn leave_phase(&mut self) {
        if let Some((phase, since)) = self.now.take() {
            *self.phases.entry(phase).or_default() += since.elapsed();
        }
    }
}

/// What is counted of a pipe, told by its observer.
#[derive(Debug, Default)]
pub(in crate::service) struct PipeMetrics {
    counts: Mutex<Counts>,
    samples: Mutex<Samples>,
}

impl PipeMetrics {
    /// What it did in the last hour.
    pub(in crate::service) fn samples(&self) -> MutexGuard<'_, Samples> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A resync has entered a phase.
    pub(in crate::service) fn phase(&self, id: &str, phase: Phase) {
        let mut counts = self.guard();
        counts.leave_phase();
        if counts.resync.as_ref().is_none_or(|known| known.id != id) {
            counts.resync = Some(Resync {
                id: id.to_owned(),
                is_new: phase == Phase::Setup,
                marks: HashMap::new(),
            });
        }
        let busy = match phase {
            Phase::Setup => Busy::Setup,
            Phase::Snapshot => Busy::Snapshot,
            Phase::Resync => Busy::Resync,
            Phase::Running | Phase::Completed => return counts.end(Ending::Completed),
            Phase::Failed => return counts.end(Ending::Failed),
            Phase::Paused => return counts.end(Ending::Paused),
            // Who orders it counts it: it is done without a process at work, too.
            Phase::Aborted | Phase::RolledBack => return,
        };
        counts.now = Some((busy, Instant::now()));
    }

    /// A resync was given up or undone.
    pub(in crate::service) fn ended_by_order(&self, ending: Ending) {
        self.guard().end(ending);
    }

    /// What is known of a table's load.
    pub(in crate::service) fn table(&self, statistics: &TableStatistics) {
        let mut counts = self.guard();
        let now = LoadCounts::from(statistics);
        let Some(resync) = &mut counts.resync else {
            return;
        };
        let is_new = resync.is_new;
        let mark = resync.marks.entry(statistics.source.clone());
        let mark = mark.or_insert(if is_new { LoadCounts::default() } else { now });
        let more = mark.raise(now);
        let name = bounded(&counts.tables, &statistics.source);
        counts.tables.entry(name).or_default().add(more);
    }

    /// What is known of the pipe's stream.
    pub(in crate::service) fn following(&self, report: &FollowReport) {
        let mut counts = self.guard();
        let known = counts.position.as_ref().map(|(position, _)| position);
        if known != report.position.as_ref() {
            let position = report.position.clone();
            counts.position = position.map(|position| (position, Instant::now()));
        }
    }

    /// The pipe doesn't run any more.
    pub(in crate::service) fn stopped(&self) {
        let mut counts = self.guard();
        counts.leave_phase();
        counts.position = None;
    }

    /// What was counted.
    pub(super) fn counts(&self) -> Counts {
        self.guard().clone()
    }

    fn guard(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn end(&mut self, ending: Ending) {
        *self.endings.entry(ending).or_default() += 1;
    }
}

/// The name under which a table is counted.
pub(super) fn bounded<T>(tables: &BTreeMap<String, T>, table: &str) -> String {
    match tables.len() < MOST_TABLES || tables.contains_key(table) {
        true => table.to_owned(),
        false => OTHERS.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics(source: &str, read: u64) -> TableStatistics {
        TableStatistics {
            source: source.to_owned(),
            ledger: Ledger {
                read,
                written: read,
                ..Ledger::default()
            },
            ..TableStatistics::default()
        }
    }

    fn read(metrics: &PipeMetrics, table: &str) -> u64 {
        metrics.counts().tables[table].rows.read
    }

    #[test]
    fn rows_count_once_though_chunks_are_read_again() {
        let metrics = PipeMetrics::default();
        metrics.phase("a", Phase::Setup);
        for rows in [10, 7, 12] {
            metrics.table(&statistics("shop.t", rows));
        }
        assert_eq!(read(&metrics, "shop.t"), 12);
        metrics.phase("b", Phase::Setup);
        metrics.table(&statistics("shop.t", 5));
        assert_eq!(read(&metrics, "shop.t"), 17);
    }

    #[test]
    fn what_an_earlier_process_has_loaded_is_not_counted_again() {
        let metrics = PipeMetrics::default();
        metrics.phase("a", Phase::Snapshot);
        metrics.table(&statistics("shop.t", 1000));
        metrics.table(&statistics("shop.t", 1010));
        assert_eq!(read(&metrics, "shop.t"), 10);
    }

    #[test]
    fn phases_and_endings_are_counted() {
        let metrics = PipeMetrics::default();
        for phase in [
            Phase::Setup,
            Phase::Snapshot,
            Phase::Failed,
            Phase::Snapshot,
        ] {
            metrics.phase("a", phase);
        }
        metrics.phase("a", Phase::Resync);
        metrics.phase("a", Phase::Running);
        let counts = metrics.counts();
        assert_eq!(counts.endings[&Ending::Completed], 1);
        assert_eq!(counts.endings[&Ending::Failed], 1);
        assert_eq!(counts.phases().len(), 3);
        assert!(counts.now.is_none());
    }

    #[test]
    fn tables_beyond_the_bound_are_counted_together() {
        let metrics = PipeMetrics::default();
        metrics.phase("a", Phase::Setup);
        for table in 0..2 * MOST_TABLES {
            metrics.table(&statistics(&format!("shop.t{table}"), 1));
        }
        assert_eq!(metrics.counts().tables.len(), MOST_TABLES + 1);
        assert_eq!(read(&metrics, OTHERS), MOST_TABLES as u64);
    }
}
