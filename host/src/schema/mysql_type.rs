//! The one type table: MySQL or MariaDB type → Arrow type → ClickHouse type.
//!
//! The source decodes into [`MysqlType::arrow`], the destination creates columns of [`MysqlType::clickhouse`]; a column that
//! a transform computes has no MySQL type and gets the ClickHouse type of its Arrow type ([`clickhouse_of_arrow`]).
//! Nothing else in Tidemill maps types.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use serde::{Deserialize, Serialize};

/// The type of a source column, with all that decoding needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MysqlType {
    /// `TINYINT(1)`, `BOOL`: 0 and 1 only; any other value is an error that proposes `Int8`.
    Bool,
    /// `TINYINT`.
    TinyInt {
        /// `UNSIGNED`.
        unsigned: bool,
    },
    /// `SMALLINT`.
    SmallInt {
        /// `UNSIGNED`.
        unsigned: bool,
    },
    /// `MEDIUMINT`, 24 bits.
    MediumInt {
        /// `UNSIGNED`.
        unsigned: bool,
    },
    /// `INT`.
    Int {
        /// `UNSIGNED`.
        unsigned: bool,
    },
    /// `BIGINT`.
    BigInt {
        /// `UNSIGNED`.
        unsigned: bool,
    },
    /// `DECIMAL(precision, scale)`: precision 1 to 65, scale 0 to 30.
    Decimal {
        /// Decimal digits in all.
        precision: u8,
        /// Decimal digits after the point.
        scale: u8,
    },
    /// `FLOAT`, bit-exact.
    Float,
    /// `DOUBLE`, bit-exact.
    Double,
    /// `BIT(bits)`, 1 to 64.
    Bit {
        /// The number of bits.
        bits: u8,
    },
    /// `YEAR`; 0000 stays 0.
    Year,
    /// `DATE`.
    Date,
    /// `DATETIME(fraction)`: a wall clock without a zone.
    DateTime {
        /// Digits of the fraction of a second, 0 to 6.
        fraction: u8,
    },
    /// `TIMESTAMP(fraction)`: an instant.
    Timestamp {
        /// Digits of the fraction of a second, 0 to 6.
        fraction: u8,
    },
    /// `TIME(fraction)`: -838:59:59 to 838:59:59.
    Time {
        /// Digits of the fraction of a second, 0 to 6.
        fraction: u8,
    },
    /// `CHAR`, `VARCHAR` and `TEXT` of any size and character set.
    Text,
    /// `BINARY(bytes)`, padded with zero bytes.
    Binary {
        /// Its fixed length in bytes, 0 to 255.
        bytes: u8,
    },
    /// `VARBINARY` and `BLOB` of any size.
    Blob,
    /// `ENUM`: the values in index order; index 0 is the empty error value `''`.
    Enum {
        /// The values, the first has index 1.
        values: Vec<String>,
    },
    /// `SET`: its members joined with commas.
    Set {
        /// The members, the first has bit 0.
        values: Vec<String>,
    },
    /// `JSON`, as the server's own text.
    Json,
    /// Any spatial type: WKT with full precision, with `SRID=n;` before it if the SRID isn't 0.
    Geometry,
    /// `VECTOR(n)`.
    Vector,
    /// MariaDB's `UUID`.
    Uuid,
    /// MariaDB's `INET4`.
    Inet4,
    /// MariaDB's `INET6`.
    Inet6,
}

/// Why a column's type, as the server or the pipe names it, can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// The server names a type that the table doesn't know.
    #[error(
        "the type `{0}` is not one that Tidemill can copy; leave the column out with the `columns` plugin's `drop`"
    )]
    Unknown(String),
    /// The pipe asks for a ClickHouse type that the column can't become.
    #[error(
        "`{wanted}` is not possible for a column of MySQL type {mysql}: choose one of {possible}"
    )]
    Alternative {
        /// What the pipe asks for.
        wanted: String,
        /// The column's type, as in [`MysqlType::name`].
        mysql: String,
        /// What it could be.
        possible: String,
    },
}

/// What the destination server can store, where versions differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClickHouseFeatures {
    /// Has `Time64` (25.6 and later).
    pub time64: bool,
}

