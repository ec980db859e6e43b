//! A process at work on a pipe: its own stream, the resync under way if there is one, the orders of other processes, and a pipe file
//! that changes. One at a time has the pipe's lock.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::environment::Environment;
use super::error::Error;
use super::follow::live::{self, Live};
use super::main_stream::MainStream;
use super::report::{BrakeReport, FollowReport, Outcome, Progress};
use super::session::Session;
use super::stop::StopSignal;
use super::work::{Held, Work};
use super::{binding, drive, refuse_existing, rollback, setup};
use crate::journal::{FollowedRecord, Journal, Kind, MAIN, Order, OrderAnswer};
use crate::pipe::{Cdc, Pipe};
use crate::schema::TableName;

/// That a pipe that follows has a resync that waits.
pub(super) const WAITS: &str = "a table waits for `tidemill approve` or `tidemill abort`; the pipe follows the binlog meanwhile";

/// What is wanted of a process.
pub(super) enum Job {
    /// A load or resync of these tables, or of all.
    Start {
        kind: Kind,
        tables: Vec<TableName>,
        live: bool,
    },
    /// What is unfinished.
    GoOn,
}

/// A process at work.
pub(super) struct Worker {
    pub(super) pipe: Pipe,
    held: Held,
    session: Arc<Session>,
    main: Arc<MainStream>,
    failed: UnboundedReceiver<Error>,
    progress: Arc<dyn Progress>,
    stop: Arc<StopSignal>,
    job: Option<JoinHandle<Result<Outcome, Error>>>,
    file_changed: Option<SystemTime>,
    /// How often orders and the pipe file are looked for.
    look: Duration,
}

impl Worker {
    /// Opens both ends. `stop` ends the work at the next boundary.
    pub(super) async fn new(
        pipe: &Pipe,
        environment: &Environment,
        held: Held,
        progress: Arc<dyn Progress>,
        stop: Arc<StopSignal>,
    ) -> Result<Self, Error> {
        let session = Arc::new(Session::open(pipe, environment).await?);
        let live = Arc::new(Live::new(progress.clone()));
        let (main, failed) = MainStream::new(session.clone(), held.1.clone(), live);
        held.1.forget_orders()?;
        Ok(Self {
            pipe: pipe.clone(),
            held,
            session,
            main: Arc::new(main),
            failed,
            progress,
            stop,
            job: None,
            file_changed: changed(pipe.path()),
            look: environment.look,
        })
    }

    /// Does a job, and then, where `follow` says so, follows the binlog until it is asked to stop.
    pub(super) async fn run(mut self, job: Option<Job>, follow: bool) -> Result<Outcome, Error> {
        let publish = live::publish(
            self.main.live.clone(),
            self.session.source.clone(),
            self.pipe.state.clone(),
            brakes(&self.session),
        );
        let publish = tokio::spawn(publish.in_current_span());
        let done = self.work(job, follow).await;
        if let Err(error) = self.main.stop().await {
            tracing::warn!(%error, "the stream could not be stopped");
        }
        publish.abort();
        live::forget(&self.pipe.state);
        // A task that is about to end may still hold the session.
        let closed = self.session.close().await;
        let outcome = done?;
        closed?;
        Ok(outcome)
    }

    async fn work(&mut self, job: Option<Job>, follow: bool) -> Result<Outcome, Error> {
        let begun = match job {
            Some(job) => self.begin(job).await.map(|_| ()),
            None => self.main.start().await,
        };
        match begun {
            // What could be followed goes on, though what is unfinished does not.
            Err(error) if follow && self.can_follow()? => {
                self.progress
                    .note(&format!("the resync can't go on: {error}"));
                self.main.start().await?;
            }
            begun => begun?,
        }
        let stop = self.stop.clone();
        loop {
            tokio::select! {
                done = finished(&mut self.job) => {
                    if let Some(outcome) = self.job_done(done, follow).await? {
                        return Ok(outcome);
                    }
                }
                Some(error) = self.failed.recv() => {
                    if let Some(error) = self.stream_failed(error)? {
                        return Err(error);
                    }
                }
                () = stop.nudged_within(self.look) => {
                    if self.stop.is_asked() {
                        return self.end(false).await;
                    }
                    self.take_up_file();
                    if self.next_order().await? {
                        return self.end(true).await;
                    }
                }
            }
        }
    }

