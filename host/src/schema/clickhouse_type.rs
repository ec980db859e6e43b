//! The ClickHouse types that a column can become, as the pipe file writes them and as ClickHouse does.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A ClickHouse type, without regard to NULL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClickHouseType {
    /// `Bool`.
    Bool,
    /// `Int8` to `Int128`.
    Int {
        /// 8, 16, 32, 64 or 128.
        bits: u8,
    },
    /// `UInt8` to `UInt64`.
    UInt {
        /// 8, 16, 32 or 64.
        bits: u8,
    },
    /// `Float32`.
    Float32,
    /// `Float64`.
    Float64,
    /// `Decimal(precision, scale)`.
    Decimal {
        /// Decimal digits in all, 1 to 76.
        precision: u8,
        /// Decimal digits after the point.
        scale: u8,
    },
    /// `Date`: 1970-01-01 to 2149-06-06.
    Date,
    /// `Date32`: 1900-01-01 to 2299-12-31.
    Date32,
    /// `DateTime('zone')`: whole seconds, 1970 to 2106.
    DateTime {
        /// The time zone that it is shown in.
        zone: String,
    },
    /// `DateTime64(fraction, 'zone')`.
    DateTime64 {
        /// Digits of the fraction of a second, 0 to 9.
        fraction: u8,
        /// The time zone that it is shown in.
        zone: String,
    },
    /// `Time`: whole seconds.
    Time,
    /// `Time64(fraction)`.
    Time64 {
        /// Digits of the fraction of a second, 0 to 9.
        fraction: u8,
    },
    /// `String`.
    String,
    /// `FixedString(bytes)`.
    FixedString {
        /// Its length in bytes.
        bytes: u32,
    },
    /// `LowCardinality(T)`.
    LowCardinality(Box<Self>),
    /// `Enum`: made of the source's values.
    EnumOfSource,
    /// `Enum8(…)` or `Enum16(…)`: names and numbers.
    Enum {
        /// The names with their numbers, in the order of the numbers.
        values: Vec<(String, i16)>,
    },
    /// `JSON`.
    Json,
    /// `UUID`.
    Uuid,
    /// `IPv4`.
    Ipv4,
    /// `IPv6`.
    Ipv6,
    /// `Array(T)`.
    Array(Box<Self>),
    /// A shape of the plane.
    Shape(Shape),
}

/// ClickHouse's geometric types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shape {
    /// `Point`.
    Point,
    /// `LineString`.
    LineString,
    /// `MultiLineString`.
    MultiLineString,
    /// `Polygon`.
    Polygon,
    /// `MultiPolygon`.
    MultiPolygon,
}

impl Shape {
    const ALL: [Self; 5] = [
        Self::Point,
        Self::LineString,
        Self::MultiLineString,
        Self::Polygon,
        Self::MultiPolygon,
    ];

    /// Its name in ClickHouse.
    pub fn name(self) -> &'static str {
        match self {
            Self::Point => "Point",
            Self::LineString => "LineString",
            Self::MultiLineString => "MultiLineString",
            Self::Polygon => "Polygon",
            Self::MultiPolygon => "MultiPolygon",
        }
    }

    /// How many lists are around its points.
    pub fn depth(self) -> usize {
        match self {
            Self::Point => 0,
            Self::LineString => 1,
            Self::MultiLineString | Self::Polygon => 2,
            Self::MultiPolygon => 3,
        }
    }
}

impl ClickHouseType {
    /// `LowCardinality(String)`.
    pub fn low_cardinality_string() -> Self {
        Self::LowCardinality(Box::new(Self::String))
    }

    /// The full type of a column, with `Nullable` in its place.
    pub fn full(&self, nullable: bool) -> String {
        match self {
            Self::LowCardinality(inner) if nullable => format!("LowCardinality(Nullable({inner}))"),
            _ if nullable => format!("Nullable({self})"),
            _ => self.to_string(),
        }
    }

    /// Whether ClickHouse has NULL for it: arrays and shapes have none.
    pub fn can_be_null(&self) -> bool {
        !matches!(self, Self::Array(_) | Self::Shape(_))
    }

    /// The time zone that its values are shown in.
    pub fn zone(&self) -> Option<&str> {
        match self {
            Self::DateTime { zone } | Self::DateTime64 { zone, .. } => Some(zone),
            Self::LowCardinality(inner) => inner.zone(),
            _ => None,
        }
    }
}

