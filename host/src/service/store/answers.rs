//! Answers kept for idempotency keys: a request that is sent again is answered as it was, and does nothing.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::{StoreError, TenantStore, json, parsed};

/// How long an answer is kept.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24);
/// Keys of a tenant, at most.
const MOST: i64 = 1_000;
/// Largest body of an answer that is kept, in bytes.
const LARGEST: usize = 64 << 10;

/// What is kept of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptAnswer {
    /// All of it.
    Whole(Answer),
    /// That it was given: it has a secret, which is shown once.
    ShownOnce,
    /// That it was given: it is too large.
    TooLarge,
}

impl KeptAnswer {
    /// What is kept of an answer without a secret.
    pub fn of(answer: Answer) -> Self {
        match answer.body.len() > LARGEST {
            true => Self::TooLarge,
            false => Self::Whole(answer),
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
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
    /// It can't be taken: as many requests with keys are at work as a tenant may have keys.
    TooMany,
    /// The answer.
    Answer(KeptAnswer),
}

impl TenantStore<'_> {
    /// Takes a key for a request, of which this is the digest, or says what is known of it.
    pub fn take_key(&self, key: &str, request: &[u8]) -> Result<Kept, StoreError> {
        let now = Timestamp::now();
        let mut kept = Kept::New;
        let taken = self.store.write_if(|tx| {
            let old = "DELETE FROM answers WHERE tenant = ?1 AND at < ?2";
            tx.execute(old, params![self.tenant, (now - KEPT_FOR).as_second()])?;
            let sql = "SELECT request, answer FROM answers WHERE tenant = ?1 AND key = ?2";
            let read = |row: &Row<'_>| {
                let (known, answer): (Vec<u8>, Option<String>) = (row.get(0)?, row.get(1)?);
                Ok(match answer {
                    _ if known != request => Kept::Other,
                    None => Kept::AtWork,
                    Some(answer) => Kept::Answer(parsed(&answer)?),
                })
            };
            let found = tx.query_row(sql, params![self.tenant, key], read);
            if let Some(found) = found.optional()? {
                kept = found;
                return Ok(true);
            }
            let sql = "INSERT INTO answers (tenant, key, request, at) VALUES (?1, ?2, ?3, ?4)";
            tx.execute(sql, params![self.tenant, key, request, now.as_second()])?;
            self.has_room(tx)
        })?;
        Ok(if taken { kept } else { Kept::TooMany })
    }

    /// Forgets the oldest answers where there are too many keys. Whether there is room then.
    fn has_room(&self, tx: &Transaction<'_>) -> rusqlite::Result<bool> {
        let count = "SELECT count(*) FROM answers WHERE tenant = ?1";
        let count: i64 = tx.query_row(count, [self.tenant], |row| row.get(0))?;
        let over = count.saturating_sub(MOST);
        if over <= 0 {
            return Ok(true);
        }
        let oldest = "DELETE FROM answers WHERE rowid IN \
                      (SELECT rowid FROM answers WHERE tenant = ?1 AND answer IS NOT NULL ORDER BY at, rowid LIMIT ?2)";
        let forgotten = tx.execute(oldest, params![self.tenant, over])?;
        Ok(i64::try_from(forgotten).is_ok_and(|forgotten| forgotten >= over))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::store::testing::store;

    fn answer(body: String) -> Answer {
        Answer {
            status: 204,
            content_type: None,
            location: None,
            body,
        }
    }

    #[test]
    fn the_oldest_answers_make_room_and_requests_at_work_stay() {
        let (_folder, store) = store();
        let (acme, other) = (store.tenant("acme"), store.tenant("other"));
        let take = |key: i64| acme.take_key(&key.to_string(), b"request").unwrap();
        other.take_key("0", b"request").unwrap();
        for key in 0..MOST {
            assert_eq!(take(key), Kept::New);
        }
        // All are at work.
        assert_eq!(take(MOST), Kept::TooMany);
        assert_eq!(take(0), Kept::AtWork);
        let kept = KeptAnswer::of(answer("done".to_owned()));
        for key in ["1", "2"] {
            acme.keep_answer(key, Some(&kept)).unwrap();
        }
        assert_eq!(take(MOST), Kept::New);
        assert_eq!(take(2), Kept::Answer(kept));
        assert_eq!(take(1), Kept::New);
        assert_eq!(take(2), Kept::TooMany);
        assert_eq!(other.take_key("0", b"another").unwrap(), Kept::Other);
    }

    #[test]
    fn a_large_answer_is_not_kept() {
        let kept = |bytes| KeptAnswer::of(answer("x".repeat(bytes)));
        assert!(matches!(kept(LARGEST), KeptAnswer::Whole(_)));
        assert_eq!(kept(LARGEST + 1), KeptAnswer::TooLarge);
    }
}
