//! From a row of the binary protocol straight into Arrow buffers.
//!
//! How a column is decoded is chosen once a read, from the type table; after that a cell costs one branch and one append to a raw
//! buffer. There is no object a row and no allocation a cell. Text is checked to be UTF-8 once a batch, a whole buffer at a time.

mod batch;
mod changes;
mod charset;
mod column;
mod framing;
mod geometry;
mod image;
mod number;
mod store;
mod temporal;
mod text;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};

use super::error::SourceError;
use super::wire;
use crate::schema::{SourceColumn, SourceTable, TableName, cell_text, named};
use batch::Gathered;
pub use changes::{ChangeDecoder, Changes, ImageKind, Pairs};
pub use charset::Charsets;
pub(super) use charset::{Charset, Codes, FOUR_BYTES};
use column::ColumnDecoder;
pub use image::layout::MapMisfit;

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

/// What is wrong with a text that can't become UTF-8, and what to do.
const BEYOND_UNICODE: &str = "its text has a character that Unicode doesn't have, or none at all; repair the row, or copy the column's bytes with \
     types = { {column} = { format = \"bytes\" } }";

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

    fn changed(&self, column: usize, problem: String) -> SourceError {
        SourceError::Changed {
            table: self.table.clone(),
            column: self.columns[column].name.clone(),
            problem,
        }
    }

    fn was_not_null(&self, column: usize) -> SourceError {
        self.changed(column, "was NOT NULL and is NULL".to_owned())
    }

    fn protocol(&self, reason: impl Into<String>) -> SourceError {
        SourceError::Protocol {
            action: format!("reading {}", self.table),
            reason: reason.into(),
        }
    }

    fn value(&self, column: usize, row: String, problem: &str) -> SourceError {
        let name = &self.columns[column].name;
        SourceError::Value {
            table: self.table.clone(),
            column: name.clone(),
            row,
            problem: problem.replace("{column}", name),
        }
    }

    /// A row's name: the values of its key; none where the key isn't read.
    fn row_name(&self, arrays: &[ArrayRef], row: usize) -> Option<String> {
        if self.key_positions.is_empty() {
            return None;
        }
        let cells = self.key_positions.iter().map(|&i| {
            // A key has no NULL: it stands for a cell that can't be decoded.
            let cell = cell_text(&arrays[i], row).or_else(|| Some("?".to_owned()));
            named(&self.columns[i].name, cell)
        });
        Some(cells.collect::<Vec<_>>().join(", "))
    }
}

/// Collects rows into a batch, again and again.
pub(super) struct BatchDecoder<'a> {
    read: &'a TableRead,
    gathered: Gathered,
    /// Rows of the batches before.
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
            return Err(read.protocol(format!("{} columns instead of {expected}", wire.len())));
        }
        for (i, (column, wire)) in read.columns.iter().zip(wire).enumerate() {
            if !framing::fits(&column.mysql_type, wire) {
                let problem = format!(
                    "was {} and is sent as {:?}",
                    column.mysql_type.name(),
                    wire.column_type
                );
                return Err(read.changed(i, problem));
            }
        }
        Ok(Self {
            read,
            gathered: Gathered::new(read),
            rows_before: 0,
            limits,
        })
    }

    /// Takes a row, as the binary protocol sends it.
    #[inline]
    pub(super) fn push(&mut self, payload: &[u8]) -> Result<(), SourceError> {
        // A header byte, then a bit for each column, from the third on, that is NULL.
        let bitmap_end = 1 + (self.read.columns.len() + 9) / 8;
        let Some((head, mut cells)) = payload.split_at_checked(bitmap_end) else {
            return Err(self.read.protocol(batch::SHORT));
        };
        for (i, column) in self.gathered.columns.iter_mut().enumerate() {
            let bit = i + 2;
            if head[1 + bit / 8] >> (bit % 8) & 1 == 1 {
                if !column.push_null() {
                    return Err(self.read.was_not_null(i));
                }
            } else if let Err(fault) = column.push(&mut cells) {
                return Err(self.fault(i, fault, payload));
            }
        }
        self.gathered.rows += 1;
        Ok(())
    }

    /// Whether the batch has reached a limit.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.gathered.is_full(self.limits)
    }

    /// The batch so far, if it has rows; the next one begins with as much room as this one used.
    pub(super) fn finish(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        let rows = self.gathered.rows as u64;
        let rows_before = self.rows_before;
        let batch = self
            .gathered
            .finish(self.read, |row| numbered(rows_before, row))?;
        self.rows_before += rows;
        Ok(batch)
    }

    #[cold]
    fn fault(&self, column: usize, fault: Fault, payload: &[u8]) -> SourceError {
        match fault {
            Fault::Short => self.read.protocol(batch::SHORT),
            Fault::Value(problem) => self.read.value(column, self.row_name_of(payload), &problem),
        }
    }

    /// The name of a row that is still in its wire form: its key is decoded by itself, cells that can't be are left out.
    fn row_name_of(&self, payload: &[u8]) -> String {
        let columns = &self.read.columns;
        let mut cells = &payload[1 + (columns.len() + 9) / 8..];
        let mut arrays = Vec::with_capacity(columns.len());
        for (i, column) in columns.iter().enumerate() {
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
        self.read
            .row_name(&arrays, 0)
            .unwrap_or_else(|| numbered(self.rows_before, self.gathered.rows))
    }
}

/// The name of a row of a chunk that has no other.
fn numbered(rows_before: u64, row: usize) -> String {
    let number = rows_before + row as u64 + 1;
    format!("number {number} of the chunk (its key is not read)")
}
