//! Column mapping: rename, drop, cast, constant, concatenate.
//!
//! What is renamed or dropped never enters the sandbox; only casts and concatenations read columns.

mod cast;
mod concat;

use std::collections::{BTreeMap, BTreeSet};

use arrow_schema::{DataType, Field};
use serde_json::Value;
use tidemill_kernels::convert::TypeName;
use tidemill_sdk::{
    Batch, Binding, ColumnData, ConfigSchema, Error, Output, Schema, Table, Transform,
};

/// Maps columns. Columns are named as the table that comes in names them; what is not named passes on unchanged.
#[derive(Debug, Default, serde::Deserialize, ConfigSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Columns that are left out. They are not even read from the source. Key columns can't be dropped.
    drop: BTreeSet<String>,
    /// New names, by the old ones.
    rename: BTreeMap<String, String>,
    /// New types, by column. A value that the type can't hold exactly makes its row a rejected one.
    cast: BTreeMap<String, TypeName>,
    /// New columns with the same value in every row, by name.
    constant: BTreeMap<String, Constant>,
    /// New text columns, by name: the columns' texts, with the separator between them. NULLs are left out.
    concat: BTreeMap<String, Concat>,
}

/// A value for every row, of a type that it shows or that is given.
#[derive(Debug, serde::Deserialize, ConfigSchema)]
#[serde(untagged, deny_unknown_fields)]
enum Constant {
    Typed { value: Scalar, r#type: TypeName },
    Plain(Scalar),
}

/// A text, a number, true or false.
#[derive(Debug, serde::Deserialize)]
#[serde(transparent)]
struct Scalar(Value);

impl ConfigSchema for Scalar {
    const SCHEMA: Schema = Schema::Text(r#""type":["string","number","boolean"]"#);
}

#[derive(Debug, serde::Deserialize, ConfigSchema)]
#[serde(deny_unknown_fields)]
struct Concat {
    #[schema(min_items = 1)]
    columns: Vec<String>,
    #[serde(default)]
    #[schema(default = "")]
    separator: String,
}

/// A column that is computed, by places among the columns that are read.
#[derive(Debug)]
enum Computed {
    Cast {
        read: usize,
        to: DataType,
        name: String,
    },
    Constant(ColumnData),
    Concat {
        reads: Vec<usize>,
        separator: String,
    },
}

/// The transform.
#[derive(Debug)]
pub struct Columns {
    computed: Vec<Computed>,
}

impl Transform for Columns {
    type Config = Config;
    const NAME: &str = "columns";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &str = "maps columns: rename, drop, cast, constant, concatenate";

    fn bind(table: &Table, config: Config) -> Result<(Self, Binding), Error> {
        check_columns(table, &config)?;
        let mut binding = Binding::pass_all(table);
        let mut computed = Vec::new();
        for column in &config.drop {
            binding.leave_out(table, table.position(column)?)?;
        }
        for (position, field) in table.fields.iter().enumerate() {
            let renamed = config.rename.get(field.name());
            if let Some(to) = config.cast.get(field.name()) {
                let to = cast::target(field, to)?;
                let name = renamed.unwrap_or(field.name());
                let read = binding.read(position);
                let cast = Field::new(name, to.clone(), field.is_nullable());
                binding.compute_in_place(position, cast);
                let name = field.name().clone();
                computed.push(Computed::Cast { read, to, name });
            } else if let Some(name) = renamed {
                binding.rename(position, name);
            }
        }
        for (name, constant) in &config.constant {
            let value = cast::constant(name, constant)?;
            let field = Field::new(name, value.data_type().clone(), value.is_null(0));
            binding.compute(field);
            computed.push(Computed::Constant(value));
        }
        for (name, concat) in &config.concat {
            let mut reads = Vec::new();
            for column in &concat.columns {
                let position = table.position(column)?;
                concat::check(&table.fields[position])?;
                reads.push(binding.read(position));
            }
            let field = Field::new(name, DataType::Utf8, false);
            binding.compute(field);
            let separator = concat.separator.clone();
            computed.push(Computed::Concat { reads, separator });
        }
        binding.check_names(table)?;
        Ok((Self { computed }, binding))
    }

    fn process(&mut self, batch: &Batch) -> Result<Output, Error> {
        let mut output = Output::default();
        for computed in &self.computed {
            output.columns.push(match computed {
                Computed::Cast { read, to, name } => {
                    let (cast, lost) = cast::exact(&batch.columns[*read], to);
                    let reason = |row| (row, format!("the value of `{name}` is no exact {to}"));
                    output.rejected.extend(lost.into_iter().map(reason));
                    cast
                }
                Computed::Constant(value) => cast::repeated(value, batch.rows),
                Computed::Concat { reads, separator } => {
                    concat::concatenate(batch, reads, separator).into()
                }
            });
        }
        output.settle_rejections();
        Ok(output)
    }
}

/// Every column exists, and one thing is meant for it.
fn check_columns(table: &Table, config: &Config) -> Result<(), Error> {
    for column in config.rename.keys().chain(config.cast.keys()) {
        table.position(column)?;
        if config.drop.contains(column) {
            return Err(Error::Config(format!(
                "`{column}` is dropped and is renamed or cast, too: only one of them can be meant"
            )));
        }
    }
    Ok(())
}

tidemill_sdk::export!(Columns);

#[cfg(test)]
mod tests;
