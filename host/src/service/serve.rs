//! The process: it opens the store, runs what should run, answers requests, and ends when it is asked to.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use url::Url;

use super::connections::{self, Limits};
use super::drafts::Drafts;
use super::events::Events;
use super::metrics::{Metrics, OperatorToken, SAMPLE_EVERY};
use super::shares::Shares;
use super::store::{Store, StoreError};
use super::supervisor::Supervisor;
use super::vault::{Vault, VaultError};
use super::{Service, api, webhooks};
use crate::lifecycle::{Environment, Error};
use crate::policy::{Policy, PolicyError};

/// Threads that answer requests.
const API_THREADS: usize = 2;
/// Threads that may wait for a server or compute: a pipe that follows has two, one of which waits for the binlog, a load one for each chunk.
const BLOCKING_THREADS: usize = 8192;

/// How much threads that load and transform stand back behind those that answer requests, as `nice` has it.
const NICE: i32 = 10;
/// How long requests, and then changes, that have begun are waited for at the end.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);
/// How often it is looked whether the operator has changed tenants' quotas.
const QUOTAS_EVERY: std::time::Duration = std::time::Duration::from_secs(2);

/// What the operator sets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data folder.
    pub data: PathBuf,
    /// Where requests come in.
    pub listen: SocketAddr,
    /// The file of the key that secrets are encrypted with; none: it is in the environment.
    pub key_file: Option<PathBuf>,
    /// Whether loads and resyncs are finished before the process ends.
    pub drain: bool,
    /// The token by which the metrics of all tenants are told; none: nobody is told of all.
    pub metrics_token: Option<SecretString>,
    /// Where browsers find the service, if a proxy is in front of it.
    pub public_url: Option<Url>,
}

/// Why the service can't run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The store can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Secrets can't be kept.
    #[error("{0}")]
    Vault(String),
    /// The operator's policy can't be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The engine can't be started.
    #[error(transparent)]
    Engine(#[from] Error),
    /// Another service has the data folder.
    #[error("another service is at work in {folder}", folder = folder.display())]
    Locked {
        /// The data folder.
        folder: PathBuf,
    },
    /// The operator's token for metrics is none.
    #[error("the token for metrics has at least 16 characters; `openssl rand -hex 32` makes one")]
    MetricsToken,
    /// The address can't be listened at.
    #[error("the address {address} can't be listened at: {cause}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        cause: std::io::Error,
    },
    /// The system has refused something.
    #[error("the system has refused: {0}")]
    System(#[from] std::io::Error),
}

impl From<VaultError> for ServeError {
    fn from(error: VaultError) -> Self {
        Self::Vault(error.to_string())
    }
}

/// Serves until the process is asked to end. `ready` is told the address that is listened at.
pub fn serve(settings: &Settings, ready: impl FnOnce(SocketAddr)) -> Result<(), ServeError> {
    raise_file_limit();
    let operator = settings.metrics_token.as_ref();
    let operator = operator
        .map(|token| OperatorToken::new(token).ok_or(ServeError::MetricsToken))
        .transpose()?;
    let store = Arc::new(Store::open(&settings.data)?);
    let _lock = lock(&settings.data)?;
    let vault = Arc::new(Vault::open(&store, settings.key_file.as_deref())?);
    for tenant in store.tenants()? {
        store.tenant(&tenant.name).forget_cut_requests()?;
    }
    let environment = Environment::of_service(Policy::load()?)?;
    let work = Builder::new_multi_thread()
        .enable_all()
        .thread_name("pipes")
        .max_blocking_threads(BLOCKING_THREADS)
        .on_thread_start(step_back)
        .build()?;
    let service = Arc::new(Service {
        data: std::path::absolute(&settings.data)?,
        events: Events::start(store.clone(), work.handle()),
        store: store.clone(),
        metrics: Metrics::new(operator),
        vault,
        supervisor: Supervisor::new(),
        shares: Shares::new(store.clone(), environment.clone()),
        environment,
        work: work.handle().clone(),
        drafts: Drafts::default(),
        changes: Arc::default(),
        https: settings
            .public_url
            .as_ref()
            .is_some_and(|url| url.scheme() == "https"),
    });
    let answers = Builder::new_multi_thread()
        .worker_threads(API_THREADS)
        .enable_all()
        .thread_name("answers")
        .build()?;
    let done = answers.block_on(answer(&service, settings, ready));
    end(work);
    done
}

