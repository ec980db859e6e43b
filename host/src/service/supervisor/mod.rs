//! The pipes that run: each by the lifecycle, as on the command line, in a task of its own.
//!
//! What is wanted of a pipe is in the store, so that all that should run runs again after a restart. A pipe whose servers can't be reached is tried
//! again for as long as it is wanted; one that an error ends, which waiting doesn't mend, stays as it is until somebody acts.

pub(super) mod observer;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use axum::http::StatusCode;
use futures::FutureExt;
use jiff::Timestamp;
use tokio::sync::{OwnedMutexGuard, Semaphore, watch};
use tracing::Instrument;

use super::Service;
use super::problem::{Problem, without_path};
use super::store::{EventKind, LastResync, StoreError, Wanted};
use crate::lifecycle::report::{Outcome, Phase, ResyncSummary};
use crate::lifecycle::{self, Command, Error, Stop, Told};
use crate::pipe::Pipe;
use observer::Observer;

/// Pipes that connect to their servers at the same time.
const OPENING: usize = 16;
/// How long a pipe that connects may keep others from connecting.
const OPENING_TIME: Duration = Duration::from_secs(5);
/// How long the pipe of an order is waited for before it is nudged again.
const NUDGE: Duration = Duration::from_millis(50);
/// How long the end of a pipe that was just stopped is waited for before it is started again.
const STOPPING: Duration = Duration::from_secs(10);
/// The first and the longest pause before a pipe whose servers can't be reached is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A tenant's pipe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PipeId {
    pub(super) tenant: String,
    pub(super) name: String,
}

/// A pipe that runs.
pub(super) struct Running {
    stop: Stop,
    pub(super) observer: Arc<Observer>,
    ended: watch::Receiver<bool>,
}

/// The turn of one who does something to a pipe. Others wait until it is dropped.
pub(super) struct Turn {
    _guard: OwnedMutexGuard<()>,
}

impl Running {
    /// Waits for its end.
    async fn wait(&self) {
        // A sender that is gone has ended, too.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// Waits for what the pipe is told, and lets it look for it.
    async fn nudging<T>(&self, told: impl Future<Output = T>) -> T {
        let mut told = Box::pin(told);
        loop {
            self.stop.nudge();
            tokio::select! {
                told = &mut told => return told,
                () = tokio::time::sleep(NUDGE) => {}
            }
        }
    }
}

/// All pipes that run.
pub(super) struct Supervisor {
    running: Mutex<HashMap<PipeId, Arc<Running>>>,
    turns: Mutex<HashMap<PipeId, Weak<tokio::sync::Mutex<()>>>>,
    opening: Semaphore,
    closing: AtomicBool,
}

impl Supervisor {
    pub(super) fn new() -> Self {
        Self {
            running: Mutex::default(),
            turns: Mutex::default(),
            opening: Semaphore::new(OPENING),
            closing: AtomicBool::new(false),
        }
    }