impl MysqlType {
    /// Reads a type from `information_schema.columns.column_type`, as MySQL and MariaDB write it.
    pub fn parse(column_type: &str) -> Result<Self, TypeError> {
        let unknown = || TypeError::Unknown(column_type.to_owned());
        let name_end = column_type
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(column_type.len());
        let name = column_type[..name_end].to_ascii_lowercase();
        let (arguments, attributes) = match column_type[name_end..].strip_prefix('(') {
            Some(rest) => {
                let end = arguments_end(rest).ok_or_else(unknown)?;
                (&rest[..end], &rest[end + 1..])
            }
            None => ("", &column_type[name_end..]),
        };
        let unsigned = attributes
            .split_ascii_whitespace()
            .any(|word| word.eq_ignore_ascii_case("unsigned"));
        let number = |default: u8| match arguments.trim() {
            "" => Ok(default),
            digits => digits.parse().map_err(|_| unknown()),
        };
        Ok(match name.as_str() {
            // `tinyint(1) unsigned` is a number of its own: MySQL's BOOL is signed.
            "tinyint" if arguments == "1" && !unsigned => Self::Bool,
            "bool" | "boolean" => Self::Bool,
            "tinyint" => Self::TinyInt { unsigned },
            "smallint" => Self::SmallInt { unsigned },
            "mediumint" => Self::MediumInt { unsigned },
            "int" | "integer" => Self::Int { unsigned },
            "bigint" => Self::BigInt { unsigned },
            "decimal" | "numeric" => {
                let (precision, scale) = arguments.split_once(',').unwrap_or((arguments, "0"));
                let digits = |text: &str| text.trim().parse().map_err(|_| unknown());
                Self::Decimal {
                    precision: digits(precision)?,
                    scale: digits(scale)?,
                }
            }
            "float" => Self::Float,
            "double" | "real" => Self::Double,
            "bit" => Self::Bit { bits: number(1)? },
            "year" => Self::Year,
            "date" => Self::Date,
            "datetime" => Self::DateTime {
                fraction: number(0)?,
            },
            "timestamp" => Self::Timestamp {
                fraction: number(0)?,
            },
            "time" => Self::Time {
                fraction: number(0)?,
            },
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => Self::Text,
            "binary" => Self::Binary { bytes: number(1)? },
            "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Self::Blob,
            "enum" => Self::Enum {
                values: quoted_list(arguments).ok_or_else(unknown)?,
            },
            "set" => Self::Set {
                values: quoted_list(arguments).ok_or_else(unknown)?,
            },
            "json" => Self::Json,
            "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring"
            | "multipolygon" | "geometrycollection" | "geomcollection" => Self::Geometry,
            "vector" => Self::Vector,
            "uuid" => Self::Uuid,
            "inet4" => Self::Inet4,
            "inet6" => Self::Inet6,
            _ => return Err(unknown()),
        })
    }

    /// The Arrow type that a column is decoded into, and that a transform sees.
    pub fn arrow(&self) -> DataType {
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

    /// The ClickHouse type of the column, without regard to NULL.
    pub fn clickhouse(&self, features: ClickHouseFeatures) -> String {
        match self {
            Self::DateTime { fraction } | Self::Timestamp { fraction } => {
                format!("DateTime64({fraction}, 'UTC')")
            }
            Self::Time { fraction } if features.time64 => format!("Time64({fraction})"),
            Self::Enum { .. } => "LowCardinality(String)".to_owned(),
            Self::Uuid => "UUID".to_owned(),
            Self::Inet4 => "IPv4".to_owned(),
            Self::Inet6 => "IPv6".to_owned(),
            _ => clickhouse_of_arrow(&self.arrow(), features),
        }
    }

    /// The type that the column is decoded as when the pipe asks for another ClickHouse type than the default.
    pub fn alternative(&self, wanted: &str) -> Result<Self, TypeError> {
        let possible = match (self, wanted) {
            (Self::Bool, "Bool") => return Ok(self.clone()),
            (Self::Bool, "Int8") => return Ok(Self::TinyInt { unsigned: false }),
            (Self::Bool, _) => "Bool, Int8".to_owned(),
            _ => {
                let default = self.clickhouse(ClickHouseFeatures { time64: true });
                if wanted == default {
                    return Ok(self.clone());
                }
                default
            }
        };
        Err(TypeError::Alternative {
            wanted: wanted.to_owned(),
            mysql: self.name(),
            possible,
        })
    }

    /// The type as SQL writes it, for messages and plans: `INT UNSIGNED`, `DECIMAL(10,2)`.
    pub fn name(&self) -> String {
        let unsigned = |name: &str, unsigned: bool| {
            if unsigned {
                format!("{name} UNSIGNED")
            } else {
                name.to_owned()
            }
        };
        let fraction = |name: &str, fraction: u8| {
            if fraction == 0 {
                name.to_owned()
            } else {
                format!("{name}({fraction})")
            }
        };
        match self {
            Self::Bool => "TINYINT(1)".to_owned(),
            Self::TinyInt { unsigned: u } => unsigned("TINYINT", *u),
            Self::SmallInt { unsigned: u } => unsigned("SMALLINT", *u),
            Self::MediumInt { unsigned: u } => unsigned("MEDIUMINT", *u),
            Self::Int { unsigned: u } => unsigned("INT", *u),
            Self::BigInt { unsigned: u } => unsigned("BIGINT", *u),
            Self::Decimal { precision, scale } => format!("DECIMAL({precision},{scale})"),
            Self::Float => "FLOAT".to_owned(),
            Self::Double => "DOUBLE".to_owned(),
            Self::Bit { bits } => format!("BIT({bits})"),
            Self::Year => "YEAR".to_owned(),
            Self::Date => "DATE".to_owned(),
            Self::DateTime { fraction: f } => fraction("DATETIME", *f),
            Self::Timestamp { fraction: f } => fraction("TIMESTAMP", *f),
            Self::Time { fraction: f } => fraction("TIME", *f),
            Self::Text => "TEXT".to_owned(),
            Self::Binary { bytes } => format!("BINARY({bytes})"),
            Self::Blob => "BLOB".to_owned(),
            Self::Enum { .. } => "ENUM".to_owned(),
            Self::Set { .. } => "SET".to_owned(),
            Self::Json => "JSON".to_owned(),
            Self::Geometry => "GEOMETRY".to_owned(),
            Self::Vector => "VECTOR".to_owned(),
            Self::Uuid => "UUID".to_owned(),
            Self::Inet4 => "INET4".to_owned(),
            Self::Inet6 => "INET6".to_owned(),
        }
    }
}

/// The ClickHouse type of an Arrow column that a transform computed, without regard to NULL.
pub fn clickhouse_of_arrow(data_type: &DataType, features: ClickHouseFeatures) -> String {
    match data_type {
        DataType::Boolean => "Bool".to_owned(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("Decimal({precision}, {scale})")
        }
        DataType::Date32 => "Date32".to_owned(),
        DataType::Timestamp(_, _) => "DateTime64(6, 'UTC')".to_owned(),
        DataType::Time64(_) if features.time64 => "Time64(6)".to_owned(),
        DataType::Time64(_) => "Int64".to_owned(),
        DataType::Utf8 | DataType::Binary => "String".to_owned(),
        DataType::FixedSizeBinary(bytes) => format!("FixedString({bytes})"),
        DataType::List(item) => {
            format!("Array({})", clickhouse_of_arrow(item.data_type(), features))
        }
        // The integers and floats have the same names on both sides.
        other => other.to_string(),
    }
}

/// Where the closing bracket of the arguments is, past any quoted values.
fn arguments_end(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(i, c)| match c {
        '\'' => {
            quoted = !quoted;
            None
        }
        ')' if !quoted => Some(i),
        _ => None,
    })
}

