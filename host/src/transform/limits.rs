//! What a guest may use up: memory, time, the size of an answer, log lines. All of it is per instance; nothing here knows what a plugin does.
//!
//! Memory is counted over all memories and tables of an instance, and a request beyond the limit ends the call, so that the error
//! can say what was asked. Time is counted by epochs: a ticker thread moves the engine's clock every [`TICK`], and a call that outlives
//! its deadline is cut. The clock is the wall's, so a deadline should leave room for a busy machine.

use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use wasmtime::{Engine, ResourceLimiter};

use super::contract::Level;

/// The time between two epochs.
pub(super) const TICK: Duration = Duration::from_millis(10);
/// Elements of all tables of an instance together.
const TABLE_ELEMENTS: usize = 100_000;

/// What an instance of a plugin may use. A pipe sets them per transform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory of an instance, in bytes. 64 MiB by default.
    pub memory_bytes: u64,
    /// Time for a call: `process` for a batch, `bind` and `describe` likewise. 10 s by default; it is rounded up to 10 ms.
    pub batch_deadline: Duration,
    /// Size of an answer, in bytes. 64 MiB by default.
    pub output_bytes: u64,
    /// Lines that an instance may log for a batch; the rest is counted and dropped. 100 by default.
    pub log_lines: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            batch_deadline: Duration::from_secs(10),
            output_bytes: 64 << 20,
            log_lines: 100,
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

/// What the host keeps for an instance: its use of memory, and its log.
pub(super) struct Guest {
    plugin: Arc<str>,
    memory_limit: usize,
    memory_used: usize,
    memory_refused: Option<usize>,
    log_limit: u32,
    log_lines: u32,
    log_dropped: u64,
    last_error: Option<String>,
}

impl Guest {
    pub(super) fn new(plugin: Arc<str>, limits: &Limits) -> Self {
        Self {
            plugin,
            memory_limit: usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX),
            memory_used: 0,
            memory_refused: None,
            log_limit: limits.log_lines,
            log_lines: 0,
            log_dropped: 0,
            last_error: None,
        }
    }

    /// Before a call: its log is its own.
    pub(super) fn begin_call(&mut self) {
        self.log_lines = 0;
        self.last_error = None;
    }

    /// After a call: says how many lines were dropped.
    pub(super) fn end_call(&mut self) {
        if self.log_dropped > 0 {
            tracing::warn!(
                plugin = &*self.plugin,
                dropped = self.log_dropped,
                limit = self.log_limit,
                "the plugin logs too much: lines were dropped; the setting is `limits.log_lines`"
            );
            self.log_dropped = 0;
        }
    }

    /// The memory that was refused, in bytes: what the guest would have had with it.
    pub(super) fn memory_refused(&self) -> Option<usize> {
        self.memory_refused
    }

    /// The last line that the guest logged as an error during this call: a panic's text.
    pub(super) fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// A line of the guest's log, already fit to be shown. An error is remembered even where the line is dropped.
    pub(super) fn log(&mut self, level: Level, text: String) {
        let dropped = self.log_lines >= self.log_limit;
        if dropped && level != Level::Error {
            self.log_dropped += 1;
            return;
        }
        if dropped {
            self.log_dropped += 1;
        } else {
            self.log_lines += 1;
            let plugin = &*self.plugin;
            match level {
                Level::Debug => tracing::debug!(plugin, "{text}"),
                Level::Info => tracing::info!(plugin, "{text}"),
                Level::Warn => tracing::warn!(plugin, "{text}"),
                Level::Error => tracing::error!(plugin, "{text}"),
            }
        }
        if level == Level::Error {
            self.last_error = Some(text);
        }
    }

    fn grow(&mut self, more: usize) -> wasmtime::Result<bool> {
        let wanted = self.memory_used.saturating_add(more);
        if wanted > self.memory_limit {
            self.memory_refused = Some(wanted);
            // Not `Ok(false)`: most guests answer a refused growth with a crash that says nothing.
            return Err(wasmtime::Error::msg("the memory limit is reached"));
        }
        self.memory_used = wanted;
        Ok(true)
    }
}

impl ResourceLimiter for Guest {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow(desired.saturating_sub(current))
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_over_all_memories() {
        let mut guest = Guest::new(
            "p".into(),
            &Limits {
                memory_bytes: 3 << 16,
                ..Limits::default()
            },
        );
        assert!(guest.memory_growing(0, 1 << 16, None).unwrap());
        assert!(guest.memory_growing(0, 2 << 16, None).unwrap());
        assert!(guest.memory_growing(1 << 16, 2 << 16, None).is_err());
        assert_eq!(guest.memory_refused(), Some(4 << 16));
    }

    #[test]
    fn log_lines_beyond_the_limit_are_dropped_but_the_last_error_is_known() {
        let mut guest = Guest::new(
            "p".into(),
            &Limits {
                log_lines: 1,
                ..Limits::default()
            },
        );
        guest.begin_call();
        guest.log(Level::Info, "one".into());
        guest.log(Level::Info, "two".into());
        guest.log(Level::Error, "panicked at 'why'".into());
        assert_eq!(
            (guest.log_lines, guest.log_dropped, guest.last_error()),
            (1, 2, Some("panicked at 'why'"))
        );
    }

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