impl fmt::Display for ClickHouseType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("Bool"),
            Self::Int { bits } => write!(f, "Int{bits}"),
            Self::UInt { bits } => write!(f, "UInt{bits}"),
            Self::Float32 => f.write_str("Float32"),
            Self::Float64 => f.write_str("Float64"),
            Self::Decimal { precision, scale } => write!(f, "Decimal({precision}, {scale})"),
            Self::Date => f.write_str("Date"),
            Self::Date32 => f.write_str("Date32"),
            Self::DateTime { zone } => write!(f, "DateTime({})", text(zone)),
            Self::DateTime64 { fraction, zone } => {
                write!(f, "DateTime64({fraction}, {})", text(zone))
            }
            Self::Time => f.write_str("Time"),
            Self::Time64 { fraction } => write!(f, "Time64({fraction})"),
            Self::String => f.write_str("String"),
            Self::FixedString { bytes } => write!(f, "FixedString({bytes})"),
            Self::LowCardinality(inner) => write!(f, "LowCardinality({inner})"),
            Self::EnumOfSource => f.write_str("Enum"),
            Self::Enum { values } => {
                let small = values
                    .iter()
                    .all(|(_, number)| i8::try_from(*number).is_ok());
                let values: Vec<String> = values
                    .iter()
                    .map(|(name, number)| format!("{} = {number}", text(name)))
                    .collect();
                let name = if small { "Enum8" } else { "Enum16" };
                write!(f, "{name}({})", values.join(", "))
            }
            Self::Json => f.write_str("JSON"),
            Self::Uuid => f.write_str("UUID"),
            Self::Ipv4 => f.write_str("IPv4"),
            Self::Ipv6 => f.write_str("IPv6"),
            Self::Array(inner) => write!(f, "Array({inner})"),
            Self::Shape(shape) => f.write_str(shape.name()),
        }
    }
}

/// A text as ClickHouse quotes it in a type.
fn text(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

impl FromStr for ClickHouseType {
    type Err = String;

    /// Reads a type as ClickHouse writes it; `DateTime64(3)` means UTC, whatever the server's own zone is.
    fn from_str(written: &str) -> Result<Self, String> {
        let written = written.trim();
        let (name, arguments) = match written.split_once('(') {
            None => (written, Vec::new()),
            Some((name, rest)) => {
                let inner = rest
                    .strip_suffix(')')
                    .ok_or_else(|| format!("`{written}` has no closing bracket"))?;
                (name.trim(), arguments(inner))
            }
        };
        parse(name, &arguments).ok_or_else(|| unknown(written, name))
    }
}

fn unknown(written: &str, name: &str) -> String {
    match name {
        "Nullable" => format!(
            "`{written}`: leave `Nullable` out, and say `nullable = true` or `nullable = false`"
        ),
        _ => format!(
            "`{written}` is no ClickHouse type that a column can become; `tidemill types` lists them"
        ),
    }
}

fn parse(name: &str, arguments: &[&str]) -> Option<ClickHouseType> {
    use ClickHouseType as T;
    let number = |i: usize| arguments.get(i)?.parse::<u32>().ok();
    let zone = |i: usize| match arguments.get(i) {
        None => Some("UTC".to_owned()),
        Some(quoted) => unquoted(quoted),
    };
    Some(match (name, arguments.len()) {
        ("Bool" | "Boolean", 0) => T::Bool,
        ("Int8" | "Int16" | "Int32" | "Int64" | "Int128", 0) => T::Int {
            bits: name[3..].parse().ok()?,
        },
        ("UInt8" | "UInt16" | "UInt32" | "UInt64", 0) => T::UInt {
            bits: name[4..].parse().ok()?,
        },
        ("Float32", 0) => T::Float32,
        ("Float64", 0) => T::Float64,
        ("Decimal", 1 | 2) => {
            let precision = number(0).filter(|digits| (1..=76).contains(digits))?;
            let scale = if arguments.len() == 2 { number(1)? } else { 0 };
            (scale <= precision).then_some(())?;
            T::Decimal {
                precision: precision as u8,
                scale: scale as u8,
            }
        }
        ("Date", 0) => T::Date,
        ("Date32", 0) => T::Date32,
        ("DateTime", 0 | 1) => T::DateTime { zone: zone(0)? },
        ("DateTime64", 1 | 2) => T::DateTime64 {
            fraction: number(0).filter(|digits| *digits <= 9)? as u8,
            zone: zone(1)?,
        },
        ("Time", 0) => T::Time,
        ("Time64", 1) => T::Time64 {
            fraction: number(0).filter(|digits| *digits <= 9)? as u8,
        },
        ("String", 0) => T::String,
        ("FixedString", 1) => T::FixedString {
            bytes: number(0).filter(|bytes| (1..=1 << 20).contains(bytes))?,
        },
        ("LowCardinality", 1) => T::LowCardinality(Box::new(arguments[0].parse().ok()?)),
        ("Enum", 0) => T::EnumOfSource,
        ("Enum" | "Enum8" | "Enum16", _) => enumeration(name, arguments)?,
        ("JSON", 0) => T::Json,
        ("UUID", 0) => T::Uuid,
        ("IPv4", 0) => T::Ipv4,
        ("IPv6", 0) => T::Ipv6,
        ("Array", 1) => T::Array(Box::new(arguments[0].parse().ok()?)),
        (name, 0) => T::Shape(*Shape::ALL.iter().find(|shape| shape.name() == name)?),
        _ => return None,
    })
}

/// `'a' = 1, 'b' = 2`, or the names alone, which count from 1.
fn enumeration(kind: &str, arguments: &[&str]) -> Option<ClickHouseType> {
    let mut values: Vec<(String, i16)> = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let end = argument.rfind('\'')? + 1;
        let name = unquoted(&argument[..end])?;
        let number = match argument[end..].trim().strip_prefix('=') {
            Some(digits) => digits.trim().parse().ok()?,
            None if argument[end..].trim().is_empty() => values
                .last()
                .map_or(Some(1), |(_, last)| last.checked_add(1))?,
            None => return None,
        };
        let is_new = values
            .iter()
            .all(|(known, taken)| *known != name && *taken != number);
        (is_new && (kind != "Enum8" || i8::try_from(number).is_ok())).then_some(())?;
        values.push((name, number));
    }
    values.sort_by_key(|(_, number)| *number);
    (!values.is_empty()).then_some(ClickHouseType::Enum { values })
}

