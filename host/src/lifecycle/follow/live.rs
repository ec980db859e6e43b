//! What a stream is at, for whoever watches: the process itself, and `status` of another one, which finds it in a file beside the journal.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::journal::FollowedRecord;
use crate::lifecycle::pinned;
use crate::lifecycle::report::{BrakeReport, FollowReport, Progress};
use crate::schema::Position;
use crate::source::Source;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How often it is told where nothing happens.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// A document that is older says nothing of now.
const STALE: Duration = Duration::from_secs(15);
const FILE: &str = "live.json";

/// What the parts of a stream say of themselves.
pub(in crate::lifecycle) struct Live {
    progress: Arc<dyn Progress>,
    events: AtomicU64,
    read_timestamp: AtomicU32,
    /// Counts what is different.
    changes: AtomicU64,
    is_idle: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    committed: Option<Position>,
    committed_timestamp: u32,
    trouble: Option<String>,
    tables: Vec<FollowedRecord>,
    idle: Option<Idle>,
}

/// The server had nothing new.
struct Idle {
    /// Behind this position.
    position: Position,
    /// It says so again before this.
    until: Instant,
}

impl Live {
    pub(in crate::lifecycle) fn new(progress: Arc<dyn Progress>) -> Self {
        Self {
            progress,
            events: AtomicU64::new(0),
            read_timestamp: AtomicU32::new(0),
            changes: AtomicU64::new(0),
            is_idle: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// Row events were decoded.
    pub(super) fn events(&self, events: u64) {
        self.events.fetch_add(events, Ordering::Relaxed);
    }

    /// A transaction was read; the server's clock then.
    pub(super) fn read(&self, timestamp: u32) {
        self.read_timestamp.store(timestamp, Ordering::Relaxed);
    }

    /// The server has something new.
    pub(super) fn busy(&self) {
        self.is_idle.store(false, Ordering::Relaxed);
    }

    /// The server had nothing new behind this position, and says so again, while that is so, within this time.
    pub(super) fn idle(&self, position: Position, again: Duration) {
        let until = Instant::now() + again;
        self.state().idle = Some(Idle { position, until });
        self.is_idle.store(true, Ordering::Relaxed);
        self.trouble(None);
    }

    /// Whether all that the server has is acknowledged.
    fn has_all(&self) -> bool {
        let state = self.state();
        let is_idle = |idle: &Idle| {
            state.committed.as_ref() == Some(&idle.position) && Instant::now() < idle.until
        };
        self.is_idle.load(Ordering::Relaxed) && state.idle.as_ref().is_some_and(is_idle)
    }

    /// Why it doesn't go on at the moment.
    pub(super) fn trouble(&self, trouble: Option<String>) {
        let mut state = self.state();
        if state.trouble != trouble {
            state.trouble = trouble;
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Something that a person should know.
    pub(super) fn note(&self, message: impl AsRef<str>) {
        self.progress.note(message.as_ref());
    }

    /// All up to a position is acknowledged.
    pub(super) fn written(&self, position: &Position, timestamp: u32, tables: &[FollowedRecord]) {
        let mut state = self.state();
        state.committed = Some(position.clone());
        state.trouble = None;
        state.tables = tables.to_vec();
        self.changes.fetch_add(1, Ordering::Relaxed);
        if timestamp > 0 {
            state.committed_timestamp = timestamp;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the file says.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::lifecycle) struct Document {
    at: Timestamp,
    pub(in crate::lifecycle) report: FollowReport,
    pub(in crate::lifecycle) brakes: BrakeReport,
}

/// What the file says, if it is of now.
pub(in crate::lifecycle) fn read(state: &Path) -> Option<Document> {
    let text = std::fs::read_to_string(state.join(FILE)).ok()?;
    let document: Document = serde_json::from_str(&text).ok()?;
    let age = Timestamp::now().duration_since(document.at);
    (age.unsigned_abs() < STALE).then_some(document)
}

/// Forgets what was said: nothing is at work any more.
pub(in crate::lifecycle) fn forget(state: &Path) {
    // That it isn't there is what is wanted.
    let _ = std::fs::remove_file(state.join(FILE));
}

/// Tells, again and again, what a stream is at.
pub(in crate::lifecycle) async fn publish(
    live: Arc<Live>,
    source: Source,
    state: std::path::PathBuf,
    brakes: impl Fn() -> BrakeReport,
) {
    let ahead = Timestamp::now().as_second() - source.server().time.as_second();
    let (mut events, mut at) = (live.events.load(Ordering::Relaxed), Instant::now());
    // What was told last of a stream at which nothing happens, and when.
    let mut quiet: Option<(u64, BrakeReport, Instant)> = None;
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = live.events.load(Ordering::Relaxed);
        let rate = (now - events) as f64 / at.elapsed().as_secs_f64().max(0.001);
        (events, at) = (now, Instant::now());
        let changes = live.changes.load(Ordering::Relaxed);
        let brakes = brakes();
        let has_all = live.has_all();
        let is_told = quiet.as_ref().is_some_and(|(then, held, at)| {
            *then == changes && *held == brakes && at.elapsed() < TELL_EVERY
        });
        if has_all && is_told {
            continue;
        }
        quiet = (has_all && rate == 0.0).then(|| (changes, brakes.clone(), Instant::now()));
        let committed = live.state().committed.clone();
        let lag_bytes = match &committed {
            Some(_) if has_all => Some(0),
            Some(position) => source.binlog_bytes_after(position).await.ok().flatten(),
            None => None,
        };
        let report = {
            let state = live.state();
            let server_now = Timestamp::now().as_second() - ahead;
            let behind = server_now - i64::from(state.committed_timestamp);
            FollowReport {
                position: committed,
                lag_seconds: match (lag_bytes, state.committed_timestamp) {
                    (Some(0), _) => Some(0),
                    (_, 0) => None,
                    _ => Some(behind.max(0).unsigned_abs()),
                },
                lag_bytes,
                events_per_second: rate,
                paused: false,
                trouble: state.trouble.clone(),
                tables: state.tables.iter().map(Into::into).collect(),
            }
        };
        live.progress.following(&report);
        let document = Document {
            at: Timestamp::now(),
            report,
            brakes,
        };
        if let Ok(text) = serde_json::to_vec(&document) {
            let file = state.join(FILE);
            if let Err(error) = pinned::write(&file, &text) {
                tracing::warn!(%error, "what the pipe is at can't be written down");
            }
        }
    }
}
