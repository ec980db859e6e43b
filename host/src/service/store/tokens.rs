//! Tokens and browsers' sessions. The store has the hashes of their secrets alone.

use jiff::{SignedDuration, Timestamp};
use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Store, StoreError, TenantStore, json, parsed};

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
        let sql = "SELECT record FROM tokens WHERE tenant = ?1 ORDER BY json_extract(record, '$.created'), id";
        self.store.records(sql, [self.tenant])
    }

    /// Makes a token.
    pub fn make_token(
        &self,
        name: &str,
        role: Role,
        expires: Option<Timestamp>,
    ) -> Result<NewToken, StoreError> {
        let (id, secret) = (random(8)?, random(32)?);
        let record = TokenRecord {
            id,
            name: name.to_owned(),
            role,
            created: Timestamp::now(),
            expires,
            rotated: None,
        };
        let sql = "INSERT INTO tokens (id, tenant, hash, record) VALUES (?1, ?2, ?3, ?4)";
        self.store.write(|tx| {
            let values = params![record.id, self.tenant, hash(&secret), json(&record)?];
            tx.execute(sql, values)
        })?;
        Ok(NewToken {
            token: format!("tm_{}_{secret}", record.id),
            record,
        })
    }

    /// Gives a token another secret; the present one is good for an hour more.
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

    /// Begins a browser's session: its cookie.
    pub fn begin_session(&self, token: &TokenRecord) -> Result<String, StoreError> {
        let (cookie, csrf) = (random(32)?, random(32)?);
        let expires = (Timestamp::now() + SESSION).as_second();
        let sql =
            "INSERT INTO sessions (hash, tenant, token, csrf, expires) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.store.write(|tx| {
            let values = params![hash(&cookie), self.tenant, token.id, csrf, expires];
            tx.execute(sql, values)
        })?;
        Ok(cookie)
    }
}
