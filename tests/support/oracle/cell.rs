//! How a value is asked for on either side, type by type, and the canonical text that both answers are brought to.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::geometry;
use crate::support::Flavor;

/// What a column's type means for a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Integers, BIT and YEAR: their digits.
    Integer,
    /// As many digits as it has, none of them a display zero in front: precision and scale.
    Decimal(u8, u8),
    /// 32 bits.
    Float,
    /// 64 bits.
    Double,
    Date,
    DateTime,
    Time,
    /// Text in any character set, ENUM and SET: UTF-8, in hex digits.
    Text,
    Json,
    /// In hex digits.
    Bytes,
    Geometry,
    /// The bytes of its numbers, in hex digits.
    Vector,
    Uuid,
    Inet4,
    Inet6,
}

impl Kind {
    /// Reads `information_schema.columns`' two forms of a type.
    pub(super) fn of(data_type: &str, column_type: &str) -> Self {
        match data_type.to_ascii_lowercase().as_str() {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "bit" | "year" => {
                Self::Integer
            }
            "decimal" => {
                let arguments = column_type.split(['(', ')', ',']);
                let mut numbers = arguments.filter_map(|part| part.trim().parse().ok());
                let mut next = || numbers.next().expect("precision and scale");
                Self::Decimal(next(), next())
            }
            "float" => Self::Float,
            "double" => Self::Double,
            "date" => Self::Date,
            "datetime" | "timestamp" => Self::DateTime,
            "time" => Self::Time,
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum"
            | "set" => Self::Text,
            "json" => Self::Json,
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Self::Bytes,
            "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring"
            | "multipolygon" | "geometrycollection" | "geomcollection" => Self::Geometry,
            "vector" => Self::Vector,
            "uuid" => Self::Uuid,
            "inet4" => Self::Inet4,
            "inet6" => Self::Inet6,
            other => panic!("the oracle doesn't know the type {other}"),
        }
    }

    /// The expression that MySQL is asked for.
    pub(super) fn in_mysql(self, name: &str, flavor: Flavor) -> String {
        match self {
            // `+ 0` makes a number of a BIT, and takes ZEROFILL's zeros away.
            Self::Integer => format!("{name} + 0"),
            Self::Decimal(precision, scale) => {
                format!("CAST({name} AS DECIMAL({precision}, {scale}))")
            }
            // FLOAT's own text is rounded to 6 digits; the text of a DOUBLE reads back to the same bits.
            Self::Float | Self::Double => format!("CAST({name} AS DOUBLE)"),
            Self::Text => format!("HEX(CONVERT({name} USING utf8mb4))"),
            Self::Json => format!("HEX(CAST({name} AS CHAR CHARACTER SET utf8mb4))"),
            Self::Bytes | Self::Vector => format!("HEX({name})"),
            // As stored: x before y, whatever axis order the reference system has.
            Self::Geometry => match flavor {
                Flavor::MySql => format!(
                    "CONCAT(ST_SRID({name}), ';', HEX(ST_AsBinary({name}, 'axis-order=long-lat')))"
                ),
                Flavor::MariaDb => {
                    format!("CONCAT(ST_SRID({name}), ';', HEX(ST_AsBinary({name})))")
                }
            },
            Self::Date | Self::DateTime | Self::Time | Self::Uuid | Self::Inet4 | Self::Inet6 => {
                format!("CAST({name} AS CHAR)")
            }
        }
    }

    /// The expression that ClickHouse is asked for, of a column of this ClickHouse type.
    pub(super) fn in_clickhouse(self, name: &str, clickhouse_type: &str) -> String {
        match self {
            Self::Integer if clickhouse_type.contains("Bool") => format!("toUInt8({name})"),
            Self::Float | Self::Double | Self::Bytes => format!("hex({name})"),
            Self::Text | Self::Json => format!("hex(toString({name}))"),
            Self::Vector => format!("arrayStringConcat(arrayMap(item -> hex(item), {name}))"),
            _ => name.to_owned(),
        }
    }

