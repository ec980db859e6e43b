//! What a tenant may use, of what all tenants of a process share: places for chunks, turns for computing, CPU time, rows a second. It is enforced
//! where the work is done, between two chunks or two batches; a change is in force at once, for those who wait as well.
//!
//! On the command line there is one user, whose share is all there is: [`Share::unlimited`] costs nothing.

mod budget;
mod places;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::error::Error;
use super::pace::Pace;
use super::usage::Meters;
use crate::transform::MemoryQuota;
use budget::Budget;
use places::Places;
use turns::Turns;

/// Chunks that are loaded at the same time for each core, in the whole process: most of their time they wait for a server.
const CHUNKS_PER_CORE: usize = 4;

/// Names a tenant among those of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct TenantId(u64);

impl TenantId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a tenant may use. None: as much as there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Chunks that are loaded at the same time, over all of its pipes.
    pub parallel_chunks: Option<usize>,
    /// Rows that are loaded a second, over all of its pipes.
    pub rows_per_second: Option<u64>,
    /// CPU time of plugins a minute.
    pub cpu_per_minute: Option<Duration>,
    /// Memory of plugin instances at one time, in bytes.
    pub plugin_memory_bytes: Option<u64>,
}

/// What the shares of a process hang on. A clone is the same one.
#[derive(Clone, Debug)]
pub struct Machine(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    places: Places,
    turns: Turns,
}

impl Machine {
    /// This machine, with as many cores as the process may use.
    pub fn of_process() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Shared {
            places: Places::new(CHUNKS_PER_CORE * cores),
            turns: Turns::new(cores),
        }))
    }
}

/// A tenant's share. A clone is the same one.
#[derive(Clone, Debug)]
pub struct Share(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// None: it is alone.
    machine: Option<Machine>,
    tenant: TenantId,
    cpu: Budget,
    rows: Pace,
    memory: MemoryQuota,
    meters: Meters,
}

impl Share {
    /// All there is.
    pub fn unlimited() -> Self {
        Self::new(None, &Allowance::default())
    }

    /// A tenant's share of a machine.
    pub fn of(machine: &Machine, allowance: &Allowance) -> Self {
        Self::new(Some(machine.clone()), allowance)
    }

    fn new(machine: Option<Machine>, allowance: &Allowance) -> Self {
        let share = Self(Arc::new(Inner {
            machine,
            tenant: TenantId::next(),
            cpu: Budget::new(allowance.cpu_per_minute),
            rows: Pace::new(allowance.rows_per_second),
            memory: MemoryQuota::default(),
            meters: Meters::default(),
        }));
        share.allow(allowance);
        share
    }

    /// Changes what the tenant may use, for what is at work as well.
    pub fn allow(&self, allowance: &Allowance) {
        let Inner {
            machine,
            tenant,
            cpu,
            rows,
            memory,
            ..
        } = &*self.0;
        cpu.set(allowance.cpu_per_minute);
        rows.set_rows_per_second(allowance.rows_per_second);
        memory.set(allowance.plugin_memory_bytes);
        if let Some(machine) = machine {
            let places = &machine.0.places;
            places.set_quota(*tenant, allowance.parallel_chunks);
        }
    }

    /// The memory of its plugins.
    pub(super) fn memory(&self) -> &MemoryQuota {
        &self.0.memory
    }

    /// What its pipes have used.
    pub(super) fn meters(&self) -> &Meters {
        &self.0.meters
    }

