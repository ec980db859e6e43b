//! The one type table: MySQL or MariaDB type → Arrow type → ClickHouse type, with what a pipe may ask for instead.
//!
//! The source decodes into [`MysqlType::arrow`], the destination creates columns of [`MysqlType::clickhouse`] or of an alternative
//! that [`choose`] allows, and the values are fitted from the one to the other. A column that a transform computed has no MySQL
//! type: [`clickhouse_of_arrow`] and [`choose_for_computed`]. Nothing else in Tidemill maps types; the page of documentation
//! ([`super::type_page`]) and the tests of every type ([`super::samples`]) are made of it, too.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use serde::{Deserialize, Serialize};

use super::{ClickHouseType, MysqlType, TypeError};

/// What the destination server can store, where versions differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClickHouseFeatures {
    /// Has `Time64` (25.6 and later).
    pub time64: bool,
}

/// How a column is read from the source, where its ClickHouse type needs another reading than the usual one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// As the type table says.
    #[default]
    Native,
    /// A `TINYINT(1)` as the number that it is.
    Number,
    /// MySQL's own text of the value.
    Text,
    /// A spatial value as WKB; with its SRID, as EWKB, where that isn't 0.
    Wkb,
    /// A text's bytes in its own character set.
    Bytes,
}

/// How a pipe asks for bytes where a type's text is the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// [`Form::Wkb`].
    Wkb,
    /// [`Form::Bytes`].
    Bytes,
}

/// ClickHouse types that take the same values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Bool,
    Integer,
    Float,
    Decimal,
    Date,
    DateTime,
    Time,
    Microseconds,
    String,
    FixedString,
    Enum,
    EnumOfSource,
    Json,
    Strings,
    Shape,
    Uuid,
    Ipv4,
    Ipv6,
    Floats,
}

impl Family {
    fn holds(self, wanted: &ClickHouseType) -> bool {
        use ClickHouseType as T;
        match (self, wanted) {
            (Self::Bool, T::Bool)
            | (Self::Integer, T::Int { .. } | T::UInt { .. })
            | (Self::Float, T::Float32 | T::Float64)
            | (Self::Decimal, T::Decimal { .. })
            | (Self::Date, T::Date | T::Date32)
            | (Self::DateTime, T::DateTime { .. } | T::DateTime64 { .. })
            | (Self::Time, T::Time | T::Time64 { .. })
            | (Self::Microseconds, T::Int { bits: 64 })
            | (Self::String, T::String)
            | (Self::FixedString, T::FixedString { .. })
            | (Self::Enum, T::Enum { .. })
            | (Self::EnumOfSource, T::EnumOfSource)
            | (Self::Json, T::Json)
            | (Self::Shape, T::Shape(_))
            | (Self::Uuid, T::Uuid)
            | (Self::Ipv4, T::Ipv4)
            | (Self::Ipv6, T::Ipv6) => true,
            (Self::String | Self::FixedString, T::LowCardinality(inner)) => self.holds(inner),
            (Self::Strings, T::Array(inner)) => Self::String.holds(inner),
            (Self::Floats, T::Array(inner)) => **inner == T::Float32,
            _ => false,
        }
    }

    /// The types, for people.
    fn names(self) -> &'static str {
        match self {
            Self::Bool => "Bool",
            Self::Integer => "Int8 … Int128, UInt8 … UInt64",
            Self::Float => "Float32, Float64",
            Self::Decimal => "Decimal(p, s)",
            Self::Date => "Date32, Date",
            Self::DateTime => "DateTime64(f, 'zone'), DateTime('zone')",
            Self::Time => "Time64(f), Time",
            Self::Microseconds => "Int64 (microseconds)",
            Self::String => "String, LowCardinality(String)",
            Self::FixedString => "FixedString(n)",
            Self::Enum => "Enum8('a' = 1, …), Enum16(…)",
            Self::EnumOfSource => "Enum (of the source's values)",
            Self::Json => "JSON",
            Self::Strings => "Array(String), Array(LowCardinality(String))",
            Self::Shape => "Point, LineString, MultiLineString, Polygon, MultiPolygon",
            Self::Uuid => "UUID",
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Floats => "Array(Float32)",
        }
    }
}

/// What a column can become, and how it is read for that.
type Alternative = (Family, Form);

