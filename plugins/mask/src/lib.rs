//! Hides what must not leave the source: keyed hash, redaction, truncation, partial reveal. NULL stays NULL, whatever the method.

mod method;

use arrow_array::StringArray;
use arrow_array::types::{
    Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_schema::{DataType, Field};
use tidemill_sdk::{Batch, Binding, ColumnData, ConfigSchema, Error, Output, Table, Transform};

use method::{Hasher, Values};

/// Hides the values of columns. NULL stays NULL.
#[derive(Debug, serde::Deserialize, ConfigSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The secret of `hash`. The same key gives the same hash for the same value, in every table.
    #[serde(default)]
    key: String,
    #[schema(min_items = 1)]
    columns: Vec<Rule>,
}

/// What becomes of one column.
#[derive(Debug, serde::Deserialize, ConfigSchema)]
#[serde(tag = "method", rename_all = "lowercase", deny_unknown_fields)]
enum Rule {
    /// HMAC-SHA-256 with the key, in hexadecimal. Takes text, bytes and integers; gives text.
    Hash {
        column: String,
        /// How many hexadecimal digits are kept. Below 16, different values may come to share a hash.
        #[serde(default = "whole_digest")]
        #[schema(minimum = 8, maximum = 64, default = 64)]
        length: usize,
    },
    /// The same text for every value of a text column; without a text, NULL for every value of any column.
    Redact {
        column: String,
        text: Option<String>,
    },
    /// The first characters of a text.
    Truncate { column: String, length: usize },
    /// The first and the last characters of a text; every other character becomes `mask`. A text that would be shown whole is masked whole.
    Reveal {
        column: String,
        #[serde(default)]
        #[schema(default = 0)]
        first: usize,
        #[serde(default)]
        #[schema(default = 0)]
        last: usize,
        #[serde(default = "star")]
        #[schema(default = "*")]
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

    fn apply(&self, hasher: &Hasher, batch: &Batch, column: usize) -> ColumnData {
        let masked: StringArray = match self {
            Self::Hash { length, .. } => hash(hasher, batch, column, *length),
            Self::Redact {
                text: Some(text), ..
            } => method::redact(&batch.utf8(column), text),
            Self::Redact { text: None, .. } => {
                return ColumnData::all_null(batch.columns[column].data_type(), batch.rows);
            }
            Self::Truncate { length, .. } => method::truncate(&batch.utf8(column), *length),
            Self::Reveal {
                first, last, mask, ..
            } => method::reveal(&batch.utf8(column), *first, *last, *mask),
        };
        masked.into()
    }
}

/// The type was checked when the table was bound.
fn hash(hasher: &Hasher, batch: &Batch, column: usize, length: usize) -> StringArray {
    macro_rules! decimal {
        ($type:ty) => {
            hasher.hash(Values::decimal(&batch.primitive::<$type>(column)), length)
        };
    }
    match batch.columns[column].data_type() {
        DataType::Utf8 => hasher.hash(Values::bytes(&batch.utf8(column)), length),
        DataType::Binary => hasher.hash(Values::bytes(&batch.binary(column)), length),
        DataType::Int8 => decimal!(Int8Type),
        DataType::Int16 => decimal!(Int16Type),
        DataType::Int32 => decimal!(Int32Type),
        DataType::Int64 => decimal!(Int64Type),
        DataType::UInt8 => decimal!(UInt8Type),
        DataType::UInt16 => decimal!(UInt16Type),
        DataType::UInt32 => decimal!(UInt32Type),
        _ => decimal!(UInt64Type),
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
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &str = "hides values: keyed hash, redact, truncate, partial reveal";

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
            if table.key.contains(&position) && !matches!(rule, Rule::Hash { .. }) {
                return Err(Error::Config(format!(
                    "`{}` is a key column: only `hash` tells its rows apart afterwards",
                    rule.column()
                )));
            }
            binding.read(position);
            binding.compute_in_place(position, rule.field(&table.fields[position])?);
        }
        let mut rules = config.columns;
        rules.sort_by_key(|rule| binding.place(rule.column()));
        binding.reads.sort_unstable();
        let hasher = Hasher::new(&config.key);
        Ok((Self { hasher, rules }, binding))
    }

    fn process(&mut self, batch: &Batch) -> Result<Output, Error> {
        let masked = self.rules.iter().enumerate();
        Ok(Output::columns(masked.map(|(column, rule)| {
            rule.apply(&self.hasher, batch, column)
        })))
    }
}

tidemill_sdk::export!(Mask);

#[cfg(test)]
mod tests;