    /// Waits for one's turn with a pipe: orders to it, changes of it and its removal come one after the other.
    pub(super) async fn turn(&self, id: &PipeId) -> Turn {
        let turns = {
            let mut all = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            let known = all.get(id).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                // Those that nobody waits for are forgotten.
                all.retain(|_, turns| turns.strong_count() > 0);
                let new = Arc::default();
                all.insert(id.clone(), Arc::downgrade(&new));
                new
            })
        };
        Turn {
            _guard: turns.lock_owned().await,
        }
    }

    /// The pipe, if it runs.
    pub(super) fn running(&self, id: &PipeId) -> Option<Arc<Running>> {
        self.guard().get(id).cloned()
    }

    /// All that run.
    pub(super) fn all(&self) -> Vec<(PipeId, Arc<Running>)> {
        let guard = self.guard();
        let all = guard.iter();
        all.map(|(id, running)| (id.clone(), running.clone()))
            .collect()
    }

    /// Starts all pipes that should run.
    pub(super) fn start_wanted(&self, service: &Arc<Service>) -> Result<(), StoreError> {
        let wanted = service.store.wanted_pipes()?;
        for (tenant, record) in &wanted {
            let id = PipeId {
                tenant: tenant.clone(),
                name: record.name.clone(),
            };
            self.spawn(service, id, None);
        }
        tracing::info!(pipes = wanted.len(), "started what should run");
        Ok(())
    }

    /// Refuses an order to a pipe that is still about to stop, or to a service that is.
    pub(super) async fn takes_orders(&self, id: &PipeId) -> Result<(), Problem> {
        if self.is_closing() {
            return Err(closing());
        }
        match self.running(id).filter(|running| running.stop.is_asked()) {
            None => Ok(()),
            Some(running) => tokio::time::timeout(STOPPING, running.wait())
                .await
                .map_err(|_| changing(id)),
        }
    }

    /// Has a pipe do something: it is told if it runs, and started for it if not. The id of the resync that was begun, if it is known yet.
    pub(super) async fn command(
        &self,
        service: &Arc<Service>,
        id: &PipeId,
        command: Command,
    ) -> Result<Option<String>, Problem> {
        if let Some(running) = self.running(id) {
            let pipe = service.load(id)?;
            let told = running.nudging(lifecycle::tell(&pipe, &command)).await?;
            match told {
                Told::Begun { resync } => return Ok(Some(resync)),
                Told::Done => return Ok(None),
                // It is about to end, or not at work yet.
                Told::NobodyThere => {}
            }
            if self.running(id).is_some() {
                return Err(changing(id));
            }
        }
        self.begin(service, id, command)?;
        Ok(None)
    }

    /// Starts a pipe that stands for a command, if something can come of it.
    fn begin(&self, service: &Arc<Service>, id: &PipeId, command: Command) -> Result<(), Problem> {
        let pipe = service.load(id)?;
        lifecycle::foresee(&pipe, &command).map_err(|error| service.problem(id, error))?;
        match self.spawn(service, id.clone(), Some(command)) {
            true => Ok(()),
            false if self.is_closing() => Err(closing()),
            false => Err(changing(id)),
        }
    }

    /// Starts a pipe again that was stopped for something that was done to it: it goes on as after a restart.
    pub(super) fn begin_again(&self, service: &Arc<Service>, id: &PipeId) {
        self.spawn(service, id.clone(), None);
    }

    /// Does something with a pipe that may run, such as giving a resync up, which its worker does if there is one.
    pub(super) async fn with_worker<T>(&self, id: &PipeId, work: impl Future<Output = T>) -> T {
        match self.running(id) {
            Some(running) => running.nudging(work).await,
            None => work.await,
        }
    }

    /// Lets the pipe take up changed settings now.
    pub(super) fn nudge(&self, id: &PipeId) {
        if let Some(running) = self.running(id) {
            running.stop.nudge();
        }
    }

    /// Asks a pipe to stop at the next batch boundary. Whether it runs.
    pub(super) fn stop(&self, id: &PipeId) -> bool {
        let running = self.running(id);
        running.inspect(|running| running.stop.ask()).is_some()
    }

    /// Asks a pipe to stop, and waits for its end. Whether it ran.
    pub(super) async fn stop_and_wait(&self, id: &PipeId) -> bool {
        let Some(running) = self.running(id) else {
            return false;
        };
        running.stop.ask();
        running.wait().await;
        true
    }

    /// Whether the service is about to end: nothing is started any more.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Ends all pipes at their next batch boundary, or, if they are to be drained, when no load or resync is at work any more. Nothing is
    /// started from now on.
    pub(super) async fn close(&self, drain: bool, hurry: &watch::Receiver<bool>) {
        {
            // What is started is started before this or not at all.
            let _all = self.guard();
            self.closing.store(true, Ordering::Release);
        }
        let ends = self.all().into_iter().map(|(_, running)| {
            let mut hurry = hurry.clone();
            async move {
                while drain && is_loading(&running) && !*hurry.borrow() {
                    tokio::select! {
                        () = running.wait() => return,
                        _ = hurry.changed() => {}
                        () = tokio::time::sleep(NUDGE) => {}
                    }
                }
                running.stop.ask();
                running.wait().await;
            }
        });
        futures::future::join_all(ends).await;
    }

    /// Starts a pipe in a task of its own, unless it runs already, or the service is about to end: whether it did. Without a command it does
    /// what it is to do after a restart.
    fn spawn(&self, service: &Arc<Service>, id: PipeId, command: Option<Command>) -> bool {
        let (ending, ended) = watch::channel(false);
        let handle = service.work.clone();
        let data = service.pipe_folder(&id);
        let events = service.events.clone();
        let running = Arc::new(Running {
            stop: Stop::default(),
            observer: Arc::new(Observer::new(&id, data, events, service.metrics.pipe(&id))),
            ended,
        });
        {
            let mut all = self.guard();
            if self.is_closing() || all.contains_key(&id) {
                return false;
            }
            all.insert(id.clone(), running.clone());
        }
        let service = service.clone();
        // All that is logged of the pipe's work bears its name. At the level of errors, so that the span is there whatever is logged.
        let span = tracing::error_span!(parent: None, "pipe", tenant = id.tenant, pipe = id.name);
        let work = async move {
            let done = AssertUnwindSafe(run(&service, &id, &running, command));
            if done.catch_unwind().await.is_err() {
                let message = "it has ended unexpectedly; the service's log says why".to_owned();
                failed(&service, &id, &running, message);
            }
            // From now on the store alone tells what it was at.
            service.events.flush().await;
            running.observer.ended();
            service.supervisor.guard().remove(&id);
            let _ = ending.send(true);
        };
        handle.spawn(work.instrument(span));
        true
    }

    fn guard(&self) -> MutexGuard<'_, HashMap<PipeId, Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn closing() -> Problem {
    let detail = "the service is about to end, and begins nothing any more";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "closing", detail);
    problem.suggest("try again once it has been started again")
}

