//! JSON lines: an object a line, a key a column.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{
    DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use arrow::json::ReaderBuilder;
use arrow::json::reader::infer_json_schema;
use serde_json::value::RawValue;

use super::columnar::Room;
use super::{RowsError, columnar};
use crate::schema::cell_text;

/// A line's number and its JSON.
pub(super) type Line<'a> = (usize, Cow<'a, str>);

pub(super) fn read(
    path: &Path,
    text: &str,
    columns: Option<&SchemaRef>,
    room: Room,
) -> Result<RecordBatch, RowsError> {
    let lines: Vec<(usize, Cow<'_, str>)> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(i, line)| (i + 1, Cow::Borrowed(line)))
        .collect();
    let schema = match columns {
        Some(columns) => Ok(columns.clone()),
        None => guess(&lines, room),
    };
    let batch = schema.and_then(|schema| decode(&schema, &lines));
    batch.map_err(|(line, reason)| RowsError::new(path, line, reason))
}

/// Types that hold what the lines have.
fn guess(
    lines: &[(usize, Cow<'_, str>)],
    room: Room,
) -> Result<SchemaRef, (Option<usize>, String)> {
    let whole: Vec<&str> = lines.iter().map(|(_, line)| &**line).collect();
    match infer_json_schema(whole.join("\n").as_bytes(), None) {
        Ok((schema, _)) => {
            // Each line may have a column of its own.
            room.check_cells(lines.len(), schema.fields().len())
                .map_err(|reason| (None, reason))?;
            // Arrow sorts the columns by name; they are wanted as the first line that has them does.
            let place = |field: &FieldRef| {
                let name = format!("{}:", quoted(field.name()));
                let spaced = format!("{} :", quoted(field.name()));
                whole.iter().enumerate().find_map(|(i, line)| {
                    line.find(&name)
                        .or_else(|| line.find(&spaced))
                        .map(|at| (i, at))
                })
            };
            let mut fields: Vec<FieldRef> = schema.fields().iter().cloned().collect();
            fields.sort_by_cached_key(|field| place(field).unwrap_or((usize::MAX, 0)));
            columnar::contract_schema(&Schema::new(fields)).map_err(|reason| (None, reason))
        }
        Err(cause) => Err(first_bad(lines, syntax).unwrap_or((None, cause.to_string()))),
    }
}

fn first_bad<'a>(
    lines: &'a [(usize, Cow<'_, str>)],
    check: impl Fn(&'a str) -> Result<(), String>,
) -> Option<(Option<usize>, String)> {
    let mut lines = lines.iter();
    lines.find_map(|(number, line)| check(line).err().map(|reason| (Some(*number), reason)))
}

fn syntax(line: &str) -> Result<(), String> {
    match serde_json::from_str::<BTreeMap<String, &RawValue>>(line) {
        Ok(_) => Ok(()),
        Err(cause) => Err(format!("no JSON object: {cause}")),
    }
}

/// Lines of JSON, with their numbers, as a batch of these columns. The error has the number of the line that doesn't fit.
pub(super) fn decode(
    schema: &SchemaRef,
    lines: &[(usize, Cow<'_, str>)],
) -> Result<RecordBatch, (Option<usize>, String)> {
    let lines = with_clocks(schema, lines)?;
    decode_all(schema, &lines).map_err(|whole| {
        let alone = |line: &str| {
            syntax(line)?;
            let decoded = decode_all(schema, &[(0, Cow::Borrowed(line))]).map(drop);
            decoded.map_err(|reason| match column_at_fault(schema, line) {
                Some(name) if !reason.contains(name) => format!("`{name}`: {reason}"),
                _ => reason,
            })
        };
        first_bad(&lines, alone).unwrap_or((None, whole))
    })
}

/// The first column whose value alone can't be decoded.
fn column_at_fault<'s>(schema: &'s SchemaRef, line: &str) -> Option<&'s str> {
    let cells: BTreeMap<String, &RawValue> = serde_json::from_str(line).ok()?;
    let mut fields = schema.fields().iter();
    let at_fault = fields.find(|field| {
        let Some(value) = cells.get(field.name()) else {
            return false;
        };
        let alone = Arc::new(Schema::new([Arc::clone(field)]));
        let line = format!("{{{}:{value}}}", quoted(field.name()));
        decode_all(&alone, &[(0, Cow::Owned(line))]).is_err()
    });
    at_fault.map(|field| field.name().as_str())
}

fn decode_all(schema: &SchemaRef, lines: &[(usize, Cow<'_, str>)]) -> Result<RecordBatch, String> {
    let columns = schema.fields().iter().map(|field| {
        Field::new(
            field.name(),
            readable(field.data_type()),
            field.is_nullable(),
        )
    });
    let as_read = Arc::new(Schema::new(columns.collect::<Vec<_>>()));
    let words = |cause: arrow::error::ArrowError| {
        let text = cause.to_string();
        let bare = text.strip_prefix("Json error: ");
        let bare = bare.or_else(|| text.strip_prefix("Parser error: "));
        bare.unwrap_or(&text).to_owned()
    };
    let mut decoder = ReaderBuilder::new(as_read.clone())
        .with_strict_mode(true)
        .with_batch_size(lines.len().max(1))
        .build_decoder()
        .map_err(words)?;
    for (_, line) in lines {
        decoder.decode(line.as_bytes()).map_err(words)?;
        decoder.decode(b"\n").map_err(words)?;
    }
    let batch = decoder.flush().map_err(words)?;
    let batch = batch.unwrap_or_else(|| RecordBatch::new_empty(as_read));
    let arrays = batch.columns().iter().zip(schema.fields());
    let arrays = arrays.map(|(array, field)| restored(array, field.data_type()));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), arrays.collect(), &options).map_err(words)
}

/// The type that Arrow's reader is given: it knows zones by their offset alone.
fn readable(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("+00:00".into())),
        other => other.clone(),
    }
}

