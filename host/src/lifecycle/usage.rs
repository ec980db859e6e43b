//! What pipes have used in this process: CPU time of their plugins, rows. It is counted as it happens, batch by batch, and begins at zero with
//! the process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

/// What a tenant has used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Its pipes, by name; those that did nothing are left out.
    pub pipes: BTreeMap<String, PipeUsage>,
    /// The memory that its plugin instances have now, in bytes.
    pub plugin_memory_bytes: u64,
}

/// What a pipe has used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PipeUsage {
    /// Rows that were read by loads.
    pub rows_loaded: u64,
    /// Images of rows that came with changes.
    pub rows_followed: u64,
    /// Its plugins, by name.
    pub plugins: BTreeMap<String, PluginUsage>,
}

/// What a plugin has used in a pipe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PluginUsage {
    /// CPU time, in microseconds.
    pub cpu_us: u64,
    /// Rows that it was given; those of a batch that was parted count each time.
    pub rows: u64,
}

/// The meters of a tenant's pipes.
#[derive(Debug, Default)]
pub(super) struct Meters(Mutex<BTreeMap<String, Meter>>);

impl Meters {
    /// A pipe's meter: always the same one.
    pub(super) fn of(&self, pipe: &str) -> Meter {
        let mut meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        meters.entry(pipe.to_owned()).or_default().clone()
    }

    /// What was counted of a pipe.
    pub(super) fn read(&self, pipe: &str) -> PipeUsage {
        let meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        meters.get(pipe).map(Meter::read).unwrap_or_default()
    }

    /// What was counted of all pipes that did something.
    pub(super) fn read_all(&self) -> BTreeMap<String, PipeUsage> {
        let meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = meters
            .iter()
            .map(|(pipe, meter)| (pipe.clone(), meter.read()));
        read.filter(|(_, usage)| *usage != PipeUsage::default())
            .collect()
    }

    /// Forgets a pipe that is gone.
    pub(super) fn forget(&self, pipe: &str) {
        let mut meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        meters.remove(pipe);
    }
}

/// Counts what a pipe uses. A clone is the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Arc<Mutex<PipeUsage>>);

impl Meter {
    pub(super) fn loaded(&self, rows: u64) {
        self.change(|usage| usage.rows_loaded += rows);
    }

    pub(super) fn followed(&self, rows: u64) {
        self.change(|usage| usage.rows_followed += rows);
    }

    pub(super) fn plugin(&self, name: &str, cpu: Duration, rows: u64) {
        self.change(|usage| {
            if !usage.plugins.contains_key(name) {
                usage
                    .plugins
                    .insert(name.to_owned(), PluginUsage::default());
            }
            if let Some(plugin) = usage.plugins.get_mut(name) {
                plugin.cpu_us += u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX);
                plugin.rows += rows;
            }
        });
    }

    fn read(&self) -> PipeUsage {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn change(&self, change: impl FnOnce(&mut PipeUsage)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pipe_uses_is_summed_by_plugin_and_pipes_that_did_nothing_are_left_out() {
        let meters = Meters::default();
        let meter = meters.of("shop");
        meters.of("idle");
        for _ in 0..2 {
            meter.plugin("mask", Duration::from_micros(1500), 10);
            meters.of("shop").loaded(10);
        }
        let mask = PluginUsage {
            cpu_us: 3000,
            rows: 20,
        };
        let expected = PipeUsage {
            rows_loaded: 20,
            plugins: BTreeMap::from([("mask".to_owned(), mask)]),
            ..PipeUsage::default()
        };
        assert_eq!(meters.read("shop"), expected);
        assert_eq!(
            meters.read_all(),
            BTreeMap::from([("shop".to_owned(), expected)])
        );
        meters.forget("shop");
        assert_eq!(meters.read_all(), BTreeMap::new());
    }
}
