//! The types of source columns, as MySQL and MariaDB name them. What becomes of them stands in [`super::type_table`].

use serde::{Deserialize, Serialize};

/// The type of a source column, with all that decoding needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MysqlType {
    /// `TINYINT(1)`, `BOOL`.
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
    /// `JSON`.
    Json,
    /// Any spatial type.
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
    #[error("`{wanted}` is not possible for {column}: choose one of {possible}")]
    Alternative {
        /// What the pipe asks for.
        wanted: String,
        /// The column's type: `a column of MySQL type YEAR`.
        column: String,
        /// What it could be.
        possible: String,
    },
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

    use crate::schema::type_table::{ClickHouseFeatures, Form};

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
                (
                    parsed.name(),
                    parsed.clickhouse(Form::Native, FEATURES).to_string()
                ),
                (name.to_owned(), clickhouse.to_owned()),
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
}
