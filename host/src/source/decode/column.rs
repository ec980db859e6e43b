//! The decoder of one column: a raw buffer for its values, and which of them are NULL.

use std::sync::Arc;

use arrow::array::builder::{BooleanBufferBuilder, NullBufferBuilder};
use arrow::array::types::ArrowPrimitiveType;
use arrow::array::{
    ArrayRef, BooleanArray, FixedSizeBinaryArray, Float32Array, ListArray, PrimitiveArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Field, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type, i256,
};

use super::image::Packed;
use super::store::{FIRST_ROWS, Store, first_end, store};
use super::{Fault, geometry, number, temporal, text};
use crate::schema::{SourceColumn, ZeroDates};

/// Collects the values of one column.
pub(super) struct ColumnDecoder {
    store: Store,
    nulls: NullBufferBuilder,
    nullable: bool,
    zero_dates: ZeroDates,
    data_type: DataType,
}

/// Takes a number of a fixed size.
macro_rules! fixed {
    ($cells:ident, $number:ty) => {{
        let (bytes, rest) = $cells.split_first_chunk().ok_or(Fault::Short)?;
        *$cells = rest;
        <$number>::from_le_bytes(*bytes)
    }};
}

impl ColumnDecoder {
    pub(super) fn new(column: &SourceColumn) -> Self {
        Self {
            store: store(&column.mysql_type, column.form),
            nulls: NullBufferBuilder::new(FIRST_ROWS),
            nullable: column.yields_null(),
            zero_dates: column.zero_dates,
            data_type: column.arrow(),
        }
    }

    /// The same where every value may be missing.
    pub(super) fn lenient(column: &SourceColumn) -> Self {
        Self {
            nullable: true,
            ..Self::new(column)
        }
    }

    /// Bytes of Arrow memory that each value takes; 0 if they differ.
    pub(super) fn fixed_bytes(&self) -> usize {
        match &self.store {
            Store::Bool(_) | Store::Bit1(_) | Store::I8(_) | Store::U8(_) => 1,
            Store::I16(_) | Store::U16(_) => 2,
            Store::I32(_) | Store::U32(_) | Store::F32(_) | Store::Date(_) | Store::Inet4(_) => 4,
            Store::I64(_)
            | Store::U64(_)
            | Store::F64(_)
            | Store::Bits(_)
            | Store::DateTime(_)
            | Store::Time(_) => 8,
            Store::Decimal128(..) | Store::Uuid(_) | Store::Inet6(_) => 16,
            Store::Decimal256(..) => 32,
            Store::Text(_)
            | Store::Binary(..)
            | Store::Geometry(_)
            | Store::Wkb(_)
            | Store::DateText(_)
            | Store::DateTimeText(..)
            | Store::TimeText(..)
            | Store::Vector(..) => 0,
        }
    }

    /// Bytes of Arrow memory that values of differing sizes have taken so far.
    #[inline]
    pub(super) fn variable_bytes(&self) -> usize {
        match &self.store {
            Store::Text(values)
            | Store::Binary(values, _)
            | Store::Geometry(values)
            | Store::Wkb(values)
            | Store::DateText(values)
            | Store::DateTimeText(values, _)
            | Store::TimeText(values, _) => values.bytes.len() + 4 * values.rows(),
            Store::Vector(items, ends) => 4 * (items.len() + ends.len()),
            _ => 0,
        }
    }

    /// Takes a NULL; false if the column has none.
    #[inline]
    pub(super) fn push_null(&mut self) -> bool {
        if self.nullable {
            self.nulls.append_null();
            self.push_nothing();
        }
        self.nullable
    }

