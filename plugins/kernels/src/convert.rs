//! A value as one of another type, exactly or not at all; and as text.

use std::borrow::Cow;
use std::fmt::{self, Write};

use arrow_buffer::i256;
use arrow_schema::{DataType, TimeUnit};
use tidemill_sdk::{ConfigSchema, Decimal, Error, Schema, Value};

use crate::decimal;
use crate::moment::{self, DAY_US, Date, Time, Timestamp};

/// The names of types, for messages.
pub const NAMES: &str = "boolean, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64, decimal(P, S), date, time, \
                         timestamp, string, binary";

/// The name of a type in a configuration.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct TypeName(pub String);

impl ConfigSchema for TypeName {
    const SCHEMA: Schema = Schema::Text(
        r#""type":"string","pattern":"^(boolean|u?int(8|16|32|64)|float(32|64)|decimal(128|256)?\\(\\s*\\d{1,2}\\s*,\\s*\\d{1,2}\\s*\\)|date|date32|time|time64-us|timestamp|timestamp-us|string|utf8|binary)$""#,
    );
}

impl TypeName {
    /// The type.
    pub fn data_type(&self) -> Result<DataType, Error> {
        let unknown = || Error::Config(format!("`{}` is no type to cast to: {NAMES}", self.0));
        parse_type(&self.0).ok_or_else(unknown)
    }
}

/// The type of a name; a moment without a zone.
pub fn parse_type(name: &str) -> Option<DataType> {
    Some(match name {
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
        "date" | "date32" => DataType::Date32,
        "time" | "time64-us" => DataType::Time64(TimeUnit::Microsecond),
        "timestamp" | "timestamp-us" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "string" | "utf8" => DataType::Utf8,
        "binary" => DataType::Binary,
        other => return decimal_type(other),
    })
}

fn decimal_type(name: &str) -> Option<DataType> {
    let name = name.strip_prefix("decimal")?;
    let name = name
        .strip_prefix("128")
        .or(name.strip_prefix("256"))
        .unwrap_or(name);
    let inner = name.strip_prefix('(')?.strip_suffix(')')?;
    let (precision, scale) = inner.split_once(',')?;
    let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    match precision {
        1..=38 if (0..=precision as i8).contains(&scale) => {
            Some(DataType::Decimal128(precision, scale))
        }
        39..=76 if (0..=precision as i8).contains(&scale) => {
            Some(DataType::Decimal256(precision, scale))
        }
        _ => None,
    }
}

/// Whether values of a type can be those of another, if they fit.
pub fn can(from: &DataType, to: &DataType) -> bool {
    use DataType::{Binary, Boolean, Date32, FixedSizeBinary, List, Time64, Timestamp, Utf8};
    match (from, to) {
        (List(_), _) | (_, List(_) | FixedSizeBinary(_)) => from == to,
        (Binary | FixedSizeBinary(_), Binary | Utf8) => true,
        (Binary | FixedSizeBinary(_), _) => false,
        (Utf8, _) | (_, Utf8) => true,
        (_, Binary) => false,
        (Date32 | Timestamp(..), Date32 | Timestamp(..)) => true,
        // A moment's date would be lost, so it is no time of day.
        (Time64(_), Time64(_)) => true,
        (Date32 | Time64(_) | Timestamp(..), _) | (_, Date32 | Time64(_) | Timestamp(..)) => false,
        (Boolean, _) | (_, Boolean) => true,
        (from, to) => from.is_numeric() && to.is_numeric(),
    }
}

