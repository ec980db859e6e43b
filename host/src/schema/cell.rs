//! Cells as a person reads them: in an error's row, in the preview, and in the table of rejected rows.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
    TimeUnit,
};
use arrow::util::display::array_value_to_string;

/// The text of a cell, or none where it is NULL: bytes in hexadecimal, a `TIME` as MySQL writes it.
///
/// # Panics
/// If the array has no such row.
pub fn cell_text(array: &dyn Array, row: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    // Arrow's own text ends at a day, and begins at midnight.
    let text = match array.data_type() {
        DataType::Time32(TimeUnit::Second) => {
            let value = array.as_primitive::<Time32SecondType>().value(row);
            clock(value.into(), 0)
        }
        DataType::Time32(_) => {
            let value = array.as_primitive::<Time32MillisecondType>().value(row);
            clock(value.into(), 3)
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            clock(array.as_primitive::<Time64MicrosecondType>().value(row), 6)
        }
        DataType::Time64(_) => clock(array.as_primitive::<Time64NanosecondType>().value(row), 9),
        // Arrow's own text knows zones by their offset alone.
        DataType::Timestamp(unit, Some(_)) => {
            let utc = DataType::Timestamp(*unit, Some("+00:00".into()));
            let moment = cast(&array.slice(row, 1), &utc);
            moment
                .and_then(|moment| array_value_to_string(&moment, 0))
                .unwrap_or_else(|error| format!("? ({error})"))
        }
        _ => array_value_to_string(array, row).unwrap_or_else(|error| format!("? ({error})")),
    };
    Some(text)
}

/// The name of a row, as errors say it: these columns of a batch, which are its key.
///
/// # Panics
/// If the batch has no such row or column.
pub fn row_text(batch: &RecordBatch, row: usize, key: impl IntoIterator<Item = usize>) -> String {
    let schema = batch.schema_ref();
    let cells = key.into_iter().map(|i| {
        let cell = cell_text(batch.column(i), row);
        named(schema.field(i).name(), cell)
    });
    cells.collect::<Vec<_>>().join(", ")
}

/// A cell with its column's name.
pub fn named(column: &str, cell: Option<String>) -> String {
    format!("{column} = {}", cell.as_deref().unwrap_or("NULL"))
}

/// A time in units of this many decimal places of a second; no decimals where they are zero.
fn clock(value: i64, decimals: u32) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let (value, second) = (value.unsigned_abs(), 10_u64.pow(decimals));
    let (seconds, fraction) = (value / second, value % second);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let text = format!("{sign}{hours:02}:{minutes:02}:{:02}", seconds % 60);
    match fraction {
        0 => text,
        _ => format!("{text}.{fraction:0width$}", width = decimals as usize),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BinaryArray, Int32Array, StringArray, Time32SecondArray, Time64MicrosecondArray,
        TimestampMicrosecondArray,
    };

    use super::*;

    #[test]
    fn a_row_is_named_by_what_mysql_would_write() {
        let moments = TimestampMicrosecondArray::from(vec![1_500_000]);
        let columns: [(&str, ArrayRef); 7] = [
            ("id", Arc::new(Int32Array::from(vec![7]))),
            (
                "t",
                Arc::new(Time64MicrosecondArray::from(vec![-3_020_398_999_999])),
            ),
            ("s", Arc::new(Time32SecondArray::from(vec![90_061]))),
            ("b", Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]]))),
            ("n", Arc::new(StringArray::from(vec![None::<&str>]))),
            ("u", Arc::new(moments.clone().with_timezone("UTC"))),
            ("w", Arc::new(moments)),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.map(|(name, array)| (name, array, true)),
        );
        assert_eq!(
            row_text(&batch.expect("equally long"), 0, 0..7),
            "id = 7, t = -838:59:58.999999, s = 25:01:01, b = 00ff, n = NULL, \
             u = 1970-01-01T00:00:01.500Z, w = 1970-01-01T00:00:01.500"
        );
    }
}
