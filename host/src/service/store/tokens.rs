//! Tokens and browsers' sessions. The store has the hashes of their secrets alone.

use jiff::{SignedDuration, Timestamp};
use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Store, StoreError, TenantStore, json, number, parsed};

/// What the bearer of a token may do; each role may do what those before it may.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    clap::ValueEnum,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look at pipes, but not at rows.
    Viewer,
    /// Make, change and run pipes; look at rows.
    Operator,
    /// Give and take tokens; read the audit log.
    Admin,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        })
    }
}

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TokenRecord {
    /// Its id, the part between the underscores.
    pub id: String,
    /// What it is for, in its maker's words.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends; null: never.
    pub expires: Option<Timestamp>,
    /// When it got its present secret; null: it is the first one.
    #[serde(default)]
    pub rotated: Option<Timestamp>,
}

/// A token that was just made: the only time that its secret is seen.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct NewToken {
    /// The token, as a request bears it: `tm_<id>_<secret>`.
    pub token: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub record: TokenRecord,
}

/// A browser's session.
#[derive(Clone, Debug)]
pub struct SessionRecord {
    /// The tenant.
    pub tenant: String,
    /// The token that it was begun with.
    pub token: TokenRecord,
    /// What its forms must bear.
    pub csrf: String,
}

/// How long the secret before a rotation is still good.
const GRACE: SignedDuration = SignedDuration::from_hours(1);
/// How long a browser's session lasts.
const SESSION: SignedDuration = SignedDuration::from_hours(12);
/// Sessions of a token, at most.
const MOST_SESSIONS: u32 = 100;

fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret).to_vec()
}

/// So many random bytes, in hexadecimal.
fn random(bytes: usize) -> Result<String, StoreError> {
    let mut random = vec![0; bytes];
    let filled = SystemRandom::new().fill(&mut random);
    filled.map_err(|_| StoreError::Random)?;
    Ok(hex::encode(random))
}

fn split(token: &str) -> Option<(&str, &str)> {
    token.strip_prefix("tm_")?.split_once('_')
}

fn is_over(until: Option<&Timestamp>) -> bool {
    until.is_some_and(|until| *until <= Timestamp::now())
}

fn token_of(row: &Row<'_>) -> rusqlite::Result<TokenRecord> {
    parsed(&row.get::<_, String>("record")?)
}

impl Store {
    /// Whose token it is, if it is good.
    pub fn bearer(&self, token: &str) -> Result<Option<(String, TokenRecord)>, StoreError> {
        let Some((id, secret)) = split(token) else {
            return Ok(None);
        };
        // What is compared are hashes of 256 random bits, so how long it takes tells nothing.
        let sql = "SELECT tenant, record FROM tokens WHERE id = ?1 AND (hash = ?2 OR previous = ?2 AND previous_until > ?3)";
        let keys = params![id, hash(secret), Timestamp::now().as_second()];
        let found = self
            .reader()
            .query_row(sql, keys, |row| Ok((row.get(0)?, token_of(row)?)))
            .optional()?;
        Ok(found.filter(|(_, token): &(String, TokenRecord)| !is_over(token.expires.as_ref())))
    }

    /// Whose session it is, if it is good, and its token still is.
    pub fn session(&self, cookie: &str) -> Result<Option<SessionRecord>, StoreError> {
        let sql = "SELECT s.tenant, s.csrf, t.record FROM sessions s JOIN tokens t ON t.id = s.token AND t.tenant = s.tenant \
                   WHERE s.hash = ?1 AND s.expires > ?2";
        let keys = params![hash(cookie), Timestamp::now().as_second()];
        let session = |row: &Row<'_>| {
            Ok(SessionRecord {
                tenant: row.get(0)?,
                csrf: row.get(1)?,
                token: token_of(row)?,
            })
        };
        let found = self.reader().query_row(sql, keys, session).optional()?;
        Ok(found.filter(|session| !is_over(session.token.expires.as_ref())))
    }

    /// Ends a session.
    pub fn end_session(&self, cookie: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM sessions WHERE hash = ?1 OR expires <= ?2";
        let now = Timestamp::now().as_second();
        self.write(|tx| tx.execute(sql, params![hash(cookie), now]).map(drop))
    }
}

