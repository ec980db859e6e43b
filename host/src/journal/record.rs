//! The records: a resync, its tables, their chunks.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ChangeCounts;
use crate::schema::{Chunk, Ledger, Position, TableName};

/// Where a resync is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Schemas, plugins and bindings are looked at; the `_resync` tables are created.
    Setup,
    /// Chunks are loaded.
    Snapshot,
    /// The copy is verified, soft-deleted rows are carried over, tables are swapped.
    Resync,
    /// Swapped, and the tables follow the binlog.
    Running,
    /// Done.
    Completed,
    /// Stopped at a batch boundary; `resume` goes on.
    Paused,
    /// Stopped by an error; `resume` goes on, `abort` drops the shadow tables.
    Failed,
    /// Given up by `abort`.
    Aborted,
    /// Undone by `rollback`.
    RolledBack,
}

impl Phase {
    /// Whether nothing is left to do: another resync may begin.
    pub fn is_over(self) -> bool {
        matches!(
            self,
            Self::Running | Self::Completed | Self::Aborted | Self::RolledBack
        )
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Setup => "Setup",
            Self::Snapshot => "Snapshot",
            Self::Resync => "Resync",
            Self::Running => "Running",
            Self::Completed => "Completed",
            Self::Paused => "Paused",
            Self::Failed => "Failed",
            Self::Aborted => "Aborted",
            Self::RolledBack => "Rolled back",
        })
    }
}

/// What a resync was started as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The pipe's first load.
    Load,
    /// A rebuild of tables.
    Resync,
}

/// A resync.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResyncRecord {
    /// Its id, a UUID of version 7: ids sort by time.
    pub id: String,
    /// What it was started as.
    pub kind: Kind,
    /// Where it is.
    pub phase: Phase,
    /// The phase that Paused or Failed interrupted.
    pub interrupted: Option<Phase>,
    /// When it was started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Where in the binlog the snapshot was taken; none if the source doesn't tell.
    pub position: Option<Position>,
    /// Whether all the readers saw the tables at that one position.
    pub consistent: bool,
    /// The same as a sentence.
    pub consistency: Option<String>,
    /// Where the source was when the last chunk was done: what the copy must show before it is swapped.
    #[serde(default)]
    pub p1: Option<Position>,
    /// Whether the originals are kept current until their swap.
    #[serde(default)]
    pub live: bool,
    /// Why it failed.
    pub error: Option<String>,
    /// Whose matter that is.
    #[serde(default)]
    pub error_class: Option<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl ResyncRecord {
    /// A resync that begins now.
    pub fn new(kind: Kind) -> Self {
        Self {
            id: Uuid::now_v7().to_string(),
            kind,
            phase: Phase::Setup,
            interrupted: None,
            started: Timestamp::now(),
            ended: None,
            position: None,
            consistent: false,
            consistency: None,
            p1: None,
            live: false,
            error: None,
            error_class: None,
            notes: Vec::new(),
        }
    }

    /// The phase that is at work, or would be once it is resumed.
    pub fn working_phase(&self) -> Phase {
        self.interrupted.unwrap_or(self.phase)
    }
}

/// How far a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableState {
    /// Its chunks are not planned yet.
    Waiting,
    /// Chunks are planned, some may be done.
    Loading,
    /// All chunks are done.
    Loaded,
    /// The copy is proved.
    Verified,
    /// The soft-deleted rows have moved over.
    Carried,
    /// It waits for `approve`.
    NeedsApproval,
    /// Its swap may have been sent.
    Swapping,
    /// The new table bears the original's name.
    Swapped,
    /// The table failed; others may go on.
    Failed,
    /// `rollback` may have been sent.
    RollingBack,
    /// The old table is back.
    RolledBack,
}

impl std::fmt::Display for TableState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Waiting => "waiting",
            Self::Loading => "loading",
            Self::Loaded => "loaded",
            Self::Verified => "verified",
            Self::Carried => "carried over",
            Self::NeedsApproval => "needs approval",
            Self::Swapping => "swapping",
            Self::Swapped => "swapped",
            Self::Failed => "failed",
            Self::RollingBack => "rolling back",
            Self::RolledBack => "rolled back",
        })
    }
}

/// A plugin as a table's load used it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedPlugin {
    /// As the pipe names it.
    pub plugin: String,
    /// The digest of its file, SHA-256 in hexadecimal.
    pub digest: String,
    /// The digest of its configuration, with its reference tables.
    #[serde(default)]
    pub config: Option<String>,
    /// The digest of what it is granted; none if that is nothing.
    #[serde(default)]
    pub grants: Option<String>,
}

/// A table of a resync.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TableRecord {
    /// The source table.
    pub source: TableName,
    /// The destination table.
    pub destination: String,
    /// How far it is.
    pub state: TableState,
    /// What the load depends on: the source's schema, the chain of transforms and the destination's table. A restart that finds another one starts over.
    pub fingerprint: String,
    /// The plugins of its transforms.
    pub plugins: Vec<PinnedPlugin>,
    /// How many times its shadow was emptied: part of each insert's token.
    pub attempt: u32,
    /// The source's estimate of rows.
    pub estimated_rows: u64,
    /// The original's UUID before the swap; none if there was no original.
    pub original: Option<Uuid>,
    /// The shadow's UUID.
    pub shadow: Option<Uuid>,
    /// Rows of the original before the swap; exact where the gate could depend on it, else with old versions of rows.
    pub original_rows: Option<u64>,
    /// Soft-deleted rows that were carried over.
    pub carried_over: Option<u64>,
    /// Whether a person approved the swap.
    pub approved: bool,
    /// Why it failed or waits.
    pub reason: Option<String>,
    /// When its first chunk was begun.
    pub began: Option<Timestamp>,
    /// When its last chunk was done.
    pub loaded: Option<Timestamp>,
    /// Until when the old table is kept; none if there is none, or it is gone.
    pub keep_old_until: Option<Timestamp>,
    /// What had become of its changes when it left the stream; none while it follows, or never did.
    #[serde(default)]
    pub changes: Option<ChangeCounts>,
}

impl TableRecord {
    /// A table that nothing has been done with yet.
    pub fn new(source: TableName, destination: String, fingerprint: String) -> Self {
        Self {
            source,
            destination,
            state: TableState::Waiting,
            fingerprint,
            plugins: Vec::new(),
            attempt: 0,
            estimated_rows: 0,
            original: None,
            shadow: None,
            original_rows: None,
            carried_over: None,
            approved: false,
            reason: None,
            began: None,
            loaded: None,
            keep_old_until: None,
            changes: None,
        }
    }
}

/// What is known of a chunk that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkResult {
    /// What became of its rows.
    pub ledger: Ledger,
    /// Bytes sent, as Arrow.
    pub bytes: u64,
    /// The digests of the columns that were sent, if the pipe verifies in full: an opaque document of the destination.
    pub digest: Option<serde_json::Value>,
    /// What each of its transforms used and set aside.
    #[serde(default)]
    pub steps: Vec<StepCounts>,
}

/// What a transform used and set aside in a chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCounts {
    /// CPU time, in microseconds.
    pub cpu_us: u64,
    /// Rows that it could not transform.
    pub rejected: u64,
}

/// A chunk, to do or done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChunkRecord {
    /// The range.
    pub chunk: Chunk,
    /// What came out; none: it is still to do.
    pub result: Option<ChunkResult>,
    /// Rows that were about to be sent, in all attempts: what an unfinished one may have left behind is no more than that.
    #[serde(default)]
    pub sent: u64,
}
