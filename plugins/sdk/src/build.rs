//! Arrays out of values, one after the other.
//!
//! Arrow's own builders and `collect()` end in code that knows every type and can print it, 80 kB of it; these know one.

use std::fmt;

use arrow_array::types::{ArrowPrimitiveType, BinaryType, ByteArrayType, Utf8Type};
use arrow_array::{BinaryArray, BooleanArray, GenericByteArray, PrimitiveArray, StringArray};
use arrow_buffer::{BooleanBuffer, NullBuffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};

/// Builds a column of texts. What is written to it belongs to the next text.
///
/// ```
/// use std::fmt::Write;
/// use tidemill_sdk::build::TextBuilder;
///
/// let mut texts = TextBuilder::with_capacity(3, 16);
/// texts.append("tide");
/// texts.append_null();
/// write!(texts, "{}-{}", 1, 2).unwrap();
/// texts.end();
/// let texts = texts.finish();
/// assert_eq!(texts.iter().collect::<Vec<_>>(), [Some("tide"), None, Some("1-2")]);
/// ```
#[derive(Debug)]
pub struct TextBuilder {
    bytes: Vec<u8>,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl TextBuilder {
    /// With room for so many rows and bytes.
    pub fn with_capacity(rows: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self {
            bytes: Vec::with_capacity(bytes),
            offsets,
            nulls: NullBufferBuilder::new(rows),
        }
    }

    /// The number of texts that have ended.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether none has ended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A text, behind what was written since the last one.
    pub fn append(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.end();
    }

    /// A part of the next text.
    pub fn push_str(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// A part of the next text.
    pub fn push(&mut self, character: char) {
        self.push_str(character.encode_utf8(&mut [0; 4]));
    }

    /// Ends a text.
    pub fn end(&mut self) {
        self.offsets.push(offset(self.bytes.len()));
        self.nulls.append_non_null();
    }

    /// NULL. What was written since the last text is forgotten.
    pub fn append_null(&mut self) {
        let end = self.offsets[self.offsets.len() - 1];
        self.bytes.truncate(end as usize);
        self.offsets.push(end);
        self.nulls.append_null();
    }

    /// A text or NULL.
    pub fn append_option(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.append(text),
            None => self.append_null(),
        }
    }

    /// The texts.
    pub fn finish(mut self) -> StringArray {
        let end = self.offsets[self.offsets.len() - 1];
        self.bytes.truncate(end as usize);
        let nulls = self.nulls.finish();
        // SAFETY: each text was appended whole, as UTF-8, with its end and its bit.
        unsafe { byte_array::<Utf8Type>(self.offsets, self.bytes, nulls) }
    }
}

impl fmt::Write for TextBuilder {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text);
        Ok(())
    }
}

/// Where a value ends. A batch's column holds less than 2 GiB, as Arrow's offsets do.
fn offset(bytes: usize) -> i32 {
    i32::try_from(bytes).expect("a column of less than 2 GiB")
}

/// # Safety
/// The offsets begin at 0, never decrease and end within the bytes; for text each stands at a character; NULLs are as many as rows.
unsafe fn byte_array<T: ByteArrayType<Offset = i32>>(
    offsets: Vec<i32>,
    bytes: Vec<u8>,
    nulls: Option<NullBuffer>,
) -> GenericByteArray<T> {
    // SAFETY: the caller's.
    unsafe {
        let offsets = OffsetBuffer::new_unchecked(ScalarBuffer::from(offsets));
        GenericByteArray::new_unchecked(offsets, bytes.into(), nulls)
    }
}

/// Texts.
pub fn utf8<S: AsRef<str>>(values: impl IntoIterator<Item = Option<S>>) -> StringArray {
    let values = values.into_iter();
    let mut texts = TextBuilder::with_capacity(values.size_hint().0, 0);
    for value in values {
        texts.append_option(value.as_ref().map(AsRef::as_ref));
    }
    texts.finish()
}

/// The same text in each row that these nulls leave.
pub fn repeated(text: &str, rows: usize, nulls: Option<NullBuffer>) -> StringArray {
    let bytes = text.repeat(rows).into_bytes();
    // Of a NULL nothing looks at the bytes.
    offset(bytes.len());
    let offsets = (0..=rows).map(|row| (row * text.len()) as i32);
    // SAFETY: the last offset was seen to be one, and all are ends of whole texts.
    unsafe { byte_array::<Utf8Type>(offsets.collect(), bytes, nulls) }
}

