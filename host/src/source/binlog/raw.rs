//! The bytes of binlog events: what is read of them, and no more.
//!
//! Events of MariaDB, and those of which a part is enough, are read here; table maps and tagged GTIDs are read by the driver's crate.

use std::io::Read;

use bytes::Bytes;
use flate2::Crc;
use flate2::read::ZlibDecoder;
use mysql_async::binlog::events::Event;

use super::{Change, Rows};

/// Numbers of event types.
pub(super) mod kind {
    pub(in super::super) const QUERY: u8 = 2;
    pub(in super::super) const STOP: u8 = 3;
    pub(in super::super) const ROTATE: u8 = 4;
    pub(in super::super) const INTVAR: u8 = 5;
    pub(in super::super) const LOAD: u8 = 6;
    pub(in super::super) const SLAVE: u8 = 7;
    pub(in super::super) const CREATE_FILE: u8 = 8;
    pub(in super::super) const NEW_LOAD: u8 = 12;
    pub(in super::super) const RAND: u8 = 13;
    pub(in super::super) const USER_VAR: u8 = 14;
    pub(in super::super) const FORMAT_DESCRIPTION: u8 = 15;
    pub(in super::super) const XID: u8 = 16;
    pub(in super::super) const BEGIN_LOAD_QUERY: u8 = 17;
    pub(in super::super) const EXECUTE_LOAD_QUERY: u8 = 18;
    pub(in super::super) const TABLE_MAP: u8 = 19;
    pub(in super::super) const WRITE_ROWS_V1: u8 = 23;
    pub(in super::super) const UPDATE_ROWS_V1: u8 = 24;
    pub(in super::super) const DELETE_ROWS_V1: u8 = 25;
    pub(in super::super) const INCIDENT: u8 = 26;
    pub(in super::super) const HEARTBEAT: u8 = 27;
    pub(in super::super) const IGNORABLE: u8 = 28;
    pub(in super::super) const ROWS_QUERY: u8 = 29;
    pub(in super::super) const WRITE_ROWS: u8 = 30;
    pub(in super::super) const UPDATE_ROWS: u8 = 31;
    pub(in super::super) const DELETE_ROWS: u8 = 32;
    pub(in super::super) const GTID: u8 = 33;
    pub(in super::super) const ANONYMOUS_GTID: u8 = 34;
    pub(in super::super) const PREVIOUS_GTIDS: u8 = 35;
    pub(in super::super) const TRANSACTION_CONTEXT: u8 = 36;
    pub(in super::super) const VIEW_CHANGE: u8 = 37;
    pub(in super::super) const XA_PREPARE: u8 = 38;
    pub(in super::super) const PARTIAL_UPDATE_ROWS: u8 = 39;
    pub(in super::super) const TRANSACTION_PAYLOAD: u8 = 40;
    pub(in super::super) const HEARTBEAT_V2: u8 = 41;
    pub(in super::super) const GTID_TAGGED: u8 = 42;
    pub(in super::super) const MARIADB_ANNOTATE_ROWS: u8 = 160;
    pub(in super::super) const MARIADB_CHECKPOINT: u8 = 161;
    pub(in super::super) const MARIADB_GTID: u8 = 162;
    pub(in super::super) const MARIADB_GTID_LIST: u8 = 163;
    pub(in super::super) const MARIADB_START_ENCRYPTION: u8 = 164;
    pub(in super::super) const MARIADB_QUERY_COMPRESSED: u8 = 165;
    pub(in super::super) const MARIADB_WRITE_ROWS_COMPRESSED_V1: u8 = 166;
    pub(in super::super) const MARIADB_UPDATE_ROWS_COMPRESSED_V1: u8 = 167;
    pub(in super::super) const MARIADB_DELETE_ROWS_COMPRESSED_V1: u8 = 168;
    pub(in super::super) const MARIADB_WRITE_ROWS_COMPRESSED: u8 = 169;
    pub(in super::super) const MARIADB_UPDATE_ROWS_COMPRESSED: u8 = 170;
    pub(in super::super) const MARIADB_DELETE_ROWS_COMPRESSED: u8 = 171;
}

