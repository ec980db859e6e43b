//! Where the values of a column are gathered, by its type.

use arrow::array::builder::BooleanBufferBuilder;
use arrow::datatypes::i256;

use super::text::Values;
use crate::schema::{Form, MysqlType};

/// The room that the first batch begins with, in rows.
pub(super) const FIRST_ROWS: usize = 1024;

/// The values of a column so far.
pub(super) enum Store {
    Bool(BooleanBufferBuilder),
    Bit1(BooleanBufferBuilder),
    I8(Vec<i8>),
    U8(Vec<u8>),
    I16(Vec<i16>),
    U16(Vec<u16>),
    I32(Vec<i32>),
    U32(Vec<u32>),
    I64(Vec<i64>),
    U64(Vec<u64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Bits(Vec<u64>),
    Decimal128(Vec<i128>, u8),
    Decimal256(Vec<i256>, u8),
    Date(Vec<i32>),
    DateTime(Vec<i64>),
    Time(Vec<i64>),
    Text(Values),
    Binary(Values, usize),
    Geometry(Values),
    Wkb(Values),
    DateText(Values),
    DateTimeText(Values, u8),
    TimeText(Values, u8),
    /// Items, and where each list ends.
    Vector(Vec<f32>, Vec<i32>),
    Uuid(Vec<u8>),
    Inet4(Vec<u32>),
    Inet6(Vec<u8>),
}

pub(super) fn store(mysql_type: &MysqlType, form: Form) -> Store {
    let values = || Values::new(FIRST_ROWS, 16 * FIRST_ROWS);
    match (form, mysql_type) {
        (Form::Native, _) => native_store(mysql_type),
        (Form::Number, _) => Store::I8(Vec::new()),
        (Form::Wkb, _) => Store::Wkb(values()),
        (Form::Bytes, _) => Store::Binary(values(), 0),
        (Form::Text, MysqlType::Date) => Store::DateText(values()),
        (Form::Text, MysqlType::DateTime { fraction } | MysqlType::Timestamp { fraction }) => {
            Store::DateTimeText(values(), *fraction)
        }
        (Form::Text, MysqlType::Time { fraction }) => Store::TimeText(values(), *fraction),
        // The server sends these as text in any case.
        (Form::Text, _) => Store::Text(values()),
    }
}

fn native_store(mysql_type: &MysqlType) -> Store {
    let values = || Values::new(FIRST_ROWS, 16 * FIRST_ROWS);
    let bits = || BooleanBufferBuilder::new(FIRST_ROWS);
    match mysql_type {
        MysqlType::Bool => Store::Bool(bits()),
        MysqlType::Bit { bits: 1 } => Store::Bit1(bits()),
        MysqlType::Bit { .. } => Store::Bits(Vec::new()),
        MysqlType::TinyInt { unsigned: false } => Store::I8(Vec::new()),
        MysqlType::TinyInt { unsigned: true } => Store::U8(Vec::new()),
        MysqlType::SmallInt { unsigned: false } => Store::I16(Vec::new()),
        MysqlType::SmallInt { unsigned: true } | MysqlType::Year => Store::U16(Vec::new()),
        MysqlType::MediumInt { unsigned: false } | MysqlType::Int { unsigned: false } => {
            Store::I32(Vec::new())
        }
        MysqlType::MediumInt { unsigned: true } | MysqlType::Int { unsigned: true } => {
            Store::U32(Vec::new())
        }
        MysqlType::BigInt { unsigned: false } => Store::I64(Vec::new()),
        MysqlType::BigInt { unsigned: true } => Store::U64(Vec::new()),
        &MysqlType::Decimal { precision, scale } if precision <= 38 => {
            Store::Decimal128(Vec::new(), scale)
        }
        &MysqlType::Decimal { scale, .. } => Store::Decimal256(Vec::new(), scale),
        MysqlType::Float => Store::F32(Vec::new()),
        MysqlType::Double => Store::F64(Vec::new()),
        MysqlType::Date => Store::Date(Vec::new()),
        MysqlType::DateTime { .. } | MysqlType::Timestamp { .. } => Store::DateTime(Vec::new()),
        MysqlType::Time { .. } => Store::Time(Vec::new()),
        MysqlType::Text | MysqlType::Enum { .. } | MysqlType::Set { .. } | MysqlType::Json => {
            Store::Text(values())
        }
        MysqlType::Binary { bytes } => Store::Binary(values(), usize::from(*bytes)),
        MysqlType::Blob => Store::Binary(values(), 0),
        MysqlType::Geometry => Store::Geometry(values()),
        MysqlType::Vector => Store::Vector(Vec::new(), first_end(FIRST_ROWS)),
        MysqlType::Uuid => Store::Uuid(Vec::new()),
        MysqlType::Inet4 => Store::Inet4(Vec::new()),
        MysqlType::Inet6 => Store::Inet6(Vec::new()),
    }
}

pub(super) fn first_end(rows: usize) -> Vec<i32> {
    let mut ends = Vec::with_capacity(rows + 1);
    ends.push(0);
    ends
}
