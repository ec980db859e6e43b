//! What goes from the reading side of a stream to the writing side, and back.

use tokio::sync::oneshot;

use crate::schema::{Position, SourceTable};
use crate::source::{Changes, Pairs, Statement, TableRead, Target};

/// A followed table as the reader sees it.
pub(super) struct Decoding {
    /// The table at the stream's position.
    pub(super) table: SourceTable,
    /// The columns that its transforms need.
    pub(super) read: TableRead,
    /// Whether the old row of an update is always needed.
    pub(super) pairs: Pairs,
    /// Changes up to here are left out.
    pub(super) from: Option<Target>,
    /// Whether it follows at all.
    pub(super) follows: bool,
}

/// Tells the reader how the tables that a statement changed are decoded from then on, by their numbers.
pub(super) type Tell = oneshot::Sender<Vec<(usize, Decoding)>>;

/// Changes on their way to the destination.
pub(super) struct Flush {
    /// The counter at the beginning of the flush.
    pub(super) counter: u64,
    /// Its number among the parts of one flush.
    pub(super) part: u32,
    /// For each table, by its number, what was gathered.
    pub(super) changes: Vec<(usize, Vec<Changes>)>,
    /// Tables that can't be followed any further, and why.
    pub(super) ended: Vec<(usize, String)>,
    /// The limits that cut it, where a transaction was larger.
    pub(super) limits: Option<(usize, usize)>,
    /// Whether the journal has said already how it is cut.
    pub(super) replayed: bool,
    /// Where it ends; none: another part follows.
    pub(super) end: Option<End>,
}

/// The end of a flush: a transaction's.
pub(super) struct End {
    pub(super) position: Position,
    pub(super) counter: u64,
    /// The server's clock at the last event; 0 if it is unknown.
    pub(super) timestamp: u32,
    /// A statement that stands behind the changes, and where the tables that it changes are told.
    pub(super) statement: Option<(Statement, Tell)>,
}
