//! What a tenant has uploaded: plugins, and files that pipes name. They lie in the tenant's folder; how much they are together is bounded.

use jiff::Timestamp;
use rusqlite::{Transaction, params};
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

/// An uploaded file of a pipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FileRecord {
    /// Its name. The pipe's settings have `files/` before it.
    pub name: String,
    /// Its digest, SHA-256 in hexadecimal.
    pub digest: String,
    /// Its size, in bytes.
    pub bytes: u64,
    /// When it was uploaded.
    pub uploaded: Timestamp,
}

/// How much a tenant has uploaded, in bytes.
fn uploaded(tx: &Transaction<'_>, tenant: &str) -> rusqlite::Result<u64> {
    let sql = "SELECT coalesce(sum(json_extract(record, '$.bytes')), 0) FROM \
               (SELECT record FROM plugins WHERE tenant = ?1 UNION ALL SELECT record FROM files WHERE tenant = ?1)";
    tx.query_row(sql, [tenant], |row| row.get(0))
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
        self.store.write_if(|tx| {
            let sql = "INSERT INTO plugins (tenant, name, record) VALUES (?1, ?2, ?3) \
                       ON CONFLICT (tenant, name) DO UPDATE SET record = excluded.record";
            tx.execute(sql, params![self.tenant, record.name, json(record)?])?;
            Ok(uploaded(tx, self.tenant)? <= most)
        })
    }

    /// Removes a plugin's record. Whether there was one.
    pub fn remove_plugin(&self, name: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM plugins WHERE tenant = ?1 AND name = ?2";
        self.store
            .write(|tx| Ok(tx.execute(sql, params![self.tenant, name])? > 0))
    }

    /// The files of a pipe behind `after`, by name; at most `limit`.
    pub fn files(
        &self,
        pipe: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<FileRecord>, StoreError> {
        let sql = "SELECT record FROM files WHERE tenant = ?1 AND pipe = ?2 AND name > ?3 ORDER BY name LIMIT ?4";
        let keys = params![self.tenant, pipe, after, limit];
        self.store.records(sql, keys)
    }

    /// Writes the record of a pipe's file, in place of one of its name, unless the tenant's uploads would be more than `most` bytes: whether it was written.
    pub fn put_file(&self, pipe: &str, record: &FileRecord, most: u64) -> Result<bool, StoreError> {
        self.store.write_if(|tx| {
            let sql = "INSERT INTO files (tenant, pipe, name, record) VALUES (?1, ?2, ?3, ?4) \
                       ON CONFLICT (tenant, pipe, name) DO UPDATE SET record = excluded.record";
            let values = params![self.tenant, pipe, record.name, json(record)?];
            tx.execute(sql, values)?;
            Ok(uploaded(tx, self.tenant)? <= most)
        })
    }

    /// Removes the record of a pipe's file. Whether there was one.
    pub fn remove_file(&self, pipe: &str, name: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM files WHERE tenant = ?1 AND pipe = ?2 AND name = ?3";
        let keys = params![self.tenant, pipe, name];
        self.store.write(|tx| Ok(tx.execute(sql, keys)? > 0))
    }
}
