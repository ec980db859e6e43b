//! The destination table as the binding makes it: columns, engine, order; before any DDL is written.

use arrow::datatypes::{DataType, Field, SchemaRef};
use serde::{Deserialize, Serialize};

use super::mysql_type::{ClickHouseFeatures, MysqlType, clickhouse_of_arrow};

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
    /// Its full ClickHouse type, `Nullable` included.
    pub clickhouse_type: String,
    /// The source column's comment, empty for a computed one.
    pub comment: String,
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
    /// The partition expression, as SQL.
    pub partition_by: Option<String>,
    /// Table settings that the pipe states, name and SQL value.
    pub settings: Vec<(String, String)>,
    /// The source table's comment.
    pub comment: String,
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

/// The name of the table of the rows that a transform rejected.
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
}

/// The columns of a destination table: one for each field of the transforms' `output`. `origins` gives, for each field, the
/// source column that was passed on (its MySQL type and comment), or none for a computed one. `key` holds positions in `output`.
pub fn target_columns(
    output: &SchemaRef,
    origins: &[Option<(&MysqlType, &str)>],
    key: &[usize],
    features: ClickHouseFeatures,
) -> Vec<TargetColumn> {
    let column = |(i, field): (usize, &std::sync::Arc<Field>)| {
        let (plain, comment) = match origins[i] {
            Some((mysql_type, comment)) => (mysql_type.clickhouse(features), comment.to_owned()),
            None => (
                clickhouse_of_arrow(field.data_type(), features),
                String::new(),
            ),
        };
        let nullable = field.is_nullable() && !key.contains(&i);
        TargetColumn {
            name: field.name().clone(),
            clickhouse_type: nullable_type(&plain, field.data_type(), nullable),
            comment,
        }
    };
    output.fields().iter().enumerate().map(column).collect()
}

/// Wraps a ClickHouse type in `Nullable`, inside of `LowCardinality`. Arrays can't be NULL in ClickHouse.
fn nullable_type(plain: &str, arrow: &DataType, nullable: bool) -> String {
    if !nullable || matches!(arrow, DataType::List(_)) {
        return plain.to_owned();
    }
    match plain
        .strip_prefix("LowCardinality(")
        .and_then(|rest| rest.strip_suffix(')'))
    {
        Some(inner) => format!("LowCardinality(Nullable({inner}))"),
        None => format!("Nullable({plain})"),
    }
}
