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
        let writer = Connection::open(&file)?;
        writer.busy_timeout(PATIENCE)?;
        writer.pragma_update(None, "journal_mode", "wal")?;
        writer.pragma_update(None, "synchronous", "full")?;
        writer.pragma_update(None, "foreign_keys", true)?;
        let found: i64 = writer.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if found > SCHEMA_VERSION {
            return Err(StoreError::Newer { found });
        }
        if found < SCHEMA_VERSION {
            writer.execute_batch(include_str!("schema.sql"))?;
            writer.pragma_update(None, "user_version", SCHEMA_VERSION)?;
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
        let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.write(|tx| tx.execute(sql, params![key, value]).map(drop))
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
mod testing {
    use jiff::Timestamp;

    use super::{PipeRecord, Store, TenantRecord, Wanted};

    /// A store with the tenants `acme` and `other`, which have a pipe `shop` each.
    pub(super) fn store() -> (tempfile::TempDir, Store) {
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
