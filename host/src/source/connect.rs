//! Connecting: the pipe's settings into connections, and what the server says of itself.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use mysql_common::row::Row;
use mysql_common::value::Value;
use mysql_common::value::convert::FromValue;
use serde::{Deserialize, Serialize};

use super::error::{SourceError, said};
use super::wire::{Connection, FIRST_LOOK, Hangup, STATEMENT_TIMEOUT, WireError};
use crate::pipe::{SourceSettings, TlsMode};

/// What every session sets, so that the server's and the user's own defaults change nothing of what is read. Without `ALLOW_INVALID_DATES`
/// a bound that is a 31st of February, which a table may hold, would be cast to NULL, and what is beyond it never be read.
pub(super) const SESSION: &str = "SET NAMES utf8mb4, time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES', \
     transaction_isolation = 'REPEATABLE-READ', net_write_timeout = 86400, wait_timeout = 604800";
/// The same for MariaDB, whose name for the isolation was another one before 11.1 and still is an alias of it.
const SESSION_MARIADB: &str = "SET NAMES utf8mb4, time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES', \
     tx_isolation = 'REPEATABLE-READ', net_write_timeout = 86400, wait_timeout = 604800, max_statement_time = 0";

/// What MySQL needs beside it. From 8.0.30 on it may be told to hide the keys that it has made by itself; older servers read a comment.
const SESSION_MYSQL: &str = "SET max_execution_time = 0 /*!80030 , show_gipk_in_create_table_and_information_schema = ON */";

/// How long the end of a connection may take, which is polite, and of no consequence.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flavor {
    /// Oracle's MySQL, Percona's, and services that speak like it.
    Mysql,
    /// MariaDB.
    MariaDb,
}

/// What the server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// Whose server it is.
    pub flavor: Flavor,
    /// Its version, as it writes it: `9.7.4`, `10.11.19-MariaDB`.
    pub version: String,
    /// Whether the connections are encrypted.
    pub tls: bool,
    /// The server's clock when it was connected to.
    pub time: Timestamp,
}

impl std::fmt::Display for ServerInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.flavor {
            Flavor::Mysql => "MySQL",
            Flavor::MariaDb => "MariaDB",
        };
        write!(
            f,
            "{name} {}{}",
            self.version,
            if self.tls { ", encrypted" } else { "" }
        )
    }
}

/// A source that answered. Cloning is cheap.
#[derive(Clone)]
pub struct Source {
    inner: Arc<Inner>,
}

struct Inner {
    settings: SourceSettings,
    server: ServerInfo,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("address", &self.inner.settings.address)
            .field("server", &self.inner.server)
            .finish()
    }
}

impl Source {
    /// Connects, and asks the server what it is.
    ///
    /// # Errors
    /// An unreachable address, a refused user or password, TLS that can't be had as the pipe asks for it: each by itself.
    pub async fn connect(settings: &SourceSettings) -> Result<Self, SourceError> {
        let settings = settings.clone();
        let for_look = settings.clone();
        let look = move || {
            let mut connection = Connection::open(&for_look)?;
            let sql = "SELECT version(), CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)";
            let rows = connection.ask(sql, &[], FIRST_LOOK);
            connection.quit(CLOSE_TIMEOUT);
            rows.map_err(|error| error.at("the server's version"))
        };
        let rows = spawn(look).await?;
        let of_row = |row: &Row| cell::<String>(row, 0).zip(cell::<i64>(row, 1));
        let Some((version, micros)) = rows.first().and_then(of_row) else {
            let reason = "no version".to_owned();
            return Err(SourceError::Protocol {
                action: "asking for the server's version".to_owned(),
                reason,
            });
        };
        let server = ServerInfo {
            flavor: if version.to_ascii_lowercase().contains("mariadb") {
                Flavor::MariaDb
            } else {
                Flavor::Mysql
            },
            version: said(&version),
            tls: settings.tls != TlsMode::Disabled,
            time: Timestamp::from_microsecond(micros).unwrap_or_default(),
        };
        Ok(Self {
            inner: Arc::new(Inner { settings, server }),
        })
    }

    /// What the server said of itself when it was connected to.
    pub fn server(&self) -> &ServerInfo {
        &self.inner.server
    }

    /// The number of the version's first two parts: 8.4.1 is (8, 4).
    pub(super) fn version(&self) -> (u16, u16) {
        let mut parts = self
            .inner
            .server
            .version
            .split(['.', '-'])
            .map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }

    /// A connection for questions.
    pub(super) async fn control(&self) -> Result<Control, SourceError> {
        Control::new(self.wire().await?)
    }

    /// A blocking connection for rows, with its session set up.
    pub(super) async fn wire(&self) -> Result<Connection, SourceError> {
        let source = self.clone();
        spawn(move || {
            let mut connection = Connection::open(&source.inner.settings)?;
            for sql in session(source.inner.server.flavor) {
                connection
                    .ask(sql, &[], FIRST_LOOK)
                    .map_err(|error| error.at("the session's settings"))?;
            }
            Ok(connection)
        })
        .await
    }
}

/// Runs what blocks where it may.
pub(super) async fn spawn<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(cause) if cause.is_panic() => std::panic::resume_unwind(cause.into_panic()),
        Err(cause) => Err(SourceError::ConnectionLost {
            action: "waiting for it".to_owned(),
            cause: cause.to_string(),
        }),
    }
}

