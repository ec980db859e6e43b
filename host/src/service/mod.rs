//! The service: many pipes of many tenants in one process, by an API and by web pages.
//!
//! ```text
//! <data>/service.sqlite                          tenants, tokens, pipes and what is wanted of them, sealed secrets, events, audit
//! <data>/tenants/<tenant>/plugins/<name>.wasm    uploaded plugins
//! <data>/tenants/<tenant>/pipes/<pipe>/pipe.toml the pipe's settings, without secrets
//!                                     /state/    its journal, as on the command line
//!                                     /files/    uploaded files
//! ```
//! Requests are answered by a runtime of their own, so that no load keeps them waiting. Who asks is a [`auth::Caller`]; what belongs to a tenant is reached
//! through [`store::TenantStore`] and [`supervisor::PipeId`] alone, which both have the tenant in them.

mod api;
mod auth;
mod changes;
mod connections;
mod drafts;
mod events;
mod looks;
mod metrics;
mod pages;
mod pipes;
mod plugins;
mod problem;
mod serve;
mod shares;
pub mod store;
mod supervisor;
mod uploads;
mod vault;
mod webhooks;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::RwLock;

pub use problem::{Place, Problem};
pub use serve::{ServeError, Settings, rekey, remove_tenant, serve};

use crate::lifecycle::{Environment, Error};
use crate::pipe::{Access, Pipe, Secrets, Tenancy};
use drafts::Drafts;
use events::Events;
use metrics::Metrics;
use secrecy::SecretString;
use shares::Shares;
use store::Store;
use supervisor::{PipeId, Supervisor};
use vault::Vault;

/// What all requests and pipes of the process share.
struct Service {
    data: PathBuf,
    store: Arc<Store>,
    vault: Arc<Vault>,
    events: Events,
    metrics: Metrics,
    supervisor: Supervisor,
    environment: Environment,
    shares: Shares,
    /// Where pipes run.
    work: Handle,
    /// Pipes that are being put together in browsers.
    drafts: Drafts,
    /// Read by each change that is at work: the process ends once it can be written.
    changes: Arc<RwLock<()>>,
    /// Whether browsers reach the service by https, whatever a proxy says.
    https: bool,
}

impl Service {
    /// A tenant's folder.
    fn tenant_folder(&self, tenant: &str) -> PathBuf {
        self.data.join("tenants").join(tenant)
    }

    /// A pipe's folder.
    fn pipe_folder(&self, id: &PipeId) -> PathBuf {
        self.tenant_folder(&id.tenant).join("pipes").join(&id.name)
    }

    /// The file of a pipe's settings.
    fn pipe_file(&self, id: &PipeId) -> PathBuf {
        self.pipe_folder(id).join("pipe.toml")
    }

    /// What a pipe may name, and where its secrets are.
    fn access(&self, id: &PipeId) -> Access {
        Access::Tenant(Arc::new(self.tenancy(id)))
    }

    fn tenancy(&self, id: &PipeId) -> Tenancy {
        Tenancy {
            home: self.pipe_folder(id),
            secrets: Box::new(SealedSecrets {
                store: self.store.clone(),
                vault: self.vault.clone(),
                id: id.clone(),
            }),
            embedded: self.environment.policy().allows_embedded(),
            reach: self.environment.policy().reach(),
        }
    }

    /// A pipe as its settings are now.
    fn load_pipe(&self, id: &PipeId) -> Result<Pipe, Error> {
        Ok(Pipe::load_as(&self.pipe_file(id), self.access(id))?)
    }

    /// What a tenant's pipes share.
    fn environment_of(&self, tenant: &str) -> Environment {
        self.shares.of(tenant)
    }
}

/// The secrets of a pipe, opened when they are needed.
#[derive(Debug)]
struct SealedSecrets {
    store: Arc<Store>,
    vault: Arc<Vault>,
    id: PipeId,
}

impl Secrets for SealedSecrets {
    fn get(&self, name: &str) -> Result<Option<SecretString>, String> {
        let PipeId { tenant, name: pipe } = &self.id;
        let sealed = self.store.tenant(tenant).secret(pipe, name);
        let Some(sealed) = sealed.map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        let opened = self.vault.open_sealed(&[tenant, pipe, name], &sealed);
        opened.map(Some).map_err(|error| error.to_string())
    }
}
