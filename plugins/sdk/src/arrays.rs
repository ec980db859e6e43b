//! Between the contract's lists and Arrow's arrays.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, make_array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_data::ArrayData;
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

/// An array out of a column of the host's, without a copy where the memory is aligned.
pub(crate) fn array(
    rows: usize,
    data_type: &DataType,
    column: types::Column,
) -> Result<ArrayRef, String> {
    let nulls = column
        .validity
        .map(|bits| NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(bits), 0, rows)));
    let data = Buffer::from_vec(column.data);
    let mut builder = ArrayData::builder(data_type.clone())
        .len(rows)
        .nulls(nulls)
        .align_buffers(true);
    builder = match data_type {
        DataType::Utf8 | DataType::Binary => builder
            .add_buffer(Buffer::from_vec(column.offsets))
            .add_buffer(data),
        DataType::List(item) => {
            let values = ArrayData::builder(item.data_type().clone())
                .len(data.len() / 4)
                .add_buffer(data)
                .align_buffers(true)
                .build();
            builder
                .add_buffer(Buffer::from_vec(column.offsets))
                .add_child_data(values.map_err(|cause| cause.to_string())?)
        }
        _ => builder.add_buffer(data),
    };
    // SAFETY: the host sends arrays that it has validated, in Arrow's own layout, of the type that the binding asked for.
    let built = unsafe { builder.build_unchecked() };
    Ok(make_array(built))
}

/// A column for the host out of an array, whatever slice of whatever memory it is.
pub(crate) fn column(array: &ArrayRef) -> types::Column {
    let data = array.to_data();
    let (offset, rows) = (data.offset(), data.len());
    let validity = data
        .nulls()
        .filter(|nulls| nulls.null_count() > 0)
        .map(|nulls| bits(nulls.inner()));
    let (offsets, values) = match array.data_type() {
        DataType::Boolean => (
            Vec::new(),
            bits(&BooleanBuffer::new(data.buffers()[0].clone(), offset, rows)),
        ),
        DataType::Utf8 | DataType::Binary => {
            let (offsets, first, last) = rebased(&data);
            (offsets, bytes(&data.buffers()[1], first, last))
        }
        DataType::List(_) => {
            let (offsets, first, last) = rebased(&data);
            let values = &data.child_data()[0];
            let start = values.offset();
            (
                offsets,
                bytes(
                    &values.buffers()[0],
                    (start + first) * 4,
                    (start + last) * 4,
                ),
            )
        }
        fixed => {
            let width = match fixed {
                DataType::FixedSizeBinary(bytes) => *bytes as usize,
                other => other.primitive_width().unwrap_or(0),
            };
            (
                Vec::new(),
                bytes(&data.buffers()[0], offset * width, (offset + rows) * width),
            )
        }
    };
    types::Column {
        validity,
        offsets,
        data: values,
    }
}

/// Offsets that begin at 0, as bytes, and where the values begin and end in their own buffer.
fn rebased(data: &ArrayData) -> (Vec<u8>, usize, usize) {
    if data.is_empty() {
        return (vec![0; 4], 0, 0);
    }
    let offsets = &data.buffer::<i32>(0)[..=data.len()];
    let (first, last) = (offsets[0], offsets[data.len()]);
    let moved = offsets
        .iter()
        .flat_map(|offset| (offset - first).to_le_bytes())
        .collect();
    (moved, first as usize, last as usize)
}

/// A part of a buffer: the buffer's own memory if it is all of it and nobody else's.
fn bytes(buffer: &Buffer, from: usize, to: usize) -> Vec<u8> {
    if from == 0 && to == buffer.len() {
        return buffer
            .clone()
            .into_vec::<u8>()
            .unwrap_or_else(|shared| shared.as_slice().to_vec());
    }
    buffer.as_slice()[from..to].to_vec()
}

/// Bits from the first bit of the first byte on, without anything behind the last.
pub(crate) fn bits(buffer: &BooleanBuffer) -> Vec<u8> {
    let mut bytes = buffer.sliced().as_slice()[..buffer.len().div_ceil(8)].to_vec();
    if let (Some(last), used @ 1..) = (bytes.last_mut(), buffer.len() % 8) {
        *last &= (1 << used) - 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{BooleanArray, Int64Array, StringArray};

    use super::*;

    fn round_trip(given: ArrayRef) {
        let back = array(given.len(), given.data_type(), column(&given)).expect("it is an array");
        assert_eq!(&back, &given);
    }

    #[test]
    fn arrays_and_slices_cross_unchanged() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(
            (0..100)
                .map(|i| (i % 3 != 0).then_some(i))
                .collect::<Vec<_>>(),
        ));
        let texts: ArrayRef = Arc::new(StringArray::from(
            (0..100)
                .map(|i| (i % 4 != 0).then(|| "x".repeat(i)))
                .collect::<Vec<_>>(),
        ));
        let flags: ArrayRef = Arc::new(BooleanArray::from(
            (0..100)
                .map(|i| (i % 5 != 0).then_some(i % 2 == 0))
                .collect::<Vec<_>>(),
        ));
        for whole in [numbers, texts, flags] {
            for (offset, length) in [(0, 100), (0, 0), (3, 17), (8, 8), (99, 1)] {
                round_trip(whole.slice(offset, length));
            }
        }
        let plain: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        assert_eq!(
            array(2, &DataType::Int64, column(&plain))
                .expect("fits")
                .as_primitive::<Int64Type>()
                .values(),
            &[1, 2]
        );
    }
}
