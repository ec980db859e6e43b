//! Holds a shadow's background merges while it is loaded, and its TTL until it is proved.
//!
//! The parts of a load are merged again and again while more of them come. Held until the load is over, each row is merged fewer times: the load of
//! TPC-H lineitem took 6.4 instead of 8.2 CPU seconds of the server (tests/bench).
//!
//! Merges also remove what has expired, and a copy that lacks rows can't be proved: so the TTL waits for the proof.
//! Both holds are in the server's memory only: a server that restarts merges again.

use super::{Destination, DestinationError};

impl Destination {
    /// Stops a table's merges. Whether the user may do that; where not, the table is merged as it is loaded.
    pub async fn hold_merges(&self, table: &str) -> Result<bool, DestinationError> {
        self.system("hold merges", "STOP MERGES", table).await
    }

    /// Starts a table's merges, stopped or not.
    pub async fn release_merges(&self, table: &str) -> Result<(), DestinationError> {
        self.system("release merges", "START MERGES", table).await?;
        Ok(())
    }

    /// Stops the expiry of a table's rows and values, if it has any.
    pub async fn hold_ttl(&self, table: &str) -> Result<(), DestinationError> {
        if !self.expires(table).await?
            || self.system("hold a TTL", "STOP TTL MERGES", table).await?
        {
            return Ok(());
        }
        Err(DestinationError::NoTtlHold {
            table: self.table(table),
        })
    }

    /// Lets a table's rows and values expire again.
    pub async fn release_ttl(&self, table: &str) -> Result<(), DestinationError> {
        self.system("release a TTL", "START TTL MERGES", table)
            .await?;
        Ok(())
    }

    /// Whether rows or values of a table expire.
    pub async fn expires(&self, table: &str) -> Result<bool, DestinationError> {
        let live = self.live_table(table).await?;
        Ok(live.is_some_and(|live| live.expires()))
    }

    /// Whether the user had the right to it.
    async fn system(&self, doing: &str, what: &str, table: &str) -> Result<bool, DestinationError> {
        let sql = format!("SYSTEM {what} {}", self.table(table));
        match self.execute(doing, &sql).await {
            Err(error) if error.is_forbidden() => Ok(false),
            done => done.map(|()| true),
        }
    }
}