/// The statements that set up a session.
fn session(flavor: Flavor) -> &'static [&'static str] {
    match flavor {
        Flavor::Mysql => &[SESSION, SESSION_MYSQL],
        Flavor::MariaDb => &[SESSION_MARIADB],
    }
}

/// A connection for questions, which are asked where they may block. Dropped, it ends, and who waits for it has waited.
pub(super) struct Control {
    /// None while a question is asked, and after one whose answer was left in the middle.
    connection: Option<Connection>,
    hangup: Hangup,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

impl Control {
    fn new(connection: Connection) -> Result<Self, SourceError> {
        let hangup = connection.hangup();
        Ok(Self {
            hangup: hangup.map_err(|cause| WireError::Io(cause).at("connecting"))?,
            connection: Some(connection),
        })
    }

    /// Runs a statement without an answer.
    pub(super) async fn run(&mut self, sql: &str, action: &str) -> Result<(), SourceError> {
        self.rows(sql, vec![], action).await.map(drop)
    }

    /// The rows of a question.
    pub(super) async fn rows(
        &mut self,
        sql: &str,
        parameters: Vec<Value>,
        action: &str,
    ) -> Result<Vec<Row>, SourceError> {
        self.ask(sql, parameters, action, STATEMENT_TIMEOUT).await
    }

    async fn ask(
        &mut self,
        sql: &str,
        parameters: Vec<Value>,
        action: &str,
        within: Duration,
    ) -> Result<Vec<Row>, SourceError> {
        let asking = format!("asking for {action}");
        let Some(mut connection) = self.connection.take() else {
            return Err(SourceError::ConnectionLost {
                action: asking,
                cause: "an earlier answer was left in the middle".to_owned(),
            });
        };
        let sql = sql.to_owned();
        let question = move || {
            let answer = connection.ask(&sql, &parameters, within);
            // After an error of the server's own nothing more is to be read.
            let goes_on = matches!(answer, Ok(_) | Err(WireError::Server { .. }));
            Ok((answer, goes_on.then_some(connection)))
        };
        let (answer, connection) = spawn(question).await?;
        self.connection = connection;
        answer.map_err(|error| match error {
            WireError::Server { .. } => error.at(action),
            _ => error.at(&asking),
        })
    }

    /// The connection itself, for something else than questions; none after an answer that was left in the middle.
    pub(super) fn into_connection(mut self) -> Option<(Connection, Hangup)> {
        let connection = self.connection.take()?;
        Some((connection, self.hangup))
    }

    /// Ends the connection, and with it its locks. That it may be gone already is no error.
    pub(super) async fn close(mut self) {
        if let Some(connection) = self.connection.take() {
            connection.quit(CLOSE_TIMEOUT);
        }
    }
}

/// A cell by its place; none for NULL and for what isn't of this type.
pub(super) fn cell<T: FromValue>(row: &Row, at: usize) -> Option<T> {
    row.get_opt::<T, _>(at).and_then(Result::ok)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;
    use crate::source::hostile::{self, endless_rows, error, let_in, take_packet};

    const SOON: Duration = Duration::from_millis(300);

    async fn control(settings: &SourceSettings) -> Control {
        Control::new(Connection::open(settings).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_server_that_is_silent_is_left_and_its_connection_ended() {
        let (gone, is_gone) = mpsc::channel();
        let settings = hostile::server(move |mut stream| {
            let_in(&mut stream);
            while stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {}
            gone.send(()).unwrap();
        });
        let mut control = control(&settings).await;
        let begun = Instant::now();
        let error = control
            .ask("SELECT 1", vec![], "it", SOON)
            .await
            .unwrap_err();
        assert!(error.is_transient() && error.connection_lost(), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(5));
        let again = control.run("SELECT 1", "it").await.unwrap_err();
        assert!(again.to_string().contains("in the middle"), "{again}");
        drop(control);
        is_gone.recv_timeout(Duration::from_secs(5)).unwrap();
    }

    #[tokio::test]
    async fn an_endless_answer_is_left_and_its_connection_ended() {
        let (gone, is_gone) = mpsc::channel();
        let settings = hostile::server(move |mut stream| {
            let_in(&mut stream);
            endless_rows(&mut stream, &[b'x'; 10_000]);
            gone.send(()).unwrap();
        });
        let mut control = control(&settings).await;
        let error = control.rows("SELECT a FROM t", vec![], "it").await;
        let error = error.unwrap_err();
        assert!(error.to_string().contains("longer than"), "{error}");
        // Nothing of the rest is read, neither by a polite end nor otherwise.
        control.close().await;
        is_gone.recv_timeout(Duration::from_secs(5)).unwrap();
    }

    #[tokio::test]
    async fn a_message_of_15_mb_is_cut() {
        let settings = hostile::server(|mut stream| {
            use std::io::Write;
            let_in(&mut stream);
            take_packet(&mut stream);
            let message = "é".repeat(7_500_000);
            stream.write_all(&error(1, 1146, &message)).unwrap();
            while stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {}
        });
        let mut control = control(&settings).await;
        let error = control.run("SELECT 1", "it").await.unwrap_err();
        assert!(matches!(&error, SourceError::Server { code: 1146, .. }));
        assert!(error.to_string().len() < 700, "{}", error.to_string().len());
    }
}
