//! What the pipes of a process share: the engine of their plugins, the operator's policy, and how they are looked after.

use std::sync::Arc;
use std::time::Duration;

use super::error::Error;
use super::share::Share;
use super::supply::Supply;
use super::usage::{PipeUsage, Usage};
use crate::pipe::Pipe;
use crate::policy::Policy;
use crate::transform::{Compiler, Runtime, RuntimeSettings, default_cache_dir};

/// How often a process that has one pipe looks for orders and at the pipe file.
const LOOK: Duration = Duration::from_millis(300);
/// The same in a service, which wakes the pipe that an order is for.
const LOOK_OF_SERVICE: Duration = Duration::from_secs(5);
/// Plugin instances of a service, at most. Each reserves four memories of 4 GiB of address space, of which a process has 128 TiB.
const INSTANCES_OF_SERVICE: u32 = 2048;

/// What pipes share. A clone is the same one.
#[derive(Clone, Debug)]
pub struct Environment {
    pub(super) runtime: Runtime,
    /// Where plugins come from.
    pub(super) supply: Arc<Supply>,
    pub(super) look: Duration,
    pub(super) share: Share,
}

impl Environment {
    /// For a process that has this pipe alone, by the policy of this machine.
    pub fn of_pipe(pipe: &Pipe) -> Result<Self, Error> {
        let least = RuntimeSettings::default().max_instances;
        Self::new(Policy::load()?, least.max(instances(pipe)), LOOK)
    }

    /// For a service with many pipes.
    pub fn of_service(policy: Policy) -> Result<Self, Error> {
        Self::new(policy, INSTANCES_OF_SERVICE, LOOK_OF_SERVICE)
    }

    fn new(policy: Policy, max_instances: u32, look: Duration) -> Result<Self, Error> {
        let supply = Supply::new(policy);
        let runtime = Runtime::new(RuntimeSettings {
            cache_dir: default_cache_dir(),
            max_instances,
            compiler: Compiler::own(),
            compile_deadline: supply.compile_time(),
            ..RuntimeSettings::default()
        })?;
        Ok(Self {
            runtime,
            supply: Arc::new(supply),
            look,
            share: Share::unlimited(),
        })
    }

    /// The same for a tenant, who has this share, waits for no other one's compilations, and has plugins of registries that the policy names only.
    pub fn for_tenant(&self, share: &Share) -> Self {
        Self {
            runtime: self.runtime.for_another_tenant(share.memory()),
            supply: Arc::new(Supply::for_tenant(self.policy())),
            share: share.clone(),
            ..self.clone()
        }
    }

    /// What the pipes of this environment have used, in this process.
    pub fn usage(&self) -> Usage {
        Usage {
            pipes: self.share.meters().read_all(),
            plugin_memory_bytes: self.share.memory().used(),
        }
    }

    /// What a pipe has used, in this process.
    pub fn usage_of(&self, pipe: &str) -> PipeUsage {
        self.share.meters().read(pipe)
    }

    /// Forgets what a pipe has used: it is gone.
    pub fn forget_usage(&self, pipe: &str) {
        self.share.meters().forget(pipe);
    }

    /// The engine.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// What the operator allows.
    pub fn policy(&self) -> &Policy {
        self.supply.policy()
    }
}

/// The plugin instances that a pipe may have at one time: those of the chunks in parallel, as many that are still warm, and those of the
/// tables that follow.
fn instances(pipe: &Pipe) -> u32 {
    let steps = pipe.tables.iter().map(|table| table.transforms.len()).max();
    let loading = 2 * pipe.snapshot.parallel_chunks * steps.unwrap_or(0);
    // A table that follows has a chain of its own, and one more while it is resynced.
    let following: usize = pipe
        .tables
        .iter()
        .map(|table| 2 * table.transforms.len())
        .sum();
    u32::try_from(loading + following).unwrap_or(u32::MAX)
}
