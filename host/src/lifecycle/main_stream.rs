//! The pipe's own stream, in the background: started and stopped around what else is done to the pipe.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::error::Error;
use super::follow::live::Live;
use super::follow::{self, Ended, Shared};
use super::session::Session;
use super::stop::StopSignal;
use crate::journal::{Journal, MAIN};
use crate::schema::Position;

/// The pipe's own stream.
pub(super) struct MainStream {
    session: Arc<Session>,
    journal: Arc<Journal>,
    pub(super) live: Arc<Live>,
    task: Mutex<Option<Task>>,
    failures: mpsc::UnboundedSender<Error>,
}

struct Task {
    stop: Arc<StopSignal>,
    handle: JoinHandle<()>,
}

impl MainStream {
    /// A stream that is not started yet, and where its failures come out.
    pub(super) fn new(
        session: Arc<Session>,
        journal: Arc<Journal>,
        live: Arc<Live>,
    ) -> (Self, mpsc::UnboundedReceiver<Error>) {
        let (failures, failed) = mpsc::unbounded_channel();
        let stream = Self {
            session,
            journal,
            live,
            task: Mutex::default(),
            failures,
        };
        (stream, failed)
    }

    fn shared(&self, stop: Arc<StopSignal>) -> Arc<Shared> {
        Arc::new(Shared {
            session: self.session.clone(),
            journal: self.journal.clone(),
            tuning: self.session.tuning.clone(),
            server_id: self.session.pipe.apply.server_id,
            stop,
            live: self.live.clone(),
        })
    }

    /// Follows from the journalled position on, if a table follows. One that has failed is started again.
    pub(super) async fn start(&self) -> Result<(), Error> {
        let mut task = self.task.lock().await;
        if task.as_ref().is_some_and(|task| !task.handle.is_finished()) {
            return Ok(());
        }
        let follows = self
            .journal
            .followed(MAIN)?
            .iter()
            .any(|table| table.follows());
        if !follows || self.journal.stream(MAIN)?.is_none() {
            *task = None;
            return Ok(());
        }
        let stop = Arc::new(StopSignal::default());
        let (shared, failures) = (self.shared(stop.clone()), self.failures.clone());
        let following = async move {
            if let Err(error) = follow::follow(&shared, MAIN, None).await {
                // Nobody waits for it where the process ends.
                let _ = failures.send(error);
            }
        };
        let handle = tokio::spawn(following.in_current_span());
        *task = Some(Task { stop, handle });
        Ok(())
    }

    /// Stops at the next boundary, and waits for that.
    pub(super) async fn stop(&self) -> Result<(), Error> {
        let Some(task) = self.task.lock().await.take() else {
            return Ok(());
        };
        task.stop.ask();
        task.handle
            .await
            .map_err(|cause| Error::Worker(cause.to_string()))
    }

    /// Whether it is at work.
    pub(super) async fn is_running(&self) -> bool {
        let task = self.task.lock().await;
        task.as_ref().is_some_and(|task| !task.handle.is_finished())
    }

    /// Follows, while it is stopped, until a position is reached.
    pub(super) async fn run_to(
        &self,
        target: &Position,
        stop: &Arc<StopSignal>,
    ) -> Result<Ended, Error> {
        follow::follow(&self.shared(stop.clone()), MAIN, Some(target)).await
    }
}
