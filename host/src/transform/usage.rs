//! What plugins have used: calls, time, CPU, bytes, memory. Counted at each call, summed for each transform of a table.

use std::ops::AddAssign;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// What the calls of a plugin took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Calls of `process`.
    pub batches: u64,
    /// Rows that they were given.
    pub rows: u64,
    /// Time in the plugin, by the wall's clock: all of a call, with the way of the values in and out.
    pub wall: Duration,
    /// CPU time of the same.
    pub cpu: Duration,
    /// Bytes that were given to `process`.
    pub given_bytes: u64,
    /// Bytes that it gave back.
    pub answered_bytes: u64,
    /// The most memory that an instance had.
    pub peak_memory_bytes: u64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.batches += other.batches;
        self.rows += other.rows;
        self.wall += other.wall;
        self.cpu += other.cpu;
        self.given_bytes += other.given_bytes;
        self.answered_bytes += other.answered_bytes;
        self.peak_memory_bytes = self.peak_memory_bytes.max(other.peak_memory_bytes);
    }
}

/// Measures a call on this thread.
pub(super) struct Watch {
    begun: Instant,
    cpu: Duration,
}

impl Watch {
    pub(super) fn start() -> Self {
        Self {
            begun: Instant::now(),
            cpu: thread_cpu(),
        }
    }

    /// Adds the time since the start.
    pub(super) fn stop(self, usage: &mut Usage) {
        usage.wall += self.begun.elapsed();
        usage.cpu += thread_cpu().saturating_sub(self.cpu);
    }
}

/// The CPU time of this thread.
fn thread_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_cpu_time_and_waiting_is_not() {
        let mut usage = Usage::default();
        let watch = Watch::start();
        let begun = thread_cpu();
        while thread_cpu() - begun < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        std::thread::sleep(Duration::from_millis(50));
        watch.stop(&mut usage);
        assert!(usage.cpu >= Duration::from_millis(20), "{usage:?}");
        assert!(
            usage.wall >= usage.cpu + Duration::from_millis(40),
            "{usage:?}"
        );
    }
}