/// The table id of an event that has no rows and only ends a statement.
const NO_TABLE: u64 = 0x00ff_ffff;

/// What is left of an event's body.
pub(super) struct Body<'a>(pub(super) &'a [u8]);

impl<'a> Body<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of up to 8 bytes, the lowest first.
    pub(super) fn number(&mut self, length: usize) -> Option<u64> {
        let bytes = self.take(length)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |number, byte| number << 8 | u64::from(*byte)),
        )
    }

    /// A number of the protocol's own length coding.
    fn counted(&mut self) -> Option<u64> {
        match self.number(1)? {
            0xfc => self.number(2),
            0xfd => self.number(3),
            0xfe => self.number(8),
            small @ 0..=0xfa => Some(small),
            _ => None,
        }
    }
}

/// An event whose bytes are shared: what is cut out of them needs no copy.
struct Shared(Event);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.data()
    }
}

/// How the rows of an event are laid out.
struct Layout {
    change: Change,
    /// Version 1 has no extra data before the width.
    first_version: bool,
    compressed: bool,
}

/// The layout of a row event's type; none if it is no row event.
fn layout(event_type: u8) -> Option<Layout> {
    use kind::*;
    let (change, first_version, compressed) = match event_type {
        WRITE_ROWS_V1 => (Change::Insert, true, false),
        UPDATE_ROWS_V1 => (Change::Update, true, false),
        DELETE_ROWS_V1 => (Change::Delete, true, false),
        WRITE_ROWS => (Change::Insert, false, false),
        UPDATE_ROWS => (Change::Update, false, false),
        DELETE_ROWS => (Change::Delete, false, false),
        MARIADB_WRITE_ROWS_COMPRESSED_V1 => (Change::Insert, true, true),
        MARIADB_UPDATE_ROWS_COMPRESSED_V1 => (Change::Update, true, true),
        MARIADB_DELETE_ROWS_COMPRESSED_V1 => (Change::Delete, true, true),
        MARIADB_WRITE_ROWS_COMPRESSED => (Change::Insert, false, true),
        MARIADB_UPDATE_ROWS_COMPRESSED => (Change::Update, false, true),
        MARIADB_DELETE_ROWS_COMPRESSED => (Change::Delete, false, true),
        _ => return None,
    };
    Some(Layout {
        change,
        first_version,
        compressed,
    })
}

/// Whether an event has rows.
pub(super) fn has_rows(event_type: u8) -> bool {
    layout(event_type).is_some()
}

/// Takes a row event apart. None inside for an event without rows; none outside for one that can't be read.
pub(super) fn rows(event: Event) -> Option<Option<Rows>> {
    let layout = layout(event.header().event_type_raw())?;
    let length = event.data().len();
    let mut body = Body(event.data());
    let table_id = body.number(6)?;
    let _flags = body.number(2)?;
    if !layout.first_version {
        let extra = usize::try_from(body.number(2)?).ok()?;
        body.take(extra.checked_sub(2)?)?;
    }
    let width = usize::try_from(body.counted()?).ok()?;
    let bitmap = width.div_ceil(8);
    let mut present = |is: bool| match is {
        true => body.take(bitmap).map(<[u8]>::to_vec),
        false => Some(Vec::new()),
    };
    let present_before = present(layout.change != Change::Insert)?;
    let present_after = present(layout.change != Change::Delete)?;
    if table_id == NO_TABLE && body.0.is_empty() {
        return Some(None);
    }
    let images = match layout.compressed {
        true => Bytes::from(inflate(body.0)?),
        false => {
            let start = length - body.0.len();
            Bytes::from_owner(Shared(event)).slice(start..)
        }
    };
    Some(Some(Rows {
        table_id,
        change: layout.change,
        present_before,
        present_after,
        width,
        images,
    }))
}

/// The longest that a compressed event becomes: the largest packet that a server has, in which it was sent otherwise.
const INFLATED_BYTES: u64 = 1 << 30;

/// What MariaDB compressed: a byte that says how, the length as it was, and a zlib stream.
pub(super) fn inflate(bytes: &[u8]) -> Option<Vec<u8>> {
    inflate_at_most(bytes, INFLATED_BYTES)
}

