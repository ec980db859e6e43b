//! What the host keeps for an instance: its use of memory, its log, what it wrote, and its view of the world.

use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::ResourceLimiter;
use wasmtime_wasi::{WasiCtxView, WasiView};

use super::contract::Level;
use super::error::quote;
use super::limits::Limits;
use super::quota::{MemoryQuota, Room};
use super::runtime::{CORE_INSTANCES, MEMORIES, TABLES};
use super::wasi::World;

/// Elements of all tables of an instance together.
const TABLE_ELEMENTS: usize = 100_000;

/// A world that is only used by whoever has the guest to itself. It is never locked; what WASI keeps can't be shared, and a guest must be.
type Exclusive = Mutex<World>;

/// What the host keeps for an instance: its use of memory, its log, its world.
pub(super) struct Guest {
    plugin: Arc<str>,
    memory_limit: usize,
    memory_used: usize,
    memory_refused: Option<usize>,
    /// What it has of its tenant's memory.
    room: Room,
    /// Whether it was refused for the tenant's quota, and not for its own limit.
    quota_used_up: bool,
    table_elements: usize,
    log_limit: u32,
    log_open: bool,
    log_lines: u32,
    log_dropped: u64,
    last_error: Option<String>,
    show_output: bool,
    /// There if the plugin imports WASI.
    world: Option<Box<Exclusive>>,
}

impl Guest {
    pub(super) fn new(plugin: Arc<str>, limits: &Limits, room: Room, world: Option<World>) -> Self {
        Self {
            plugin,
            show_output: limits.show_output,
            world: world.map(|world| Box::new(Mutex::new(world))),
            memory_limit: usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX),
            memory_used: 0,
            memory_refused: None,
            room,
            quota_used_up: false,
            table_elements: 0,
            log_limit: limits.log_lines,
            log_open: true,
            log_lines: 0,
            log_dropped: 0,
            last_error: None,
        }
    }

    /// Whether lines are shown; where they are not, nobody is told how many there were.
    pub(super) fn log_is_open(&mut self, open: bool) {
        self.log_open = open;
    }

    /// Before a call: its log is its own.
    pub(super) fn begin_call(&mut self) {
        self.log_lines = 0;
        self.last_error = None;
    }

    /// After a call: says how many lines were dropped.
    pub(super) fn end_call(&mut self) {
        self.tell_written();
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

    /// What it wrote is logged if that was asked for, and else forgotten: it may hold values of rows.
    fn tell_written(&mut self) {
        let Some(world) = self.world() else { return };
        let (written, dropped) = world.take_written();
        if written.is_empty() {
            return;
        }
        if !self.show_output {
            let bytes = written.len() as u64 + dropped;
            tracing::debug!(
                plugin = &*self.plugin,
                bytes,
                "the plugin wrote to its standard output or error; `show_output = true` shows it"
            );
            return;
        }
        for line in String::from_utf8_lossy(&written).lines() {
            self.log(Level::Info, quote(line));
        }
        self.log_dropped += u64::from(dropped > 0);
    }

    /// Before a batch: its random numbers are its own.
    pub(super) fn begin_batch(&mut self, place: &str, batch: u64) {
        if let Some(world) = self.world() {
            world.reseed(place, batch);
        }
    }

    fn world(&mut self) -> Option<&mut World> {
        let world = self.world.as_mut()?.get_mut();
        Some(world.unwrap_or_else(PoisonError::into_inner))
    }

    /// The memory that it has, in bytes. It never shrinks.
    pub(super) fn memory_used(&self) -> usize {
        self.memory_used
    }

    /// The memory that was refused, in bytes: what the guest would have had with it.
    pub(super) fn memory_refused(&self) -> Option<usize> {
        self.memory_refused
    }

    /// Whether it was refused because the tenant's plugins have all that they may have together.
    pub(super) fn is_quota_used_up(&self) -> bool {
        self.quota_used_up
    }

    /// Whose memory it has.
    pub(super) fn quota(&self) -> &MemoryQuota {
        self.room.quota()
    }

    /// The last line that the guest logged as an error during this call: a panic's text.
    pub(super) fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// A line of the guest's log, already fit to be shown. An error is remembered even where the line is dropped.
    pub(super) fn log(&mut self, level: Level, text: String) {
        if !self.log_open {
            if level == Level::Error {
                self.last_error = Some(text);
            }
            return;
        }
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
        let within = wanted <= self.memory_limit;
        self.quota_used_up = within && !self.room.take(more as u64);
        if !within || self.quota_used_up {
            self.memory_refused = Some(wanted);
            // Not `Ok(false)`: most guests answer a refused growth with a crash that says nothing.
            return Err(wasmtime::Error::msg("the memory limit is reached"));
        }
        self.memory_used = wanted;
        Ok(true)
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        // A guest without imports of WASI calls none of it; should one, its world is empty.
        let world = self.world.get_or_insert_default().get_mut();
        let world = world.unwrap_or_else(PoisonError::into_inner);
        WasiCtxView {
            ctx: &mut world.context,
            table: &mut world.table,
        }
    }
}

impl ResourceLimiter for Guest {
    // The pool has the same numbers; where there is no pool they hold by this.
    fn instances(&self) -> usize {
        CORE_INSTANCES as usize
    }

    fn memories(&self) -> usize {
        MEMORIES as usize
    }

    fn tables(&self) -> usize {
        TABLES as usize
    }

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
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let wanted = self.table_elements.saturating_add(more);
        let fits = wanted <= TABLE_ELEMENTS;
        if fits {
            self.table_elements = wanted;
        }
        Ok(fits)
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
            Room::default(),
            None,
        );
        assert!(guest.memory_growing(0, 1 << 16, None).unwrap());
        assert!(guest.memory_growing(0, 2 << 16, None).unwrap());
        assert!(guest.memory_growing(1 << 16, 2 << 16, None).is_err());
        assert_eq!(guest.memory_refused(), Some(4 << 16));
    }

    #[test]
    fn elements_are_counted_over_all_tables() {
        let mut guest = Guest::new("p".into(), &Limits::default(), Room::default(), None);
        for _ in 0..TABLE_ELEMENTS / 20_000 {
            assert!(guest.table_growing(0, 20_000, None).unwrap());
        }
        assert!(!guest.table_growing(20_000, 20_001, None).unwrap());
    }

    #[test]
    fn log_lines_beyond_the_limit_are_dropped_but_the_last_error_is_known() {
        let mut guest = Guest::new(
            "p".into(),
            &Limits {
                log_lines: 1,
                ..Limits::default()
            },
            Room::default(),
            None,
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
}
