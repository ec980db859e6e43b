//! The connection: one attempt for each call, over HTTP, by the `clickhouse` crate.

use std::collections::HashMap;
use std::time::Duration;

use bytesize::ByteSize;
use clickhouse::query::{BytesCursor, Query};
use clickhouse::{Client, Compression};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::error::cut;
use super::{DestinationError, dial};
use crate::pipe::{DestinationServer, DestinationSettings};
use crate::policy::Reach;
use crate::quote::quote;
use crate::schema::ClickHouseFeatures;
use crate::schema::finding::{Finding, Severity};

/// Longest part of what a server calls its version, in bytes.
const LONGEST_VERSION: usize = 100;
/// The oldest server that works.
const OLDEST: (u32, u32) = (24, 1);
/// Longest answer that is held as a whole, in bytes: rows are streamed, so what is asked for otherwise is short.
const ANSWER_BYTES: usize = 16 << 20;
/// How long it may take to be connected and to be told the version, which every server does at once.
const FIRST_LOOK: Duration = Duration::from_secs(30);
/// How long a question or a change of a definition may take: some wait for what runs on the table.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(600);
/// How long a statement may take that reads or writes a whole table.
const WHOLE_TABLE_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// How long the rows that a whole table is read in may be silent.
pub(super) const SILENCE: Duration = Duration::from_secs(3600);
/// ClickHouse parses statements of 256 KiB; a table of thousands of columns takes more.
const USUAL_STATEMENT_BYTES: usize = 200_000;
/// The first server with `Time64`.
const TIME64: (u32, u32) = (25, 6);

/// A ClickHouse server and the database of a pipe's tables. A clone shares the connections.
#[derive(Clone)]
pub struct Destination {
    pub(super) client: Client,
    pub(super) database: String,
    version: String,
    features: ClickHouseFeatures,
    /// How long an answer is waited for, all of it.
    within: Duration,
}

