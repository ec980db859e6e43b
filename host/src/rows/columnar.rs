//! Parquet and Arrow IPC, and from any of Arrow's types to the contract's.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options, concat_batches};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use arrow::ipc::writer::FileWriter;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;

use super::types::{self, type_text};

/// How Arrow IPC files begin that aren't streams.
const MAGIC: &[u8; 6] = b"ARROW1";

/// What rows may become in memory, in bytes. A file may be small and its rows not: one value that is repeated, columns of nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room(pub(super) usize);

impl Room {
    /// As much as there is, for files of who runs Tidemill.
    pub(super) const ANY: Self = Self(usize::MAX);

    /// Refuses so many rows of so many columns. The least that a cell takes as JSON is a digit and a comma.
    pub(super) fn check_cells(self, rows: usize, columns: usize) -> Result<(), String> {
        let cells = rows.saturating_mul(columns.max(1));
        if cells.saturating_mul(2) > self.0 {
            return Err(self.too_small());
        }
        match self.is_bounded() && columns > MOST_COLUMNS {
            true => Err(format!(
                "it has {columns} columns, and a reference table at most {MOST_COLUMNS}"
            )),
            false => Ok(()),
        }
    }

    /// Refuses a text whose lines have become so many bytes with the names of their columns.
    pub(super) fn check_named(self, bytes: usize) -> Result<(), String> {
        match bytes > self.0.saturating_mul(MOST_NAMES) {
            true => Err(self.too_small()),
            false => Ok(()),
        }
    }

    fn is_bounded(self) -> bool {
        self.0 < Self::ANY.0
    }

    /// How many rows may be looked at together, out of data of this size: each of them may be all of it.
    fn step(self, bytes: usize) -> usize {
        (self.0 / bytes.max(1)).clamp(LEAST_STEP, MOST_STEP)
    }

    fn too_small(self) -> String {
        format!(
            "its rows are more than {} bytes, and a reference table is a small one",
            self.0
        )
    }
}

/// The rows that are looked at together.
const LEAST_STEP: usize = 8;
const MOST_STEP: usize = 8192;
/// The columns of a reference table: as many as a table of MySQL has.
const MOST_COLUMNS: usize = 4096;
/// How many times as long as its cells a line is with the columns' names.
const MOST_NAMES: usize = 8;

/// Reads a Parquet file, as the contract's types or the columns that are asked for.
pub(super) fn read_parquet(
    bytes: Bytes,
    columns: Option<&SchemaRef>,
    room: Room,
) -> Result<RecordBatch, String> {
    let words = |cause: ParquetError| cause.to_string();
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(words)?;
    let schema = builder.schema().clone();
    let groups = builder.metadata().row_groups();
    let total = |of: fn(&RowGroupMetaData) -> i64| {
        let numbers = groups.iter().map(of);
        numbers.fold(0usize, |sum, number| {
            sum.saturating_add(usize::try_from(number).unwrap_or(usize::MAX))
        })
    };
    room.check_cells(total(RowGroupMetaData::num_rows), schema.fields().len())?;
    let size = total(RowGroupMetaData::total_byte_size);
    if size > room.0 {
        return Err(room.too_small());
    }
    let reader = builder
        .with_batch_size(room.step(size))
        .build()
        .map_err(words)?;
    joined(&schema, reader, columns, room)
}

/// Reads an Arrow IPC file or stream, as [`read_parquet`] does.
pub(super) fn read_arrow(
    bytes: Bytes,
    columns: Option<&SchemaRef>,
    room: Room,
) -> Result<RecordBatch, String> {
    let words = |cause: ArrowError| cause.to_string();
    let is_file = bytes.starts_with(MAGIC);
    let bytes = Cursor::new(bytes);
    if is_file {
        let reader = FileReader::try_new(bytes, None).map_err(words)?;
        joined(&reader.schema(), reader, columns, room)
    } else {
        let reader = StreamReader::try_new(bytes, None).map_err(words)?;
        joined(&reader.schema(), reader, columns, room)
    }
}

