//! How long something takes that is done over and over.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// How often it was done, and for how long in all.
#[derive(Debug, Default)]
pub(crate) struct Times {
    count: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Times {
    pub(crate) const fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
        }
    }

    /// Does it once.
    pub(crate) fn measure<T>(&self, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = work();
        let took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(took, Ordering::Relaxed);
        done
    }

    /// How often it was done, and for how many seconds in all.
    pub(crate) fn read(&self) -> (u64, f64) {
        let nanoseconds = self.nanoseconds.load(Ordering::Relaxed);
        (self.count.load(Ordering::Relaxed), nanoseconds as f64 / 1e9)
    }
}