impl TenantStore<'_> {
    /// The tenant's tokens, the oldest first.
    pub fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        let tokens = self.tokens_after(0, u32::MAX as usize)?;
        Ok(tokens.into_iter().map(|(_, token)| token).collect())
    }

    /// The tenant's tokens with numbers larger than `after`, the oldest first; at most `limit`.
    pub fn tokens_after(
        &self,
        after: i64,
        limit: usize,
    ) -> Result<Vec<(i64, TokenRecord)>, StoreError> {
        let sql = "SELECT json_array(number, json(record)) FROM tokens WHERE tenant = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
        self.store.records(sql, params![self.tenant, after, limit])
    }

    /// Makes a token.
    pub fn make_token(
        &self,
        name: &str,
        role: Role,
        expires: Option<Timestamp>,
    ) -> Result<NewToken, StoreError> {
        let (token, _) = self.new_token(name, role, expires, u32::MAX)?;
        Ok(token)
    }

    /// Makes a token, unless the tenant has `most` already.
    pub fn make_token_of(
        &self,
        most: u32,
        name: &str,
        role: Role,
        expires: Option<Timestamp>,
    ) -> Result<Option<NewToken>, StoreError> {
        let (token, is_made) = self.new_token(name, role, expires, most)?;
        Ok(is_made.then_some(token))
    }

    /// A new token, and whether it was made.
    fn new_token(
        &self,
        name: &str,
        role: Role,
        expires: Option<Timestamp>,
        most: u32,
    ) -> Result<(NewToken, bool), StoreError> {
        let (id, secret) = (random(8)?, random(32)?);
        let record = TokenRecord {
            id,
            name: name.to_owned(),
            role,
            created: Timestamp::now(),
            expires,
            rotated: None,
        };
        let is_made = self.store.write_if(|tx| {
            let sql =
                "INSERT INTO tokens (id, tenant, number, hash, record) VALUES (?1, ?2, ?3, ?4, ?5)";
            let number = number(tx, self.tenant, "token")?;
            let hash = hash(&secret);
            tx.execute(
                sql,
                params![record.id, self.tenant, number, hash, json(&record)?],
            )?;
            let count = "SELECT count(*) FROM tokens WHERE tenant = ?1";
            Ok(tx.query_row(count, [self.tenant], |row| row.get::<_, u32>(0))? <= most)
        })?;
        let token = format!("tm_{}_{secret}", record.id);
        Ok((NewToken { token, record }, is_made))
    }

    /// Gives a token another secret; the present one is good for an hour more. Sessions that were begun with it end.
    pub fn rotate_token(&self, id: &str) -> Result<Option<NewToken>, StoreError> {
        let secret = random(32)?;
        let now = Timestamp::now();
        let rotated = self.store.write(|tx| {
            let find = "SELECT record FROM tokens WHERE tenant = ?1 AND id = ?2";
            let found = tx.query_row(find, params![self.tenant, id], token_of);
            let Some(mut record) = found.optional()? else {
                return Ok(None);
            };
            record.rotated = Some(now);
            let sql = "UPDATE tokens SET previous = hash, previous_until = ?3, hash = ?4, record = ?5 WHERE tenant = ?1 AND id = ?2";
            let until = (now + GRACE).as_second();
            tx.execute(
                sql,
                params![self.tenant, id, until, hash(&secret), json(&record)?],
            )?;
            let sessions = "DELETE FROM sessions WHERE tenant = ?1 AND token = ?2";
            tx.execute(sessions, params![self.tenant, id])?;
            Ok(Some(record))
        })?;
        Ok(rotated.map(|record| NewToken {
            token: format!("tm_{id}_{secret}"),
            record,
        }))
    }

    /// Takes a token back, and ends the sessions that were begun with it. Whether there was one.
    pub fn revoke_token(&self, id: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM tokens WHERE tenant = ?1 AND id = ?2";
        self.store
            .write(|tx| Ok(tx.execute(sql, params![self.tenant, id])? > 0))
    }

    /// Begins a browser's session: its cookie. Those that are over, and the oldest ones of the token's where there are too many, go.
    pub fn begin_session(&self, token: &TokenRecord) -> Result<String, StoreError> {
        let (cookie, csrf) = (random(32)?, random(32)?);
        let now = Timestamp::now();
        let expires = (now + SESSION).as_second();
        let sql =
            "INSERT INTO sessions (hash, tenant, token, csrf, expires) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.store.write(|tx| {
            let over = "DELETE FROM sessions WHERE expires <= ?1";
            tx.execute(over, [now.as_second()])?;
            let values = params![hash(&cookie), self.tenant, token.id, csrf, expires];
            tx.execute(sql, values)?;
            let many = "DELETE FROM sessions WHERE rowid IN \
                        (SELECT rowid FROM sessions WHERE token = ?1 ORDER BY expires DESC, rowid DESC LIMIT -1 OFFSET ?2)";
            tx.execute(many, params![token.id, MOST_SESSIONS])
        })?;
        Ok(cookie)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::store::testing::store;

    fn sessions(store: &Store) -> i64 {
        let sql = "SELECT count(*) FROM sessions";
        store.reader().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn sessions_that_are_over_or_too_many_go_when_one_begins() {
        let (_folder, store) = store();
        let acme = store.tenant("acme");
        let made = acme.make_token("t", Role::Viewer, None).unwrap();
        let begin = || acme.begin_session(&made.record).unwrap();
        let over = begin();
        let sql = "UPDATE sessions SET expires = 1";
        store.write(|tx| tx.execute(sql, [])).unwrap();
        let first = begin();
        assert_eq!(sessions(&store), 1);
        let second = begin();
        (0..MOST_SESSIONS - 1).for_each(|_| drop(begin()));
        assert_eq!(sessions(&store), i64::from(MOST_SESSIONS));
        for gone in [over, first] {
            assert!(store.session(&gone).unwrap().is_none());
        }
        assert!(store.session(&second).unwrap().is_some());
        acme.rotate_token(&made.record.id).unwrap();
        assert_eq!(sessions(&store), 0);
    }

    #[test]
    fn tokens_are_bounded_and_come_in_the_order_they_were_made_in() {
        let (_folder, store) = store();
        let acme = store.tenant("acme");
        let make = |name: &str| acme.make_token_of(2, name, Role::Viewer, None).unwrap();
        let first = make("z").unwrap();
        make("a").unwrap();
        assert!(make("b").is_none());
        assert!(acme.make_token("operator's", Role::Admin, None).is_ok());
        assert!(acme.revoke_token(&first.record.id).unwrap());
        let page = acme.tokens_after(0, 1).unwrap();
        assert_eq!(page[0].1.name, "a");
        let rest = acme.tokens_after(page[0].0, 9).unwrap();
        assert_eq!(rest.len(), 1);
        assert_eq!(acme.tokens().unwrap().len(), 2);
        assert!(store.tenant("other").tokens().unwrap().is_empty());
    }
}