    /// Waits for a place to load a chunk; none if it was stopped before there was one.
    pub(super) fn chunk(&self, stopped: &dyn Fn() -> bool) -> Option<ChunkPlace<'_>> {
        let place = match &self.0.machine {
            Some(machine) => Some(machine.0.places.take(self.0.tenant, stopped)?),
            None => None,
        };
        Some(ChunkPlace { share: self, place })
    }

    /// Does what a plugin does when it is the tenant's turn, and it has CPU time left.
    pub(super) fn compute<T>(&self, stopped: &dyn Fn() -> bool, work: impl FnOnce() -> T) -> T {
        self.0.cpu.wait(stopped);
        let machine = self.0.machine.as_ref();
        // Who is stopped has one more batch at most.
        let _turn = machine.and_then(|machine| machine.0.turns.take(self.0.tenant, stopped));
        work()
    }

    /// Waits while what its plugins may use is used up; an error if it was stopped before there was more.
    pub(super) fn wait_for_cpu(&self, stopped: &dyn Fn() -> bool) -> Result<(), Error> {
        self.0.cpu.wait(stopped);
        match self.0.cpu.owes() {
            false => Ok(()),
            true => Err(Error::Nothing {
                reason:
                    "the plugins of all pipes have used up the CPU time that they have a minute"
                        .to_owned(),
                suggestion: "try it again in a minute, or let the operator raise the quota"
                    .to_owned(),
            }),
        }
    }

    /// Takes away what was used.
    pub(super) fn charge(&self, cpu: Duration) {
        self.0.cpu.charge(cpu);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(machine) = &self.machine {
            machine.0.places.forget(self.tenant);
        }
    }
}

/// A place to load a chunk, until it is dropped.
pub(super) struct ChunkPlace<'s> {
    share: &'s Share,
    place: Option<places::Place<'s>>,
}

impl ChunkPlace<'_> {
    /// Between two batches: waits until so many rows fit under what the tenant may load a second and it has CPU time left. While it waits,
    /// or while another tenant should have the place, the place is given back. `own`: what the pipe itself waits for, `waits`: whether it does.
    pub(super) fn pause(
        &mut self,
        rows: usize,
        waits: bool,
        own: &dyn Fn(),
        stopped: &dyn Fn() -> bool,
    ) {
        let inner = &*self.share.0;
        let wait = || {
            own();
            inner.rows.wait(rows, stopped);
            inner.cpu.wait(stopped);
        };
        let Some(place) = &mut self.place else {
            return wait();
        };
        let waits = waits || inner.rows.is_behind() || inner.cpu.owes();
        match waits || place.is_wanted_back() {
            true => place.step_aside(wait, stopped),
            false => wait(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_without_bounds_keeps_nobody_waiting() {
        let share = Share::unlimited();
        let mut places: Vec<_> = (0..1000).map(|_| share.chunk(&|| false).unwrap()).collect();
        for place in &mut places {
            place.pause(1_000_000, false, &|| (), &|| false);
        }
        share.charge(Duration::from_secs(3600));
        assert_eq!(share.compute(&|| false, || 7), 7);
    }

    #[test]
    fn a_quota_that_is_changed_lets_go_who_waits_for_it() {
        let machine = Machine::of_process();
        let few = Allowance {
            parallel_chunks: Some(1),
            cpu_per_minute: Some(Duration::from_millis(1)),
            ..Allowance::default()
        };
        let share = Share::of(&machine, &few);
        let place = share.chunk(&|| false).unwrap();
        assert!(share.chunk(&|| true).is_none());
        share.charge(Duration::from_secs(3600));
        std::thread::scope(|scope| {
            let chunk = scope.spawn(|| share.chunk(&|| false).is_some());
            let computes = scope.spawn(|| share.compute(&|| false, || ()));
            std::thread::sleep(Duration::from_millis(50));
            share.allow(&Allowance::default());
            assert!(chunk.join().unwrap());
            computes.join().unwrap();
        });
        drop(place);
    }

    #[test]
    fn who_waits_for_cpu_time_leaves_its_place_to_others() {
        let machine = Machine(Arc::new(Shared {
            places: Places::new(1),
            turns: Turns::new(1),
        }));
        let spent = Allowance {
            cpu_per_minute: Some(Duration::from_millis(1)),
            ..Allowance::default()
        };
        let (burner, other) = (
            Share::of(&machine, &spent),
            Share::of(&machine, &Allowance::default()),
        );
        let mut place = burner.chunk(&|| false).unwrap();
        burner.charge(Duration::from_secs(3600));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| place.pause(1, false, &|| (), &|| false));
            assert!(other.chunk(&|| false).is_some());
            burner.allow(&Allowance::default());
            waits.join().unwrap();
        });
    }
}
