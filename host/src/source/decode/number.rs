//! Decimals and bits.

use arrow::datatypes::i256;

/// Reads `-123.45` at a scale, exactly. None for anything but digits that fit.
pub(super) fn decimal128(text: &[u8], scale: u8) -> Option<i128> {
    let (negative, digits, missing) = parts(text, scale)?;
    let mut value: i128 = 0;
    // Up to 18 digits, which is nearly all of them, are summed in 64 bits.
    if digits.len() <= 19 {
        let mut small: u64 = 0;
        for &byte in digits {
            match byte {
                b'0'..=b'9' => small = small * 10 + u64::from(byte - b'0'),
                b'.' => {}
                _ => return None,
            }
        }
        value = i128::from(small);
    } else {
        for &byte in digits {
            match byte {
                b'0'..=b'9' => {
                    value = value
                        .checked_mul(10)?
                        .checked_add(i128::from(byte - b'0'))?
                }
                b'.' => {}
                _ => return None,
            }
        }
    }
    if missing > 0 {
        value = value.checked_mul(10i128.checked_pow(u32::from(missing))?)?;
    }
    Some(if negative { -value } else { value })
}

/// The same for up to 76 digits.
pub(super) fn decimal256(text: &[u8], scale: u8) -> Option<i256> {
    let (negative, digits, missing) = parts(text, scale)?;
    let ten = i256::from_i128(10);
    let mut value = i256::ZERO;
    // Digits are gathered in 64 bits, and join the sum 18 at a time.
    let (mut part, mut count) = (0i64, 0u32);
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                part = part * 10 + i64::from(byte - b'0');
                count += 1;
            }
            b'.' => {}
            _ => return None,
        }
        if count == 18 {
            value = value
                .checked_mul(i256::from_i128(10i128.pow(count)))?
                .checked_add(i256::from_i128(part.into()))?;
            (part, count) = (0, 0);
        }
    }
    value = value
        .checked_mul(i256::from_i128(10i128.pow(count)))?
        .checked_add(i256::from_i128(part.into()))?;
    for _ in 0..missing {
        value = value.checked_mul(ten)?;
    }
    Some(if negative {
        value.wrapping_neg()
    } else {
        value
    })
}

/// Sign, digits with their point, and how many digits of the fraction are not written.
fn parts(text: &[u8], scale: u8) -> Option<(bool, &[u8], u8)> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    // The server writes all digits of the fraction: the point is where the scale says.
    let fraction = match digits.len().checked_sub(usize::from(scale) + 1) {
        Some(at) if digits[at] == b'.' => usize::from(scale),
        _ => digits
            .iter()
            .position(|&b| b == b'.')
            .map_or(0, |at| digits.len() - at - 1),
    };
    let missing = usize::from(scale).checked_sub(fraction)?;
    (!digits.is_empty()).then_some((negative, digits, missing as u8))
}

/// BIT: up to eight bytes, the highest first.
pub(super) fn bits(bytes: &[u8]) -> Option<u64> {
    (bytes.len() <= 8).then(|| {
        bytes
            .iter()
            .fold(0, |value, &byte| value << 8 | u64::from(byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(value: &str, scale: usize) -> String {
        let (sign, digits) = value
            .strip_prefix('-')
            .map_or(("", value), |digits| ("-", digits));
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        if scale == 0 {
            format!("{sign}{whole}")
        } else {
            format!("{sign}{whole}.{fraction}")
        }
    }

    proptest! {
        #[test]
        fn decimals_are_exact(value in -(10i128.pow(38) - 1)..10i128.pow(38), scale in 0usize..=30) {
            let text = written(&value.to_string(), scale);
            prop_assert_eq!(decimal128(text.as_bytes(), scale as u8), Some(value), "{}", &text);
            prop_assert_eq!(decimal256(text.as_bytes(), scale as u8), Some(i256::from_i128(value)), "{}", &text);
        }

        #[test]
        fn wide_decimals_are_exact(digits in "-?[1-9][0-9]{38,64}", scale in 0usize..=30) {
            let text = written(&digits, scale);
            prop_assert_eq!(decimal256(text.as_bytes(), scale as u8), i256::from_string(&digits), "{}", &text);
        }

        #[test]
        fn nothing_panics(text in prop::collection::vec(any::<u8>(), 0..90), scale in 0u8..=30) {
            let _ = (decimal128(&text, scale), decimal256(&text, scale));
        }
    }

    #[test]
    fn fractions_that_are_not_written_are_zero() {
        assert_eq!(decimal128(b"5", 2), Some(500));
        assert_eq!(decimal128(b"-0.5", 2), Some(-50));
        assert_eq!(decimal128(b"", 2), None);
        assert_eq!(decimal128(b"1.234", 2), None);
        assert_eq!(decimal128(b"1e5", 0), None);
    }

    #[test]
    fn bits_have_the_highest_byte_first() {
        assert_eq!(bits(&[1, 2]), Some(0x0102));
        assert_eq!(bits(&[0xFF; 8]), Some(u64::MAX));
        assert_eq!(bits(&[0; 9]), None);
    }
}
