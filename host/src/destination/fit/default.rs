//! A column's default: the value that takes the place of NULL.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, FixedSizeBinaryArray, StringArray, UInt32Array, new_empty_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;

use super::convert::Conversion;
use crate::schema::ClickHouseType;

const STRICT: CastOptions<'static> = CastOptions {
    safe: false,
    format_options: arrow::util::display::FormatOptions::new(),
};

/// One value, as it goes onto the wire, of a text in the pipe file.
pub(super) fn value(
    text: &str,
    from: &DataType,
    to: &ClickHouseType,
    conversion: &Conversion,
) -> Result<ArrayRef, String> {
    let refused = || format!("the default `{text}` is no value of {to}");
    let given = parsed(text, from, to).ok_or_else(refused)?;
    let converted = conversion.convert(&given, false).map_err(|_| refused())?;
    match converted.outside.is_empty() && converted.array.null_count() == 0 {
        true => Ok(converted.array),
        false => Err(refused()),
    }
}

fn parsed(text: &str, from: &DataType, to: &ClickHouseType) -> Option<ArrayRef> {
    let sixteen = |bytes: [u8; 16]| {
        FixedSizeBinaryArray::try_from_iter(std::iter::once(bytes))
            .ok()
            .map(|array| Arc::new(array) as ArrayRef)
    };
    match (to, from) {
        (ClickHouseType::Uuid, _) => sixteen(text.parse::<uuid::Uuid>().ok()?.into_bytes()),
        (ClickHouseType::Ipv6, _) => sixteen(text.parse::<Ipv6Addr>().ok()?.octets()),
        (ClickHouseType::Ipv4, _) => Some(Arc::new(UInt32Array::from(vec![u32::from(
            text.parse::<Ipv4Addr>().ok()?,
        )]))),
        (_, DataType::Binary) => Some(Arc::new(BinaryArray::from(vec![text.as_bytes()]))),
        (_, DataType::List(_)) => empty_list(text, from),
        _ => {
            let texts = StringArray::from(vec![text]);
            cast_with_options(&texts, from, &STRICT).ok()
        }
    }
}

/// The only list that a pipe can name.
fn empty_list(text: &str, list: &DataType) -> Option<ArrayRef> {
    (text == "[]").then_some(())?;
    let data = new_empty_array(list).to_data().into_builder();
    let offsets = arrow::buffer::Buffer::from_slice_ref([0_i32, 0]);
    let data = data.len(1).buffers(vec![offsets]).build().ok()?;
    Some(arrow::array::make_array(data))
}