    /// Starts a job, with the pipe's own stream beside it where it keeps tables current meanwhile.
    async fn begin(&mut self, job: Job) -> Result<String, Error> {
        let (kind, tables, live) = match job {
            Job::GoOn => return self.go_on(|_| Ok(())).await,
            Job::Start { kind, tables, live } => (kind, tables, live),
        };
        let journal = &self.held.1;
        if let Some(last) = journal.last_resync()?.filter(|last| !last.phase.is_over()) {
            return Err(Error::Unfinished {
                id: last.id,
                phase: last.phase,
                active: self.job.is_some(),
            });
        }
        let bound = setup::bind(&self.session, &tables).await?;
        if kind == Kind::Load && self.pipe.cdc != Cdc::Only {
            refuse_existing(&self.session, &bound).await?;
        }
        let mut obstacles = setup::obstacles(&self.session, Some(journal), &bound).await?;
        if !obstacles.is_empty() {
            return Err(obstacles.swap_remove(0).into());
        }
        let expired =
            rollback::drop_expired(&self.session.destination, journal, Timestamp::now()).await?;
        let keeps_going = live || self.others_follow(&bound)?;
        match keeps_going {
            true => self.main.start().await?,
            false => self.main.stop().await?,
        }
        let work = Arc::new(Work::begin(
            &self.pipe,
            self.held.clone(),
            (kind, live),
            setup::records(&self.pipe, &bound),
            self.progress.clone(),
        )?);
        for table in expired {
            work.note(format!(
                "dropped `{table}`: the time to roll back to it is over"
            ))?;
        }
        self.spawn(work, bound)
    }

    /// Whether there is a table to follow.
    fn can_follow(&self) -> Result<bool, Error> {
        let followed = self.held.1.followed(MAIN)?;
        Ok(self.pipe.cdc.follows() && followed.iter().any(FollowedRecord::follows))
    }

    /// Whether a table follows that is not one of these.
    fn others_follow(&self, tables: &[binding::BoundTable]) -> Result<bool, Error> {
        let is_other = |followed: &FollowedRecord| {
            followed.follows()
                && !tables
                    .iter()
                    .any(|table| table.mapping.source == followed.source)
        };
        Ok(self.held.1.followed(MAIN)?.iter().any(is_other))
    }

    /// Goes on with the unfinished resync of the journal, after `prepare`.
    async fn go_on(
        &mut self,
        prepare: impl FnOnce(&Work) -> Result<(), Error>,
    ) -> Result<String, Error> {
        let work = Work::take_up(&self.pipe, self.held.clone(), self.progress.clone())?;
        let work = work.filter(|work| !work.resync().phase.is_over());
        let Some(work) = work.map(Arc::new) else {
            return Err(super::nothing_under_way(&self.pipe));
        };
        if self.job.is_some() {
            return Err(Error::Unfinished {
                id: work.id(),
                phase: work.resync().phase,
                active: true,
            });
        }
        prepare(&work)?;
        let names: Vec<TableName> = work
            .tables()
            .into_iter()
            .map(|table| table.source)
            .collect();
        let bound = setup::bind(&self.session, &names).await?;
        match work.resync().live || self.others_follow(&bound)? {
            true => self.main.start().await?,
            false => self.main.stop().await?,
        }
        let resync = work.resync();
        if resync.phase == resync.working_phase() {
            // It is entered no more, so who watches since a restart would not know it.
            self.progress.phase(&resync.id, resync.phase);
        }
        self.spawn(work, bound)
    }

    fn spawn(&mut self, work: Arc<Work>, bound: Vec<binding::BoundTable>) -> Result<String, Error> {
        let id = work.id();
        // An older request; one that is made from now on is this job's.
        work.journal.clear_request(&id)?;
        let (session, main) = (self.session.clone(), self.main.clone());
        let span = drive::span(&work);
        let driven = async move { Box::pin(drive::drive(&session, &work, &main, bound)).await };
        self.job = Some(tokio::spawn(driven.instrument(span)));
        Ok(id)
    }

