//! What each event of the binlog means: the state between the beginning and the end of a transaction.

use mysql_async::binlog::events::{
    Event as RawEvent, GtidEvent, RotateEvent, TableMapEvent, TransactionPayloadEvent,
};
use uuid::Uuid;

use super::place::Gtid;
use super::raw::{self, MariaGtid, kind};
use super::statement::{self, Query};
use super::{Binlog, Event, EventKind, FOLLOWING, TableMap};
use crate::schema::TableName;
use crate::source::error::SourceError;

/// Events of the server that need not be understood.
const IGNORABLE_FLAG: u16 = 0x80;
/// Events that are made for the reader and stand in no file.
const ARTIFICIAL_FLAG: u16 = 0x20;

/// The transaction that is being read.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    /// Its id, once the server has said it.
    gtid: Option<Gtid>,
    /// Whether its beginning was handed out, and its end was not.
    open: bool,
    /// Whether rows of it were handed out.
    rows: bool,
    /// Whether its events come out of one compressed event. Their offsets mean nothing then.
    payload: bool,
}

impl Transaction {
    fn is_under_way(&self) -> bool {
        self.open || self.gtid.is_some()
    }
}

impl Binlog {
    /// What an event means; none if it is of no interest by itself.
    pub(super) fn take(&mut self, event: RawEvent) -> Result<Option<Event>, SourceError> {
        let header = event.header();
        let event_type = header.event_type_raw();
        self.advance(&event)?;
        let kind = match event_type {
            _ if raw::has_rows(event_type) => self.rows(event)?,
            kind::TABLE_MAP => Some(EventKind::TableMap(table_map(&event)?)),
            kind::GTID | kind::GTID_TAGGED => {
                let gtid = gtid(&event)?;
                self.expect(gtid)?;
                None
            }
            kind::ANONYMOUS_GTID => {
                self.expect(Gtid::Anonymous)?;
                None
            }
            kind::MARIADB_GTID => self.mariadb_gtid(&event)?,
            kind::QUERY | kind::MARIADB_QUERY_COMPRESSED => self.query(&event)?,
            kind::XID => Some(self.commit()),
            kind::TRANSACTION_PAYLOAD => {
                // The driver takes it apart, and says nothing if it can't.
                event
                    .read_event::<TransactionPayloadEvent<'_>>()
                    .map_err(|_| unreadable("a compressed transaction"))?;
                self.transaction.payload = true;
                None
            }
            kind::HEARTBEAT | kind::HEARTBEAT_V2 => self.heartbeat(&event)?,
            kind::ROTATE => {
                self.rotate(&event)?;
                None
            }
            kind::XA_PREPARE => Some(self.prepared(&event)?),
            other => {
                self.other(other, header.flags_raw())?;
                None
            }
        };
        Ok(kind.map(|kind| Event {
            timestamp: header.timestamp(),
            kind,
        }))
    }

    /// Follows the offset, and sees gaps inside of a transaction.
    fn advance(&mut self, event: &RawEvent) -> Result<(), SourceError> {
        let header = event.header();
        let (end, event_type) = (header.log_pos(), header.event_type_raw());
        let stands_nowhere = end == 0
            || header.flags_raw() & ARTIFICIAL_FLAG != 0
            || matches!(
                event_type,
                kind::HEARTBEAT | kind::HEARTBEAT_V2 | kind::ROTATE
            )
            || self.transaction.payload
            // The file's first event, sent to a reader that begins behind it.
            || event_type == kind::FORMAT_DESCRIPTION && u64::from(end) < self.place.now_at();
        if stands_nowhere {
            return Ok(());
        }
        // MariaDB leaves out events that a reader hasn't asked for, such as the text of statements.
        let checked = self.transaction.is_under_way()
            && !matches!(self.transaction.gtid, Some(Gtid::Domain { .. }) | None);
        let start = end.wrapping_sub(header.event_size());
        if checked && start != self.place.now_at() as u32 {
            return Err(self.unfollowable(&format!(
                "events are missing in a transaction: one ends at {}, the next begins at {start}; if that happens again, `tidemill \
                 resync` loads afresh",
                self.place.now_at()
            )));
        }
        self.place.advance(end);
        Ok(())
    }

    /// A transaction is announced.
    fn expect(&mut self, gtid: Gtid) -> Result<(), SourceError> {
        self.none_under_way()?;
        self.transaction.gtid = Some(gtid);
        Ok(())
    }

