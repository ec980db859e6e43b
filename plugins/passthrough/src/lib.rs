//! Takes every column in and gives it back unchanged: what the way through the sandbox costs by itself.

use arrow_array::{Array, ArrayRef, make_array};
use arrow_data::transform::MutableArrayData;
use tidemill_sdk::{Batch, Binding, Column, Error, Output, Table, Transform};

/// Rows in front of a copy, so that it begins in the midst of a byte of its bitmaps.
const ROWS_BEFORE: usize = 3;

/// The transform.
#[derive(Debug)]
pub struct PassThrough {
    copy: bool,
}

/// Its settings.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    copy: bool,
}

impl Transform for PassThrough {
    type Config = Config;
    const NAME: &str = "passthrough";
    const SUMMARY: &str = "takes every column in and gives it back unchanged";
    const CONFIG_SCHEMA: &str = r#"{ "type": "object", "additionalProperties": false, "properties": { "copy": { "type": "boolean", "description": "write each value anew, as a plugin does that computes" } } }"#;

    fn bind(table: &Table, config: Config) -> Result<(Self, Binding), Error> {
        let reads = (0..table.fields.len()).collect();
        let output = table
            .fields
            .iter()
            .map(|field| Column::Computed(field.as_ref().clone()))
            .collect();
        Ok((
            Self { copy: config.copy },
            Binding {
                reads,
                output,
                filters: false,
            },
        ))
    }

    fn process(&mut self, batch: &Batch) -> Result<Output, Error> {
        let columns = batch.columns.iter();
        Ok(Output::columns(match self.copy {
            true => columns.map(copied).collect::<Result<_, Error>>()?,
            false => columns.cloned().collect(),
        }))
    }
}

/// The same values in other memory, behind some others.
fn copied(array: &ArrayRef) -> Result<ArrayRef, Error> {
    let data = array.to_data();
    let before = data.len().min(ROWS_BEFORE);
    let mut copy = MutableArrayData::new(vec![&data], false, before + data.len());
    copy.try_extend(0, 0, before)
        .and_then(|()| copy.try_extend(0, 0, data.len()))
        .map_err(|cause| Error::Data(cause.to_string()))?;
    Ok(make_array(copy.freeze()).slice(before, data.len()))
}

tidemill_sdk::export!(PassThrough);
