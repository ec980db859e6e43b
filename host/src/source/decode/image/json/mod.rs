//! MySQL's binary JSON into the text that MySQL itself shows for it.
//!
//! A document is a tree of offsets into its own bytes (MySQL's sources, sql-common/json_binary.h). Nothing of it is trusted: whatever
//! points out of the document makes it malformed.

mod double;
mod opaque;

use std::io::Write;

/// MySQL's own limit is 100.
const DEEPEST: usize = 128;

const SMALL_OBJECT: u8 = 0;
const LARGE_OBJECT: u8 = 1;
const SMALL_ARRAY: u8 = 2;
const LARGE_ARRAY: u8 = 3;
const LITERAL: u8 = 4;
const INT16: u8 = 5;
const UINT16: u8 = 6;
const INT32: u8 = 7;
const UINT32: u8 = 8;
const INT64: u8 = 9;
const UINT64: u8 = 10;
const DOUBLE: u8 = 11;
const STRING: u8 = 12;
const OPAQUE: u8 = 15;

/// Appends the text of a document; none if it is malformed.
pub(in crate::source::decode) fn text(document: &[u8], out: &mut Vec<u8>) -> Option<()> {
    // What a column that got no value without strict mode has: shown as null.
    let Some((&kind, value)) = document.split_first() else {
        out.extend_from_slice(b"null");
        return Some(());
    };
    write_value(kind, value, 0, out)
}

/// Writes a value whose bytes these begin with.
fn write_value(kind: u8, bytes: &[u8], depth: usize, out: &mut Vec<u8>) -> Option<()> {
    // To a vector nothing fails.
    match kind {
        SMALL_OBJECT | LARGE_OBJECT | SMALL_ARRAY | LARGE_ARRAY => {
            if depth > DEEPEST {
                return None;
            }
            let large = matches!(kind, LARGE_OBJECT | LARGE_ARRAY);
            let keyed = matches!(kind, SMALL_OBJECT | LARGE_OBJECT);
            Container::new(bytes, large, keyed)?.write(depth, out)?;
        }
        LITERAL => out.extend_from_slice(match *bytes.first()? {
            0 => b"null",
            1 => b"true",
            2 => b"false",
            _ => return None,
        }),
        INT16 => {
            let _ = write!(out, "{}", i16::from_le_bytes(*bytes.first_chunk()?));
        }
        UINT16 => {
            let _ = write!(out, "{}", u16::from_le_bytes(*bytes.first_chunk()?));
        }
        INT32 => {
            let _ = write!(out, "{}", i32::from_le_bytes(*bytes.first_chunk()?));
        }
        UINT32 => {
            let _ = write!(out, "{}", u32::from_le_bytes(*bytes.first_chunk()?));
        }
        INT64 => {
            let _ = write!(out, "{}", i64::from_le_bytes(*bytes.first_chunk()?));
        }
        UINT64 => {
            let _ = write!(out, "{}", u64::from_le_bytes(*bytes.first_chunk()?));
        }
        DOUBLE => double::write(f64::from_le_bytes(*bytes.first_chunk()?), out),
        STRING => quoted(measured(bytes)?, out),
        OPAQUE => {
            let (&field, value) = bytes.split_first()?;
            opaque::write(field, measured(value)?, out)?;
        }
        _ => return None,
    }
    Some(())
}

/// An object or an array: counts, places of the keys, then the values or their places.
struct Container<'a> {
    bytes: &'a [u8],
    large: bool,
    keyed: bool,
    count: usize,
}

impl<'a> Container<'a> {
    fn new(bytes: &'a [u8], large: bool, keyed: bool) -> Option<Self> {
        let mut container = Self {
            bytes,
            large,
            keyed,
            count: 0,
        };
        let size = container.number(container.width())?;
        container.bytes = bytes.get(..size)?;
        container.count = container.number(0)?;
        Some(container)
    }

    /// Bytes of a count or a place.
    fn width(&self) -> usize {
        if self.large { 4 } else { 2 }
    }