/// Joins batches in the contract's types. What they take is counted while they come.
fn joined(
    schema: &SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
    columns: Option<&SchemaRef>,
    room: Room,
) -> Result<RecordBatch, String> {
    let words = |cause: ArrowError| cause.to_string();
    let wanted = match columns {
        Some(columns) => columns.clone(),
        None => contract_schema(schema)?,
    };
    let (mut rows, mut bytes) = (0usize, 0usize);
    let mut all = Vec::new();
    for batch in batches {
        let batch = batch.map_err(words)?;
        rows = rows.saturating_add(batch.num_rows());
        room.check_cells(rows, batch.num_columns())?;
        // A cast writes out what was a reference to one value.
        let step = room.step(batch.get_array_memory_size());
        for start in (0..batch.num_rows()).step_by(step) {
            let part = batch.slice(start, step.min(batch.num_rows() - start));
            let part = as_contract(&part, Some(&wanted))?;
            for column in part.columns() {
                let size = column.to_data().get_slice_memory_size().map_err(words)?;
                bytes = bytes.saturating_add(size);
            }
            if bytes > room.0 {
                return Err(room.too_small());
            }
            all.push(part);
        }
    }
    concat_batches(&wanted, &all).map_err(words)
}

/// The batch in the contract's types, or in the ones that are asked for, column by column of the same name.
fn as_contract(batch: &RecordBatch, columns: Option<&SchemaRef>) -> Result<RecordBatch, String> {
    let schema = match columns {
        Some(columns) => columns.clone(),
        None => contract_schema(batch.schema_ref())?,
    };
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let arrays = schema.fields().iter().map(|field| {
        let array = batch
            .column_by_name(field.name())
            .ok_or_else(|| format!("it has no column `{}`", field.name()))?;
        cast_with_options(array, field.data_type(), &options).map_err(|cause| {
            format!(
                "column `{}` can't be read as {}: {cause}",
                field.name(),
                type_text(field.data_type())
            )
        })
    });
    let arrays: Vec<ArrayRef> = arrays.collect::<Result<_, String>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema, arrays, &options).map_err(|cause| cause.to_string())
}

/// The nearest of the contract's types for each column; an error for one that has none.
pub(super) fn contract_schema(schema: &Schema) -> Result<SchemaRef, String> {
    let fields = schema.fields().iter().map(|field| {
        let data_type = nearest(field.data_type()).ok_or_else(|| {
            format!(
                "column `{}` is {}, which no plugin can be given",
                field.name(),
                field.data_type()
            )
        })?;
        Ok(Field::new(field.name(), data_type, field.is_nullable()))
    });
    Ok(Arc::new(Schema::new(
        fields.collect::<Result<Vec<_>, String>>()?,
    )))
}

fn nearest(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        // What is guessed of a column that has nothing but NULL.
        DataType::Null => DataType::Utf8,
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => nearest(values)?,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _)
            if item.data_type().is_floating() =>
        {
            types::float32_list()
        }
        DataType::Boolean
        | DataType::Date32
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::Binary
        | DataType::FixedSizeBinary(1..) => data_type.clone(),
        DataType::Decimal128(_, 0..) | DataType::Decimal256(_, 0..) => data_type.clone(),
        integer if integer.is_integer() => integer.clone(),
        _ => return None,
    })
}

pub(super) fn parquet_bytes(batch: &RecordBatch) -> Result<Vec<u8>, String> {
    let words = |cause: parquet::errors::ParquetError| cause.to_string();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).map_err(words)?;
    writer.write(batch).map_err(words)?;
    writer.close().map_err(words)?;
    Ok(bytes)
}

pub(super) fn arrow_bytes(batch: &RecordBatch) -> Result<Vec<u8>, String> {
    let words = |cause: ArrowError| cause.to_string();
    let mut bytes = Vec::new();
    let mut writer = FileWriter::try_new(&mut bytes, batch.schema_ref()).map_err(words)?;
    writer.write(batch).map_err(words)?;
    writer.finish().map_err(words)?;
    drop(writer);
    Ok(bytes)
}
