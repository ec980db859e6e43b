//! Turns for computing: how many threads of a tenant run plugins at the same time. Each tenant may always have one; beyond that it has its
//! part of the cores. The system's scheduler shares the CPU by thread, so that a tenant with a hundred busy plugins gets no more of it than
//! one with a single one.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::TenantId;
use crate::lifecycle::pace::LOOK_EVERY;

/// A tenant that has computed or waited within this time counts among those that share the cores.
const ACTIVE: Duration = Duration::from_secs(1);

/// The turns of a process.
#[derive(Debug)]
pub(super) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    cores: usize,
    tenants: HashMap<TenantId, Busy>,
}

#[derive(Debug)]
struct Busy {
    threads: usize,
    waiting: usize,
    last: Instant,
}

impl State {
    fn busy(&mut self, tenant: TenantId, now: Instant) -> &mut Busy {
        let busy = self.tenants.entry(tenant).or_insert(Busy {
            threads: 0,
            waiting: 0,
            last: now,
        });
        busy.last = now;
        busy
    }

    /// Whether a tenant may compute with another thread.
    fn may(&mut self, tenant: TenantId, now: Instant) -> bool {
        let own = self.busy(tenant, now).threads;
        let is_active = |busy: &Busy| busy.threads + busy.waiting > 0 || now - busy.last < ACTIVE;
        self.tenants.retain(|_, busy| is_active(busy));
        own < (self.cores / self.tenants.len().max(1)).max(1)
    }
}

impl Turns {
    pub(super) fn new(cores: usize) -> Self {
        Self {
            state: Mutex::new(State {
                cores,
                tenants: HashMap::new(),
            }),
            changed: Condvar::new(),
        }
    }

    /// Waits for a turn; none if it was stopped before.
    pub(super) fn take(&self, tenant: TenantId, stopped: &dyn Fn() -> bool) -> Option<Turn<'_>> {
        let mut state = self.state();
        state.busy(tenant, Instant::now()).waiting += 1;
        let mut may = state.may(tenant, Instant::now());
        while !may && !stopped() {
            let waited = self.changed.wait_timeout(state, LOOK_EVERY);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            may = state.may(tenant, Instant::now());
        }
        let busy = state.busy(tenant, Instant::now());
        busy.waiting -= 1;
        busy.threads += usize::from(may);
        // Made only if it was got: a turn that is dropped is given back, under the lock.
        may.then(|| Turn {
            turns: self,
            tenant,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'t> {
    turns: &'t Turns,
    tenant: TenantId,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.state().busy(self.tenant, Instant::now()).threads -= 1;
        self.turns.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: TenantId = TenantId(1);
    const B: TenantId = TenantId(2);

    fn state(cores: usize) -> State {
        Turns::new(cores).state.into_inner().unwrap()
    }

    /// As many turns as a tenant gets.
    fn take(state: &mut State, tenant: TenantId, wanted: usize, now: Instant) -> usize {
        let mut got = 0;
        while got < wanted && state.may(tenant, now) {
            state.busy(tenant, now).threads += 1;
            got += 1;
        }
        got
    }

    #[test]
    fn cores_are_shared_by_those_that_compute() {
        let (mut state, now) = (state(4), Instant::now());
        assert_eq!(take(&mut state, A, 9, now), 4);
        // One is always to be had, and the scheduler shares what there is.
        assert_eq!(take(&mut state, B, 1, now), 1);
        state.busy(A, now).threads = 0;
        assert_eq!(take(&mut state, A, 9, now), 2);
        // Whoever has not computed for a while has no part.
        state.busy(B, now).threads = 0;
        let later = now + ACTIVE + Duration::from_millis(1);
        assert_eq!(take(&mut state, A, 9, later), 2);
    }

    #[test]
    fn each_of_many_tenants_has_a_turn() {
        let (mut state, now) = (state(2), Instant::now());
        for tenant in 0..100 {
            assert_eq!(
                take(&mut state, TenantId(tenant), 5, now),
                1 + usize::from(tenant == 0)
            );
        }
    }

    #[test]
    fn a_turn_is_waited_for_and_given_back() {
        let turns = Turns::new(1);
        let turn = turns.take(A, &|| false).unwrap();
        assert!(turns.take(A, &|| true).is_none());
        let other = turns.take(B, &|| false);
        assert!(other.is_some());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| turns.take(A, &|| false).is_some());
            std::thread::sleep(Duration::from_millis(50));
            drop(turn);
            assert!(waits.join().unwrap());
        });
        drop(other);
        assert!(
            turns
                .state()
                .tenants
                .values()
                .all(|busy| busy.threads + busy.waiting == 0)
        );
    }
}
