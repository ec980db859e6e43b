//! Each tenant's share of the machine, by the quotas that the store has: one for all of its pipes and requests, for as long as the process lives.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::store::{Quotas, Store};
use crate::lifecycle::{Allowance, Environment, Machine, Share};

/// The shares of a service's tenants.
pub(super) struct Shares {
    store: Arc<Store>,
    machine: Machine,
    environment: Environment,
    tenants: Mutex<HashMap<String, Tenant>>,
}

struct Tenant {
    share: Share,
    environment: Environment,
    /// An upload is in memory as a whole: a tenant has one at a time.
    uploads: Arc<Semaphore>,
}

impl Shares {
    pub(super) fn new(store: Arc<Store>, environment: Environment) -> Self {
        Self {
            store,
            machine: Machine::of_process(),
            environment,
            tenants: Mutex::default(),
        }
    }

    /// What a tenant's pipes share; always the same.
    pub(super) fn of(&self, tenant: &str) -> Environment {
        self.known(tenant, |known| known.environment.clone())
    }

    /// A tenant's turn to upload something.
    pub(super) async fn upload(&self, tenant: &str) -> Option<OwnedSemaphorePermit> {
        let uploads = self.known(tenant, |known| known.uploads.clone());
        // It is never closed.
        uploads.acquire_owned().await.ok()
    }

    fn known<T>(&self, tenant: &str, read: impl Fn(&Tenant) -> T) -> T {
        if let Some(known) = self.tenants().get(tenant) {
            return read(known);
        }
        let quotas = match self.store.tenant_record(tenant) {
            Ok(record) => record.map(|record| record.quotas).unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, tenant, "the tenant has the usual quotas until its own can be read");
                Quotas::default()
            }
        };
        let mut tenants = self.tenants();
        read(tenants.entry(tenant.to_owned()).or_insert_with(|| {
            let share = Share::of(&self.machine, &allowance(&quotas));
            let environment = self.environment.for_tenant(&share);
            Tenant {
                share,
                environment,
                uploads: Arc::new(Semaphore::new(1)),
            }
        }))
    }

    /// Takes up what the store says now.
    pub(super) fn take_up(&self) {
        let records = match self.store.tenants() {
            Ok(records) => records,
            Err(error) => return tracing::warn!(%error, "tenants' quotas can't be read"),
        };
        let tenants = self.tenants();
        for record in records {
            if let Some(tenant) = tenants.get(&record.name) {
                tenant.share.allow(&allowance(&record.quotas));
            }
        }
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<String, Tenant>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn allowance(quotas: &Quotas) -> Allowance {
    Allowance {
        parallel_chunks: usize::try_from(quotas.parallel_chunks).ok(),
        rows_per_second: quotas.rows_per_second,
        cpu_per_minute: quotas.plugin_cpu_ms_per_minute.map(Duration::from_millis),
        plugin_memory_bytes: Some(quotas.plugin_memory_bytes),
    }
}
