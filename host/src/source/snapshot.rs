//! The consistent snapshot: several connections that see the tables as they were at one moment, and the binlog position of it.
//!
//! InnoDB gives each transaction a snapshot of its own; that they are of the same moment has to be arranged. In order of preference:
//! 1. MariaDB tells the exact binlog position of a transaction's snapshot. If all readers report the same one, and the binlog has
//!    every commit, nothing has been committed in between, and no lock was needed.
//! 2. `FLUSH TABLES WITH READ LOCK` in a session of its own holds all commits for the milliseconds in which the readers begin.
//! 3. Without the privilege for that, as in managed services: `LOCK TABLES ... READ` on the tables themselves.
//! 4. Without that privilege the readers are independent, and the reason is told.
//!
//! The locks are gone when [`Source::snapshot`] returns. A snapshot dies with its connection.

use mysql_common::row::Row;
use serde::{Deserialize, Serialize};

use super::connect::{Control, Flavor, Source, cell, spawn};
use super::error::SourceError;
use super::keys::quoted_table;
use super::reader::Reader;
use super::wire::{Connection, STATEMENT_TIMEOUT};
use crate::schema::{DomainGtids, GtidSet, Position, TableName};

/// How long a lock is waited for. Everyone else who writes waits behind it, so it is short.
const LOCK_SECONDS: u64 = 30;
/// How often MariaDB's readers are begun anew when a commit came in between.
const LOCKLESS_ATTEMPTS: usize = 3;

const BEGIN: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
const BEGIN_ACTION: &str = "the beginning of a consistent snapshot";
const POSITION_ACTION: &str = "the binlog position";

/// Readers that are inside of their transactions.
#[derive(Debug)]
pub struct Snapshot {
    /// The place in the binlog that the snapshot shows; none if the server has no binlog or the user may not see it.
    pub position: Option<Position>,
    /// Whether an equal position of another snapshot means that nothing was committed in between.
    pub binlog_has_all: bool,
    /// Whether all the readers show the same moment.
    pub consistency: Consistency,
    /// The readers, as many as were asked for.
    pub readers: Vec<Reader>,
}

/// Whether several readers show the same moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// They do.
    Consistent {
        /// What saw to it, such as `FLUSH TABLES WITH READ LOCK`.
        how: String,
    },
    /// Each table, and each chunk, may show another moment.
    Independent {
        /// Why, and what would help.
        reason: String,
    },
}

impl Source {
    /// The server's binlog position; none if it has no binlog or the user may not see it.
    ///
    /// # Errors
    /// A lost connection.
    pub async fn position(&self) -> Result<Option<Position>, SourceError> {
        let mut control = self.control().await?;
        let position = self.position_in(&mut control).await;
        control.close().await;
        position
    }

    /// Opens readers whose transactions show the same moment, where the privileges allow it.
    ///
    /// # Errors
    /// A connection that can't be had or is lost, a lock that is not had within 30 s.
    pub async fn snapshot(
        &self,
        tables: &[TableName],
        readers: usize,
    ) -> Result<Snapshot, SourceError> {
        let readers = readers.max(1);
        let mut connections = Vec::with_capacity(readers);
        for _ in 0..readers {
            connections.push(self.wire().await?);
        }
        let mut control = self.control().await?;
        control
            .run(
                &format!("SET lock_wait_timeout = {LOCK_SECONDS}"),
                "the session's settings",
            )
            .await?;
        let binlog_has_all = self.binlog_has_all(&mut control).await?;
        let result = self
            .begin(&mut control, connections, tables, binlog_has_all)
            .await;
        control.close().await;
        let (connections, consistency, position) = result?;
        let consistency = match self.not_transactional(tables).await? {
            names if names.is_empty() => consistency,
            names => Consistency::Independent {
                reason: format!(
                    "{} can't be read at one moment: the storage engine has no transactions",
                    names.join(", ")
                ),
            },
        };
        Ok(Snapshot {
            position,
            binlog_has_all,
            consistency,
            readers: connections.into_iter().map(Reader::new).collect(),
        })
    }

    /// A reader by itself, for a look at some rows: it holds no lock, and shows what is committed.
    ///
    /// # Errors
    /// A connection that can't be had.
    pub async fn reader(&self) -> Result<Reader, SourceError> {
        Ok(Reader::new(self.wire().await?))
    }

