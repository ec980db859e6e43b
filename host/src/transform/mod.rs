//! Transforms: plugins, which are WebAssembly components of the contract in `wit/transform.wit`, at work on Arrow batches.
//!
//! The way in: [`resolve`] finds a plugin's file, [`Runtime::load`] compiles and checks it, [`Chain::bind`] shows it (and the ones after it) a
//! table, [`Chain::instance`] gives a worker its own sandbox, and [`ChainInstance::apply`] sends batches through.
//!
//! What is promised:
//! - A plugin is given only the columns that it reads, and gives back only those that it computes. Everything else passes by reference, and
//!   is filtered natively, once a step.
//! - A plugin is hostile until proven otherwise: whatever it answers, however long it takes and however much memory it wants, the host gets checked
//!   Arrow arrays or a [`TransformError`] that names plugin, table, chunk and reason. The next call gets a fresh instance.
//! - A plugin has no files, no network, no environment unless they are granted, its clock stands still and its random numbers follow from the
//!   batch: the same batch gives the same answer.
//!
//! Everything here is synchronous and blocks its thread for as long as the guest runs: call it from worker threads of your own.
//! What a pipe, a chunk or a destination is, this module doesn't know; Arrow is its only language.

mod apply;
mod binding;
mod cache;
mod chain;
mod compile;
mod config_schema;
mod contract;
mod error;
mod guest;
mod instance;
mod lift;
mod limits;
mod lower;
mod plan;
mod plugin;
mod quota;
mod resolve;
mod runtime;
mod salvage;
mod step;
mod tolerance;
mod types;
mod usage;
mod warm;
mod wasi;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use apply::{Applied, ChainInstance, Given, Rejected};
pub use binding::TableShape;
pub use cache::default_cache_dir;
pub use chain::Chain;
pub use compile::{Compiler, compile_standard_input};
pub use error::{LimitKind, Refusal, Site, TransformError, Violation};
pub use limits::Limits;
pub use plan::Lineage;
pub use plugin::Plugin;
pub use quota::MemoryQuota;
pub use resolve::{PLUGIN_PATH, resolve};
pub use runtime::{Runtime, RuntimeSettings, digest_of, read_plugin};
pub use step::{Step, StepBinding, StepTotals};
pub use tolerance::Tolerance;
pub use usage::Usage;
pub use wasi::{Grants, Origin};

/// This user's folder for what can be made again: `$XDG_CACHE_HOME/tidemill`, or `~/.cache/tidemill`.
pub(crate) fn user_cache_dir() -> Option<PathBuf> {
    let given = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute());
    let cache = given.or_else(|| Some(std::env::home_dir()?.join(".cache")))?;
    Some(cache.join("tidemill"))
}

/// Locks what is whole after every statement, whoever panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod scripted;
#[cfg(test)]
mod tests;
