//! A resync at work: its record and its tables' records, as the journal has them, with the one way to change them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::brakes::Brakes;
use super::error::Error;
use super::pace::Pace;
use super::report::{Progress, ResyncSummary};
use super::statistics;
use crate::journal::{
    Journal, JournalError, Kind, Phase, PipeLock, ResyncRecord, TableRecord, TableState,
};
use crate::pipe::Pipe;
use crate::schema::{Chunk, TableName};

/// A resync that this process works on. The pipe's lock is held as long as it lives.
pub(super) struct Work {
    pub(super) pipe: Pipe,
    pub(super) journal: Journal,
    pub(super) progress: Arc<dyn Progress>,
    /// What holds the load while the source has no room for it.
    pub(super) brakes: Brakes,
    /// How fast it may read.
    pub(super) pace: Pace,
    resync: Mutex<ResyncRecord>,
    tables: Mutex<BTreeMap<TableName, TableRecord>>,
    _lock: PipeLock,
}

impl Work {
    /// Takes the pipe's lock for a new resync, or says which one is in the way.
    pub(super) fn lock(pipe: &Pipe) -> Result<(PipeLock, Journal), Error> {
        let lock = match PipeLock::take(&pipe.state) {
            Ok(lock) => lock,
            Err(locked @ JournalError::Locked { .. }) => {
                let last = Journal::open_existing(&pipe.state)?
                    .map(|journal| journal.last_resync())
                    .transpose()?
                    .flatten();
                return Err(match last {
                    Some(resync) if !resync.phase.is_over() => Error::Unfinished {
                        id: resync.id,
                        phase: resync.phase,
                        active: true,
                    },
                    _ => locked.into(),
                });
            }
            Err(error) => return Err(error.into()),
        };
        Ok((lock, Journal::open(&pipe.state)?))
    }

    /// Begins a resync.
    pub(super) fn begin(
        pipe: &Pipe,
        (lock, journal): (PipeLock, Journal),
        kind: Kind,
        tables: Vec<TableRecord>,
        progress: Arc<dyn Progress>,
    ) -> Result<Self, Error> {
        let resync = ResyncRecord::new(kind);
        journal.begin(&resync, &tables)?;
        progress.phase(&resync.id, resync.phase);
        Ok(Self::new(pipe, (lock, journal), resync, tables, progress))
    }

    /// Takes up the resync that the journal holds.
    pub(super) fn take_up(
        pipe: &Pipe,
        (lock, journal): (PipeLock, Journal),
        progress: Arc<dyn Progress>,
    ) -> Result<Option<Self>, Error> {
        let Some(resync) = journal.last_resync()? else {
            return Ok(None);
        };
        let tables = journal.tables(&resync.id)?;
        Ok(Some(Self::new(
            pipe,
            (lock, journal),
            resync,
            tables,
            progress,
        )))
    }

    fn new(
        pipe: &Pipe,
        (lock, journal): (PipeLock, Journal),
        resync: ResyncRecord,
        tables: Vec<TableRecord>,
        progress: Arc<dyn Progress>,
    ) -> Self {
        let tables = tables
            .into_iter()
            .map(|table| (table.source.clone(), table))
            .collect();
        Self {
            pipe: pipe.clone(),
            brakes: Brakes::new(pipe.brakes.clone()),
            pace: Pace::new(pipe.snapshot.rows_per_second),
            journal,
            progress,
            resync: Mutex::new(resync),
            tables: Mutex::new(tables),
            _lock: lock,
        }
    }

    /// The resync's record as it is now.
    pub(super) fn resync(&self) -> ResyncRecord {
        self.resync_guard().clone()
    }

    /// The resync's id.
    pub(super) fn id(&self) -> String {
        self.resync_guard().id.clone()
    }

    /// Changes the resync's record; `step` is what the journal says of it.
    pub(super) fn update(
        &self,
        step: &str,
        change: impl FnOnce(&mut ResyncRecord),
    ) -> Result<(), JournalError> {
        let mut resync = self.resync_guard();
        let mut changed = resync.clone();
        change(&mut changed);
        self.journal.update_resync(&changed, step)?;
        *resync = changed;
        Ok(())
    }

    /// Enters a phase.
    pub(super) fn enter(&self, phase: Phase) -> Result<(), JournalError> {
        self.update(&format!("phase {phase}"), |resync| {
            resync.interrupted = match phase {
                Phase::Paused | Phase::Failed => Some(resync.working_phase()),
                _ => None,
            };
            resync.phase = phase;
            if phase.is_over() {
                resync.ended = Some(Timestamp::now());
            }
            if phase != Phase::Failed {
                resync.error = None;
            }
        })?;
        self.progress.phase(&self.id(), phase);
        Ok(())
    }

    /// Keeps something that a person should know, and tells whoever watches.
    pub(super) fn note(&self, message: impl Into<String>) -> Result<(), JournalError> {
        let message = message.into();
        self.progress.note(&message);
        if self.resync_guard().notes.contains(&message) {
            return Ok(());
        }
        self.update("note", |resync| resync.notes.push(message))
    }

    /// A table's record as it is now.
    pub(super) fn table(&self, source: &TableName) -> TableRecord {
        self.tables_guard()[source].clone()
    }

    /// Journals that all chunks of a table are done.
    pub(super) fn loaded(&self, source: &TableName) -> Result<(), JournalError> {
        self.update_table(source, "loaded", |table| {
            table.state = TableState::Loaded;
            table.began.get_or_insert_with(Timestamp::now);
            table.loaded = Some(Timestamp::now());
        })
    }

    /// All the tables' records, by name.
    pub(super) fn tables(&self) -> Vec<TableRecord> {
        self.tables_guard().values().cloned().collect()
    }

    /// Changes a table's record; `step` is what the journal says of it.
    pub(super) fn update_table(
        &self,
        source: &TableName,
        step: &str,
        change: impl FnOnce(&mut TableRecord),
    ) -> Result<(), JournalError> {
        let mut tables = self.tables_guard();
        let mut changed = tables[source].clone();
        change(&mut changed);
        self.journal.update_table(&self.id(), &changed, step)?;
        tables.insert(source.clone(), changed);
        Ok(())
    }

    /// Writes a table's chunks in place of any that it had; it is loading from now on.
    pub(super) fn plan_chunks(
        &self,
        source: &TableName,
        chunks: &[Chunk],
    ) -> Result<(), JournalError> {
        let mut tables = self.tables_guard();
        let mut changed = tables[source].clone();
        changed.state = TableState::Loading;
        changed.began = None;
        changed.loaded = None;
        self.journal.plan_chunks(&self.id(), &changed, chunks)?;
        tables.insert(source.clone(), changed);
        Ok(())
    }

    /// The resync with the statistics of its tables, as the journal has them.
    pub(super) fn summary(&self) -> Result<ResyncSummary, JournalError> {
        statistics::summary(&self.journal, &self.resync())
    }

    // A panic elsewhere leaves the records as they were journalled.
    fn resync_guard(&self) -> MutexGuard<'_, ResyncRecord> {
        self.resync.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tables_guard(&self) -> MutexGuard<'_, BTreeMap<TableName, TableRecord>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
