//! Doubles as MySQL's JSON shows them: the shortest digits that read back to the same bits, and always a point or an exponent.

use std::io::Write;

/// MySQL writes an exponent for what has this many digits before the point, or zeros behind it (its sources, strings/dtoa.cc,
/// `MAX_DECPT_FOR_F_FORMAT`).
const PLAIN_DIGITS: i32 = 15;

/// Appends the text of a double.
pub(super) fn write(value: f64, out: &mut Vec<u8>) {
    // Rust's shortest digits, as `d.ddde±x`, in room of their own: 17 digits at most.
    let mut buffer = [0u8; 32];
    let mut rest = &mut buffer[..];
    let _ = write!(rest, "{:e}", value.abs());
    let unused = rest.len();
    let text = &buffer[..buffer.len() - unused];
    let Some(at) = text.iter().position(|&byte| byte == b'e') else {
        // Infinite or no number, which JSON can't have.
        out.extend_from_slice(b"null");
        return;
    };
    let exponent = std::str::from_utf8(&text[at + 1..])
        .ok()
        .and_then(|digits| digits.parse().ok());
    let exponent: i32 = exponent.unwrap_or_default();
    let mut digits = [0u8; 20];
    let mut count = 0;
    for &digit in text[..at].iter().filter(|&&byte| byte != b'.') {
        digits[count] = digit;
        count += 1;
    }
    if count >= TIE_DIGITS && digits[count - 1] % 2 == 1 {
        to_even(value.abs(), exponent, &mut digits[..count]);
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    digits_at(&digits[..count], exponent + 1, out);
}

/// The fewest digits that may be a value's shortest and yet not the value itself: of fewer, each reads back.
const TIE_DIGITS: usize = 15;

/// Where a value lies midway between two texts of as many digits, MySQL writes the one whose last digit is even, and Rust the greater.
#[cold]
fn to_even(value: f64, exponent: i32, digits: &mut [u8]) {
    // More digits than such a value has: its last one is a 5, and what follows are zeros.
    let mut buffer = [0u8; 64];
    let mut rest = &mut buffer[..];
    let _ = write!(rest, "{value:.40e}");
    let exact = buffer.iter().filter(|&&byte| byte != b'.');
    let exact = exact.take_while(|byte| byte.is_ascii_digit()).copied();
    let is_below = |digits: &[u8]| {
        let mut exact = exact.clone().skip(digits.len() - 1);
        exact
            .next()
            .is_some_and(|digit| digit + 1 == digits[digits.len() - 1])
            && exact.next() == Some(b'5')
            && exact.all(|digit| digit == b'0')
    };
    if !is_below(digits) {
        return;
    }
    let last = digits.len() - 1;
    digits[last] -= 1;
    // Below a power of two, values lie closer together: the lesser text may be another value's.
    let mut text = [0u8; 32];
    let mut rest = &mut text[..];
    let (first, others) = digits.split_at(1);
    let written = (|| {
        rest.write_all(first)?;
        rest.write_all(b".")?;
        rest.write_all(others)?;
        write!(rest, "e{exponent}")
    })();
    let length = 32 - rest.len();
    let back = std::str::from_utf8(&text[..length]).ok();
    if written.is_err() || back.and_then(|text| text.parse().ok()) != Some(value) {
        digits[last] += 1;
    }
}

/// Writes digits with the point behind so many of them.
fn digits_at(digits: &[u8], point: i32, out: &mut Vec<u8>) {
    let count = digits.len() as i32;
    let plain = point > -PLAIN_DIGITS && (point <= PLAIN_DIGITS || count > point);
    if !plain {
        out.push(digits[0]);
        if count > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        let _ = write!(out, "e{}", point - 1);
    } else if point <= 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', point.unsigned_abs() as usize));
        out.extend_from_slice(digits);
    } else if count > point {
        let (whole, fraction) = digits.split_at(point as usize);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    } else {
        out.extend_from_slice(digits);
        out.extend(std::iter::repeat_n(b'0', (point - count) as usize));
        out.extend_from_slice(b".0");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(value: f64) -> String {
        let mut out = Vec::new();
        write(value, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn doubles_are_as_mysql_shows_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (1e100, "1e100"),
            (1.5e300, "1.5e300"),
            (1e14, "100000000000000.0"),
            (1e15, "1e15"),
            (0.1, "0.1"),
            (1e-15, "0.000000000000001"),
            (1e-16, "1e-16"),
            (1234567890123456.7, "1234567890123456.8"),
            // It ends in .25, midway between two texts.
            (1720510584897580.3, "1720510584897580.2"),
            (598073865290291.9, "598073865290291.9"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e308"),
        ] {
            assert_eq!(written(value), text);
        }
    }

    proptest! {
        #[test]
        fn doubles_read_back_to_the_same_bits(bits: u64) {
            let value = f64::from_bits(bits);
            if value.is_finite() {
                prop_assert_eq!(written(value).parse::<f64>().expect("a number").to_bits(), bits);
            }
        }
    }
}