    fn none_under_way(&mut self) -> Result<(), SourceError> {
        match self.transaction.is_under_way() {
            false => Ok(()),
            true => Err(self.unfollowable(
                "a transaction was lost: another one began before its end came; if that happens again, `tidemill resync` loads afresh",
            )),
        }
    }

    fn begin(&mut self) -> Result<Option<EventKind>, SourceError> {
        if self.transaction.open {
            self.none_under_way()?;
        }
        self.transaction.open = true;
        Ok(Some(EventKind::Begin))
    }

    fn commit(&mut self) -> EventKind {
        self.end();
        EventKind::Commit
    }

    fn end(&mut self) {
        let transaction = std::mem::take(&mut self.transaction);
        self.place.commit(transaction.gtid.as_ref());
    }

    fn rows(&mut self, event: RawEvent) -> Result<Option<EventKind>, SourceError> {
        if !self.transaction.open {
            return Err(self.unfollowable(
                "rows stand outside of a transaction: the place is not at the beginning of one; `tidemill resync` loads afresh",
            ));
        }
        let event_type = event.header().event_type_raw();
        let rows =
            raw::rows(event).ok_or_else(|| unreadable(&format!("rows (type {event_type})")))?;
        self.transaction.rows = true;
        Ok(rows.map(EventKind::Rows))
    }

    fn mariadb_gtid(&mut self, event: &RawEvent) -> Result<Option<EventKind>, SourceError> {
        let gtid = MariaGtid::read(event.data()).ok_or_else(|| unreadable("a GTID"))?;
        self.expect(Gtid::Domain {
            domain: gtid.domain,
            server: event.header().server_id(),
            number: gtid.number,
        })?;
        match gtid.stands_alone() {
            true => Ok(None),
            false => self.begin(),
        }
    }

    fn query(&mut self, event: &RawEvent) -> Result<Option<EventKind>, SourceError> {
        let unreadable = || unreadable("a statement");
        let query = raw::query(event.data()).ok_or_else(unreadable)?;
        match query.text {
            // The way of nearly every transaction.
            b"BEGIN" => return self.begin(),
            b"COMMIT" => return Ok(Some(self.commit())),
            _ => {}
        }
        let inflated;
        let text = match event.header().event_type_raw() {
            kind::MARIADB_QUERY_COMPRESSED => {
                inflated = raw::inflate(query.text).ok_or_else(unreadable)?;
                &inflated
            }
            _ => query.text,
        };
        let database = String::from_utf8_lossy(query.database);
        self.statement(statement::read(&String::from_utf8_lossy(text), &database))
    }

    fn statement(&mut self, query: Query) -> Result<Option<EventKind>, SourceError> {
        let inside = self.transaction.open;
        match query {
            Query::Begin | Query::XaStart if inside && !self.transaction.rows => Ok(None),
            Query::Begin | Query::XaStart => self.begin(),
            Query::Commit => Ok(Some(self.commit())),
            Query::Harmless if inside => Ok(None),
            Query::Harmless => Ok(Some(self.commit())),
            Query::Rollback if !self.transaction.rows => Ok(Some(self.commit())),
            Query::Rollback | Query::RollbackTo => Err(self.unfollowable(
                "a transaction with row changes is rolled back in the binlog, as happens when it also writes to a table without \
                 transactions: which of its changes stay can't be told; `tidemill resync` loads afresh",
            )),
            Query::XaCommit => Err(self.two_phases()),
            Query::RowChange(verb) => Err(self.unfollowable(&format!(
                "{verb} was logged as a statement, not as rows: set `binlog_format = ROW` at the source, for all sessions, and run \
                 `tidemill resync`"
            ))),
            Query::Statement(statement) => {
                if !inside {
                    self.end();
                }
                Ok(Some(EventKind::Statement(statement)))
            }
        }
    }

    fn prepared(&mut self, event: &RawEvent) -> Result<EventKind, SourceError> {
        match raw::one_phase(event.data()) {
            Some(true) => Ok(self.commit()),
            Some(false) => Err(self.two_phases()),
            None => Err(unreadable("XA PREPARE")),
        }
    }

    fn two_phases(&self) -> SourceError {
        self.unfollowable(
            "the source uses XA transactions of two phases (XA PREPARE, XA COMMIT), which can't be followed: their rows are in the binlog \
             before it is known whether they stay. When no XA transaction is prepared any more (XA RECOVER), `tidemill resync` loads \
             afresh",
        )
    }

