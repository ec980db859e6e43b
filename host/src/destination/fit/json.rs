//! Documents for ClickHouse's `JSON`, which keeps paths and values: what it would drop or change is outside.
//!
//! Found by inserting into ClickHouse 26.7 and reading back: members that are null or empty objects vanish, `a.b` becomes two keys, a
//! truth value among numbers becomes a number, an integer among floats becomes a float; keys come back sorted, numbers in their shortest form.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use arrow::array::builder::StringBuilder;
use arrow::array::{Array, ArrayRef, AsArray};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::convert::Converted;

/// ClickHouse's own limit is 1,000; MySQL's is 100.
const DEEPEST: usize = 100;
/// The integers up to here are floats, too.
const FLOAT_INTEGERS: f64 = 9_007_199_254_740_992.0;

/// Converts documents to their canonical text.
pub(super) fn convert(array: &ArrayRef) -> Converted {
    let texts = array.as_string::<i32>();
    let mut builder = StringBuilder::with_capacity(texts.len(), texts.values().len());
    let mut outside = Vec::new();
    for (row, text) in texts.iter().enumerate() {
        let canonical = text.map(canonical);
        if canonical == Some(None) {
            outside.push(row);
        }
        builder.append_option(canonical.flatten());
    }
    Converted {
        array: Arc::new(builder.finish()),
        outside,
    }
}

/// A document that ClickHouse's `JSON` keeps, in one spelling: keys sorted, no spaces, numbers in their shortest form. None for any other.
pub(in crate::destination) fn canonical(text: &str) -> Option<String> {
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    let mut out = String::with_capacity(text.len());
    raw.get().starts_with('{').then_some(())?;
    write(raw, 0, false, &mut out)?;
    Some(out)
}

/// The members of an object, which has no key twice.
struct Members<'a>(BTreeMap<String, &'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Unique;
        impl<'de> Visitor<'de> for Unique {
            type Value = BTreeMap<String, &'de RawValue>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                    if members.insert(key, value).is_some() {
                        return Err(serde::de::Error::custom("a key comes twice"));
                    }
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Unique).map(Members)
    }
}

/// Appends a value; `in_array` says that the array around it has looked at it already.
fn write(raw: &RawValue, depth: usize, in_array: bool, out: &mut String) -> Option<()> {
    let text = raw.get();
    match text.bytes().next()? {
        _ if depth > DEEPEST => return None,
        b'{' => {
            let Members(members) = serde_json::from_str(text).ok()?;
            out.push('{');
            for (i, (key, value)) in members.iter().enumerate() {
                let vanishes = value.get() == "null" || is_empty_object(value.get());
                if vanishes || key.is_empty() || key.contains('.') {
                    return None;
                }
                if i > 0 {
                    out.push(',');
                }
                *out += &serde_json::to_string(key).ok()?;
                out.push(':');
                write(value, depth + 1, false, out)?;
            }
            out.push('}');
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            if !in_array {
                one_kind(&items, &mut Kinds::default())?;
            }
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(item, depth + 1, true, out)?;
            }
            out.push(']');
        }
        b'"' => {
            let value: String = serde_json::from_str(text).ok()?;
            *out += &serde_json::to_string(&value).ok()?;
        }
        b't' | b'f' | b'n' => *out += text,
        _ => number(text, out)?,
    }
    Some(())
}

fn is_empty_object(text: &str) -> bool {
    text.strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .is_some_and(|inner| inner.trim().is_empty())
}

/// What was seen among the items of an array and of the arrays in it, which ClickHouse gives one type.
#[derive(Default)]
struct Kinds {
    truths: bool,
    others: bool,
    floats: bool,
    large_integers: bool,
}

fn one_kind(items: &[&RawValue], kinds: &mut Kinds) -> Option<()> {
    for item in items {
        let text = item.get();
        match text.bytes().next()? {
            b'[' => {
                let inner: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                one_kind(&inner, kinds)?;
            }
            b't' | b'f' => kinds.truths = true,
            b'n' => {}
            b'"' | b'{' => kinds.others = true,
            _ => {
                kinds.others = true;
                kinds.floats |= text.contains(['.', 'e', 'E']);
                let size: f64 = text.parse().ok()?;
                kinds.large_integers |= size.abs() > FLOAT_INTEGERS;
            }
        }
    }
    let mixed = kinds.truths && kinds.others || kinds.floats && kinds.large_integers;
    (!mixed).then_some(())
}

/// A number that is one of ClickHouse's, in its shortest form.
fn number(text: &str, out: &mut String) -> Option<()> {
    if let Ok(integer) = text.parse::<i64>() {
        write!(out, "{integer}").ok()?;
    } else if let Ok(integer) = text.parse::<u64>() {
        write!(out, "{integer}").ok()?;
    } else {
        text.contains(['.', 'e', 'E']).then_some(())?;
        let float: f64 = text.parse().ok().filter(|float: &f64| float.is_finite())?;
        (decimal(text)? == decimal(&format!("{float:e}"))?).then_some(())?;
        if float.fract() == 0.0 && float.abs() <= FLOAT_INTEGERS {
            write!(out, "{}", float as i64).ok()?;
        } else {
            write!(out, "{float:e}").ok()?;
        }
    }
    Some(())
}

/// A decimal number as its digits, without zeros at either end, and the power of ten of the last one.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let negative = mantissa.starts_with('-');
    let mantissa = mantissa.trim_start_matches('-');
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let last = exponent.checked_sub(fraction.len() as i64)?;
    let kept = digits.trim_end_matches('0');
    let zeros = (digits.len() - kept.len()) as i64;
    let significant = kept.trim_start_matches('0').to_owned();
    Some(match significant.is_empty() {
        true => (false, significant, 0),
        false => (negative, significant, last + zeros),
    })
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn what_clickhouse_keeps_has_one_spelling() {
        for (text, expected) in [
            ("{}", "{}"),
            (
                r#"{ "b" : 1.10, "a": [1, 2.50] }"#,
                r#"{"a":[1,2.5e0],"b":1.1e0}"#,
            ),
            (
                r#"{"n": 18446744073709551615, "m": -9223372036854775808}"#,
                r#"{"m":-9223372036854775808,"n":18446744073709551615}"#,
            ),
            (
                r#"{"a": 1.0, "b": 1e300, "c": 0.0}"#,
                r#"{"a":1,"b":1e300,"c":0}"#,
            ),
            (
                r#"{"a": [null, "x", {"k": [true]}], "ä": "\ud83e\udd80"}"#,
                r#"{"a":[null,"x",{"k":[true]}],"ä":"🦀"}"#,
            ),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_it_would_drop_or_change_is_outside() {
        for text in [
            "[1]",
            "null",
            "1",
            r#"{"a":null}"#,
            r#"{"a":{}}"#,
            r#"{"a":{"b":{ }}}"#,
            r#"{"a.b":1}"#,
            r#"{"":1}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"a":[{"b":null}]}"#,
            r#"{"a":[true,1]}"#,
            r#"{"a":[[true],[1]]}"#,
            r#"{"a":[1.5,18446744073709551615]}"#,
            r#"{"a":123456789012345678901234567890}"#,
            r#"{"a":0.12345678901234567890123}"#,
            r#"{"a":1e400}"#,
            "{",
            "",
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }
}
