//! A request to stop, as the threads and tasks of a stream see it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How long the end of a transaction is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// A wait that has no end of its own is made of these.
const LONG: Duration = Duration::from_secs(3600);

/// Asks for a stop, once.
#[derive(Debug, Default)]
pub(super) struct StopSignal {
    asked: AtomicBool,
    since: Mutex<Option<Instant>>,
    notify: Notify,
    nudged: Notify,
}

impl StopSignal {
    /// Asks to stop at the next boundary.
    pub(super) fn ask(&self) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.get_or_insert_with(Instant::now);
        self.asked.store(true, Ordering::Release);
        self.notify.notify_waiters();
        self.nudge();
    }

    /// Wakes who waits in [`StopSignal::nudged_within`].
    pub(super) fn nudge(&self) {
        self.nudged.notify_one();
    }

    /// Waits so long, or until somebody says that there is something to look for.
    pub(super) async fn nudged_within(&self, pause: Duration) {
        let _ = tokio::time::timeout(pause, self.nudged.notified()).await;
    }

    /// Whether a stop was asked for.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// Waits until a stop is asked for.
    pub(super) async fn asked(&self) {
        while !self.within(LONG).await {}
    }

    /// Whether it was asked for so long ago that a transaction's end is waited for no longer.
    pub(super) fn is_urgent(&self) -> bool {
        let since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_asked() && since.is_some_and(|since| since.elapsed() > PATIENCE)
    }

    /// Waits so long, or until a stop is asked for: whether it was.
    pub(super) async fn within(&self, pause: Duration) -> bool {
        let asked = self.notify.notified();
        if self.is_asked() {
            return true;
        }
        let _ = tokio::time::timeout(pause, asked).await;
        self.is_asked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_when_it_is_asked_for() {
        let stop = StopSignal::default();
        assert!(!stop.within(Duration::from_secs(1)).await);
        stop.ask();
        assert!(stop.within(Duration::from_secs(3600)).await);
        assert!(stop.is_asked() && !stop.is_urgent());
    }
}
