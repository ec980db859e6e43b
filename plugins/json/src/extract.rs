//! From a JSON text to values: the text is walked once a level, and what nobody wants is skipped.

use std::borrow::Cow;
use std::fmt;

use arrow_schema::DataType;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tidemill_kernels::{convert, decimal};
use tidemill_sdk::Value;

use crate::path::Tree;

/// For each column the JSON text of its value, if there is one.
pub(crate) type Found<'a> = Vec<Option<&'a str>>;

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    NoJson,
    Missing,
    Mismatch,
}

/// Finds what the tree wants; whether the text is JSON.
pub(crate) fn find<'a>(tree: &Tree, text: &'a str, found: &mut Found<'a>) -> bool {
    for &column in &tree.columns {
        found[column] = Some(text);
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let walk = Walk { tree, found };
    reader.deserialize_any(walk).is_ok() && reader.end().is_ok()
}

struct Walk<'t, 'f, 'a> {
    tree: &'t Tree,
    found: &'f mut Found<'a>,
}

impl<'a> Walk<'_, '_, 'a> {
    /// A value that is wanted, or of which something is. It was found to be JSON when it was taken.
    fn value<E: serde::de::Error>(&mut self, tree: &Tree, raw: &'a RawValue) -> Result<(), E> {
        let text = raw.get();
        // Of two members of one name the last one counts, with all that is in it.
        forget(tree, self.found);
        let inside = tree.branches() && text.starts_with(['{', '[']);
        if inside && !find(tree, text, self.found) {
            return Err(E::custom("it is nested too deep"));
        }
        for &column in &tree.columns {
            self.found[column] = Some(text);
        }
        Ok(())
    }
}

fn forget(tree: &Tree, found: &mut Found<'_>) {
    tree.columns.iter().for_each(|&column| found[column] = None);
    tree.members
        .iter()
        .for_each(|(_, inner)| forget(inner, found));
    tree.items
        .iter()
        .for_each(|(_, inner)| forget(inner, found));
}

impl<'a> Visitor<'a> for Walk<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Name<'a>>()? {
            let wanted = self
                .tree
                .members
                .iter()
                .find(|(wanted, _)| *wanted == *name.0);
            match wanted {
                Some((_, inner)) => {
                    let raw = map.next_value::<&RawValue>()?;
                    self.value(inner, raw)?;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut items: A) -> Result<(), A::Error> {
        for number in 0.. {
            let wanted = self.tree.items.iter().find(|(wanted, _)| *wanted == number);
            let more = match wanted {
                Some((_, inner)) => match items.next_element::<&RawValue>()? {
                    Some(raw) => self.value(inner, raw).map(|()| true)?,
                    None => false,
                },
                None => items.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    // Everything else has nothing inside.
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A member's name, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        reader.deserialize_str(Text)
    }
}

/// A JSON value in a column's type, exactly.
pub(crate) fn typed<'v>(
    raw: &'v str,
    to: &DataType,
    buffer: &'v mut String,
) -> Result<Value<'v>, Why> {
    let raw = raw.trim();
    let value = match raw.as_bytes().first() {
        Some(b'n') => return Ok(Value::Null),
        Some(b't') => convert::value(Value::Boolean(true), to, buffer),
        Some(b'f') => convert::value(Value::Boolean(false), to, buffer),
        Some(b'"') => {
            let text: Name<'v> = serde_json::from_str(raw).map_err(|_| Why::NoJson)?;
            match to {
                // `"yes"` is no boolean of JSON's.
                DataType::Boolean => None,
                _ => convert::value(Value::Text(text.0), to, buffer),
            }
        }
        Some(b'{' | b'[') => (*to == DataType::Utf8).then_some(Value::from(raw)),
        _ => number(raw, to),
    };
    value.ok_or(Why::Mismatch)
}

/// A number by its digits.
fn number<'v>(digits: &'v str, to: &DataType) -> Option<Value<'v>> {
    Some(match to {
        DataType::Utf8 => digits.into(),
        DataType::Float32 => {
            let single: f32 = digits.parse().ok()?;
            Value::Float32(Some(single).filter(|single| single.is_finite())?)
        }
        DataType::Float64 => {
            let double: f64 = digits.parse().ok()?;
            Value::Float(Some(double).filter(|double| double.is_finite())?)
        }
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            let unscaled = decimal::exact(digits, *precision, *scale)?;
            Value::Decimal(tidemill_sdk::Decimal {
                unscaled,
                scale: *scale,
            })
        }
        integer if integer.is_integer() => {
            Value::Integer(decimal::exact(digits, 38, 0)?.to_i128()?)
        }
        _ => return None,
    })
}
