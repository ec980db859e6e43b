//! The memory of all plugin instances of a tenant together: it is charged where WebAssembly's memory grows, and given back when the instance goes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytesize::ByteSize;

use super::warm::WarmInstances;

/// How much memory the instances of a tenant may have at one time. A clone is the same one; by default there is no bound.
#[derive(Clone, Debug)]
pub struct MemoryQuota(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    most: AtomicU64,
    used: AtomicU64,
}

impl Default for MemoryQuota {
    fn default() -> Self {
        Self(Arc::new(Counted {
            most: AtomicU64::new(u64::MAX),
            used: AtomicU64::new(0),
        }))
    }
}

impl MemoryQuota {
    /// Changes the bound, in bytes; none: there is none. What is in use stays.
    pub fn set(&self, most: Option<u64>) {
        self.0
            .most
            .store(most.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What is in use, in bytes.
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    pub(super) fn text(&self) -> String {
        ByteSize(self.0.most.load(Ordering::Relaxed)).to_string()
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn take(&self, bytes: u64) -> bool {
        let most = self.0.most.load(Ordering::Relaxed);
        let more = |used: u64| used.checked_add(bytes).filter(|wanted| *wanted <= most);
        let used = &self.0.used;
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The memory that an instance has of its tenant's quota.
#[derive(Debug, Default)]
pub(super) struct Room {
    quota: MemoryQuota,
    /// The idle instances, which go before anybody is refused.
    warm: Weak<WarmInstances>,
    taken: u64,
}

impl Room {
    pub(super) fn of(quota: &MemoryQuota, warm: &Arc<WarmInstances>) -> Self {
        Self {
            quota: quota.clone(),
            warm: Arc::downgrade(warm),
            taken: 0,
        }
    }

    pub(super) fn quota(&self) -> &MemoryQuota {
        &self.quota
    }

    /// Takes more of the quota, if it has as much.
    pub(super) fn take(&mut self, bytes: u64) -> bool {
        while !self.quota.take(bytes) {
            let warm = self.warm.upgrade();
            if !warm.is_some_and(|warm| warm.let_go(&self.quota)) {
                return false;
            }
        }
        self.taken += bytes;
        true
    }
}

/// The same place, with nothing taken yet.
impl Clone for Room {
    fn clone(&self) -> Self {
        Self {
            quota: self.quota.clone(),
            warm: self.warm.clone(),
            taken: 0,
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.quota.give_back(self.taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_over_all_instances_and_given_back_when_they_go() {
        let (quota, warm) = (MemoryQuota::default(), Arc::default());
        quota.set(Some(100));
        let (mut one, mut other) = (Room::of(&quota, &warm), Room::of(&quota, &warm));
        assert!(one.take(60) && other.take(40) && !other.take(1));
        let copy = one.clone();
        drop((one, copy));
        assert_eq!(quota.used(), 40);
        assert!(other.take(60));
        quota.set(Some(10));
        assert!(!other.take(1));
        quota.set(None);
        assert!(other.take(1 << 40));
        drop(other);
        assert_eq!(quota.used(), 0);
    }
}
