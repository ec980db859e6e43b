//! Hides what must not leave the source: keyed hash, redaction, truncation, partial reveal. NULL stays NULL, whatever the method.

mod method;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, StringArray, new_null_array};
use arrow_schema::{DataType, Field};
use tidemill_sdk::{Batch, Binding, Error, Output, Table, Transform};

use method::{Hasher, Values};

/// The configuration; its JSON Schema is `schema.json`.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    key: String,
    columns: Vec<Rule>,
}

/// What becomes of one column.
#[derive(Debug, serde::Deserialize)]
#[serde(tag = "method", rename_all = "lowercase", deny_unknown_fields)]
enum Rule {
    Hash {
        column: String,
        #[serde(default = "whole_digest")]
        length: usize,
    },
    Redact {
        column: String,
        text: Option<String>,
    },
    Truncate {
        column: String,
        length: usize,
    },
    Reveal {
        column: String,
        #[serde(default)]
        first: usize,
        #[serde(default)]
        last: usize,
        #[serde(default = "star")]
        mask: char,
    },
}

/// Hexadecimal digits of a SHA-256 digest.
fn whole_digest() -> usize {
    64
}

fn star() -> char {
    '*'
}

impl Rule {
    fn column(&self) -> &str {
        match self {
            Self::Hash { column, .. }
            | Self::Redact { column, .. }
            | Self::Truncate { column, .. }
            | Self::Reveal { column, .. } => column,
        }
    }

    /// The masked column's field.
    fn field(&self, field: &Field) -> Result<Field, Error> {
        let (name, given) = (field.name(), field.data_type());
        let text = DataType::Utf8;
        let (fits, data_type) = match self {
            Self::Hash { .. } => (
                given.is_integer() || matches!(given, DataType::Utf8 | DataType::Binary),
                text,
            ),
            Self::Redact { text: Some(_), .. } | Self::Truncate { .. } | Self::Reveal { .. } => {
                (given == &text, text)
            }
            Self::Redact { text: None, .. } => {
                return Ok(Field::new(name, given.clone(), true));
            }
        };
        if fits {
            return Ok(Field::new(name, data_type, field.is_nullable()));
        }
        Err(Error::Schema(format!(
            "`{name}` has the type {given}: `hash` takes text, bytes and integers, `truncate`, `reveal` and `redact` with a `text` take text; \
             `redact` without a `text` makes any column NULL"
        )))
    }

    fn apply(&self, hasher: &Hasher, column: &ArrayRef) -> ArrayRef {
        let masked: StringArray = match self {
            Self::Hash { length, .. } => hash(hasher, column, *length),
            Self::Redact {
                text: Some(text), ..
            } => method::redact(column.as_string(), text),
            Self::Redact { text: None, .. } => {
                return new_null_array(column.data_type(), column.len());
            }
            Self::Truncate { length, .. } => method::truncate(column.as_string(), *length),
            Self::Reveal {
                first, last, mask, ..
            } => method::reveal(column.as_string(), *first, *last, *mask),
        };
        Arc::new(masked)
    }
}

/// The type was checked when the table was bound.
fn hash(hasher: &Hasher, column: &ArrayRef, length: usize) -> StringArray {
    match column.data_type() {
        DataType::Utf8 => hasher.hash(Values::bytes(column.as_string::<i32>()), length),
        DataType::Binary => hasher.hash(Values::bytes(column.as_binary::<i32>()), length),
        DataType::Int8 => hasher.hash(Values::decimal::<Int8Type>(column), length),
        DataType::Int16 => hasher.hash(Values::decimal::<Int16Type>(column), length),
        DataType::Int32 => hasher.hash(Values::decimal::<Int32Type>(column), length),
        DataType::Int64 => hasher.hash(Values::decimal::<Int64Type>(column), length),
        DataType::UInt8 => hasher.hash(Values::decimal::<UInt8Type>(column), length),
        DataType::UInt16 => hasher.hash(Values::decimal::<UInt16Type>(column), length),
        DataType::UInt32 => hasher.hash(Values::decimal::<UInt32Type>(column), length),
        _ => hasher.hash(Values::decimal::<UInt64Type>(column), length),
    }
}

/// The transform: a rule for each column that it reads.
#[derive(Debug)]
pub struct Mask {
    hasher: Hasher,
    rules: Vec<Rule>,
}

impl Transform for Mask {
    type Config = Config;
    const NAME: &str = "mask";
    const SUMMARY: &str = "hides values: keyed hash, redact, truncate, partial reveal";
    const CONFIG_SCHEMA: &str = include_str!("../schema.json");

    fn bind(table: &Table, config: Config) -> Result<(Self, Binding), Error> {
        let hashes = config
            .columns
            .iter()
            .any(|rule| matches!(rule, Rule::Hash { .. }));
        if hashes && config.key.is_empty() {
            return Err(Error::Config(
                "`hash` needs a `key`: without one anybody could try addresses and names until a hash fits"
                    .to_owned(),
            ));
        }
        let mut binding = Binding::pass_all(table);
        for rule in &config.columns {
            let position = table.position(rule.column())?;
            if binding.reads.contains(&position) {
                return Err(Error::Config(format!(
                    "`{}` is masked twice",
                    rule.column()
                )));
            }
            binding.read(position);
            binding.compute_in_place(position, rule.field(&table.fields[position])?);
        }
        // The host expects computed columns in the order of the output.
        let mut rules = config.columns;
        let place = |rule: &Rule| table.position(rule.column()).ok();
        rules.sort_by_key(place);
        binding.reads.sort_unstable();
        let hasher = Hasher::new(&config.key);
        Ok((Self { hasher, rules }, binding))
    }

    fn process(&mut self, batch: &Batch) -> Result<Output, Error> {
        let masked = self.rules.iter().zip(&batch.columns);
        Ok(Output::columns(
            masked
                .map(|(rule, column)| rule.apply(&self.hasher, column))
                .collect(),
        ))
    }
}

tidemill_sdk::export!(Mask);

#[cfg(test)]
mod tests;
