//! The journal: what is durable of a pipe, in SQLite, in the pipe's state folder.
//!
//! Every step of a resync is written here before it is done and after, so that a process that was killed at any moment can be
//! started again and knows what to ask the servers. A write is on the disk when the call returns. No secret and no cell value
//! is ever written, but the key values that bound a chunk.

mod crash;
mod lock;
mod orders;
mod record;
mod stream;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params,
};
use uuid::Uuid;

pub use lock::PipeLock;
pub use orders::{Order, OrderAnswer, OrderState};
pub use record::{
    ChunkRecord, ChunkResult, Kind, Phase, PinnedPlugin, ResyncRecord, StepCounts, TableRecord,
    TableState,
};
pub use stream::{ChangeCounts, FollowState, FollowedRecord, MAIN, Pending, StreamRecord};

use crate::schema::{Chunk, TableName};
use crate::times::Times;

/// The version of the tables in `schema.sql`, kept in SQLite's `user_version`.
const SCHEMA_VERSION: i64 = 3;

/// Why the journal can't be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The state folder can't be made or its lock can't be taken.
    #[error("the pipe's state folder {folder} can't be used: {cause}", folder = folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Another process is at work on the pipe.
    #[error("another process is at work on this pipe (process {process})")]
    Locked {
        /// Its process id, as it wrote it into the lock file.
        process: String,
    },
    /// SQLite failed.
    #[error("the journal {file} failed: {cause}", file = file.display())]
    Sqlite {
        /// The journal's file.
        file: PathBuf,
        /// Why.
        cause: rusqlite::Error,
    },
    /// A newer Tidemill wrote it.
    #[error("the journal {file} was written by a newer Tidemill (version {found} of its tables, {SCHEMA_VERSION} is known here)", file = file.display())]
    Newer {
        /// The journal's file.
        file: PathBuf,
        /// The version found.
        found: i64,
    },
    /// A record can't be read.
    #[error("the journal {file} holds a record that can't be read: {cause}", file = file.display())]
    Record {
        /// The journal's file.
        file: PathBuf,
        /// Why.
        cause: serde_json::Error,
    },
}

