//! One value of one row.

use std::borrow::Cow;
use std::fmt;

use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer, i256};
use arrow_schema::DataType;

use crate::ColumnData;

/// A value of whatever type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// There is none.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number of any width.
    Integer(i128),
    /// A floating-point number of 64 bits.
    Float(f64),
    /// One of 32 bits. It computes as a double does; its digits are its own: 0.1, and not 0.10000000149011612.
    Float32(f32),
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
    f32 => value => Self::Float32(value);
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
            Self::Float(_) | Self::Float32(_) => "this float",
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

/// A column of any type that is read a value at a time: out of its memory, without an array's code.
#[derive(Clone, Debug)]
pub struct ValueReader {
    data_type: DataType,
    nulls: Option<NullBuffer>,
    /// Where each value of a text, bytes or a list begins and ends.
    offsets: OffsetBuffer<i32>,
    bytes: Buffer,
    /// The items of lists.
    floats: ScalarBuffer<f32>,
}

impl ValueReader {
    /// Reads this column.
    pub fn new(column: &ColumnData) -> Self {
        let (data_type, bytes) = (column.data_type(), column.value_buffer());
        let offsets = match data_type {
            DataType::Utf8 | DataType::Binary | DataType::List(_) => column.offset_buffer(),
            _ => OffsetBuffer::new_empty(),
        };
        let floats = match data_type {
            DataType::List(_) => bytes.len() / size_of::<f32>(),
            _ => 0,
        };
        Self {
            data_type: data_type.clone(),
            nulls: column.nulls().cloned(),
            offsets,
            bytes: bytes.clone(),
            floats: column.items(floats),
        }
    }

    /// The row's value.
    ///
    /// # Panics
    /// If the column has no such row.
    pub fn value(&self, row: usize) -> Value<'_> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return Value::Null;
        }
        let decimal = |unscaled, scale| Value::Decimal(Decimal { unscaled, scale });
        match &self.data_type {
            DataType::Boolean => Value::Boolean(self.bytes[row / 8] >> (row % 8) & 1 == 1),
            DataType::Int8 => i8::from_le_bytes(self.fixed(row)).into(),
            DataType::Int16 => i16::from_le_bytes(self.fixed(row)).into(),
            DataType::Int32 => i32::from_le_bytes(self.fixed(row)).into(),
            DataType::Int64 => i64::from_le_bytes(self.fixed(row)).into(),
            DataType::UInt8 => u8::from_le_bytes(self.fixed(row)).into(),
            DataType::UInt16 => u16::from_le_bytes(self.fixed(row)).into(),
            DataType::UInt32 => u32::from_le_bytes(self.fixed(row)).into(),
            DataType::UInt64 => u64::from_le_bytes(self.fixed(row)).into(),
            DataType::Float32 => f32::from_le_bytes(self.fixed(row)).into(),
            DataType::Float64 => f64::from_le_bytes(self.fixed(row)).into(),
            DataType::Decimal128(_, scale) => decimal(
                i256::from_i128(i128::from_le_bytes(self.fixed(row))),
                *scale,
            ),
            DataType::Decimal256(_, scale) => decimal(i256::from_le_bytes(self.fixed(row)), *scale),
            DataType::Date32 => Value::Date(i32::from_le_bytes(self.fixed(row))),
            DataType::Time64(_) => Value::Time(i64::from_le_bytes(self.fixed(row))),
            DataType::Timestamp(..) => Value::Timestamp(i64::from_le_bytes(self.fixed(row))),
            // SAFETY: a column of texts is valid UTF-8 at each of its offsets: see `ColumnData::byte_array`.
            DataType::Utf8 => unsafe {
                str::from_utf8_unchecked(&self.bytes[self.range(row)]).into()
            },
            DataType::Binary => Value::Bytes(Cow::Borrowed(&self.bytes[self.range(row)])),
            DataType::FixedSizeBinary(width) => {
                let width = *width as usize;
                Value::Bytes(Cow::Borrowed(&self.bytes[row * width..(row + 1) * width]))
            }
            _ => Value::Floats(Cow::Borrowed(&self.floats[self.range(row)])),
        }
    }

    /// The bytes of a value that has so many.
    #[inline]
    fn fixed<const WIDTH: usize>(&self, row: usize) -> [u8; WIDTH] {
        self.bytes.as_chunks::<WIDTH>().0[row]
    }

    fn range(&self, row: usize) -> std::ops::Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }
}
