//! Answers kept for idempotency keys: a request that is sent again is answered as it was, and does nothing.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::{StoreError, TenantStore, json};

/// How long an answer is kept.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24);

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAnswer {
    /// The status.
    pub status: u16,
    /// The body's type.
    pub content_type: Option<String>,
    /// The address of what was made.
    pub location: Option<String>,
    /// The body.
    pub body: String,
}

/// What is known of an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nothing: the request is to be done, and its answer kept.
    New,
    /// The first request is at work.
    AtWork,
    /// It came with another request.
    Other,
    /// The answer.
    Answer(KeptAnswer),
}

impl TenantStore<'_> {
    /// Takes a key for a request, of which this is the digest, or says what is known of it.
    pub fn take_key(&self, key: &str, request: &[u8]) -> Result<Kept, StoreError> {
        let now = Timestamp::now();
        let found = self.store.write(|tx| {
            let old = "DELETE FROM answers WHERE tenant = ?1 AND at < ?2";
            tx.execute(old, params![self.tenant, (now - KEPT_FOR).as_second()])?;
            let sql = "SELECT request, answer FROM answers WHERE tenant = ?1 AND key = ?2";
            let read = |row: &rusqlite::Row<'_>| {
                Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Option<String>>(1)?))
            };
            let found = tx
                .query_row(sql, params![self.tenant, key], read)
                .optional()?;
            if found.is_none() {
                let sql = "INSERT INTO answers (tenant, key, request, at) VALUES (?1, ?2, ?3, ?4)";
                tx.execute(sql, params![self.tenant, key, request, now.as_second()])?;
            }
            Ok(found)
        })?;
        Ok(match found {
            None => Kept::New,
            Some((kept, _)) if kept != request => Kept::Other,
            Some((_, None)) => Kept::AtWork,
            Some((_, Some(answer))) => Kept::Answer(serde_json::from_str(&answer)?),
        })
    }

    /// Keeps the answer of a request that has taken a key; none: it is as if it had never been sent.
    pub fn keep_answer(&self, key: &str, answer: Option<&KeptAnswer>) -> Result<(), StoreError> {
        self.store.write(|tx| {
            let keys = params![self.tenant, key];
            match answer {
                None => tx.execute("DELETE FROM answers WHERE tenant = ?1 AND key = ?2", keys),
                Some(answer) => tx.execute(
                    "UPDATE answers SET answer = ?3 WHERE tenant = ?1 AND key = ?2",
                    params![self.tenant, key, json(answer)?],
                ),
            }
            .map(drop)
        })
    }

    /// Forgets the keys of requests that a crash has cut.
    pub fn forget_cut_requests(&self) -> Result<(), StoreError> {
        let sql = "DELETE FROM answers WHERE tenant = ?1 AND answer IS NULL";
        self.store
            .write(|tx| tx.execute(sql, [self.tenant]).map(drop))
    }
}
