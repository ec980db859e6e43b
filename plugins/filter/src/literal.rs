//! A literal as a value of its column's type, exactly: never rounded to fit.

use std::sync::Arc;

use arrow_array::types;
use arrow_array::types::{Decimal128Type, Decimal256Type};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    FixedSizeBinaryArray, Float64Array, PrimitiveArray, Scalar, StringArray,
    Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow_buffer::i256;
use arrow_cast::parse::Parser;
use arrow_schema::DataType;

use crate::predicate::Operator;

/// What a comparison with a literal comes to.
pub(crate) enum Compared {
    /// The comparison with this value.
    With(Operator, Scalar<ArrayRef>),
    /// The same answer for every value of the column's type.
    Settled(bool),
}

/// A literal of the condition.
#[derive(Clone, Debug)]
pub(crate) enum Literal {
    /// Digits, with a sign and a decimal point where there is one, and an exponent.
    Number(String),
    Text(String),
    Bytes(Vec<u8>),
    Boolean(bool),
    Null,
}

/// `column operator literal`, in the column's type; else what would fit.
pub(crate) fn compare(
    data_type: &DataType,
    operator: Operator,
    literal: &Literal,
) -> Result<Compared, String> {
    use DataType::{
        Binary, Boolean, Date32, Decimal128, Decimal256, FixedSizeBinary, Float32, Float64, Time64,
        Timestamp, Utf8,
    };
    let value: ArrayRef = match (data_type, literal) {
        (number, Literal::Number(digits)) if number.is_integer() => {
            return whole_or_decimal(number, 0, operator, digits);
        }
        (Decimal128(_, scale) | Decimal256(_, scale), Literal::Number(digits)) => {
            return whole_or_decimal(data_type, *scale, operator, digits);
        }
        (integer, Literal::Boolean(truth)) if integer.is_integer() => {
            return whole_or_decimal(integer, 0, operator, if *truth { "1" } else { "0" });
        }
        (Float32 | Float64, Literal::Number(digits)) => {
            let number: f64 = digits
                .parse()
                .map_err(|_| format!("`{digits}` is no number"))?;
            Arc::new(Float64Array::from(vec![number + 0.0]))
        }
        (Boolean, Literal::Boolean(truth)) => Arc::new(BooleanArray::from(vec![*truth])),
        (Boolean, Literal::Number(digits)) if digits == "0" || digits == "1" => {
            Arc::new(BooleanArray::from(vec![digits == "1"]))
        }
        (Utf8, Literal::Text(text)) => Arc::new(StringArray::from(vec![text.as_str()])),
        (Binary, Literal::Bytes(bytes)) => Arc::new(BinaryArray::from_vec(vec![bytes])),
        (Binary, Literal::Text(text)) => Arc::new(BinaryArray::from_vec(vec![text.as_bytes()])),
        (FixedSizeBinary(width), Literal::Bytes(bytes)) if bytes.len() == *width as usize => {
            let values = FixedSizeBinaryArray::try_from_iter(std::iter::once(bytes));
            Arc::new(values.map_err(|cause| cause.to_string())?)
        }
        (Date32 | Time64(_) | Timestamp(..), Literal::Text(text)) => moment(data_type, text)?,
        _ => {
            return Err(format!(
                "it has the type {data_type}, which compares with {}",
                expected(data_type)
            ));
        }
    };
    Ok(Compared::With(operator, Scalar::new(value)))
}

/// What a column of a type is compared with, for messages.
fn expected(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Boolean => "`true` and `false`",
        DataType::Utf8 => "texts in single quotes",
        DataType::Binary => "texts and hexadecimal bytes, X'00ff'",
        DataType::FixedSizeBinary(_) => "hexadecimal bytes of its width, X'00ff'",
        DataType::Date32 => "dates, 'YYYY-MM-DD'",
        DataType::Time64(_) => "times, 'HH:MM:SS'",
        DataType::Timestamp(..) => "moments, 'YYYY-MM-DD HH:MM:SS'",
        DataType::List(_) => "nothing: only `is null` can be asked of it",
        _ => "numbers",
    }
}

/// A number and a column of whole numbers, or of decimals of a scale: compared exactly, whatever the literal's digits and size.
///
/// Between two neighbouring values of the column's type, `<` and `<=` mean "at most the lower one".
fn whole_or_decimal(
    data_type: &DataType,
    scale: i8,
    operator: Operator,
    digits: &str,
) -> Result<Compared, String> {
    let scale = u32::try_from(scale).map_err(|_| "a decimal of a negative scale")?;
    let (floor, exact) = unscaled(digits, scale).ok_or_else(|| {
        format!("`{digits}` is not a number that can be compared: digits, with a decimal point where there is one")
    })?;
    let operator = match operator {
        same if exact => same,
        Operator::Equal => return Ok(Compared::Settled(false)),
        Operator::NotEqual => return Ok(Compared::Settled(true)),
        Operator::Less | Operator::LessOrEqual => Operator::LessOrEqual,
        Operator::Greater | Operator::GreaterOrEqual => Operator::Greater,
    };
    match value(data_type, floor) {
        Some(value) => Ok(Compared::With(operator, Scalar::new(value))),
        None => Ok(Compared::Settled(match operator {
            Operator::Equal => false,
            Operator::NotEqual => true,
            Operator::Less | Operator::LessOrEqual => floor >= i256::ZERO,
            Operator::Greater | Operator::GreaterOrEqual => floor < i256::ZERO,
        })),
    }
}

