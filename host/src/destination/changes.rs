//! What changes need beside what a load needs: the columns that tell rows apart, the metadata columns as values, and columns that are
//! added to a table while it is written to.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, DynComparator, RecordBatch, UInt8Array, UInt64Array, make_comparator,
};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;

use super::connect::{quoted, text};
use super::ddl::mentions;
use super::{Destination, DestinationError};
use crate::schema::{MetadataNames, TargetColumn, TargetTable};

/// The positions of the columns by which ClickHouse tells the rows of a table apart: its key's, and what else its sorting key is made of.
/// An update that changes one of them leaves the old row behind, unless that is deleted.
pub fn identity_columns(target: &TargetTable) -> Vec<usize> {
    let tells_apart = |column: &TargetColumn| {
        target.key.contains(&column.name)
            || target
                .order_by
                .iter()
                .any(|term| mentions(term, &column.name))
    };
    let columns = target.columns.iter().enumerate();
    columns
        .filter(|(_, column)| tells_apart(column))
        .map(|(i, _)| i)
        .collect()
}

/// Compares rows of a batch by some of its columns.
pub struct SameRow {
    comparators: Vec<DynComparator>,
}

impl SameRow {
    /// A comparison by these columns.
    ///
    /// # Errors
    /// A type that has no order.
    pub fn new(batch: &RecordBatch, columns: &[usize]) -> Result<Self, ArrowError> {
        let comparator =
            |&i: &usize| make_comparator(batch.column(i), batch.column(i), SortOptions::default());
        let comparators = columns.iter().map(comparator).collect::<Result<_, _>>()?;
        Ok(Self { comparators })
    }

    /// Whether two rows are the same one. Without columns to tell them apart they never are.
    pub fn is_same(&self, a: usize, b: usize) -> bool {
        !self.comparators.is_empty() && self.comparators.iter().all(|compare| compare(a, b).is_eq())
    }
}

/// A fitted batch with whether each row is a deletion, and its version.
///
/// # Errors
/// Vectors of other lengths than the batch.
pub fn with_metadata(
    batch: &RecordBatch,
    names: &MetadataNames,
    deleted: Vec<u8>,
    versions: Vec<u64>,
) -> Result<RecordBatch, ArrowError> {
    let mut fields: Vec<_> = batch.schema_ref().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(
        &names.is_deleted,
        DataType::UInt8,
        false,
    )));
    fields.push(Arc::new(Field::new(
        &names.version,
        DataType::UInt64,
        false,
    )));
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    columns.push(Arc::new(UInt8Array::from(deleted)));
    columns.push(Arc::new(UInt64Array::from(versions)));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

impl Destination {
    /// Adds a column to a table, unless it has it. `default`: the value of rows that are there, as the pipe or the source writes it;
    /// none: NULL, or the type's own zero.
    pub async fn add_column(
        &self,
        table: &str,
        column: &TargetColumn,
        after: Option<&str>,
        default: Option<&str>,
    ) -> Result<(), DestinationError> {
        let mut sql = format!(
            "ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} {}",
            self.table(table),
            quoted(&column.name),
            column.clickhouse_type
        );
        if let Some(default) = default {
            sql += &format!(
                " DEFAULT CAST({} AS {})",
                text(default),
                column.clickhouse_type
            );
        }
        if !column.comment.is_empty() {
            sql += &format!(" COMMENT {}", text(&column.comment));
        }
        if let Some(codec) = &column.codec {
            sql += &format!(" CODEC({codec})");
        }
        if let Some(ttl) = &column.ttl {
            sql += &format!(" TTL {ttl}");
        }
        sql += &match after {
            Some(after) => format!(" AFTER {}", quoted(after)),
            None => " FIRST".to_owned(),
        };
        self.execute("add a column", &sql).await
    }

    /// The highest version of a table's rows; 0 where it has none, or no versions.
    pub async fn highest_version(
        &self,
        table: &str,
        metadata: &MetadataNames,
    ) -> Result<u64, DestinationError> {
        let live = self.live_table(table).await?;
        if !live.is_some_and(|live| live.tracks_deletions(metadata)) {
            return Ok(0);
        }
        let sql = format!(
            "SELECT toUInt64(max({})) FROM {}",
            quoted(&metadata.version),
            self.table(table)
        );
        self.number("ask for the highest version", &sql).await
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, StringArray};

    use super::*;

    #[test]
    fn rows_are_told_apart_by_all_of_the_columns() {
        let batch = RecordBatch::try_from_iter([
            ("id", Arc::new(Int32Array::from(vec![1, 1, 1])) as ArrayRef),
            ("k", Arc::new(StringArray::from(vec!["a", "a", "b"]))),
        ])
        .expect("equally long");
        let same = SameRow::new(&batch, &[0, 1]).expect("ordered types");
        assert!(same.is_same(0, 1) && !same.is_same(1, 2));
        let none = SameRow::new(&batch, &[]).expect("ordered types");
        assert!(!none.is_same(0, 0), "rows without a key are never the same");
    }
}
