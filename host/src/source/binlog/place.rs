//! The place in the binlog behind the last whole transaction.

use std::sync::Arc;

use uuid::Uuid;

use crate::schema::position::{file_number, file_reached};
use crate::schema::{Gtids, Position};

/// A transaction's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Gtid {
    /// MySQL's.
    Set {
        uuid: Uuid,
        tag: String,
        number: u64,
    },
    /// MariaDB's.
    Domain {
        domain: u32,
        server: u32,
        number: u64,
    },
    /// None: GTIDs are off.
    Anonymous,
}

/// Takes a transaction in.
fn add(gtids: &mut Gtids, gtid: &Gtid) {
    match (gtids, gtid) {
        (Gtids::Set(set), Gtid::Set { uuid, tag, number }) => set.add(*uuid, tag, *number),
        (
            Gtids::Domains(domains),
            Gtid::Domain {
                domain,
                server,
                number,
            },
        ) => domains.set(*domain, *server, *number),
        // Ids that were not there at the beginning can't make a whole of what is behind.
        _ => {}
    }
}

/// A place to be reached, taken apart once: it is asked for at the end of each transaction.
#[derive(Clone, Debug)]
pub struct Target {
    gtids: Gtids,
    position: Position,
}

impl Target {
    /// This position as a target.
    pub fn new(position: Position) -> Self {
        Self {
            gtids: Gtids::parse(position.gtid.as_deref()),
            position,
        }
    }
}

/// Where the reading is, and where the last whole transaction ended.
#[derive(Debug)]
pub(super) struct Place {
    gtids: Gtids,
    /// The file and offset behind the last whole transaction.
    file: Arc<str>,
    offset: u64,
    /// The file that is being read, and the end of the last event in it.
    now_in: Arc<str>,
    now_at: u64,
    /// Whether the server has named a file yet.
    named: bool,
}

impl Place {
    /// Whether all that is behind the target is behind this place, too: as [`Position::reached`], without making text of it.
    pub(super) fn reached(&self, target: &Target) -> bool {
        let Target { gtids, position } = target;
        self.gtids.contains(gtids).unwrap_or_else(|| {
            file_reached((&self.file, self.offset), (&position.file, position.offset))
        })
    }

    pub(super) fn new(from: &Position, gtids: Gtids) -> Self {
        let file: Arc<str> = from.file.as_str().into();
        Self {
            gtids,
            file: file.clone(),
            offset: from.offset,
            now_in: file,
            now_at: from.offset,
            named: false,
        }
    }

    pub(super) fn position(&self) -> Position {
        let gtid = match &self.gtids {
            Gtids::None => None,
            Gtids::Set(set) => Some(set.to_string()),
            Gtids::Domains(domains) => Some(domains.to_string()),
        };
        Position {
            gtid: gtid.filter(|gtid| !gtid.is_empty()),
            file: self.file.to_string(),
            offset: self.offset,
        }
    }

    /// The end of the last event.
    pub(super) fn now_at(&self) -> u64 {
        self.now_at
    }

    /// Another file, or the same one at its beginning. Only between transactions.
    pub(super) fn rotate(&mut self, file: &str, offset: u64) {
        self.now_in = file.into();
        self.now_at = offset;
        // By GTIDs the server begins with the file in which the first one that is wanted may be: that can be before the place.
        let first = !std::mem::replace(&mut self.named, true);
        let before = first && !matches!(self.gtids, Gtids::None) && {
            let (place, here) = (file_number(&self.file), file_number(file));
            here.zip(place).is_none_or(|(here, place)| here <= place)
        };
        if !before {
            self.file = self.now_in.clone();
            self.offset = offset;
        }
    }

    /// An event ends here. The server counts in 32 bits; a file may be longer, with a huge transaction at its end.
    pub(super) fn advance(&mut self, end: u32) {
        let mut now = self.now_at & !u64::from(u32::MAX) | u64::from(end);
        if now < self.now_at {
            now += 1 << 32;
        }
        self.now_at = now;
    }

    /// A transaction ended with the last event.
    pub(super) fn commit(&mut self, gtid: Option<&Gtid>) {
        if let Some(gtid) = gtid {
            add(&mut self.gtids, gtid);
        }
        if !Arc::ptr_eq(&self.file, &self.now_in) {
            self.file = self.now_in.clone();
        }
        self.offset = self.now_at;
    }

    /// The server has read this far, and there was nothing for us. Only between transactions.
    pub(super) fn idle(&mut self, file: &[u8], end: u32) {
        if file == self.now_in.as_bytes() {
            self.now_at = self.now_at.max(end.into());
            self.rest();
        }
    }

    /// What was read last is part of no transaction: a file's head, to which the server's own position belongs. Never goes back.
    pub(super) fn rest(&mut self) {
        let here = file_number(&self.now_in).map(|(_, number)| (number, self.now_at));
        let place = file_number(&self.file).map(|(_, number)| (number, self.offset));
        if here > place {
            self.commit(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::DomainGtids;

    fn at(gtid: Option<&str>, file: &str, offset: u64) -> Position {
        Position {
            gtid: gtid.map(str::to_owned),
            file: file.to_owned(),
            offset,
        }
    }

    #[test]
    fn by_file_the_place_follows_the_files() {
        let mut place = Place::new(&at(None, "b.000001", 157), Gtids::None);
        place.rotate("b.000001", 157);
        place.advance(200);
        assert_eq!(
            place.position(),
            at(None, "b.000001", 157),
            "not committed yet"
        );
        place.commit(Some(&Gtid::Anonymous));
        assert_eq!(place.position(), at(None, "b.000001", 200));
        place.rotate("b.000002", 4);
        assert_eq!(place.position(), at(None, "b.000002", 4));
        place.advance(126);
        place.rest();
        assert_eq!(
            place.position(),
            at(None, "b.000002", 126),
            "a new file's head"
        );
        place.idle(b"b.000001", 900);
        assert_eq!(
            place.position(),
            at(None, "b.000002", 126),
            "another file's"
        );
        place.idle(b"b.000002", 900);
        assert_eq!(place.position(), at(None, "b.000002", 900));
    }

    #[test]
    fn by_gtids_the_place_stays_until_there_is_something_new() {
        let from = at(Some("0-1-7"), "b.000009", 500);
        let gtids = DomainGtids::parse("0-1-7").unwrap();
        let mut place = Place::new(&from, Gtids::Domains(gtids));
        // The server begins with the file that has the transaction, from its start.
        place.rotate("b.000008", 4);
        place.advance(126);
        place.rest();
        assert_eq!(place.position(), from);
        place.rotate("b.000009", 4);
        place.advance(560);
        let (domain, server, number) = (5, 2, 1);
        place.commit(Some(&Gtid::Domain {
            domain,
            server,
            number,
        }));
        assert_eq!(place.position(), at(Some("0-1-7,5-2-1"), "b.000009", 560));
    }

    #[test]
    fn a_file_may_be_longer_than_its_offsets() {
        let mut place = Place::new(&at(None, "b.000001", 4), Gtids::None);
        place.advance(u32::MAX - 10);
        place.advance(90);
        place.commit(None);
        assert_eq!(place.position().offset, (1 << 32) + 90);
    }
}
