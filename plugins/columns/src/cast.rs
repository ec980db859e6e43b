//! Casts that are exact: a value that its new type can't hold makes its row a rejected one, never a rounded or cut value.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, UInt64Array,
};
use arrow_cast::{CastOptions, can_cast_types, cast_with_options};
use arrow_schema::{DataType, Field, TimeUnit};
use serde_json::Value;
use tidemill_sdk::Error;

use crate::Constant;

/// A value that can't be cast becomes NULL, which is how it is found.
const MARK_FAILURES: CastOptions<'static> = CastOptions {
    safe: true,
    format_options: arrow_cast::display::FormatOptions::new(),
};

/// The names of types, for messages.
const NAMES: &str = "boolean, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64, decimal(P, S), date, time, \
                     timestamp, string, binary";

/// The type that a column is cast to.
pub(crate) fn target(field: &Field, name: &str) -> Result<DataType, Error> {
    let to = parse(name)?;
    let from = field.data_type();
    if can_cast_types(from, &to) {
        return Ok(to);
    }
    Err(Error::Schema(format!(
        "`{}` has the type {from}, which has no cast to {name}",
        field.name()
    )))
}

fn parse(name: &str) -> Result<DataType, Error> {
    let plain = match name {
        "boolean" => DataType::Boolean,
        "int8" => DataType::Int8,
        "int16" => DataType::Int16,
        "int32" => DataType::Int32,
        "int64" => DataType::Int64,
        "uint8" => DataType::UInt8,
        "uint16" => DataType::UInt16,
        "uint32" => DataType::UInt32,
        "uint64" => DataType::UInt64,
        "float32" => DataType::Float32,
        "float64" => DataType::Float64,
        "date" => DataType::Date32,
        "time" => DataType::Time64(TimeUnit::Microsecond),
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "string" => DataType::Utf8,
        "binary" => DataType::Binary,
        other => return decimal(other),
    };
    Ok(plain)
}

fn decimal(name: &str) -> Result<DataType, Error> {
    let arguments = name
        .strip_prefix("decimal(")
        .and_then(|rest| rest.strip_suffix(')'));
    let numbers = arguments.and_then(|arguments| arguments.split_once(','));
    let parsed = numbers.and_then(|(precision, scale)| {
        Some((precision.trim().parse().ok()?, scale.trim().parse().ok()?))
    });
    match parsed {
        Some((precision @ 1..=38, scale)) if (0..=precision as i8).contains(&scale) => {
            Ok(DataType::Decimal128(precision, scale))
        }
        Some((precision @ 39..=76, scale)) if (0..=precision as i8).contains(&scale) => {
            Ok(DataType::Decimal256(precision, scale))
        }
        _ => Err(Error::Config(format!(
            "`{name}` is no type to cast to: {NAMES}"
        ))),
    }
}

/// The cast column, and the rows whose values it can't hold (they are NULL, or the type's zero, in it).
pub(crate) fn exact(column: &ArrayRef, to: &DataType) -> Result<(ArrayRef, Vec<u32>), Error> {
    let failed = |cause: arrow_schema::ArrowError| Error::Data(cause.to_string());
    let cast = cast_with_options(column, to, &MARK_FAILURES).map_err(failed)?;
    let mut lost = newly_null(column, &cast);
    if column.data_type().is_numeric() && to.is_numeric() {
        // Digits may have been cut off: what doesn't come back as it was is not exact.
        let back = cast_with_options(&cast, column.data_type(), &MARK_FAILURES).map_err(failed)?;
        let differs = arrow_ord::cmp::distinct(column, &back).map_err(failed)?;
        lost = differs
            .values()
            .set_indices()
            .map(|row| row as u32)
            .collect();
    }
    // The output's field has no more NULLs than the input's: a rejected row's cell says nothing.
    let cast = if lost.is_empty() {
        cast
    } else {
        let nulls = column.nulls().cloned();
        arrow_array::make_array(
            cast.to_data()
                .into_builder()
                .nulls(nulls)
                .build()
                .map_err(failed)?,
        )
    };
    Ok((cast, lost))
}

fn newly_null(column: &ArrayRef, cast: &ArrayRef) -> Vec<u32> {
    if cast.null_count() == column.null_count() {
        return Vec::new();
    }
    let rows = 0..column.len();
    rows.filter(|&row| cast.is_null(row) && column.is_valid(row))
        .map(|row| row as u32)
        .collect()
}

/// A constant's value, as an array of one row.
pub(crate) fn constant(name: &str, constant: &Constant) -> Result<ArrayRef, Error> {
    let (value, to) = match constant {
        Constant::Typed { value, r#type } => (value, Some(parse(r#type)?)),
        Constant::Plain(value) => (value, None),
    };
    let unfit = |why: &str| Error::Config(format!("the constant `{name}`: {why}"));
    let array: ArrayRef = match value {
        Value::String(text) => Arc::new(StringArray::from(vec![text.as_str()])),
        Value::Bool(truth) => Arc::new(BooleanArray::from(vec![*truth])),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => Arc::new(Int64Array::from(vec![number])),
            (_, Some(number), _) => Arc::new(UInt64Array::from(vec![number])),
            (_, _, Some(number)) => Arc::new(Float64Array::from(vec![number])),
            _ => return Err(unfit("a number that no type holds")),
        },
        _ => {
            return Err(unfit(
                "a text, a number, `true` or `false`, or { value = …, type = … }",
            ));
        }
    };
    let Some(to) = to else { return Ok(array) };
    // A number is exact in its decimal digits: 0.1 is.
    let array: ArrayRef = match (&to, value) {
        (DataType::Decimal128(..) | DataType::Decimal256(..), Value::Number(number)) => {
            Arc::new(StringArray::from(vec![number.to_string()]))
        }
        _ => array,
    };
    let (cast, lost) = exact(&array, &to)?;
    if lost.is_empty() {
        Ok(cast)
    } else {
        Err(unfit(&format!("{value} is no exact {to}")))
    }
}
