//! MariaDB's UUID, INET4 and INET6 as row images have them: bytes of a fixed length, whose zero bytes at the end are left out.

use std::io::Write;

/// The bytes with the zero bytes that were left out; none if there are too many.
#[inline]
pub(in crate::source::decode) fn whole<const N: usize>(cell: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    bytes.get_mut(..cell.len())?.copy_from_slice(cell);
    Some(bytes)
}

/// UUID: 16 bytes in the order of its digits. Of the versions that begin with the low bits of a clock, MariaDB stores the segments from the
/// last to the first, so that they sort by time; others are as they are.
#[inline]
pub(in crate::source::decode) fn uuid(cell: &[u8]) -> Option<[u8; 16]> {
    let stored: [u8; 16] = whole(cell)?;
    // The variant and the version where they are if the segments are turned around.
    let turned = stored[6] & 0x80 != 0 && (1..0x60).contains(&stored[8]);
    if !turned {
        return Some(stored);
    }
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&stored[12..]);
    bytes[4..6].copy_from_slice(&stored[10..12]);
    bytes[6..8].copy_from_slice(&stored[8..10]);
    bytes[8..10].copy_from_slice(&stored[6..8]);
    bytes[10..].copy_from_slice(&stored[..6]);
    Some(bytes)
}

/// Appends MariaDB's text of a UUID.
pub(in crate::source::decode) fn uuid_text(bytes: [u8; 16], out: &mut Vec<u8>) {
    let mut text = uuid::Uuid::encode_buffer();
    out.extend_from_slice(
        uuid::Uuid::from_bytes(bytes)
            .hyphenated()
            .encode_lower(&mut text)
            .as_bytes(),
    );
}

/// Appends MariaDB's text of an INET4. To a vector nothing fails.
pub(in crate::source::decode) fn inet4_text([a, b, c, d]: [u8; 4], out: &mut Vec<u8>) {
    let _ = write!(out, "{a}.{b}.{c}.{d}");
}

/// Appends MariaDB's text of an INET6: the first of the longest runs of zeros is left out, be it a single one, and addresses of version 4
/// are written as such.
pub(in crate::source::decode) fn inet6_text(bytes: [u8; 16], out: &mut Vec<u8>) {
    let words: [u16; 8] =
        std::array::from_fn(|i| u16::from_be_bytes([bytes[2 * i], bytes[2 * i + 1]]));
    let (gap, length) = longest_zeros(&words);
    let mut i = 0;
    while i < 8 {
        if length > 0 && i == gap {
            out.extend_from_slice(if i == 0 { b"::" } else { b":" });
            i += length;
            continue;
        }
        if i == 6 && gap == 0 && (length == 6 || length == 5 && words[5] == 0xFFFF) {
            return inet4_text([bytes[12], bytes[13], bytes[14], bytes[15]], out);
        }
        let _ = write!(out, "{:x}", words[i]);
        if i < 7 {
            out.push(b':');
        }
        i += 1;
    }
}

/// Where the first of the longest runs of zeros begins, and its length.
fn longest_zeros(words: &[u16; 8]) -> (usize, usize) {
    let (mut best, mut length) = (0, 0);
    let mut run = 0;
    for (i, &word) in words.iter().enumerate() {
        run = if word == 0 { run + 1 } else { 0 };
        if run > length {
            (best, length) = (i + 1 - run, run);
        }
    }
    (best, length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;

    fn text(address: &str) -> String {
        let address: Ipv6Addr = address.parse().expect("an address");
        let mut out = Vec::new();
        inet6_text(address.octets(), &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn addresses_are_written_as_mariadb_does() {
        for (address, written) in [
            ("::", "::"),
            ("::1", "::1"),
            ("::1:2", "::0.1.0.2"),
            ("::1.2.3.4", "::1.2.3.4"),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
            ("1::", "1::"),
            ("1:0:2:3:4:5:6:7", "1::2:3:4:5:6:7"),
            ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
        ] {
            assert_eq!(text(address), written, "{address}");
        }
    }

    #[test]
    fn uuids_are_turned_around_where_they_have_a_clock() {
        let turned = [
            0x95, 0x64, 0x5B, 0x8C, 0x65, 0x60, 0x95, 0x64, 0x10, 0x26, 0xBA, 0xBA, 0x6C, 0xCD,
            0x78, 0x0C,
        ];
        let uuid_of = |cell: &[u8]| {
            let mut out = Vec::new();
            uuid_text(uuid(cell).expect("16 bytes"), &mut out);
            String::from_utf8(out).expect("ASCII")
        };
        assert_eq!(uuid_of(&turned), "6ccd780c-baba-1026-9564-95645b8c6560");
        assert_eq!(uuid_of(&[]), "00000000-0000-0000-0000-000000000000");
        assert_eq!(uuid(&[0; 17]), None);
    }
}
