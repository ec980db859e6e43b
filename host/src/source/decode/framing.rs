//! How the values of each type are framed in a row of the binary protocol, so that one can be stepped over, and a result be held against the table.

use mysql_common::constants::ColumnType;

use super::text;
use crate::schema::MysqlType;
use crate::source::wire;

/// How a value is framed in a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    Bytes(usize),
    Length,
    Temporal,
}

fn framing(mysql_type: &MysqlType) -> Framing {
    match mysql_type {
        MysqlType::Bool | MysqlType::TinyInt { .. } => Framing::Bytes(1),
        MysqlType::SmallInt { .. } | MysqlType::Year => Framing::Bytes(2),
        MysqlType::MediumInt { .. } | MysqlType::Int { .. } | MysqlType::Float => Framing::Bytes(4),
        MysqlType::BigInt { .. } | MysqlType::Double => Framing::Bytes(8),
        MysqlType::Date
        | MysqlType::DateTime { .. }
        | MysqlType::Timestamp { .. }
        | MysqlType::Time { .. } => Framing::Temporal,
        _ => Framing::Length,
    }
}

/// Skips a value.
pub(super) fn skip(mysql_type: &MysqlType, cells: &mut &[u8]) {
    let length = match framing(mysql_type) {
        Framing::Bytes(length) => length,
        Framing::Temporal => cells.first().map_or(0, |&length| usize::from(length) + 1),
        Framing::Length => {
            let _ = text::take(cells);
            0
        }
    };
    *cells = cells.get(length..).unwrap_or_default();
}

/// Whether a column of a result is what the type says: the same framing, the same sign, the same kind of time.
pub(super) fn fits(mysql_type: &MysqlType, wire: &wire::Column) -> bool {
    use ColumnType as T;
    let sign = |unsigned: bool| wire.unsigned == unsigned;
    match (mysql_type, wire.column_type) {
        (MysqlType::Bool, T::MYSQL_TYPE_TINY) => true,
        (MysqlType::TinyInt { unsigned }, T::MYSQL_TYPE_TINY)
        | (MysqlType::SmallInt { unsigned }, T::MYSQL_TYPE_SHORT)
        | (MysqlType::MediumInt { unsigned }, T::MYSQL_TYPE_INT24)
        | (MysqlType::Int { unsigned }, T::MYSQL_TYPE_LONG)
        | (MysqlType::BigInt { unsigned }, T::MYSQL_TYPE_LONGLONG) => sign(*unsigned),
        (MysqlType::Year, T::MYSQL_TYPE_YEAR | T::MYSQL_TYPE_SHORT)
        | (MysqlType::Float, T::MYSQL_TYPE_FLOAT)
        | (MysqlType::Double, T::MYSQL_TYPE_DOUBLE)
        | (MysqlType::Decimal { .. }, T::MYSQL_TYPE_NEWDECIMAL)
        | (MysqlType::Bit { .. }, T::MYSQL_TYPE_BIT)
        | (MysqlType::Date, T::MYSQL_TYPE_DATE | T::MYSQL_TYPE_NEWDATE)
        | (MysqlType::DateTime { .. }, T::MYSQL_TYPE_DATETIME)
        | (MysqlType::Timestamp { .. }, T::MYSQL_TYPE_TIMESTAMP)
        | (MysqlType::Time { .. }, T::MYSQL_TYPE_TIME)
        | (MysqlType::Geometry, T::MYSQL_TYPE_GEOMETRY) => true,
        // What is framed by its length, and none of the above.
        (_, other) => {
            let bytes = matches!(
                other,
                T::MYSQL_TYPE_VARCHAR
                    | T::MYSQL_TYPE_VAR_STRING
                    | T::MYSQL_TYPE_STRING
                    | T::MYSQL_TYPE_ENUM
                    | T::MYSQL_TYPE_SET
                    | T::MYSQL_TYPE_JSON
                    | T::MYSQL_TYPE_VECTOR
                    | T::MYSQL_TYPE_TINY_BLOB
                    | T::MYSQL_TYPE_MEDIUM_BLOB
                    | T::MYSQL_TYPE_LONG_BLOB
                    | T::MYSQL_TYPE_BLOB
            );
            let framed = matches!(
                mysql_type,
                MysqlType::Text
                    | MysqlType::Binary { .. }
                    | MysqlType::Blob
                    | MysqlType::Enum { .. }
                    | MysqlType::Set { .. }
                    | MysqlType::Json
                    | MysqlType::Vector
                    | MysqlType::Uuid
                    | MysqlType::Inet4
                    | MysqlType::Inet6
            );
            bytes && framed
        }
    }
}
