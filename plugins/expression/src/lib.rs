//! Columns computed from SQL expressions of others. The grammar is `filter`'s; types are settled when the table is bound, and a value that can't
//! be computed exactly (overflow, division by zero) rejects its row.

mod evaluate;
mod function;
mod types;
mod typing;

use std::collections::BTreeMap;

use arrow_schema::{DataType, Field};
use tidemill_kernels::convert::{self, TypeName};
use tidemill_sdk::{
    Batch, Binding, ConfigSchema, Error, Output, Table, Transform, ValueBuilder, ValueReader,
};

use evaluate::Node;
use typing::Typing;

/// Computes columns from expressions.
#[derive(Debug, serde::Deserialize, ConfigSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The columns by name, and their expressions. A column of that name is replaced; else it is a new one.
    #[schema(min_properties = 1)]
    columns: BTreeMap<String, Computation>,
}

#[derive(Debug, serde::Deserialize, ConfigSchema)]
#[serde(untagged, deny_unknown_fields)]
enum Computation {
    /// An SQL expression of the columns as they come in.
    Plain(String),
    Typed {
        /// An SQL expression of the columns as they come in.
        expression: String,
        /// The column's type; by default it is the expression's own.
        r#type: TypeName,
    },
}

/// A computed column.
#[derive(Debug)]
struct Computed {
    name: String,
    data_type: DataType,
    nullable: bool,
    node: Node,
}

/// The transform.
#[derive(Debug)]
pub struct Expression {
    computed: Vec<Computed>,
}

impl Transform for Expression {
    type Config = Config;
    const NAME: &str = "expression";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &str = "computes columns from SQL expressions";

    fn bind(table: &Table, config: Config) -> Result<(Self, Binding), Error> {
        let mut binding = Binding::pass_all(table);
        let mut computed: Vec<Computed> = Vec::new();
        for (name, computation) in config.columns {
            let (text, wanted) = match &computation {
                Computation::Plain(text) => (text, None),
                Computation::Typed { expression, r#type } => {
                    (expression, Some(r#type.data_type()?))
                }
            };
            let node = Typing::node(&name, text, table, &mut binding)?;
            let own = node.data_type.clone();
            let data_type = match (wanted, own) {
                (None, Some(own)) => own,
                (Some(wanted), Some(own)) if !convert::can(&own, &wanted) => {
                    return Err(Error::Config(format!(
                        "`{name}`: its expression has the type {own}, which can't be {wanted}"
                    )));
                }
                (Some(wanted), _) => wanted,
                (None, None) => {
                    return Err(Error::Config(format!(
                        "`{name}`: its expression is NULL, of no type: say which, `type = \"string\"`"
                    )));
                }
            };
            let position = table.fields.iter().position(|field| *field.name() == name);
            // What replaces a key column, or another one that is never NULL, isn't NULL either.
            let nullable = position.is_none_or(|position| table.fields[position].is_nullable());
            let field = Field::new(&name, data_type.clone(), nullable);
            match position {
                Some(position) => binding.compute_in_place(position, field),
                None => binding.compute(field),
            }
            computed.push(Computed {
                name,
                data_type,
                nullable,
                node,
            });
        }
        computed.sort_by_key(|column| binding.place(&column.name));
        Ok((Self { computed }, binding))
    }

    fn process(&mut self, batch: &Batch) -> Result<Output, Error> {
        let columns: Vec<ValueReader> = batch.columns.iter().map(ValueReader::new).collect();
        let mut output = Output::default();
        let mut buffer = String::new();
        for computed in &self.computed {
            let mut builder = ValueBuilder::new(&computed.data_type, batch.rows);
            for row in 0..batch.rows {
                if let Err(why) = computed.push(&columns, row, &mut buffer, &mut builder) {
                    builder.push_nothing();
                    output
                        .rejected
                        .push((row as u32, format!("`{}`: {why}", computed.name)));
                }
            }
            output.columns.push(builder.finish());
        }
        output.settle_rejections();
        Ok(output)
    }
}

impl Computed {
    fn push(
        &self,
        columns: &[ValueReader],
        row: usize,
        buffer: &mut String,
        builder: &mut ValueBuilder,
    ) -> Result<(), String> {
        let value = self.node.evaluate(columns, row).map_err(str::to_owned)?;
        let value = convert::value(value, &self.data_type, buffer);
        let inexact = || format!("its value is no exact {}", self.data_type);
        match value {
            Some(tidemill_sdk::Value::Null) if !self.nullable => {
                Err("its value is NULL, and the column that it replaces never is".to_owned())
            }
            Some(value) => builder.push(&value).map_err(|_| inexact()),
            None => Err(inexact()),
        }
    }
}

tidemill_sdk::export!(Expression);

#[cfg(test)]
mod tests;
