//! The brakes: a load is held while the source runs more threads, or a replica is further behind, than the pipe allows.
//!
//! A task asks the source every `brakes.every` and says whether the load is held; readers look between two batches and wait. A source
//! that can't be asked holds nothing: brakes are to spare a server that works, and whether it can be read is seen by those who read it.
//! The settings can be changed while the load is held.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::pace::LOOK_EVERY;
use super::report::Progress;
use crate::pipe::BrakeSettings;
use crate::source::{Gauge, ReplicaLag, Source, SourceError};

/// Whether a load is held, and by which settings.
#[derive(Debug)]
pub(super) struct Brakes {
    settings: watch::Sender<BrakeSettings>,
    reason: Mutex<Option<String>>,
    own: Mutex<BTreeSet<u32>>,
}

impl Brakes {
    /// Brakes that hold nothing yet.
    pub(super) fn new(settings: BrakeSettings) -> Self {
        Self {
            settings: watch::Sender::new(settings),
            reason: Mutex::new(None),
            own: Mutex::new(BTreeSet::new()),
        }
    }

    /// Changes the settings; the source is asked by the new ones at once.
    pub(super) fn set(&self, settings: BrakeSettings) {
        self.settings.send_if_modified(|current| {
            let differs = *current != settings;
            *current = settings;
            differs
        });
    }

    /// Whether the load is held.
    pub(super) fn is_held(&self) -> bool {
        self.reason_guard().is_some()
    }

    /// Why it is held, if it is.
    pub(super) fn reason(&self) -> Option<String> {
        self.reason_guard().clone()
    }

    /// The connections of this pipe that read: they don't hold it.
    pub(super) fn set_own(&self, connections: impl IntoIterator<Item = u32>) {
        *self.own.lock().unwrap_or_else(PoisonError::into_inner) =
            connections.into_iter().collect();
    }

    /// Sleeps while the load is held, or until `stopped`.
    pub(super) fn wait(&self, stopped: impl Fn() -> bool) {
        while self.is_held() && !stopped() {
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Asks the source again and again; ends only when it is dropped, which lets the load go.
    pub(super) async fn watch(&self, source: &Source, progress: &dyn Progress) -> Infallible {
        let _released = Released(self);
        let mut settings = self.settings.subscribe();
        let mut gauge = source.gauge();
        let mut told = Told::default();
        loop {
            let current = settings.borrow_and_update().clone();
            let reason = self.ask(&mut gauge, &current, &mut told).await;
            self.hold(reason, progress);
            let next = async {
                match current.any() {
                    true => tokio::time::sleep(current.every).await,
                    false => std::future::pending().await,
                }
            };
            tokio::select! {
                () = next => {}
                // The sender lives in `self`.
                _ = settings.changed() => told = Told::default(),
            }
        }
    }

    /// Why the source holds the load, if it does.
    async fn ask(
        &self,
        gauge: &mut Gauge,
        settings: &BrakeSettings,
        told: &mut Told,
    ) -> Option<String> {
        let own: Vec<u32> = {
            let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
            own.iter().copied().collect()
        };
        if let Some(most) = settings.threads_running {
            match gauge.threads_running(&own).await {
                Ok(running) if running > most => {
                    return Some(format!(
                        "the source runs {running} threads, and brakes.threads_running is {most}"
                    ));
                }
                Ok(_) => {}
                Err(error) => told.error(&error),
            }
        }
        let most = settings.replica_lag?;
        match gauge
            .replica_lag(settings.replica_lag_query.as_deref())
            .await
        {
            Ok(Some(lag)) if lag.exceeds(most) => Some(too_far_behind(lag, most)),
            Ok(Some(_)) => None,
            Ok(None) => {
                told.no_replica();
                None
            }
            Err(error) => {
                told.error(&error);
                None
            }
        }
    }

    /// Holds the load or lets it go; what changes is told.
    fn hold(&self, reason: Option<String>, progress: &dyn Progress) {
        let mut current = self.reason_guard();
        match (current.as_deref(), reason.as_deref()) {
            (None, Some(reason)) => progress.note(&format!("the load is held: {reason}")),
            (Some(_), None) => progress.note("the load goes on: the source has room again"),
            _ => {}
        }
        *current = reason;
    }

    fn reason_guard(&self) -> MutexGuard<'_, Option<String>> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_far_behind(lag: ReplicaLag, most: Duration) -> String {
    match lag {
        ReplicaLag::Behind(lag) => format!(
            "the replica is {:.0} s behind, and brakes.replica_lag is {most:?}",
            lag.as_secs_f64()
        ),
        ReplicaLag::Unknown => format!(
            "nobody knows how far the replica is behind (its replication is stopped, or the question has no answer), and brakes.replica_lag is \
             {most:?}"
        ),
    }
}

/// Nobody asks the source any more, so nothing is held.
struct Released<'a>(&'a Brakes);

impl Drop for Released<'_> {
    fn drop(&mut self) {
        *self.0.reason_guard() = None;
    }
}

/// What was told already: it is told once.
#[derive(Debug, Default)]
struct Told {
    error: bool,
    no_replica: bool,
}

impl Told {
    fn error(&mut self, error: &SourceError) {
        if !std::mem::replace(&mut self.error, true) {
            tracing::warn!(%error, "the source can't be asked for the brakes, so they hold nothing while that lasts");
        }
    }

    fn no_replica(&mut self) {
        if !std::mem::replace(&mut self.no_replica, true) {
            tracing::warn!(
                "the source is no replica, so brakes.replica_lag holds nothing; name one with brakes.replica_lag_query"
            );
        }
    }
}
