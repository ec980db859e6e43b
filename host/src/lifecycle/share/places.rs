//! Places for chunks: how many are loaded at the same time, in the whole process and of each tenant.
//!
//! A free place goes to the tenant that has the fewest, then to who waits for longest: while nobody else waits, one tenant may have all of them.
//! Who has more than its part gives a place back between two batches once another waits for it, and stands in line again. So nobody waits for
//! the end of another one's chunk, however long its plugin takes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::TenantId;
use crate::lifecycle::pace::LOOK_EVERY;

/// How long a place is kept where there are fewer places than tenants that wait.
const SLICE: Duration = Duration::from_secs(2);

/// The places of a process.
#[derive(Debug)]
pub(super) struct Places {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    total: usize,
    taken: usize,
    tickets: u64,
    tenants: HashMap<TenantId, Line>,
}

/// A tenant's places.
#[derive(Debug, Default)]
struct Line {
    /// The most that it may have; none: any number.
    quota: Option<usize>,
    taken: usize,
    /// Who waits, the first one first.
    waiting: VecDeque<u64>,
    /// The number of the last place that it got: who has had one more recently comes later.
    served: u64,
}

impl Line {
    /// What stands in the way of another place, if it is this line's turn: fewest places, then the longest time without a new one.
    fn rank(&self) -> Option<(usize, u64, u64)> {
        let first = self.waiting.front()?;
        self.has_room().then_some((self.taken, self.served, *first))
    }

    fn has_room(&self) -> bool {
        self.quota.is_none_or(|quota| self.taken < quota.max(1))
    }
}

impl State {
    fn line(&mut self, tenant: TenantId) -> &mut Line {
        self.tenants.entry(tenant).or_default()
    }

    fn stand_in_line(&mut self, tenant: TenantId) -> u64 {
        self.tickets += 1;
        let ticket = self.tickets;
        self.line(tenant).waiting.push_back(ticket);
        ticket
    }

    fn leave_line(&mut self, tenant: TenantId, ticket: u64) {
        self.line(tenant).waiting.retain(|other| *other != ticket);
    }

    /// Whether the next free place is this one's.
    fn is_next(&self, tenant: TenantId, ticket: u64) -> bool {
        let first = self.tenants.values().filter_map(Line::rank).min();
        let own = self.tenants.get(&tenant).and_then(Line::rank);
        self.taken < self.total
            && first.is_some_and(|first| own == Some(first) && first.2 == ticket)
    }

    fn take(&mut self, tenant: TenantId, ticket: u64) {
        self.leave_line(tenant, ticket);
        self.tickets += 1;
        let served = self.tickets;
        let line = self.line(tenant);
        line.taken += 1;
        line.served = served;
        self.taken += 1;
    }

    fn give_back(&mut self, tenant: TenantId) {
        let line = self.line(tenant);
        line.taken = line.taken.saturating_sub(1);
        self.taken = self.taken.saturating_sub(1);
    }

    /// Whether a place that was taken so long ago is to be given back: because of the tenant's own quota, or for another one.
    fn is_wanted_back(&self, tenant: TenantId, age: Duration) -> bool {
        let Some(own) = self.tenants.get(&tenant) else {
            return false;
        };
        if own.quota.is_some_and(|quota| own.taken > quota.max(1)) {
            return true;
        }
        // Where a place is free, nobody waits for this one.
        let others = self.tenants.iter().filter(|(other, _)| **other != tenant);
        let fewest = others.filter_map(|(_, line)| Some(line.rank()?.0)).min();
        self.taken >= self.total
            && fewest
                .is_some_and(|fewest| fewest + 1 < own.taken || fewest < own.taken && age >= SLICE)
    }
}

impl Places {
    pub(super) fn new(total: usize) -> Self {
        Self {
            state: Mutex::new(State {
                total: total.max(1),
                taken: 0,
                tickets: 0,
                tenants: HashMap::new(),
            }),
            changed: Condvar::new(),
        }
    }

    /// Changes a tenant's quota.
    pub(super) fn set_quota(&self, tenant: TenantId, quota: Option<usize>) {
        self.state().line(tenant).quota = quota;
        self.changed.notify_all();
    }

    /// Forgets a tenant that is gone.
    pub(super) fn forget(&self, tenant: TenantId) {
        self.state().tenants.remove(&tenant);
    }

    /// Waits for a place; none if it was stopped before there was one.
    pub(super) fn take(&self, tenant: TenantId, stopped: &dyn Fn() -> bool) -> Option<Place<'_>> {
        let mut place = Place {
            places: self,
            tenant,
            since: None,
        };
        place.take(stopped);
        place.since.is_some().then_some(place)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place for a chunk, until it is dropped.
#[derive(Debug)]
pub(super) struct Place<'p> {
    places: &'p Places,
    tenant: TenantId,
    /// When it was taken, if it is.
    since: Option<Instant>,
}