    /// What stands in the buffer for a NULL.
    fn push_nothing(&mut self) {
        match &mut self.store {
            Store::Bool(values) | Store::Bit1(values) => values.append(false),
            Store::I8(values) => values.push(0),
            Store::U8(values) => values.push(0),
            Store::I16(values) => values.push(0),
            Store::U16(values) => values.push(0),
            Store::I32(values) | Store::Date(values) => values.push(0),
            Store::U32(values) | Store::Inet4(values) => values.push(0),
            Store::I64(values) | Store::DateTime(values) | Store::Time(values) => values.push(0),
            Store::U64(values) | Store::Bits(values) => values.push(0),
            Store::F32(values) => values.push(0.0),
            Store::F64(values) => values.push(0.0),
            Store::Decimal128(values, _) => values.push(0),
            Store::Decimal256(values, _) => values.push(i256::ZERO),
            Store::Text(values)
            | Store::Binary(values, _)
            | Store::Geometry(values)
            | Store::Wkb(values)
            | Store::DateText(values)
            | Store::DateTimeText(values, _)
            | Store::TimeText(values, _) => {
                // It ends where the one before ended, which did fit.
                let _ = values.end();
            }
            Store::Vector(items, ends) => ends.push(items.len() as i32),
            Store::Uuid(values) | Store::Inet6(values) => values.extend_from_slice(&[0; 16]),
        }
    }

    /// Takes the value that the cells begin with.
    #[inline]
    pub(super) fn push(&mut self, cells: &mut &[u8]) -> Result<(), Fault> {
        match &mut self.store {
            Store::I8(values) => values.push(fixed!(cells, i8)),
            Store::U8(values) => values.push(fixed!(cells, u8)),
            Store::I16(values) => values.push(fixed!(cells, i16)),
            Store::U16(values) => values.push(fixed!(cells, u16)),
            Store::I32(values) => values.push(fixed!(cells, i32)),
            Store::U32(values) => values.push(fixed!(cells, u32)),
            Store::I64(values) => values.push(fixed!(cells, i64)),
            Store::U64(values) => values.push(fixed!(cells, u64)),
            Store::F32(values) => values.push(fixed!(cells, f32)),
            Store::F64(values) => values.push(fixed!(cells, f64)),
            Store::Decimal128(values, scale) => {
                values.push(number::decimal128(text::take(cells)?, *scale).ok_or_else(no_decimal)?);
            }
            Store::Decimal256(values, scale) => {
                values.push(number::decimal256(text::take(cells)?, *scale).ok_or_else(no_decimal)?);
            }
            Store::Date(values) => match temporal::date(cells)? {
                Some(days) => values.push(days),
                None => return self.push_no_day(),
            },
            Store::DateTime(values) => match temporal::datetime(cells)? {
                Some(micros) => values.push(micros),
                None => return self.push_no_day(),
            },
            Store::DateText(values) => {
                temporal::date_text(cells, &mut values.bytes)?;
                values.end()?;
            }
            Store::DateTimeText(values, fraction) => {
                temporal::datetime_text(cells, *fraction, &mut values.bytes)?;
                values.end()?;
            }
            Store::TimeText(values, fraction) => {
                temporal::time_text(cells, *fraction, &mut values.bytes)?;
                values.end()?;
            }
            Store::Time(values) => values.push(temporal::time(cells)?),
            Store::Bool(values) => match fixed!(cells, i8) {
                0 => values.append(false),
                1 => values.append(true),
                _ => return Err(not_a_boolean()),
            },
            Store::Uuid(values) => values.extend_from_slice(&text::uuid(text::take(cells)?)?),
            Store::Inet4(values) => values.push(text::inet4(text::take(cells)?)?),
            Store::Inet6(values) => values.extend_from_slice(&text::inet6(text::take(cells)?)?),
            Store::Text(values) => values.push(text::take(cells)?)?,
            Store::Bit1(_)
            | Store::Bits(_)
            | Store::Binary(..)
            | Store::Geometry(_)
            | Store::Wkb(_)
            | Store::Vector(..) => return self.push_bytes(text::take(cells)?),
        }
        self.nulls.append_non_null();
        Ok(())
    }

