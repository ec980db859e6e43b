//! Plugins that a tenant has uploaded. Their files are in the tenant's folder.

use jiff::Timestamp;
use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::{StoreError, TenantStore, json};

/// An uploaded plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PluginRecord {
    /// The name by which pipes use it.
    pub name: String,
    /// The digest of its file, SHA-256 in hexadecimal.
    pub digest: String,
    /// Its file's size, in bytes.
    pub bytes: u64,
    /// What it calls itself.
    pub title: String,
    /// Its version.
    pub version: String,
    /// When it was uploaded.
    pub uploaded: Timestamp,
}

impl TenantStore<'_> {
    /// The tenant's plugins behind `after`, by name; at most `limit`.
    pub fn plugins(&self, after: &str, limit: usize) -> Result<Vec<PluginRecord>, StoreError> {
        let sql =
            "SELECT record FROM plugins WHERE tenant = ?1 AND name > ?2 ORDER BY name LIMIT ?3";
        self.store.records(sql, params![self.tenant, after, limit])
    }

    /// The plugin of a name.
    pub fn plugin(&self, name: &str) -> Result<Option<PluginRecord>, StoreError> {
        let sql = "SELECT record FROM plugins WHERE tenant = ?1 AND name = ?2";
        Ok(self.store.records(sql, params![self.tenant, name])?.pop())
    }

    /// Writes a plugin's record, in place of one of its name, unless the tenant's uploads would be more than `most` bytes: whether it was written.
    pub fn put_plugin(&self, record: &PluginRecord, most: u64) -> Result<bool, StoreError> {
        self.store.write(|tx| {
            let sum = "SELECT coalesce(sum(json_extract(record, '$.bytes')), 0) FROM plugins WHERE tenant = ?1 AND name <> ?2";
            let keys = params![self.tenant, record.name];
            let others: u64 = tx.query_row(sum, keys, |row| row.get(0))?;
            if others + record.bytes > most {
                return Ok(false);
            }
            let sql = "INSERT INTO plugins (tenant, name, record) VALUES (?1, ?2, ?3) \
                       ON CONFLICT (tenant, name) DO UPDATE SET record = excluded.record";
            tx.execute(sql, params![self.tenant, record.name, json(record)?])?;
            Ok(true)
        })
    }

    /// Removes a plugin's record. Whether there was one.
    pub fn remove_plugin(&self, name: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM plugins WHERE tenant = ?1 AND name = ?2";
        self.store
            .write(|tx| Ok(tx.execute(sql, params![self.tenant, name])? > 0))
    }
}
