//! Where a pipe is in the binlog: a stream's position, the tables that follow it, and what has become of their changes.
//!
//! A pipe has one stream of its own, [`MAIN`]. A resync has another one, named by its id, which brings the shadows up to the
//! moment of the swap; then its tables join the main stream.
//!
//! What is about to be written is journalled before it is sent ([`Pending`]), because the cut of changes into inserts depends on the
//! clock: after a crash the same changes are cut at the same places, so that their inserts bear the same tokens.

use jiff::Timestamp;
use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::{Journal, JournalError, PinnedPlugin, json};
use crate::schema::{Position, SourceTable, TableName};

/// The name of the pipe's own stream.
pub const MAIN: &str = "main";

/// How the changes behind a stream's position are cut, of which some may have been written already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pending {
    /// All up to the row event of this number are one flush.
    Upto {
        /// The counter at the flush's end.
        counter: u64,
        /// The position at the flush's end.
        position: Position,
    },
    /// A transaction is larger than what is gathered at once: it is cut wherever one of these limits is met.
    Limits {
        /// Images of a part.
        rows: usize,
        /// Bytes of a part.
        bytes: usize,
    },
}

/// A stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRecord {
    /// Behind the last transaction of which ClickHouse has acknowledged every change.
    pub position: Position,
    /// The row events of followed tables up to there: the version of the last one.
    pub counter: u64,
    /// What may have been written beyond it.
    pub pending: Option<Pending>,
    /// Why it stopped, if an error stopped it.
    pub error: Option<String>,
    /// Whether a person has paused it.
    #[serde(default)]
    pub paused: bool,
}

/// What a followed table is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FollowState {
    /// Its changes are applied.
    Following,
    /// It can't go on as it is; a resync mends it.
    NeedsResync,
    /// It was stopped: by a TRUNCATE or DROP at the source, or by a person.
    Stopped,
}

impl std::fmt::Display for FollowState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Following => "following",
            Self::NeedsResync => "needs resync",
            Self::Stopped => "stopped",
        })
    }
}

/// What has become of a table's changes since its load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChangeCounts {
    /// Rows that were inserted at the source.
    pub inserts: u64,
    /// Rows that were updated.
    pub updates: u64,
    /// Rows that were deleted.
    pub deletes: u64,
    /// Row images that a transform left out.
    pub filtered: u64,
    /// Row images that went to the table of rejected rows.
    pub rejected: u64,
    /// Rows that a transform could not transform, and that the pipe leaves out.
    #[serde(default)]
    pub skipped: u64,
    /// Rows that were written to the destination, deletions included.
    pub written: u64,
    /// Bytes written, as Arrow.
    pub bytes: u64,
}

impl std::ops::AddAssign for ChangeCounts {
    fn add_assign(&mut self, other: Self) {
        self.inserts += other.inserts;
        self.updates += other.updates;
        self.deletes += other.deletes;
        self.filtered += other.filtered;
        self.rejected += other.rejected;
        self.skipped += other.skipped;
        self.written += other.written;
        self.bytes += other.bytes;
    }
}

/// A table that follows a stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FollowedRecord {
    /// The source table.
    pub source: TableName,
    /// The destination table's name; the stream of a resync writes to its shadow.
    pub destination: String,
    /// The resync that loaded it: its pipe file and plugins are pinned under this id.
    pub resync: String,
    /// The plugins of its transforms.
    pub plugins: Vec<PinnedPlugin>,
    /// The source table at the stream's position, with the pipe's choices.
    pub schema: SourceTable,
    /// What it is at.
    pub state: FollowState,
    /// Why it doesn't follow.
    pub reason: Option<String>,
    /// Changes up to here are in its load already, and are left out.
    pub from: Option<Position>,
    /// Columns that were added in the stream, and when their default was asked for, by the source's clock, in seconds since 1970.
    #[serde(default)]
    pub taken_up: Vec<(String, u64)>,
    /// Since when it has followed.
    pub since: Timestamp,
    /// What has become of its changes.
    pub counts: ChangeCounts,
}

impl FollowedRecord {
    /// Whether its changes are applied.
    pub fn follows(&self) -> bool {
        self.state == FollowState::Following
    }
}

