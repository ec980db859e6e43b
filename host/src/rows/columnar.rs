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

use super::types::{self, type_text};

/// How Arrow IPC files begin that aren't streams.
const MAGIC: &[u8; 6] = b"ARROW1";

pub(super) fn read_parquet(bytes: Bytes) -> Result<RecordBatch, String> {
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|cause| cause.to_string())?;
    let schema = builder.schema().clone();
    let reader = builder.build().map_err(|cause| cause.to_string())?;
    joined(&schema, reader)
}

pub(super) fn read_arrow(bytes: Bytes) -> Result<RecordBatch, String> {
    let words = |cause: ArrowError| cause.to_string();
    let is_file = bytes.starts_with(MAGIC);
    let bytes = Cursor::new(bytes);
    if is_file {
        let reader = FileReader::try_new(bytes, None).map_err(words)?;
        joined(&reader.schema(), reader)
    } else {
        let reader = StreamReader::try_new(bytes, None).map_err(words)?;
        joined(&reader.schema(), reader)
    }
}

fn joined(
    schema: &SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
) -> Result<RecordBatch, String> {
    let batches = batches.collect::<Result<Vec<_>, _>>();
    let batches = batches.map_err(|cause| cause.to_string())?;
    concat_batches(schema, &batches).map_err(|cause| cause.to_string())
}

/// The batch in the contract's types, or in the ones that are asked for, column by column of the same name.
pub(super) fn as_contract(
    batch: &RecordBatch,
    columns: Option<&SchemaRef>,
) -> Result<RecordBatch, String> {
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
