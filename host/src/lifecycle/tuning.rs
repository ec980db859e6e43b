//! The settings that can be changed while a pipe runs: how it loads, how changes are applied, what spares the source. They are read from
//! the pipe file again when that changes.

use std::sync::{Arc, PoisonError, RwLock};

use crate::pipe::{ApplySettings, BrakeSettings, Pipe, SnapshotSettings};

/// The settings in force.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    pub(super) snapshot: SnapshotSettings,
    pub(super) apply: ApplySettings,
    pub(super) brakes: BrakeSettings,
}

impl Settings {
    fn of(pipe: &Pipe) -> Self {
        Self {
            snapshot: pipe.snapshot.clone(),
            apply: pipe.apply.clone(),
            brakes: pipe.brakes.clone(),
        }
    }
}

/// Where all who need the settings find them.
#[derive(Debug)]
pub(super) struct Tuning {
    settings: RwLock<Arc<Settings>>,
}

impl Tuning {
    pub(super) fn new(pipe: &Pipe) -> Self {
        Self {
            settings: RwLock::new(Arc::new(Settings::of(pipe))),
        }
    }

    /// The settings as they are now.
    pub(super) fn get(&self) -> Arc<Settings> {
        let settings = self.settings.read();
        settings.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes up what a pipe file says now; whether anything is different.
    pub(super) fn take_up(&self, pipe: &Pipe) -> bool {
        let new = Settings::of(pipe);
        let mut settings = self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let differs = **settings != new;
        if differs {
            *settings = Arc::new(new);
        }
        differs
    }
}