impl MysqlType {
    /// The Arrow type that a column is decoded into, and that a transform sees.
    pub fn arrow(&self, form: Form) -> DataType {
        match (self, form) {
            (_, Form::Text) => DataType::Utf8,
            (_, Form::Wkb | Form::Bytes) => DataType::Binary,
            (_, Form::Number) => DataType::Int8,
            (_, Form::Native) => self.native_arrow(),
        }
    }

    fn native_arrow(&self) -> DataType {
        match self {
            Self::Bool | Self::Bit { bits: 1 } => DataType::Boolean,
            Self::TinyInt { unsigned: false } => DataType::Int8,
            Self::TinyInt { unsigned: true } => DataType::UInt8,
            Self::SmallInt { unsigned: false } => DataType::Int16,
            Self::SmallInt { unsigned: true } => DataType::UInt16,
            Self::MediumInt { unsigned: false } | Self::Int { unsigned: false } => DataType::Int32,
            Self::MediumInt { unsigned: true } | Self::Int { unsigned: true } => DataType::UInt32,
            Self::BigInt { unsigned: false } => DataType::Int64,
            Self::BigInt { unsigned: true } | Self::Bit { .. } => DataType::UInt64,
            &Self::Decimal { precision, scale } if precision <= 38 => {
                DataType::Decimal128(precision, scale as i8)
            }
            &Self::Decimal { precision, scale } => DataType::Decimal256(precision, scale as i8),
            Self::Float => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Year => DataType::UInt16,
            Self::Date => DataType::Date32,
            Self::DateTime { .. } => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Timestamp { .. } => {
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
            }
            // Signed, and beyond a day: the same 64 bits, whose range Arrow itself doesn't enforce.
            Self::Time { .. } => DataType::Time64(TimeUnit::Microsecond),
            Self::Text | Self::Enum { .. } | Self::Set { .. } | Self::Json | Self::Geometry => {
                DataType::Utf8
            }
            Self::Binary { .. } | Self::Blob => DataType::Binary,
            Self::Vector => DataType::List(Arc::new(Field::new("item", DataType::Float32, false))),
            Self::Uuid | Self::Inet6 => DataType::FixedSizeBinary(16),
            Self::Inet4 => DataType::UInt32,
        }
    }

    /// The ClickHouse type of the column, without regard to NULL, where the pipe asks for no other.
    pub fn clickhouse(&self, form: Form, features: ClickHouseFeatures) -> ClickHouseType {
        use ClickHouseType as T;
        if form != Form::Native {
            return clickhouse_of_arrow(&self.arrow(form), features);
        }
        match self {
            Self::DateTime { fraction } | Self::Timestamp { fraction } => T::DateTime64 {
                fraction: *fraction,
                zone: "UTC".to_owned(),
            },
            Self::Time { fraction } if features.time64 => T::Time64 {
                fraction: *fraction,
            },
            Self::Enum { .. } => T::low_cardinality_string(),
            Self::Uuid => T::Uuid,
            Self::Inet4 => T::Ipv4,
            Self::Inet6 => T::Ipv6,
            _ => clickhouse_of_arrow(&self.native_arrow(), features),
        }
    }

    /// What the column can become. For `String` the first that fits is meant, unless the pipe says a [`Format`].
    fn alternatives(&self) -> &'static [Alternative] {
        use Family as F;
        use Form::{Bytes, Native, Number, Text, Wkb};
        match self {
            Self::Bool => &[(F::Bool, Native), (F::Integer, Number)],
            Self::TinyInt { .. }
            | Self::SmallInt { .. }
            | Self::MediumInt { .. }
            | Self::Int { .. }
            | Self::BigInt { .. }
            | Self::Bit { .. } => &[(F::Integer, Native), (F::Bool, Native)],
            Self::Decimal { .. } => &[
                (F::Decimal, Native),
                (F::Integer, Native),
                (F::String, Text),
            ],
            Self::Float | Self::Double => &[(F::Float, Native)],
            Self::Year => &[(F::Integer, Native)],
            Self::Date => &[(F::Date, Native), (F::String, Text)],
            Self::DateTime { .. } | Self::Timestamp { .. } => {
                &[(F::DateTime, Native), (F::String, Text)]
            }
            Self::Time { .. } => &[
                (F::Time, Native),
                (F::Microseconds, Native),
                (F::String, Text),
            ],
            Self::Text => &[
                (F::String, Native),
                (F::FixedString, Native),
                (F::Enum, Native),
                (F::Json, Native),
                (F::String, Bytes),
            ],
            Self::Binary { .. } | Self::Blob => &[(F::String, Native), (F::FixedString, Native)],
            Self::Enum { .. } => &[
                (F::String, Native),
                (F::FixedString, Native),
                (F::EnumOfSource, Native),
                (F::Enum, Native),
            ],
            Self::Set { .. } => &[(F::String, Native), (F::Strings, Native)],
            Self::Json => &[(F::String, Native), (F::Json, Native)],
            Self::Geometry => &[(F::String, Native), (F::String, Wkb), (F::Shape, Native)],
            Self::Vector => &[(F::Floats, Native)],
            Self::Uuid => &[(F::Uuid, Native), (F::String, Text)],
            Self::Inet4 => &[(F::Ipv4, Native), (F::String, Text)],
            Self::Inet6 => &[(F::Ipv6, Native), (F::String, Text)],
        }
    }

    /// The alternatives, for people.
    pub fn possible(&self) -> String {
        names(self.alternatives().iter().copied())
    }

    /// The type that `Enum` means for this column: the source's values under the source's numbers, and the empty error value 0,
    /// where it isn't one of them.
    fn source_enum(&self) -> Option<ClickHouseType> {
        let Self::Enum { values } = self else {
            return None;
        };
        let mut numbered: Vec<(String, i16)> = Vec::with_capacity(values.len() + 1);
        if !values.iter().any(String::is_empty) {
            numbered.push((String::new(), 0));
        }
        for (i, value) in values.iter().enumerate() {
            numbered.push((value.clone(), i16::try_from(i + 1).ok()?));
        }
        Some(ClickHouseType::Enum { values: numbered })
    }
}

