//! What a service knows beside its pipes' own journals, in SQLite, in the data folder.
//!
//! All that belongs to a tenant is asked for through a [`TenantStore`], which puts the tenant into each query: there is no other way to it. Records
//! are JSON; a new field is read from older records by its default. A write is on the disk when the call returns.

mod answers;
mod audit;
mod events;
mod pipes;
mod secrets;
mod tenants;
mod tokens;
mod uploads;
mod webhooks;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::times::Times;
pub use answers::{Answer, Kept, KeptAnswer};
pub use audit::AuditEntry;
pub use events::{Event, EventKind, NewEvent};
pub use pipes::{LastResync, Made, PipeRecord, Wanted};
pub use secrets::SealedSecret;
pub use tenants::{Quotas, TenantRecord};
pub use tokens::{NewToken, Role, SessionRecord, TokenRecord};
pub use uploads::{FileRecord, PluginAbout, PluginRecord};
pub use webhooks::{DeliveryRecord, DeliveryState, Head, WebhookRecord};

/// The version of the tables in `schema.sql`, kept in SQLite's `user_version`.
const SCHEMA_VERSION: i64 = 2;
/// How long a write waits for another process, such as `tidemill tenant`.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a write that was done says that the next one can be.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// Why the store can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The data folder can't be made.
    #[error("the data folder {folder} can't be used: {cause}", folder = folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// SQLite failed.
    #[error("the service's store failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A newer Tidemill wrote it.
    #[error(
        "the service's store was written by a newer Tidemill (version {found} of its tables, {SCHEMA_VERSION} is known here)"
    )]
    Newer {
        /// The version found.
        found: i64,
    },
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Random,
    /// A record can't be read.
    #[error("the service's store holds a record that can't be read: {0}")]
    Record(#[from] serde_json::Error),
}

/// The store. Calls are short and synchronous.
#[derive(Debug)]
pub struct Store {
    writer: Mutex<Connection>,
    /// Who reads doesn't wait for who writes.
    reader: Mutex<Connection>,
    writes: Times,
    /// When it was found to be writable.
    probed: Mutex<Option<Instant>>,
}

impl Store {
    /// Opens the store of a data folder, or makes it.
    pub fn open(data: &Path) -> Result<Self, StoreError> {
        let unusable = |cause| StoreError::Folder {
            folder: data.to_owned(),
            cause,
        };
        std::fs::create_dir_all(data).map_err(unusable)?;
        let file = data.join("service.sqlite");
        let mut writer = Connection::open(&file)?;
        writer.busy_timeout(PATIENCE)?;
        writer.pragma_update(None, "journal_mode", "wal")?;
        writer.pragma_update(None, "synchronous", "full")?;
        writer.pragma_update(None, "foreign_keys", true)?;
        let found: i64 = writer.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if found > SCHEMA_VERSION {
            return Err(StoreError::Newer { found });
        }
        if found < SCHEMA_VERSION {
            make_tables(&mut writer, found)?;
        }
        let reader = Connection::open(&file)?;
        reader.busy_timeout(PATIENCE)?;
        reader.pragma_update(None, "query_only", true)?;
        Ok(Self {
            writer: Mutex::new(writer),
            reader: Mutex::new(reader),
            writes: Times::default(),
            probed: Mutex::default(),
        })
    }

    /// What belongs to a tenant.
    pub fn tenant<'s>(&'s self, tenant: &'s str) -> TenantStore<'s> {
        TenantStore {
            store: self,
            tenant,
        }
    }