/// Tries again for as long as SQLite is busy. Where another process turns the journal to write-ahead logging, closes it as the last one or
/// recovers it after a crash, SQLite says so at once, whatever the timeout of the connection.
fn patiently<T>(attempt: impl Fn() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let done = attempt();
        let busy = matches!(
            done.as_ref()
                .err()
                .and_then(rusqlite::Error::sqlite_error_code),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        );
        if !busy || Instant::now() > deadline {
            return done;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How long the journal waits for other processes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What SQLite keeps of a journal in memory, in KiB, as its `cache_size` is given: a journal is small, and a service has a thousand of them open. The
/// default is 2 MB.
const CACHE: i32 = -128;

/// All writes of this process, whichever pipe's.
static WRITES: Times = Times::new();

/// How many writes to journals there were in this process, and how many seconds they took.
pub fn write_times() -> (u64, f64) {
    WRITES.read()
}

/// The journal of a pipe. Calls are short and synchronous.
#[derive(Debug)]
pub struct Journal {
    file: PathBuf,
    connection: Mutex<Connection>,
}

impl Journal {
    /// Opens the journal in a pipe's state folder, or makes it.
    pub fn open(state: &Path) -> Result<Self, JournalError> {
        std::fs::create_dir_all(state).map_err(|cause| JournalError::Folder {
            folder: state.to_owned(),
            cause,
        })?;
        let file = state.join("journal.sqlite");
        let failed = |cause| JournalError::Sqlite {
            file: file.clone(),
            cause,
        };
        let connection = Connection::open(&file).map_err(failed)?;
        // Other processes read while one writes: `status` beside a running resync.
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        let set_up = || {
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", "full")?;
            connection.pragma_update(None, "cache_size", CACHE)?;
            let found: i64 =
                connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            if found < SCHEMA_VERSION {
                connection.execute_batch(include_str!("schema.sql"))?;
                connection.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            }
            Ok(found)
        };
        let found = patiently(set_up).map_err(failed)?;
        if found > SCHEMA_VERSION {
            return Err(JournalError::Newer { file, found });
        }
        Ok(Self {
            file,
            connection: Mutex::new(connection),
        })
    }

    /// Opens the journal if there is one: a pipe that never ran has none.
    pub fn open_existing(state: &Path) -> Result<Option<Self>, JournalError> {
        if state.join("journal.sqlite").exists() {
            Self::open(state).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Writes a resync's first record, with its tables.
    pub fn begin(&self, resync: &ResyncRecord, tables: &[TableRecord]) -> Result<(), JournalError> {
        self.write(&resync.id, "begin", |tx| {
            tx.execute(
                "INSERT INTO resyncs (id, number, record) VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM resyncs), ?2)",
                params![resync.id, json(resync)?],
            )?;
            for (ordinal, table) in tables.iter().enumerate() {
                tx.execute(
                    "INSERT INTO tables (resync, source, ordinal, record) VALUES (?1, ?2, ?3, ?4)",
                    params![resync.id, table.source.to_string(), ordinal as i64, json(table)?],
                )?;
            }
            Ok(())
        })
    }

    /// Writes a resync's record; `step` says what was done or is about to be.
    pub fn update_resync(&self, resync: &ResyncRecord, step: &str) -> Result<(), JournalError> {
        self.write(&resync.id, step, |tx| {
            tx.execute(
                "UPDATE resyncs SET record = ?2 WHERE id = ?1",
                params![resync.id, json(resync)?],
            )?;
            Ok(())
        })
    }

    /// Writes a table's record; `step` says what was done or is about to be.
    pub fn update_table(
        &self,
        resync: &str,
        table: &TableRecord,
        step: &str,
    ) -> Result<(), JournalError> {
        self.write(resync, &format!("{step} {}", table.source), |tx| {
            update_table(tx, resync, table)
        })
    }

    /// Writes a table's chunks in place of any that it had, together with its record.
    pub fn plan_chunks(
        &self,
        resync: &str,
        table: &TableRecord,
        chunks: &[Chunk],
    ) -> Result<(), JournalError> {
        let source = table.source.to_string();
        self.write(resync, &format!("chunks planned {source}"), |tx| {
            tx.execute(
                "DELETE FROM chunks WHERE resync = ?1 AND source = ?2",
                params![resync, source],
            )?;
            for chunk in chunks {
                let record = ChunkRecord {
                    chunk: chunk.clone(),
                    result: None,
                    sent: 0,
                };
                tx.execute(
                    "INSERT INTO chunks (resync, source, number, record) VALUES (?1, ?2, ?3, ?4)",
                    params![resync, source, chunk.number, json(&record)?],
                )?;
            }
            update_table(tx, resync, table)
        })
    }

    /// Writes that a chunk is done.
    pub fn chunk_done(
        &self,
        resync: &str,
        chunk: &Chunk,
        result: ChunkResult,
    ) -> Result<(), JournalError> {
        self.update_chunk(resync, chunk, "done", |record| record.result = Some(result))
    }

    /// Writes that so many rows of a chunk are about to be sent.
    pub fn chunk_sends(&self, resync: &str, chunk: &Chunk, rows: u64) -> Result<(), JournalError> {
        self.update_chunk(resync, chunk, "sends a block", |record| record.sent += rows)
    }

    fn update_chunk(
        &self,
        resync: &str,
        chunk: &Chunk,
        step: &str,
        change: impl FnOnce(&mut ChunkRecord),
    ) -> Result<(), JournalError> {
        let source = chunk.table.to_string();
        let step = format!("chunk {} {step} {source}", chunk.number);
        self.write(resync, &step, |tx| {
            let key = params![resync, source, chunk.number];
            let text: String = tx.query_row(
                "SELECT record FROM chunks WHERE resync = ?1 AND source = ?2 AND number = ?3",
                key,
                |row| row.get(0),
            )?;
            let mut record: ChunkRecord = serde_json::from_str(&text)
                .map_err(|cause| rusqlite::Error::ToSqlConversionFailure(Box::new(cause)))?;
            change(&mut record);
            tx.execute(
                "UPDATE chunks SET record = ?4 WHERE resync = ?1 AND source = ?2 AND number = ?3",
                params![resync, source, chunk.number, json(&record)?],
            )?;
            Ok(())
        })
    }

    /// The last resync, over or not.
    pub fn last_resync(&self) -> Result<Option<ResyncRecord>, JournalError> {
        Ok(self
            .records(
                "SELECT record FROM resyncs ORDER BY number DESC LIMIT 1",
                [],
            )?
            .pop())
    }

    /// All resyncs, the last first.
    pub fn resyncs(&self) -> Result<Vec<ResyncRecord>, JournalError> {
        self.records("SELECT record FROM resyncs ORDER BY number DESC", [])
    }

    /// The latest resyncs, at most so many, the last first: all of them, or those before this one. None, if there is no such one.
    pub fn latest_resyncs(
        &self,
        before: Option<&str>,
        most: usize,
    ) -> Result<Option<Vec<ResyncRecord>>, JournalError> {
        let before = match before {
            None => i64::MAX,
            Some(id) => match self.number(id)? {
                Some(number) => number,
                None => return Ok(None),
            },
        };
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let sql = "SELECT record FROM resyncs WHERE number < ?1 ORDER BY number DESC LIMIT ?2";
        self.records(sql, params![before, most]).map(Some)
    }

    /// A resync; none, if there is no such one.
    pub fn resync(&self, id: &str) -> Result<Option<ResyncRecord>, JournalError> {
        let sql = "SELECT record FROM resyncs WHERE id = ?1";
        Ok(self.records(sql, params![id])?.pop())
    }

    /// The place of a resync among all; none, if there is no such one.
    fn number(&self, id: &str) -> Result<Option<i64>, JournalError> {
        let sql = "SELECT number FROM resyncs WHERE id = ?1";
        let connection = self.connection();
        let found = patiently(|| connection.query_row(sql, [id], |row| row.get(0)).optional());
        found.map_err(|cause| self.failed(cause))
    }

    /// The record of a table in the last resync that it had a part in.
    pub fn last_of_table(&self, source: &TableName) -> Result<Option<TableRecord>, JournalError> {
        let sql = "SELECT record FROM tables WHERE source = ?1 AND resync = \
                   (SELECT id FROM tables JOIN resyncs ON id = resync WHERE source = ?1 ORDER BY number DESC LIMIT 1)";
        Ok(self.records(sql, params![source.to_string()])?.pop())
    }

    /// A resync's tables, in the pipe's order.
    pub fn tables(&self, resync: &str) -> Result<Vec<TableRecord>, JournalError> {
        self.records(
            "SELECT record FROM tables WHERE resync = ?1 ORDER BY ordinal",
            [resync],
        )
    }

    /// Whether a table of the destination is one that a resync of this pipe has made or replaced.
    pub fn knows(&self, uuid: Uuid) -> Result<bool, JournalError> {
        for resync in self.resyncs()? {
            let tables = self.tables(&resync.id)?;
            if tables
                .iter()
                .any(|table| [table.original, table.shadow].contains(&Some(uuid)))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A table's chunks, in order.
    pub fn chunks(
        &self,
        resync: &str,
        source: &TableName,
    ) -> Result<Vec<ChunkRecord>, JournalError> {
        self.records(
            "SELECT record FROM chunks WHERE resync = ?1 AND source = ?2 ORDER BY number",
            params![resync, source.to_string()],
        )
    }

    /// Asks the process at work on a resync to pause at the next batch boundary.
    pub fn request_pause(&self, resync: &str) -> Result<(), JournalError> {
        self.write(resync, "pause requested", |tx| {
            tx.execute(
                "INSERT OR REPLACE INTO requests (resync, request) VALUES (?1, 'pause')",
                params![resync],
            )?;
            Ok(())
        })
    }

    /// Whether a pause was asked for.
    pub fn pause_requested(&self, resync: &str) -> Result<bool, JournalError> {
        let found = self
            .connection()
            .query_row(
                "SELECT 1 FROM requests WHERE resync = ?1",
                params![resync],
                |_| Ok(()),
            )
            .optional()
            .map_err(|cause| self.failed(cause))?;
        Ok(found.is_some())
    }

    /// Forgets what was asked for, once it was done or a person has decided otherwise.
    pub fn clear_request(&self, resync: &str) -> Result<(), JournalError> {
        self.write(resync, "request cleared", |tx| {
            tx.execute("DELETE FROM requests WHERE resync = ?1", params![resync])?;
            Ok(())
        })
    }

    /// A change with the line of its step.
    fn write(
        &self,
        resync: &str,
        step: &str,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), JournalError> {
        self.write_quietly(resync, step, |tx| {
            change(tx)?;
            tx.execute(
                "INSERT INTO steps (resync, at, step) VALUES (?1, ?2, ?3)",
                params![resync, Timestamp::now().to_string(), step],
            )?;
            Ok(())
        })
    }

    /// The one way to write: a transaction, between two places where a test may end the process. Without the step's line, for what is
    /// done once a second for years.
    fn write_quietly(
        &self,
        resync: &str,
        step: &str,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), JournalError> {
        crash::point("before", step);
        let connection = self.connection();
        let written = WRITES.measure(|| {
            // It is to be written from the first: a transaction that has read can't wait for another one's end.
            let begin = || Transaction::new_unchecked(&connection, TransactionBehavior::Immediate);
            let tx = patiently(begin)?;
            change(&tx)?;
            tx.commit()
        });
        written.map_err(|cause| self.failed(cause))?;
        tracing::debug!(resync, step, "journalled");
        crash::point("after", step);
        Ok(())
    }

    fn records<T: serde::de::DeserializeOwned>(
        &self,
        sql: &str,
        keys: impl rusqlite::Params + Clone,
    ) -> Result<Vec<T>, JournalError> {
        let connection = self.connection();
        let texts = patiently(|| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(keys.clone(), |row| row.get::<_, String>(0))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        });
        let texts = texts.map_err(|cause| self.failed(cause))?;
        texts.iter().map(|text| self.parsed(text)).collect()
    }

    fn parsed<T: serde::de::DeserializeOwned>(&self, text: &str) -> Result<T, JournalError> {
        serde_json::from_str(text).map_err(|cause| JournalError::Record {
            file: self.file.clone(),
            cause,
        })
    }

    /// A panic while the lock was held leaves no half-made change behind: SQLite rolls it back.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, cause: rusqlite::Error) -> JournalError {
        JournalError::Sqlite {
            file: self.file.clone(),
            cause,
        }
    }
}

fn update_table(tx: &Transaction<'_>, resync: &str, table: &TableRecord) -> rusqlite::Result<()> {
    tx.execute(
        "UPDATE tables SET record = ?3 WHERE resync = ?1 AND source = ?2",
        params![resync, table.source.to_string(), json(table)?],
    )?;
    Ok(())
}

fn json<T: serde::Serialize>(record: &T) -> rusqlite::Result<String> {
    serde_json::to_string(record)
        .map_err(|cause| rusqlite::Error::ToSqlConversionFailure(Box::new(cause)))
}

#[cfg(test)]
mod tests;
