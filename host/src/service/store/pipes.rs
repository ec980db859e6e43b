//! Pipes, and what is wanted of them. Their settings are files, their records their own journals.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, TenantStore, json, parsed};
use crate::lifecycle::report::Phase;

/// What is wanted of a pipe, whatever became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// It is to run, after a restart of the service too.
    Running,
    /// It is to stand still.
    Stopped,
}

/// A pipe of a tenant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PipeRecord {
    /// Its name, which is also its id.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// When its settings were changed last.
    pub changed: Timestamp,
    /// What is wanted of it.
    pub wanted: Wanted,
    /// Why it does not run though it is to, if an error ended it.
    pub error: Option<String>,
    /// Its source's address and its destination's, to be shown.
    pub source: String,
    /// See `source`.
    pub destination: String,
    /// The number of its tables.
    pub tables: usize,
    /// Names of the plugins that its transforms use.
    pub plugins: Vec<String>,
    /// Its last load or resync.
    #[serde(default)]
    pub last: Option<LastResync>,
}

/// A pipe's last load or resync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LastResync {
    /// Its id.
    pub id: String,
    /// Where it is.
    pub phase: Phase,
    /// When it was begun.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

impl Store {
    /// All pipes that are to run, with their tenants.
    pub fn wanted_pipes(&self) -> Result<Vec<(String, PipeRecord)>, StoreError> {
        let sql = "SELECT json_array(tenant, json(record)) FROM pipes WHERE json_extract(record, '$.wanted') = 'running' ORDER BY tenant, name";
        self.records(sql, [])
    }
}

impl TenantStore<'_> {
    /// The tenant's pipes behind `after`, by name; at most `limit`.
    pub fn pipes(&self, after: &str, limit: usize) -> Result<Vec<PipeRecord>, StoreError> {
        let sql = "SELECT record FROM pipes WHERE tenant = ?1 AND name > ?2 ORDER BY name LIMIT ?3";
        self.store.records(sql, params![self.tenant, after, limit])
    }

    /// A pipe.
    pub fn pipe(&self, name: &str) -> Result<Option<PipeRecord>, StoreError> {
        let sql = "SELECT record FROM pipes WHERE tenant = ?1 AND name = ?2";
        Ok(self.store.records(sql, params![self.tenant, name])?.pop())
    }

    /// Makes a pipe, unless there is one of this name, or there are `most` already: whether it was made.
    pub fn make_pipe(&self, record: &PipeRecord, most: u32) -> Result<Made, StoreError> {
        self.store.write(|tx| {
            let find = "SELECT 1 FROM pipes WHERE tenant = ?1 AND name = ?2";
            if tx
                .prepare(find)?
                .exists(params![self.tenant, record.name])?
            {
                return Ok(Made::Exists);
            }
            let count = "SELECT count(*) FROM pipes WHERE tenant = ?1";
            if tx.query_row(count, [self.tenant], |row| row.get::<_, u32>(0))? >= most {
                return Ok(Made::TooMany);
            }
            let sql = "INSERT INTO pipes (tenant, name, record) VALUES (?1, ?2, ?3)";
            tx.execute(sql, params![self.tenant, record.name, json(record)?])?;
            Ok(Made::Made)
        })
    }

    /// Changes a pipe's record: as it is then. None if there is no such pipe.
    pub fn change_pipe(
        &self,
        name: &str,
        change: impl FnOnce(&mut PipeRecord),
    ) -> Result<Option<PipeRecord>, StoreError> {
        let read = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
        self.store.write(|tx| {
            let find = "SELECT record FROM pipes WHERE tenant = ?1 AND name = ?2";
            let found = tx.query_row(find, params![self.tenant, name], read);
            let Some(text) = found.optional()? else {
                return Ok(None);
            };
            let mut record: PipeRecord = parsed(&text)?;
            change(&mut record);
            let sql = "UPDATE pipes SET record = ?3 WHERE tenant = ?1 AND name = ?2";
            tx.execute(sql, params![self.tenant, name, json(&record)?])?;
            Ok(Some(record))
        })
    }

    /// Removes a pipe with its secrets, events and files. Whether there was one.
    pub fn remove_pipe(&self, name: &str) -> Result<bool, StoreError> {
        self.store.write(|tx| {
            let keys = params![self.tenant, name];
            tx.execute("DELETE FROM secrets WHERE tenant = ?1 AND pipe = ?2", keys)?;
            tx.execute("DELETE FROM events WHERE tenant = ?1 AND pipe = ?2", keys)?;
            tx.execute("DELETE FROM files WHERE tenant = ?1 AND pipe = ?2", keys)?;
            let sql = "DELETE FROM pipes WHERE tenant = ?1 AND name = ?2";
            Ok(tx.execute(sql, keys)? > 0)
        })
    }
}

/// Whether a pipe was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It was.
    Made,
    /// There is one of this name.
    Exists,
    /// The tenant has as many as it may.
    TooMany,
}
