//! Text of any character set into UTF-8, as the server itself would turn it.
//!
//! In a snapshot the server turns text into UTF-8; in the binlog text has the bytes that are stored. What a code means differs between
//! editions of the same set, so it is learned from the server ([`crate::source::Source::charsets`]). Only the forms of Unicode are known here.

use std::collections::HashMap;
use std::sync::Arc;

/// How text of other character sets becomes UTF-8, learned from the server itself.
#[derive(Debug, Default)]
pub struct Charsets {
    sets: HashMap<String, Arc<Charset>>,
    /// The character set of each collation, by the server's number of it.
    collations: HashMap<u16, String>,
}

impl Charsets {
    pub(in crate::source) fn add(&mut self, name: &str, charset: Charset) {
        self.sets.insert(name.to_owned(), Arc::new(charset));
    }

    pub(in crate::source) fn add_collation(&mut self, id: u16, charset: String) {
        self.collations.insert(id, charset);
    }

    /// The set of this name; none if it was not among those that were asked for.
    pub(super) fn get(&self, name: &str) -> Option<Arc<Charset>> {
        self.sets.get(name).cloned()
    }

    /// The name of the character set of a collation, if it is known.
    pub(super) fn of_collation(&self, id: u16) -> Option<&str> {
        self.collations.get(&id).map(String::as_str)
    }
}

/// A character set.
#[derive(Debug)]
pub(in crate::source) enum Charset {
    /// UTF-8, which is checked once a batch.
    Utf8,
    Ucs2,
    Utf16,
    Utf16Le,
    Utf32,
    /// Codes of one byte up to four.
    Codes(Box<Codes>),
}

impl Charset {
    /// The sets whose meaning is known without asking the server.
    pub(in crate::source) fn known(name: &str) -> Option<Self> {
        Some(match name {
            "utf8mb4" | "utf8mb3" | "utf8" => Self::Utf8,
            "ucs2" => Self::Ucs2,
            "utf16" => Self::Utf16,
            "utf16le" => Self::Utf16Le,
            "utf32" => Self::Utf32,
            "ascii" => {
                let mut codes = Codes::default();
                (0..0x80u8).for_each(|code| codes.set(&[code], char::from(code)));
                Self::Codes(Box::new(codes))
            }
            _ => return None,
        })
    }

    /// Appends a text as UTF-8. None if it has a character that Unicode doesn't have, or bytes that are no character.
    pub(super) fn decode(&self, text: &[u8], out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Utf8 => out.extend_from_slice(text),
            Self::Codes(codes) => codes.decode(text, out)?,
            Self::Ucs2 => units(text, |unit: [u8; 2]| {
                push(char::from_u32(u16::from_be_bytes(unit).into())?, out)
            })?,
            Self::Utf32 => units(text, |unit: [u8; 4]| {
                push(char::from_u32(u32::from_be_bytes(unit))?, out)
            })?,
            Self::Utf16 => utf16(text, u16::from_be_bytes, out)?,
            Self::Utf16Le => utf16(text, u16::from_le_bytes, out)?,
        }
        Some(())
    }
}

#[inline]
fn push(character: char, out: &mut Vec<u8>) -> Option<()> {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Some(())
}

/// Takes a text apart into units of a fixed size.
fn units<const N: usize>(text: &[u8], mut each: impl FnMut([u8; N]) -> Option<()>) -> Option<()> {
    let (units, rest) = text.as_chunks();
    units.iter().try_for_each(|&unit| each(unit))?;
    rest.is_empty().then_some(())
}

fn utf16(text: &[u8], unit: fn([u8; 2]) -> u16, out: &mut Vec<u8>) -> Option<()> {
    let (units, rest) = text.as_chunks();
    let units = units.iter().map(|&bytes| unit(bytes));
    for character in char::decode_utf16(units) {
        push(character.ok()?, out)?;
    }
    rest.is_empty().then_some(())
}

/// The first byte of the three-byte codes of the Japanese sets that have them.
const THREE_BYTES: u8 = 0x8F;

/// What codes mean: none for those that mean nothing.
#[derive(Debug)]
pub(in crate::source) struct Codes {
    one: [Option<char>; 256],
    /// Codes of two bytes, by both of them; empty if the set has none.
    two: Vec<Option<char>>,
    /// Codes of three bytes, the first of which is 0x8F, by the other two.
    three: Vec<Option<char>>,
    /// Codes of four bytes in a row, as GB 18030 counts them.
    four: Vec<Option<char>>,
    /// Whether the codes of ASCII mean what they do there.
    has_ascii: bool,
}

impl Default for Codes {
    fn default() -> Self {
        Self {
            one: [None; 256],
            two: Vec::new(),
            three: Vec::new(),
            four: Vec::new(),
            has_ascii: false,
        }
    }
}

impl Codes {
    /// Says what a code means.
    pub(in crate::source) fn set(&mut self, code: &[u8], character: char) {
        let (table, at) = match *code {
            [code] => {
                self.one[usize::from(code)] = Some(character);
                let ascii = |code: u8| self.one[usize::from(code)] == Some(char::from(code));
                self.has_ascii = (0..0x80).all(ascii);
                return;
            }
            [lead, trail] => (&mut self.two, pair(lead, trail)),
            [THREE_BYTES, lead, trail] => (&mut self.three, pair(lead, trail)),
            [a, b, c, d] => match linear([a, b, c, d]) {
                Some(at) => (&mut self.four, at),
                None => return,
            },
            _ => return,
        };
        if table.len() <= at {
            table.resize(at + 1, None);
        }
        table[at] = Some(character);
    }

