//! What a running pipe says of itself: kept for pages and metrics, and told as events.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use super::PipeId;
use crate::lifecycle::PipeUsage;
use crate::lifecycle::report::{FollowReport, Phase, Progress, TableStatistics};
use crate::service::events::Events;
use crate::service::metrics::PipeMetrics;
use crate::service::problem::without_path;
use crate::service::store::{EventKind, NewEvent};

/// The time between two samples.
pub(crate) const SAMPLE_EVERY: Duration = Duration::from_secs(5);
/// Samples that are kept: an hour.
const SAMPLES: usize = 720;
/// Longest message of an event, in bytes.
const MESSAGE_BYTES: usize = 2 << 10;

/// What a pipe did in some seconds.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Sample {
    /// The end of those seconds.
    pub(crate) at: Timestamp,
    /// Rows of loads a second.
    pub(crate) rows_per_second: f64,
    /// Row events of the binlog a second.
    pub(crate) events_per_second: f64,
    /// How far the destination is behind the source, in seconds; null if it isn't known.
    pub(crate) lag_seconds: Option<u64>,
    /// CPU time of each plugin, in seconds a second: 1 is a whole core.
    pub(crate) plugin_cpu: BTreeMap<String, f64>,
}

/// What a pipe is at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live {
    /// The resync at work, and its phase.
    pub(crate) resync: Option<(String, Phase)>,
    /// Whether it waits for a person's approval.
    pub(crate) waits: bool,
    /// Since when it is at work.
    pub(crate) since: Option<Timestamp>,
    /// The statistics of the resync's tables, newer than the journal's.
    pub(crate) tables: BTreeMap<String, TableStatistics>,
    /// What the pipe is at in the binlog.
    pub(crate) following: Option<FollowReport>,
    /// Rows that were read by loads since the service was started.
    pub(crate) rows_read: u64,
    /// Bytes that were written by loads since the service was started.
    pub(crate) bytes_written: u64,
}

/// Watches a pipe.
pub(crate) struct Observer {
    tenant: String,
    pipe: String,
    /// The service's folder, whose paths are not told.
    data: PathBuf,
    events: Events,
    metrics: Arc<PipeMetrics>,
    live: Mutex<Live>,
    samples: Mutex<Samples>,
    /// Whether the pipe's servers have answered this time.
    is_open: watch::Sender<bool>,
    /// Whether they ever have.
    has_opened: AtomicBool,
}

struct Samples {
    kept: VecDeque<Sample>,
    at: Instant,
    rows_read: u64,
    /// What the pipe's plugins had used then; none: nobody has looked, and the process may have run the pipe before.
    used: Option<PipeUsage>,
}

impl Observer {
    pub(in crate::service) fn new(
        id: &PipeId,
        data: PathBuf,
        events: Events,
        metrics: Arc<PipeMetrics>,
    ) -> Self {
        Self {
            tenant: id.tenant.clone(),
            pipe: id.name.clone(),
            data,
            events,
            metrics,
            live: Mutex::default(),
            samples: Mutex::new(Samples {
                kept: VecDeque::new(),
                at: Instant::now(),
                rows_read: 0,
                used: None,
            }),
            is_open: watch::Sender::new(false),
            has_opened: AtomicBool::new(false),
        }
    }

    /// The pipe's servers are asked anew.
    pub(crate) fn opens(&self) {
        self.is_open.send_replace(false);
    }

    /// Waits until the pipe's servers have answered.
    pub(crate) async fn opened(&self) {
        // The sender lives as long as this does.
        let _ = self.is_open.subscribe().wait_for(|open| *open).await;
    }

    /// Whether the pipe's servers have ever answered.
    pub(crate) fn has_opened(&self) -> bool {
        self.has_opened.load(Ordering::Acquire)
    }

    fn open(&self) {
        self.has_opened.store(true, Ordering::Release);
        self.is_open
            .send_if_modified(|open| !std::mem::replace(open, true));
    }

    /// What the pipe is at.
    pub(crate) fn live(&self) -> Live {
        self.live_guard().clone()
    }

    /// Looks at what the pipe is at, without a copy of it all.
    pub(crate) fn see<T>(&self, look: impl FnOnce(&Live) -> T) -> T {
        look(&self.live_guard())
    }