impl Place<'_> {
    fn take(&mut self, stopped: &dyn Fn() -> bool) {
        let mut state = self.places.state();
        let ticket = state.stand_in_line(self.tenant);
        while !state.is_next(self.tenant, ticket) {
            if stopped() {
                state.leave_line(self.tenant, ticket);
                drop(state);
                return self.places.changed.notify_all();
            }
            let waited = self.places.changed.wait_timeout(state, LOOK_EVERY);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.take(self.tenant, ticket);
        self.since = Some(Instant::now());
        // There may be another one, for who is next now.
        drop(state);
        self.places.changed.notify_all();
    }

    fn give_back(&mut self) {
        if self.since.take().is_some() {
            self.places.state().give_back(self.tenant);
            self.places.changed.notify_all();
        }
    }

    /// Whether the place is to be given back for a while.
    pub(super) fn is_wanted_back(&self) -> bool {
        let age = self.since.map(|since| since.elapsed()).unwrap_or_default();
        self.places.state().is_wanted_back(self.tenant, age)
    }

    /// Waits without the place, and then for one.
    pub(super) fn step_aside(&mut self, wait: impl FnOnce(), stopped: &dyn Fn() -> bool) {
        self.give_back();
        wait();
        self.take(stopped);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: TenantId = TenantId(1);
    const B: TenantId = TenantId(2);
    const C: TenantId = TenantId(3);

    /// What happens when all who wait are looked at again and again, without threads.
    struct Line {
        state: State,
        waiting: Vec<(TenantId, u64)>,
    }

    impl Line {
        fn of(total: usize) -> Self {
            let places = Places::new(total);
            Self {
                state: places.state.into_inner().unwrap(),
                waiting: Vec::new(),
            }
        }

        fn wants(&mut self, tenant: TenantId, places: usize) {
            for _ in 0..places {
                let ticket = self.state.stand_in_line(tenant);
                self.waiting.push((tenant, ticket));
            }
            self.settle();
        }

        /// Gives all places to those whose turn it is.
        fn settle(&mut self) {
            let next = |line: &Self| {
                let is_next =
                    |(tenant, ticket): &(TenantId, u64)| line.state.is_next(*tenant, *ticket);
                line.waiting.iter().position(is_next)
            };
            while let Some(next) = next(self) {
                let (tenant, ticket) = self.waiting.remove(next);
                self.state.take(tenant, ticket);
            }
        }

        /// Each place that is wanted back is given back, and waited for anew.
        fn batches(&mut self, age: Duration) {
            for tenant in [A, B, C] {
                self.batch(tenant, age);
            }
        }

        fn batch(&mut self, tenant: TenantId, age: Duration) {
            for _ in 0..self.taken(tenant) {
                if self.state.is_wanted_back(tenant, age) {
                    self.state.give_back(tenant);
                    self.wants(tenant, 1);
                }
            }
        }

        fn taken(&self, tenant: TenantId) -> usize {
            self.state.tenants.get(&tenant).map_or(0, |line| line.taken)
        }

        fn all(&self) -> [usize; 3] {
            [A, B, C].map(|tenant| self.taken(tenant))
        }
    }

    #[test]
    fn one_tenant_has_all_places_and_others_get_their_part_between_two_batches() {
        let mut line = Line::of(8);
        line.wants(A, 20);
        assert_eq!(line.all(), [8, 0, 0]);
        line.wants(B, 20);
        line.batches(Duration::ZERO);
        assert_eq!(line.all(), [4, 4, 0]);
        line.wants(C, 1);
        line.batches(Duration::ZERO);
        assert_eq!(line.taken(C), 1);
        assert_eq!(line.all().iter().sum::<usize>(), 8);
        assert!(
            line.taken(A).abs_diff(line.taken(B)) <= 1,
            "{:?}",
            line.all()
        );
        // What one doesn't want the others have.
        line.state.give_back(C);
        line.settle();
        assert_eq!(line.all(), [4, 4, 0]);
    }

    #[test]
    fn a_tenant_has_no_more_than_its_quota_and_what_was_taken_is_given_back_when_it_shrinks() {
        let mut line = Line::of(8);
        line.state.line(A).quota = Some(3);
        line.wants(A, 8);
        line.wants(B, 1);
        assert_eq!(line.all(), [3, 1, 0]);
        line.state.line(A).quota = Some(1);
        line.batches(Duration::ZERO);
        assert_eq!(line.all(), [1, 1, 0]);
        line.state.line(A).quota = None;
        line.settle();
        assert_eq!(line.all(), [7, 1, 0]);
    }

    #[test]
    fn where_there_are_more_tenants_than_places_they_take_turns() {
        let mut line = Line::of(2);
        line.wants(A, 3);
        line.wants(B, 1);
        line.wants(C, 1);
        line.batches(Duration::ZERO);
        assert_eq!(line.taken(A), 1);
        let mut had = [0; 3];
        for step in 0..36 {
            line.batch([A, B, C][step % 3], SLICE);
            for (had, has) in had.iter_mut().zip(line.all()) {
                *had += has;
            }
        }
        assert!(had.iter().all(|had| *had >= 18), "{had:?}");
    }

    #[test]
    fn who_waits_is_woken_and_who_is_stopped_leaves_the_line() {
        let places = Places::new(1);
        let place = places.take(A, &|| false).unwrap();
        assert!(places.take(B, &|| true).is_none());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| places.take(B, &|| false).is_some());
            std::thread::sleep(Duration::from_millis(50));
            drop(place);
            assert!(waits.join().unwrap());
        });
        let state = places.state();
        assert!(state.taken == 0 && state.tenants.values().all(|line| line.waiting.is_empty()));
    }
}
