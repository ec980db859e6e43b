//! Arrow columns on their way into the sandbox.
//!
//! A column's buffers are lent to the call as they are: wasmtime copies each once, into the guest's memory. Only what is no plain
//! buffer yet is made one first: a bitmap that begins within a byte, offsets that don't begin at 0, a dictionary.
//! Promised to the guest: bitmaps have exactly the bytes they need, unused bits are 0, offsets begin at 0 and end at the data's length,
//! and a column without nulls has no validity.

use arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait};
use arrow::buffer::{BooleanBuffer, Buffer, MutableBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::datatypes::{DataType, Float32Type};

use super::contract::Column;

#[cfg(target_endian = "big")]
compile_error!(
    "the contract's buffers are little-endian and are lent from Arrow's memory without conversion"
);

/// A column in the contract's form, holding Arrow's buffers for as long as they are lent.
#[derive(Debug)]
pub(super) struct LoweredColumn {
    validity: Option<Buffer>,
    offsets: Buffer,
    data: Buffer,
}

impl LoweredColumn {
    /// The column, to lend with [`LoweredColumn::lend`]. Fails on a type that a binding can't read, and on a list with null elements.
    pub(super) fn new(array: &ArrayRef) -> Result<Self, String> {
        let (offsets, data) = match array.data_type() {
            DataType::Boolean => (empty(), bitmap(array.as_boolean().values())),
            DataType::Utf8 => bytes(
                array.as_string::<i32>().offsets(),
                array.as_string::<i32>().values(),
            ),
            DataType::Binary => bytes(
                array.as_binary::<i32>().offsets(),
                array.as_binary::<i32>().values(),
            ),
            DataType::List(_) => float_list(array)?,
            DataType::FixedSizeBinary(width) => {
                (empty(), fixed(array, usize::try_from(*width).unwrap_or(0)))
            }
            DataType::Dictionary(..) => {
                let dictionary = array.as_any_dictionary();
                let plain = take(dictionary.values(), dictionary.keys(), None)
                    .map_err(|cause| cause.to_string())?;
                return Self::new(&plain);
            }
            other => match other.primitive_width() {
                Some(width) => (empty(), fixed(array, width)),
                None => return Err(format!("the type {other} can't be given to a plugin")),
            },
        };
        let validity = array
            .nulls()
            .filter(|nulls| nulls.null_count() > 0)
            .map(|nulls| bitmap(nulls.inner()));
        Ok(Self {
            validity,
            offsets,
            data,
        })
    }

    /// The column as a call's argument.
    pub(super) fn lend(&self) -> Column<'_> {
        Column {
            validity: self.validity.as_deref(),
            offsets: &self.offsets,
            data: &self.data,
        }
    }
}

fn empty() -> Buffer {
    MutableBuffer::new(0).into()
}

/// Values of a fixed width: the slice of the one buffer.
fn fixed(array: &ArrayRef, width: usize) -> Buffer {
    let data = array.to_data();
    data.buffers()[0].slice_with_length(data.offset() * width, data.len() * width)
}

/// A bitmap that begins at bit 0 and whose unused bits are 0.
fn bitmap(bits: &BooleanBuffer) -> Buffer {
    let aligned = bits.sliced().slice_with_length(0, bits.len().div_ceil(8));
    let used = bits.len() % 8;
    let unused_mask = if used == 0 { 0 } else { u8::MAX << used };
    match aligned.last() {
        Some(last) if last & unused_mask != 0 => {
            let mut copy = aligned.to_vec();
            if let Some(last) = copy.last_mut() {
                *last &= !unused_mask;
            }
            copy.into()
        }
        _ => aligned,
    }
}

/// Offsets that begin at 0, and the bytes that they span.
fn bytes(offsets: &OffsetBuffer<i32>, values: &Buffer) -> (Buffer, Buffer) {
    let (first, last) = span(offsets);
    (
        rebased(offsets),
        values.slice_with_length(first, last - first),
    )
}

fn float_list(array: &ArrayRef) -> Result<(Buffer, Buffer), String> {
    let list = array.as_list::<i32>();
    let (first, last) = span(list.offsets());
    let elements = list.values().slice(first, last - first);
    let floats = elements
        .as_primitive_opt::<Float32Type>()
        .ok_or("only lists of 32-bit floats can be given to a plugin")?;
    if floats.null_count() > 0 {
        return Err("a list holds null elements, which plugins can't be given".to_owned());
    }
    Ok((rebased(list.offsets()), floats.values().inner().clone()))
}

fn span<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> (usize, usize) {
    // An `OffsetBuffer` is never empty, never negative, and monotone.
    (offsets[0].as_usize(), offsets[offsets.len() - 1].as_usize())
}

fn rebased(offsets: &OffsetBuffer<i32>) -> Buffer {
    match offsets[0] {
        0 => offsets.inner().inner().clone(),
        first => offsets
            .iter()
            .map(|offset| offset - first)
            .collect::<Vec<i32>>()
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BinaryArray, BooleanArray, Int64Array, StringArray, StringDictionaryBuilder,
    };
    use arrow::datatypes::Int16Type;

    use super::*;

    fn lowered(array: impl Array + 'static) -> LoweredColumn {
        LoweredColumn::new(&(Arc::new(array) as ArrayRef)).unwrap()
    }

    #[test]
    fn plain_buffers_are_lent_and_not_copied() {
        let numbers = Int64Array::from(vec![1, 2, 3, 4]);
        let address = numbers.values().inner().as_ptr();
        let column = lowered(numbers.slice(1, 2));
        assert_eq!(column.data.as_ptr(), address.wrapping_add(8));
        assert_eq!(column.data.len(), 16);

        let text = StringArray::from(vec!["a", "bc"]);
        let (offsets, data) = (
            text.offsets().inner().inner().as_ptr(),
            text.values().as_ptr(),
        );
        let column = lowered(text);
        assert_eq!(
            (column.offsets.as_ptr(), column.data.as_ptr()),
            (offsets, data)
        );
    }

    #[test]
    fn a_slice_begins_at_offset_zero() {
        let column = lowered(
            StringArray::from(vec![Some("zero"), Some("one"), None, Some("three")]).slice(1, 3),
        );
        assert_eq!(column.offsets.typed_data::<i32>(), [0, 3, 3, 8]);
        assert_eq!(&*column.data, b"onethree");
        assert_eq!(column.validity.as_deref(), Some(&[0b101][..]));
    }

    #[test]
    fn bitmaps_begin_at_bit_zero_and_end_in_zeros() {
        let column = lowered(BooleanArray::from(vec![true; 19]).slice(3, 10));
        assert_eq!(&*column.data, [0xff, 0b11]);
        let column = lowered(BooleanArray::from(vec![true; 16]).slice(0, 9));
        assert_eq!(&*column.data, [0xff, 0b1]);
    }

    #[test]
    fn validity_is_left_out_where_the_slice_has_no_nulls() {
        assert!(
            lowered(BinaryArray::from(vec![None, Some(&b"x"[..])]).slice(1, 1))
                .validity
                .is_none()
        );
    }

    #[test]
    fn a_dictionary_is_read_as_its_values() {
        let mut builder = StringDictionaryBuilder::<Int16Type>::new();
        builder.append_value("small");
        builder.append_null();
        builder.append_value("large");
        builder.append_value("small");
        let column = lowered(builder.finish());
        assert_eq!(&*column.data, b"smalllargesmall");
        assert_eq!(column.validity.as_deref(), Some(&[0b1101][..]));
    }
}
