//! The binlog: what a server has written of its changes.

use bytes::Bytes;
use mysql_async::binlog::events::TableMapEvent;

use crate::schema::TableName;

/// What the next row images of a table look like.
#[derive(Clone, Debug)]
pub struct TableMap {
    /// The number by which row images name the table.
    pub table_id: u64,
    /// The table's name.
    pub table: TableName,
    pub(in crate::source) map: TableMapEvent<'static>,
}

/// Row images of one table, as the server wrote them.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The number of the table map that they follow.
    pub table_id: u64,
    /// What was done to the rows.
    pub change: Change,
    /// Which columns the images before the change have, a bit each; empty for [`Change::Insert`].
    pub(in crate::source) present_before: Vec<u8>,
    /// Which columns the images after the change have, a bit each; empty for [`Change::Delete`].
    pub(in crate::source) present_after: Vec<u8>,
    /// How many columns the table has.
    pub(in crate::source) width: usize,
    /// The images end to end, without a checksum.
    pub(in crate::source) images: Bytes,
}

/// What was done to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// They were inserted.
    Insert,
    /// They were updated: each is an image before it and one after it.
    Update,
    /// They were deleted.
    Delete,
}