fn changing(id: &PipeId) -> Problem {
    let detail = format!("the pipe `{}` is just being started or stopped", id.name);
    Problem::conflict(detail).suggest("try again in some seconds")
}

/// Whether a load or a resync is at work.
fn is_loading(running: &Running) -> bool {
    let live = running.observer.live();
    let at_work = |phase| matches!(phase, Phase::Setup | Phase::Snapshot | Phase::Resync);
    !live.waits && live.resync.is_some_and(|(_, phase)| at_work(phase))
}

/// Runs a pipe until it is stopped, or an error ends it. Servers that can't be reached are tried again.
async fn run(
    service: &Arc<Service>,
    id: &PipeId,
    running: &Arc<Running>,
    command: Option<Command>,
) {
    let mut pause = PAUSES.0;
    loop {
        // What has begun once goes on as after a restart.
        let command = command.clone().filter(|_| !running.observer.has_opened());
        let done = run_once(service, id, running, command).await;
        let error = match done {
            Ok(outcome) => return ended(service, id, running, &outcome),
            Err(error) => error,
        };
        let folder = service.pipe_folder(id);
        let message = without_path(&error.to_string(), &folder);
        match (error.is_transient(), running.stop.is_asked()) {
            // What was tried until then is not what ended it.
            (true, true) => return running.observer.tell(EventKind::Note, "stopped"),
            (true, false) => {}
            (false, _) => return failed(service, id, running, message),
        }
        set_error(service, id, Some(format!("{message}; it is tried again")));
        if pause == PAUSES.0 {
            let note = format!("{message}; it is tried again until the pipe is stopped");
            running.observer.tell(EventKind::Note, note);
        }
        if running.stop.within(pause).await {
            return;
        }
        pause = (2 * pause).min(PAUSES.1);
    }
}

async fn run_once(
    service: &Arc<Service>,
    id: &PipeId,
    running: &Running,
    command: Option<Command>,
) -> Result<Outcome, Error> {
    let pipe = service.load_pipe(id)?;
    let environment = service.environment_of(&id.tenant);
    let command = match command {
        Some(command) => command,
        None => after_restart(service, id, &pipe, &running.observer)?,
    };
    let turn = tokio::select! {
        // Should the semaphore be closed, there is no reason to wait.
        turn = service.supervisor.opening.acquire() => turn.ok(),
        () = running.stop.asked() => return Ok(Outcome::Stopped(Box::default())),
    };
    running.observer.opens();
    let (observer, stop) = (running.observer.clone(), running.stop.clone());
    let mut work = Box::pin(lifecycle::keep(
        &pipe,
        &environment,
        command,
        observer,
        stop,
    ));
    let mut opened = pin!(running.observer.opened());
    let in_time = tokio::select! {
        done = &mut work => return done,
        opened = tokio::time::timeout(OPENING_TIME, &mut opened) => opened.is_ok(),
    };
    drop(turn);
    if !in_time {
        tokio::select! {
            done = &mut work => return done,
            () = opened => {}
        }
    }
    set_error(service, id, None);
    work.await
}

