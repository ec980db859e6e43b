//! The contract's types, and Arrow's.

use std::sync::Arc;

use arrow_schema::{DataType, Field, TimeUnit};

use crate::contract::types;

/// Arrow's type for a type of the contract.
pub(crate) fn data_type(wire: &types::DataType) -> DataType {
    match wire {
        types::DataType::Boolean => DataType::Boolean,
        types::DataType::Int8 => DataType::Int8,
        types::DataType::Int16 => DataType::Int16,
        types::DataType::Int32 => DataType::Int32,
        types::DataType::Int64 => DataType::Int64,
        types::DataType::Uint8 => DataType::UInt8,
        types::DataType::Uint16 => DataType::UInt16,
        types::DataType::Uint32 => DataType::UInt32,
        types::DataType::Uint64 => DataType::UInt64,
        types::DataType::Float32 => DataType::Float32,
        types::DataType::Float64 => DataType::Float64,
        types::DataType::Decimal128((precision, scale)) => DataType::Decimal128(*precision, *scale),
        types::DataType::Decimal256((precision, scale)) => DataType::Decimal256(*precision, *scale),
        types::DataType::Date32 => DataType::Date32,
        types::DataType::Time64Us => DataType::Time64(TimeUnit::Microsecond),
        types::DataType::TimestampUs(zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.as_deref().map(Into::into))
        }
        types::DataType::Utf8 => DataType::Utf8,
        types::DataType::Binary => DataType::Binary,
        types::DataType::FixedBinary(bytes) => DataType::FixedSizeBinary(*bytes as i32),
        types::DataType::Float32List => {
            DataType::List(Arc::new(Field::new("item", DataType::Float32, false)))
        }
    }
}

/// The contract's type for Arrow's; none if it has none.
pub(crate) fn wire_type(arrow: &DataType) -> Option<types::DataType> {
    Some(match arrow {
        DataType::Boolean => types::DataType::Boolean,
        DataType::Int8 => types::DataType::Int8,
        DataType::Int16 => types::DataType::Int16,
        DataType::Int32 => types::DataType::Int32,
        DataType::Int64 => types::DataType::Int64,
        DataType::UInt8 => types::DataType::Uint8,
        DataType::UInt16 => types::DataType::Uint16,
        DataType::UInt32 => types::DataType::Uint32,
        DataType::UInt64 => types::DataType::Uint64,
        DataType::Float32 => types::DataType::Float32,
        DataType::Float64 => types::DataType::Float64,
        DataType::Decimal128(precision, scale) => types::DataType::Decimal128((*precision, *scale)),
        DataType::Decimal256(precision, scale) => types::DataType::Decimal256((*precision, *scale)),
        DataType::Date32 => types::DataType::Date32,
        DataType::Time64(TimeUnit::Microsecond) => types::DataType::Time64Us,
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            types::DataType::TimestampUs(zone.as_ref().map(ToString::to_string))
        }
        DataType::Utf8 => types::DataType::Utf8,
        DataType::Binary => types::DataType::Binary,
        DataType::FixedSizeBinary(bytes) => {
            types::DataType::FixedBinary(u32::try_from(*bytes).ok()?)
        }
        DataType::List(item) if item.data_type() == &DataType::Float32 => {
            types::DataType::Float32List
        }
        _ => return None,
    })
}
