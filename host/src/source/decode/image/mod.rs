//! Cells of the binlog's row images: how they are framed, and how they become the values that the client's protocol would have sent.
//!
//! How a column is framed and what its bytes mean is decided once a table map ([`layout`]). Values end in the same stores as those of a
//! snapshot, through the same functions wherever the forms allow it, so that both come out the same.

mod address;
mod decimal;
mod json;
pub(super) mod layout;
mod map;
mod temporal;

use std::sync::Arc;

use super::charset::Charset;
use super::column::ColumnDecoder;
use super::{BEYOND_UNICODE, Fault};
pub(super) use decimal::Packed;

/// How a cell is framed in a row image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// So many bytes.
    Bytes(usize),
    /// A length of so many bytes, the lowest first, then as many bytes as it says.
    Length(usize),
}

impl Frame {
    /// Takes the bytes of the cell that the cells begin with.
    #[inline]
    pub(super) fn take<'a>(self, cells: &mut &'a [u8]) -> Result<&'a [u8], Fault> {
        let length = match self {
            Self::Bytes(length) => length,
            Self::Length(bytes) => {
                let (length, rest) = cells.split_at_checked(bytes).ok_or(Fault::Short)?;
                *cells = rest;
                length
                    .iter()
                    .rev()
                    .fold(0, |value, &byte| value << 8 | usize::from(byte))
            }
        };
        let (cell, rest) = cells.split_at_checked(length).ok_or(Fault::Short)?;
        *cells = rest;
        Ok(cell)
    }
}

/// What a cell's bytes mean.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// The same as in the client's protocol: a number of a fixed size.
    Same,
    MediumInt {
        unsigned: bool,
    },
    Year,
    Bit,
    Decimal(Packed),
    Date,
    DateTime,
    Timestamp,
    Time,
    OldDateTime,
    OldTimestamp,
    OldTime,
    /// The number of a value, and their texts; index 0 is the empty text. None: it has a character that Unicode doesn't have.
    Enum(Arc<[Option<String>]>),
    /// A bit for each member.
    Set(Arc<[Option<String>]>),
    /// Bytes as they are, or text that is UTF-8.
    Raw,
    /// Text of another character set.
    Text(Arc<Charset>),
    Json,
    Uuid,
    Inet4,
    Inet6,
}

impl ColumnDecoder {
    /// Takes a value by the bytes of its cell in a row image.
    #[inline]
    pub(super) fn push_image(&mut self, content: &Content, cell: &[u8]) -> Result<(), Fault> {
        match content {
            Content::Same => self.push(&mut &cell[..]),
            Content::Raw => self.push_bytes(cell),
            Content::Text(charset) => self.push_written(|out| {
                charset
                    .decode(cell, out)
                    .ok_or_else(|| Fault::Value(BEYOND_UNICODE.to_owned()))
            }),
            Content::MediumInt { unsigned } => {
                let &[a, b, c] = cell else {
                    return Err(Fault::Short);
                };
                let sign = if !unsigned && c & 0x80 != 0 { 0xFF } else { 0 };
                self.push(&mut &[a, b, c, sign][..])
            }
            Content::Year => {
                let &[year] = cell else {
                    return Err(Fault::Short);
                };
                let year = if year == 0 { 0 } else { 1900 + u16::from(year) };
                self.push(&mut &year.to_le_bytes()[..])
            }
            Content::Bit => self.push_bytes(cell),
            Content::Decimal(shape) => self.push_decimal(*shape, cell),
            Content::Date => {
                let mut framed = temporal::date(cell);
                framed[0] = 4;
                self.push(&mut &framed[..5])
            }
            Content::DateTime => self.push(&mut &temporal::datetime(cell)[..]),
            Content::Timestamp => self.push(&mut &temporal::timestamp(cell)[..]),
            Content::Time => self.push(&mut &temporal::time(cell)[..]),
            Content::OldDateTime => self.push(&mut &temporal::old_datetime(cell)[..]),
            Content::OldTimestamp => self.push(&mut &temporal::old_timestamp(cell)[..]),
            Content::OldTime => self.push(&mut &temporal::old_time(cell)[..]),
            Content::Enum(values) => match values.get(number(cell) as usize) {
                Some(Some(value)) => self.push_bytes(value.as_bytes()),
                Some(None) => Err(Fault::Value(BEYOND_UNICODE.to_owned())),
                None => Err(unknown_member("value")),
            },
            Content::Set(members) => self.push_written(|out| set(members, number(cell), out)),
            Content::Json => self.push_written(|out| json::text(cell, out).ok_or_else(no_json)),
            Content::Uuid => {
                let uuid = address::uuid(cell).ok_or(Fault::Short)?;
                self.push_or_write(&uuid, |out| address::uuid_text(uuid, out))
            }
            Content::Inet4 => {
                let address = address::whole::<4>(cell).ok_or(Fault::Short)?;
                self.push_or_write(&address, |out| address::inet4_text(address, out))
            }
            Content::Inet6 => {
                let address = address::whole::<16>(cell).ok_or(Fault::Short)?;
                self.push_or_write(&address, |out| address::inet6_text(address, out))
            }
        }
    }
}

/// A number of up to eight bytes, the lowest first.
#[inline]
fn number(cell: &[u8]) -> u64 {
    cell.iter()
        .rev()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// Appends the members of a SET whose bits are there, with commas between them.
fn set(members: &[Option<String>], mut bits: u64, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut is_first = true;
    while bits != 0 {
        let member = members.get(bits.trailing_zeros() as usize);
        let member = member.ok_or_else(|| unknown_member("member"))?;
        let member = member.as_ref();
        let member = member.ok_or_else(|| Fault::Value(BEYOND_UNICODE.to_owned()))?;
        if !is_first {
            out.push(b',');
        }
        out.extend_from_slice(member.as_bytes());
        is_first = false;
        bits &= bits - 1;
    }
    Ok(())
}

#[cold]
fn unknown_member(kind: &str) -> Fault {
    Fault::Value(format!(
        "it is a {kind} that the type didn't have when the table was looked at; copy the table anew"
    ))
}

#[cold]
fn no_json() -> Fault {
    Fault::Value("the document is malformed; repair the row".to_owned())
}