/// A number times ten to the power of the scale, rounded down, and whether nothing was lost.
fn unscaled(digits: &str, scale: u32) -> Option<(i256, bool)> {
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let kept = fraction.len().min(scale as usize);
    let exact = kept == fraction.len();
    let text = format!(
        "{whole}{}{}",
        &fraction[..kept],
        "0".repeat(scale as usize - kept)
    );
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // More digits than any column holds: as far away as a number can be.
    let value = i256::from_string(&text).unwrap_or(i256::MAX);
    let value = if negative {
        value.wrapping_neg()
    } else {
        value
    };
    let below = i256::from(i128::from(negative && !exact));
    Some((value.wrapping_sub(below), exact))
}

/// The value in a column's type; none if it has no such value.
fn value(data_type: &DataType, unscaled: i256) -> Option<ArrayRef> {
    macro_rules! integer {
        ($type:ty) => {{
            let value = <$type as types::ArrowPrimitiveType>::Native::try_from(unscaled.to_i128()?);
            Arc::new(PrimitiveArray::<$type>::from(vec![value.ok()?]))
        }};
    }
    Some(match data_type {
        DataType::Int8 => integer!(types::Int8Type),
        DataType::Int16 => integer!(types::Int16Type),
        DataType::Int32 => integer!(types::Int32Type),
        DataType::Int64 => integer!(types::Int64Type),
        DataType::UInt8 => integer!(types::UInt8Type),
        DataType::UInt16 => integer!(types::UInt16Type),
        DataType::UInt32 => integer!(types::UInt32Type),
        DataType::UInt64 => integer!(types::UInt64Type),
        DataType::Decimal128(precision, scale) => {
            let one = PrimitiveArray::<Decimal128Type>::from(vec![unscaled.to_i128()?]);
            let typed: Decimal128Array = one.with_precision_and_scale(*precision, *scale).ok()?;
            Arc::new(typed)
        }
        DataType::Decimal256(precision, scale) => {
            let one = PrimitiveArray::<Decimal256Type>::from(vec![unscaled]);
            let typed: Decimal256Array = one.with_precision_and_scale(*precision, *scale).ok()?;
            Arc::new(typed)
        }
        _ => return None,
    })
}

/// A date, time of day or moment, as Arrow reads it. Instants are UTC.
fn moment(data_type: &DataType, text: &str) -> Result<ArrayRef, String> {
    let unreadable = || format!("'{text}' is none of {}", expected(data_type));
    Ok(match data_type {
        DataType::Date32 => {
            let day = types::Date32Type::parse(text).ok_or_else(unreadable)?;
            Arc::new(Date32Array::from(vec![day]))
        }
        DataType::Time64(_) => {
            let time = types::Time64MicrosecondType::parse(text).ok_or_else(unreadable)?;
            Arc::new(Time64MicrosecondArray::from(vec![time]))
        }
        DataType::Timestamp(_, zone) => {
            let moment = types::TimestampMicrosecondType::parse(text).ok_or_else(unreadable)?;
            let one = TimestampMicrosecondArray::from(vec![moment]);
            Arc::new(one.with_timezone_opt(zone.clone()))
        }
        _ => return Err(unreadable()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_down_and_say_so() {
        for (digits, scale, expected, exact) in [
            ("12", 0, 12, true),
            ("-12.5", 0, -13, false),
            ("12.5", 0, 12, false),
            ("12.50", 1, 125, true),
            (".25", 3, 250, true),
            ("-0.001", 2, -1, false),
        ] {
            assert_eq!(
                unscaled(digits, scale),
                Some((i256::from_i128(expected), exact)),
                "{digits}"
            );
        }
        assert_eq!(unscaled("1e5", 0), None);
        assert_eq!(unscaled("", 0), None);
    }

    #[test]
    fn what_no_value_can_be_is_settled() {
        const NINES: &str = "99999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999";
        let settled =
            |operator, digits| match whole_or_decimal(&DataType::Int8, 0, operator, digits) {
                Ok(Compared::Settled(truth)) => Some(truth),
                _ => None,
            };
        assert_eq!(settled(Operator::Less, "1000"), Some(true));
        assert_eq!(settled(Operator::Greater, "-1000"), Some(true));
        assert_eq!(settled(Operator::Equal, "1000"), Some(false));
        assert_eq!(settled(Operator::Equal, "0.5"), Some(false));
        assert_eq!(settled(Operator::GreaterOrEqual, NINES), Some(false));
        assert_eq!(settled(Operator::Less, "127"), None);
    }
}
