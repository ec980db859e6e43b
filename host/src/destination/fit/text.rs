//! Text and bytes of a fixed length, and the members of a SET.

use std::sync::Arc;

use arrow::array::builder::{FixedSizeBinaryBuilder, ListBuilder, StringBuilder};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;

use super::convert::Converted;

/// Values of up to so many bytes, filled up with zero bytes, which ClickHouse shows as it keeps them. A shorter value that ends with one would
/// not be told from what fills it up.
pub(super) fn fixed(array: &ArrayRef, bytes: usize, clamp: bool) -> Result<Converted, ArrowError> {
    let width = i32::try_from(bytes).unwrap_or(i32::MAX);
    let mut builder = FixedSizeBinaryBuilder::with_capacity(array.len(), width);
    let mut outside = Vec::new();
    let mut padded = vec![0; bytes];
    for row in 0..array.len() {
        let value = bytes_at(array, row);
        match value.map(|value| placed(value, bytes, clamp, array.data_type())) {
            None => builder.append_null(),
            Some(None) => {
                outside.push(row);
                builder.append_null();
            }
            Some(Some(value)) => {
                padded[..value.len()].copy_from_slice(value);
                padded[value.len()..].fill(0);
                builder.append_value(&padded)?;
            }
        }
    }
    Ok(Converted {
        array: Arc::new(builder.finish()),
        outside,
    })
}

fn bytes_at(array: &ArrayRef, row: usize) -> Option<&[u8]> {
    if array.is_null(row) {
        return None;
    }
    Some(match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).as_bytes(),
        _ => array.as_binary::<i32>().value(row),
    })
}

/// The part of a value that is kept; none if it is outside.
fn placed<'v>(
    value: &'v [u8],
    bytes: usize,
    clamp: bool,
    data_type: &DataType,
) -> Option<&'v [u8]> {
    if value.len() > bytes {
        return clamp.then(|| match (data_type, std::str::from_utf8(value)) {
            (DataType::Utf8, Ok(text)) => &value[..text.floor_char_boundary(bytes)],
            _ => &value[..bytes],
        });
    }
    let is_told = value.len() == bytes || value.last() != Some(&0);
    (is_told || clamp).then_some(value)
}

/// Lists of strings.
pub(super) fn members_type() -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)))
}

/// Splits a SET's text, whose members have no commas.
pub(super) fn members(array: &ArrayRef) -> ArrayRef {
    let texts = array.as_string::<i32>();
    let mut lists = ListBuilder::new(StringBuilder::new());
    for text in texts {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            text.split(',')
                .for_each(|member| lists.values().append_value(member));
        }
        lists.append(text.is_some());
    }
    Arc::new(lists.finish())
}
