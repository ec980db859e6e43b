//! The table of rejected rows beside each destination table, `<table>_rejected`: made with the first row that is rejected, and kept by
//! all resyncs, whose ids tell the rows apart.

use serde::de::DeserializeOwned;
use std::sync::Arc;

use arrow::array::builder::StringBuilder;
use arrow::array::{ArrayRef, RecordBatch};
use serde::Serializer;

use super::connect::text;
use super::encode::{Block, BlockWriter};
use super::{Destination, DestinationError};
use crate::schema::{cell_text, rejected_name};

/// A row that was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRow {
    /// The key's columns as a JSON object of texts.
    pub key: String,
    /// The column whose value doesn't fit; empty where it is not about one.
    pub column: String,
    /// Why.
    pub reason: String,
    /// The plugin that rejected it; empty where it was the destination's type.
    pub plugin: String,
    /// The row, as the transforms left it, as a JSON object of texts.
    pub row: String,
}

/// The columns that a load writes.
const COLUMNS: [&str; 8] = [
    "resync", "source", "chunk", "key", "column", "reason", "plugin", "row",
];

/// A row of a batch, or these columns of it, as a JSON object of texts in their order; bytes in hexadecimal, NULL as null.
pub fn row_as_json(
    batch: &RecordBatch,
    row: usize,
    columns: impl Iterator<Item = usize>,
) -> String {
    let schema = batch.schema_ref();
    let members = columns.map(|i| (schema.field(i).name(), cell_text(batch.column(i), row)));
    let mut json = Vec::new();
    let written = serde_json::Serializer::new(&mut json).collect_map(members);
    debug_assert!(written.is_ok(), "memory takes all");
    String::from_utf8_lossy(&json).into_owned()
}

impl Destination {
    /// Makes the table of a destination table's rejected rows, if it isn't there.
    pub async fn create_rejected(&self, table: &str) -> Result<(), DestinationError> {
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {} (`resync` String, `source` String, `chunk` String, `key` String, `column` String, \
             `reason` String, `plugin` LowCardinality(String), `row` String, `rejected_at` DateTime64(3, 'UTC') DEFAULT now64(3)) \
             ENGINE = MergeTree ORDER BY (resync, source) \
             SETTINGS non_replicated_deduplication_window = 10000 COMMENT 'Rows that Tidemill could not write'",
            self.table(&rejected_name(table))
        );
        self.execute("create a table of rejected rows", &sql).await
    }

    /// Removes what an earlier attempt of a resync has rejected.
    pub async fn forget_rejected(&self, table: &str, resync: &str) -> Result<(), DestinationError> {
        let name = rejected_name(table);
        let there = self.uuids(&[&name]).await?;
        if there.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "ALTER TABLE {} DELETE WHERE resync = {} SETTINGS mutations_sync = 2",
            self.table(&name),
            text(resync)
        );
        self.patient().execute("forget rejected rows", &sql).await
    }

    /// The latest rejected rows of a source table, as JSON objects of the table's columns. None where no row was ever rejected.
    pub async fn rejected<T: DeserializeOwned>(
        &self,
        table: &str,
        source: &str,
        limit: usize,
    ) -> Result<Vec<T>, DestinationError> {
        let name = rejected_name(table);
        if self.uuids(&[&name]).await?.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT * FROM {} WHERE source = {} ORDER BY rejected_at DESC, chunk, key LIMIT {limit}",
            self.table(&name),
            text(source)
        );
        self.rows("read rejected rows", &sql).await
    }

    /// How many rows a resync has rejected.
    pub async fn count_rejected(&self, table: &str, resync: &str) -> Result<u64, DestinationError> {
        let sql = format!(
            "SELECT count() FROM {} WHERE resync = {}",
            self.table(&rejected_name(table)),
            text(resync)
        );
        self.patient().number("count rejected rows", &sql).await
    }
}

/// A block of rejected rows of a chunk.
pub fn rejected_block(
    resync: &str,
    source: &str,
    chunk: u32,
    rows: &[RejectedRow],
) -> Result<Block, DestinationError> {
    let chunk = chunk.to_string();
    let mut builders: [StringBuilder; COLUMNS.len()] = Default::default();
    for row in rows {
        let cells = [
            resync,
            source,
            &chunk,
            &row.key,
            &row.column,
            &row.reason,
            &row.plugin,
            &row.row,
        ];
        for (builder, cell) in builders.iter_mut().zip(cells) {
            builder.append_value(cell);
        }
    }
    let arrays = builders.map(|mut builder| Arc::new(builder.finish()) as ArrayRef);
    let encode = || {
        let batch = RecordBatch::try_from_iter(COLUMNS.into_iter().zip(arrays))?;
        Ok::<_, arrow::error::ArrowError>(batch)
    };
    let batch = encode().map_err(|cause| DestinationError::Answer {
        doing: "encode rejected rows".to_owned(),
        reason: cause.to_string(),
    })?;
    let mut block = BlockWriter::new("rejected rows", &batch.schema())?;
    block.write(&batch)?;
    block.finish()
}
