//! The reference table: typed columns, and an index of its keys.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use arrow_schema::{DataType, Field, TimeUnit};
use serde_json::Value as Json;
use tidemill_kernels::convert::{self, write_text};
use tidemill_sdk::{ColumnData, ConfigSchema, Error, Value, ValueBuilder};

/// A table as the host hands it over.
#[derive(Debug, serde::Deserialize, ConfigSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reference {
    columns: Vec<Column>,
    /// A value for each column; texts for dates, moments, decimals and bytes (hexadecimal), lists for vectors.
    rows: Vec<Vec<Json>>,
}

#[derive(Debug, serde::Deserialize, ConfigSchema)]
#[serde(deny_unknown_fields)]
struct Column {
    name: String,
    /// The contract's word for it; of a column that is not used it may be any.
    r#type: String,
}

/// A column that is looked up, its type and its counterpart in the reference table.
pub(crate) struct Key {
    pub(crate) column: String,
    pub(crate) data_type: DataType,
    pub(crate) counterpart: String,
}

impl Reference {
    /// A column's values.
    pub(crate) fn column(&self, table: &str, name: &str) -> Result<ColumnData, Error> {
        let (place, data_type) = self.find(table, name)?;
        self.typed(table, name, place, &data_type, &data_type)
    }

    /// The rows by their keys, which are of the types of the columns that are looked up.
    pub(crate) fn index(&self, table: &str, keys: &[Key]) -> Result<Index, Error> {
        let mut columns = Vec::new();
        for key in keys {
            let (place, data_type) = self.find(table, &key.counterpart)?;
            let float = key.data_type.is_floating() || data_type.is_floating();
            if float
                || has_no_text(&key.data_type)
                || has_no_text(&data_type)
                || !convert::can(&data_type, &key.data_type)
            {
                return Err(Error::Schema(format!(
                    "`{}` has the type {}, and `{}` of the reference table `{table}` the type {data_type}: by these nothing is looked up",
                    key.column, key.data_type, key.counterpart
                )));
            }
            let values = self.typed(table, &key.counterpart, place, &data_type, &key.data_type)?;
            columns.push(tidemill_sdk::ValueReader::new(&values));
        }
        let mut index = Index::default();
        let mut finder = Finder::default();
        for row in 0..self.rows.len() {
            if !finder.write(columns.iter().map(|column| column.value(row))) {
                return Err(Error::Config(format!(
                    "row {} of the reference table `{table}` has no key",
                    row + 1
                )));
            }
            if let Some(first) = index.rows.insert(finder.key.clone(), row) {
                return Err(Error::Config(format!(
                    "rows {} and {} of the reference table `{table}` have the same key",
                    first + 1,
                    row + 1
                )));
            }
        }
        Ok(index)
    }

    fn find(&self, table: &str, name: &str) -> Result<(usize, DataType), Error> {
        let place = self.columns.iter().position(|column| column.name == name);
        let place = place.ok_or_else(|| {
            let known: Vec<&str> = self
                .columns
                .iter()
                .map(|column| column.name.as_str())
                .collect();
            Error::Config(format!(
                "the reference table `{table}` has no column `{name}`; it has {}",
                known.join(", ")
            ))
        })?;
        let name_of_type = &self.columns[place].r#type;
        let data_type = type_of(name_of_type).ok_or_else(|| {
            Error::Config(format!(
                "`{name}` of the reference table `{table}` is {name_of_type}, which is neither looked up nor taken"
            ))
        })?;
        Ok((place, data_type))
    }

    /// A column, read as its own type and made another one's.
    fn typed(
        &self,
        table: &str,
        name: &str,
        place: usize,
        own: &DataType,
        to: &DataType,
    ) -> Result<ColumnData, Error> {
        let mut builder = ValueBuilder::new(to, self.rows.len());
        let (mut first, mut second) = (String::new(), String::new());
        for (row, cells) in self.rows.iter().enumerate() {
            let at = row + 1;
            if cells.len() != self.columns.len() {
                return Err(Error::Config(format!(
                    "row {at} of the reference table `{table}` has {} values, and the table {} columns",
                    cells.len(),
                    self.columns.len()
                )));
            }
            let given = cell(&cells[place], own);
            let value = given.and_then(|given| convert::value(given, own, &mut first));
            let value = value.and_then(|value| convert::value(value, to, &mut second));
            if value.is_none_or(|value| builder.push(&value).is_err()) {
                return Err(Error::Config(format!(
                    "`{name}` in row {at} of the reference table `{table}` is no exact {to}"
                )));
            }
        }
        Ok(builder.finish())
    }
}

/// The type of the contract's word for it.
fn type_of(word: &str) -> Option<DataType> {
    let inner = |name: &str| {
        word.strip_prefix(name)?
            .strip_prefix('(')?
            .strip_suffix(')')
    };
    if let Some(zone) = inner("timestamp-us") {
        let zone = Some(zone.into());
        return Some(DataType::Timestamp(TimeUnit::Microsecond, zone));
    }
    if let Some(width) = inner("fixed-binary") {
        let width = width.parse().ok().filter(|width| *width > 0);
        return width.map(DataType::FixedSizeBinary);
    }
    match word {
        "float32-list" => {
            let item = Field::new("item", DataType::Float32, false);
            Some(DataType::List(Arc::new(item)))
        }
        other => convert::parse_type(other),
    }
}

fn has_no_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Binary | DataType::FixedSizeBinary(_) | DataType::List(_)
    )
}

/// A value of JSON; a number by its digits, bytes by hexadecimal ones.
fn cell<'j>(json: &'j Json, own: &DataType) -> Option<Value<'j>> {
    Some(match json {
        Json::Null => Value::Null,
        Json::String(digits) if has_no_text(own) => convert::bytes_of(digits)?.into(),
        Json::Array(items) if matches!(own, DataType::List(_)) => {
            let item = |item: &Json| Some(item.as_f64()? as f32).filter(|item| item.is_finite());
            Value::from(items.iter().map(item).collect::<Option<Vec<f32>>>()?)
        }
        Json::Bool(truth) => Value::Boolean(*truth),
        Json::Number(number) => Value::from(number.to_string()),
        Json::String(text) => text.as_str().into(),
        Json::Array(_) | Json::Object(_) => return None,
    })
}

/// Rows of the reference table by their keys.
#[derive(Debug, Default)]
pub(crate) struct Index {
    rows: HashMap<String, usize>,
}

impl Index {
    pub(crate) fn finder(&self) -> Finder<'_> {
        Finder {
            index: Some(self),
            ..Finder::default()
        }
    }
}

/// Writes keys into memory that is used again.
#[derive(Debug, Default)]
pub(crate) struct Finder<'i> {
    index: Option<&'i Index>,
    key: String,
    part: String,
}

impl Finder<'_> {
    /// The row of these values.
    pub(crate) fn find<'v>(&mut self, values: impl Iterator<Item = Value<'v>>) -> Option<usize> {
        match self.write(values) {
            true => self.index?.rows.get(&self.key).copied(),
            false => None,
        }
    }

    /// The key of these values: the text of each, with its length before it. False if one is NULL.
    fn write<'v>(&mut self, values: impl Iterator<Item = Value<'v>>) -> bool {
        self.key.clear();
        for value in values {
            if matches!(value, Value::Null) {
                return false;
            }
            self.part.clear();
            // Writing to a string can't fail, and types without a text were refused.
            let _ = write_text(&value, &mut self.part);
            let _ = write!(self.key, "{}:", self.part.len());
            self.key.push_str(&self.part);
        }
        true
    }
}
