//! What the lifecycle tells a person or a script: plain data, serialisable, without a client type of any room.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use crate::journal::{ChangeCounts, FollowState, Kind, Phase};
use crate::journal::{FollowedRecord, TableState};
use crate::pipe::VerifyMode;
pub use crate::schema::finding::{Finding, Severity};
use crate::schema::{Ledger, Position};

/// The answer of `check`.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CheckReport {
    /// The pipe.
    pub pipe: String,
    /// The source server, as it names itself.
    pub source: String,
    /// The destination server, as it names itself.
    pub destination: String,
    /// The source tables that were looked at.
    pub tables: Vec<String>,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
}

/// The answer of `plan`: what a resync would do. Nothing was changed.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Plan {
    /// The pipe.
    pub pipe: String,
    /// How far the copy will be verified.
    pub verify: VerifyMode,
    /// Each table mapping.
    pub tables: Vec<TablePlan>,
    /// What `check` found.
    pub findings: Vec<Finding>,
}

/// What a resync would do with one table.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TablePlan {
    /// The source table.
    pub source: String,
    /// The destination table.
    pub destination: String,
    /// Whether the destination table exists (it is swapped) or not (the new one is renamed).
    pub original_exists: bool,
    /// Source columns: name, MySQL type, nullable.
    pub source_columns: Vec<ColumnPlan>,
    /// The source key's columns.
    pub key: Vec<String>,
    /// Each transform's binding.
    pub transforms: Vec<TransformPlan>,
    /// Destination columns against those of the original.
    pub changes: Vec<SchemaChange>,
    /// The statement that creates the `_resync` table.
    pub ddl: String,
    /// What of the original is kept.
    pub kept: Vec<String>,
    /// What of the original can't be kept: what, and why.
    pub lost: Vec<(String, String)>,
    /// What reads the original (materialised views, dictionaries) and what happens to it.
    pub dependents: Vec<String>,
    /// Chunks that it would be read in.
    pub chunks: u64,
    /// The source's estimate of rows.
    pub estimated_rows: u64,
    /// The source's estimate of bytes.
    pub estimated_bytes: u64,
    /// Rows of the original, if there is one.
    pub original_rows: Option<u64>,
}

/// A column and its types on both sides.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ColumnPlan {
    /// The column's name.
    pub name: String,
    /// Its MySQL type.
    pub mysql_type: String,
    /// Whether it allows NULL.
    pub nullable: bool,
    /// Whether any transform or the output needs it; the others are not read.
    pub read: bool,
}

/// A transform's binding to a table.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TransformPlan {
    /// The plugin's name.
    pub plugin: String,
    /// The plugin's version.
    pub version: String,
    /// The digest of the plugin's file, SHA-256 in hexadecimal.
    pub digest: String,
    /// Columns that enter the sandbox.
    pub reads: Vec<String>,
    /// Columns that it computes.
    pub computes: Vec<String>,
    /// Columns that are passed on under another name: from, to.
    pub renames: Vec<(String, String)>,
    /// Columns that are not passed on.
    pub drops: Vec<String>,
    /// Whether it may leave rows out.
    pub filters: bool,
}

/// A difference between the original's columns and the new ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum SchemaChange {
    /// A column that the original doesn't have.
    Added {
        /// The column.
        column: String,
        /// Its ClickHouse type.
        new_type: String,
    },
    /// A column that only the original has.
    Dropped {
        /// The column.
        column: String,
        /// Its ClickHouse type.
        old_type: String,
    },
    /// A column whose type changes.
    Retyped {
        /// The column.
        column: String,
        /// The original's type.
        old_type: String,
        /// The new type.
        new_type: String,
    },
    /// The sorting key changes.
    Reordered {
        /// The original's sorting key.
        old_order: String,
        /// The new one.
        new_order: String,
    },
}

/// Rows of a table before and after its transforms.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Preview {
    /// The source table.
    pub source: String,
    /// The columns before.
    pub columns_before: Vec<String>,
    /// The columns after.
    pub columns_after: Vec<String>,
    /// The rows, in the order of the key.
    pub rows: Vec<PreviewRow>,
}