fn restored(array: &ArrayRef, data_type: &DataType) -> ArrayRef {
    match data_type {
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => {
            let moments = array.as_primitive::<TimestampMicrosecondType>().clone();
            Arc::new(moments.with_timezone(zone.clone()))
        }
        _ => array.clone(),
    }
}

/// The lines with times as microseconds: Arrow's reader takes a time for one of a day, and MySQL's go from -838 hours to 838.
fn with_clocks<'a>(
    schema: &SchemaRef,
    lines: &'a [(usize, Cow<'a, str>)],
) -> Result<Vec<Line<'a>>, (Option<usize>, String)> {
    let is_time = |field: &&Arc<Field>| matches!(field.data_type(), DataType::Time64(_));
    let times: Vec<&str> = schema
        .fields()
        .iter()
        .filter(is_time)
        .map(|field| field.name().as_str())
        .collect();
    let with_clocks = |(number, line): &'a (usize, Cow<'a, str>)| {
        if times.is_empty() {
            return Ok((*number, Cow::Borrowed(&**line)));
        }
        let row = clocks_of(line, &times).map_err(|reason| (Some(*number), reason))?;
        Ok((*number, Cow::Owned(row)))
    };
    lines.iter().map(with_clocks).collect()
}

fn clocks_of(line: &str, times: &[&str]) -> Result<String, String> {
    let cells: BTreeMap<String, &RawValue> =
        serde_json::from_str(line).map_err(|cause| format!("no JSON object: {cause}"))?;
    let mut row = String::from("{");
    for (name, value) in &cells {
        let separator = if row.len() > 1 { "," } else { "" };
        let _infallible = write!(row, "{separator}{}:", quoted(name));
        match serde_json::from_str::<String>(value.get()) {
            Ok(text) if times.contains(&name.as_str()) => {
                let micros = micros(&text)
                    .ok_or_else(|| format!("`{name}`: expected a time such as -12:34:56.789"))?;
                row += &micros.to_string();
            }
            _ => row += value.get(),
        }
    }
    Ok(row + "}")
}

/// The microseconds of a time as MySQL writes it: `[-]hours:minutes:seconds[.fraction]`.
fn micros(text: &str) -> Option<i64> {
    let (sign, clock) = match text.strip_prefix('-') {
        Some(clock) => (-1, clock),
        None => (1, text),
    };
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let parts: Vec<i64> = whole.split(':').map(digits).collect::<Option<_>>()?;
    let [hours, minutes, seconds] = parts[..] else {
        return None;
    };
    if minutes > 59 || seconds > 59 || hours > 1_000_000 || fraction.len() > 6 {
        return None;
    }
    let fraction = if fraction.is_empty() {
        0
    } else {
        digits(&format!("{fraction:0<6}"))?
    };
    Some(sign * (((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + fraction))
}

fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

pub(super) fn write(batch: &RecordBatch) -> Vec<u8> {
    let mut text = String::new();
    for line in lines(batch) {
        text += &line;
        text.push('\n');
    }
    text.into_bytes()
}

/// The rows as JSON, a line each.
pub fn lines(batch: &RecordBatch) -> Vec<String> {
    (0..batch.num_rows())
        .map(|row| row_line(batch, row))
        .collect()
}

/// A row as a line of JSON.
///
/// # Panics
/// If the batch has no such row.
pub fn row_line(batch: &RecordBatch, row: usize) -> String {
    let mut line = String::from("{");
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let separator = if line.len() > 1 { ", " } else { "" };
        let cell = cell(column, row);
        let _infallible = write!(line, "{separator}{}: {cell}", quoted(field.name()));
    }
    line + "}"
}

/// A cell as JSON.
pub(super) fn cell(column: &ArrayRef, row: usize) -> String {
    let Some(text) = cell_text(column, row) else {
        return "null".to_owned();
    };
    match column.data_type() {
        DataType::Boolean => text,
        integer if integer.is_integer() => text,
        // JSON knows no infinity and no NaN.
        DataType::Float32 | DataType::Float64 if !text.contains(['N', 'i']) => text,
        DataType::List(_) => {
            let values = column.as_list::<i32>().value(row);
            let values: Vec<String> = (0..values.len()).map(|i| self::cell(&values, i)).collect();
            format!("[{}]", values.join(", "))
        }
        _ => quoted(&text),
    }
}

/// A text in JSON's quotes.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
