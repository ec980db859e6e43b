//! The methods, on Arrow's own buffers: one allocation a column, none a value.

use std::fmt::Write;

use arrow_array::builder::StringBuilder;
use arrow_array::types::{ArrowPrimitiveType, ByteArrayType};
use arrow_array::{Array, GenericByteArray, PrimitiveArray, StringArray};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// HMAC-SHA-256 with the pipe's key.
pub(crate) struct Hasher(Hmac<Sha256>);

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher")
    }
}

/// Gives a row's value to a hash.
type Feed<'a> = Box<dyn FnMut(usize, &mut Hmac<Sha256>) + 'a>;

/// The bytes of each value that are hashed, and where there are none.
pub(crate) struct Values<'a> {
    rows: usize,
    nulls: Option<&'a NullBuffer>,
    feed: Feed<'a>,
}

impl<'a> Values<'a> {
    /// Text and bytes as they are.
    pub(crate) fn bytes<T: ByteArrayType>(array: &'a GenericByteArray<T>) -> Self
    where
        T::Native: AsRef<[u8]>,
    {
        Self {
            rows: array.len(),
            nulls: array.nulls(),
            feed: Box::new(|row, hmac| hmac.update(array.value(row).as_ref())),
        }
    }

    /// Integers as their decimal digits, so that a number hashes as its text does.
    pub(crate) fn decimal<T: ArrowPrimitiveType>(array: &'a PrimitiveArray<T>) -> Self
    where
        T::Native: std::fmt::Display,
    {
        let mut digits = String::new();
        Self {
            rows: array.len(),
            nulls: array.nulls(),
            feed: Box::new(move |row, hmac| {
                digits.clear();
                // Writing to a string can't fail.
                let _ = write!(digits, "{}", array.value(row));
                hmac.update(digits.as_bytes());
            }),
        }
    }
}

impl Hasher {
    pub(crate) fn new(key: &str) -> Self {
        let keyed = Hmac::new_from_slice(key.as_bytes());
        Self(keyed.expect("HMAC takes keys of any length"))
    }

    /// The first `length` hexadecimal digits of each value's hash.
    pub(crate) fn hash(&self, mut values: Values<'_>, length: usize) -> StringArray {
        let mut text = StringBuilder::with_capacity(values.rows, values.rows * length);
        let mut digits = [0; 64];
        for row in 0..values.rows {
            if values.nulls.is_some_and(|nulls| nulls.is_null(row)) {
                text.append_null();
                continue;
            }
            let mut hmac = self.0.clone();
            (values.feed)(row, &mut hmac);
            for (pair, byte) in digits.chunks_mut(2).zip(hmac.finalize().into_bytes()) {
                pair[0] = HEX[usize::from(byte >> 4)];
                pair[1] = HEX[usize::from(byte & 15)];
            }
            text.append_value(std::str::from_utf8(&digits[..length]).unwrap_or_default());
        }
        text.finish()
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The same text for every value. NULLs need no bytes of their own, so all rows are alike.
pub(crate) fn redact(column: &StringArray, text: &str) -> StringArray {
    let offsets = OffsetBuffer::from_repeated_length(text.len(), column.len());
    let values = text.repeat(column.len()).into_bytes();
    StringArray::new(offsets, values.into(), column.nulls().cloned())
}

/// The first characters of each value.
pub(crate) fn truncate(column: &StringArray, length: usize) -> StringArray {
    let mut offsets = Vec::with_capacity(column.len() + 1);
    let mut values = Vec::with_capacity(column.value_data().len());
    offsets.push(0);
    for row in 0..column.len() {
        let value = column.value(row);
        let end = end_of_first(value, length);
        values.extend_from_slice(&value.as_bytes()[..end]);
        offsets.push(values.len() as i32);
    }
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    StringArray::new(offsets, values.into(), column.nulls().cloned())
}

/// Only the first and the last characters of each value; one `mask` for each character between them. A value that would be shown whole is
/// masked whole.
pub(crate) fn reveal(column: &StringArray, first: usize, last: usize, mask: char) -> StringArray {
    let mut text = StringBuilder::with_capacity(column.len(), column.value_data().len());
    for row in 0..column.len() {
        if column.is_null(row) {
            text.append_null();
            continue;
        }
        let value = column.value(row);
        let characters = value.chars().count();
        let (first, last) = if first + last < characters {
            (first, last)
        } else {
            (0, 0)
        };
        let head = end_of_first(value, first);
        let tail = end_of_first(value, characters - last);
        // Writing to a builder can't fail.
        let _ = text.write_str(&value[..head]);
        for _ in 0..characters - first - last {
            let _ = text.write_char(mask);
        }
        let _ = text.write_str(&value[tail..]);
        text.append_value("");
    }
    text.finish()
}

/// Where the first `count` characters end, in bytes.
fn end_of_first(value: &str, count: usize) -> usize {
    if value.is_ascii() {
        return count.min(value.len());
    }
    value
        .char_indices()
        .nth(count)
        .map_or(value.len(), |(at, _)| at)
}
