//! A literal as a value of its column's type, exactly: never rounded to fit.

use arrow_buffer::i256;
use arrow_schema::DataType;
use tidemill_kernels::compare::{Comparison, double_key};
use tidemill_kernels::decimal::{fits, unscaled};
use tidemill_kernels::moment;
use tidemill_kernels::sql::Literal;

use super::predicate::Scalar;

/// What a comparison with a literal comes to.
pub(crate) enum Compared {
    /// The comparison with this value.
    With(Comparison, Scalar),
    /// The same answer for every value of the column's type.
    Settled(bool),
}

/// `column operator literal`, in the column's type; else what would fit.
pub(crate) fn compare(
    data_type: &DataType,
    operator: Comparison,
    literal: &Literal,
) -> Result<Compared, String> {
    use DataType::{
        Binary, Boolean, Date32, Decimal128, Decimal256, FixedSizeBinary, Float32, Float64, Time64,
        Timestamp, Utf8,
    };
    let value = match (data_type, literal) {
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
            Scalar::Double(double_key(number))
        }
        (Boolean, Literal::Boolean(truth)) => Scalar::Boolean(*truth),
        (Boolean, Literal::Number(digits)) if digits == "0" || digits == "1" => {
            Scalar::Boolean(digits == "1")
        }
        (Utf8, Literal::Text(text)) => Scalar::Text(text.clone()),
        (Binary, Literal::Bytes(bytes)) => Scalar::Bytes(bytes.clone()),
        (Binary, Literal::Text(text)) => Scalar::Bytes(text.clone().into_bytes()),
        (FixedSizeBinary(width), Literal::Bytes(bytes)) if bytes.len() == *width as usize => {
            Scalar::Bytes(bytes.clone())
        }
        (Date32 | Time64(_) | Timestamp(..), Literal::Text(text) | Literal::Moment(_, text)) => {
            at(data_type, text)?
        }
        _ => {
            return Err(format!(
                "it has the type {data_type}, which compares with {}",
                expected(data_type)
            ));
        }
    };
    Ok(Compared::With(operator, value))
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
    operator: Comparison,
    digits: &str,
) -> Result<Compared, String> {
    let scale = u32::try_from(scale).map_err(|_| "a decimal of a negative scale")?;
    let (floor, exact) = unscaled(digits, scale).ok_or_else(|| {
        format!("`{digits}` is not a number that can be compared: digits, with a decimal point where there is one")
    })?;
    let operator = match operator {
        same if exact => same,
        Comparison::Equal => return Ok(Compared::Settled(false)),
        Comparison::NotEqual => return Ok(Compared::Settled(true)),
        Comparison::Less | Comparison::LessOrEqual => Comparison::LessOrEqual,
        Comparison::Greater | Comparison::GreaterOrEqual => Comparison::Greater,
    };
    match value(data_type, floor) {
        Some(value) => Ok(Compared::With(operator, value)),
        None => Ok(Compared::Settled(match operator {
            Comparison::Equal => false,
            Comparison::NotEqual => true,
            Comparison::Less | Comparison::LessOrEqual => floor >= i256::ZERO,
            Comparison::Greater | Comparison::GreaterOrEqual => floor < i256::ZERO,
        })),
    }
}

/// The value in a column's type; none if it has no such value.
fn value(data_type: &DataType, unscaled: i256) -> Option<Scalar> {
    let narrow = unscaled.to_i128();
    Some(match data_type {
        DataType::Int8 => Scalar::Int8(narrow?.try_into().ok()?),
        DataType::Int16 => Scalar::Int16(narrow?.try_into().ok()?),
        DataType::Int32 => Scalar::Int32(narrow?.try_into().ok()?),
        DataType::Int64 => Scalar::Int64(narrow?.try_into().ok()?),
        DataType::UInt8 => Scalar::UInt8(narrow?.try_into().ok()?),
        DataType::UInt16 => Scalar::UInt16(narrow?.try_into().ok()?),
        DataType::UInt32 => Scalar::UInt32(narrow?.try_into().ok()?),
        DataType::UInt64 => Scalar::UInt64(narrow?.try_into().ok()?),
        DataType::Decimal128(precision, _) if fits(unscaled, *precision) => {
            Scalar::Decimal128(narrow?)
        }
        DataType::Decimal256(precision, _) if fits(unscaled, *precision) => {
            Scalar::Decimal256(unscaled)
        }
        _ => return None,
    })
}

/// A date, time of day or moment. Instants are UTC.
fn at(data_type: &DataType, text: &str) -> Result<Scalar, String> {
    let value = match data_type {
        DataType::Date32 => moment::parse_date(text).map(Scalar::Int32),
        DataType::Time64(_) => moment::parse_time(text).map(Scalar::Int64),
        _ => moment::parse_timestamp(text).map(Scalar::Int64),
    };
    value.ok_or_else(|| format!("'{text}' is none of {}", expected(data_type)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_value_can_be_is_settled() {
        const NINES: &str = "99999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999";
        let settled =
            |operator, digits| match whole_or_decimal(&DataType::Int8, 0, operator, digits) {
                Ok(Compared::Settled(truth)) => Some(truth),
                _ => None,
            };
        assert_eq!(settled(Comparison::Less, "1000"), Some(true));
        assert_eq!(settled(Comparison::Greater, "-1000"), Some(true));
        assert_eq!(settled(Comparison::Equal, "1000"), Some(false));
        assert_eq!(settled(Comparison::Equal, "0.5"), Some(false));
        assert_eq!(settled(Comparison::GreaterOrEqual, NINES), Some(false));
        assert_eq!(settled(Comparison::Less, "127"), None);
    }
}
