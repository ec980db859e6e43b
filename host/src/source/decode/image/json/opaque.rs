//! Values in a JSON document that JSON has no type for: decimals, dates and times, and all else in Base64.

use super::super::decimal::Packed;
use super::super::temporal;
use super::quoted;
use crate::source::decode::temporal as protocol;

const TIMESTAMP: u8 = 7;
const DATE: u8 = 10;
const TIME: u8 = 11;
const DATETIME: u8 = 12;
const NEWDECIMAL: u8 = 246;

/// The characters of a line of Base64, as MySQL breaks it.
const LINE: usize = 76;

/// Appends the text of a value of one of MySQL's own types; none if it is malformed.
pub(super) fn write(field: u8, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    match field {
        NEWDECIMAL => {
            let (&[precision, scale], digits) = value.split_first_chunk()?;
            Packed::new(precision, scale)?.text(digits, out)
        }
        DATE => {
            let framed = temporal::packed(u64::from_le_bytes(value.try_into().ok()?));
            out.push(b'"');
            protocol::date_text(&mut &framed[..], out).ok()?;
            out.push(b'"');
            Some(())
        }
        DATETIME | TIMESTAMP => {
            let framed = temporal::packed(u64::from_le_bytes(value.try_into().ok()?));
            out.push(b'"');
            protocol::datetime_text(&mut &framed[..], 6, out).ok()?;
            out.push(b'"');
            Some(())
        }
        TIME => {
            let framed = temporal::packed_time(i64::from_le_bytes(value.try_into().ok()?));
            out.push(b'"');
            protocol::time_text(&mut &framed[..], 6, out).ok()?;
            out.push(b'"');
            Some(())
        }
        _ => {
            let mut text = format!("base64:type{field}:").into_bytes();
            base64(value, &mut text);
            quoted(&text, out);
            Some(())
        }
    }
}

/// Appends Base64, broken into lines.
fn base64(value: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut in_line = 0;
    for group in value.chunks(3) {
        if in_line == LINE {
            out.push(b'\n');
            in_line = 0;
        }
        let byte = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= group.len() { digit } else { b'=' });
        }
        in_line += 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_padded_and_broken() {
        let encoded = |value: &[u8]| {
            let mut out = Vec::new();
            base64(value, &mut out);
            String::from_utf8(out).expect("ASCII")
        };
        assert_eq!(encoded(b"foob"), "Zm9vYg==");
        assert_eq!(encoded(b"fooba"), "Zm9vYmE=");
        assert_eq!(encoded(b"foobar"), "Zm9vYmFy");
        assert_eq!(encoded(&[0; 57]).find('\n'), None);
        assert_eq!(encoded(&[0; 58]).find('\n'), Some(76));
    }
}
