//! CSV with a header line. `\N` is NULL in every column; an empty cell is an empty text in a column of text or bytes, and NULL in the others.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::columnar::Room;
use super::json::Line;
use super::json::{self, quoted};
use super::{RowsError, columnar};
use crate::schema::cell_text;

const NULL: &str = "\\N";

pub(super) fn read(
    path: &Path,
    text: &str,
    columns: Option<&SchemaRef>,
    room: Room,
) -> Result<RecordBatch, RowsError> {
    let schema = match columns {
        Some(columns) => columns.clone(),
        None => guess(text).map_err(|reason| RowsError::new(path, None, reason))?,
    };
    let lines = lines(text, &schema, room);
    let batch = lines.and_then(|lines| json::decode(&schema, &lines));
    batch.map_err(|(line, reason)| RowsError::new(path, line, reason))
}

fn guess(text: &str) -> Result<SchemaRef, String> {
    let (schema, _) = Format::default()
        .with_header(true)
        .infer_schema(text.as_bytes(), None)
        .map_err(|cause| cause.to_string())?;
    let schema = columnar::contract_schema(&schema)?;
    let (mut reader, mut record) = (
        csv::Reader::from_reader(text.as_bytes()),
        csv::StringRecord::new(),
    );
    let mut is_code = vec![false; schema.fields().len()];
    while reader
        .read_record(&mut record)
        .map_err(|cause| cause.to_string())?
    {
        for (cell, is_code) in record.iter().zip(&mut is_code) {
            *is_code |= !cell.is_empty() && !is_written_as_a_number(cell);
        }
    }
    let fields = schema.fields().iter().zip(is_code).map(|(field, is_code)| {
        match is_code && field.data_type().is_integer() {
            true => Arc::new(Field::new(field.name(), DataType::Utf8, true)),
            false => field.clone(),
        }
    });
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

/// Whether a cell would be written the same again if it were read as an integer: `007` is a code.
fn is_written_as_a_number(cell: &str) -> bool {
    cell.parse::<i64>()
        .is_ok_and(|number| number.to_string() == cell)
}

/// The records as JSON, with the numbers of their lines.
fn lines(
    text: &str,
    schema: &SchemaRef,
    room: Room,
) -> Result<Vec<Line<'static>>, (Option<usize>, String)> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let told = |cause: csv::Error| {
        let line = cause.position().map(|position| position.line() as usize);
        (line, cause.to_string())
    };
    let header = reader.headers().map_err(told)?.clone();
    let types: Vec<(String, Option<&DataType>)> = header
        .iter()
        .map(|name| {
            let field = schema.field_with_name(name).ok();
            (quoted(name), field.map(|field| field.data_type()))
        })
        .collect();
    let (mut lines, mut bytes) = (Vec::new(), 0);
    for record in reader.records() {
        let record = record.map_err(told)?;
        let number = record
            .position()
            .map_or(0, |position| position.line() as usize);
        let mut line = String::from("{");
        for ((name, data_type), cell) in types.iter().zip(&record) {
            let separator = if line.len() > 1 { "," } else { "" };
            let _infallible = write!(line, "{separator}{name}:{}", value(cell, *data_type));
        }
        bytes += line.len();
        room.check_named(bytes)
            .map_err(|reason| (Some(number), reason))?;
        lines.push((number, Cow::Owned(line + "}")));
    }
    Ok(lines)
}

/// A cell as JSON; of an unknown column, as text: the decoder refuses the column.
fn value(cell: &str, data_type: Option<&DataType>) -> String {
    let keeps_empty = matches!(data_type, Some(DataType::Utf8 | DataType::Binary));
    match data_type {
        _ if cell == NULL || (cell.is_empty() && !keeps_empty) => "null".to_owned(),
        Some(DataType::Boolean) => match cell {
            "1" | "true" | "TRUE" | "True" => "true".to_owned(),
            "0" | "false" | "FALSE" | "False" => "false".to_owned(),
            other => quoted(other),
        },
        Some(DataType::List(_)) if cell.starts_with('[') => cell.to_owned(),
        _ => quoted(cell),
    }
}

pub(super) fn write(batch: &RecordBatch) -> Result<Vec<u8>, String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names = batch.schema_ref().fields().iter();
    let written = writer.write_record(names.map(|field| field.name()));
    written.map_err(|cause| cause.to_string())?;
    for row in 0..batch.num_rows() {
        let cells = batch.columns().iter();
        let cells = cells.map(|column| cell_text(column, row).unwrap_or_else(|| NULL.to_owned()));
        let written = writer.write_record(cells);
        written.map_err(|cause| cause.to_string())?;
    }
    writer.into_inner().map_err(|cause| cause.to_string())
}