    /// The canonical text of MySQL's answer; none for a date that is no day, whose counterpart is NULL.
    pub(super) fn said_by_mysql(self, text: &str) -> Option<String> {
        Some(match self {
            Self::Float => text.parse::<f64>().map_or_else(
                |_| malformed(text),
                |value| hex::encode_upper((value as f32).to_le_bytes()),
            ),
            Self::Double => text.parse::<f64>().map_or_else(
                |_| malformed(text),
                |value| hex::encode_upper(value.to_le_bytes()),
            ),
            Self::Date | Self::DateTime if is_no_day(text) => return None,
            Self::Geometry => geometry::of_mysql(text).unwrap_or_else(|| malformed(text)),
            other => other.common(text),
        })
    }

    /// The canonical text of ClickHouse's answer.
    pub(super) fn held_by_clickhouse(self, text: &str) -> String {
        match self {
            Self::Geometry => geometry::of_ewkt(text).unwrap_or_else(|| malformed(text)),
            other => other.common(text),
        }
    }

    /// What both sides write alike, up to the choice of digits and letters.
    fn common(self, text: &str) -> String {
        let canonical = match self {
            Self::Time => time(text),
            Self::Uuid => text.parse::<uuid::Uuid>().ok().map(|id| id.to_string()),
            Self::Inet4 => text.parse::<Ipv4Addr>().ok().map(|ip| ip.to_string()),
            Self::Inet6 => text.parse::<Ipv6Addr>().ok().map(|ip| ip.to_string()),
            _ => Some(text.to_owned()),
        };
        canonical.unwrap_or_else(|| malformed(text))
    }
}

/// Differs from all that is well-formed.
fn malformed(text: &str) -> String {
    format!("malformed: {text}")
}

/// Whether a date is zero, partial, or none of the calendar.
fn is_no_day(text: &str) -> bool {
    let part = |range| {
        text.get(range)
            .and_then(|part: &str| part.parse::<i16>().ok())
    };
    let (Some(year), Some(month), Some(day)) = (part(0..4), part(5..7), part(8..10)) else {
        return false;
    };
    let (Ok(month), Ok(day)) = (month.try_into(), day.try_into()) else {
        return true;
    };
    jiff::civil::Date::new(year, month, day).is_err()
}

/// Sign, hours without zeros in front, and the rest digit by digit.
fn time(text: &str) -> Option<String> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let (hours, rest) = rest.split_once(':')?;
    Some(format!("{sign}{}:{rest}", hours.parse::<u16>().ok()?))
}

#[test]
fn both_sides_come_to_one_text() {
    for (kind, mysql, clickhouse) in [
        (Kind::Time, "-07:00:00.50", "-007:00:00.50"),
        (Kind::Float, "0.10000000149011612", "CDCCCC3D"),
        (Kind::Double, "-0", "0000000000000080"),
        (Kind::Inet6, "::ffff:1.2.3.4", "::FFFF:102:304"),
    ] {
        assert_eq!(
            kind.said_by_mysql(mysql),
            Some(kind.held_by_clickhouse(clickhouse))
        );
    }
    for (kind, mysql, clickhouse) in [
        (Kind::Time, "07:00:00.50", "07:00:00.5"),
        (Kind::Double, "0", "0000000000000080"),
        (Kind::Decimal(3, 1), "1.5", "1.50"),
        (Kind::Uuid, "x", "y"),
    ] {
        assert_ne!(
            kind.said_by_mysql(mysql),
            Some(kind.held_by_clickhouse(clickhouse))
        );
    }
    for date in ["0000-00-00", "2023-02-31", "2024-00-01", "2024-01-00"] {
        assert_eq!(Kind::Date.said_by_mysql(date), None);
    }
    assert_eq!(
        Kind::of("decimal", "decimal(12,3) unsigned zerofill"),
        Kind::Decimal(12, 3)
    );
}
