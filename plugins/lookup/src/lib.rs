//! Columns out of a small reference table: what the codes of a row mean.
//!
//! A plugin sees no files. The host reads the table that the pipe file names and puts it into the configuration, where it is built into columns
//! and an index once, when the table is bound.

mod reference;

use std::collections::BTreeMap;

use arrow_schema::Field;
use tidemill_sdk::{
    Batch, Binding, ConfigSchema, Error, Output, Table, Transform, Value, ValueBuilder, ValueReader,
};

use reference::{Index, Key, Reference};

/// Adds columns out of a reference table.
#[derive(Debug, serde::Deserialize, ConfigSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The reference table's name.
    table: String,
    /// What must be equal: the row's column and the reference table's, or columns of one name in both.
    on: On,
    /// Columns of the reference table, and the names that they get.
    #[schema(min_properties = 1)]
    columns: BTreeMap<String, String>,
    /// What becomes of a row that has no counterpart, or NULL where it is looked up.
    #[serde(default)]
    #[schema(default = "null")]
    missing: Missing,
    /// The reference tables, by name. Tidemill fills it from the files that the pipe file names.
    #[serde(default)]
    tables: BTreeMap<String, Reference>,
}

#[derive(Debug, serde::Deserialize, ConfigSchema)]
#[serde(untagged)]
enum On {
    Same(Vec<String>),
    Pairs(BTreeMap<String, String>),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Deserialize, ConfigSchema)]
#[serde(rename_all = "lowercase")]
enum Missing {
    #[default]
    Null,
    Reject,
}

/// The transform.
#[derive(Debug)]
pub struct Lookup {
    index: Index,
    columns: Vec<(Field, ValueReader)>,
    missing: Option<String>,
}

impl Transform for Lookup {
    type Config = Config;
    const NAME: &str = "lookup";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &str = "adds columns out of a small reference table";

    fn bind(table: &Table, config: Config) -> Result<(Self, Binding), Error> {
        let name = &config.table;
        let reference = config.tables.get(name).ok_or_else(|| {
            Error::Config(format!(
                "there is no reference table `{name}`: the pipe file gives its file, CSV or Parquet, in `tables`"
            ))
        })?;
        let pairs: Vec<(String, String)> = match config.on {
            On::Same(columns) => columns
                .into_iter()
                .map(|column| (column.clone(), column))
                .collect(),
            On::Pairs(pairs) => pairs.into_iter().collect(),
        };
        if pairs.is_empty() {
            return Err(Error::Config("`on` names no columns".to_owned()));
        }
        let mut binding = Binding::pass_all(table);
        let mut keys = Vec::new();
        for (column, counterpart) in pairs {
            let position = table.position(&column)?;
            if binding.reads.contains(&position) {
                return Err(Error::Config(format!("`on` names `{column}` twice")));
            }
            binding.read(position);
            keys.push(Key {
                data_type: table.fields[position].data_type().clone(),
                column,
                counterpart,
            });
        }
        let index = reference.index(name, &keys)?;
        let mut columns = Vec::new();
        for (column, output) in config.columns {
            let values = reference.column(name, &column)?;
            let nullable = config.missing == Missing::Null || values.null_count() > 0;
            let field = Field::new(output, values.data_type().clone(), nullable);
            binding.compute(field.clone());
            columns.push((field, ValueReader::new(&values)));
        }
        binding.check_names(table)?;
        let by: Vec<String> = keys.iter().map(|key| format!("`{}`", key.column)).collect();
        let reason = format!(
            "the reference table `{name}` has no row for its {}",
            by.join(", ")
        );
        let missing = (config.missing == Missing::Reject).then_some(reason);
        Ok((
            Self {
                index,
                columns,
                missing,
            },
            binding,
        ))
    }

    fn process(&mut self, batch: &Batch) -> Result<Output, Error> {
        let keys: Vec<ValueReader> = batch.columns.iter().map(ValueReader::new).collect();
        let mut output = Output::default();
        let mut finder = self.index.finder();
        let found: Vec<Option<usize>> = (0..batch.rows)
            .map(|row| finder.find(keys.iter().map(|key| key.value(row))))
            .collect();
        if let Some(reason) = &self.missing {
            let missing = found
                .iter()
                .enumerate()
                .filter(|(_, found)| found.is_none());
            output.rejected = missing
                .map(|(row, _)| (row as u32, reason.clone()))
                .collect();
        }
        for (field, values) in &self.columns {
            let mut builder = ValueBuilder::new(field.data_type(), batch.rows);
            for found in &found {
                let value = found.map_or(Value::Null, |row| values.value(row));
                match value {
                    Value::Null if !field.is_nullable() => builder.push_nothing(),
                    // It is of the column's own type.
                    value => drop(builder.push(&value)),
                }
            }
            output.columns.push(builder.finish());
        }
        Ok(output)
    }
}

tidemill_sdk::export!(Lookup);

#[cfg(test)]
mod tests;