/// A row before and after its transforms; values as text, none for NULL.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PreviewRow {
    /// The source's values.
    pub before: Vec<Option<String>>,
    /// The destination's values, or why there are none.
    pub after: PreviewAfter,
}

/// What became of a row in a preview.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PreviewAfter {
    /// The values, as the transforms left them.
    Row(Vec<Option<String>>),
    /// A transform left it out.
    Filtered,
    /// A transform rejected it, or it doesn't fit and is to be rejected: by whom or what column, and why.
    Rejected(String),
    /// A value doesn't fit: the column, why, and what to do.
    Stops(String),
}

/// A row that was rejected: it is in `<table>_rejected` of the destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Rejected {
    /// The resync that rejected it, or that had loaded the table that it was a change of.
    pub resync: String,
    /// Where it was met: a chunk, or a place in the binlog.
    pub chunk: String,
    /// Its key.
    pub key: String,
    /// The column whose type couldn't hold its value; empty if a plugin rejected it.
    pub column: String,
    /// Why.
    pub reason: String,
    /// The plugin that rejected it; empty if it was a column's type.
    pub plugin: String,
    /// The row as JSON, as far as the pipe keeps it.
    pub row: String,
    /// When.
    pub rejected_at: String,
}

/// Initial Load Stats of a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TableStatistics {
    /// The source table.
    pub source: String,
    /// The destination table.
    pub destination: String,
    /// What it is at: `waiting`, `loading`, `loaded`, `verified`, `needs approval`, `carried over`, `swapped`, `failed` and others.
    pub state: String,
    /// What became of its rows so far.
    pub ledger: Ledger,
    /// Bytes written, as Arrow.
    pub bytes: u64,
    /// Chunks done.
    pub chunks_done: u64,
    /// Chunks in all.
    pub chunks_total: u64,
    /// Estimated rows in all.
    pub estimated_rows: u64,
    /// Rows read a second, since its first chunk.
    pub rows_per_second: f64,
    /// Seconds left, by the rows that are still expected.
    pub seconds_left: Option<f64>,
    /// Soft-deleted rows carried over.
    pub carried_over: Option<u64>,
    /// Rows of the original before the swap.
    pub original_rows: Option<u64>,
    /// Why it failed or waits.
    pub reason: Option<String>,
    /// What has become of its changes since the load; none before it follows.
    pub changes: Option<ChangeCounts>,
}

impl TableStatistics {
    /// Whether its swap waits for approval. One that was approved has no reason to wait any more.
    pub fn waits(&self) -> bool {
        self.state == TableState::NeedsApproval.to_string() && self.reason.is_some()
    }
}

/// What a pipe that follows the binlog is at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FollowReport {
    /// Behind the last change that the destination has acknowledged.
    pub position: Option<Position>,
    /// How far that is behind the source, in seconds; none if it isn't known.
    pub lag_seconds: Option<u64>,
    /// The same in bytes of binlog; none where the source doesn't tell.
    pub lag_bytes: Option<u64>,
    /// Row events a second, just now.
    pub events_per_second: f64,
    /// Whether a person has paused it.
    #[serde(default)]
    pub paused: bool,
    /// What it is waiting for, where something is in the way.
    pub trouble: Option<String>,
    /// The tables.
    pub tables: Vec<FollowedTable>,
}

/// Whether a load is held to spare the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BrakeReport {
    /// Whether it is.
    pub held: bool,
    /// Why.
    pub reason: Option<String>,
}

/// A table that follows the binlog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FollowedTable {
    /// The source table.
    pub source: String,
    /// The destination table.
    pub destination: String,
    /// What it is at.
    pub state: FollowState,
    /// Why it doesn't follow.
    pub reason: Option<String>,
    /// Since when it has followed, RFC 3339.
    pub since: String,
    /// What has become of its changes.
    #[serde(flatten)]
    pub counts: ChangeCounts,
}