fn names(alternatives: impl Iterator<Item = Alternative>) -> String {
    let name = |(family, form): Alternative| match form {
        Form::Wkb => "String with format = \"wkb\"".to_owned(),
        Form::Bytes => "String with format = \"bytes\"".to_owned(),
        _ => family.names().to_owned(),
    };
    alternatives.map(name).collect::<Vec<_>>().join(", ")
}

/// How a column must be read to become what the pipe asks for, and what that is.
///
/// # Errors
/// A type or format that the table doesn't allow for the column.
pub fn choose(
    column: &MysqlType,
    wanted: Option<&ClickHouseType>,
    format: Option<Format>,
) -> Result<(Form, Option<ClickHouseType>), TypeError> {
    let refused = |wanted: String| TypeError::Alternative {
        wanted,
        column: format!("a column of MySQL type {}", column.name()),
        possible: column.possible(),
    };
    let form = match format {
        Some(Format::Wkb) => Some(Form::Wkb),
        Some(Format::Bytes) => Some(Form::Bytes),
        None => None,
    };
    let wanted = match (wanted, form) {
        (None, None) => return Ok((Form::Native, None)),
        (None, Some(_)) => ClickHouseType::String,
        (Some(wanted), _) => wanted.clone(),
    };
    let found = column
        .alternatives()
        .iter()
        .find(|(family, by)| family.holds(&wanted) && form.is_none_or(|form| form == *by));
    match found {
        None if form.is_some() => Err(refused(format!("{wanted} with this format"))),
        None => Err(refused(wanted.to_string())),
        Some((Family::EnumOfSource, form)) => match column.source_enum() {
            Some(of_source) => Ok((*form, Some(of_source))),
            None => Err(refused("Enum of more than 32767 values".to_owned())),
        },
        Some((_, form)) => Ok((*form, Some(wanted))),
    }
}

/// What a column that a transform computed can become.
fn alternatives_of_arrow(data_type: &DataType) -> &'static [Family] {
    use Family as F;
    match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt64 => &[F::Integer, F::Bool],
        DataType::UInt32 => &[F::Integer, F::Bool, F::Ipv4],
        DataType::Float32 | DataType::Float64 => &[F::Float],
        DataType::Decimal128(..) | DataType::Decimal256(..) => &[F::Decimal, F::Integer],
        DataType::Date32 => &[F::Date],
        DataType::Timestamp(..) => &[F::DateTime],
        DataType::Time64(_) => &[F::Time, F::Microseconds],
        DataType::Utf8 => &[
            F::String,
            F::FixedString,
            F::Enum,
            F::Json,
            F::Strings,
            F::Shape,
        ],
        DataType::Binary => &[F::String, F::FixedString],
        DataType::FixedSizeBinary(16) => &[F::FixedString, F::Uuid, F::Ipv6],
        DataType::FixedSizeBinary(_) => &[F::FixedString],
        DataType::List(_) => &[F::Floats],
        _ => &[],
    }
}