    /// After a job: its outcome, if that is the end of the work.
    async fn job_done(
        &mut self,
        done: Result<Outcome, Error>,
        follow: bool,
    ) -> Result<Option<Outcome>, Error> {
        self.job = None;
        let goes_on = follow && self.can_follow()?;
        match done {
            Ok(Outcome::Paused(summary)) => return Ok(Some(Outcome::Paused(summary))),
            Ok(outcome) if !goes_on => return Ok(Some(outcome)),
            Ok(Outcome::NeedsApproval(_)) => self.progress.needs_approval(WAITS),
            Ok(_) => {}
            Err(error) if !goes_on => return Err(error),
            Err(error) => self.progress.note(&format!("the resync failed: {error}")),
        }
        self.main.start().await?;
        Ok(None)
    }

    /// The pipe's own stream has ended with an error, which ends the work unless a resync mends it.
    fn stream_failed(&mut self, error: Error) -> Result<Option<Error>, Error> {
        if let Some(mut stream) = self.held.1.stream(MAIN)? {
            stream.error = Some(error.to_string());
            self.held
                .1
                .write_stream(MAIN, &stream, &[], "stream failed")?;
        }
        match self.job.is_some() {
            false => Ok(Some(error)),
            true => {
                self.progress
                    .note(&format!("the pipe can't be followed: {error}"));
                Ok(None)
            }
        }
    }

    /// Ends the work at the next boundary.
    async fn end(&mut self, paused: bool) -> Result<Outcome, Error> {
        let journal = self.held.1.clone();
        let mut outcome = None;
        if let Some(job) = self.job.take() {
            if let Some(last) = journal.last_resync()?.filter(|last| !last.phase.is_over()) {
                journal.request_pause(&last.id)?;
            }
            outcome = Some(
                job.await
                    .map_err(|cause| Error::Worker(cause.to_string()))??,
            );
        }
        self.main.stop().await?;
        let stream = journal.stream(MAIN)?;
        if let (true, Some(mut stream)) = (paused, stream.clone()) {
            stream.paused = true;
            journal.write_stream(MAIN, &stream, &[], "paused")?;
        }
        if let Some(outcome @ (Outcome::Paused(_) | Outcome::NeedsApproval(_))) = outcome {
            return Ok(outcome);
        }
        let followed = journal.followed(MAIN)?;
        Ok(Outcome::Stopped(Box::new(FollowReport {
            position: stream.map(|stream| stream.position),
            tables: followed.iter().map(Into::into).collect(),
            paused,
            ..FollowReport::default()
        })))
    }

    /// Takes up what the pipe file says now of what may change while the pipe runs.
    fn take_up_file(&mut self) {
        let now = changed(self.pipe.path());
        if now == self.file_changed {
            return;
        }
        self.file_changed = now;
        match self.pipe.reload() {
            Ok(pipe) => {
                if self.session.tuning.take_up(&pipe) {
                    self.progress
                        .note("the settings of the pipe file have changed, and are in force");
                }
            }
            Err(error) => self.progress.note(&format!(
                "the pipe file has changed, and is not taken up: {error}"
            )),
        }
    }

    /// Does what another process has ordered. Whether that is to pause.
    async fn next_order(&mut self) -> Result<bool, Error> {
        let journal = self.held.1.clone();
        let Some((number, order)) = journal.next_order()? else {
            return Ok(false);
        };
        let pauses = order == Order::Pause;
        let answer = match self.obey(order).await {
            Ok(answer) => answer,
            Err(error) => OrderAnswer::Refused {
                suggestion: error.suggestion().unwrap_or_default(),
                reason: error.to_string(),
            },
        };
        journal.answer_order(number, &answer)?;
        Ok(pauses)
    }

