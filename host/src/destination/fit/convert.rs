//! How the values of an Arrow type become those of a ClickHouse type: one variant a way, chosen once a table.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray, make_array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Date32Type};
use arrow::error::ArrowError;

use super::super::zones::Zones;
use super::moment::{Moments, Times};
use super::{cast, json, shape, text};
use crate::schema::{ClickHouseType, Shape};

/// The days that a `Date32` of ClickHouse holds: 1900-01-01 to 2299-12-31.
const DATE32: RangeInclusive<i32> = -25_567..=120_529;
/// The days that a `Date` holds: 1970-01-01 to 2149-06-06.
const DATE: RangeInclusive<i32> = 0..=65_535;

/// How values are converted.
#[derive(Debug)]
pub(super) enum Conversion {
    /// They are sent as they are.
    Same,
    /// Numbers to numbers of another type.
    Number(DataType),
    /// Numbers that are 0 and 1.
    Truth,
    /// Dates of a range.
    Days(RangeInclusive<i32>),
    /// Wall clocks and instants.
    Moment(Moments),
    /// Times of the day and beyond.
    Time(Times),
    /// Text or bytes of up to so many bytes.
    Fixed(usize),
    /// Text that is one of these.
    Names(HashSet<String>),
    /// Documents.
    Json,
    /// The members of a SET.
    Members,
    /// Shapes out of their text.
    Shape(Shape),
}

/// Values as they go onto the wire.
pub(super) struct Converted {
    /// The values; NULL in the place of those that are outside.
    pub(super) array: ArrayRef,
    /// The rows that are outside of what the type holds, in order.
    pub(super) outside: Vec<usize>,
}

impl Converted {
    fn whole(array: ArrayRef) -> Self {
        Self {
            array,
            outside: Vec::new(),
        }
    }
}

impl Conversion {
    /// The conversion of an Arrow type to a ClickHouse type; none if there is none. `digits`: the most that a time's fraction has.
    pub(super) fn of(
        from: &DataType,
        to: &ClickHouseType,
        digits: u8,
        zones: &Zones,
    ) -> Option<Self> {
        use ClickHouseType as T;
        let is_text = matches!(from, DataType::Utf8 | DataType::Binary);
        Some(match to {
            T::LowCardinality(inner) => return Self::of(from, inner, digits, zones),
            T::Bool if *from == DataType::Boolean => Self::Same,
            T::Bool if from.is_integer() => Self::Truth,
            T::Int { bits: 64 } if matches!(from, DataType::Time64(_)) => {
                Self::Time(Times::microseconds())
            }
            T::Int { bits } => Self::number(from, &int(*bits))?,
            T::UInt { bits } => Self::number(from, &uint(*bits))?,
            T::Float32 => Self::number(from, &DataType::Float32)?,
            T::Float64 => Self::number(from, &DataType::Float64)?,
            T::Decimal { precision, scale } => Self::number(from, &decimal(*precision, *scale))?,
            T::Date if *from == DataType::Date32 => Self::Days(DATE),
            T::Date32 if *from == DataType::Date32 => Self::Days(DATE32),
            T::DateTime { .. } | T::DateTime64 { .. } => {
                Self::Moment(Moments::of(from, to, digits, zones)?)
            }
            T::Time => Self::Time(Times::seconds(from)?),
            T::Time64 { fraction } => Self::Time(Times::fraction(from, *fraction, digits)?),
            T::String if is_text => Self::Same,
            T::FixedString { bytes } if is_text => Self::Fixed(*bytes as usize),
            T::FixedString { bytes } if *from == fixed_binary(*bytes) => Self::Same,
            T::Enum { values } if *from == DataType::Utf8 => {
                Self::Names(values.iter().map(|(name, _)| name.clone()).collect())
            }
            T::Json if *from == DataType::Utf8 => Self::Json,
            T::Uuid | T::Ipv6 if *from == fixed_binary(16) => Self::Same,
            T::Ipv4 if *from == DataType::UInt32 => Self::Same,
            T::Array(_) if *from == DataType::Utf8 => Self::Members,
            T::Array(_) if matches!(from, DataType::List(_)) => Self::Same,
            T::Shape(shape) if *from == DataType::Utf8 => Self::Shape(*shape),
            _ => return None,
        })
    }

