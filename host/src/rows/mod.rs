//! Rows in files, as the contract's types: JSON lines, CSV, Parquet and Arrow IPC, by the file's name.
//!
//! Parquet and Arrow files have types of their own; for the text formats they are given (see [`types`]) or guessed. What is written is read again as the
//! same values, of every type: decimals, dates, times and moments are texts, bytes are hexadecimal, numbers that JSON doesn't have are texts.

mod columnar;
mod csv;
mod json;
mod reference;
mod types;

use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use columnar::Room;

pub use json::{lines, row_line};
pub(crate) use reference::with_tables;
pub use reference::{ReadReference, Reference, ReferenceFile};
pub use types::{columns, field_text, type_text};

/// What is wrong with a file of rows.
#[derive(Debug, thiserror::Error)]
#[error("`{}`{}: {reason}", .path.display(), .line.map(|line| format!(", line {line}")).unwrap_or_default())]
pub struct RowsError {
    /// The file.
    pub path: PathBuf,
    /// The line, counted from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: String,
}

impl RowsError {
    fn new(path: &Path, line: Option<usize>, reason: impl ToString) -> Self {
        Self {
            path: path.to_owned(),
            line,
            reason: reason.to_string(),
        }
    }
}

/// A file's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
    Parquet,
    Arrow,
}

impl Format {
    fn of(path: &Path) -> Result<Self, RowsError> {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        match extension.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" | "json" => Ok(Self::Json),
            "csv" => Ok(Self::Csv),
            "parquet" => Ok(Self::Parquet),
            "arrow" | "arrows" | "ipc" | "feather" => Ok(Self::Arrow),
            _ => Err(RowsError::new(
                path,
                None,
                "rows are read from and written to .jsonl, .csv, .parquet and .arrow files",
            )),
        }
    }
}

/// Whether a file of this name has types of its own.
pub fn has_types(path: &Path) -> bool {
    matches!(Format::of(path), Ok(Format::Parquet | Format::Arrow))
}

/// Reads a file. `columns`: its columns' names and types; without them a text file's types are guessed (64-bit numbers, text, booleans), and every column
/// may be NULL.
pub fn read(path: &Path, columns: Option<&SchemaRef>) -> Result<RecordBatch, RowsError> {
    parse(path, bytes_of(path)?, columns, Room::ANY)
}

/// Reads what a file of this name holds, if there is room for it.
fn parse(
    path: &Path,
    bytes: Bytes,
    columns: Option<&SchemaRef>,
    room: Room,
) -> Result<RecordBatch, RowsError> {
    let batch = match Format::of(path)? {
        Format::Json => return json::read(path, text_of(path, &bytes)?, columns, room),
        Format::Csv => return csv::read(path, text_of(path, &bytes)?, columns, room),
        Format::Parquet => columnar::read_parquet(bytes, columns, room),
        Format::Arrow => columnar::read_arrow(bytes, columns, room),
    };
    batch.map_err(|cause| RowsError::new(path, None, cause))
}

/// Writes a file anew.
pub fn write(path: &Path, batch: &RecordBatch) -> Result<(), RowsError> {
    let bytes = match Format::of(path)? {
        Format::Json => Ok(json::write(batch)),
        Format::Csv => csv::write(batch),
        Format::Parquet => columnar::parquet_bytes(batch),
        Format::Arrow => columnar::arrow_bytes(batch),
    };
    let failed = |cause: String| RowsError::new(path, None, cause);
    let bytes = bytes.map_err(failed)?;
    std::fs::write(path, bytes).map_err(|cause| failed(cause.to_string()))
}

fn bytes_of(path: &Path) -> Result<Bytes, RowsError> {
    let bytes = std::fs::read(path).map(Bytes::from);
    bytes.map_err(|cause| RowsError::new(path, None, cause))
}

fn text_of<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str, RowsError> {
    // Spreadsheets begin a file with a mark of its byte order.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|cause| RowsError::new(path, None, cause))
}

#[cfg(test)]
mod tests;
