//! Holds a shadow's background merges while it is loaded.
//!
//! The parts of a load are merged again and again while more of them come. Held until the load is over, each row is merged fewer times: the load of
//! TPC-H lineitem took 6.4 instead of 8.2 CPU seconds of the server (tests/bench). The hold is the server's memory only: a server that restarts merges again.

use super::{Destination, DestinationError};

impl Destination {
    /// Stops a table's merges. Whether the user may do that; where not, the table is merged as it is loaded.
    pub async fn hold_merges(&self, table: &str) -> Result<bool, DestinationError> {
        let sql = format!("SYSTEM STOP MERGES {}", self.table(table));
        match self.execute("hold merges", &sql).await {
            Err(error) if error.is_denied() => Ok(false),
            done => done.map(|()| true),
        }
    }

    /// Starts a table's merges, stopped or not.
    pub async fn release_merges(&self, table: &str) -> Result<(), DestinationError> {
        let sql = format!("SYSTEM START MERGES {}", self.table(table));
        match self.execute("release merges", &sql).await {
            Err(error) if error.is_denied() => Ok(()),
            done => done,
        }
    }
}