    /// Takes a value by its bytes: text, bits, binary, a shape, a vector, or what is stored in as many bytes, in network order.
    #[inline]
    pub(super) fn push_bytes(&mut self, value: &[u8]) -> Result<(), Fault> {
        match &mut self.store {
            Store::Text(values) => values.push(value)?,
            Store::Bit1(values) => values.append(number::bits(value).ok_or_else(no_bits)? != 0),
            Store::Bits(values) => values.push(number::bits(value).ok_or_else(no_bits)?),
            Store::Binary(values, length) => {
                values.bytes.extend_from_slice(value);
                let missing = length.saturating_sub(value.len());
                values.bytes.extend(std::iter::repeat_n(0, missing));
                values.end()?;
            }
            Store::Geometry(values) => {
                geometry::ewkt(value, &mut values.bytes).ok_or_else(malformed)?;
                values.end()?;
            }
            Store::Wkb(values) => {
                geometry::ewkb(value, &mut values.bytes).ok_or_else(malformed)?;
                values.end()?;
            }
            Store::Vector(items, ends) => {
                let chunks = value.as_chunks().0;
                items.extend(chunks.iter().map(|&item| f32::from_le_bytes(item)));
                ends.push(i32::try_from(items.len()).map_err(|_| Fault::Short)?);
            }
            Store::Uuid(values) | Store::Inet6(values) => {
                let value: &[u8; 16] = value.try_into().map_err(|_| Fault::Short)?;
                values.extend_from_slice(value);
            }
            Store::Inet4(values) => {
                let value = value.try_into().map_err(|_| Fault::Short)?;
                values.push(u32::from_be_bytes(value));
            }
            _ => return Err(Fault::Short),
        }
        self.nulls.append_non_null();
        Ok(())
    }

    /// Takes a text that is written right where it stays.
    #[inline]
    pub(super) fn push_written(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let Store::Text(values) = &mut self.store else {
            return Err(Fault::Short);
        };
        write(&mut values.bytes)?;
        values.end()?;
        self.nulls.append_non_null();
        Ok(())
    }

