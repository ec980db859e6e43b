//! One value of one row.

use std::borrow::Cow;
use std::fmt;

use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, BinaryArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray, StringArray,
};
use arrow_buffer::i256;
use arrow_schema::DataType;

use crate::{Batch, ColumnData, Float32Lists};

/// A value of whatever type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// There is none.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number of any width.
    Integer(i128),
    /// A floating-point number.
    Float(f64),
    /// An exact number with digits behind the point.
    Decimal(Decimal),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds; MySQL's TIME may be negative, and longer than a day.
    Time(i64),
    /// Microseconds since 1970-01-01 00:00:00: UTC for an instant, else as the clock on the wall shows it.
    Timestamp(i64),
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// A vector.
    Floats(Cow<'a, [f32]>),
}

/// `unscaled / 10^scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// The number without its point.
    pub unscaled: i256,
    /// Digits behind the point.
    pub scale: i8,
}

impl Decimal {
    /// The same number with so many digits behind the point; none if digits would be lost.
    pub fn with_scale(self, scale: i8) -> Option<Self> {
        if scale == self.scale {
            return Some(self);
        }
        let ten = i256::from_i128(10);
        let step = u32::from(scale.abs_diff(self.scale));
        let power = ten.checked_pow(step)?;
        let unscaled = if scale >= self.scale {
            self.unscaled.checked_mul(power)?
        } else {
            let (whole, rest) = self.unscaled.checked_div_rem(power)?;
            if rest != i256::ZERO {
                return None;
            }
            whole
        };
        Some(Self { unscaled, scale })
    }
}

/// As SQL writes it: `-12.50`.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.unscaled.wrapping_abs().to_string();
        let scale = usize::try_from(self.scale).unwrap_or(0);
        if self.unscaled.is_negative() {
            f.write_str("-")?;
        }
        if scale == 0 {
            return f.write_str(&digits);
        }
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        write!(f, "{whole}.{fraction}")
    }
}

macro_rules! from {
    ($($type:ty => $value:ident => $made:expr;)*) => {
        $(impl<'a> From<$type> for Value<'a> {
            fn from($value: $type) -> Self {
                $made
            }
        })*
    };
}

from! {
    bool => value => Self::Boolean(value);
    i8 => value => Self::Integer(value.into());
    i16 => value => Self::Integer(value.into());
    i32 => value => Self::Integer(value.into());
    i64 => value => Self::Integer(value.into());
    i128 => value => Self::Integer(value);
    u8 => value => Self::Integer(value.into());
    u16 => value => Self::Integer(value.into());
    u32 => value => Self::Integer(value.into());
    u64 => value => Self::Integer(value.into());
    f32 => value => Self::Float(value.into());
    f64 => value => Self::Float(value);
    Decimal => value => Self::Decimal(value);
    &'a str => value => Self::Text(Cow::Borrowed(value));
    String => value => Self::Text(Cow::Owned(value));
    &'a [u8] => value => Self::Bytes(Cow::Borrowed(value));
    Vec<u8> => value => Self::Bytes(Cow::Owned(value));
    &'a [f32] => value => Self::Floats(Cow::Borrowed(value));
    Vec<f32> => value => Self::Floats(Cow::Owned(value));
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Value<'_> {
    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Boolean(_) => "this boolean",
            Self::Integer(_) => "this integer",
            Self::Float(_) => "this float",
            Self::Decimal(_) => "this decimal",
            Self::Date(_) => "this date",
            Self::Time(_) => "this time",
            Self::Timestamp(_) => "this timestamp",
            Self::Text(_) => "this text",
            Self::Bytes(_) => "these bytes",
            Self::Floats(_) => "these floats",
        }
    }
}

/// A column of any type that is read a value at a time.
#[derive(Clone, Debug)]
pub struct ValueReader(Typed);

#[derive(Clone, Debug)]
enum Typed {
    Boolean(BooleanArray),
    Int8(PrimitiveArray<Int8Type>),
    Int16(PrimitiveArray<Int16Type>),
    Int32(PrimitiveArray<Int32Type>),
    Int64(PrimitiveArray<Int64Type>),
    UInt8(PrimitiveArray<UInt8Type>),
    UInt16(PrimitiveArray<UInt16Type>),
    UInt32(PrimitiveArray<UInt32Type>),
    UInt64(PrimitiveArray<UInt64Type>),
    Float32(PrimitiveArray<Float32Type>),
    Float64(PrimitiveArray<Float64Type>),
    Decimal128(PrimitiveArray<Decimal128Type>, i8),
    Decimal256(PrimitiveArray<Decimal256Type>, i8),
    Date(PrimitiveArray<Date32Type>),
    Time(PrimitiveArray<Time64MicrosecondType>),
    Timestamp(PrimitiveArray<TimestampMicrosecondType>),
    Text(StringArray),
    Binary(BinaryArray),
    Fixed(FixedSizeBinaryArray),
    Floats(Float32Lists),
}

