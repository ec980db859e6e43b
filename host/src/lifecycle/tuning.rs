//! The settings that can be changed while a pipe runs: how it loads, how changes are applied, what spares the source. They are read from
//! the pipe file again when that changes.

use std::sync::{Arc, PoisonError, RwLock};

use super::brakes::Brakes;
use super::pace::Pace;
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
    /// What holds a load to spare the source.
    pub(super) brakes: Brakes,
    /// The ceiling for the rows read a second.
    pub(super) pace: Pace,
}

impl Tuning {
    pub(super) fn new(pipe: &Pipe) -> Self {
        Self {
            settings: RwLock::new(Arc::new(Settings::of(pipe))),
            brakes: Brakes::new(pipe.brakes.clone()),
            pace: Pace::new(pipe.snapshot.rows_per_second),
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
            self.brakes.set(new.brakes.clone());
            self.pace.set_rows_per_second(new.snapshot.rows_per_second);
            *settings = Arc::new(new);
        }
        differs
    }
}
