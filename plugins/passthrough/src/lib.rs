//! Takes every column in and gives it back unchanged: what the way through the sandbox costs by itself.

use tidemill_sdk::{Batch, Binding, Column, Error, Output, Table, Transform};

/// The transform.
#[derive(Debug)]
pub struct PassThrough;

/// It has no settings.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Transform for PassThrough {
    type Config = Config;
    const NAME: &str = "passthrough";
    const SUMMARY: &str = "takes every column in and gives it back unchanged";
    const CONFIG_SCHEMA: &str = r#"{ "type": "object", "additionalProperties": false }"#;

    fn bind(table: &Table, _config: Config) -> Result<(Self, Binding), Error> {
        let reads = (0..table.fields.len()).collect();
        let output = table
            .fields
            .iter()
            .map(|field| Column::Computed(field.as_ref().clone()))
            .collect();
        Ok((
            Self,
            Binding {
                reads,
                output,
                filters: false,
            },
        ))
    }

    fn process(&mut self, batch: &Batch) -> Result<Output, Error> {
        Ok(Output::columns(batch.columns.clone()))
    }
}

tidemill_sdk::export!(PassThrough);
