//! Takes every column in and gives it back unchanged: what the way through the sandbox costs by itself.

use arrow_array::types::{
    ArrowPrimitiveType, ByteArrayType, Date32Type, Decimal128Type, Decimal256Type, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{BooleanArray, FixedSizeBinaryArray, GenericByteArray, PrimitiveArray};
use arrow_buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;
use tidemill_sdk::{
    Batch, Binding, Column, ColumnData, ConfigSchema, Error, Output, Table, Transform,
};

/// Rows in front of a copy, so that it begins in the midst of a byte of its bitmaps.
const ROWS_BEFORE: usize = 3;

/// The transform.
#[derive(Debug)]
pub struct PassThrough {
    copy: bool,
}

/// Its settings.
#[derive(Debug, serde::Deserialize, ConfigSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Write each value anew, as a plugin does that computes.
    #[serde(default)]
    copy: bool,
}

impl Transform for PassThrough {
    type Config = Config;
    const NAME: &str = "passthrough";
    const SUMMARY: &str = "takes every column in and gives it back unchanged";

    fn bind(table: &Table, config: Config) -> Result<(Self, Binding), Error> {
        let reads = (0..table.fields.len()).collect();
        let output = table
            .fields
            .iter()
            .map(|field| Column::Computed(field.as_ref().clone()))
            .collect();
        Ok((
            Self { copy: config.copy },
            Binding {
                reads,
                output,
                filters: false,
            },
        ))
    }

    fn process(&mut self, batch: &Batch) -> Result<Output, Error> {
        Ok(match self.copy {
            true => Output::columns((0..batch.columns.len()).map(|column| copied(batch, column))),
            false => Output::columns(batch.columns.iter().cloned()),
        })
    }
}

/// The same values in other memory, behind some others.
fn copied(batch: &Batch, column: usize) -> ColumnData {
    let data_type = batch.columns[column].data_type();
    macro_rules! primitive {
        ($type:ty) => {
            primitive(&batch.primitive::<$type>(column))
        };
    }
    match data_type {
        DataType::Boolean => {
            let array = batch.boolean(column);
            let values = shifted_bits(array.values());
            let nulls = array_nulls(&batch.columns[column]);
            let copy = BooleanArray::new(values, nulls);
            copy.slice(ROWS_BEFORE, batch.rows).into()
        }
        DataType::Utf8 => bytes(&batch.utf8(column)),
        DataType::Binary => bytes(&batch.binary(column)),
        DataType::FixedSizeBinary(width) => {
            let array = batch.fixed_binary(column);
            let mut values = vec![0; ROWS_BEFORE * *width as usize];
            values.extend_from_slice(array.value_data());
            let nulls = array_nulls(&batch.columns[column]);
            let copy = FixedSizeBinaryArray::new(*width, values.into(), nulls);
            copy.slice(ROWS_BEFORE, batch.rows).into()
        }
        DataType::List(_) => batch.float32_lists(column).into(),
        DataType::Int8 => primitive!(Int8Type),
        DataType::Int16 => primitive!(Int16Type),
        DataType::Int32 => primitive!(Int32Type),
        DataType::Int64 => primitive!(Int64Type),
        DataType::UInt8 => primitive!(UInt8Type),
        DataType::UInt16 => primitive!(UInt16Type),
        DataType::UInt32 => primitive!(UInt32Type),
        DataType::UInt64 => primitive!(UInt64Type),
        DataType::Float32 => primitive!(Float32Type),
        DataType::Float64 => primitive!(Float64Type),
        DataType::Decimal128(..) => primitive!(Decimal128Type),
        DataType::Decimal256(..) => primitive!(Decimal256Type),
        DataType::Date32 => primitive!(Date32Type),
        DataType::Time64(_) => primitive!(Time64MicrosecondType),
        _ => primitive!(TimestampMicrosecondType),
    }
}

fn primitive<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> ColumnData {
    use arrow_array::Array;
    let before = std::iter::repeat_n(T::Native::default(), ROWS_BEFORE);
    let values: Vec<T::Native> = before.chain(array.values().iter().copied()).collect();
    let nulls = array.nulls().map(shifted_nulls);
    let copy = PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls)
        .with_data_type(array.data_type().clone());
    copy.slice(ROWS_BEFORE, array.len()).into()
}

fn bytes<T: ByteArrayType<Offset = i32>>(array: &GenericByteArray<T>) -> ColumnData {
    use arrow_array::Array;
    // The rows before are one byte each, so that the copy's offsets don't begin at 0.
    let mut values = vec![b'-'; ROWS_BEFORE];
    values.extend_from_slice(array.value_data());
    let before = (0..ROWS_BEFORE as i32).collect::<Vec<_>>();
    let offsets = array.offsets().iter().map(|offset| offset + ROWS_BEFORE as i32);
    let offsets: Vec<i32> = before.into_iter().chain(offsets).collect();
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    let nulls = array.nulls().map(shifted_nulls);
    let copy = GenericByteArray::<T>::new(offsets, values.into(), nulls);
    copy.slice(ROWS_BEFORE, array.len()).into()
}

fn array_nulls(column: &ColumnData) -> Option<NullBuffer> {
    column.nulls().map(shifted_nulls)
}

fn shifted_nulls(nulls: &NullBuffer) -> NullBuffer {
    NullBuffer::new(shifted_bits(nulls.inner()))
}

fn shifted_bits(bits: &BooleanBuffer) -> BooleanBuffer {
    let all = ROWS_BEFORE + bits.len();
    BooleanBuffer::collect_bool(all, |i| i < ROWS_BEFORE || bits.value(i - ROWS_BEFORE))
}

tidemill_sdk::export!(PassThrough);
