//! Where in the source's binlog a reading was taken.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in the binlog. Two equal positions of one server mean that nothing was committed in between, if its binlog has every commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The executed GTID set (MySQL) or the binlog's GTID position (MariaDB); none if the server has no GTIDs.
    pub gtid: Option<String>,
    /// The binlog file.
    pub file: String,
    /// The offset in that file, in bytes.
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.offset)?;
        match &self.gtid {
            Some(gtid) if !gtid.is_empty() => write!(f, " ({gtid})"),
            _ => Ok(()),
        }
    }
}