impl From<&FollowedRecord> for FollowedTable {
    fn from(record: &FollowedRecord) -> Self {
        Self {
            source: record.source.to_string(),
            destination: record.destination.clone(),
            state: record.state,
            reason: record.reason.clone(),
            since: super::statistics::to_the_second(record.since),
            counts: record.counts,
        }
    }
}

/// A resync, as `status` and `history` show it.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ResyncSummary {
    /// Its id.
    pub id: String,
    /// What it was started as.
    pub kind: Kind,
    /// Where it is.
    pub phase: Phase,
    /// The phase that Paused or Failed interrupted.
    pub interrupted: Option<Phase>,
    /// When it was started, RFC 3339.
    pub started: String,
    /// When it ended, RFC 3339.
    pub ended: Option<String>,
    /// Where in the binlog the snapshot was taken.
    pub position: Option<Position>,
    /// How consistent the snapshot is, as a sentence.
    pub consistency: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// Whose matter that is, in the words of an error's class.
    #[serde(default)]
    pub error_class: Option<String>,
    /// The statistics of its tables.
    pub tables: Vec<TableStatistics>,
    /// What a person should know: what was carried, kept, lost.
    pub notes: Vec<String>,
}

/// The answer of `status`.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Status {
    /// The pipe.
    pub pipe: String,
    /// The pipe's file.
    #[schema(value_type = String)]
    pub file: PathBuf,
    /// Whether a process is at work on it now.
    pub active: bool,
    /// The current or last resync.
    pub resync: Option<ResyncSummary>,
    /// What it is at in the binlog; none for a pipe that doesn't follow, or not yet.
    pub cdc: Option<FollowStatus>,
    /// Whether a load is held to spare the source, and why.
    pub brakes: BrakeReport,
    /// Plugins whose file differs from what the last load used.
    pub drift: Vec<String>,
    /// Old tables that a rollback would bring back, each with the time at which it is dropped.
    pub rollback: Vec<(String, String)>,
}

/// What a pipe is at in the binlog.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FollowStatus {
    /// `running`, `paused`, `failed`, or `stopped` where no process is at work on it.
    pub phase: String,
    /// Why it stopped, if an error stopped it.
    pub error: Option<String>,
    /// The rest.
    #[serde(flatten)]
    pub report: FollowReport,
}

/// How a run of the lifecycle ended.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// All swapped.
    Completed(ResyncSummary),
    /// Stopped at a batch boundary by `pause`.
    Paused(ResyncSummary),
    /// A gate waits for `approve` or `abort`.
    NeedsApproval(ResyncSummary),
    /// The pipe followed the binlog until it was asked to stop.
    Stopped(Box<FollowReport>),
}

/// Who watches a run: the command line's progress, a service's events. Called often; must not block.
pub trait Progress: Send + Sync {
    /// The resync has entered a phase.
    fn phase(&self, id: &str, phase: Phase);
    /// A table's statistics have changed.
    fn table(&self, statistics: &TableStatistics);
    /// What the pipe is at in the binlog; once a second.
    fn following(&self, report: &FollowReport);
    /// Something that a person should know.
    fn note(&self, message: &str);
    /// A table waits for a person to approve its swap, which this says.
    fn needs_approval(&self, message: &str) {
        self.note(message);
    }
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn phase(&self, _id: &str, _phase: Phase) {}
    fn table(&self, _statistics: &TableStatistics) {}
    fn following(&self, _report: &FollowReport) {}
    fn note(&self, _message: &str) {}
}

/// By how much a number of rows changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PercentChange(f64);

impl PercentChange {
    /// From `before`, which is not 0, to `after`.
    pub(super) fn between(before: u64, after: u64) -> Self {
        Self((after as f64 - before as f64) / before as f64)
    }

    /// The change as a share: -0.5 for a half that is gone.
    pub(super) fn share(self) -> f64 {
        self.0
    }
}

impl std::fmt::Display for PercentChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:+.1}%", self.0 * 100.0)
    }
}
