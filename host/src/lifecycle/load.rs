//! The Snapshot phase: chunks are read, transformed and written in parallel, each journalled as a unit.
//!
//! ```text
//! reader thread:  MySQL ──batches──▶ transforms ──▶ block ──┐  (bounded: one block waits)
//! writer task:                                              └──▶ ClickHouse, then the journal
//! ```
//! A pair of the two for each of `parallel_chunks`; a reader takes the next chunk while its writer still writes the last one.
//! What this module promises: a chunk is either journalled as done, with all its rows in the shadow, or it is done again and
//! leaves nothing twice. Blocks carry a token made of the resync, the chunk and their content, so a block that was written before a
//! crash or a lost answer isn't written again; a table without a key, whose rows come in no order, is emptied and begun again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc;
use tracing::{Instrument, Span};

use super::binding::BoundTable;
use super::catch_up;
use super::error::Error;
use super::merges;
use super::reading;
use super::report::TableStatistics;
use super::retry;
use super::session::Session;
use super::statistics;
use super::transforms;
use super::work::Work;
use super::writing::{self, Job};
use crate::journal::TableState;
use crate::pipe::{Pipe, VerifyMode};
use crate::schema::{Chunk, Engine, Ledger, TableName};
use crate::source::{Consistency, Reader, Snapshot, TableRead};

/// How a load ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loaded {
    /// All chunks are done.
    All,
    /// A pause was asked for.
    Paused,
}

/// How the load from one snapshot ended.
enum FromSnapshot {
    Ended(Loaded),
    /// All its connections are lost.
    Lost,
    /// Another number of readers is wanted.
    Resized,
}

/// A table that is being loaded.
#[derive(Debug)]
pub(super) struct LoadTable {
    pub(super) bound: BoundTable,
    pub(super) read: TableRead,
    pub(super) chunks_left: AtomicU64,
    live: Mutex<Live>,
}

/// What happened in this process since the load began: the journal knows only whole chunks.
#[derive(Clone, Copy, Debug)]
struct Live {
    since: Option<Instant>,
    unfinished: Ledger,
}

impl LoadTable {
    /// Counts rows of chunks that are not done yet, for whoever watches.
    pub(super) fn count(&self, ledger: Ledger) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.since.get_or_insert_with(Instant::now);
        live.unfinished += ledger;
    }
}

/// A chunk to do.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) table: Arc<LoadTable>,
    pub(super) chunk: Chunk,
}

/// What the readers and writers of a load share.
pub(super) struct Shared {
    pub(super) session: Arc<Session>,
    pub(super) work: Arc<Work>,
    queue: Mutex<VecDeque<Task>>,
    stop: AtomicU8,
    failure: Mutex<Option<Error>>,
}

const GO_ON: u8 = 0;
const PAUSE: u8 = 1;
const FAIL: u8 = 2;
const LOST: u8 = 3;
/// No further chunk is begun: another number of readers goes on.
const RESIZE: u8 = 4;

impl Shared {
    /// The next chunk to do; none if there is none or the load is to stop.
    pub(super) fn next(&self) -> Option<Task> {
        match self.stop.load(Ordering::Relaxed) {
            GO_ON => self.queue().pop_front(),
            _ => None,
        }
    }

    /// Whether no further chunk is to be begun.
    pub(super) fn has_none(&self) -> bool {
        self.stop.load(Ordering::Relaxed) != GO_ON || self.queue().is_empty()
    }

    /// Puts a chunk back that could not be done.
    pub(super) fn put_back(&self, task: Task) {
        self.queue().push_front(task);
    }

    /// Whether readers are to stop at the next batch boundary.
    pub(super) fn is_stopped(&self) -> bool {
        !matches!(self.stop.load(Ordering::Relaxed), GO_ON | RESIZE)
    }