    fn number(&self, at: usize) -> Option<usize> {
        let bytes = self.bytes.get(at..)?;
        Some(if self.large {
            u32::from_le_bytes(*bytes.first_chunk()?) as usize
        } else {
            u16::from_le_bytes(*bytes.first_chunk()?).into()
        })
    }

    fn write(&self, depth: usize, out: &mut Vec<u8>) -> Option<()> {
        out.push(if self.keyed { b'{' } else { b'[' });
        for i in 0..self.count {
            if i > 0 {
                out.extend_from_slice(b", ");
            }
            if self.keyed {
                quoted(self.key(i)?, out);
                out.extend_from_slice(b": ");
            }
            self.write_item(i, depth, out)?;
        }
        out.push(if self.keyed { b'}' } else { b']' });
        Some(())
    }

    fn key(&self, i: usize) -> Option<&'a [u8]> {
        let entry = 2 * self.width() + i.checked_mul(self.width() + 2)?;
        let start = self.number(entry)?;
        let length = u16::from_le_bytes(*self.bytes.get(entry + self.width()..)?.first_chunk()?);
        self.bytes
            .get(start..start.checked_add(usize::from(length))?)
    }

    fn write_item(&self, i: usize, depth: usize, out: &mut Vec<u8>) -> Option<()> {
        let keys = match self.keyed {
            true => self.count.checked_mul(self.width() + 2)?,
            false => 0,
        };
        let entry = 2 * self.width() + keys + i.checked_mul(self.width() + 1)?;
        let kind = *self.bytes.get(entry)?;
        let is_inline = match kind {
            LITERAL | INT16 | UINT16 => true,
            INT32 | UINT32 => self.large,
            _ => false,
        };
        let start = if is_inline {
            entry + 1
        } else {
            self.number(entry + 1)?
        };
        write_value(kind, self.bytes.get(start..)?, depth + 1, out)
    }
}

/// Bytes behind their length, which has seven bits a byte, the lowest first.
fn measured(bytes: &[u8]) -> Option<&[u8]> {
    let mut length = 0usize;
    for (i, &byte) in bytes.iter().take(5).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * i);
        if byte & 0x80 == 0 {
            return bytes[i + 1..].get(..length);
        }
    }
    None
}

/// Appends a text in quotes, escaped as MySQL escapes it.
fn quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut plain = 0;
    for (i, &byte) in text.iter().enumerate() {
        let escape = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            0x08 => b'b',
            0x0C => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..0x20 => b'u',
            _ => continue,
        };
        out.extend_from_slice(&text[plain..i]);
        out.extend_from_slice(&[b'\\', escape]);
        if escape == b'u' {
            let _ = write!(out, "{byte:04x}");
        }
        plain = i + 1;
    }
    out.extend_from_slice(&text[plain..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(document: &[u8]) -> Option<String> {
        let mut out = Vec::new();
        text(document, &mut out)?;
        String::from_utf8(out).ok()
    }

    #[test]
    fn documents_are_written() {
        assert_eq!(written(&[]).as_deref(), Some("null"));
        assert_eq!(written(&[4, 1]).as_deref(), Some("true"));
        assert_eq!(written(&[5, 0xFF, 0xFF]).as_deref(), Some("-1"));
        assert_eq!(
            written(b"\x0C\x05a\"\n\x01\\").as_deref(),
            Some(r#""a\"\n\u0001\\""#)
        );
        // {"a": [true, 7]}
        let object = [
            0, 1, 0, 22, 0, 11, 0, 1, 0, 2, 12, 0, b'a', 2, 0, 10, 0, 4, 1, 0, 5, 7, 0,
        ];
        assert_eq!(written(&object).as_deref(), Some(r#"{"a": [true, 7]}"#));
        assert_eq!(written(&[2, 0, 0, 4, 0]).as_deref(), Some("[]"));
        assert_eq!(written(&object[..20]), None);
    }

    #[test]
    fn documents_without_end_are_refused() {
        // An array whose only item is itself.
        assert_eq!(written(&[2, 1, 0, 7, 0, 2, 0, 0]), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(document in prop::collection::vec(prop_oneof![0u8..16, any::<u8>()], 0..60)) {
            let _ = written(&document);
        }
    }
}
