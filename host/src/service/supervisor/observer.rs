//! What a running pipe says of itself: kept for pages and metrics, and told as events.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use super::PipeId;
use crate::lifecycle::PipeUsage;
use crate::lifecycle::report::{FollowReport, Phase, Progress, TableStatistics};
use crate::service::events::Events;
use crate::service::metrics::{PipeMetrics, Sample};
use crate::service::problem::without_path;
use crate::service::store::{EventKind, NewEvent};

/// Longest message of an event, in bytes.
const MESSAGE_BYTES: usize = 2 << 10;

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
    /// Whether the pipe's servers have answered this time.
    is_open: watch::Sender<bool>,
    /// Whether they ever have.
    has_opened: AtomicBool,
}

impl Observer {
    pub(in crate::service) fn new(
        id: &PipeId,
        data: PathBuf,
        events: Events,
        metrics: Arc<PipeMetrics>,
    ) -> Self {
        metrics.samples().begin();
        Self {
            tenant: id.tenant.clone(),
            pipe: id.name.clone(),
            data,
            events,
            metrics,
            live: Mutex::default(),
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
        self.metrics.samples().last()
    }

    /// Takes a sample; `usage` is what the pipe has used in this process.
    pub(crate) fn sample(&self, usage: PipeUsage) {
        let (rows_read, following) = self.see(|live| (live.rows_read, live.following.clone()));
        self.metrics.samples().take(rows_read, following, usage);
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

    /// Tells what phase a resync is in.
    pub(super) fn tell_phase(&self, id: &str, phase: Phase) {
        let message = format!("phase {phase}");
        self.put(EventKind::Phase, Some(id), Some(phase), &message);
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

impl Progress for Observer {
    fn phase(&self, id: &str, phase: Phase) {
        self.open();
        self.metrics.phase(id, phase);
        let mut live = self.live_guard();
        let is_new = live.resync.as_ref().is_none_or(|(known, _)| known != id);
        if is_new {
            live.tables.clear();
            live.since = Some(Timestamp::now());
        }
        live.resync = Some((id.to_owned(), phase));
        live.waits = false;
        // Under the guard: who sees the phase finds its event, and the other way round.
        self.tell_phase(id, phase);
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