    /// Ends the load with an error; the first one counts.
    pub(super) fn fail(&self, error: Error) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error);
        self.stop.store(FAIL, Ordering::Relaxed);
    }

    /// Ends this snapshot; what is left goes on from another one.
    pub(super) fn lose_snapshot(&self) {
        self.stop_as(LOST);
    }

    /// Stops the load, unless it is stopped already: a failure that came first stays one.
    fn stop_as(&self, how: u8) {
        for from in [GO_ON, RESIZE] {
            let _ = self
                .stop
                .compare_exchange(from, how, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<Task>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Loads all chunks that are not done, with the shadows' merges held.
pub(super) async fn load(
    session: &Arc<Session>,
    work: &Arc<Work>,
    tables: &[BoundTable],
) -> Result<Loaded, Error> {
    plan(session, work, tables).await?;
    finish_tables(work, tables)?;
    merges::hold(session, work, tables).await?;
    let loaded = tokio::select! {
        loaded = load_pending(session, work, tables) => loaded,
        never = session.tuning.brakes.watch(&session.source, &*work.progress) => match never {},
    };
    // Also where the load failed or was paused: a mutation of a table whose merges are held would wait for ever.
    merges::release(session, tables, loaded.is_ok()).await?;
    loaded
}

/// Loads all chunks that are not done, from as many snapshots as it takes.
async fn load_pending(
    session: &Arc<Session>,
    work: &Arc<Work>,
    tables: &[BoundTable],
) -> Result<Loaded, Error> {
    let mut lost = 0;
    loop {
        let names: Vec<TableName> = tables
            .iter()
            .map(|table| table.mapping.source.clone())
            .collect();
        let pending = pending(work, tables)?;
        if pending.is_empty() {
            return Ok(Loaded::All);
        }
        let readers = session
            .tuning
            .get()
            .snapshot
            .parallel_chunks
            .min(pending.len());
        let opened = session.source.snapshot(&names, readers).await;
        let snapshot = match opened {
            Err(error) if error.is_transient() && retry::SERVER.again(lost + 1) => {
                lost += 1;
                tracing::warn!(%error, "the source can't be read, trying again");
                tokio::time::sleep(retry::SERVER.pause(lost)).await;
                continue;
            }
            opened => opened?,
        };
        begin_snapshot(session, work, tables, &snapshot).await?;
        // Behind it: chunks that are read again count once.
        transforms::begin(work, tables)?;
        let before = done_chunks(work, tables)?;
        match load_from(session, work, tables, snapshot).await? {
            FromSnapshot::Ended(loaded) => return Ok(loaded),
            FromSnapshot::Resized => {
                lost = 0;
                continue;
            }
            FromSnapshot::Lost if done_chunks(work, tables)? > before => lost = 1,
            FromSnapshot::Lost => lost += 1,
        }
        if !retry::SERVER.again(lost) {
            return Err(Error::Worker(
                "the connections to the source are lost again and again".to_owned(),
            ));
        }
        work.note("the connections to the source were lost; the load goes on from a new snapshot")?;
        tokio::time::sleep(retry::SERVER.pause(lost)).await;
    }
}

/// Splits each table that has no chunks yet.
async fn plan(session: &Session, work: &Work, tables: &[BoundTable]) -> Result<(), Error> {
    for table in tables {
        let source = &table.mapping.source;
        if work.table(source).state == TableState::Waiting {
            plan_table(session, work, table).await?;
        }
    }
    Ok(())
}

async fn plan_table(session: &Session, work: &Work, table: &BoundTable) -> Result<(), Error> {
    let source = &table.mapping.source;
    let rows = work.pipe.snapshot.chunk_rows;
    let chunks = retry::SERVER
        .run(
            "split a table",
            |e: &crate::source::SourceError| e.is_transient(),
            || async { session.source.chunks(&table.source, rows).await },
        )
        .await?;
    work.plan_chunks(source, &chunks)?;
    Ok(())
}

/// Takes note of tables whose last chunk was journalled by a process that ended right then.
fn finish_tables(work: &Work, tables: &[BoundTable]) -> Result<(), Error> {
    for table in tables {
        let source = &table.mapping.source;
        let chunks = work.journal.chunks(&work.id(), source)?;
        let done = chunks.iter().all(|chunk| chunk.result.is_some());
        if done && work.table(source).state == TableState::Loading {
            work.loaded(source)?;
        }
    }
    Ok(())
}

/// The chunks that are not done, in the order of the pipe's tables.
fn pending(work: &Work, tables: &[BoundTable]) -> Result<Vec<(usize, Chunk)>, Error> {
    let mut pending = Vec::new();
    for (i, table) in tables.iter().enumerate() {
        let chunks = work.journal.chunks(&work.id(), &table.mapping.source)?;
        pending.extend(
            chunks
                .into_iter()
                .filter(|c| c.result.is_none())
                .map(|c| (i, c.chunk)),
        );
    }
    Ok(pending)
}

fn done_chunks(work: &Work, tables: &[BoundTable]) -> Result<usize, Error> {
    let mut done = 0;
    for table in tables {
        done += work
            .journal
            .chunks(&work.id(), &table.mapping.source)?
            .iter()
            .filter(|c| c.result.is_some())
            .count();
    }
    Ok(done)
}

/// Journals where the snapshot was taken. Chunks of an earlier snapshot stay if nothing was committed at the source in between;
/// else, where the load was promised to be consistent, it starts over.
async fn begin_snapshot(
    session: &Session,
    work: &Work,
    tables: &[BoundTable],
    snapshot: &Snapshot,
) -> Result<(), Error> {
    let earlier = work.resync();
    let (consistent, consistency) = match &snapshot.consistency {
        Consistency::Consistent { how } => (true, format!("all tables at one moment ({how})")),
        Consistency::Independent { reason } => {
            (false, format!("not one moment for all tables: {reason}"))
        }
    };
    let moved = earlier.position.is_none()
        || earlier.position != snapshot.position
        || !snapshot.binlog_has_all;
    // A pipe that follows makes up for what was written in between.
    let follows = work.pipe.cdc.follows();
    let start_over = !follows && earlier.consistent && moved && done_chunks(work, tables)? > 0;
    if start_over {
        work.note("the source was written to since the snapshot was lost, so the load began again: all tables show one moment")?;
    }
    for table in tables {
        let source = &table.mapping.source;
        let record = work.table(source);
        let unfinished = record.began.is_some() && record.state == TableState::Loading;
        // What an unfinished chunk has left is known by its blocks' tokens only if the same rows come in the same order again.
        let differs = moved || !earlier.consistent || !table.is_keyed();
        let mends = follows && mends_itself(&work.pipe, table);
        if start_over || unfinished && differs && !mends {
            empty(session, work, table).await?;
        }
        if record.state == TableState::Loading && work.table(source).began.is_none() {
            let from = snapshot.position.as_ref().filter(|_| consistent);
            catch_up::loaded_from(work, table, from)?;
        }
    }
    if !consistent {
        work.note(format!("the snapshot shows {consistency}"))?;
    }
    work.update("snapshot begun", |resync| {
        resync.position = snapshot.position.clone();
        resync.consistent = consistent;
        resync.consistency = Some(consistency);
    })?;
    Ok(())
}

/// Whether what an unfinished chunk has left does no harm: changes since its snapshot are applied later, and a row replaces its older self.
pub(super) fn mends_itself(pipe: &Pipe, table: &BoundTable) -> bool {
    table.is_keyed()
        && table.target.engine == Engine::ReplacingMergeTree
        && pipe.verify != VerifyMode::Full
}

/// Empties a shadow, so that its table is loaded from the beginning. The new attempt's number makes new tokens.
pub(super) async fn empty(session: &Session, work: &Work, table: &BoundTable) -> Result<(), Error> {
    let source = &table.mapping.source;
    let shadow = table.target.shadow();
    work.update_table(source, "empties the shadow of", |record| {
        record.attempt += 1
    })?;
    session
        .retried("empty a shadow", || session.destination.truncate(&shadow))
        .await?;
    forget_rejected(session, work, table).await?;
    plan_table(session, work, table).await
}

/// Removes the rows that an earlier attempt of this resync has rejected.
pub(super) async fn forget_rejected(
    session: &Session,
    work: &Work,
    table: &BoundTable,
) -> Result<(), Error> {
    let (name, id) = (&table.target.name, work.id());
    session
        .retried("forget rejected rows", || {
            session.destination.forget_rejected(name, &id)
        })
        .await?;
    Ok(())
}

/// Loads what is pending from one snapshot.
async fn load_from(
    session: &Arc<Session>,
    work: &Arc<Work>,
    tables: &[BoundTable],
    snapshot: Snapshot,
) -> Result<FromSnapshot, Error> {
    let pending = pending(work, tables)?;
    let load_tables: Vec<Arc<LoadTable>> = tables
        .iter()
        .enumerate()
        .map(|(i, bound)| {
            Arc::new(LoadTable {
                read: TableRead::new(&bound.source, bound.chain.input_columns()),
                chunks_left: AtomicU64::new(
                    pending.iter().filter(|(table, _)| *table == i).count() as u64,
                ),
                bound: bound.clone(),
                live: Mutex::new(Live {
                    since: None,
                    unfinished: Ledger::default(),
                }),
            })
        })
        .collect();
    let queue = pending
        .into_iter()
        .map(|(i, chunk)| Task {
            table: load_tables[i].clone(),
            chunk,
        })
        .collect();
    let shared = Arc::new(Shared {
        session: session.clone(),
        work: work.clone(),
        queue: Mutex::new(queue),
        stop: AtomicU8::new(GO_ON),
        failure: Mutex::new(None),
    });
    let watch = watch(shared.clone(), load_tables.clone());
    let watch = tokio::spawn(watch.in_current_span());
    session
        .tuning
        .brakes
        .set_own(snapshot.readers.iter().map(Reader::id));
    run_pairs(&shared, snapshot.readers).await;
    watch.abort();
    load_tables.iter().for_each(|table| report(&shared, table));

    if let Some(error) = shared
        .failure
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
    {
        return Err(error);
    }
    let stop = shared.stop.load(Ordering::Relaxed);
    if stop == PAUSE {
        return Ok(FromSnapshot::Ended(Loaded::Paused));
    }
    let left: u64 = load_tables
        .iter()
        .map(|table| table.chunks_left.load(Ordering::Relaxed))
        .sum();
    Ok(match (left, stop) {
        (0, _) => FromSnapshot::Ended(Loaded::All),
        (_, RESIZE) => FromSnapshot::Resized,
        _ => FromSnapshot::Lost,
    })
}

/// Runs a reader thread and a writer task for each connection of the snapshot, until all have ended.
async fn run_pairs(shared: &Arc<Shared>, readers: Vec<Reader>) {
    let mut pairs = Vec::new();
    for reader in readers {
        let (jobs, inbox) = mpsc::channel::<Job>(1);
        let writer = tokio::spawn(writing::write(shared.clone(), inbox).in_current_span());
        let (for_reader, span) = (shared.clone(), Span::current());
        let read = move || span.in_scope(|| reading::read(&for_reader, reader, &jobs));
        let reader = tokio::task::spawn_blocking(read);
        pairs.push((reader, writer));
    }
    for (reader, writer) in pairs {
        for ended in [reader.await, writer.await] {
            if let Err(cause) = ended {
                shared.fail(Error::Worker(cause.to_string()));
            }
        }
    }
}

/// Looks for a request to pause, and tells whoever watches how far the tables are.
async fn watch(shared: Arc<Shared>, tables: Vec<Arc<LoadTable>>) {
    let parallel_chunks = shared.session.tuning.get().snapshot.parallel_chunks;
    let mut ticks = tokio::time::interval(Duration::from_millis(300));
    loop {
        ticks.tick().await;
        match shared.work.journal.pause_requested(&shared.work.id()) {
            Ok(false) => {}
            Ok(true) => shared.stop_as(PAUSE),
            Err(error) => shared.fail(error.into()),
        }
        // Only a pipe that follows can go on from a later snapshot.
        let wanted = shared.session.tuning.get().snapshot.parallel_chunks;
        if wanted != parallel_chunks && shared.work.pipe.cdc.follows() {
            shared.stop_as(RESIZE);
        }
        tables.iter().for_each(|table| report(&shared, table));
    }
}

/// A table's statistics: the journal's, and what this process has read since.
fn report(shared: &Shared, table: &LoadTable) {
    let work = &shared.work;
    let record = work.table(&table.bound.mapping.source);
    let Ok(chunks) = work.journal.chunks(&work.id(), &record.source) else {
        return;
    };
    let mut statistics: TableStatistics = statistics::of_table(&record, &chunks, Timestamp::now());
    let live = *table.live.lock().unwrap_or_else(PoisonError::into_inner);
    if live.since.is_none() && record.state == TableState::Loading {
        return;
    }
    statistics.ledger.read = statistics.ledger.read.max(live.unfinished.read);
    statistics.ledger.written = statistics.ledger.written.max(live.unfinished.written);
    statistics.ledger.filtered = statistics.ledger.filtered.max(live.unfinished.filtered);
    statistics.ledger.rejected = statistics.ledger.rejected.max(live.unfinished.rejected);
    statistics.ledger.skipped = statistics.ledger.skipped.max(live.unfinished.skipped);
    if let Some(since) = live.since {
        statistics::set_rate(&mut statistics, record.state, since.elapsed().as_secs_f64());
    }
    work.progress.table(&statistics);
}
