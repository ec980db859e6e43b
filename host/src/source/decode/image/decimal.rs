//! DECIMAL as a row image has it: nine digits in four bytes, fewer in fewer, the highest bit turned over, a negative value in complement.

use std::io::Write;

use arrow::datatypes::i256;

/// The bytes that this many digits (0 to 9) take.
const BYTES: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
const POWERS: [u32; 10] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
];
/// The most groups of digits that 65 of them make, 30 of which may be of the fraction.
const GROUPS: usize = 10;

/// A packed decimal's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source::decode) struct Packed {
    whole: u8,
    scale: u8,
}

/// A value's digits in groups, the highest first.
struct Digits {
    negative: bool,
    /// Each group's value, and how many digits it has.
    groups: [(u32, u8); GROUPS],
    count: usize,
    /// How many of the groups stand before the point.
    whole: usize,
}

impl Packed {
    /// None for a shape that MySQL doesn't have.
    pub(in crate::source::decode) fn new(precision: u8, scale: u8) -> Option<Self> {
        let whole = precision.checked_sub(scale)?;
        ((1..=65).contains(&precision) && scale <= 30).then_some(Self { whole, scale })
    }

    pub(in crate::source::decode) fn bytes(self) -> usize {
        let of = |digits: u8| usize::from(digits / 9) * 4 + BYTES[usize::from(digits % 9)];
        of(self.whole) + of(self.scale)
    }

    /// Sizes of the groups: a short one first before the point, and last behind it.
    fn sizes(self) -> impl Iterator<Item = u8> {
        let (whole, scale) = (self.whole, self.scale);
        let nines = |digits: u8| std::iter::repeat_n(9, usize::from(digits / 9));
        let short = |digits: u8| Some(digits % 9).filter(|&digits| digits > 0).into_iter();
        short(whole)
            .chain(nines(whole))
            .chain(nines(scale))
            .chain(short(scale))
    }

    #[inline]
    fn digits(self, cell: &[u8]) -> Option<Digits> {
        let first = *cell.first()?;
        let negative = first & 0x80 == 0;
        let flip = if negative { 0xFF } else { 0 };
        let mut digits = Digits {
            negative,
            groups: [(0, 0); GROUPS],
            count: 0,
            whole: usize::from(self.whole.div_ceil(9)),
        };
        let mut rest = cell;
        for size in self.sizes() {
            let (bytes, more) = rest.split_at_checked(BYTES[usize::from(size)])?;
            let mut value = 0;
            for (i, &byte) in bytes.iter().enumerate() {
                let sign = if digits.count == 0 && i == 0 { 0x80 } else { 0 };
                value = value << 8 | u32::from(byte ^ sign ^ flip);
            }
            if value >= POWERS[usize::from(size)] {
                return None;
            }
            digits.groups[digits.count] = (value, size);
            digits.count += 1;
            rest = more;
        }
        rest.is_empty().then_some(digits)
    }

    /// The value without its point. None if the bytes are none of this shape.
    #[inline]
    pub(in crate::source::decode) fn decimal128(self, cell: &[u8]) -> Option<i128> {
        let digits = self.digits(cell)?;
        let mut value = 0i128;
        for &(group, size) in &digits.groups[..digits.count] {
            value = value
                .checked_mul(POWERS[usize::from(size)].into())?
                .checked_add(group.into())?;
        }
        Some(if digits.negative { -value } else { value })
    }

    /// The same for up to 65 digits.
    pub(in crate::source::decode) fn decimal256(self, cell: &[u8]) -> Option<i256> {
        let digits = self.digits(cell)?;
        let mut value = i256::ZERO;
        for &(group, size) in &digits.groups[..digits.count] {
            value = value
                .checked_mul(i256::from_i128(POWERS[usize::from(size)].into()))?
                .checked_add(i256::from_i128(group.into()))?;
        }
        Some(if digits.negative {
            value.wrapping_neg()
        } else {
            value
        })
    }

    /// Appends MySQL's text of the value, with every digit of the scale.
    pub(in crate::source::decode) fn text(self, cell: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let digits = self.digits(cell)?;
        if digits.negative {
            out.push(b'-');
        }
        let start = out.len();
        let (whole, fraction) = digits.groups[..digits.count].split_at(digits.whole);
        for &(group, size) in whole {
            // To a vector nothing fails.
            if out.len() > start {
                let _ = write!(out, "{group:0width$}", width = usize::from(size));
            } else if group > 0 {
                let _ = write!(out, "{group}");
            }
        }
        if out.len() == start {
            out.push(b'0');
        }
        if !fraction.is_empty() {
            out.push(b'.');
        }
        for &(group, size) in fraction {
            let _ = write!(out, "{group:0width$}", width = usize::from(size));
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Packs the digits of a decimal, which has all those of its shape.
    fn packed(shape: Packed, digits: &str, negative: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = digits;
        for size in shape.sizes() {
            let (group, more) = rest.split_at(size.into());
            let value: u32 = group.parse().expect("digits");
            bytes.extend_from_slice(&value.to_be_bytes()[4 - BYTES[usize::from(size)]..]);
            rest = more;
        }
        bytes[0] ^= 0x80;
        if negative {
            bytes.iter_mut().for_each(|byte| *byte = !*byte);
        }
        bytes
    }

    proptest! {
        #[test]
        fn decimals_are_exact(digits in "[0-9]{1,65}", scale in 0u8..=30, negative: bool) {
            let precision = digits.len() as u8;
            let scale = scale.min(precision);
            let shape = Packed::new(precision, scale).expect("a shape");
            let negative = negative && digits.bytes().any(|digit| digit != b'0');
            let cell = packed(shape, &digits, negative);
            prop_assert_eq!(cell.len(), shape.bytes());
            let sign = if negative { "-" } else { "" };
            let (whole, fraction) = digits.split_at(usize::from(precision - scale));
            let whole = whole.trim_start_matches('0');
            let whole = if whole.is_empty() { "0" } else { whole };
            let point = if scale > 0 { "." } else { "" };
            let mut text = Vec::new();
            prop_assert_eq!(shape.text(&cell, &mut text), Some(()));
            prop_assert_eq!(String::from_utf8(text).expect("ASCII"), format!("{sign}{whole}{point}{fraction}"));
            prop_assert_eq!(shape.decimal256(&cell), i256::from_string(&format!("{sign}{digits}")));
            if precision <= 38 {
                prop_assert_eq!(shape.decimal128(&cell), format!("{sign}{digits}").parse().ok());
            }
        }

        #[test]
        fn nothing_panics(cell in prop::collection::vec(any::<u8>(), 0..40), precision: u8, scale: u8) {
            if let Some(shape) = Packed::new(precision, scale) {
                let _ = (shape.decimal128(&cell), shape.decimal256(&cell), shape.text(&cell, &mut Vec::new()));
            }
        }
    }

    #[test]
    fn the_example_of_the_manual() {
        // MySQL's sources, strings/decimal.cc: 1234567890.1234 and its negative.
        let shape = Packed::new(14, 4).expect("a shape");
        let cell = [0x81, 0x0D, 0xFB, 0x38, 0xD2, 0x04, 0xD2];
        assert_eq!(shape.decimal128(&cell), Some(12_345_678_901_234));
        let negative = cell.map(|byte: u8| !byte);
        assert_eq!(shape.decimal128(&negative), Some(-12_345_678_901_234));
        assert_eq!(shape.decimal128(&cell[1..]), None);
    }
}