fn inflate_at_most(bytes: &[u8], most: u64) -> Option<Vec<u8>> {
    let (head, rest) = bytes.split_first()?;
    let (zlib, algorithm) = (head & 0x80 != 0, head >> 4 & 0x07);
    if !zlib || algorithm != 0 {
        return None;
    }
    let (length, stream) = rest.split_at_checked(usize::from(head & 0x07))?;
    let length = length
        .iter()
        .fold(0u64, |length, byte| length << 8 | u64::from(*byte));
    if length > most {
        return None;
    }
    // Room is made as bytes come, whatever length is stated.
    let mut whole = Vec::new();
    // One byte more than was announced shows a stream that is longer.
    ZlibDecoder::new(stream)
        .take(length.saturating_add(1))
        .read_to_end(&mut whole)
        .ok()?;
    (whole.len() as u64 == length).then_some(whole)
}

/// The name of the file that a rotation goes to. MariaDB's first one has a checksum at its end, before the driver can know that
/// there are any.
pub(super) fn next_file<'a>(event: &Event, name: &'a [u8]) -> &'a [u8] {
    let header = event.header();
    let Some((data, checksum)) = event.data().split_last_chunk::<4>() else {
        return name;
    };
    let mut crc = Crc::new();
    crc.update(&header.timestamp().to_le_bytes());
    crc.update(&[header.event_type_raw()]);
    crc.update(&header.server_id().to_le_bytes());
    crc.update(&header.event_size().to_le_bytes());
    crc.update(&header.log_pos().to_le_bytes());
    crc.update(&header.flags_raw().to_le_bytes());
    crc.update(data);
    match crc.sum() == u32::from_le_bytes(*checksum) {
        true => name.strip_suffix(checksum).unwrap_or(name),
        false => name,
    }
}

/// The parts of a query event that are of use.
pub(super) struct QueryEvent<'a> {
    pub(super) database: &'a [u8],
    pub(super) text: &'a [u8],
}

pub(super) fn query(data: &[u8]) -> Option<QueryEvent<'_>> {
    let mut body = Body(data);
    body.take(8)?;
    let database = usize::try_from(body.number(1)?).ok()?;
    body.take(2)?;
    let status = usize::try_from(body.number(2)?).ok()?;
    body.take(status)?;
    let database = body.take(database)?;
    body.take(1)?;
    Some(QueryEvent {
        database,
        text: body.0,
    })
}

/// MariaDB's GTID event: number, domain, flags. The server's id is in the header.
pub(super) struct MariaGtid {
    pub(super) number: u64,
    pub(super) domain: u32,
    flags: u8,
}

impl MariaGtid {
    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let mut body = Body(data);
        Some(Self {
            number: body.number(8)?,
            domain: u32::try_from(body.number(4)?).ok()?,
            flags: u8::try_from(body.number(1)?).ok()?,
        })
    }

    /// One statement that ends by itself follows.
    pub(super) fn stands_alone(&self) -> bool {
        self.flags & 1 != 0
    }
}

