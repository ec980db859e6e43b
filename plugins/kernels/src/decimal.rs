//! Decimal numbers and their texts, exactly.

use arrow_buffer::i256;

/// A number's digits times ten to the power of the scale, rounded down, and whether nothing was lost. None if it is no plain number: a sign,
/// digits, a point.
pub fn unscaled(digits: &str, scale: u32) -> Option<(i256, bool)> {
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    if !whole
        .bytes()
        .chain(fraction.bytes())
        .all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let kept = fraction.len().min(scale as usize);
    let exact = kept == fraction.len();
    let zeros = std::iter::repeat_n(b'0', scale as usize - kept);
    let all = whole.bytes().chain(fraction[..kept].bytes()).chain(zeros);
    // More digits than any column holds: as far away as a number can be.
    let value = all.clone().try_fold(i256::ZERO, |value, digit| {
        value
            .checked_mul(i256::from_i128(10))?
            .checked_add(i256::from_i128(i128::from(digit - b'0')))
    });
    let value = value.unwrap_or(i256::MAX);
    let value = match negative {
        true => value.wrapping_neg(),
        false => value,
    };
    let below = i256::from(i128::from(negative && !exact));
    Some((value.wrapping_sub(below), exact))
}

/// The exact value at a scale and within a precision; none if it has none. An exponent is understood.
pub fn exact(digits: &str, precision: u8, scale: i8) -> Option<i256> {
    let scale = i32::from(scale);
    let (digits, exponent) = match digits.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let digits = match digits.strip_prefix('+') {
        Some(signed) if signed.starts_with('-') => return None,
        Some(digits) => digits,
        None => digits,
    };
    let shift = scale.checked_add(exponent)?;
    let (value, whole) = match u32::try_from(shift) {
        Ok(shift) if shift <= 400 => unscaled(digits, shift)?,
        Ok(_) => match unscaled(digits, 0)? {
            (i256::ZERO, true) => (i256::ZERO, true),
            _ => return None,
        },
        // Digits before the point fall away, which they may if they are zeros.
        Err(_) => {
            let (value, whole) = unscaled(digits, 0)?;
            let power = i256::from_i128(10).checked_pow(shift.unsigned_abs().min(77));
            match (value, power) {
                (i256::ZERO, _) => (value, whole),
                (_, Some(power)) => {
                    let (quotient, rest) = value.checked_div_rem(power)?;
                    (quotient, whole && rest == i256::ZERO)
                }
                _ => return None,
            }
        }
    };
    (whole && fits(value, precision)).then_some(value)
}

/// Whether a value has no more digits than the precision.
pub fn fits(unscaled: i256, precision: u8) -> bool {
    match i256::from_i128(10).checked_pow(u32::from(precision)) {
        Some(limit) => unscaled < limit && unscaled > limit.wrapping_neg(),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_down_and_say_so() {
        for (digits, scale, expected, exact) in [
            ("12", 0, 12, true),
            ("-12.5", 0, -13, false),
            ("12.5", 0, 12, false),
            ("12.50", 1, 125, true),
            (".25", 3, 250, true),
            ("-0.001", 2, -1, false),
        ] {
            let expected = i256::from_i128(expected);
            assert_eq!(unscaled(digits, scale), Some((expected, exact)), "{digits}");
        }
        for wrong in ["1e5", "", ".", "-", "1-", "--1", "1.2.3", "é"] {
            assert_eq!(unscaled(wrong, 0), None, "{wrong}");
        }
    }

    #[test]
    fn exact_values_are_exact_or_none() {
        let at =
            |digits, precision, scale| exact(digits, precision, scale).map(|value| value.as_i128());
        assert_eq!(at("1.50", 5, 2), Some(150));
        assert_eq!(at("+1.5e2", 5, 1), Some(1500));
        assert_eq!(at("1500e-2", 5, 0), Some(15));
        assert_eq!(at("1501e-2", 5, 0), None);
        assert_eq!(at("1.501", 5, 2), None);
        assert_eq!(at("1000", 5, 2), None, "six digits");
        assert_eq!(at("-999.99", 5, 2), Some(-99_999));
        assert_eq!(at("0e999999999", 5, 2), Some(0));
        assert_eq!(at("1e999999999", 5, 2), None);
        assert_eq!(at("1e-999999999", 5, 2), None);
        assert_eq!(at("x", 5, 2), None);
        assert_eq!(at("+-5", 5, 2), None);
        assert_eq!(at("++5", 5, 2), None);
    }
}