    /// What it did in the last seconds.
    pub(crate) fn last_sample(&self) -> Option<Sample> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.kept.back().cloned()
    }

    /// What it did in the last hour, the earliest first.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.kept.iter().cloned().collect()
    }

    /// Takes a sample; `usage` is what the pipe has used in this process.
    pub(crate) fn sample(&self, usage: PipeUsage) {
        let (rows_read, following) = {
            let live = self.live_guard();
            (live.rows_read, live.following.clone())
        };
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = samples.at.elapsed().as_secs_f64().max(0.001);
        let rows = rows_read.saturating_sub(samples.rows_read);
        let sample = Sample {
            at: Timestamp::now(),
            rows_per_second: rows as f64 / seconds,
            events_per_second: following.as_ref().map_or(0.0, |f| f.events_per_second),
            lag_seconds: following.and_then(|following| following.lag_seconds),
            plugin_cpu: plugin_cpu(samples.used.as_ref(), &usage, seconds),
        };
        samples.used = Some(usage);
        samples.at = Instant::now();
        samples.rows_read = rows_read;
        if samples.kept.len() == SAMPLES {
            samples.kept.pop_front();
        }
        samples.kept.push_back(sample);
    }

    /// The pipe doesn't run any more.
    pub(crate) fn ended(&self) {
        self.metrics.stopped();
        let mut live = self.live_guard();
        live.following = None;
        live.resync = None;
        live.waits = false;
        live.tables.clear();
    }

    /// Tells something of the pipe.
    pub(crate) fn tell(&self, kind: EventKind, message: impl AsRef<str>) {
        self.put(kind, None, None, message.as_ref());
    }

    /// Tells something of the resync at work, if one is.
    fn put_of_resync(&self, kind: EventKind, message: &str) {
        let resync = self.live_guard().resync.clone();
        let resync = resync.as_ref().map(|(id, _)| id.as_str());
        self.put(kind, resync, None, message);
    }

    fn put(&self, kind: EventKind, resync: Option<&str>, phase: Option<Phase>, message: &str) {
        let message = without_path(&shortened(message), &self.data);
        tracing::info!(resync, kind = ?kind, "{message}");
        let event = NewEvent {
            at: Timestamp::now(),
            pipe: self.pipe.clone(),
            kind,
            resync: resync.map(str::to_owned),
            phase,
            message,
        };
        self.events.put(&self.tenant, event);
    }

    fn live_guard(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message in a bounded number of bytes: it may be a stranger's.
fn shortened(message: &str) -> Cow<'_, str> {
    if message.len() <= MESSAGE_BYTES {
        return message.into();
    }
    let end = message.floor_char_boundary(MESSAGE_BYTES);
    format!("{}…", &message[..end]).into()
}

/// CPU time that each plugin has used since, in seconds a second.
fn plugin_cpu(before: Option<&PipeUsage>, now: &PipeUsage, seconds: f64) -> BTreeMap<String, f64> {
    let Some(before) = before else {
        return BTreeMap::new();
    };
    let used = now.plugins.iter().map(|(name, usage)| {
        let known = before.plugins.get(name).map_or(0, |known| known.cpu_us);
        let used = usage.cpu_us.saturating_sub(known) as f64 / 1e6;
        (name.clone(), used / seconds)
    });
    used.collect()
}

impl Progress for Observer {
    fn phase(&self, id: &str, phase: Phase) {
        self.open();
        self.metrics.phase(id, phase);
        {
            let mut live = self.live_guard();
            let is_new = live.resync.as_ref().is_none_or(|(known, _)| known != id);
            if is_new {
                live.tables.clear();
                live.since = Some(Timestamp::now());
            }
            live.resync = Some((id.to_owned(), phase));
            live.waits = false;
        }
        let message = format!("phase {phase}");
        self.put(EventKind::Phase, Some(id), Some(phase), &message);
    }

    fn table(&self, statistics: &TableStatistics) {
        self.metrics.table(statistics);
        let mut live = self.live_guard();
        let before = live.tables.get(&statistics.source);
        let (rows, bytes) = before.map_or((0, 0), |before| (before.ledger.read, before.bytes));
        live.rows_read += statistics.ledger.read.saturating_sub(rows);
        live.bytes_written += statistics.bytes.saturating_sub(bytes);
        live.tables
            .insert(statistics.source.clone(), statistics.clone());
    }

    fn following(&self, report: &FollowReport) {
        self.open();
        self.metrics.following(report);
        self.live_guard().following = Some(report.clone());
    }

    fn note(&self, message: &str) {
        self.put_of_resync(EventKind::Note, message);
    }

    fn needs_approval(&self, message: &str) {
        self.live_guard().waits = true;
        self.put_of_resync(EventKind::NeedsApproval, message);
    }
}