impl Journal {
    /// A stream; none if there is no such one.
    pub fn stream(&self, stream: &str) -> Result<Option<StreamRecord>, JournalError> {
        Ok(self
            .records("SELECT record FROM streams WHERE name = ?1", [stream])?
            .pop())
    }

    /// The tables of a stream, in the order in which they joined it.
    pub fn followed(&self, stream: &str) -> Result<Vec<FollowedRecord>, JournalError> {
        self.records(
            "SELECT record FROM followed WHERE stream = ?1 ORDER BY ordinal",
            [stream],
        )
    }

    /// The tables of all streams.
    pub fn all_followed(&self) -> Result<Vec<FollowedRecord>, JournalError> {
        self.records("SELECT record FROM followed", [])
    }

    /// Writes a stream's record, and those of some of its tables: of new ones, too. One transaction.
    pub fn write_stream(
        &self,
        stream: &str,
        record: &StreamRecord,
        tables: &[FollowedRecord],
        step: &str,
    ) -> Result<(), JournalError> {
        self.write_quietly(stream, step, |tx| {
            put_stream(tx, stream, record)?;
            tables
                .iter()
                .try_for_each(|table| put_table(tx, stream, table))
        })
    }

    /// Makes a resync's stream of these tables, in place of one that is there.
    pub fn begin_stream(
        &self,
        stream: &str,
        record: &StreamRecord,
        tables: &[FollowedRecord],
    ) -> Result<(), JournalError> {
        self.write(stream, "stream begun", |tx| {
            drop_stream(tx, stream)?;
            put_stream(tx, stream, record)?;
            tables
                .iter()
                .try_for_each(|table| put_table(tx, stream, table))
        })
    }

    /// Lets the tables of a resync's stream join the main one, which is at `main` from now on. The resync's stream ends.
    pub fn join_stream(
        &self,
        stream: &str,
        main: &StreamRecord,
        tables: &[FollowedRecord],
    ) -> Result<(), JournalError> {
        self.write(stream, "joined the main stream", |tx| {
            put_stream(tx, MAIN, main)?;
            tables
                .iter()
                .try_for_each(|table| put_table(tx, MAIN, table))?;
            drop_stream(tx, stream)
        })
    }

    /// Ends a resync's stream without its tables joining the main one.
    pub fn end_stream(&self, stream: &str) -> Result<(), JournalError> {
        self.write(stream, "stream ended", |tx| drop_stream(tx, stream))
    }

    /// Takes a table out of the main stream. What had become of its changes is kept with the resync that had loaded it.
    pub fn leave_main(&self, table: &FollowedRecord, step: &str) -> Result<(), JournalError> {
        let records = self.tables(&table.resync)?;
        let loaded = records
            .into_iter()
            .find(|record| record.source == table.source);
        self.write(&table.resync, &format!("{step} {}", table.source), |tx| {
            if let Some(mut loaded) = loaded {
                loaded.changes = Some(table.counts);
                super::update_table(tx, &table.resync, &loaded)?;
            }
            tx.execute(
                "DELETE FROM followed WHERE stream = ?1 AND source = ?2",
                params![MAIN, table.source.to_string()],
            )?;
            Ok(())
        })
    }
}

fn put_stream(
    tx: &rusqlite::Transaction<'_>,
    stream: &str,
    record: &StreamRecord,
) -> rusqlite::Result<()> {
    tx.execute(
        "INSERT INTO streams (name, record) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET record = excluded.record",
        params![stream, json(record)?],
    )?;
    Ok(())
}

fn put_table(
    tx: &rusqlite::Transaction<'_>,
    stream: &str,
    table: &FollowedRecord,
) -> rusqlite::Result<()> {
    tx.execute(
        "INSERT INTO followed (stream, source, ordinal, record) \
         VALUES (?1, ?2, (SELECT coalesce(max(ordinal), 0) + 1 FROM followed), ?3) \
         ON CONFLICT (stream, source) DO UPDATE SET record = excluded.record",
        params![stream, table.source.to_string(), json(table)?],
    )?;
    Ok(())
}

fn drop_stream(tx: &rusqlite::Transaction<'_>, stream: &str) -> rusqlite::Result<()> {
    for sql in [
        "DELETE FROM streams WHERE name = ?1",
        "DELETE FROM followed WHERE stream = ?1",
    ] {
        tx.execute(sql, params![stream])?;
    }
    Ok(())
}
