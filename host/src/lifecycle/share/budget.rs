//! A budget of CPU time: so much a minute, which flows in all the time. It is charged with what was used, so it may be overdrawn by the batches
//! under way; whoever has overdrawn it waits until it has been filled up again.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::lifecycle::pace::LOOK_EVERY;

const MINUTE: Duration = Duration::from_secs(60);

/// A tenant's CPU time.
#[derive(Debug)]
pub(super) struct Budget {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// None: as much as there is.
    per_minute: Option<Duration>,
    /// What may be used at once, in seconds; below zero, what was overdrawn.
    left: f64,
    at: Instant,
}

impl State {
    fn fill(&mut self, now: Instant) {
        let most = self.per_minute.unwrap_or_default().as_secs_f64();
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + most * passed / MINUTE.as_secs_f64()).min(most);
        self.at = now;
    }

    fn charge(&mut self, cpu: Duration, now: Instant) {
        self.fill(now);
        if self.per_minute.is_some() {
            self.left -= cpu.as_secs_f64();
        }
    }

    fn owes(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.per_minute.is_some() && self.left < 0.0
    }

    /// What was overdrawn under the old quota is forgiven, and a minute's time is there at once.
    fn set(&mut self, per_minute: Option<Duration>, now: Instant) {
        if self.per_minute != per_minute {
            self.per_minute = per_minute;
            self.left = per_minute.unwrap_or_default().as_secs_f64();
            self.at = now;
        }
    }
}

impl Budget {
    pub(super) fn new(per_minute: Option<Duration>) -> Self {
        let mut state = State {
            per_minute: None,
            left: 0.0,
            at: Instant::now(),
        };
        state.set(per_minute, Instant::now());
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Changes how much there is a minute; none: as much as is wanted.
    pub(super) fn set(&self, per_minute: Option<Duration>) {
        self.state().set(per_minute, Instant::now());
        self.changed.notify_all();
    }

    /// Takes away what was used.
    pub(super) fn charge(&self, cpu: Duration) {
        self.state().charge(cpu, Instant::now());
    }

    /// Whether it is overdrawn.
    pub(super) fn owes(&self) -> bool {
        self.state().owes(Instant::now())
    }

    /// Sleeps while it is overdrawn, or until `stopped`.
    pub(super) fn wait(&self, stopped: &dyn Fn() -> bool) {
        let mut state = self.state();
        while state.owes(Instant::now()) && !stopped() {
            let waited = self.changed.wait_timeout(state, LOOK_EVERY);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn over_an_hour_no_more_is_used_than_the_quota_and_what_was_there_at_the_beginning() {
        let mut now = Instant::now();
        let budget = Budget::new(Some(6 * SECOND));
        let mut state = budget.state.into_inner().unwrap();
        state.at = now;
        let (begun, mut used) = (now, Duration::ZERO);
        while now - begun < 60 * MINUTE {
            match state.owes(now) {
                true => now += Duration::from_millis(100),
                false => {
                    state.charge(2 * SECOND, now);
                    used += 2 * SECOND;
                    now += 2 * SECOND;
                }
            }
        }
        let expected = 61 * 6;
        assert!(used.as_secs().abs_diff(expected) <= 4, "{used:?}");
    }

    #[test]
    fn an_idle_minute_saves_no_more_than_a_minute_s_time() {
        let now = Instant::now();
        let mut state = Budget::new(Some(SECOND)).state.into_inner().unwrap();
        state.charge(2 * SECOND, now);
        assert!(state.owes(now + 30 * SECOND));
        assert!(!state.owes(now + 61 * SECOND));
        state.fill(now + 3600 * SECOND);
        assert!((0.99..=1.0).contains(&state.left), "{}", state.left);
    }

    #[test]
    fn who_waits_is_let_go_by_another_quota_or_a_stop() {
        for quota in [None, Some(MINUTE)] {
            let budget = Budget::new(Some(Duration::from_millis(1)));
            budget.charge(MINUTE);
            budget.wait(&|| true);
            assert!(budget.owes());
            std::thread::scope(|scope| {
                let waits = scope.spawn(|| budget.wait(&|| false));
                std::thread::sleep(Duration::from_millis(50));
                budget.set(quota);
                waits.join().unwrap();
            });
            assert!(!budget.owes());
        }
        let free = Budget::new(None);
        free.charge(MINUTE);
        assert!(!free.owes());
    }
}