/// Whether a column that a transform computed can become what the pipe asks for.
///
/// # Errors
/// A type that the table doesn't allow for the Arrow type.
pub fn choose_for_computed(data_type: &DataType, wanted: &ClickHouseType) -> Result<(), TypeError> {
    let families = alternatives_of_arrow(data_type);
    if families.iter().any(|family| family.holds(wanted)) {
        return Ok(());
    }
    Err(TypeError::Alternative {
        wanted: wanted.to_string(),
        column: format!("a computed column of Arrow type {data_type}"),
        possible: names(families.iter().map(|family| (*family, Form::Native))),
    })
}

/// The ClickHouse type of an Arrow column, without regard to NULL.
pub fn clickhouse_of_arrow(data_type: &DataType, features: ClickHouseFeatures) -> ClickHouseType {
    use ClickHouseType as T;
    match data_type {
        DataType::Boolean => T::Bool,
        DataType::Int8 => T::Int { bits: 8 },
        DataType::Int16 => T::Int { bits: 16 },
        DataType::Int32 => T::Int { bits: 32 },
        DataType::UInt8 => T::UInt { bits: 8 },
        DataType::UInt16 => T::UInt { bits: 16 },
        DataType::UInt32 => T::UInt { bits: 32 },
        DataType::UInt64 => T::UInt { bits: 64 },
        DataType::Float32 => T::Float32,
        DataType::Float64 => T::Float64,
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            T::Decimal {
                precision: *precision,
                scale: scale.unsigned_abs(),
            }
        }
        DataType::Date32 => T::Date32,
        DataType::Timestamp(_, _) => T::DateTime64 {
            fraction: 6,
            zone: "UTC".to_owned(),
        },
        DataType::Time64(_) if features.time64 => T::Time64 { fraction: 6 },
        // Times of servers without a type for them are numbers of microseconds.
        DataType::Int64 | DataType::Time64(_) => T::Int { bits: 64 },
        DataType::FixedSizeBinary(bytes) => T::FixedString {
            bytes: bytes.unsigned_abs(),
        },
        DataType::List(item) => T::Array(Box::new(clickhouse_of_arrow(item.data_type(), features))),
        // Text and bytes: the contract between host and plugins has no other types.
        _ => T::String,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(column: &str, wanted: &str, format: Option<Format>) -> Result<String, String> {
        let column = MysqlType::parse(column).expect("a type");
        let wanted = wanted.parse().expect("a ClickHouse type");
        match choose(&column, Some(&wanted), format) {
            Ok((form, chosen)) => Ok(format!("{} by {form:?}", chosen.expect("stated"))),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn only_listed_alternatives_are_taken() {
        for (column, wanted, expected) in [
            ("tinyint(1)", "Int8", "Int8 by Number"),
            ("bigint unsigned", "Int64", "Int64 by Native"),
            ("date", "String", "String by Text"),
            (
                "datetime(6)",
                "DateTime64(3, 'Europe/Berlin')",
                "DateTime64(3, 'Europe/Berlin') by Native",
            ),
            ("geometry", "String", "String by Native"),
            (
                "enum('b','a')",
                "Enum",
                "Enum8('' = 0, 'b' = 1, 'a' = 2) by Native",
            ),
            ("enum('','a')", "Enum", "Enum8('' = 1, 'a' = 2) by Native"),
            (
                "set('a')",
                "Array(LowCardinality(String))",
                "Array(LowCardinality(String)) by Native",
            ),
        ] {
            assert_eq!(chosen(column, wanted, None).as_deref(), Ok(expected));
        }
        assert_eq!(
            chosen("point", "String", Some(Format::Wkb)).as_deref(),
            Ok("String by Wkb")
        );
        let refused = chosen("year", "String", None).expect_err("not in the table");
        insta::assert_snapshot!(refused, @"`String` is not possible for a column of MySQL type YEAR: choose one of Int8 … Int128, UInt8 … UInt64");
        assert!(chosen("int", "String", Some(Format::Wkb)).is_err());
    }

    #[test]
    fn the_default_is_one_of_the_alternatives() {
        let features = ClickHouseFeatures { time64: true };
        for sample in crate::schema::samples::samples() {
            let parsed = MysqlType::parse(&sample.sql.to_lowercase()).expect(sample.sql);
            let default = parsed.clickhouse(Form::Native, features);
            assert_eq!(
                choose(&parsed, Some(&default), None),
                Ok((Form::Native, Some(default.clone()))),
                "{}",
                sample.sql
            );
        }
    }
}