/// What a pipe that should run does after a restart of the service, or when it is tried again.
fn after_restart(
    service: &Service,
    id: &PipeId,
    pipe: &Pipe,
    observer: &Observer,
) -> Result<Command, Error> {
    let status = lifecycle::status(pipe)?;
    let again = observer.has_opened();
    if let Some(last) = status.resync.as_ref().filter(|_| !again) {
        recall(service, id, observer, last);
    }
    let stream = status.cdc.map(|cdc| cdc.report.paused);
    let resync = status.resync.map(|resync| resync.phase);
    let goes_on = match resync {
        // A stop of the service pauses a resync at a batch boundary; one that a person has paused belongs to a pipe that shouldn't run.
        Some(Phase::Setup | Phase::Snapshot | Phase::Resync | Phase::Paused) => true,
        // What has failed is tried again with the pipe. One that follows does so without it.
        Some(Phase::Failed) => again && stream.is_none(),
        _ => false,
    };
    Ok(match goes_on || stream == Some(true) {
        true => Command::Resume,
        false => Command::Run,
    })
}

/// A crash may have come between the pipe's journal and the store: what the journal says of the last resync counts, and is told.
fn recall(service: &Service, id: &PipeId, observer: &Observer, last: &ResyncSummary) {
    let ended = last.ended.as_ref().and_then(|at| at.parse().ok());
    let store = service.store.tenant(&id.tenant);
    let mut is_news = false;
    let changed = store.change_pipe(&id.name, |record| {
        let is_known = |known: &LastResync| known.id == last.id && known.phase == last.phase;
        is_news = !record.last.as_ref().is_some_and(is_known);
        if is_news {
            record.last = Some(LastResync {
                id: last.id.clone(),
                phase: last.phase,
                started: last.started.parse().unwrap_or_else(|_| Timestamp::now()),
                ended,
            });
        }
    });
    if let Err(error) = changed {
        tracing::error!(%error, pipe = id.name, "the store could not be written");
    }
    if is_news {
        observer.tell_phase(&last.id, last.phase);
    }
}

/// A pipe has done what it was to do.
fn ended(service: &Service, id: &PipeId, running: &Running, outcome: &Outcome) {
    let (kind, note) = match outcome {
        Outcome::Stopped(_) | Outcome::Paused(_) => (EventKind::Note, "stopped"),
        Outcome::Completed(_) => (EventKind::Note, "completed"),
        Outcome::NeedsApproval(_) => (
            EventKind::NeedsApproval,
            "a table waits for approval: approve the swap, or give the resync up",
        ),
    };
    running.observer.tell(kind, note);
    // Who has asked for the stop has said what is wanted; what the service's own end has stopped goes on with its next start.
    if !running.stop.is_asked() {
        want_stopped(service, id, None);
    }
}

/// An error has ended a pipe.
fn failed(service: &Service, id: &PipeId, running: &Running, message: String) {
    running.observer.tell(EventKind::Failure, &message);
    match running.stop.is_asked() {
        true => set_error(service, id, Some(message)),
        false => want_stopped(service, id, Some(message)),
    }
}

fn want_stopped(service: &Service, id: &PipeId, error: Option<String>) {
    let store = service.store.tenant(&id.tenant);
    let changed = store.change_pipe(&id.name, |record| {
        record.wanted = Wanted::Stopped;
        record.error = error;
    });
    if let Err(error) = changed {
        tracing::error!(%error, pipe = id.name, "the store could not be written");
    }
}

fn set_error(service: &Service, id: &PipeId, error: Option<String>) {
    let store = service.store.tenant(&id.tenant);
    let is_set = store
        .pipe(&id.name)
        .ok()
        .flatten()
        .is_some_and(|record| record.error != error);
    if !is_set {
        return;
    }
    if let Err(error) = store.change_pipe(&id.name, |record| record.error = error) {
        tracing::error!(%error, pipe = id.name, "the store could not be written");
    }
}
