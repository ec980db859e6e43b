//! Takes every column in and gives it back unchanged: what the way through the sandbox costs by itself.

use arrow_array::types::ByteArrayType;
use arrow_array::{Array, BooleanArray, FixedSizeBinaryArray, GenericByteArray};
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
    const VERSION: &str = env!("CARGO_PKG_VERSION");
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
    let data = &batch.columns[column];
    let nulls = data.nulls().map(shifted_nulls);
    match data.data_type() {
        DataType::Boolean => {
            let values = shifted_bits(batch.boolean(column).values());
            let copy = BooleanArray::new(values, nulls);
            copy.slice(ROWS_BEFORE, batch.rows).into()
        }
        DataType::Utf8 => bytes(&batch.utf8(column)),
        DataType::Binary => bytes(&batch.binary(column)),
        DataType::List(_) => batch.float32_lists(column).into(),
        DataType::FixedSizeBinary(width) => fixed(data, *width),
        number => fixed(data, number.primitive_width().unwrap_or(0) as i32),
    }
}

/// Values of a width are copied alike, whatever they mean.
fn fixed(data: &ColumnData, width: i32) -> ColumnData {
    let batch = Batch {
        rows: data.len(),
        columns: vec![
            data.clone()
                .with_data_type(DataType::FixedSizeBinary(width)),
        ],
    };
    let mut values = vec![0; ROWS_BEFORE * width as usize];
    values.extend_from_slice(batch.fixed_binary(0).value_data());
    let nulls = data.nulls().map(shifted_nulls);
    let copy = FixedSizeBinaryArray::new(width, values.into(), nulls);
    let copy = ColumnData::from(copy.slice(ROWS_BEFORE, batch.rows));
    copy.with_data_type(data.data_type().clone())
}

fn bytes<T: ByteArrayType<Offset = i32>>(array: &GenericByteArray<T>) -> ColumnData {
    // The rows before are one byte each, so that the copy's offsets don't begin at 0.
    let mut values = vec![b'-'; ROWS_BEFORE];
    values.extend_from_slice(array.value_data());
    let before = (0..ROWS_BEFORE as i32).collect::<Vec<_>>();
    let offsets = array
        .offsets()
        .iter()
        .map(|offset| offset + ROWS_BEFORE as i32);
    let offsets: Vec<i32> = before.into_iter().chain(offsets).collect();
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    let nulls = array.nulls().map(shifted_nulls);
    let copy = GenericByteArray::<T>::new(offsets, values.into(), nulls);
    copy.slice(ROWS_BEFORE, array.len()).into()
}

fn shifted_nulls(nulls: &NullBuffer) -> NullBuffer {
    NullBuffer::new(shifted_bits(nulls.inner()))
}

fn shifted_bits(bits: &BooleanBuffer) -> BooleanBuffer {
    let all = ROWS_BEFORE + bits.len();
    BooleanBuffer::collect_bool(all, |i| i < ROWS_BEFORE || bits.value(i - ROWS_BEFORE))
}

tidemill_sdk::export!(PassThrough);
