//! Connecting: the pipe's settings into connections, and what the server says of itself.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use mysql_async::prelude::Queryable;
use mysql_async::{BinlogStream, BinlogStreamRequest, Conn, Opts, OptsBuilder, SslOpts};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::error::SourceError;
use super::wire::{CONNECT_TIMEOUT, Connection, KEEPALIVE};
use crate::pipe::{SourceAddress, SourceSettings, TlsMode};

/// What every session sets, so that the server's and the user's own defaults change nothing of what is read. Without `ALLOW_INVALID_DATES`
/// a bound that is a 31st of February, which a table may hold, would be cast to NULL, and what is beyond it never be read.
pub(super) const SESSION: &str = "SET NAMES utf8mb4, time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES', \
     transaction_isolation = 'REPEATABLE-READ', net_write_timeout = 86400, wait_timeout = 604800";
/// The same for MariaDB, whose name for the isolation was another one before 11.1 and still is an alias of it.
const SESSION_MARIADB: &str = "SET NAMES utf8mb4, time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES', \
     tx_isolation = 'REPEATABLE-READ', net_write_timeout = 86400, wait_timeout = 604800, max_statement_time = 0";

/// What MySQL needs beside it. From 8.0.30 on it may be told to hide the keys that it has made by itself; older servers read a comment.
const SESSION_MYSQL: &str = "SET max_execution_time = 0 /*!80030 , show_gipk_in_create_table_and_information_schema = ON */";