/// The value in another type; none if it isn't exactly one of that. NULL stays NULL. A text is written into `buffer`.
pub fn value<'v>(value: Value<'v>, to: &DataType, buffer: &'v mut String) -> Option<Value<'v>> {
    Some(match (to, value) {
        (_, Value::Null) => Value::Null,
        (DataType::Utf8, Value::Text(text)) => Value::Text(text),
        (DataType::Utf8, Value::Bytes(bytes)) => {
            buffer.clear();
            buffer.push_str(std::str::from_utf8(&bytes).ok()?);
            Value::Text(Cow::Borrowed(buffer))
        }
        (DataType::Utf8, other) => {
            buffer.clear();
            write_text(&other, buffer).ok()?;
            Value::Text(Cow::Borrowed(buffer))
        }
        (DataType::Binary, other @ (Value::Bytes(_) | Value::Text(_))) => other,
        (DataType::FixedSizeBinary(width), Value::Bytes(bytes))
            if usize::try_from(*width) == Ok(bytes.len()) =>
        {
            Value::Bytes(bytes)
        }
        (DataType::List(_), Value::Floats(floats)) => Value::Floats(floats),
        (DataType::Boolean, Value::Text(text)) => Value::Boolean(truth(&text)?),
        (DataType::Boolean, Value::Boolean(truth)) => Value::Boolean(truth),
        (DataType::Boolean, other) => match integer(&other)? {
            0 => Value::Boolean(false),
            1 => Value::Boolean(true),
            _ => return None,
        },
        (DataType::Date32, Value::Text(text)) => Value::Date(moment::parse_date(text.trim())?),
        (DataType::Date32, Value::Date(days)) => Value::Date(days),
        (DataType::Date32, Value::Timestamp(us)) if us.rem_euclid(DAY_US) == 0 => {
            Value::Date(us.div_euclid(DAY_US).try_into().ok()?)
        }
        (DataType::Time64(_), Value::Text(text)) => Value::Time(moment::parse_time(text.trim())?),
        (DataType::Time64(_), Value::Time(us)) => Value::Time(us),
        (DataType::Timestamp(..), Value::Text(text)) => {
            Value::Timestamp(moment::parse_timestamp(text.trim())?)
        }
        (DataType::Timestamp(..), Value::Timestamp(us)) => Value::Timestamp(us),
        (DataType::Timestamp(..), Value::Date(days)) => Value::Timestamp(i64::from(days) * DAY_US),
        (DataType::Float32, other) => Value::Float32(narrow(&other)?),
        (DataType::Float64, other) => Value::Float(float(&other)?),
        (
            DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale),
            other,
        ) => {
            let decimal = decimal_of(&other, *precision, *scale)?.with_scale(*scale)?;
            decimal::fits(decimal.unscaled, *precision).then_some(Value::Decimal(decimal))?
        }
        (_, other) => Value::Integer(integer(&other)?),
    })
}

/// A whole number, exactly. Minus zero is none.
fn integer(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Integer(number) => Some(*number),
        Value::Boolean(truth) => Some(i128::from(*truth)),
        Value::Float(_) | Value::Float32(_) => {
            let number = float(value)?;
            let whole = number as i128;
            (whole as f64 == number
                && number.abs() < 1e38
                && !(whole == 0 && number.is_sign_negative()))
            .then_some(whole)
        }
        Value::Decimal(decimal) => decimal.with_scale(0)?.unscaled.to_i128(),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn narrow(value: &Value<'_>) -> Option<f32> {
    // The nearest number of a text or a decimal is what its digits mean.
    let digits = match value {
        Value::Float32(number) => return Some(*number),
        Value::Text(text) => text.trim().parse::<f32>().ok(),
        Value::Decimal(number) => {
            float(value)?;
            number.to_string().parse().ok()
        }
        other => {
            let double = float(other)?;
            let narrow = double as f32;
            return (f64::from(narrow) == double || double.is_nan()).then_some(narrow);
        }
    };
    digits.filter(|number| number.is_finite())
}

fn float(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        Value::Float32(number) => Some(f64::from(*number)),
        Value::Integer(number) => {
            let double = *number as f64;
            (double as i128 == *number).then_some(double)
        }
        Value::Boolean(truth) => Some(f64::from(u8::from(*truth))),
        Value::Text(text) => {
            let double: f64 = text.trim().parse().ok()?;
            double.is_finite().then_some(double)
        }
        Value::Decimal(number) => {
            let double: f64 = number.to_string().parse().ok()?;
            // Its shortest digits must be the decimal's.
            let back = decimal::exact(&double.to_string(), 76, number.scale)?;
            (back == number.unscaled).then_some(double)
        }
        _ => None,
    }
}

