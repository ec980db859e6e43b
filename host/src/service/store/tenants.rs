//! Tenants, and what they may use.

use jiff::Timestamp;
use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, json};

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantRecord {
    /// Its name, which is also its id: small letters, digits and `-`.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// What it may use.
    #[serde(default)]
    pub quotas: Quotas,
}

/// What a tenant may use. None: as much as there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct Quotas {
    /// Pipes.
    pub pipes: u32,
    /// Chunks that are loaded at the same time, over all pipes.
    pub parallel_chunks: u32,
    /// Memory of plugin instances at one time, in bytes.
    pub plugin_memory_bytes: u64,
    /// CPU time of plugins a minute, in milliseconds.
    pub plugin_cpu_ms_per_minute: Option<u64>,
    /// Size of all uploads together, in bytes.
    pub upload_bytes: u64,
    /// Rows that are loaded a second, over all pipes.
    pub rows_per_second: Option<u64>,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            pipes: 100,
            parallel_chunks: 8,
            plugin_memory_bytes: 4 << 30,
            plugin_cpu_ms_per_minute: None,
            upload_bytes: 1 << 30,
            rows_per_second: None,
        }
    }
}

impl Store {
    /// All tenants, by name.
    pub fn tenants(&self) -> Result<Vec<TenantRecord>, StoreError> {
        self.records("SELECT record FROM tenants ORDER BY tenant", [])
    }

    /// A tenant's record.
    pub fn tenant_record(&self, name: &str) -> Result<Option<TenantRecord>, StoreError> {
        let sql = "SELECT record FROM tenants WHERE tenant = ?1";
        Ok(self.records(sql, [name])?.pop())
    }

    /// Writes a tenant's record. Whether it is a new one.
    pub fn put_tenant(&self, record: &TenantRecord) -> Result<bool, StoreError> {
        let sql = "INSERT INTO tenants (tenant, record) VALUES (?1, ?2) ON CONFLICT (tenant) DO UPDATE SET record = excluded.record";
        self.write(|tx| {
            let exists = "SELECT 1 FROM tenants WHERE tenant = ?1";
            let is_new = !tx.prepare(exists)?.exists([&record.name])?;
            tx.execute(sql, params![record.name, json(record)?])?;
            Ok(is_new)
        })
    }

    /// Removes a tenant, and all that the store has of it. Whether there was one.
    pub fn remove_tenant(&self, name: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM tenants WHERE tenant = ?1";
        self.write(|tx| Ok(tx.execute(sql, [name])? > 0))
    }
}