    fn decode(&self, text: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let mut rest = text;
        while let Some(&first) = rest.first() {
            if self.has_ascii && first < 0x80 {
                let end = rest.iter().position(|&byte| byte >= 0x80);
                let (plain, more) = rest.split_at(end.unwrap_or(rest.len()));
                out.extend_from_slice(plain);
                rest = more;
                continue;
            }
            let (character, length) = self.first(first, rest)?;
            push(character, out)?;
            rest = &rest[length..];
        }
        Some(())
    }

    /// The character that a text begins with, and the bytes of its code.
    #[inline]
    fn first(&self, first: u8, text: &[u8]) -> Option<(char, usize)> {
        if let Some(character) = self.one[usize::from(first)] {
            return Some((character, 1));
        }
        let second = *text.get(1)?;
        if let Some(&Some(character)) = self.two.get(pair(first, second)) {
            return Some((character, 2));
        }
        let third = *text.get(2)?;
        if first == THREE_BYTES
            && let Some(&Some(character)) = self.three.get(pair(second, third))
        {
            return Some((character, 3));
        }
        if self.four.is_empty() {
            return None;
        }
        let at = linear([first, second, third, *text.get(3)?])?;
        let character = match at.checked_sub(BEYOND_BMP) {
            Some(beyond) => char::from_u32(u32::try_from(beyond).ok()?.checked_add(0x1_0000)?),
            None => self.four.get(at).copied().flatten(),
        };
        Some((character?, 4))
    }
}

#[inline]
fn pair(lead: u8, trail: u8) -> usize {
    usize::from(lead) << 8 | usize::from(trail)
}

/// Where GB 18030 counts on with U+10000: from 0x90308130.
const BEYOND_BMP: usize = 15 * 12_600;
/// Where its codes of four bytes for the Basic Multilingual Plane end: with those of the first byte 0x84.
pub(in crate::source) const FOUR_BYTES: usize = 4 * 12_600;

/// The place of a code of four bytes in their order; none if it is no such code.
fn linear([a, b, c, d]: [u8; 4]) -> Option<usize> {
    let digit = |byte: u8, from: u8, to: u8| {
        (from..=to)
            .contains(&byte)
            .then(|| usize::from(byte - from))
    };
    let (a, b) = (digit(a, 0x81, 0xFE)?, digit(b, 0x30, 0x39)?);
    let (c, d) = (digit(c, 0x81, 0xFE)?, digit(d, 0x30, 0x39)?);
    Some(((a * 10 + b) * 126 + c) * 10 + d)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(charset: &Charset, text: &[u8]) -> Option<String> {
        let mut out = Vec::new();
        charset.decode(text, &mut out)?;
        String::from_utf8(out).ok()
    }

    fn sample() -> Charset {
        let mut codes = Codes::default();
        (0..0x80u8).for_each(|code| codes.set(&[code], char::from(code)));
        codes.set(&[0x82, 0xA0], 'あ');
        codes.set(&[0x82, b'A'], 'い');
        codes.set(&[0x8F, 0xB0, 0xA1], '丂');
        codes.set(&[0x81, 0x30, 0x81, 0x30], '\u{80}');
        Charset::Codes(Box::new(codes))
    }

    #[test]
    fn codes_have_one_byte_up_to_four() {
        let set = sample();
        let text = b"a\x82\xA0b\x82Ac\x8F\xB0\xA1d\x81\x30\x81\x30\x90\x30\x81\x30";
        assert_eq!(
            decoded(&set, text).as_deref(),
            Some("aあbいc丂d\u{80}\u{10000}")
        );
        for bad in [
            &b"\x82"[..],
            b"\x82B",
            b"\x8F\xB0",
            b"\xFF",
            b"\x81\x30\x81",
        ] {
            assert_eq!(decoded(&set, bad), None, "{bad:?}");
        }
    }

    #[test]
    fn ascii_has_seven_bits() {
        let ascii = Charset::known("ascii").expect("known");
        assert_eq!(decoded(&ascii, b"plain").as_deref(), Some("plain"));
        assert_eq!(decoded(&ascii, "é".as_bytes()), None);
    }

    #[test]
    fn forms_of_unicode() {
        let of = |name: &str, text: &[u8]| decoded(&Charset::known(name).expect("known"), text);
        assert_eq!(
            of("utf16", &[0xD8, 0x3E, 0xDD, 0x80]).as_deref(),
            Some("🦀")
        );
        assert_eq!(
            of("utf16le", &[0x3E, 0xD8, 0x80, 0xDD]).as_deref(),
            Some("🦀")
        );
        assert_eq!(of("utf32", &[0, 1, 0xF9, 0x80]).as_deref(), Some("🦀"));
        assert_eq!(of("ucs2", &[0x65, 0xE5]).as_deref(), Some("日"));
        assert_eq!(of("ucs2", &[0xD8, 0x3E, 0xDD, 0x80]), None);
        assert_eq!(of("utf16", &[0xD8, 0x3E]), None);
        assert_eq!(of("utf32", &[0, 0, 1]), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in prop::collection::vec(any::<u8>(), 0..20)) {
            for name in ["ucs2", "utf16", "utf16le", "utf32", "ascii"] {
                let _ = decoded(&Charset::known(name).expect("known"), &text);
            }
            let _ = decoded(&sample(), &text);
        }
    }
}
