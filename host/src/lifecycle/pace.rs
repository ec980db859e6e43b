//! A ceiling for the rows read a second, shared by all the readers, and changed while they wait for it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a reader that waits looks whether it still is to.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The ceiling, and how far what was read has used it up.
#[derive(Debug)]
pub(super) struct Pace {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    rows_per_second: Option<u64>,
    free_at: Instant,
    /// Counts the changes of the ceiling.
    changes: u64,
}

impl Pace {
    pub(super) fn new(rows_per_second: Option<u64>) -> Self {
        Self {
            state: Mutex::new(State {
                rows_per_second,
                free_at: Instant::now(),
                changes: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// Changes the ceiling; none: there is none. Whoever waits for the old one waits for the new one.
    pub(super) fn set_rows_per_second(&self, rows_per_second: Option<u64>) {
        let mut state = self.state();
        if state.rows_per_second == rows_per_second {
            return;
        }
        state.rows_per_second = rows_per_second;
        // What was due under the old ceiling is forgiven.
        state.free_at = Instant::now();
        state.changes += 1;
        drop(state);
        self.changed.notify_all();
    }

    /// Whether whoever comes next has to wait.
    pub(super) fn is_behind(&self) -> bool {
        let state = self.state();
        state.rows_per_second.is_some() && state.free_at > Instant::now()
    }

    /// Sleeps until these rows fit under the ceiling, or until `stopped`.
    pub(super) fn wait(&self, rows: usize, stopped: impl Fn() -> bool) {
        let mut state = self.state();
        while let Some(until) = state.reserve(rows) {
            let changes = state.changes;
            while state.changes == changes {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() || stopped() {
                    return;
                }
                let waited = self.changed.wait_timeout(state, left.min(LOOK_EVERY));
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// When rows that are read next may go on; none: there is no ceiling.
    fn reserve(&mut self, rows: usize) -> Option<Instant> {
        let rows_per_second = self.rows_per_second?;
        let cost = Duration::from_secs_f64(rows as f64 / rows_per_second as f64);
        let start = self.free_at.max(Instant::now());
        self.free_at = start + cost;
        Some(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(work: impl FnOnce()) -> f64 {
        let began = Instant::now();
        work();
        began.elapsed().as_secs_f64()
    }

    #[test]
    fn rows_come_no_faster_than_the_ceiling() {
        let pace = Pace::new(Some(1000));
        let took = seconds(|| (0..4).for_each(|_| pace.wait(100, || false)));
        assert!((0.3..3.0).contains(&took), "{took}");
        let free = Pace::new(None);
        let took = seconds(|| (0..4).for_each(|_| free.wait(100_000, || false)));
        assert!(took < 0.2, "{took}");
    }

    #[test]
    fn who_waits_is_let_go_by_another_ceiling_or_a_stop() {
        for ceiling in [None, Some(1_000_000)] {
            let pace = Pace::new(Some(1));
            pace.wait(3600, || false);
            std::thread::scope(|scope| {
                let waits = scope.spawn(|| seconds(|| pace.wait(10, || false)));
                std::thread::sleep(Duration::from_millis(300));
                pace.set_rows_per_second(ceiling);
                let waited = waits.join().expect("it doesn't panic");
                assert!((0.2..60.0).contains(&waited), "{waited}");
            });
        }
        let pace = Pace::new(Some(1));
        pace.wait(3600, || false);
        let waited = seconds(|| pace.wait(10, || true));
        assert!(waited < 60.0, "{waited}");
    }
}
