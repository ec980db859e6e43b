//! Several columns as one text, as MySQL's CONCAT_WS does it: a NULL leaves out its part and its separator.

use arrow_array::StringArray;
use arrow_schema::{DataType, Field};
use tidemill_kernels::convert::write_text;
use tidemill_sdk::build::TextBuilder;
use tidemill_sdk::{Batch, Error, Value, ValueReader};

/// Refuses columns that are no text and have no usual one.
pub(crate) fn check(field: &Field) -> Result<(), Error> {
    match field.data_type() {
        DataType::Binary | DataType::FixedSizeBinary(_) | DataType::List(_) => {
            Err(Error::Schema(format!(
                "`{}` has the type {}, which is no part of a text",
                field.name(),
                field.data_type()
            )))
        }
        _ => Ok(()),
    }
}

/// The texts of the columns at these places among those that are read.
pub(crate) fn concatenate(batch: &Batch, reads: &[usize], separator: &str) -> StringArray {
    let parts = reads
        .iter()
        .map(|&read| ValueReader::new(&batch.columns[read]));
    let parts: Vec<ValueReader> = parts.collect();
    let mut text = TextBuilder::with_capacity(batch.rows, batch.rows * 16);
    for row in 0..batch.rows {
        let mut first = true;
        for part in &parts {
            let value = part.value(row);
            if matches!(value, Value::Null) {
                continue;
            }
            if !std::mem::take(&mut first) {
                text.push_str(separator);
            }
            // Writing to a builder can't fail, and types without a text were refused.
            let _ = write_text(&value, &mut text);
        }
        text.end();
    }
    text.finish()
}
