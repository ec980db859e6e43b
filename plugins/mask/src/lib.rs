//! Hides what must not leave the source: keyed hash, redaction, truncation, partial reveal. NULL stays NULL, whatever the method.

mod method;

use arrow_array::StringArray;
use arrow_array::types::{
    Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_schema::{DataType, Field};
use tidemill_sdk::{
    Batch, Binding, ColumnData, ConfigSchema, Error, Output, Table, Transform, build,
};

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

    /// Whether values, or where there are none, are needed to mask them. A column that isn't read need not even leave the source.
    fn reads(&self, field: &Field) -> bool {
        match self {
            Self::Redact { text, .. } => text.is_some() && field.is_nullable(),
            _ => true,
        }
    }

    /// The masked column out of the one that is read.
    fn apply(&self, hasher: &Hasher, batch: &Batch, column: usize) -> ColumnData {
        let masked: StringArray = match self {
            Self::Hash { length, .. } => hash(hasher, batch, column, *length),
            Self::Redact { text, .. } => {
                let nulls = batch.columns[column].nulls().cloned();
                build::repeated(text.as_deref().unwrap_or_default(), batch.rows, nulls)
            }
            Self::Truncate { length, .. } => method::truncate(&batch.utf8(column), *length),
            Self::Reveal {
                first, last, mask, ..
            } => method::reveal(&batch.utf8(column), *first, *last, *mask),
        };
        masked.into()
    }

    /// The masked column of one that isn't read.
    fn make(&self, data_type: &DataType, rows: usize) -> ColumnData {
        match self {
            Self::Redact {
                text: Some(text), ..
            } => build::repeated(text, rows, None).into(),
            _ => ColumnData::all_null(data_type, rows),
        }
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

/// The transform: a rule for each column that it computes.
#[derive(Debug)]
pub struct Mask {
    hasher: Hasher,
    rules: Vec<(Rule, Source)>,
}

/// Where a rule's column is.
#[derive(Debug)]
enum Source {
    /// Among those that are read.
    Read(usize),
    /// Nowhere: it is of this type.
    Unread(DataType),
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
        let (mut masked, mut rules) = (Vec::new(), Vec::new());
        for rule in config.columns {
            let position = table.position(rule.column())?;
            if masked.contains(&position) {
                return Err(Error::Config(format!(
                    "`{}` is masked twice",
                    rule.column()
                )));
            }
            masked.push(position);
            if table.key.contains(&position) && !matches!(rule, Rule::Hash { .. }) {
                return Err(Error::Config(format!(
                    "`{}` is a key column: only `hash` tells its rows apart afterwards",
                    rule.column()
                )));
            }
            let field = &table.fields[position];
            binding.compute_in_place(position, rule.field(field)?);
            let source = match rule.reads(field) {
                true => Source::Read(binding.read(position)),
                false => Source::Unread(field.data_type().clone()),
            };
            rules.push((rule, source));
        }
        rules.sort_by_key(|(rule, _)| binding.place(rule.column()));
        let hasher = Hasher::new(&config.key);
        Ok((Self { hasher, rules }, binding))
    }

    fn process(&mut self, batch: &Batch) -> Result<Output, Error> {
        let masked = self.rules.iter().map(|(rule, source)| match source {
            Source::Read(column) => rule.apply(&self.hasher, batch, *column),
            Source::Unread(data_type) => rule.make(data_type, batch.rows),
        });
        Ok(Output::columns(masked))
    }
}

tidemill_sdk::export!(Mask);

#[cfg(test)]
mod tests;
