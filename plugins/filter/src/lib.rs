//! Keeps the rows for which an SQL condition is true: comparisons, `and`/`or`/`not`, `in`, `between`, `like`, `is null`, in SQL's three-valued
//! logic, so that a condition that is unknown (NULL) drops the row.
//!
//! The condition is parsed once, typed against the table once, and then evaluated a column at a time.

mod literal;
mod predicate;
mod typed;

use tidemill_sdk::{Batch, Binding, ConfigSchema, Error, Output, Table, Transform};

use predicate::Predicate;

/// Keeps the rows for which a condition is true.
#[derive(Debug, serde::Deserialize, ConfigSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// An SQL condition on the table's columns: =, <>, <, <=, >, >=, in, between, like, is null, and, or, not, parentheses. A row for which it
    /// is unknown (NULL) is left out.
    #[schema(min_length = 1, examples = ["status <> 'test' and (total > 0 or note is not null)"])]
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
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &str = "keeps the rows for which an SQL condition is true";

    fn bind(table: &Table, config: Config) -> Result<(Self, Binding), Error> {
        let mut binding = Binding::pass_all(table);
        binding.filters = true;
        let predicate = typed::predicate(&config.r#where, table, &mut binding)?;
        Ok((Self { predicate }, binding))
    }

    fn process(&mut self, batch: &Batch) -> Result<Output, Error> {
        let truth = predicate::evaluate(&self.predicate, batch);
        Ok(Output::filtered(truth.yes))
    }
}

tidemill_sdk::export!(Filter);

#[cfg(test)]
mod tests;
