//! Casts that are exact: a value that its new type can't hold makes its row a rejected one, never a rounded or cut value.

use arrow_schema::{DataType, Field};
use serde_json::Value as Json;
use tidemill_kernels::convert::{self, TypeName};
use tidemill_sdk::{ColumnData, Error, Value, ValueBuilder, ValueReader};

use crate::Constant;

/// The type that a column is cast to.
pub(crate) fn target(field: &Field, name: &TypeName) -> Result<DataType, Error> {
    let to = name.data_type()?;
    let from = field.data_type();
    if convert::can(from, &to) {
        return Ok(to);
    }
    Err(Error::Schema(format!(
        "`{}` has the type {from}, which has no cast to {}",
        field.name(),
        name.0
    )))
}

/// The cast column, and the rows whose values it can't hold (they are the type's zero in it).
pub(crate) fn exact(column: &ColumnData, to: &DataType) -> (ColumnData, Vec<u32>) {
    let rows = column.len();
    let reader = ValueReader::new(column);
    let mut builder = ValueBuilder::new(to, rows);
    let mut lost = Vec::new();
    let mut buffer = String::new();
    for row in 0..rows {
        let cast = convert::value(reader.value(row), to, &mut buffer);
        if cast.is_none_or(|cast| builder.push(&cast).is_err()) {
            // The output's field has no more NULLs than the input's: a rejected row's cell says nothing.
            builder.push_nothing();
            lost.push(row as u32);
        }
    }
    (builder.finish(), lost)
}

/// A constant's value, as a column of one row.
pub(crate) fn constant(name: &str, constant: &Constant) -> Result<ColumnData, Error> {
    let (value, to) = match constant {
        Constant::Typed { value, r#type } => (&value.0, Some(r#type.data_type()?)),
        Constant::Plain(value) => (&value.0, None),
    };
    let unfit = |why: &str| Error::Config(format!("the constant `{name}`: {why}"));
    let (given, shown) = match value {
        Json::String(text) => (Value::from(text.as_str()), DataType::Utf8),
        Json::Bool(truth) => (Value::from(*truth), DataType::Boolean),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => (number.into(), DataType::Int64),
            (_, Some(number), _) => (number.into(), DataType::UInt64),
            (_, _, Some(number)) => (number.into(), DataType::Float64),
            _ => return Err(unfit("a number that no type holds")),
        },
        _ => {
            return Err(unfit(
                "a text, a number, `true` or `false`, or { value = …, type = … }",
            ));
        }
    };
    let to = to.unwrap_or(shown);
    let mut buffer = String::new();
    let mut builder = ValueBuilder::new(&to, 1);
    let cast = convert::value(given, &to, &mut buffer);
    match cast.map(|cast| builder.push(&cast)) {
        Some(Ok(())) => Ok(builder.finish()),
        _ => Err(unfit(&format!("{value} is no exact {to}"))),
    }
}

/// The value of a column of one row, so many times.
pub(crate) fn repeated(value: &ColumnData, rows: usize) -> ColumnData {
    let reader = ValueReader::new(value);
    let mut builder = ValueBuilder::new(value.data_type(), rows);
    for _ in 0..rows {
        // It is of the column's own type.
        let _ = builder.push(&reader.value(0));
    }
    builder.finish()
}
