//! A computed column, a value at a time.

use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer, i256};
use arrow_schema::DataType;

use super::value::{Decimal, Value};
use crate::ColumnData;
use crate::column::width;

/// Builds the memory of a column of any type that the contract has.
#[derive(Debug)]
pub struct ValueBuilder {
    data_type: DataType,
    valid: BooleanBufferBuilder,
    /// The values of a boolean column.
    bits: BooleanBufferBuilder,
    /// For text, bytes and lists; where the values end, in items.
    offsets: Vec<i32>,
    /// Values of all other types, little-endian.
    bytes: Vec<u8>,
    /// Bytes a value, or an item of a list.
    width: usize,
    /// What a decimal stays below.
    limit: Option<i256>,
}

impl ValueBuilder {
    /// For a column of this type, with room for so many rows.
    pub fn new(data_type: &DataType, rows: usize) -> Self {
        let (width, offsets) = match data_type {
            DataType::Boolean => (0, 0),
            DataType::Utf8 | DataType::Binary => (1, rows + 1),
            DataType::List(_) => (size_of::<f32>(), rows + 1),
            fixed => (width(fixed), 0),
        };
        let mut builder = Self {
            data_type: data_type.clone(),
            valid: BooleanBufferBuilder::new(rows),
            bits: BooleanBufferBuilder::new(0),
            offsets: Vec::with_capacity(offsets),
            bytes: Vec::with_capacity(rows * width),
            width,
            limit: match data_type {
                DataType::Decimal128(precision, _) | DataType::Decimal256(precision, _) => {
                    i256::from_i128(10).checked_pow(u32::from(*precision))
                }
                _ => None,
            },
        };
        if offsets > 0 {
            builder.offsets.push(0);
        }
        builder
    }

    /// The number of values so far.
    pub fn len(&self) -> usize {
        self.valid.len()
    }

    /// Forgets the values from this row on.
    pub(super) fn truncate(&mut self, rows: usize) {
        if self.len() <= rows {
            return;
        }
        self.valid.truncate(rows);
        if self.data_type == DataType::Boolean {
            self.bits.truncate(rows);
        } else if self.offsets.is_empty() {
            self.bytes.truncate(rows * self.width);
        } else {
            self.offsets.truncate(rows + 1);
            self.bytes
                .truncate(self.offsets[rows] as usize * self.width);
        }
    }

    /// Whether there is none so far.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a value, or NULL. One that the type doesn't hold exactly is not appended: the error says what it is.
    pub fn push(&mut self, value: &Value<'_>) -> Result<(), &'static str> {
        if matches!(value, Value::Null) {
            self.push_nothing();
            self.valid.set_bit(self.valid.len() - 1, false);
            return Ok(());
        }
        self.bytes_of(value).ok_or_else(|| value.kind())?;
        if !self.offsets.is_empty() {
            let end = i32::try_from(self.bytes.len() / self.width);
            self.offsets
                .push(end.map_err(|_| "of more than 2 GiB a batch")?);
        }
        self.valid.append(true);
        Ok(())
    }

    /// The type's zero, for a row that will not be seen.
    pub fn push_nothing(&mut self) {
        if self.data_type == DataType::Boolean {
            self.bits.append(false);
        } else if let Some(&end) = self.offsets.last() {
            self.offsets.push(end);
        } else {
            self.bytes.resize(self.bytes.len() + self.width, 0);
        }
        self.valid.append(true);
    }

    /// Appends the value's bytes, if the column's type holds it exactly.
    fn bytes_of(&mut self, value: &Value<'_>) -> Option<()> {
        let bytes = &mut self.bytes;
        macro_rules! integer {
            ($type:ty, $number:expr) => {
                bytes.extend(<$type>::try_from(*$number).ok()?.to_le_bytes())
            };
        }
        match (&self.data_type, value) {
            (DataType::Boolean, Value::Boolean(truth)) => self.bits.append(*truth),
            (DataType::Int8, Value::Integer(number)) => integer!(i8, number),
            (DataType::Int16, Value::Integer(number)) => integer!(i16, number),
            (DataType::Int32, Value::Integer(number)) => integer!(i32, number),
            (DataType::Int64, Value::Integer(number)) => integer!(i64, number),
            (DataType::UInt8, Value::Integer(number)) => integer!(u8, number),
            (DataType::UInt16, Value::Integer(number)) => integer!(u16, number),
            (DataType::UInt32, Value::Integer(number)) => integer!(u32, number),
            (DataType::UInt64, Value::Integer(number)) => integer!(u64, number),
            (DataType::Float32, Value::Float(number)) => {
                let narrow = *number as f32;
                if narrow.is_infinite() && number.is_finite() {
                    return None;
                }
                bytes.extend(narrow.to_le_bytes());
            }
            (DataType::Float32, Value::Float32(number)) => bytes.extend(number.to_le_bytes()),
            (DataType::Float64, Value::Float32(number)) => {
                bytes.extend(f64::from(*number).to_le_bytes());
            }
            (DataType::Float64, Value::Float(number)) => bytes.extend(number.to_le_bytes()),
            (DataType::Float64, Value::Integer(number)) => {
                let float = *number as f64;
                if float as i128 != *number {
                    return None;
                }
                bytes.extend(float.to_le_bytes());
            }
            (DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale), _) => {
                let unscaled = decimal(value)?.with_scale(*scale)?.unscaled;
                if self
                    .limit
                    .is_some_and(|limit| unscaled.wrapping_abs() >= limit)
                {
                    return None;
                }
                bytes.extend(&unscaled.to_le_bytes()[..self.width]);
            }
            (DataType::Date32, Value::Date(days)) => bytes.extend(days.to_le_bytes()),
            (DataType::Time64(_), Value::Time(us)) => bytes.extend(us.to_le_bytes()),
            (DataType::Timestamp(..), Value::Timestamp(us)) => bytes.extend(us.to_le_bytes()),
            (DataType::Utf8, Value::Text(text)) => bytes.extend(text.as_bytes()),
            (DataType::Binary, Value::Bytes(given)) => bytes.extend(given.iter()),
            (DataType::Binary, Value::Text(text)) => bytes.extend(text.as_bytes()),
            (DataType::FixedSizeBinary(_), Value::Bytes(given)) if given.len() == self.width => {
                bytes.extend(given.iter());
            }
            (DataType::List(_), Value::Floats(floats)) => {
                bytes.extend(floats.iter().flat_map(|float| float.to_le_bytes()));
            }
            _ => return None,
        }
        Some(())
    }

    /// The column.
    pub fn finish(mut self) -> ColumnData {
        let rows = self.len();
        let nulls = NullBuffer::new(self.valid.finish());
        let nulls = (nulls.null_count() > 0).then_some(nulls);
        if self.data_type == DataType::Boolean {
            let values = self.bits.finish();
            return crate::build::boolean_from_parts(values, nulls).into();
        }
        let offsets = Buffer::from_vec(self.offsets);
        ColumnData::from_parts(self.data_type, rows, nulls, offsets, self.bytes.into())
    }
}

fn decimal(value: &Value<'_>) -> Option<Decimal> {
    match value {
        Value::Decimal(decimal) => Some(*decimal),
        Value::Integer(number) => Some(Decimal {
            unscaled: i256::from_i128(*number),
            scale: 0,
        }),
        _ => None,
    }
}