    fn heartbeat(&mut self, event: &RawEvent) -> Result<Option<EventKind>, SourceError> {
        if self.transaction.payload {
            self.none_under_way()?;
        }
        if self.transaction.is_under_way() {
            return Ok(None);
        }
        self.place.idle(event.data(), event.header().log_pos());
        // MySQL also sends one at once where it leaves out transactions of the set: more may follow.
        let idle = self
            .was_silent
            .is_some_and(|silent| silent >= self.settings.heartbeat / 4 * 3);
        Ok(idle.then_some(EventKind::Idle))
    }

    fn rotate(&mut self, event: &RawEvent) -> Result<(), SourceError> {
        self.none_under_way()?;
        let rotate = event
            .read_event::<RotateEvent<'_>>()
            .map_err(|_| unreadable("a change of files"))?;
        let file = String::from_utf8_lossy(raw::next_file(event, rotate.name_raw()));
        self.place.rotate(&file, rotate.position());
        Ok(())
    }

    /// Events that end it all, and events that mean nothing here.
    fn other(&mut self, event_type: u8, flags: u16) -> Result<(), SourceError> {
        match event_type {
            kind::FORMAT_DESCRIPTION
            | kind::PREVIOUS_GTIDS
            | kind::MARIADB_CHECKPOINT
            | kind::MARIADB_GTID_LIST => {
                if !self.transaction.is_under_way() {
                    self.place.rest();
                }
                Ok(())
            }
            kind::INCIDENT => Err(self.unfollowable(
                "the server says that events may be missing (an incident); `tidemill resync` loads afresh",
            )),
            kind::PARTIAL_UPDATE_ROWS => Err(self.unfollowable(
                "only the changed parts of JSON documents were logged: remove PARTIAL_JSON from `binlog_row_value_options` at the \
                 source, for all sessions, and run `tidemill resync`",
            )),
            kind::LOAD | kind::CREATE_FILE..=kind::NEW_LOAD | kind::BEGIN_LOAD_QUERY | kind::EXECUTE_LOAD_QUERY => {
                Err(self.unfollowable(
                    "LOAD DATA was logged as a statement, not as rows: set `binlog_format = ROW` at the source, for all sessions, and \
                     run `tidemill resync`",
                ))
            }
            kind::STOP
            | kind::INTVAR
            | kind::SLAVE
            | kind::RAND
            | kind::USER_VAR
            | kind::IGNORABLE
            | kind::ROWS_QUERY
            | kind::TRANSACTION_CONTEXT
            | kind::VIEW_CHANGE
            | kind::MARIADB_ANNOTATE_ROWS
            | kind::MARIADB_START_ENCRYPTION => Ok(()),
            _ if flags & IGNORABLE_FLAG != 0 => Ok(()),
            unknown => Err(self.unfollowable(&format!(
                "an event of type {unknown}, which Tidemill doesn't know, may be a change of rows"
            ))),
        }
    }

    fn unfollowable(&self, problem: &str) -> SourceError {
        SourceError::Unfollowable {
            position: self.position(),
            problem: problem.to_owned(),
        }
    }
}

fn table_map(event: &RawEvent) -> Result<TableMap, SourceError> {
    let map = event
        .read_event::<TableMapEvent<'_>>()
        .map_err(|_| unreadable("a table map"))?;
    Ok(TableMap {
        table_id: map.table_id(),
        table: TableName::new(map.database_name(), map.table_name()),
        map: map.into_owned(),
    })
}

fn gtid(event: &RawEvent) -> Result<Gtid, SourceError> {
    if event.header().event_type_raw() == kind::GTID_TAGGED {
        let gtid = event
            .read_event::<GtidEvent>()
            .map_err(|_| unreadable("a tagged GTID"))?;
        return Ok(Gtid::Set {
            uuid: Uuid::from_bytes(gtid.sid()),
            tag: gtid
                .tag()
                .map_or_else(String::new, |tag| tag.as_str().to_owned()),
            number: gtid.gno(),
        });
    }
    let mut body = raw::Body(event.data());
    let mut read = || {
        body.take(1)?;
        let uuid = Uuid::from_slice(body.take(16)?).ok()?;
        Some((uuid, body.number(8)?))
    };
    let (uuid, number) = read().ok_or_else(|| unreadable("a GTID"))?;
    Ok(Gtid::Set {
        uuid,
        tag: String::new(),
        number,
    })
}

fn unreadable(what: &str) -> SourceError {
    SourceError::Protocol {
        action: FOLLOWING.to_owned(),
        reason: format!("{what} that can't be read"),
    }
}