fn decimal_of(value: &Value<'_>, precision: u8, scale: i8) -> Option<Decimal> {
    match value {
        Value::Decimal(decimal) => Some(*decimal),
        Value::Integer(_) | Value::Boolean(_) => Some(Decimal {
            unscaled: i256::from_i128(integer(value)?),
            scale: 0,
        }),
        // The shortest digits that mean this number: 0.1 is 0.1.
        Value::Float(_) | Value::Float32(_) => {
            let number = float(value)?;
            if !number.is_finite() || number == 0.0 && number.is_sign_negative() {
                return None;
            }
            let digits = match value {
                Value::Float32(number) => number.to_string(),
                _ => number.to_string(),
            };
            let unscaled = decimal::exact(&digits, precision, scale)?;
            Some(Decimal { unscaled, scale })
        }
        Value::Text(text) => {
            let unscaled = decimal::exact(text.trim(), precision, scale)?;
            Some(Decimal { unscaled, scale })
        }
        _ => None,
    }
}

/// The bytes that pairs of hexadecimal digits say.
pub fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pair = |pair: &[u8]| match *pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    digits.as_bytes().chunks(2).map(pair).collect()
}

fn truth(text: &str) -> Option<bool> {
    let is = |names: &[&str]| {
        names
            .iter()
            .any(|name| text.trim().eq_ignore_ascii_case(name))
    };
    if is(&["true", "t", "yes", "y", "on", "1"]) {
        Some(true)
    } else if is(&["false", "f", "no", "n", "off", "0"]) {
        Some(false)
    } else {
        None
    }
}