    async fn obey(&mut self, order: Order) -> Result<OrderAnswer, Error> {
        let begun = |resync| Ok(OrderAnswer::Begun { resync });
        match order {
            Order::Pause => Ok(OrderAnswer::Done),
            Order::Resync { tables, live } => {
                self.reload()?;
                let kind = Kind::Resync;
                begun(self.begin(Job::Start { kind, tables, live }).await?)
            }
            Order::AddTable { table } => {
                self.reload()?;
                begun(self.begin(add(&self.held.1, table)?).await?)
            }
            Order::RemoveTable { table } => {
                self.main.stop().await?;
                let removed = remove(&self.held.1, &table);
                if self.job.is_none() {
                    self.main.start().await?;
                }
                removed.map(|()| OrderAnswer::Done)
            }
            Order::Resume => begun(self.go_on(|_| Ok(())).await?),
            Order::Approve => begun(self.go_on(super::job::approve_waiting).await?),
            Order::Abort => {
                if self.job.is_some() {
                    return Err(Error::Nothing {
                        reason: "the resync is at work".to_owned(),
                        suggestion:
                            "stop it with `tidemill pause`, then give it up with `tidemill abort`"
                                .to_owned(),
                    });
                }
                let work = Work::take_up(&self.pipe, self.held.clone(), self.progress.clone())?;
                let work = work.filter(|work| !work.resync().phase.is_over());
                let Some(work) = work else {
                    return Err(super::nothing_under_way(&self.pipe));
                };
                rollback::abort(&self.session.destination, &work).await?;
                self.main.start().await?;
                Ok(OrderAnswer::Done)
            }
        }
    }

    /// Reads the pipe file anew: a resync goes by what it says now. Where both ends are is another matter: they stay.
    fn reload(&mut self) -> Result<(), Error> {
        let pipe = self.pipe.reload()?;
        if pipe.state != self.pipe.state || pipe.name != self.pipe.name {
            return Err(Error::Nothing {
                reason: "the pipe file names another pipe now".to_owned(),
                suggestion: "stop the process at work, and start it again".to_owned(),
            });
        }
        self.session.tuning.take_up(&pipe);
        self.session = Arc::new(self.session.with_pipe(&pipe));
        self.pipe = pipe;
        Ok(())
    }
}

/// The job that adds a table.
pub(super) fn add(journal: &Journal, table: TableName) -> Result<Job, Error> {
    if journal
        .followed(MAIN)?
        .iter()
        .any(|known| known.source == table)
    {
        return Err(Error::Nothing {
            reason: format!("{table} is followed already"),
            suggestion: "rebuild it with `tidemill resync --table`".to_owned(),
        });
    }
    Ok(Job::Start {
        kind: Kind::Load,
        tables: vec![table],
        live: false,
    })
}

/// Takes a table out of the stream, which is stopped. The others go on from where it is.
pub(super) fn remove(journal: &Journal, table: &TableName) -> Result<(), Error> {
    let followed = journal.followed(MAIN)?;
    let Some(record) = followed.iter().find(|known| known.source == *table) else {
        return Err(Error::Nothing {
            reason: format!("{table} is not followed"),
            suggestion: "`tidemill status` lists the tables that are".to_owned(),
        });
    };
    journal.leave_main(record, "removed")?;
    Ok(())
}

/// When a file was changed last.
fn changed(path: &std::path::Path) -> Option<SystemTime> {
    std::fs::metadata(path)
        .and_then(|file| file.modified())
        .ok()
}

/// Waits for the end of a job; for ever, if there is none.
async fn finished(job: &mut Option<JoinHandle<Result<Outcome, Error>>>) -> Result<Outcome, Error> {
    match job {
        Some(job) => job
            .await
            .unwrap_or_else(|cause| Err(Error::Worker(cause.to_string()))),
        None => std::future::pending().await,
    }
}

/// What holds the load, as it is told.
fn brakes(session: &Session) -> impl Fn() -> BrakeReport + Send + use<> {
    let tuning = session.tuning.clone();
    move || {
        let reason = tuning.brakes.reason();
        BrakeReport {
            held: reason.is_some(),
            reason,
        }
    }
}