impl std::fmt::Debug for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Destination")
            .field("database", &self.database)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Destination {
    /// Asks the server at `url` for its version. Nothing is created.
    pub async fn connect(
        settings: &DestinationSettings,
        url: &Url,
    ) -> Result<Self, DestinationError> {
        let address = address(url);
        let local = url
            .host_str()
            .is_some_and(|host| host == "localhost" || host.starts_with("127.") || host == "[::1]");
        // An embedded server was started by the pipe itself, on loopback.
        let reach = match settings.server {
            DestinationServer::Embedded { .. } => Reach::anywhere(),
            DestinationServer::Url(_) => settings.reach.clone(),
        };
        let client = dial::client(reach).map_err(|cause| DestinationError::Unreachable {
            address: address.clone(),
            reason: cause.to_string(),
        })?;
        let mut client = client
            .with_url(url.as_str())
            .with_user(&settings.user)
            // On loopback the compression costs more than the bytes.
            .with_compression(if local {
                Compression::None
            } else {
                Compression::Lz4
            });
        if let Some(password) = &settings.password {
            client = client.with_password(password.expose_secret());
        }
        let unknown = ClickHouseFeatures { time64: false };
        let mut destination = Self {
            client,
            database: settings.database.clone(),
            version: String::new(),
            features: unknown,
            within: FIRST_LOOK,
        };
        let answer = destination
            .query("ask for the version", "SELECT version()")
            .await
            .map_err(|error| match error {
                denied if denied.is_denied() => DestinationError::Denied {
                    address: address.clone(),
                    user: settings.user.clone(),
                },
                DestinationError::Lost { reason, .. } => DestinationError::Unreachable {
                    address: address.clone(),
                    reason,
                },
                other => other,
            })?;
        let version = quote(&answer, LONGEST_VERSION);
        let mut numbers = version
            .split('.')
            .map(|part| part.parse::<u32>().unwrap_or(0));
        let number = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if number < OLDEST {
            return Err(DestinationError::TooOld { address, version });
        }
        destination.features.time64 = number >= TIME64;
        if destination.features.time64 {
            destination.client = destination
                .client
                .with_setting("enable_time_time64_type", "1");
        }
        destination.version = version;
        destination.within = STATEMENT_TIMEOUT;
        Ok(destination)
    }

    /// The same, for statements that read or write a whole table.
    pub(super) fn patient(&self) -> Self {
        Self {
            within: WHOLE_TABLE_TIMEOUT,
            ..self.clone()
        }
    }

    /// What comes of a statement, if it does in time.
    async fn in_time<T>(
        &self,
        doing: &str,
        statement: impl Future<Output = Result<T, DestinationError>>,
    ) -> Result<T, DestinationError> {
        // Boxed: it is a part of each of a resync's futures.
        match tokio::time::timeout(self.within, Box::pin(statement)).await {
            Ok(result) => result,
            Err(_) => Err(DestinationError::late(doing, self.within)),
        }
    }

    /// What the server can store.
    pub fn features(&self) -> ClickHouseFeatures {
        self.features
    }

    /// The server's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Looks at what a resync needs of the server.
    pub async fn findings(&self) -> Result<Vec<Finding>, DestinationError> {
        let subject = "destination".to_owned();
        Ok(match self.database_engine().await? {
            None => {
                let message = format!(
                    "the database `{}` does not exist yet; it will be created",
                    self.database
                );
                vec![Finding {
                    severity: Severity::Info,
                    subject,
                    message,
                }]
            }
            Some(engine) if !can_swap(&engine) => {
                let message = DestinationError::Engine {
                    database: self.database.clone(),
                    engine,
                }
                .to_string();
                vec![Finding {
                    severity: Severity::Error,
                    subject,
                    message,
                }]
            }
            Some(_) => Vec::new(),
        })
    }

    /// Creates the database unless it exists; one whose engine can't swap tables is refused.
    pub async fn create_database(&self) -> Result<(), DestinationError> {
        match self.database_engine().await? {
            Some(engine) if can_swap(&engine) => Ok(()),
            Some(engine) => Err(DestinationError::Engine {
                database: self.database.clone(),
                engine,
            }),
            None => {
                let sql = format!(
                    "CREATE DATABASE IF NOT EXISTS {} ENGINE = Atomic",
                    quoted(&self.database)
                );
                self.execute("create the database", &sql).await
            }
        }
    }

    async fn database_engine(&self) -> Result<Option<String>, DestinationError> {
        let sql = format!(
            "SELECT engine FROM system.databases WHERE name = {}",
            text(&self.database)
        );
        let rows: Vec<HashMap<String, String>> = self.rows("look at the database", &sql).await?;
        Ok(rows
            .into_iter()
            .next()
            .and_then(|mut row| row.remove("engine")))
    }

    /// The answer of a query as tab-separated text with a line of names: for people, and so bounded.
    pub async fn query_text(&self, sql: &str) -> Result<String, DestinationError> {
        let cursor = self.statement(sql).fetch_bytes("TabSeparatedWithNames");
        self.collect("run the query", cursor).await
    }

    /// The UUIDs of the tables that bear these names; a name that nothing bears is left out.
    pub async fn uuids(&self, names: &[&str]) -> Result<HashMap<String, Uuid>, DestinationError> {
        let list = names
            .iter()
            .map(|name| text(name))
            .collect::<Vec<_>>()
            .join(", ");
        let sql = format!(
            "SELECT name, uuid FROM system.tables WHERE database = {} AND name IN ({list})",
            text(&self.database)
        );
        #[derive(serde::Deserialize)]
        struct Row {
            name: String,
            uuid: Uuid,
        }
        let rows: Vec<Row> = self.rows("ask for tables' UUIDs", &sql).await?;
        Ok(rows.into_iter().map(|row| (row.name, row.uuid)).collect())
    }

    /// Exchanges two tables' names. Sent once: a repeated exchange would swap them back.
    pub async fn exchange(&self, a: &str, b: &str) -> Result<(), DestinationError> {
        self.execute(
            "exchange tables",
            &format!("EXCHANGE TABLES {} AND {}", self.table(a), self.table(b)),
        )
        .await
    }

    /// Renames a table. Sent once.
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), DestinationError> {
        self.execute(
            "rename a table",
            &format!("RENAME TABLE {} TO {}", self.table(from), self.table(to)),
        )
        .await
    }

    /// Drops a table, if it still is the one with this UUID.
    pub async fn drop_table(&self, name: &str, uuid: Uuid) -> Result<(), DestinationError> {
        if self.uuids(&[name]).await?.get(name) != Some(&uuid) {
            return Ok(());
        }
        // The server's guard against dropping large tables is for people's slips.
        let sql = format!(
            "DROP TABLE IF EXISTS {} SYNC SETTINGS max_table_size_to_drop = 0",
            self.table(name)
        );
        self.execute("drop a table", &sql).await
    }

    /// Empties a table.
    pub async fn truncate(&self, name: &str) -> Result<(), DestinationError> {
        let sql = format!(
            "TRUNCATE TABLE {} SETTINGS max_table_size_to_drop = 0",
            self.table(name)
        );
        self.execute("empty a table", &sql).await
    }

    /// A statement, sent as it is: a `?` is no place for a parameter.
    pub(super) fn statement(&self, sql: &str) -> Query {
        let query = self.client.query_raw(sql);
        match longer_than_usual(sql) {
            Some((setting, bytes)) => query.with_setting(setting, bytes),
            None => query,
        }
    }

    /// A table's full name, quoted.
    pub(super) fn table(&self, name: &str) -> String {
        format!("{}.{}", quoted(&self.database), quoted(name))
    }

    pub(super) async fn execute(&self, doing: &str, sql: &str) -> Result<(), DestinationError> {
        tracing::debug!(doing, sql);
        let statement = self.statement(sql).execute();
        self.in_time(doing, async {
            statement
                .await
                .map_err(|error| DestinationError::of(doing, &error))
        })
        .await
    }

    /// A query's answer as tab-separated text.
    pub(super) async fn query(&self, doing: &str, sql: &str) -> Result<String, DestinationError> {
        tracing::debug!(doing, sql);
        let cursor = self.statement(sql).fetch_bytes("TabSeparatedRaw");
        self.collect(doing, cursor).await
    }

    /// A query's single number.
    pub(super) async fn number(&self, doing: &str, sql: &str) -> Result<u64, DestinationError> {
        let answer = self.query(doing, sql).await?;
        answer.trim().parse().map_err(|_| DestinationError::Answer {
            doing: doing.to_owned(),
            reason: "it is no number".to_owned(),
        })
    }

    /// A query's rows.
    pub(super) async fn rows<T: DeserializeOwned>(
        &self,
        doing: &str,
        sql: &str,
    ) -> Result<Vec<T>, DestinationError> {
        tracing::debug!(doing, sql);
        let query = self
            .statement(sql)
            .with_setting("output_format_json_quote_64bit_integers", "0");
        let lines = self
            .collect(doing, query.fetch_bytes("JSONEachRow"))
            .await?;
        let parse = |line: &str| {
            serde_json::from_str(line).map_err(|cause| DestinationError::Answer {
                doing: doing.to_owned(),
                reason: cut(&cause.to_string()),
            })
        };
        lines.lines().map(parse).collect()
    }

    /// A query's first row, a JSON object.
    pub(super) async fn first_row(
        &self,
        doing: &str,
        sql: &str,
    ) -> Result<Option<Value>, DestinationError> {
        Ok(self.rows::<Value>(doing, sql).await?.into_iter().next())
    }

    async fn collect(
        &self,
        doing: &str,
        cursor: clickhouse::error::Result<BytesCursor>,
    ) -> Result<String, DestinationError> {
        let failed = |error| DestinationError::of(doing, &error);
        let mut cursor = cursor.map_err(failed)?;
        self.in_time(doing, async {
            let mut answer = Vec::new();
            while let Some(bytes) = cursor.next().await.map_err(failed)? {
                if answer.len() + bytes.len() > ANSWER_BYTES {
                    return Err(DestinationError::TooLong {
                        doing: doing.to_owned(),
                        most: ByteSize(ANSWER_BYTES as u64),
                    });
                }
                answer.extend_from_slice(&bytes);
            }
            Ok(String::from_utf8_lossy(&answer).into_owned())
        })
        .await
    }
}

