//! Secrets, as the vault has sealed them.

use rusqlite::{OptionalExtension, params};

use super::{StoreError, TenantStore};

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
        let sql = "INSERT INTO secrets (tenant, pipe, name, sealed) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT (tenant, pipe, name) DO UPDATE SET sealed = excluded.sealed";
        self.store.write_if(|tx| {
            for (name, sealed) in sealed {
                tx.execute(sql, params![self.tenant, pipe, name, sealed])?;
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
