//! Instances that are bound and idle, kept for the next worker of the same step: the first batch on a fresh instance takes nearly twice as long
//! as on a warm one. The process keeps a few; the ones that were idle for longest go first, and those of a chain that is gone at once.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use super::instance::Instance;
use super::lock;
use super::quota::MemoryQuota;

/// Idle instances in the whole process. Each may hold as much memory as its limit allows.
const IDLE_INSTANCES: usize = 32;

/// Names one step of one chain, for as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StepId(u64);

impl StepId {
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The process's idle instances.
#[derive(Default)]
pub(super) struct WarmInstances(Mutex<VecDeque<(StepId, Instance)>>);

impl WarmInstances {
    /// An instance that is bound to this step, the one used last.
    pub(super) fn take(&self, step: StepId) -> Option<Instance> {
        let mut idle = self.idle();
        let place = idle.iter().rposition(|(of, _)| *of == step)?;
        idle.remove(place).map(|(_, instance)| instance)
    }

    /// Gives an instance back.
    pub(super) fn give(&self, step: StepId, instance: Instance) {
        let mut idle = self.idle();
        let oldest = if idle.len() >= IDLE_INSTANCES {
            idle.pop_front()
        } else {
            None
        };
        idle.push_back((step, instance));
        // An instance's memory is unmapped when it goes: not under the lock.
        drop(idle);
        drop(oldest);
    }

    /// Lets the instance go that was idle for longest of those that count for this quota; whether there was one.
    pub(super) fn let_go(&self, quota: &MemoryQuota) -> bool {
        let mut idle = self.idle();
        let oldest = idle
            .iter()
            .position(|(_, instance)| instance.quota().is(quota));
        let oldest = oldest.and_then(|place| idle.remove(place));
        drop(idle);
        oldest.is_some()
    }

    /// The step is no more.
    pub(super) fn forget(&self, step: StepId) {
        let mut idle = self.idle();
        let (gone, kept): (VecDeque<_>, _) = std::mem::take(&mut *idle)
            .into_iter()
            .partition(|(of, _)| *of == step);
        *idle = kept;
        drop(idle);
        drop(gone);
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<(StepId, Instance)>> {
        lock(&self.0)
    }
}
