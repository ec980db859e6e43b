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

/// What a plugin said of itself when it was uploaded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PluginAbout {
    /// What it does, in its own words.
    pub summary: String,
    /// The version of the contract that it was built for.
    pub contract: String,
    /// What it asks of the host.
    pub imports: Vec<String>,
    /// The JSON Schema of its configuration.
    pub config_schema: serde_json::Value,
}

/// A plugin as it is stored: a list doesn't show all of it.
#[derive(Serialize, Deserialize)]
struct StoredPlugin {
    #[serde(flatten)]
    record: PluginRecord,
    #[serde(default)]
    about: PluginAbout,
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
const UPLOADED: &str = "SELECT coalesce(sum(json_extract(record, '$.bytes')), 0) FROM \
                        (SELECT record FROM plugins WHERE tenant = ?1 UNION ALL SELECT record FROM files WHERE tenant = ?1)";

fn uploaded(tx: &Transaction<'_>, tenant: &str) -> rusqlite::Result<u64> {
    tx.query_row(UPLOADED, [tenant], |row| row.get(0))
}

impl TenantStore<'_> {
    /// The tenant's plugins behind `after`, by name; at most `limit`.
    pub fn plugins(&self, after: &str, limit: usize) -> Result<Vec<PluginRecord>, StoreError> {
        let sql = "SELECT json_remove(record, '$.about') FROM plugins WHERE tenant = ?1 AND name > ?2 ORDER BY name LIMIT ?3";
        self.store.records(sql, params![self.tenant, after, limit])
    }

    /// The plugin of a name, and what it says of itself.
    pub fn plugin(&self, name: &str) -> Result<Option<(PluginRecord, PluginAbout)>, StoreError> {
        let sql = "SELECT record FROM plugins WHERE tenant = ?1 AND name = ?2";
        let mut found = self.store.records(sql, params![self.tenant, name])?;
        let found = found.pop();
        Ok(found.map(|StoredPlugin { record, about }| (record, about)))
    }

    /// Whether the tenant may upload a plugin of this name and size, in place of one of its name: its uploads are then no more than `most` bytes.
    pub fn has_room_for_plugin(
        &self,
        name: &str,
        bytes: u64,
        most: u64,
    ) -> Result<bool, StoreError> {
        let sql = format!(
            "SELECT ({UPLOADED}) - coalesce((SELECT json_extract(record, '$.bytes') FROM plugins WHERE tenant = ?1 AND name = ?2), 0)"
        );
        let reader = self.store.reader();
        let others: u64 = reader.query_row(&sql, [self.tenant, name], |row| row.get(0))?;
        Ok(others.saturating_add(bytes) <= most)
    }

    /// Writes a plugin's record, in place of one of its name, unless the tenant's uploads would be more than `most` bytes: whether it was written.
    pub fn put_plugin(
        &self,
        record: &PluginRecord,
        about: &PluginAbout,
        most: u64,
    ) -> Result<bool, StoreError> {
        let stored = StoredPlugin {
            record: record.clone(),
            about: about.clone(),
        };
        self.store.write_if(|tx| {
            let sql = "INSERT INTO plugins (tenant, name, record) VALUES (?1, ?2, ?3) \
                       ON CONFLICT (tenant, name) DO UPDATE SET record = excluded.record";
            tx.execute(sql, params![self.tenant, record.name, json(&stored)?])?;
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

#[cfg(test)]
mod tests {
    use super::super::{Quotas, Store, TenantRecord};
    use super::*;

    fn tenant(store: &Store) -> TenantStore<'_> {
        let record = TenantRecord {
            name: "acme".to_owned(),
            created: Timestamp::now(),
            quotas: Quotas::default(),
        };
        assert!(store.put_tenant(&record).unwrap());
        store.tenant("acme")
    }

    fn plugin(name: &str, bytes: u64) -> PluginRecord {
        PluginRecord {
            name: name.to_owned(),
            digest: "00".to_owned(),
            bytes,
            title: name.to_owned(),
            version: "1.0.0".to_owned(),
            uploaded: Timestamp::now(),
        }
    }

    #[test]
    fn what_a_plugin_says_of_itself_is_kept_beside_what_a_list_shows() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(data.path()).unwrap();
        let acme = tenant(&store);
        let about = PluginAbout {
            summary: "it does".to_owned(),
            contract: "1.0".to_owned(),
            imports: vec!["log".to_owned()],
            config_schema: serde_json::json!({ "type": "object" }),
        };
        let record = plugin("own", 60);
        assert!(acme.put_plugin(&record, &about, 100).unwrap());
        assert_eq!(acme.plugins("", 10).unwrap(), std::slice::from_ref(&record));
        assert_eq!(acme.plugin("own").unwrap(), Some((record, about)));
        assert_eq!(acme.plugin("none").unwrap(), None);
    }

    #[test]
    fn room_is_known_before_a_plugin_is_looked_at() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(data.path()).unwrap();
        let acme = tenant(&store);
        let about = PluginAbout::default();
        assert!(acme.put_plugin(&plugin("own", 60), &about, 100).unwrap());
        let room = |name, bytes| acme.has_room_for_plugin(name, bytes, 100).unwrap();
        assert!(room("other", 40) && !room("other", 41));
        // It takes the place of the one of its name.
        assert!(room("own", 100) && !room("own", 101));
        assert!(!acme.put_plugin(&plugin("own", 101), &about, 100).unwrap());
    }
}
