//! From a row of the binary protocol straight into Arrow buffers.
//!
//! How a column is decoded is chosen once a read, from the type table; after that a cell costs one branch and one append to a raw
//! buffer. There is no object a row and no allocation a cell. Text is checked to be UTF-8 once a batch, a whole buffer at a time.

mod column;
mod framing;
mod geometry;
mod number;
mod temporal;
mod text;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};

use super::error::SourceError;
use super::wire;
use crate::schema::{SourceColumn, SourceTable, TableName, cell_text, named};
use column::ColumnDecoder;

/// When a batch is closed: whichever of the two comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// The most rows of a batch.
    pub batch_rows: usize,
    /// The size in bytes of Arrow memory at which a batch is closed; the row that reaches it is still in.
    pub batch_bytes: usize,
}

/// Why a cell could not be decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The row ends in the middle of it.
    Short,
    /// The value is not one that the column's Arrow type can hold; why, and what to do.
    Value(String),
}

/// Which columns of a table are read, in which order, and how they are decoded.
#[derive(Clone, Debug)]
pub struct TableRead {
    pub(super) table: TableName,
    /// The index that orders the rows, and the columns of the key in its order.
    pub(super) key_index: Option<String>,
    pub(super) key: Vec<SourceColumn>,
    pub(super) columns: Vec<SourceColumn>,
    schema: SchemaRef,
    /// Where the key's columns are among the columns that are read; empty if one of them isn't read.
    key_positions: Vec<usize>,
}

impl TableRead {
    /// A read of the columns at these positions in the table, in this order. No positions: the rows are only counted.
    ///
    /// # Panics
    /// If a position is not one of the table.
    pub fn new(table: &SourceTable, columns: &[usize]) -> Self {
        let fields = table.arrow_schema();
        let schema = Schema::new(
            columns
                .iter()
                .map(|&i| Arc::clone(&fields.fields()[i]))
                .collect::<Vec<_>>(),
        );
        let position = |key: &usize| columns.iter().position(|column| column == key);
        Self {
            table: table.name.clone(),
            key_index: table.key_index.clone(),
            key: table
                .key
                .iter()
                .map(|&i| table.columns[i].clone())
                .collect(),
            columns: columns.iter().map(|&i| table.columns[i].clone()).collect(),
            schema: Arc::new(schema),
            key_positions: table
                .key
                .iter()
                .map(position)
                .collect::<Option<_>>()
                .unwrap_or_default(),
        }
    }

    /// The schema of the batches.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn changed(&self, column: &SourceColumn, problem: String) -> SourceError {
        SourceError::Changed {
            table: self.table.clone(),
            column: column.name.clone(),
            problem,
        }
    }
}

/// Collects rows into a batch, again and again.
pub(super) struct BatchDecoder<'a> {
    read: &'a TableRead,
    columns: Vec<ColumnDecoder>,
    /// Which columns have values of differing sizes.
    variable: Vec<usize>,
    fixed_row_bytes: usize,
    /// Rows of this batch, and of the batches before.
    rows: usize,
    rows_before: u64,
    limits: ReadLimits,
}

impl<'a> BatchDecoder<'a> {
    /// A decoder for a result with these columns. If the table is no longer what it was when it was looked at, that is an error.
    pub(super) fn new(
        read: &'a TableRead,
        wire: &[wire::Column],
        limits: ReadLimits,
    ) -> Result<Self, SourceError> {
        // Where no column is read, the server sends one that says nothing.
        let expected = read.columns.len().max(1);
        if wire.len() != expected {
            let (action, reason) = (
                format!("reading {}", read.table),
                format!("{} columns instead of {expected}", wire.len()),
            );
            return Err(SourceError::Protocol { action, reason });
        }
        let mut columns = Vec::with_capacity(read.columns.len());
        for (column, wire) in read.columns.iter().zip(wire) {
            if !framing::fits(&column.mysql_type, wire) {
                let problem = format!(
                    "was {} and is sent as {:?}",
                    column.mysql_type.name(),
                    wire.column_type
                );
                return Err(read.changed(column, problem));
            }
            columns.push(ColumnDecoder::new(column));
        }
        let variable = (0..columns.len())
            .filter(|&i| columns[i].fixed_bytes() == 0)
            .collect();
        let fixed_row_bytes = columns.iter().map(ColumnDecoder::fixed_bytes).sum();
        Ok(Self {
            read,
            columns,
            variable,
            fixed_row_bytes,
            rows: 0,
            rows_before: 0,
            limits,
        })
    }