    fn number(from: &DataType, to: &DataType) -> Option<Self> {
        let is_number = from.is_numeric() || *from == DataType::Boolean;
        let is_float = |data_type: &DataType| data_type.is_floating();
        match from == to {
            true => Some(Self::Same),
            // Between floats and other numbers there is no exact way for all values.
            false if !is_number || is_float(from) != is_float(to) => None,
            false => Some(Self::Number(to.clone())),
        }
    }

    /// The Arrow type on the wire.
    pub(super) fn wire(&self, from: &DataType) -> DataType {
        match self {
            Self::Same | Self::Days(_) | Self::Names(_) => from.clone(),
            Self::Number(to) => to.clone(),
            Self::Truth => DataType::Boolean,
            Self::Moment(moments) => moments.wire(),
            Self::Time(times) => times.wire(),
            Self::Fixed(bytes) => DataType::FixedSizeBinary(*bytes as i32),
            Self::Json => DataType::Utf8,
            Self::Members => text::members_type(),
            Self::Shape(shape) => shape::wire(*shape),
        }
    }

    /// Whether a value outside has a nearest one.
    pub(super) fn can_clamp(&self) -> bool {
        matches!(
            self,
            Self::Same
                | Self::Number(_)
                | Self::Truth
                | Self::Days(_)
                | Self::Moment(_)
                | Self::Time(_)
                | Self::Fixed(_)
        )
    }

    /// Whether some value of the Arrow type may be outside.
    pub(super) fn is_partial(&self, from: &DataType) -> bool {
        match self {
            Self::Same | Self::Members => false,
            Self::Number(to) => !cast::is_widening(from, to),
            Self::Moment(moments) => moments.is_partial(),
            Self::Time(times) => times.is_partial(),
            _ => true,
        }
    }

    /// What is wrong with a value that is outside, as the beginning of a sentence. The value itself is nobody's business.
    pub(super) fn outside(&self) -> &'static str {
        match self {
            Self::Same | Self::Members => "the value is outside of the type",
            Self::Number(_) => "the number is out of range, or has more digits",
            Self::Truth => "the number is neither 0 nor 1",
            Self::Days(_) => "the date is outside of the type's range",
            Self::Moment(_) => {
                "the time is outside of the type's range, has more digits, or is skipped in the column's zone"
            }
            Self::Time(_) => "the time has more digits, or is out of range",
            Self::Fixed(_) => "the value is too long, or shorter and ends with a zero byte",
            Self::Names(_) => "the text is none of the type's names",
            Self::Json => {
                "the document is no object, or has null members, empty objects, equal or dotted keys, mixed arrays or numbers beyond 64 bits"
            }
            Self::Shape(_) => "the value is another shape, or has an SRID",
        }
    }

    /// Converts. With `clamp` a value outside becomes the nearest one, and is no longer outside.
    pub(super) fn convert(&self, array: &ArrayRef, clamp: bool) -> Result<Converted, ArrowError> {
        Ok(match self {
            Self::Same => Converted::whole(array.clone()),
            Self::Number(to) => cast::number(array, to, clamp)?,
            Self::Truth => truth(array, clamp)?,
            Self::Days(range) => days(array, range, clamp),
            Self::Moment(moments) => moments.convert(array, clamp),
            Self::Time(times) => times.convert(array, clamp),
            Self::Fixed(bytes) => text::fixed(array, *bytes, clamp)?,
            Self::Names(names) => {
                let texts = array.as_string::<i32>();
                mask(array, |row| !names.contains(texts.value(row)))
            }
            Self::Json => json::convert(array),
            Self::Members => Converted::whole(text::members(array)),
            Self::Shape(shape) => shape::convert(*shape, array),
        })
    }
}

