//! Who did what.

use jiff::{SignedDuration, Timestamp};
use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::{StoreError, TenantStore, json, number};

/// Entries that are kept of a tenant.
const KEPT: i64 = 100_000;
/// How long an entry is kept.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(400 * 24);

/// What somebody did, or tried to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditEntry {
    /// Its number among the tenant's entries.
    #[serde(default)]
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// The token's id and name, or `operator` for the command line of the service's machine.
    pub actor: String,
    /// What was done: `PATCH /v1/pipes/{pipe}/state`.
    pub action: String,
    /// To what, a pipe, a plugin, a token: the address, of which a long one is cut.
    pub target: String,
    /// The answer's status.
    pub status: u16,
    /// The request's id, as logs and answers have it.
    pub request: String,
}

impl TenantStore<'_> {
    /// Writes what was done. Entries that are too many or too old go.
    pub fn audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.audit_keeping(entry, KEPT)
    }

    fn audit_keeping(&self, entry: &AuditEntry, kept: i64) -> Result<(), StoreError> {
        let insert = "INSERT INTO audit (tenant, id, at, record) VALUES (?1, ?2, ?3, ?4)";
        let many = "DELETE FROM audit WHERE tenant = ?1 AND id <= ?2";
        let old = "DELETE FROM audit WHERE tenant = ?1 AND at < ?2";
        self.store.write(|tx| {
            let id = number(tx, self.tenant, "audit")?;
            let values = params![self.tenant, id, entry.at.as_second(), json(entry)?];
            tx.prepare_cached(insert)?.execute(values)?;
            let many = tx
                .prepare_cached(many)?
                .execute(params![self.tenant, id - kept]);
            many?;
            let over = (entry.at - KEPT_FOR).as_second();
            tx.prepare_cached(old)?
                .execute(params![self.tenant, over])
                .map(drop)
        })
    }

    /// Entries with numbers smaller than `before`, the latest first.
    pub fn audited(&self, before: i64, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        let sql = "SELECT json_set(record, '$.id', id) FROM audit WHERE tenant = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
        self.store.records(sql, params![self.tenant, before, limit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::store::Store;
    use crate::service::store::testing::store;

    fn tell(store: &Store, tenant: &str, at: Timestamp, kept: i64) {
        let entry = AuditEntry {
            id: 0,
            at,
            actor: "id name".to_owned(),
            action: "DELETE /v1/pipes/{pipe}".to_owned(),
            target: "pipes/p".to_owned(),
            status: 204,
            request: String::new(),
        };
        store.tenant(tenant).audit_keeping(&entry, kept).unwrap();
    }

    fn ids(store: &Store, tenant: &str) -> Vec<i64> {
        let found = store.tenant(tenant).audited(i64::MAX, 100).unwrap();
        found.iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn the_log_of_a_tenant_is_bounded_in_number_and_age() {
        let (_folder, store) = store();
        let now = Timestamp::now();
        tell(&store, "other", now, 3);
        for _ in 0..5 {
            tell(&store, "acme", now, 3);
        }
        assert_eq!(ids(&store, "acme"), [5, 4, 3]);
        assert_eq!(ids(&store, "other"), [1]);
        let day = SignedDuration::from_hours(24);
        tell(&store, "acme", now + day * 399, 100);
        assert_eq!(ids(&store, "acme"), [6, 5, 4, 3]);
        tell(&store, "acme", now + day * 401, 100);
        assert_eq!(ids(&store, "acme"), [7, 6]);
        assert_eq!(ids(&store, "other"), [1]);
    }
}
