//! The methods, on Arrow's own buffers: one allocation a column, none a value.

use std::fmt::Write;

use arrow_array::types::{ArrowPrimitiveType, ByteArrayType};
use arrow_array::{Array, GenericByteArray, PrimitiveArray, StringArray};
use arrow_buffer::NullBuffer;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tidemill_sdk::build::TextBuilder;

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
        let mut text = TextBuilder::with_capacity(values.rows, values.rows * length);
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
            text.append(std::str::from_utf8(&digits[..length]).unwrap_or_default());
        }
        text.finish()
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The first characters of each value.
pub(crate) fn truncate(column: &StringArray, length: usize) -> StringArray {
    let mut text = TextBuilder::with_capacity(column.len(), column.value_data().len());
    for value in column {
        text.append_option(value.map(|value| &value[..end_of_first(value, length)]));
    }
    text.finish()
}

/// Only the first and the last characters of each value; one `mask` for each character between them. A value that would be shown whole is
/// masked whole.
pub(crate) fn reveal(column: &StringArray, first: usize, last: usize, mask: char) -> StringArray {
    let mut text = TextBuilder::with_capacity(column.len(), column.value_data().len());
    for row in 0..column.len() {
        if column.is_null(row) {
            text.append_null();
            continue;
        }
        let value = column.value(row);
        let characters = value.chars().count();
        let (first, last) = if first.saturating_add(last) < characters {
            (first, last)
        } else {
            (0, 0)
        };
        let head = end_of_first(value, first);
        let tail = end_of_first(value, characters - last);
        text.push_str(&value[..head]);
        for _ in 0..characters - first - last {
            text.push(mask);
        }
        text.append(&value[tail..]);
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