/// The text inside of single quotes, with backslashes and doubled quotes taken away.
fn unquoted(quoted: &str) -> Option<String> {
    let inner = quoted.trim().strip_prefix('\'')?.strip_suffix('\'')?;
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => text.push(characters.next()?),
            '\'' => text.push(characters.next().filter(|next| *next == '\'')?),
            c => text.push(c),
        }
    }
    Some(text)
}

/// Splits at the commas outside of brackets and quotes.
fn arguments(list: &str) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (i, c) in list.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                parts.push(list[start..i].trim());
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(list[start..].trim());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_and_written() {
        for (written, expected) in [
            ("Int128", "Int128"),
            ("Decimal(10,2)", "Decimal(10, 2)"),
            ("Decimal(9)", "Decimal(9, 0)"),
            ("DateTime64(3)", "DateTime64(3, 'UTC')"),
            (
                "DateTime64(3,'Europe/Berlin')",
                "DateTime64(3, 'Europe/Berlin')",
            ),
            (
                "LowCardinality( FixedString(4) )",
                "LowCardinality(FixedString(4))",
            ),
            (
                "Enum8('a' = 1, 'b\\'c, )' = -2)",
                "Enum8('b\\'c, )' = -2, 'a' = 1)",
            ),
            ("Enum('x', 'it''s')", "Enum8('x' = 1, 'it\\'s' = 2)"),
            ("Enum16('big' = 1000)", "Enum16('big' = 1000)"),
            (
                "Array(LowCardinality(String))",
                "Array(LowCardinality(String))",
            ),
            ("MultiPolygon", "MultiPolygon"),
        ] {
            let parsed: ClickHouseType = written.parse().expect(written);
            assert_eq!(parsed.to_string(), expected);
            assert_eq!(expected.parse(), Ok(parsed), "its own text");
        }
    }

    #[test]
    fn what_is_no_type_is_refused() {
        for bad in [
            "",
            "Int7",
            "Decimal(0)",
            "Decimal(5, 6)",
            "Decimal(77, 0)",
            "DateTime64(10)",
            "DateTime(Berlin)",
            "FixedString(0)",
            "Enum8('a' = 128)",
            "Enum8('a' = 1, 'a' = 2)",
            "Enum8('a = 1)",
            "Array(",
            "Tuple(Int8)",
        ] {
            assert!(bad.parse::<ClickHouseType>().is_err(), "{bad}");
        }
        let nullable = "Nullable(Int8)"
            .parse::<ClickHouseType>()
            .expect_err("stated by a setting");
        assert!(nullable.contains("nullable = true"), "{nullable}");
    }

    #[test]
    fn nullable_stands_inside_of_low_cardinality() {
        assert_eq!(
            ClickHouseType::low_cardinality_string().full(true),
            "LowCardinality(Nullable(String))"
        );
        assert_eq!(ClickHouseType::Date32.full(true), "Nullable(Date32)");
    }
}