/// A value's text, as MySQL writes it: `2024-01-31 12:00:00` is a moment. Bytes and vectors have none.
pub fn write_text(value: &Value<'_>, out: &mut impl Write) -> fmt::Result {
    match value {
        Value::Null => Ok(()),
        Value::Boolean(truth) => write!(out, "{truth}"),
        Value::Integer(number) => write!(out, "{number}"),
        Value::Float(number) => write!(out, "{number:?}"),
        Value::Float32(number) => write!(out, "{number:?}"),
        Value::Decimal(decimal) => write!(out, "{decimal}"),
        Value::Date(days) => write!(out, "{}", Date(*days)),
        Value::Time(us) => write!(out, "{}", Time(*us)),
        Value::Timestamp(us) => write!(out, "{}", Timestamp(*us)),
        Value::Text(text) => out.write_str(text),
        Value::Bytes(_) | Value::Floats(_) => Err(fmt::Error),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cast(given: Value<'static>, to: &str) -> Option<Value<'static>> {
        let mut buffer = String::new();
        let to = parse_type(to).unwrap_or_else(|| panic!("{to}"));
        value(given, &to, &mut buffer).map(|value| match value {
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::Null => Value::Null,
            Value::Boolean(truth) => Value::Boolean(truth),
            Value::Integer(number) => Value::Integer(number),
            Value::Float(number) => Value::Float(number),
            Value::Float32(number) => Value::Float32(number),
            Value::Decimal(decimal) => Value::Decimal(decimal),
            Value::Date(days) => Value::Date(days),
            Value::Time(us) => Value::Time(us),
            Value::Timestamp(us) => Value::Timestamp(us),
            Value::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
            Value::Floats(_) => panic!("no vectors here"),
        })
    }

    fn decimal(unscaled: i128, scale: i8) -> Value<'static> {
        let unscaled = i256::from_i128(unscaled);
        Value::Decimal(Decimal { unscaled, scale })
    }

    #[test]
    fn casts_are_exact_or_none() {
        for (given, to, expected) in [
            (Value::Text("12".into()), "int32", Some(Value::Integer(12))),
            (
                Value::Text(" +12 ".into()),
                "int32",
                Some(Value::Integer(12)),
            ),
            (Value::Text("12.0".into()), "int32", None),
            (Value::Text("+-5".into()), "int64", None),
            (Value::Text("+-5".into()), "decimal(5, 1)", None),
            (Value::Text("+-5".into()), "float64", None),
            (Value::Text("1e400".into()), "float64", None),
            (Value::Text("1e39".into()), "float32", None),
            (Value::Text("nan".into()), "float64", None),
            (Value::Text("-inf".into()), "float32", None),
            (decimal(1200, 2), "int64", Some(Value::Integer(12))),
            (decimal(1250, 2), "int64", None),
            (decimal(1250, 2), "decimal(5, 1)", Some(decimal(125, 1))),
            (decimal(1255, 2), "decimal(5, 1)", None),
            (decimal(99_999, 0), "decimal(5, 1)", None),
            (Value::Float(0.1), "decimal(3, 1)", Some(decimal(1, 1))),
            (Value::Float(0.15), "decimal(3, 1)", None),
            (decimal(15, 1), "float64", Some(Value::Float(1.5))),
            (decimal(1, 1), "float64", Some(Value::Float(0.1))),
            (Value::Integer((1 << 53) + 1), "float64", None),
            (Value::Float(0.1), "float32", None),
            (Value::Float(0.5), "float32", Some(Value::Float32(0.5))),
            (
                Value::Float32(0.1),
                "float64",
                Some(Value::Float(f64::from(0.1_f32))),
            ),
            (
                Value::Float32(0.1),
                "string",
                Some(Value::Text("0.1".into())),
            ),
            (Value::Float32(0.1), "decimal(10, 2)", Some(decimal(10, 2))),
            (Value::Float32(0.125), "decimal(10, 2)", None),
            (Value::Float32(-0.0), "decimal(10, 2)", None),
            (Value::Float32(3.0), "int8", Some(Value::Integer(3))),
            (
                Value::Text("0.1".into()),
                "float32",
                Some(Value::Float32(0.1)),
            ),
            (decimal(1, 1), "float32", Some(Value::Float32(0.1))),
            (Value::Float(1e300), "int64", None),
            (Value::Float(f64::NAN), "int64", None),
            (Value::Boolean(true), "uint8", Some(Value::Integer(1))),
            (Value::Integer(2), "boolean", None),
            (
                Value::Text("Yes".into()),
                "boolean",
                Some(Value::Boolean(true)),
            ),
            (Value::Date(1), "timestamp", Some(Value::Timestamp(DAY_US))),
            (Value::Timestamp(DAY_US + 1), "date", None),
            (Value::Timestamp(DAY_US), "date", Some(Value::Date(1))),
            (Value::Timestamp(DAY_US + 1), "time", None),
            (
                Value::Timestamp(1_500_000),
                "string",
                Some(Value::Text("1970-01-01 00:00:01.500".into())),
            ),
            (Value::Float(1.0), "string", Some(Value::Text("1.0".into()))),
            (Value::Bytes(b"\xff"[..].into()), "string", None),
            (Value::Floats(vec![0.5].into()), "string", None),
            (Value::Null, "int8", Some(Value::Null)),
        ] {
            assert_eq!(cast(given.clone(), to), expected, "{given:?} as {to}");
        }
    }

    #[test]
    fn types_have_names() {
        assert_eq!(
            parse_type("decimal( 40 ,2 )"),
            Some(DataType::Decimal256(40, 2))
        );
        for wrong in [
            "decimal(5, 9)",
            "decimal(0, 0)",
            "decimal(77, 1)",
            "number",
            "decimal(5)",
        ] {
            assert_eq!(parse_type(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn text_and_back_is_the_same(integer in any::<i64>(), float in any::<f64>(), unscaled in any::<i64>(), scale in 0..10_i8) {
            for (given, to) in [
                (Value::Integer(integer.into()), "int64"),
                (Value::Float(float), "float64"),
                (decimal(unscaled.into(), scale), &format!("decimal(38, {scale})")),
            ] {
                let text = cast(given.clone(), "string").expect("it has a text");
                let back = cast(text, to);
                match (&given, &back) {
                    (Value::Float(a), Some(Value::Float(b))) => prop_assert!(a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()),
                    _ => prop_assert_eq!(back, Some(given)),
                }
            }
        }
    }
}