    async fn begin(
        &self,
        control: &mut Control,
        mut connections: Vec<Connection>,
        tables: &[TableName],
        binlog_has_all: bool,
    ) -> Result<(Vec<Connection>, Consistency, Option<Position>), SourceError> {
        if self.server().flavor == Flavor::MariaDb && binlog_has_all {
            for _ in 0..LOCKLESS_ATTEMPTS {
                let (begun, position) = begin_lockless(connections).await?;
                connections = begun;
                if let Some((file, offset)) = position {
                    let position = self.mariadb_position(control, file, offset).await?;
                    let how = "one binlog position in all transactions".to_owned();
                    return Ok((connections, Consistency::Consistent { how }, Some(position)));
                }
            }
        }
        let lock = match self.lock(control, tables).await {
            Ok(lock) => lock,
            Err(error) if error.is_privilege() => {
                let reason = "the user has neither RELOAD nor LOCK TABLES, so each reader shows the moment at which it began; grant one \
                              of them for a copy of one moment"
                    .to_owned();
                let position = self.position_in(control).await?;
                return Ok((
                    begin(connections).await?,
                    Consistency::Independent { reason },
                    position,
                ));
            }
            Err(error) => return Err(error),
        };
        let begun = begin(connections).await;
        let position = self.position_in(control).await;
        control
            .run("UNLOCK TABLES", "the release of the lock")
            .await?;
        Ok((begun?, Consistency::Consistent { how: lock }, position?))
    }

    /// Holds all commits to the tables, by the best lock that the user may take; returns its name.
    async fn lock(
        &self,
        control: &mut Control,
        tables: &[TableName],
    ) -> Result<String, SourceError> {
        let timeout = |lock: &str| SourceError::LockTimeout {
            lock: lock.to_owned(),
            seconds: LOCK_SECONDS,
        };
        let global = "FLUSH TABLES WITH READ LOCK";
        match control.run(global, "a global read lock").await {
            Ok(()) => return Ok(global.to_owned()),
            Err(error) if error.is_lock_timeout() => return Err(timeout(global)),
            Err(error) if !error.is_privilege() => return Err(error),
            Err(_) => {}
        }
        let names: Vec<_> = tables
            .iter()
            .map(|table| format!("{} READ", quoted_table(table)))
            .collect();
        match control
            .run(
                &format!("LOCK TABLES {}", names.join(", ")),
                "read locks on the tables",
            )
            .await
        {
            Ok(()) => Ok("LOCK TABLES ... READ".to_owned()),
            Err(error) if error.is_lock_timeout() => Err(timeout("LOCK TABLES ... READ")),
            Err(error) => Err(error),
        }
    }

