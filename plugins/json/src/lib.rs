//! Paths of a JSON column as typed columns. Numbers are taken by their digits, so that they are exact.

mod extract;
mod path;

use std::collections::BTreeMap;

use arrow_schema::{DataType, Field};
use tidemill_kernels::convert::TypeName;
use tidemill_sdk::{
    Batch, Binding, ConfigSchema, Error, Output, Table, Transform, Value, ValueBuilder,
};

use extract::{Found, Why, typed};
use path::Tree;

/// Makes columns out of paths of a JSON column.
#[derive(Debug, serde::Deserialize, ConfigSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The column with JSON text.
    column: String,
    /// New columns, by name.
    extract: BTreeMap<String, Extract>,
    /// Leave the JSON column itself out.
    #[serde(default)]
    #[schema(default = false)]
    drop: bool,
}

/// A column out of a path.
#[derive(Debug, serde::Deserialize, ConfigSchema)]
#[serde(deny_unknown_fields)]
struct Extract {
    /// Where the value stands: `$.order.items[0].price`, `$["a name"]`, or a JSON Pointer, `/order/items/0/price`.
    path: String,
    /// The column's type. Objects and lists become text as they are written.
    r#type: TypeName,
    /// What becomes of a row whose value isn't exactly one of the type, or whose text is no JSON.
    #[serde(default)]
    #[schema(default = "reject")]
    mismatch: Otherwise,
    /// What becomes of a row without a value there, or with `null`.
    #[serde(default = "null")]
    #[schema(default = "null")]
    missing: Otherwise,
}

/// What becomes of a row without the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Deserialize, ConfigSchema)]
#[serde(rename_all = "lowercase")]
enum Otherwise {
    Null,
    #[default]
    Reject,
}

fn null() -> Otherwise {
    Otherwise::Null
}

/// A computed column.
#[derive(Debug)]
struct Computed {
    name: String,
    path: String,
    data_type: DataType,
    mismatch: Otherwise,
    missing: Otherwise,
}

/// The transform.
#[derive(Debug)]
pub struct Json {
    column: String,
    tree: Tree,
    computed: Vec<Computed>,
}

impl Transform for Json {
    type Config = Config;
    const NAME: &str = "json";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &str = "makes typed columns out of paths of a JSON column";

    fn bind(table: &Table, config: Config) -> Result<(Self, Binding), Error> {
        let position = table.position(&config.column)?;
        let field = &table.fields[position];
        if field.data_type() != &DataType::Utf8 {
            return Err(Error::Schema(format!(
                "`{}` has the type {}: JSON is text",
                config.column,
                field.data_type()
            )));
        }
        let mut binding = Binding::pass_all(table);
        binding.read(position);
        if config.drop {
            binding.leave_out(table, position)?;
        }
        let mut tree = Tree::default();
        let mut computed = Vec::new();
        for (place, (name, extract)) in config.extract.into_iter().enumerate() {
            let steps = path::parse(&extract.path).map_err(|why| {
                Error::Config(format!("the path `{}` of `{name}`: {why}", extract.path))
            })?;
            tree.add(&steps, place);
            let data_type = extract.r#type.data_type()?;
            binding.compute(Field::new(&name, data_type.clone(), true));
            computed.push(Computed {
                name,
                path: extract.path,
                data_type,
                mismatch: extract.mismatch,
                missing: extract.missing,
            });
        }
        binding.check_names(table)?;
        let json = Self {
            column: config.column,
            tree,
            computed,
        };
        Ok((json, binding))
    }

    fn process(&mut self, batch: &Batch) -> Result<Output, Error> {
        let texts = batch.utf8(0);
        let mut builders: Vec<ValueBuilder> = self
            .computed
            .iter()
            .map(|column| ValueBuilder::new(&column.data_type, batch.rows))
            .collect();
        let mut output = Output::default();
        let mut found: Found<'_> = vec![None; self.computed.len()];
        let mut buffer = String::new();
        for (row, text) in texts.iter().enumerate() {
            found.fill(None);
            let whole = text.is_none_or(|text| extract::find(&self.tree, text, &mut found));
            for ((column, builder), raw) in self.computed.iter().zip(&mut builders).zip(&found) {
                let value = match (whole, raw) {
                    (false, _) => Err(Why::NoJson),
                    (true, None) => Ok(Value::Null),
                    (true, Some(raw)) => typed(raw, &column.data_type, &mut buffer),
                };
                let why = match value {
                    Ok(Value::Null) if column.missing == Otherwise::Reject => Some(Why::Missing),
                    Ok(value) if builder.push(&value).is_ok() => continue,
                    Ok(_) => (column.mismatch == Otherwise::Reject).then_some(Why::Mismatch),
                    Err(why) => (column.mismatch == Otherwise::Reject).then_some(why),
                };
                // NULL fits every column.
                let _ = builder.push(&Value::Null);
                if let Some(why) = why {
                    output.rejected.push((row as u32, self.reason(column, why)));
                }
            }
        }
        output.columns = builders.into_iter().map(ValueBuilder::finish).collect();
        output.settle_rejections();
        Ok(output)
    }
}

impl Json {
    fn reason(&self, column: &Computed, why: Why) -> String {
        let (source, path, name) = (&self.column, &column.path, &column.name);
        match why {
            Why::NoJson => format!("`{source}` is no JSON"),
            Why::Missing => format!("`{source}` has no value at `{path}`, for `{name}`"),
            Why::Mismatch => format!(
                "the value of `{source}` at `{path}` is no exact {}, for `{name}`",
                column.data_type
            ),
        }
    }
}

tidemill_sdk::export!(Json);

#[cfg(test)]
mod tests;