    /// Takes a row, as the binary protocol sends it.
    #[inline]
    pub(super) fn push(&mut self, payload: &[u8]) -> Result<(), SourceError> {
        // A header byte, then a bit for each column, from the third on, that is NULL.
        let bitmap_end = 1 + (self.columns.len() + 9) / 8;
        let Some((head, mut cells)) = payload.split_at_checked(bitmap_end) else {
            return Err(self.short());
        };
        for i in 0..self.columns.len() {
            let bit = i + 2;
            let column = &mut self.columns[i];
            if head[1 + bit / 8] >> (bit % 8) & 1 == 1 {
                if !column.push_null() {
                    let column = &self.read.columns[i];
                    return Err(self
                        .read
                        .changed(column, "was NOT NULL and is NULL".to_owned()));
                }
            } else if let Err(fault) = column.push(&mut cells) {
                return Err(self.fault(i, fault, payload));
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// Whether the batch has reached a limit.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.rows >= self.limits.batch_rows || self.bytes() >= self.limits.batch_bytes
    }

    #[inline]
    fn bytes(&self) -> usize {
        let variable: usize = self
            .variable
            .iter()
            .map(|&i| self.columns[i].variable_bytes())
            .sum();
        self.rows * self.fixed_row_bytes + variable
    }

    /// The batch so far, if it has rows; the next one begins with as much room as this one used.
    pub(super) fn finish(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        if self.rows == 0 {
            return Ok(None);
        }
        let mut arrays = Vec::with_capacity(self.columns.len());
        let mut failed = None;
        for (i, column) in self.columns.iter_mut().enumerate() {
            let (array, bad_row) = column.finish();
            if let (Some(row), None) = (bad_row, &failed) {
                failed = Some((i, row));
            }
            arrays.push(array);
        }
        if let Some((column, row)) = failed {
            let name = &self.read.columns[column].name;
            let problem = format!(
                "its text has a character that Unicode doesn't have, or none at all; repair the row, or copy the column's bytes with \
                 types = {{ {name} = {{ format = \"bytes\" }} }}"
            );
            return Err(self.value(column, self.row_name(&arrays, row), problem));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = RecordBatch::try_new_with_options(self.read.schema(), arrays, &options)
            .map_err(|cause| SourceError::Protocol {
                action: format!("reading {}", self.read.table),
                reason: cause.to_string(),
            })?;
        self.rows_before += self.rows as u64;
        self.rows = 0;
        Ok(Some(batch))
    }

    fn short(&self) -> SourceError {
        let action = format!("reading {}", self.read.table);
        SourceError::Protocol {
            action,
            reason: "a row is cut short".to_owned(),
        }
    }

    #[cold]
    fn fault(&self, column: usize, fault: Fault, payload: &[u8]) -> SourceError {
        match fault {
            Fault::Short => self.short(),
            Fault::Value(problem) => {
                let problem = match problem.contains("{column}") {
                    true => problem.replace("{column}", &self.read.columns[column].name),
                    false => problem,
                };
                self.value(column, self.row_name_of(payload), problem)
            }
        }
    }

    fn value(&self, column: usize, row: String, problem: String) -> SourceError {
        SourceError::Value {
            table: self.read.table.clone(),
            column: self.read.columns[column].name.clone(),
            row,
            problem,
        }
    }

    /// The name of a row that is still in its wire form: its key is decoded by itself, cells that can't be are left out.
    fn row_name_of(&self, payload: &[u8]) -> String {
        let mut cells = &payload[1 + (self.columns.len() + 9) / 8..];
        let mut arrays = Vec::with_capacity(self.columns.len());
        for (i, column) in self.read.columns.iter().enumerate() {
            let mut decoder = ColumnDecoder::lenient(column);
            let is_null = payload[1 + (i + 2) / 8] >> ((i + 2) % 8) & 1 == 1;
            if is_null {
                decoder.push_null();
            } else {
                let before = cells;
                if decoder.push(&mut cells).is_err() {
                    cells = before;
                    framing::skip(&column.mysql_type, &mut cells);
                    decoder = ColumnDecoder::lenient(column);
                    decoder.push_null();
                }
            }
            arrays.push(decoder.finish().0);
        }
        self.row_name(&arrays, 0)
    }

    /// A row's name: the values of its key, or its number where the key isn't read.
    fn row_name(&self, arrays: &[ArrayRef], row: usize) -> String {
        if self.read.key_positions.is_empty() {
            return format!(
                "number {} of the chunk (its key is not read)",
                self.rows_before + row as u64 + 1
            );
        }
        let cells = self.read.key_positions.iter().map(|&i| {
            // A key has no NULL: it stands for a cell that can't be decoded.
            let cell = cell_text(&arrays[i], row).or_else(|| Some("?".to_owned()));
            named(&self.read.columns[i].name, cell)
        });
        cells.collect::<Vec<_>>().join(", ")
    }
}