/// The setting that lets ClickHouse parse a statement of this length, if it needs one.
pub(super) fn longer_than_usual(sql: &str) -> Option<(&'static str, String)> {
    (sql.len() > USUAL_STATEMENT_BYTES).then(|| ("max_query_size", (2 * sql.len()).to_string()))
}

/// Whether tables of a database of this engine can be exchanged.
fn can_swap(engine: &str) -> bool {
    matches!(engine, "Atomic" | "Replicated" | "Shared")
}

/// Host and port, without what else a URL may hold.
fn address(url: &Url) -> String {
    format!(
        "{}:{}",
        url.host_str().unwrap_or("?"),
        url.port_or_known_default().unwrap_or(8123)
    )
}

/// An identifier, quoted and escaped as ClickHouse itself writes it, so that it is found in the statements that ClickHouse shows.
pub(crate) fn quoted(name: &str) -> String {
    let mut sql = String::with_capacity(name.len() + 2);
    sql.push('`');
    for c in name.chars() {
        match c {
            '\\' => sql.push_str("\\\\"),
            '`' => sql.push_str("\\`"),
            '\n' => sql.push_str("\\n"),
            '\r' => sql.push_str("\\r"),
            '\t' => sql.push_str("\\t"),
            '\u{8}' => sql.push_str("\\b"),
            '\u{c}' => sql.push_str("\\f"),
            c => sql.push(c),
        }
    }
    sql.push('`');
    sql
}

/// A string literal.
pub(super) fn text(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests;