    /// The binlog's status: file, offset, databases that it has, databases that it leaves out, and MySQL's GTIDs; none if there is no
    /// binlog or the user may not see it.
    pub(super) async fn binlog_status(
        &self,
        control: &mut Control,
    ) -> Result<Option<Row>, SourceError> {
        let renamed = self.server().flavor == Flavor::Mysql && self.version() >= (8, 2);
        let sql = if renamed {
            "SHOW BINARY LOG STATUS"
        } else {
            "SHOW MASTER STATUS"
        };
        match control.rows(sql, vec![], POSITION_ACTION).await {
            Ok(rows) => Ok(rows.into_iter().next()),
            Err(error) if error.is_privilege() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether each commit moves the binlog's position: no database is left out of the binlog, and no replication writes past it.
    /// What a session commits under `sql_log_bin = 0` moves nothing, and can't be known.
    async fn binlog_has_all(&self, control: &mut Control) -> Result<bool, SourceError> {
        let Some(status) = self.binlog_status(control).await? else {
            return Ok(false);
        };
        let filtered = [2, 3]
            .into_iter()
            .any(|at| cell::<String>(&status, at).is_none_or(|databases| !databases.is_empty()));
        if filtered {
            return Ok(false);
        }
        // The names differ by server and version, and so may be there or not.
        let updates = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('log_slave_updates', 'log_replica_updates')";
        let replicas =
            "SHOW GLOBAL STATUS WHERE Variable_name IN ('Slaves_running', 'Slave_running')";
        let mut says = [false, false];
        for (said, (sql, words)) in says
            .iter_mut()
            .zip([(updates, ["ON", "1"]), (replicas, ["OFF", "0"])])
        {
            let rows = control.rows(sql, vec![], POSITION_ACTION).await?;
            let values: Vec<String> = rows.iter().filter_map(|row| cell(row, 1)).collect();
            *said =
                !values.is_empty() && values.iter().all(|value| words.contains(&value.as_str()));
        }
        Ok(says.contains(&true))
    }

    async fn position_in(&self, control: &mut Control) -> Result<Option<Position>, SourceError> {
        let Some(status) = self.binlog_status(control).await? else {
            return Ok(None);
        };
        let Some((file, offset)) = cell(&status, 0).zip(cell(&status, 1)) else {
            return Ok(None);
        };
        if self.server().flavor == Flavor::MariaDb {
            return Ok(Some(self.mariadb_position(control, file, offset).await?));
        }
        // The fifth column is of the same moment; asking for @@gtid_executed would be another one.
        let gtid: Option<String> = cell(&status, 4);
        let gtid = gtid
            .map(|gtid| match GtidSet::parse(&gtid) {
                Some(set) => set.to_string(),
                None => gtid,
            })
            .filter(|gtid| !gtid.is_empty());
        Ok(Some(Position { gtid, file, offset }))
    }

    /// The GTIDs of a place in MariaDB's binlog.
    async fn mariadb_position(
        &self,
        control: &mut Control,
        file: String,
        offset: u64,
    ) -> Result<Position, SourceError> {
        let parameters = vec![file.as_str().into(), offset.into()];
        let gtid = match control
            .rows("SELECT BINLOG_GTID_POS(?, ?)", parameters, POSITION_ACTION)
            .await
        {
            Ok(rows) => rows
                .first()
                .and_then(|row| cell::<String>(row, 0))
                // In the order of domains; the server has an order of its own.
                .map(|gtid| match DomainGtids::parse(&gtid) {
                    Some(gtids) => gtids.to_string(),
                    None => gtid,
                })
                .filter(|gtid| !gtid.is_empty()),
            Err(error) if error.is_privilege() => None,
            Err(error) => return Err(error),
        };
        Ok(Position { gtid, file, offset })
    }

    /// The tables whose engine takes no part in transactions.
    async fn not_transactional(&self, tables: &[TableName]) -> Result<Vec<String>, SourceError> {
        let mut control = self.control().await?;
        let mut names = Vec::new();
        for table in tables {
            let sql = "SELECT e.transactions FROM information_schema.tables t JOIN information_schema.engines e ON e.engine = t.engine \
                       WHERE t.table_schema = ? AND t.table_name = ?";
            let parameters = vec![table.database.as_str().into(), table.name.as_str().into()];
            let rows = control.rows(sql, parameters, "the tables' engines").await?;
            if rows
                .first()
                .and_then(|row| cell::<String>(row, 0))
                .is_some_and(|transactions| transactions != "YES")
            {
                names.push(table.to_string());
            }
        }
        control.close().await;
        Ok(names)
    }
}

/// Begins all transactions.
async fn begin(mut connections: Vec<Connection>) -> Result<Vec<Connection>, SourceError> {
    spawn(move || {
        for connection in &mut connections {
            connection
                .ask(BEGIN, &[], STATEMENT_TIMEOUT)
                .map_err(|error| error.at(BEGIN_ACTION))?;
        }
        Ok(connections)
    })
    .await
}

/// Begins all transactions of MariaDB, and returns the binlog position of their snapshots if it is the same for all.
async fn begin_lockless(
    connections: Vec<Connection>,
) -> Result<(Vec<Connection>, Option<(String, u64)>), SourceError> {
    let mut connections = begin(connections).await?;
    spawn(move || {
        let mut common: Option<(String, u64)> = None;
        for connection in &mut connections {
            let rows = connection
                .ask(
                    "SHOW STATUS LIKE 'binlog_snapshot%'",
                    &[],
                    STATEMENT_TIMEOUT,
                )
                .map_err(|error| error.at(POSITION_ACTION))?;
            let value = |name: &str| {
                let row = rows.iter().find(|row| {
                    cell::<String>(row, 0).is_some_and(|n| n.eq_ignore_ascii_case(name))
                })?;
                cell::<String>(row, 1).filter(|value| !value.is_empty())
            };
            let offset = value("Binlog_snapshot_position").and_then(|offset| offset.parse().ok());
            let position = value("Binlog_snapshot_file").zip(offset);
            if position.is_none()
                || common
                    .as_ref()
                    .is_some_and(|common| Some(common) != position.as_ref())
            {
                return Ok((connections, None));
            }
            common = position;
        }
        Ok((connections, common))
    })
    .await
}
