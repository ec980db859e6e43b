//! Each tenant's share of the machine, by the quotas that the store has: one for all of its pipes and requests, for as long as the process lives.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::problem::Problem;
use super::store::{Quotas, Store};
use crate::lifecycle::{Allowance, Environment, Machine, Share};

/// Looks at servers (check, plan, preview, a query, rejected rows, the tables of a source) that a tenant has at a time.
const LOOKS: usize = 8;
/// How long another look waits for one of them to end.
const LOOK_WAITS: Duration = Duration::from_secs(30);
/// Threads that a tenant's requests have at a time for what the disk is needed for.
const DISK_THREADS: usize = 8;

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
    looks: Arc<Semaphore>,
    disk: Arc<Semaphore>,
}

/// A tenant's turn, until the last who holds it lets go of it.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Turn {
    /// The next of these; none if there are none any more, which doesn't happen.
    async fn of(turns: Arc<Semaphore>) -> Option<Self> {
        let permit = turns.acquire_owned().await.ok()?;
        Some(Self {
            _permit: Arc::new(permit),
        })
    }
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
    pub(super) async fn upload(&self, tenant: &str) -> Option<Turn> {
        Turn::of(self.known(tenant, |known| known.uploads.clone())).await
    }

    /// A tenant's turn to look at servers, which is waited for a while.
    pub(super) async fn look(&self, tenant: &str) -> Result<Option<Turn>, Problem> {
        let turn = Turn::of(self.known(tenant, |known| known.looks.clone()));
        timeout(LOOK_WAITS, turn).await.map_err(|_| {
            let detail = format!(
                "{LOOKS} checks, plans, previews and queries of the tenant are at work already, and none has ended in {} s",
                LOOK_WAITS.as_secs()
            );
            let problem = Problem::new(StatusCode::CONFLICT, "busy", detail);
            problem.suggest("send it again when one of them has ended")
        })
    }

    /// A tenant's turn for a thread that reads or writes files.
    pub(super) async fn disk(&self, tenant: &str) -> Option<Turn> {
        Turn::of(self.known(tenant, |known| known.disk.clone())).await
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
                looks: Arc::new(Semaphore::new(LOOKS)),
                disk: Arc::new(Semaphore::new(DISK_THREADS)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    fn shares(data: &std::path::Path) -> Shares {
        let store = Arc::new(Store::open(data).unwrap());
        Shares::new(store, Environment::of_service(Policy::default()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_waits_its_turn_and_says_in_the_end_that_the_tenant_is_busy() {
        let data = tempfile::tempdir().unwrap();
        let shares = shares(data.path());
        let mut looks = Vec::new();
        for _ in 0..LOOKS {
            looks.push(shares.look("acme").await.unwrap().unwrap());
        }
        let began = tokio::time::Instant::now();
        let refused = shares.look("acme").await.unwrap_err();
        assert_eq!((refused.status, refused.code.as_str()), (409, "busy"));
        assert_eq!(began.elapsed(), LOOK_WAITS);
        assert!(shares.look("other").await.unwrap().is_some());
        let ended = looks.pop();
        let (waited, ()) = tokio::join!(shares.look("acme"), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(ended);
        });
        assert!(waited.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_turn_ends_with_the_last_who_holds_it() {
        let data = tempfile::tempdir().unwrap();
        let shares = shares(data.path());
        let of_request = shares.upload("acme").await.unwrap();
        let of_task = of_request.clone();
        drop(of_request);
        let wait = Duration::from_millis(50);
        assert!(timeout(wait, shares.upload("acme")).await.is_err());
        drop(of_task);
        assert!(timeout(wait, shares.upload("acme")).await.is_ok());
    }
}
