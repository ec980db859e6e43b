//! A chunk: a range of a table's key that one query reads, and the ledger that accounts for its rows.

use serde::{Deserialize, Serialize};

use super::TableName;

/// One value of a key column in a chunk's bound, in a form that the server compares exactly as it compares the column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyValue {
    /// Signed and unsigned integers of up to 64 bits, YEAR and BIT.
    Int(i128),
    /// Strings, and every type whose text MySQL reads back exactly (DECIMAL, DATE, DATETIME, TIMESTAMP, TIME).
    Text(String),
    /// BINARY, VARBINARY and BLOB.
    Bytes(Vec<u8>),
}

/// Values of the first columns of a key, in key order; a prefix of the key stands for all the rows that begin with it.
pub type KeyBound = Vec<KeyValue>;

/// A range of a table's key, read by one query, loaded and journalled as a unit. Reading it twice is harmless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// The table that it is a part of.
    pub table: TableName,
    /// Its number in the table, from 0.
    pub number: u32,
    /// Only rows whose key comes after this; none: from the first row.
    pub after: Option<KeyBound>,
    /// Only rows whose key is this or comes before it (rows that begin with it are in); none: to the last row.
    pub upto: Option<KeyBound>,
    /// The planner's estimate of its rows.
    pub estimated_rows: u64,
}

impl Chunk {
    /// The whole of a table, as the one chunk of a table without a key.
    pub fn whole(table: TableName, estimated_rows: u64) -> Self {
        Self {
            table,
            number: 0,
            after: None,
            upto: None,
            estimated_rows,
        }
    }
}

/// What became of the rows of a chunk or a table. It must add up, or there is no swap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Ledger {
    /// Rows that the source sent.
    pub read: u64,
    /// Rows that ClickHouse acknowledged.
    pub written: u64,
    /// Rows that a transform left out.
    pub filtered: u64,
    /// Rows that a transform or a column's type rejected.
    pub rejected: u64,
    /// Rows that a transform could not transform, and that the pipe leaves out.
    #[serde(default)]
    pub skipped: u64,
}

impl Ledger {
    /// Whether each row that was read is accounted for.
    pub fn adds_up(&self) -> bool {
        self.read == self.written + self.filtered + self.rejected + self.skipped
    }
}

impl std::ops::AddAssign for Ledger {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.written += other.written;
        self.filtered += other.filtered;
        self.rejected += other.rejected;
        self.skipped += other.skipped;
    }
}
