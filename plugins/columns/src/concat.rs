//! Several columns as one text, as MySQL's CONCAT_WS does it: a NULL leaves out its part and its separator.

use std::fmt::Write;

use arrow_array::builder::StringBuilder;
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Field};
use tidemill_sdk::Error;

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

pub(crate) fn concatenate(
    columns: &[&ArrayRef],
    separator: &str,
    rows: usize,
) -> Result<StringArray, Error> {
    let failed = |cause: arrow_schema::ArrowError| Error::Data(cause.to_string());
    let options = FormatOptions::new()
        .with_datetime_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f"));
    let parts: Vec<ArrayFormatter<'_>> = columns
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    let mut text = StringBuilder::with_capacity(rows, rows * 16);
    for row in 0..rows {
        let mut first = true;
        for (column, part) in columns.iter().zip(&parts) {
            if column.is_null(row) {
                continue;
            }
            if !std::mem::take(&mut first) {
                // Writing to a builder can't fail.
                let _ = text.write_str(separator);
            }
            let written = write!(text, "{}", part.value(row));
            written.map_err(|_| Error::Data(format!("row {row} has a value without a text")))?;
        }
        text.append_value("");
    }
    Ok(text.finish())
}