    /// A value of the service's own.
    pub(super) fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT value FROM meta WHERE key = ?1";
        let found = self.reader().query_row(sql, [key], |row| row.get(0));
        Ok(found.optional()?)
    }

    /// Sets a value of the service's own.
    pub(super) fn set_meta(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.write(|tx| set_meta(tx, key, value))
    }

    /// Writes the file anew, without what was deleted or replaced, and empties the log beside it.
    pub(super) fn compact(&self) -> Result<(), StoreError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")?;
        Ok(())
    }

    fn write<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.transaction(change, |_| true)
    }

    /// A change that stays if it says so, which is the answer.
    fn write_if(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<bool>,
    ) -> Result<bool, StoreError> {
        self.transaction(change, |stays| *stays)
    }

    fn transaction<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
        stays: impl FnOnce(&T) -> bool,
    ) -> Result<T, StoreError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.writes.measure(|| {
            let tx = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = change(&tx)?;
            // One that is dropped is rolled back.
            if stays(&done) {
                tx.commit()?;
            }
            Ok(done)
        })
    }

    /// How many writes there were, and how many seconds they took.
    pub(super) fn write_times(&self) -> (u64, f64) {
        self.writes.read()
    }

    /// Whether it can be written: something is, unless that was just done. Who asks needs no token, and is not to keep the disk busy.
    pub(super) fn probe(&self) -> Result<(), StoreError> {
        let mut probed = self.probed.lock().unwrap_or_else(PoisonError::into_inner);
        if probed.is_none_or(|at| at.elapsed() >= PROBE_EVERY) {
            *probed = None;
            self.set_meta("probed", Timestamp::now().to_string().as_bytes())?;
            *probed = Some(Instant::now());
        }
        Ok(())
    }

    // A panic while a lock was held leaves no half-made change behind: SQLite rolls it back.
    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The records that a query finds; its first column is JSON.
    fn records<T: serde::de::DeserializeOwned>(
        &self,
        sql: &str,
        keys: impl rusqlite::Params,
    ) -> Result<Vec<T>, StoreError> {
        let reader = self.reader();
        let mut statement = reader.prepare_cached(sql)?;
        let texts = statement.query_map(keys, |row| row.get::<_, String>(0))?;
        texts
            .map(|text| Ok(serde_json::from_str(&text?)?))
            .collect()
    }
}

/// What belongs to a tenant: each query has the tenant in it.
#[derive(Clone, Copy, Debug)]
pub struct TenantStore<'s> {
    store: &'s Store,
    tenant: &'s str,
}

/// Makes the tables, or those of this version out of an older one's.
fn make_tables(writer: &mut Connection, found: i64) -> rusqlite::Result<()> {
    // What refers to a table that is made anew is made anew, too.
    writer.pragma_update(None, "foreign_keys", false)?;
    let tx = writer.transaction()?;
    if found == 1 {
        for table in ["tokens", "events", "audit", "deliveries"] {
            tx.execute_batch(&format!("ALTER TABLE {table} RENAME TO {table}_1"))?;
        }
        tx.execute_batch(
            "DROP TABLE sessions; DROP INDEX tokens_of_tenant; DROP INDEX events_of_pipe; DROP INDEX events_of_tenant; \
             DROP INDEX audit_of_tenant; DROP INDEX deliveries_of_webhook; DROP INDEX deliveries_that_wait",
        )?;
    }
    tx.execute_batch(include_str!("schema.sql"))?;
    if found == 1 {
        tx.execute_batch(include_str!("from_1.sql"))?;
    }
    tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    tx.commit()?;
    writer.pragma_update(None, "foreign_keys", true)
}

/// Sets a value of the service's own.
fn set_meta(tx: &Transaction<'_>, key: &str, value: &[u8]) -> rusqlite::Result<()> {
    let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    tx.execute(sql, params![key, value]).map(drop)
}

/// The next of a tenant's numbers for things of this kind.
fn number(tx: &Transaction<'_>, tenant: &str, kind: &str) -> rusqlite::Result<i64> {
    let sql = "INSERT INTO numbers (tenant, kind, last) VALUES (?1, ?2, 1) \
               ON CONFLICT (tenant, kind) DO UPDATE SET last = last + 1 RETURNING last";
    tx.prepare_cached(sql)?
        .query_row([tenant, kind], |row| row.get(0))
}

/// A record as it is stored.
fn json<T: serde::Serialize>(record: &T) -> rusqlite::Result<String> {
    serde_json::to_string(record)
        .map_err(|cause| rusqlite::Error::ToSqlConversionFailure(Box::new(cause)))
}