impl ValueReader {
    /// Reads this column.
    pub fn new(column: &ColumnData) -> Self {
        Self(Typed::new(column))
    }

    /// The row's value.
    ///
    /// # Panics
    /// If the column has no such row.
    pub fn value(&self, row: usize) -> Value<'_> {
        self.0.value(row)
    }
}

impl Typed {
    fn new(column: &ColumnData) -> Self {
        let batch = Batch {
            rows: column.len(),
            columns: vec![column.clone()],
        };
        match column.data_type() {
            DataType::Boolean => Self::Boolean(batch.boolean(0)),
            DataType::Int8 => Self::Int8(batch.primitive(0)),
            DataType::Int16 => Self::Int16(batch.primitive(0)),
            DataType::Int32 => Self::Int32(batch.primitive(0)),
            DataType::Int64 => Self::Int64(batch.primitive(0)),
            DataType::UInt8 => Self::UInt8(batch.primitive(0)),
            DataType::UInt16 => Self::UInt16(batch.primitive(0)),
            DataType::UInt32 => Self::UInt32(batch.primitive(0)),
            DataType::UInt64 => Self::UInt64(batch.primitive(0)),
            DataType::Float32 => Self::Float32(batch.primitive(0)),
            DataType::Float64 => Self::Float64(batch.primitive(0)),
            DataType::Decimal128(_, scale) => Self::Decimal128(batch.primitive(0), *scale),
            DataType::Decimal256(_, scale) => Self::Decimal256(batch.primitive(0), *scale),
            DataType::Date32 => Self::Date(batch.primitive(0)),
            DataType::Time64(_) => Self::Time(batch.primitive(0)),
            DataType::Timestamp(..) => Self::Timestamp(batch.primitive(0)),
            DataType::Utf8 => Self::Text(batch.utf8(0)),
            DataType::Binary => Self::Binary(batch.binary(0)),
            DataType::FixedSizeBinary(_) => Self::Fixed(batch.fixed_binary(0)),
            _ => Self::Floats(batch.float32_lists(0)),
        }
    }

    fn value(&self, row: usize) -> Value<'_> {
        macro_rules! value {
            ($array:ident, $value:ident => $made:expr) => {{
                if $array.is_null(row) {
                    return Value::Null;
                }
                let $value = $array.value(row);
                $made
            }};
        }
        let decimal = |unscaled, scale| Value::Decimal(Decimal { unscaled, scale });
        match self {
            Self::Boolean(array) => value!(array, value => Value::Boolean(value)),
            Self::Int8(array) => value!(array, value => value.into()),
            Self::Int16(array) => value!(array, value => value.into()),
            Self::Int32(array) => value!(array, value => value.into()),
            Self::Int64(array) => value!(array, value => value.into()),
            Self::UInt8(array) => value!(array, value => value.into()),
            Self::UInt16(array) => value!(array, value => value.into()),
            Self::UInt32(array) => value!(array, value => value.into()),
            Self::UInt64(array) => value!(array, value => value.into()),
            Self::Float32(array) => value!(array, value => value.into()),
            Self::Float64(array) => value!(array, value => value.into()),
            Self::Decimal128(array, scale) => {
                value!(array, value => decimal(i256::from_i128(value), *scale))
            }
            Self::Decimal256(array, scale) => value!(array, value => decimal(value, *scale)),
            Self::Date(array) => value!(array, value => Value::Date(value)),
            Self::Time(array) => value!(array, value => Value::Time(value)),
            Self::Timestamp(array) => value!(array, value => Value::Timestamp(value)),
            Self::Text(array) => value!(array, value => value.into()),
            Self::Binary(array) => value!(array, value => value.into()),
            Self::Fixed(array) => value!(array, value => value.into()),
            Self::Floats(lists) => match &lists.nulls {
                Some(nulls) if nulls.is_null(row) => Value::Null,
                _ => lists.value(row).into(),
            },
        }
    }
}
