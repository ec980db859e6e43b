//! Keeps the rows for which an SQL condition is true: comparisons, `and`/`or`/`not`, `in`, `between`, `like`, `is null`, in SQL's three-valued
//! logic, so that a condition that is unknown (NULL) drops the row.
//!
//! The condition is parsed once, typed against the table once, and then evaluated a column at a time with Arrow's kernels.

mod literal;
mod predicate;
mod typed;

use arrow_array::{Array, BooleanArray};
use tidemill_sdk::{Batch, Binding, Error, Output, Table, Transform};

use predicate::Predicate;

/// The configuration; its JSON Schema is `schema.json`.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    r#where: String,
}

/// The transform.
#[derive(Debug)]
pub struct Filter {
    predicate: Predicate,
}

impl Transform for Filter {
    type Config = Config;
    const NAME: &str = "filter";
    const SUMMARY: &str = "keeps the rows for which an SQL condition is true";
    const CONFIG_SCHEMA: &str = include_str!("../schema.json");

    fn bind(table: &Table, config: Config) -> Result<(Self, Binding), Error> {
        let mut binding = Binding::pass_all(table);
        binding.filters = true;
        let predicate = typed::predicate(&config.r#where, table, &mut binding)?;
        Ok((Self { predicate }, binding))
    }

    fn process(&mut self, batch: &Batch) -> Result<Output, Error> {
        let truth = predicate::evaluate(&self.predicate, &batch.columns, batch.rows)
            .map_err(|cause| Error::Data(cause.to_string()))?;
        Ok(Output::filtered(known_and_true(&truth)))
    }
}

fn known_and_true(truth: &BooleanArray) -> arrow_buffer::BooleanBuffer {
    match truth.nulls() {
        Some(known) => truth.values() & known.inner(),
        None => truth.values().clone(),
    }
}

tidemill_sdk::export!(Filter);

#[cfg(test)]
mod tests;