/// Bytes.
pub fn binary<B: AsRef<[u8]>>(values: impl IntoIterator<Item = Option<B>>) -> BinaryArray {
    let values = values.into_iter();
    let mut nulls = NullBufferBuilder::new(values.size_hint().0);
    let (mut offsets, mut bytes) = (vec![0], Vec::new());
    for value in values {
        nulls.append(value.is_some());
        if let Some(value) = value {
            bytes.extend_from_slice(value.as_ref());
        }
        offsets.push(offset(bytes.len()));
    }
    // SAFETY: each value was appended whole, with its end and its bit.
    unsafe { byte_array::<BinaryType>(offsets, bytes, nulls.finish()) }
}

/// Numbers, dates, times and moments: `primitive::<Int64Type>([Some(1), None])`.
pub fn primitive<T: ArrowPrimitiveType>(
    values: impl IntoIterator<Item = Option<T::Native>>,
) -> PrimitiveArray<T> {
    let values = values.into_iter();
    let mut nulls = NullBufferBuilder::new(values.size_hint().0);
    let values: Vec<T::Native> = values
        .map(|value| {
            nulls.append(value.is_some());
            value.unwrap_or_default()
        })
        .collect();
    from_parts(values, nulls.finish())
}

/// Numbers and where they are: what a kernel makes.
///
/// # Panics
/// If the NULLs are not as many as the values.
pub fn from_parts<T: ArrowPrimitiveType>(
    values: Vec<T::Native>,
    nulls: Option<NullBuffer>,
) -> PrimitiveArray<T> {
    assert!(
        nulls
            .as_ref()
            .is_none_or(|nulls| nulls.len() == values.len()),
        "a bit for each value"
    );
    // SAFETY: the NULLs are as many as the values.
    unsafe { PrimitiveArray::new_unchecked(ScalarBuffer::from(values), nulls) }
}

/// Bits and where they are.
///
/// # Panics
/// If the NULLs are not as many as the bits.
pub fn boolean_from_parts(values: BooleanBuffer, nulls: Option<NullBuffer>) -> BooleanArray {
    assert!(
        nulls
            .as_ref()
            .is_none_or(|nulls| nulls.len() == values.len()),
        "a bit for each value"
    );
    // SAFETY: the NULLs are as many as the values.
    unsafe { BooleanArray::new_unchecked(values, nulls) }
}

/// Booleans.
pub fn boolean(values: impl IntoIterator<Item = Option<bool>>) -> BooleanArray {
    let values = values.into_iter();
    let mut nulls = NullBufferBuilder::new(values.size_hint().0);
    let values = values.map(|value| {
        nulls.append(value.is_some());
        value.unwrap_or_default()
    });
    let values = values.collect();
    boolean_from_parts(values, nulls.finish())
}

#[cfg(test)]
mod tests {
    use arrow_array::types::Int32Type;
    use arrow_array::{Array, Int32Array};

    use super::*;

    #[test]
    fn they_build_what_arrow_builds() {
        let texts = [Some("a"), None, Some(""), Some("Zoë")];
        assert_eq!(utf8(texts), StringArray::from(texts.to_vec()));
        let bytes = texts.map(|text| text.map(str::as_bytes));
        assert_eq!(binary(bytes), BinaryArray::from(bytes.to_vec()));
        let numbers = [Some(1), None, Some(-3)];
        assert_eq!(
            primitive::<Int32Type>(numbers),
            Int32Array::from(numbers.to_vec())
        );
        let flags = [Some(true), None, Some(false)];
        assert_eq!(boolean(flags), BooleanArray::from(flags.to_vec()));
        assert!(utf8([Some("a")]).nulls().is_none());
        utf8(texts).to_data().validate_full().expect("it is valid");
        let nulls = utf8(texts).nulls().cloned();
        let again = repeated("ë-", texts.len(), nulls);
        again.to_data().validate_full().expect("it is valid");
        assert_eq!(again, utf8(texts.map(|text| text.map(|_| "ë-"))));
        assert_eq!(repeated("", 2, None), utf8([Some(""), Some("")]));
    }

    #[test]
    fn what_was_written_before_a_null_is_forgotten() {
        let mut texts = TextBuilder::with_capacity(2, 0);
        texts.push_str("lost");
        texts.append_null();
        texts.push('é');
        texts.end();
        texts.push_str("never ended");
        assert_eq!(texts.finish(), StringArray::from(vec![None, Some("é")]));
    }
}
