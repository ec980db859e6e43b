//! The binlog: what is committed at the source after a place, in order.
//!
//! [`Source::binlog`] opens it behind a [`Position`], by GTIDs where the server has them, else by file and offset. [`Binlog::next`]
//! hands out transactions event by event; rows stay the bytes that they were sent as. [`Binlog::position`] is always behind a
//! whole transaction: a reader that goes on from there misses nothing and sees nothing twice.
//!
//! What can't be followed faithfully is an error that names the setting or statement and leaves the position where it was: row changes
//! that were logged as statements, parts of JSON documents, XA transactions of two phases, incidents, a transaction that ends in
//! the middle. Nothing is ever left out silently.

mod lag;
mod open;
mod place;
mod raw;
mod statement;
mod stream;
mod transaction;

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use mysql_async::binlog::events::{Event as RawEvent, TableMapEvent};
use tokio::time::Instant;

use self::place::Place;
pub use self::place::Target;
pub use self::statement::{Statement, TableStatement};
use self::stream::Stream;
use self::transaction::Transaction;
use super::error::SourceError;
use super::wire::WireError;
use crate::schema::{Position, TableName};

const FOLLOWING: &str = "following the binlog";
/// How long a call waits at least before silence counts: what came in while nobody looked needs a moment to be seen.
const LEAST_WAIT: Duration = Duration::from_millis(100);
/// After how many heartbeats that didn't come a connection is dead.
const SILENT_HEARTBEATS: u32 = 3;

/// How to read the binlog.
#[derive(Clone, Debug)]
pub struct BinlogSettings {
    /// What this reader calls itself among the server's replicas. The server ends an older reader of the same number.
    pub server_id: u32,
    /// How often a server that has nothing new says so.
    pub heartbeat: Duration,
}

/// An open binlog.
pub struct Binlog {
    stream: Stream,
    settings: BinlogSettings,
    place: Place,
    transaction: Transaction,
    /// Since when nothing has come; none while events come.
    silent_since: Option<Instant>,
    /// How long nothing had come when the last event came.
    was_silent: Option<Duration>,
    /// Set when an error was handed out: the stream can't go on.
    ended: bool,
}

impl std::fmt::Debug for Binlog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Binlog")
            .field("place", &self.place)
            .field("transaction", &self.transaction)
            .finish_non_exhaustive()
    }
}

/// Something that happened at the source.
#[derive(Debug)]
pub struct Event {
    /// When, by the server's clock, in seconds since 1970; 0 where the event has no time.
    pub timestamp: u32,
    /// What.
    pub kind: EventKind,
}

/// What happened at the source.
#[derive(Debug)]
pub enum EventKind {
    /// A transaction has begun.
    Begin,
    /// What the next row events of a table look like.
    TableMap(TableMap),
    /// Rows of one table were changed.
    Rows(Rows),
    /// The transaction is committed; [`Binlog::position`] is behind it. Also a statement that concerns no table.
    Commit,
    /// A statement that is no row change, such as DDL. [`Binlog::position`] is behind it, unless it stands in a transaction whose
    /// Commit is still to come (the table of CREATE TABLE ... SELECT).
    Statement(Statement),
    /// The server has nothing new: what was read so far is all that there was at this moment. Only between transactions.
    Idle,
}

/// What row events of a table look like.
#[derive(Debug)]
pub struct TableMap {
    /// The number by which row events name the table.
    pub table_id: u64,
    /// The table.
    pub table: TableName,
    pub(in crate::source) map: TableMapEvent<'static>,
}

/// What was done to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Each image is a new row.
    Insert,
    /// Images come in pairs: before and after.
    Update,
    /// Each image is a row that is gone.
    Delete,
}

/// Row images of one table.
#[derive(Debug)]
pub struct Rows {
    /// The table, by the number of its map.
    pub table_id: u64,
    /// What was done.
    pub change: Change,
    /// Which columns the before-images have, a bit each, the lowest first; empty for inserts.
    pub(in crate::source) present_before: Vec<u8>,
    /// Which columns the after-images have; empty for deletes.
    pub(in crate::source) present_after: Vec<u8>,
    /// How many columns the table has.
    pub(in crate::source) width: usize,
    /// The images: of each one the NULL bits of its columns, and the values.
    pub(in crate::source) images: Bytes,
}

impl Binlog {
    /// The next event. The future may be dropped at any time: no event is lost.
    ///
    /// # Errors
    /// A lost connection, which is also one that was silent for three heartbeats; a place that the server no longer has; anything that
    /// can't be followed faithfully. After an error the binlog is to be opened again.
    pub async fn next(&mut self) -> Result<Event, SourceError> {
        if self.ended {
            return Err(lost("it had ended with an error before"));
        }
        loop {
            let event = self.receive().await?;
            match self.take(event) {
                Ok(Some(event)) => return Ok(event),
                Ok(None) => {}
                Err(error) => {
                    self.ended = true;
                    return Err(error);
                }
            }
        }
    }

    /// Where the last whole transaction ends. Makes text of a GTID set: cheap enough for each flush, not for each event.
    pub fn position(&self) -> Position {
        self.place.position()
    }

    /// Whether all that is behind the target has been handed out. Cheap enough for the end of each transaction.
    pub fn reached(&self, target: &Target) -> bool {
        self.place.reached(target)
    }

    /// Ends the connection at once, so that the server needn't find out by itself.
    pub async fn close(self) {
        drop(self.stream);
    }

    async fn receive(&mut self) -> Result<RawEvent, SourceError> {
        let answer = match self.stream.next().now_or_never() {
            Some(answer) => answer,
            None => self.wait().await?,
        };
        self.was_silent = self.silent_since.take().map(|since| since.elapsed());
        match answer {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                self.ended = true;
                Err(open::refused(error, &self.position(), &self.settings))
            }
            None => {
                self.ended = true;
                Err(lost("the server has ended it"))
            }
        }
    }

    async fn wait(&mut self) -> Result<Option<Result<RawEvent, WireError>>, SourceError> {
        let now = Instant::now();
        let silent_since = *self.silent_since.get_or_insert(now);
        let patience = self.settings.heartbeat * SILENT_HEARTBEATS;
        let deadline = (silent_since + patience).max(now + LEAST_WAIT);
        match tokio::time::timeout_at(deadline, self.stream.next()).await {
            Ok(answer) => Ok(answer),
            Err(_) => {
                self.ended = true;
                Err(lost(&format!(
                    "no sign of life for {} s",
                    patience.as_secs()
                )))
            }
        }
    }
}

fn lost(cause: &str) -> SourceError {
    SourceError::ConnectionLost {
        action: FOLLOWING.to_owned(),
        cause: cause.to_owned(),
    }
}
