//! The destination table as the binding makes it: columns, engine, order; before any DDL is written.

use serde::{Deserialize, Serialize};

use super::{ClickHouseType, OutOfRange};

/// The table engine of a destination table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Engine {
    /// `ReplacingMergeTree(version, is_deleted)`: the default; needs a key.
    #[default]
    ReplacingMergeTree,
    /// `MergeTree`: by choice, and for tables without a key, which replacing would collapse to one row.
    MergeTree,
}

/// The names of the columns that Tidemill adds to each destination table, as the managed service names them by default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetadataNames {
    /// When the row was written: `DateTime64(9)`.
    pub synced_at: String,
    /// 1 for a row that was deleted at the source: `UInt8`.
    pub is_deleted: String,
    /// 0 for the snapshot, then the pipe's event counter: `UInt64`.
    pub version: String,
}

impl Default for MetadataNames {
    fn default() -> Self {
        Self {
            synced_at: "_peerdb_synced_at".to_owned(),
            is_deleted: "_peerdb_is_deleted".to_owned(),
            version: "_peerdb_version".to_owned(),
        }
    }
}

impl MetadataNames {
    /// The three names, in the order of the columns.
    pub fn all(&self) -> [&str; 3] {
        [&self.synced_at, &self.is_deleted, &self.version]
    }
}

/// A column of a destination table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetColumn {
    /// The column's name, unquoted.
    pub name: String,
    /// Its type, without regard to NULL.
    pub plain: ClickHouseType,
    /// Whether it can be NULL.
    pub nullable: bool,
    /// Its full ClickHouse type, `Nullable` included.
    pub clickhouse_type: String,
    /// The most digits that the fraction of a time in it has at the source.
    pub digits: u8,
    /// What becomes of values that the type can't hold.
    pub on_out_of_range: OutOfRange,
    /// What NULL becomes, as the pipe writes it.
    pub default: Option<String>,
    /// Its codec, where the pipe states one: `ZSTD(3)`.
    pub codec: Option<String>,
    /// Its TTL, where the pipe states one.
    pub ttl: Option<String>,
    /// Its comment: the pipe's, else the source column's.
    pub comment: String,
    /// Whether the pipe states the comment.
    pub comment_stated: bool,
}

/// A skip index that the pipe states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkipIndex {
    /// Its name.
    pub name: String,
    /// What it is about: a column, or an expression.
    pub expression: String,
    /// Its type: `minmax`, `set(100)`, `bloom_filter(0.01)`.
    #[serde(rename = "type")]
    pub kind: String,
    /// How many granules a mark of it covers.
    #[serde(default = "one")]
    pub granularity: u64,
}

fn one() -> u64 {
    1
}

/// A destination table as the binding makes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetTable {
    /// The destination database.
    pub database: String,
    /// The original's name; its twin's is [`TargetTable::shadow`].
    pub name: String,
    /// The columns of the transforms' output, in its order, without the metadata columns.
    pub columns: Vec<TargetColumn>,
    /// Names of the output's key columns, in key order; empty for a table without a key.
    pub key: Vec<String>,
    /// The table's engine.
    pub engine: Engine,
    /// The sorting key's expressions, as SQL; column names are already quoted. Empty: `tuple()`.
    pub order_by: Vec<String>,
    /// The primary key's expressions, where the pipe states one: the first ones of the sorting key.
    pub primary_key: Option<Vec<String>>,
    /// The partition expression, as SQL.
    pub partition_by: Option<String>,
    /// The table's TTL, where the pipe states one.
    pub ttl: Option<String>,
    /// Skip indexes that the pipe states.
    pub indexes: Vec<SkipIndex>,
    /// Table settings that the pipe states, name and SQL value.
    pub settings: Vec<(String, String)>,
    /// Its comment: the pipe's, else the source table's.
    pub comment: String,
    /// Whether the pipe states the comment.
    pub comment_stated: bool,
    /// The names of the metadata columns.
    pub metadata: MetadataNames,
}

/// The name of the twin that a resync of a table loads.
pub fn shadow_name(table: &str) -> String {
    format!("{table}_resync")
}

/// The name under which a table is kept for a rollback after a resync.
pub fn old_name(table: &str) -> String {
    format!("{table}_resync_old")
}

/// The name of the table of rows that could not be written to a table.
pub fn rejected_name(table: &str) -> String {
    format!("{table}_rejected")
}

impl TargetTable {
    /// The name of the twin that a resync loads.
    pub fn shadow(&self) -> String {
        shadow_name(&self.name)
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&TargetColumn> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// The time zones of its columns, each as often as it is named.
    pub fn zones(&self) -> Vec<&str> {
        let types = self.columns.iter().map(|column| &column.plain);
        types.filter_map(ClickHouseType::zone).collect()
    }
}
