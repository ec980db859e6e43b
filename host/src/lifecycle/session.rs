//! What a run has open: the source, the destination (an embedded one is started and stopped here) and the plugins' runtime.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;

use super::environment::Environment;
use super::error::Error;
use super::pinned;
use super::retry;
use super::share::Share;
use super::supply::Supply;
use super::tuning::Tuning;
use super::usage::Meter;
use crate::destination::embedded::Embedded;
use crate::destination::{Destination, DestinationError};
use crate::pipe::{DestinationServer, Pipe};
use crate::source::Source;
use crate::transform::{Applied, ChainInstance, Runtime, TransformError};

/// The destination, and the embedded server behind it if there is one.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) destination: Destination,
    embedded: Mutex<Option<Embedded>>,
    /// The file that says where this process's embedded server is.
    address: Option<PathBuf>,
}

/// Where the embedded server of the process at work listens, in the pipe's state folder.
const ADDRESS: &str = "clickhouse.url";

/// The embedded server that another process runs, if there is one that answers.
async fn running(pipe: &Pipe) -> Option<Destination> {
    let text = std::fs::read_to_string(pipe.state.join(ADDRESS)).ok()?;
    let url = text.parse().ok()?;
    Destination::connect(&pipe.destination, &url).await.ok()
}

impl Outlet {
    /// Connects to the pipe's destination. A server that just restarts is waited for.
    pub(super) async fn open(pipe: &Pipe) -> Result<Self, Error> {
        let settings = &pipe.destination;
        let (url, embedded) = match &settings.server {
            DestinationServer::Url(url) => (url.clone(), None),
            DestinationServer::Embedded { port } => {
                if let Some(destination) = running(pipe).await {
                    return Ok(Self {
                        destination,
                        embedded: Mutex::new(None),
                        address: None,
                    });
                }
                let embedded = Embedded::start(&pipe.state.join("clickhouse"), *port).await?;
                (embedded.url().clone(), Some(embedded))
            }
        };
        let destination = Destination::connect(settings, &url).await?;
        let mut address = None;
        if embedded.is_some() {
            let file = pipe.state.join(ADDRESS);
            match pinned::write(&file, url.as_str().as_bytes()) {
                Ok(()) => address = Some(file),
                Err(error) => {
                    tracing::warn!(%error, "other processes won't find the embedded server")
                }
            }
        }
        Ok(Self {
            destination,
            embedded: Mutex::new(embedded),
            address,
        })
    }

    /// Stops the embedded server, if there is one, and waits for its end: whoever comes next needs its folder.
    pub(super) async fn close(&self) -> Result<(), DestinationError> {
        let embedded = self
            .embedded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let (Some(_), Some(address)) = (&embedded, &self.address) {
            // That it isn't there is what is wanted.
            let _ = std::fs::remove_file(address);
        }
        match embedded {
            Some(embedded) => embedded.stop().await,
            None => Ok(()),
        }
    }
}

/// All that a load needs.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) pipe: Pipe,
    pub(super) source: Source,
    pub(super) destination: Destination,
    pub(super) runtime: Runtime,
    /// Where plugins come from.
    pub(super) supply: Arc<Supply>,
    /// The settings in force, which may change.
    pub(super) tuning: Arc<Tuning>,
    /// What of the machine it may use.
    pub(super) share: Share,
    /// What it has used.
    pub(super) meter: Meter,
    outlet: Arc<Outlet>,
}

impl Session {
    /// Opens both ends. An address or a password that is wrong is told at once; only a lost connection is tried again.
    pub(super) async fn open(pipe: &Pipe, environment: &Environment) -> Result<Self, Error> {
        let source = Source::connect(&pipe.source).await?;
        let outlet = Outlet::open(pipe).await?;
        Ok(Self {
            pipe: pipe.clone(),
            source,
            destination: outlet.destination.clone(),
            runtime: environment.runtime.clone(),
            supply: environment.supply.clone(),
            tuning: Arc::new(Tuning::new(pipe)),
            share: environment.share.clone(),
            meter: environment.share.meters().of(&pipe.name),
            outlet: Arc::new(outlet),
        })
    }

    /// The same open ends for the pipe as its file says now.
    pub(super) fn with_pipe(&self, pipe: &Pipe) -> Self {
        Self {
            pipe: pipe.clone(),
            source: self.source.clone(),
            destination: self.destination.clone(),
            runtime: self.runtime.clone(),
            supply: self.supply.clone(),
            tuning: self.tuning.clone(),
            share: self.share.clone(),
            meter: self.meter.clone(),
            outlet: self.outlet.clone(),
        }
    }

    /// Sends a batch through transforms when it is the tenant's turn, and counts what they use. `chunk` names the batch in errors.
    pub(super) fn transform(
        &self,
        chain: &mut ChainInstance,
        batch: RecordBatch,
        chunk: &dyn Display,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Applied, TransformError> {
        if chain.is_empty() {
            return chain.apply(batch, chunk);
        }
        let applied = self.share.compute(stopped, || chain.apply(batch, chunk));
        for (plugin, used) in chain.take_used() {
            self.share.charge(used.cpu);
            self.meter.plugin(plugin, used.cpu, used.rows);
        }
        applied
    }

    /// Does something at the destination, again while its error may pass.
    pub(super) async fn retried<T, F: Future<Output = Result<T, DestinationError>>>(
        &self,
        what: &str,
        attempt: impl FnMut() -> F,
    ) -> Result<T, DestinationError> {
        retry::SERVER
            .run(what, DestinationError::is_transient, attempt)
            .await
    }

    /// Lets go of both ends, whoever else still holds the session.
    pub(super) async fn close(&self) -> Result<(), DestinationError> {
        self.outlet.close().await
    }
}
