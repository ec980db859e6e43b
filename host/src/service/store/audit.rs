//! Who did what.

use jiff::Timestamp;
use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::{StoreError, TenantStore, json};

/// What somebody did, or tried to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditEntry {
    /// Its number.
    #[serde(default)]
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// The token's id and name, or `operator` for the command line of the service's machine.
    pub actor: String,
    /// What was done: `PATCH /v1/pipes/{pipe}/state`.
    pub action: String,
    /// To what: a pipe, a plugin, a token.
    pub target: String,
    /// The answer's status.
    pub status: u16,
    /// The request's id, as logs and answers have it.
    pub request: String,
}

impl TenantStore<'_> {
    /// Writes what was done.
    pub fn audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let sql = "INSERT INTO audit (tenant, record) VALUES (?1, ?2)";
        self.store.write(|tx| {
            tx.execute(sql, params![self.tenant, json(entry)?])
                .map(drop)
        })
    }

    /// Entries with numbers smaller than `before`, the latest first.
    pub fn audited(&self, before: i64, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        let sql = "SELECT json_set(record, '$.id', id) FROM audit WHERE tenant = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
        self.store.records(sql, params![self.tenant, before, limit])
    }
}
