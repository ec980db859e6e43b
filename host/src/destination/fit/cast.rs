//! Numbers to numbers of another type, by Arrow's own cast there and back: what comes back another value was outside.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, Decimal256Array, Float32Array, Int8Array,
    Int16Array, Int32Array, Int64Array, Scalar, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::compute::kernels::cmp::{lt, neq};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{CastOptions, and, cast_with_options, is_not_null, is_null, not};
use arrow::datatypes::{DataType, i256};
use arrow::error::ArrowError;

use super::convert::{Converted, mask};

/// What doesn't fit is NULL.
const SAFE: CastOptions<'static> = CastOptions {
    safe: true,
    format_options: arrow::util::display::FormatOptions::new(),
};

/// Whether each value of a type is one of the other, too.
pub(super) fn is_widening(from: &DataType, to: &DataType) -> bool {
    let whole_digits = |precision: u8, scale: i8| i16::from(precision) - i16::from(scale);
    match (from, to) {
        (DataType::Float32, DataType::Float64) | (DataType::Boolean, _) => true,
        (
            DataType::Decimal128(p, s) | DataType::Decimal256(p, s),
            DataType::Decimal128(q, t) | DataType::Decimal256(q, t),
        ) => t >= s && whole_digits(*q, *t) >= whole_digits(*p, *s),
        (from, DataType::Decimal128(38, 0)) => from.is_integer(),
        (from, to) if from.is_integer() && to.is_integer() => {
            let bits = |data_type: &DataType| data_type.primitive_width().unwrap_or(0);
            match (from.is_signed_integer(), to.is_signed_integer()) {
                (false, true) => bits(to) > bits(from),
                (true, false) => false,
                _ => bits(to) >= bits(from),
            }
        }
        _ => false,
    }
}

/// Converts numbers. The nearest of a number that is too large is the type's greatest, of one with too many digits the rounded one.
pub(super) fn number(
    array: &ArrayRef,
    to: &DataType,
    clamp: bool,
) -> Result<Converted, ArrowError> {
    let there = cast_with_options(array, to, &SAFE)?;
    if is_widening(array.data_type(), to) {
        return Ok(Converted {
            array: there,
            outside: Vec::new(),
        });
    }
    if clamp {
        return Ok(Converted {
            array: clamped(array, to)?,
            outside: Vec::new(),
        });
    }
    let back = cast_with_options(&there, array.data_type(), &SAFE)?;
    let differs = neq(&back, array)?;
    let lost = |row: usize| back.is_null(row) || differs.value(row);
    // `there` may be NULL already: what counts is whether the source's value was.
    let outside: Vec<usize> = (0..array.len())
        .filter(|&row| array.is_valid(row) && lost(row))
        .collect();
    let masked = mask(&there, lost);
    Ok(Converted {
        array: masked.array,
        outside,
    })
}

fn clamped(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let whole;
    let array = match array.data_type() {
        // To be rounded, not cut, on the way to an integer.
        DataType::Decimal128(precision, _) if to.is_integer() => {
            whole = cast_with_options(array, &DataType::Decimal128(*precision, 0), &SAFE)?;
            &whole
        }
        DataType::Decimal256(precision, _) if to.is_integer() => {
            whole = cast_with_options(array, &DataType::Decimal256(*precision, 0), &SAFE)?;
            &whole
        }
        _ => array,
    };
    let there = cast_with_options(array, to, &SAFE)?;
    let signs = cast_with_options(array, &DataType::Float64, &SAFE)?;
    let negative = lt(&signs, &arrow::array::Float64Array::new_scalar(0.0))?;
    let overflowed = match to {
        DataType::Float32 => infinite(&there),
        _ => and(&is_not_null(array)?, &is_null(&there)?)?,
    };
    let (least, greatest) = extremes(to)?;
    let low = zip(&and(&overflowed, &negative)?, &Scalar::new(least), &there)?;
    zip(
        &and(&overflowed, &not(&negative)?)?,
        &Scalar::new(greatest),
        &low,
    )
}

/// The floats that were too large for 32 bits.
fn infinite(floats: &ArrayRef) -> BooleanArray {
    let floats: &Float32Array = arrow::array::AsArray::as_primitive(floats);
    floats
        .iter()
        .map(|float| Some(float.is_some_and(f32::is_infinite)))
        .collect()
}

/// The least and the greatest value of a type.
fn extremes(data_type: &DataType) -> Result<(ArrayRef, ArrayRef), ArrowError> {
    macro_rules! pair {
        ($array:ident, $native:ty) => {
            (
                Arc::new($array::from(vec![<$native>::MIN])) as ArrayRef,
                Arc::new($array::from(vec![<$native>::MAX])) as ArrayRef,
            )
        };
    }
    Ok(match data_type {
        DataType::Int8 => pair!(Int8Array, i8),
        DataType::Int16 => pair!(Int16Array, i16),
        DataType::Int32 => pair!(Int32Array, i32),
        DataType::Int64 => pair!(Int64Array, i64),
        DataType::UInt8 => pair!(UInt8Array, u8),
        DataType::UInt16 => pair!(UInt16Array, u16),
        DataType::UInt32 => pair!(UInt32Array, u32),
        DataType::UInt64 => pair!(UInt64Array, u64),
        DataType::Float32 => pair!(Float32Array, f32),
        DataType::Decimal128(precision, scale) => {
            let most = 10_i128.pow(u32::from(*precision)) - 1;
            let value = |value: i128| {
                Decimal128Array::from(vec![value])
                    .with_precision_and_scale(*precision, *scale)
                    .map(|array| Arc::new(array) as ArrayRef)
            };
            (value(-most)?, value(most)?)
        }
        DataType::Decimal256(precision, scale) => {
            let digits = "9".repeat(usize::from(*precision));
            let most = i256::from_string(&digits).unwrap_or(i256::MAX);
            let value = |value: i256| {
                Decimal256Array::from(vec![value])
                    .with_precision_and_scale(*precision, *scale)
                    .map(|array| Arc::new(array) as ArrayRef)
            };
            (value(most.wrapping_neg())?, value(most)?)
        }
        other => {
            return Err(ArrowError::CastError(format!(
                "{other} has no least and greatest value"
            )));
        }
    })
}