    /// Takes a value by its bytes, or, where the column is read as text, by what is written.
    #[inline]
    pub(super) fn push_or_write(
        &mut self,
        value: &[u8],
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Fault> {
        if !matches!(self.store, Store::Text(_)) {
            return self.push_bytes(value);
        }
        self.push_written(|out| {
            write(out);
            Ok(())
        })
    }

    /// Takes a decimal by its packed digits.
    #[inline]
    pub(super) fn push_decimal(&mut self, shape: Packed, cell: &[u8]) -> Result<(), Fault> {
        match &mut self.store {
            Store::Decimal128(values, _) => {
                values.push(shape.decimal128(cell).ok_or_else(no_decimal)?);
            }
            Store::Decimal256(values, _) => {
                values.push(shape.decimal256(cell).ok_or_else(no_decimal)?);
            }
            _ => {
                return self.push_written(|out| shape.text(cell, out).ok_or_else(no_decimal));
            }
        }
        self.nulls.append_non_null();
        Ok(())
    }

    /// Takes a date that is none of the calendar, as the pipe says.
    #[cold]
    fn push_no_day(&mut self) -> Result<(), Fault> {
        if self.zero_dates == ZeroDates::Null && self.push_null() {
            return Ok(());
        }
        match (self.zero_dates, &mut self.store) {
            (ZeroDates::Day(day), Store::Date(values)) => values.push(temporal::days_of(day)),
            (ZeroDates::Day(day), Store::DateTime(values)) => {
                values.push(temporal::micros_of(day));
            }
            _ => {
                return Err(Fault::Value(
                    "a zero, partial or impossible date has no counterpart; repair the row, say what becomes of it with `zero_dates`, or copy \
                     the column with types = { {column} = \"String\" }"
                        .to_owned(),
                ));
            }
        }
        self.nulls.append_non_null();
        Ok(())
    }

    /// The column so far as an array, and the first row whose text isn't UTF-8. The next batch begins with as much room.
    pub(super) fn finish(&mut self) -> (ArrayRef, Option<usize>) {
        let nulls = self.nulls.finish();
        let data_type = &self.data_type;
        let array = match &mut self.store {
            Store::Bool(values) | Store::Bit1(values) => {
                let rows = values.len();
                let bits = std::mem::replace(values, BooleanBufferBuilder::new(rows)).build();
                Arc::new(BooleanArray::new(bits, nulls))
            }
            Store::I8(values) => primitive::<Int8Type>(values, nulls, data_type),
            Store::U8(values) => primitive::<UInt8Type>(values, nulls, data_type),
            Store::I16(values) => primitive::<Int16Type>(values, nulls, data_type),
            Store::U16(values) => primitive::<UInt16Type>(values, nulls, data_type),
            Store::I32(values) => primitive::<Int32Type>(values, nulls, data_type),
            Store::U32(values) | Store::Inet4(values) => {
                primitive::<UInt32Type>(values, nulls, data_type)
            }
            Store::I64(values) => primitive::<Int64Type>(values, nulls, data_type),
            Store::U64(values) | Store::Bits(values) => {
                primitive::<UInt64Type>(values, nulls, data_type)
            }
            Store::F32(values) => primitive::<Float32Type>(values, nulls, data_type),
            Store::F64(values) => primitive::<Float64Type>(values, nulls, data_type),
            Store::Decimal128(values, _) => primitive::<Decimal128Type>(values, nulls, data_type),
            Store::Decimal256(values, _) => primitive::<Decimal256Type>(values, nulls, data_type),
            Store::Date(values) => primitive::<Date32Type>(values, nulls, data_type),
            Store::DateTime(values) => {
                primitive::<TimestampMicrosecondType>(values, nulls, data_type)
            }
            Store::Time(values) => primitive::<Time64MicrosecondType>(values, nulls, data_type),
            Store::Text(values)
            | Store::Geometry(values)
            | Store::DateText(values)
            | Store::DateTimeText(values, _)
            | Store::TimeText(values, _) => return values.text(nulls),
            Store::Binary(values, _) | Store::Wkb(values) => values.binary(nulls),
            Store::Vector(items, ends) => {
                let rows = ends.len();
                let ends = std::mem::replace(ends, first_end(rows));
                let items = Float32Array::from(replaced(items));
                let field = Arc::new(Field::new("item", DataType::Float32, false));
                Arc::new(ListArray::new(
                    field,
                    OffsetBuffer::new(ScalarBuffer::from(ends)),
                    Arc::new(items),
                    nulls,
                ))
            }
            Store::Uuid(values) | Store::Inet6(values) => Arc::new(FixedSizeBinaryArray::new(
                16,
                Buffer::from_vec(replaced(values)),
                nulls,
            )),
        };
        (array, None)
    }
}

/// Takes the values, and leaves as much room.
fn replaced<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = Vec::with_capacity(values.len());
    std::mem::replace(values, room)
}

fn primitive<T: ArrowPrimitiveType>(
    values: &mut Vec<T::Native>,
    nulls: Option<NullBuffer>,
    data_type: &DataType,
) -> ArrayRef {
    let values = ScalarBuffer::from(replaced(values));
    Arc::new(PrimitiveArray::<T>::new(values, nulls).with_data_type(data_type.clone()))
}

fn malformed() -> Fault {
    Fault::Value("the spatial value is malformed; repair the row".to_owned())
}

fn no_decimal() -> Fault {
    Fault::Value("what the server sends of it is no decimal of the column's precision".to_owned())
}

fn no_bits() -> Fault {
    Fault::Value("it has more than 64 bits".to_owned())
}

fn not_a_boolean() -> Fault {
    Fault::Value("a TINYINT(1) is neither 0 nor 1; copy the column as a number with types = { {column} = \"Int8\" }".to_owned())
}