/// Reads `'a','b''c'`: quotes are doubled, and the server has already resolved backslashes.
fn quoted_list(text: &str) -> Option<Vec<String>> {
    let mut values = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut value = String::new();
        rest = rest.strip_prefix('\'')?;
        loop {
            let end = rest.find('\'')?;
            value.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            match rest.strip_prefix('\'') {
                Some(more) => {
                    value.push('\'');
                    rest = more;
                }
                None => break,
            }
        }
        values.push(value);
        rest = match rest.strip_prefix(',') {
            Some(more) => more,
            None if rest.is_empty() => rest,
            None => return None,
        };
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEATURES: ClickHouseFeatures = ClickHouseFeatures { time64: true };

    #[test]
    fn types_are_read_as_the_servers_write_them() {
        for (text, name, clickhouse) in [
            ("tinyint(1)", "TINYINT(1)", "Bool"),
            ("tinyint(1) unsigned", "TINYINT UNSIGNED", "UInt8"),
            ("tinyint(4)", "TINYINT", "Int8"),
            ("mediumint unsigned", "MEDIUMINT UNSIGNED", "UInt32"),
            ("int(10) unsigned zerofill", "INT UNSIGNED", "UInt32"),
            ("bigint", "BIGINT", "Int64"),
            ("decimal(65,30)", "DECIMAL(65,30)", "Decimal(65, 30)"),
            ("bit(1)", "BIT(1)", "Bool"),
            ("bit(64)", "BIT(64)", "UInt64"),
            ("year", "YEAR", "UInt16"),
            ("datetime(6)", "DATETIME(6)", "DateTime64(6, 'UTC')"),
            ("timestamp", "TIMESTAMP", "DateTime64(0, 'UTC')"),
            ("time(3)", "TIME(3)", "Time64(3)"),
            ("varchar(255)", "TEXT", "String"),
            ("binary(16)", "BINARY(16)", "String"),
            ("enum('a','b''c,)','')", "ENUM", "LowCardinality(String)"),
            ("multipolygon", "GEOMETRY", "String"),
            ("vector(3)", "VECTOR", "Array(Float32)"),
            ("inet6", "INET6", "IPv6"),
        ] {
            let parsed = MysqlType::parse(text).expect(text);
            assert_eq!(
                (parsed.name().as_str(), parsed.clickhouse(FEATURES).as_str()),
                (name, clickhouse),
                "{text}"
            );
        }
        assert_eq!(
            MysqlType::parse("enum('a','b''c,)','')"),
            Ok(MysqlType::Enum {
                values: vec!["a".into(), "b'c,)".into(), String::new()]
            })
        );
        assert!(matches!(
            MysqlType::parse("xmltype"),
            Err(TypeError::Unknown(_))
        ));
    }

    #[test]
    fn only_listed_alternatives_are_taken() {
        assert_eq!(
            MysqlType::Bool.alternative("Int8"),
            Ok(MysqlType::TinyInt { unsigned: false })
        );
        let refused = MysqlType::Bool
            .alternative("Int16")
            .expect_err("not in the table");
        insta::assert_snapshot!(refused, @"`Int16` is not possible for a column of MySQL type TINYINT(1): choose one of Bool, Int8");
    }
}
