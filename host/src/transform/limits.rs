//! What a guest may use up: memory, time, CPU, the size of an answer, log lines. Nothing here knows what a plugin does.
//!
//! Memory is counted over all memories and tables of an instance, and a request beyond the limit ends the call, so that the error
//! can say what was asked. Time is counted by epochs: a ticker thread moves the engine's clock every [`TICK`], and a call that outlives
//! its deadline is cut. The clock is the wall's, so a deadline should leave room for a busy machine. CPU is the thread's own, summed over
//! all instances of a transform on a table.

use std::time::Duration;

use bytesize::ByteSize;
use wasmtime::Engine;

/// The time between two epochs.
pub(super) const TICK: Duration = Duration::from_millis(10);
/// What a row counts for, beside its bytes, when the growth of an answer is measured: a plugin may compute much out of few bytes.
const ROW_BYTES: u64 = 64;

/// What an instance of a plugin may use. A pipe sets them per transform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory of an instance, in bytes. 64 MiB by default.
    pub memory_bytes: u64,
    /// Time for a call: `process` for a batch, `bind` and `describe` likewise. 10 s by default; it is rounded up to 10 ms.
    pub batch_deadline: Duration,
    /// CPU time of all calls of one resync's load together, on one table; it is looked at before each call. 12 h by default.
    pub cpu: Duration,
    /// Size of an answer, in bytes. 64 MiB by default.
    pub output_bytes: u64,
    /// Size of an answer as a multiple of what the plugin was given, where each row counts for 64 bytes beside its values. 16 by default.
    pub growth: u32,
    /// Batches after which an instance is replaced, so that a guest's leaks and broken state have an end. 4,096 by default.
    pub batches: u32,
    /// Lines that an instance may log for a batch; the rest is counted and dropped. 100 by default.
    pub log_lines: u32,
    /// Whether what it writes to its standard output and error is logged; such lines may hold values of rows. Not by default.
    pub show_output: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            batch_deadline: Duration::from_secs(10),
            cpu: Duration::from_secs(12 * 3600),
            output_bytes: 64 << 20,
            growth: 16,
            batches: 4096,
            log_lines: 100,
            show_output: false,
        }
    }
}

impl Limits {
    /// The deadline in epochs. One more than the quotient, because the current epoch is already partly over.
    pub(super) fn deadline_ticks(&self) -> u64 {
        let ticks = self.batch_deadline.as_nanos().div_ceil(TICK.as_nanos());
        u64::try_from(ticks)
            .unwrap_or(u64::MAX / 4)
            .min(u64::MAX / 4)
            + 1
    }

    /// The largest answer to so many rows of so many bytes.
    pub(super) fn grown_bytes(&self, rows: u32, given: u64) -> u64 {
        u64::from(self.growth).saturating_mul(given.saturating_add(ROW_BYTES * u64::from(rows)))
    }

    pub(super) fn memory_text(&self) -> String {
        ByteSize(self.memory_bytes).to_string()
    }

    pub(super) fn output_text(&self) -> String {
        ByteSize(self.output_bytes).to_string()
    }
}

/// Moves the engine's epoch until the engine is gone. The thread holds no engine alive.
pub(super) fn start_ticker(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    };
    std::thread::Builder::new()
        .name("plugin-clock".to_owned())
        .spawn(tick)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_shorter_than_asked() {
        let ticks = |deadline| {
            Limits {
                batch_deadline: deadline,
                ..Limits::default()
            }
            .deadline_ticks()
        };
        assert_eq!(ticks(Duration::ZERO), 1);
        assert_eq!(ticks(Duration::from_millis(200)), 21);
        assert_eq!(ticks(Duration::from_millis(201)), 22);
        assert!(ticks(Duration::MAX) < u64::MAX / 2);
    }
}
