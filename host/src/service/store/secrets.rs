//! Secrets, as the vault has sealed them.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Store, StoreError, TenantStore, set_meta};

/// A secret of any tenant, as the vault has sealed it.
#[derive(Clone, Debug)]
pub struct SealedSecret {
    /// The tenant.
    pub tenant: String,
    /// The pipe; empty: it is of none.
    pub pipe: String,
    /// What it is called.
    pub name: String,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
}

impl Store {
    /// All secrets of all tenants.
    pub(in crate::service) fn secrets(&self) -> Result<Vec<SealedSecret>, StoreError> {
        let reader = self.reader();
        let sql = "SELECT tenant, pipe, name, sealed FROM secrets ORDER BY tenant, pipe, name";
        let mut statement = reader.prepare(sql)?;
        let secrets = statement.query_map([], |row| {
            Ok(SealedSecret {
                tenant: row.get(0)?,
                pipe: row.get(1)?,
                name: row.get(2)?,
                sealed: row.get(3)?,
            })
        })?;
        Ok(secrets.collect::<Result<_, _>>()?)
    }

    /// Writes secrets and a value of the service's own, in one transaction.
    pub(in crate::service) fn replace_secrets(
        &self,
        secrets: &[SealedSecret],
        (key, value): (&str, &[u8]),
    ) -> Result<(), StoreError> {
        self.write(|tx| {
            for secret in secrets {
                put(
                    tx,
                    &secret.tenant,
                    &secret.pipe,
                    (&secret.name, &secret.sealed),
                )?;
            }
            set_meta(tx, key, value)
        })
    }
}

/// Writes a sealed secret, in place of the one of its name.
pub(super) fn put(
    tx: &Transaction<'_>,
    tenant: &str,
    pipe: &str,
    (name, sealed): (&str, &[u8]),
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO secrets (tenant, pipe, name, sealed) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT (tenant, pipe, name) DO UPDATE SET sealed = excluded.sealed";
    let mut statement = tx.prepare_cached(sql)?;
    statement
        .execute(params![tenant, pipe, name, sealed])
        .map(drop)
}

impl TenantStore<'_> {
    /// The names of a pipe's secrets.
    pub fn secret_names(&self, pipe: &str) -> Result<Vec<String>, StoreError> {
        let reader = self.store.reader();
        let sql = "SELECT name FROM secrets WHERE tenant = ?1 AND pipe = ?2 ORDER BY name";
        let mut statement = reader.prepare_cached(sql)?;
        let names = statement.query_map(params![self.tenant, pipe], |row| row.get(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    }

    /// A sealed secret.
    pub fn secret(&self, pipe: &str, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT sealed FROM secrets WHERE tenant = ?1 AND pipe = ?2 AND name = ?3";
        let keys = params![self.tenant, pipe, name];
        let found = self.store.reader().query_row(sql, keys, |row| row.get(0));
        Ok(found.optional()?)
    }

    /// Writes sealed secrets of a pipe, in place of those of their names, unless it would have more than `most`: whether they were written.
    pub fn put_secrets(
        &self,
        pipe: &str,
        sealed: &[(String, Vec<u8>)],
        most: u32,
    ) -> Result<bool, StoreError> {
        self.store.write_if(|tx| {
            for (name, sealed) in sealed {
                put(tx, self.tenant, pipe, (name, sealed))?;
            }
            let count = "SELECT count(*) FROM secrets WHERE tenant = ?1 AND pipe = ?2";
            let count = tx.query_row(count, params![self.tenant, pipe], |row| {
                row.get::<_, u32>(0)
            });
            Ok(count? <= most)
        })
    }

    /// Removes a secret. Whether there was one.
    pub fn remove_secret(&self, pipe: &str, name: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM secrets WHERE tenant = ?1 AND pipe = ?2 AND name = ?3";
        self.store
            .write(|tx| Ok(tx.execute(sql, params![self.tenant, pipe, name])? > 0))
    }
}