fn int(bits: u8) -> DataType {
    match bits {
        8 => DataType::Int8,
        16 => DataType::Int16,
        32 => DataType::Int32,
        64 => DataType::Int64,
        // ClickHouse makes an Int128 of it; Arrow has no integer of that width.
        _ => DataType::Decimal128(38, 0),
    }
}

fn uint(bits: u8) -> DataType {
    match bits {
        8 => DataType::UInt8,
        16 => DataType::UInt16,
        32 => DataType::UInt32,
        _ => DataType::UInt64,
    }
}

fn decimal(precision: u8, scale: u8) -> DataType {
    match precision {
        0..=38 => DataType::Decimal128(precision, scale as i8),
        _ => DataType::Decimal256(precision, scale as i8),
    }
}

fn fixed_binary(bytes: u32) -> DataType {
    DataType::FixedSizeBinary(i32::try_from(bytes).unwrap_or(i32::MAX))
}

/// The same values, NULL where they are outside.
pub(super) fn mask(array: &ArrayRef, is_outside: impl Fn(usize) -> bool) -> Converted {
    let outside: Vec<usize> = (0..array.len())
        .filter(|&row| array.is_valid(row) && is_outside(row))
        .collect();
    if outside.is_empty() {
        return Converted::whole(array.clone());
    }
    let nulls = without(array.nulls(), array.len(), &outside);
    let masked = array.to_data().into_builder().nulls(Some(nulls)).build();
    Converted {
        // Only the validity of the same values has changed.
        array: masked.map_or_else(|_| array.clone(), make_array),
        outside,
    }
}

/// The validity of values, of which these have none any more.
pub(super) fn without(nulls: Option<&NullBuffer>, rows: usize, outside: &[usize]) -> NullBuffer {
    let mut valid: Vec<bool> = match nulls {
        Some(nulls) => nulls.iter().collect(),
        None => vec![true; rows],
    };
    outside.iter().for_each(|&row| valid[row] = false);
    NullBuffer::from(valid)
}

/// Maps each value; those that have none are outside.
pub(super) fn mapped<I: ArrowPrimitiveType, O: ArrowPrimitiveType>(
    values: &PrimitiveArray<I>,
    map: impl Fn(I::Native) -> Option<O::Native>,
) -> (PrimitiveArray<O>, Vec<usize>) {
    let mut outside = Vec::new();
    let array: PrimitiveArray<O> = (0..values.len())
        .map(|row| {
            if values.is_null(row) {
                return None;
            }
            let mapped = map(values.value(row));
            if mapped.is_none() {
                outside.push(row);
            }
            mapped
        })
        .collect();
    (array, outside)
}

fn days(array: &ArrayRef, range: &RangeInclusive<i32>, clamp: bool) -> Converted {
    let dates = array.as_primitive::<Date32Type>();
    // ClickHouse checks also what stands in the place of NULL: that is mapped to day 0.
    if dates.values().iter().all(|day| range.contains(day)) {
        return Converted::whole(array.clone());
    }
    let nearest = |day: i32| day.clamp(*range.start(), *range.end());
    let (days, outside) = mapped::<Date32Type, Date32Type>(dates, |day| {
        (clamp || range.contains(&day)).then(|| nearest(day))
    });
    Converted {
        array: std::sync::Arc::new(days),
        outside,
    }
}

/// 0 and 1 as truth values. The nearest of any other number is 1, or 0 if it is negative.
fn truth(array: &ArrayRef, clamp: bool) -> Result<Converted, ArrowError> {
    let wide = arrow::compute::cast(array, &DataType::Decimal128(38, 0))?;
    let numbers = wide.as_primitive::<arrow::datatypes::Decimal128Type>();
    let truths: BooleanArray = numbers
        .iter()
        .map(|number| number.map(|number| number > 0))
        .collect();
    let truths: ArrayRef = std::sync::Arc::new(truths);
    Ok(match clamp {
        true => Converted::whole(truths),
        false => mask(&truths, |row| !(0..=1).contains(&numbers.value(row))),
    })
}