/// The largest event that a server sends.
const LARGEST_EVENT: usize = 1 << 30;

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
    options: Opts,
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
    /// Connects, once over each of the two clients, and asks the server what it is.
    ///
    /// # Errors
    /// An unreachable address, a refused user or password, TLS that can't be had as the pipe asks for it: each by itself.
    pub async fn connect(settings: &SourceSettings) -> Result<Self, SourceError> {
        // The row reader's own client goes first: it tells apart all that can go wrong.
        let settings = settings.clone();
        let for_reader = settings.clone();
        let blocking = move || {
            let mut connection = Connection::open(&for_reader)?;
            let sql = "SELECT version(), CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)";
            connection
                .query(sql)
                .map_err(|error| error.at("the server's version"))
        };
        let row = spawn(blocking).await?.pop().unwrap_or_default();
        let [Some(version), Some(micros)] = row.as_slice() else {
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
            version: version.clone(),
            tls: settings.tls != TlsMode::Disabled,
            time: micros
                .parse()
                .ok()
                .and_then(|micros| Timestamp::from_microsecond(micros).ok())
                .unwrap_or_default(),
        };
        let options = options(&settings, server.flavor);
        let source = Self {
            inner: Arc::new(Inner {
                settings,
                options,
                server,
            }),
        };
        source.control().await?.close().await;
        Ok(source)
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
        self.open(self.inner.options.clone()).await
    }

    /// A connection for the binlog, whose events may be as large as the protocol allows.
    pub(super) async fn replication(&self) -> Result<Control, SourceError> {
        let options = OptsBuilder::from_opts(self.inner.options.clone())
            .max_allowed_packet(Some(LARGEST_EVENT));
        self.open(options.into()).await
    }

    async fn open(&self, options: Opts) -> Result<Control, SourceError> {
        let settings = &self.inner.settings;
        let address = || settings.address.to_string();
        let connect = async {
            let mut options = options;
            if let SourceAddress::Tcp { host, port } = &settings.address {
                let addresses = settings.reach.lookup(host, *port).await;
                let addresses =
                    addresses.map_err(|error| SourceError::no_address(error, &address()))?;
                let addresses: Vec<_> = addresses.iter().map(SocketAddr::ip).collect();
                // The name stays for TLS; it is not looked up again.
                let builder = OptsBuilder::from_opts(options).resolved_ips(Some(addresses));
                options = builder.into();
            }
            Ok(Conn::new(options).await)
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
            Ok(Ok(Ok(conn))) => Ok(Control { conn }),
            Ok(Ok(Err(mysql_async::Error::Io(cause)))) => Err(SourceError::Unreachable {
                address: address(),
                cause: cause.to_string(),
            }),
            Ok(Ok(Err(error))) => Err(SourceError::of_driver(error, "a connection")),
            Ok(Err(refused)) => Err(refused),
            Err(_) => Err(SourceError::Unreachable {
                address: address(),
                cause: "no answer within 10 s".to_owned(),
            }),
        }
    }

    /// A blocking connection for rows, with its session set up.
    pub(super) async fn wire(&self) -> Result<Connection, SourceError> {
        let source = self.clone();
        spawn(move || {
            let mut connection = Connection::open(&source.inner.settings)?;
            for sql in session(source.inner.server.flavor) {
                connection
                    .query(sql)
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

/// The settings as `mysql_async` wants them.
fn options(settings: &SourceSettings, flavor: Flavor) -> Opts {
    let mut builder = OptsBuilder::default()
        .user(Some(&settings.user))
        .pass(
            settings
                .password
                .as_ref()
                .map(|password| password.expose_secret()),
        )
        .prefer_socket(false)
        .tcp_keepalive(Some(KEEPALIVE))
        .setup(session(flavor).to_vec())
        .ssl_opts(ssl(settings));
    builder = match &settings.address {
        SourceAddress::Tcp { host, port } => builder.ip_or_hostname(host).tcp_port(*port),
        SourceAddress::Socket(path) => builder.socket(Some(path.to_string_lossy())),
    };
    builder.into()
}

fn ssl(settings: &SourceSettings) -> Option<SslOpts> {
    let own = |options: SslOpts| match &settings.ca {
        Some(ca) => options
            .with_root_certs(vec![ca.clone().into()])
            .with_disable_built_in_roots(true),
        None => options,
    };
    match settings.tls {
        TlsMode::Disabled => None,
        TlsMode::Required => Some(SslOpts::default().with_danger_accept_invalid_certs(true)),
        // mysql_async 0.37 recognises a certificate of another name by the words "NotValidForName", which rustls 0.23 no longer
        // says: it says the name that was expected. The chain has been verified by then.
        TlsMode::VerifyCa => Some(
            own(SslOpts::default())
                .with_danger_skip_domain_validation(true)
                .with_danger_tls_hostname_override(Some("NotValidForName")),
        ),
        TlsMode::VerifyIdentity => Some(own(SslOpts::default())),
    }
}

/// A connection for questions: `mysql_async`'s, with the room's errors.
#[derive(Debug)]
pub(super) struct Control {
    conn: Conn,
}

impl Control {
    /// Runs a statement without an answer.
    pub(super) async fn run(&mut self, sql: &str, action: &str) -> Result<(), SourceError> {
        self.conn
            .query_drop(sql)
            .await
            .map_err(|error| SourceError::of_driver(error, action))
    }

    /// The rows of a question.
    pub(super) async fn rows(
        &mut self,
        sql: &str,
        parameters: Vec<mysql_async::Value>,
        action: &str,
    ) -> Result<Vec<mysql_async::Row>, SourceError> {
        let rows = match parameters.is_empty() {
            true => self.conn.query(sql).await,
            false => self.conn.exec(sql, parameters).await,
        };
        rows.map_err(|error| SourceError::of_driver(error, action))
    }

    /// Asks for the binlog: from now on the connection has nothing but events.
    pub(super) async fn into_stream(
        self,
        request: BinlogStreamRequest<'_>,
    ) -> Result<BinlogStream, mysql_async::Error> {
        self.conn.get_binlog_stream(request).await
    }

    /// Ends the connection, and with it its locks. That it may be gone already is no error.
    pub(super) async fn close(self) {
        let _ = self.conn.disconnect().await;
    }
}

/// A cell by its place; none for NULL and for what isn't of this type.
pub(super) fn cell<T: mysql_async::prelude::FromValue>(
    row: &mysql_async::Row,
    at: usize,
) -> Option<T> {
    row.get_opt::<T, _>(at).and_then(Result::ok)
}