/// Removes a tenant with all that is kept of it, while no service is at work in the data folder.
pub fn remove_tenant(
    data: &std::path::Path,
    store: &Store,
    tenant: &str,
) -> Result<(), ServeError> {
    let _lock = lock(data)?;
    let folder = data.join("tenants").join(tenant);
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    store.remove_tenant(tenant)?;
    Ok(())
}

/// Encrypts a data folder's secrets with another key, while no service is at work there: how many there are.
pub fn rekey(
    data: &std::path::Path,
    key_file: Option<&std::path::Path>,
    new_key_file: &std::path::Path,
) -> Result<usize, ServeError> {
    let store = Store::open(data)?;
    let _lock = lock(data)?;
    Ok(Vault::open(&store, key_file)?.rekey(&store, new_key_file)?)
}

/// Ends the pipes' runtime: what still waits there has nothing more to do.
fn end(work: Runtime) {
    work.shutdown_timeout(std::time::Duration::from_secs(1));
}

async fn answer(
    service: &Arc<Service>,
    settings: &Settings,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    let failed = |cause| ServeError::Listen {
        address: settings.listen,
        cause,
    };
    let listener = TcpListener::bind(settings.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    service.supervisor.start_wanted(service)?;
    service.work.spawn(sample(service.clone()));
    service.work.spawn(keep_quotas(service.clone()));
    service.work.spawn(webhooks::deliver(service.clone()));
    let router = api::router(service).with_state(service.clone());
    let (ending, ended) = watch::channel(false);
    let mut stopping = ended.clone();
    let graceful = async move {
        // A sender that is gone has ended, too.
        let _ = stopping.wait_for(|ended| *ended).await;
    };
    let served = connections::serve(listener, router, Limits::default(), graceful);
    let served = tokio::spawn(served);
    ready(address);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!(drain = settings.drain, "ending");
    let (hurrying, hurry) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let _ = hurrying.send(true);
        std::future::pending::<()>().await;
    });
    let closed = service.clone();
    let drain = settings.drain;
    let close = async move { closed.supervisor.close(drain, &hurry).await };
    let _ = service.work.spawn(close).await;
    let _ = ending.send(true);
    // Streams of events don't end by themselves.
    let _ = tokio::time::timeout(PATIENCE, served).await;
    // Nor do changes whose clients have gone hold a connection.
    let _ = tokio::time::timeout(PATIENCE, service.changes.write()).await;
    Ok(())
}

/// Takes samples of what pipes do.
async fn sample(service: Arc<Service>) {
    let mut ticks = tokio::time::interval(SAMPLE_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for (id, running) in service.supervisor.all() {
            let usage = service.environment_of(&id.tenant).usage_of(&id.name);
            running.observer.sample(usage);
        }
    }
}

/// Takes up what the operator changes of tenants' quotas.
async fn keep_quotas(service: Arc<Service>) {
    let mut ticks = tokio::time::interval(QUOTAS_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        service.shares.take_up();
    }
}

/// Lets threads that answer requests go first: this one loads and transforms.
fn step_back() {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "a thread keeps its priority");
    }
}

/// One service works in a data folder.
fn lock(data: &std::path::Path) -> Result<std::fs::File, ServeError> {
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(data.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(ServeError::Locked {
            folder: data.to_owned(),
        }),
        Err(std::fs::TryLockError::Error(cause)) => Err(cause.into()),
    }
}

/// A pipe that follows has about ten files and connections open: as many as the system allows.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}
