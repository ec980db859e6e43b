//! Columns in words: `id: int64`, `price: decimal128(10, 2)?`. The types are the contract's (see `wit/transform.wit`).

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

const TYPES: &str = "boolean, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64, decimal128(precision, scale), \
decimal256(precision, scale), date32, time64-us, timestamp-us (a wall clock), timestamp-us(UTC) (an instant), utf8, binary, fixed-binary(bytes), float32-list";

/// The columns that these words describe: `name: type`, with `?` behind the type where NULL is allowed.
pub fn columns(words: &[String]) -> Result<SchemaRef, String> {
    let fields = words.iter().map(|words| field(words));
    let fields = fields.collect::<Result<Vec<_>, String>>()?;
    for (i, field) in fields.iter().enumerate() {
        if fields[..i].iter().any(|other| other.name() == field.name()) {
            return Err(format!("there are two columns `{}`", field.name()));
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

fn field(words: &str) -> Result<Field, String> {
    // A name may have colons in it, and a zone as well: the first one after which a type stands is meant.
    let mut colons = words.match_indices(':');
    let found = colons.find_map(|(at, _)| {
        let (name, rest) = (words[..at].trim(), words[at + 1..].trim());
        let (text, nullable) = match rest.strip_suffix('?') {
            Some(text) => (text.trim_end(), true),
            None => (rest, false),
        };
        Some(Field::new(name, data_type(text)?, nullable)).filter(|_| !name.is_empty())
    });
    found.ok_or_else(|| format!("`{words}` is no column: expected `name: type`, or `name: type?` where NULL is allowed; the types are {TYPES}"))
}

fn data_type(text: &str) -> Option<DataType> {
    let (name, parameters) = match text.split_once('(') {
        Some((name, rest)) => (
            name.trim_end(),
            rest.strip_suffix(')')?.split(',').map(str::trim).collect(),
        ),
        None => (text, Vec::new()),
    };
    let decimal = |widest: u8| {
        let [precision, scale] = parameters[..] else {
            return None;
        };
        let (precision, scale): (u8, u8) = (precision.parse().ok()?, scale.parse().ok()?);
        let fits = (1..=widest).contains(&precision) && scale <= precision;
        fits.then_some((precision, i8::try_from(scale).ok()?))
    };
    Some(match (name, &parameters[..]) {
        ("boolean", []) => DataType::Boolean,
        ("int8", []) => DataType::Int8,
        ("int16", []) => DataType::Int16,
        ("int32", []) => DataType::Int32,
        ("int64", []) => DataType::Int64,
        ("uint8", []) => DataType::UInt8,
        ("uint16", []) => DataType::UInt16,
        ("uint32", []) => DataType::UInt32,
        ("uint64", []) => DataType::UInt64,
        ("float32", []) => DataType::Float32,
        ("float64", []) => DataType::Float64,
        ("decimal128", _) => decimal(38).map(|(p, s)| DataType::Decimal128(p, s))?,
        ("decimal256", _) => decimal(76).map(|(p, s)| DataType::Decimal256(p, s))?,
        ("date32", []) => DataType::Date32,
        ("time64-us", []) => DataType::Time64(TimeUnit::Microsecond),
        ("timestamp-us", []) => DataType::Timestamp(TimeUnit::Microsecond, None),
        ("timestamp-us", [zone]) if !zone.is_empty() => {
            DataType::Timestamp(TimeUnit::Microsecond, Some((*zone).into()))
        }
        ("utf8", []) => DataType::Utf8,
        ("binary", []) => DataType::Binary,
        ("fixed-binary", [width]) => {
            DataType::FixedSizeBinary(width.parse().ok().filter(|width| *width > 0)?)
        }
        ("float32-list", []) => float32_list(),
        _ => return None,
    })
}

/// The contract's list of numbers, in Arrow's terms.
pub(super) fn float32_list() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Float32, false)))
}

/// The contract's word for a type; Arrow's own where it has none.
pub fn type_text(data_type: &DataType) -> String {
    match data_type {
        DataType::Decimal128(precision, scale) => format!("decimal128({precision}, {scale})"),
        DataType::Decimal256(precision, scale) => format!("decimal256({precision}, {scale})"),
        DataType::Time64(TimeUnit::Microsecond) => "time64-us".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, None) => "timestamp-us".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => format!("timestamp-us({zone})"),
        DataType::FixedSizeBinary(width) => format!("fixed-binary({width})"),
        DataType::List(item) if item.data_type() == &DataType::Float32 => "float32-list".to_owned(),
        DataType::Dictionary(_, values) => type_text(values),
        other => other.to_string().to_ascii_lowercase(),
    }
}

/// A column in words, as [`columns`] takes them.
pub fn field_text(field: &Field) -> String {
    let nullable = if field.is_nullable() { "?" } else { "" };
    format!(
        "{}: {}{nullable}",
        field.name(),
        type_text(field.data_type())
    )
}
