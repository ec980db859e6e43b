//! The contract's data types and Arrow's: one table in each direction.
//!
//! A dictionary (MySQL's ENUM) is shown to a plugin as its values' type; it stays a dictionary where it is passed on.

use std::sync::Arc;

use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, Field, TimeUnit,
};

use super::contract::{self, RawDataType};

/// Widest value of the type `fixed-binary`, in bytes.
const FIXED_BINARY_MAX: u32 = 1 << 20;
/// Longest name of a time zone, in bytes.
const ZONE_MAX_BYTES: usize = 64;

/// The contract's type for an Arrow type; none if it has none.
pub(super) fn to_contract(data_type: &DataType) -> Option<contract::DataType<'_>> {
    Some(match data_type {
        DataType::Boolean => contract::DataType::Boolean,
        DataType::Int8 => contract::DataType::Int8,
        DataType::Int16 => contract::DataType::Int16,
        DataType::Int32 => contract::DataType::Int32,
        DataType::Int64 => contract::DataType::Int64,
        DataType::UInt8 => contract::DataType::Uint8,
        DataType::UInt16 => contract::DataType::Uint16,
        DataType::UInt32 => contract::DataType::Uint32,
        DataType::UInt64 => contract::DataType::Uint64,
        DataType::Float32 => contract::DataType::Float32,
        DataType::Float64 => contract::DataType::Float64,
        DataType::Decimal128(precision, scale) => {
            contract::DataType::Decimal128((*precision, *scale))
        }
        DataType::Decimal256(precision, scale) => {
            contract::DataType::Decimal256((*precision, *scale))
        }
        DataType::Date32 => contract::DataType::Date32,
        DataType::Time64(TimeUnit::Microsecond) => contract::DataType::Time64Us,
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            contract::DataType::TimestampUs(zone.as_deref())
        }
        DataType::Utf8 => contract::DataType::Utf8,
        DataType::Binary => contract::DataType::Binary,
        DataType::FixedSizeBinary(width) => {
            contract::DataType::FixedBinary(u32::try_from(*width).ok()?)
        }
        DataType::List(item) if item.data_type() == &DataType::Float32 => {
            contract::DataType::Float32List
        }
        DataType::Dictionary(_, values) if !matches!(**values, DataType::Dictionary(..)) => {
            return to_contract(values);
        }
        _ => return None,
    })
}

/// The Arrow type that a plugin declares, or what is wrong with the declaration.
pub(super) fn to_arrow(data_type: RawDataType) -> Result<DataType, String> {
    Ok(match data_type {
        RawDataType::Boolean => DataType::Boolean,
        RawDataType::Int8 => DataType::Int8,
        RawDataType::Int16 => DataType::Int16,
        RawDataType::Int32 => DataType::Int32,
        RawDataType::Int64 => DataType::Int64,
        RawDataType::Uint8 => DataType::UInt8,
        RawDataType::Uint16 => DataType::UInt16,
        RawDataType::Uint32 => DataType::UInt32,
        RawDataType::Uint64 => DataType::UInt64,
        RawDataType::Float32 => DataType::Float32,
        RawDataType::Float64 => DataType::Float64,
        RawDataType::Decimal128((precision, scale)) => {
            check_decimal(precision, scale, DECIMAL128_MAX_PRECISION)?;
            DataType::Decimal128(precision, scale)
        }
        RawDataType::Decimal256((precision, scale)) => {
            check_decimal(precision, scale, DECIMAL256_MAX_PRECISION)?;
            DataType::Decimal256(precision, scale)
        }
        RawDataType::Date32 => DataType::Date32,
        RawDataType::Time64Us => DataType::Time64(TimeUnit::Microsecond),
        RawDataType::TimestampUs(zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.map(check_zone).transpose()?)
        }
        RawDataType::Utf8 => DataType::Utf8,
        RawDataType::Binary => DataType::Binary,
        RawDataType::FixedBinary(width) if (1..=FIXED_BINARY_MAX).contains(&width) => {
            DataType::FixedSizeBinary(width as i32)
        }
        RawDataType::FixedBinary(width) => {
            return Err(format!(
                "fixed-binary of {width} bytes; 1 to {FIXED_BINARY_MAX} are possible"
            ));
        }
        RawDataType::Float32List => {
            DataType::List(Arc::new(Field::new_list_field(DataType::Float32, false)))
        }
    })
}

fn check_decimal(precision: u8, scale: i8, widest: u8) -> Result<(), String> {
    let fits = (1..=widest).contains(&precision)
        && u8::try_from(scale).is_ok_and(|scale| scale <= precision);
    if fits {
        Ok(())
    } else {
        Err(format!(
            "decimal({precision}, {scale}); a precision of 1 to {widest} and a scale of 0 to the precision are possible"
        ))
    }
}

fn check_zone(zone: String) -> Result<Arc<str>, String> {
    let plain = !zone.is_empty()
        && zone.len() <= ZONE_MAX_BYTES
        && zone.bytes().all(|b| b.is_ascii_graphic());
    if plain {
        Ok(zone.into())
    } else {
        Err("a timestamp whose time zone is no name or offset".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_that_arrow_can_t_hold_are_refused() {
        for bad in [
            RawDataType::Decimal128((39, 0)),
            RawDataType::Decimal128((0, 0)),
            RawDataType::Decimal128((10, 11)),
            RawDataType::Decimal128((10, -1)),
            RawDataType::Decimal256((77, 0)),
            RawDataType::FixedBinary(0),
            RawDataType::FixedBinary(u32::MAX),
            RawDataType::TimestampUs(Some(String::new())),
            RawDataType::TimestampUs(Some("UTC\n".to_owned())),
        ] {
            assert!(to_arrow(bad.clone()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_dictionary_is_shown_as_its_values() {
        let dictionary = DataType::Dictionary(Box::new(DataType::Int16), Box::new(DataType::Utf8));
        assert!(matches!(
            to_contract(&dictionary),
            Some(contract::DataType::Utf8)
        ));
        assert!(to_contract(&DataType::LargeUtf8).is_none());
    }
}