/// Whether an XA PREPARE event is of one phase, which is a commit.
pub(super) fn one_phase(data: &[u8]) -> Option<bool> {
    Some(Body(data).number(1)? != 0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use mysql_async::binlog::BinlogVersion;
    use mysql_async::binlog::events::FormatDescriptionEvent;
    use proptest::prelude::*;

    use super::*;

    fn event(event_type: u8, body: &[u8]) -> Event {
        let mut bytes = vec![0; 19];
        bytes[4] = event_type;
        bytes[9..13].copy_from_slice(&(19 + body.len() as u32).to_le_bytes());
        bytes.extend_from_slice(body);
        Event::read(
            &FormatDescriptionEvent::new(BinlogVersion::Version4),
            &bytes[..],
        )
        .unwrap()
    }

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![0x84];
        out.extend((bytes.len() as u32).to_be_bytes());
        let mut encoder = ZlibEncoder::new(out, Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn rows_are_cut_out_of_their_event() {
        let images = b"\0\x01\0\0\0\0\x02\0\0\0";
        let update = [
            &[9, 0, 0, 0, 0, 0, 1, 0, 4, 0, 7, 7, 9, 0xff, 1, 0x7f, 0][..],
            images,
        ]
        .concat();
        let rows = rows(event(kind::UPDATE_ROWS, &update)).unwrap().unwrap();
        assert_eq!(
            (rows.table_id, rows.change, rows.width),
            (9, Change::Update, 9)
        );
        assert_eq!(
            (rows.present_before, rows.present_after),
            (vec![0xff, 1], vec![0x7f, 0])
        );
        assert_eq!(&rows.images[..], images);
    }

    #[test]
    fn the_first_version_and_its_compressed_form() {
        let images = [b"\0\x01\0\0\0".as_slice(); 30].concat();
        let head = [9, 0, 0, 0, 0, 0, 1, 0, 1, 1];
        for (event_type, body) in [
            (kind::DELETE_ROWS_V1, images.clone()),
            (kind::MARIADB_DELETE_ROWS_COMPRESSED_V1, deflate(&images)),
        ] {
            let rows = rows(event(event_type, &[&head[..], &body].concat()))
                .unwrap()
                .unwrap();
            assert_eq!((rows.change, rows.width), (Change::Delete, 1));
            assert_eq!((rows.present_before, rows.present_after), (vec![1], vec![]));
            assert_eq!(&rows.images[..], &images);
        }
    }

    #[test]
    fn an_event_may_have_no_rows_or_be_cut() {
        let none = [0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 2, 0, 0];
        assert!(matches!(rows(event(kind::WRITE_ROWS, &none)), Some(None)));
        assert!(rows(event(kind::WRITE_ROWS, &none[..9])).is_none());
    }

    #[test]
    fn only_what_was_compressed_whole_is_inflated() {
        let text = b"UPDATE t SET a = 1".repeat(20);
        let packed = deflate(&text);
        assert_eq!(inflate(&packed), Some(text.clone()));
        assert_eq!(inflate(&packed[..packed.len() - 6]), None);
        let mut other = packed.clone();
        other[4] += 1;
        assert_eq!(inflate(&other), None, "another length");
        other[0] = 0x94;
        assert_eq!(inflate(&other), None, "another algorithm");
        assert_eq!(inflate(&[]), None);
    }

    #[test]
    fn an_event_that_says_it_is_gigabytes_is_not_inflated() {
        let zeros = vec![0; 1 << 20];
        let stream = deflate(&zeros).split_off(5);
        assert!(stream.len() < 8 << 10, "a bomb");
        let claims = |length: u64| {
            let length = &length.to_be_bytes()[1..];
            [&[0x87][..], length, &stream[..]].concat()
        };
        assert_eq!(inflate(&claims(1 << 20)), Some(zeros));
        for length in [INFLATED_BYTES + 1, 1 << 40, (1 << 56) - 1] {
            assert_eq!(inflate(&claims(length)), None, "{length}");
        }
        // What is longer than was said, and what is longer than may be.
        assert_eq!(inflate(&claims(1000)), None);
        assert_eq!(inflate_at_most(&claims(1 << 20), (1 << 20) - 1), None);
        assert!(inflate_at_most(&claims(1 << 20), 1 << 20).is_some());
    }

    #[test]
    fn a_checksum_is_no_part_of_a_name() {
        let mut body = [&4u64.to_le_bytes()[..], b"binlog.000001"].concat();
        let plain = event(kind::ROTATE, &body);
        assert_eq!(next_file(&plain, &plain.data()[8..]), b"binlog.000001");
        let mut header = [0; 19];
        header[4] = kind::ROTATE;
        header[9] = 19 + 21 + 4;
        let mut crc = Crc::new();
        crc.update(&header);
        crc.update(&body);
        body.extend(crc.sum().to_le_bytes());
        let summed = event(kind::ROTATE, &body);
        assert_eq!(next_file(&summed, &summed.data()[8..]), b"binlog.000001");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(event_type in 0..180u8, body in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = rows(event(event_type, &body));
            let _ = (query(&body), inflate(&body), MariaGtid::read(&body), one_phase(&body));
        }
    }
}