/// A record as it was stored.
fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text)
        .map_err(|cause| rusqlite::Error::ToSqlConversionFailure(Box::new(cause)))
}

/// What the tests of this room have in common.
#[cfg(test)]
pub(super) mod testing {
    use jiff::Timestamp;

    use super::{PipeRecord, Store, TenantRecord, Wanted};

    /// A store with the tenants `acme` and `other`, which have a pipe `shop` each.
    pub(in crate::service) fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let now = Timestamp::now();
        for tenant in ["acme", "other"] {
            let record = TenantRecord {
                name: tenant.to_owned(),
                created: now,
                quotas: Default::default(),
            };
            store.put_tenant(&record).unwrap();
            let pipe = PipeRecord {
                name: "shop".to_owned(),
                created: now,
                changed: now,
                wanted: Wanted::Stopped,
                error: None,
                source: String::new(),
                destination: String::new(),
                tables: 0,
                plugins: Vec::new(),
                last: None,
            };
            store.tenant(tenant).make_pipe(&pipe, 10).unwrap();
        }
        (folder, store)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_of_version_1_is_taken_up_with_all_that_it_knows() {
        let folder = tempfile::tempdir().unwrap();
        let old = Connection::open(folder.path().join("service.sqlite")).unwrap();
        old.execute_batch(include_str!("schema_1.sql")).unwrap();
        let at = "2026-11-26T08:00:00Z";
        let token = |id: &str| {
            format!(
                r#"{{"id":"{id}","name":"{id}","role":"admin","created":"{at}","expires":null,"rotated":null}}"#
            )
        };
        let entry = format!(
            r#"{{"at":"{at}","actor":"a","action":"b","target":"c","status":200,"request":"d"}}"#
        );
        let event = format!(
            r#"{{"at":"{at}","pipe":"p","kind":"note","resync":null,"phase":null,"message":"m"}}"#
        );
        for tenant in ["acme", "other"] {
            let quotas = serde_json::to_string(&Quotas::default()).unwrap();
            let record = format!(r#"{{"name":"{tenant}","created":"{at}","quotas":{quotas}}}"#);
            old.execute("INSERT INTO tenants VALUES (?1, ?2)", [tenant, &record])
                .unwrap();
            for i in 0..2 {
                let id = format!("{tenant}{i}");
                let values = params![id, tenant, token(&id)];
                let sql =
                    "INSERT INTO tokens (id, tenant, hash, record) VALUES (?1, ?2, x'00', ?3)";
                old.execute(sql, values).unwrap();
                let sql =
                    "INSERT INTO sessions VALUES (CAST(?1 AS BLOB), ?2, ?1, 'csrf', 4000000000)";
                old.execute(sql, [id.as_str(), tenant]).unwrap();
                let sql = "INSERT INTO audit (tenant, record) VALUES (?1, ?2)";
                old.execute(sql, [tenant, &entry]).unwrap();
                let sql = "INSERT INTO events (tenant, pipe, record) VALUES (?1, 'p', ?2)";
                old.execute(sql, [tenant, &event]).unwrap();
            }
        }
        old.pragma_update(None, "user_version", 1).unwrap();
        drop(old);

        let store = Store::open(folder.path()).unwrap();
        let other = store.tenant("other");
        let tokens = other.tokens_after(0, 10).unwrap();
        let numbers: Vec<i64> = tokens.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 2]);
        let audited = other.audited(i64::MAX, 10).unwrap();
        assert_eq!(
            audited.iter().map(|entry| entry.id).collect::<Vec<_>>(),
            [4, 3]
        );
        other.audit(&audited[0]).unwrap();
        assert_eq!(other.audited(i64::MAX, 1).unwrap()[0].id, 5);
        other.make_token("new", Role::Viewer, None).unwrap();
        assert_eq!(other.tokens_after(2, 10).unwrap().len(), 1);
        drop(store);
        // And is not taken up once more.
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.tenant("acme").tokens().unwrap().len(), 2);
        assert_eq!(store.tenant("acme").audited(i64::MAX, 10).unwrap().len(), 2);
    }
}
