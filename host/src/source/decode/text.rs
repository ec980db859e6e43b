//! Values of differing sizes, and the types that arrive as text.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

use super::Fault;

/// Takes bytes behind their length.
#[inline]
pub(super) fn take<'a>(cells: &mut &'a [u8]) -> Result<&'a [u8], Fault> {
    let (&first, rest) = cells.split_first().ok_or(Fault::Short)?;
    let (length, rest) = match first {
        0..=250 => (usize::from(first), rest),
        0xFC..=0xFE => {
            let bytes = [2, 3, 8][usize::from(first - 0xFC)];
            let (length, rest) = rest.split_at_checked(bytes).ok_or(Fault::Short)?;
            let mut wide = [0; 8];
            wide[..bytes].copy_from_slice(length);
            (
                usize::try_from(u64::from_le_bytes(wide)).map_err(|_| Fault::Short)?,
                rest,
            )
        }
        _ => return Err(Fault::Short),
    };
    let (value, rest) = rest.split_at_checked(length).ok_or(Fault::Short)?;
    *cells = rest;
    Ok(value)
}

/// The most room that is made for values that have not come yet: twice a batch of the usual size.
const MOST_ROOM_BYTES: usize = 16 << 20;

/// Values end to end, and where each ends.
pub(super) struct Values {
    pub(super) bytes: Vec<u8>,
    offsets: Vec<i32>,
}

impl Values {
    pub(super) fn new(rows: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self {
            bytes: Vec::with_capacity(bytes),
            offsets,
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    #[inline]
    pub(super) fn push(&mut self, value: &[u8]) -> Result<(), Fault> {
        self.bytes.extend_from_slice(value);
        self.end()
    }

    /// Ends a value whose bytes were appended by hand.
    #[inline]
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        let Ok(end) = i32::try_from(self.bytes.len()) else {
            return Err(Fault::Value(
                "the batch would have more than 2 GiB of this column; lower `batch` in [snapshot]"
                    .into(),
            ));
        };
        self.offsets.push(end);
        Ok(())
    }

    fn take(&mut self) -> (Vec<u8>, Vec<i32>) {
        // A little more room than this batch used, so that the next one seldom has to move; but a huge value is followed by none as a rule.
        let room = self.bytes.len() + self.bytes.len() / 16;
        let fresh = Self::new(self.rows() + 1, room.min(MOST_ROOM_BYTES));
        let Self { bytes, offsets } = std::mem::replace(self, fresh);
        (bytes, offsets)
    }

    /// The values as binary.
    pub(super) fn binary(&mut self, nulls: Option<NullBuffer>) -> ArrayRef {
        let (bytes, offsets) = self.take();
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Arc::new(BinaryArray::new(offsets, Buffer::from_vec(bytes), nulls))
    }

    /// The values as text, and the first row whose text isn't UTF-8 (the array is then made of what is readable of it).
    pub(super) fn text(&mut self, nulls: Option<NullBuffer>) -> (ArrayRef, Option<usize>) {
        let (bytes, offsets) = self.take();
        let bad_row = |bytes: &[u8], offsets: &[i32]| {
            let valid = |pair: &[i32]| {
                std::str::from_utf8(&bytes[pair[0] as usize..pair[1] as usize]).is_ok()
            };
            offsets.windows(2).position(|pair| !valid(pair))
        };
        let buffer = Buffer::from_vec(bytes);
        let ends = OffsetBuffer::new(ScalarBuffer::from(offsets));
        if let Ok(array) = StringArray::try_new(ends.clone(), buffer.clone(), nulls) {
            return (Arc::new(array), None);
        }
        let row = bad_row(&buffer, &ends);
        let readable = ends
            .windows(2)
            .map(|pair| String::from_utf8_lossy(&buffer[pair[0] as usize..pair[1] as usize]));
        (Arc::new(StringArray::from_iter_values(readable)), row)
    }
}

fn parsed<T: std::str::FromStr>(text: &[u8], kind: &str) -> Result<T, Fault> {
    let value = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok());
    value.ok_or_else(|| Fault::Value(format!("the server's text of it is no {kind}")))
}

/// UUID: 16 bytes in the order of its digits.
pub(super) fn uuid(text: &[u8]) -> Result<[u8; 16], Fault> {
    parsed::<uuid::Uuid>(text, "UUID").map(uuid::Uuid::into_bytes)
}

/// INET4: the address as a number.
pub(super) fn inet4(text: &[u8]) -> Result<u32, Fault> {
    parsed::<Ipv4Addr>(text, "INET4").map(u32::from)
}

/// INET6: 16 bytes in network order.
pub(super) fn inet6(text: &[u8]) -> Result<[u8; 16], Fault> {
    parsed::<Ipv6Addr>(text, "INET6").map(|address| address.octets())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray};

    #[test]
    fn lengths_have_four_forms() {
        let mut cells = Vec::new();
        for (head, length) in [
            (&[3][..], 3),
            (&[0xFC, 0, 1], 256),
            (&[0xFD, 0, 0, 1], 65536),
            (&[0xFE, 5, 0, 0, 0, 0, 0, 0, 0], 5),
        ] {
            cells.extend_from_slice(head);
            cells.extend(std::iter::repeat_n(b'x', length));
        }
        let mut rest = &cells[..];
        let lengths: Vec<_> = (0..4)
            .map(|_| take(&mut rest).expect("a value").len())
            .collect();
        assert_eq!(lengths, [3, 256, 65536, 5]);
        assert_eq!(take(&mut rest), Err(Fault::Short));
        assert_eq!(take(&mut &[5, b'x'][..]), Err(Fault::Short));
        assert_eq!(
            take(&mut &[0xFE, 255, 255, 255, 255, 255, 255, 255, 255, 1][..]),
            Err(Fault::Short)
        );
    }

    #[test]
    fn text_that_is_no_utf8_is_found() {
        let mut values = Values::new(0, 0);
        // Two halves of a character are valid end to end, and wrong apart.
        for value in [&b"fine"[..], b"\xC3", b"\xA9"] {
            values.push(value).expect("small");
        }
        let (array, bad) = values.text(None);
        assert_eq!(bad, Some(1));
        assert_eq!(
            (array.len(), array.as_string::<i32>().value(0)),
            (3, "fine")
        );
        values.push("Gruß".as_bytes()).expect("small");
        assert_eq!(values.text(None).1, None);
    }

    #[test]
    fn addresses_and_uuids() {
        assert_eq!(inet4(b"10.0.0.1"), Ok(0x0A00_0001));
        assert_eq!(inet6(b"::1").expect("an address")[15], 1);
        assert_eq!(
            uuid(b"123e4567-e89b-12d3-a456-426655440000").expect("a UUID")[..2],
            [0x12, 0x3e]
        );
        assert!(matches!(inet4(b"10.0.0"), Err(Fault::Value(_))));
    }
}
