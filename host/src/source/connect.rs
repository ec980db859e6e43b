//! Connecting: the pipe's settings into connections, and what the server says of itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use mysql_async::prelude::Queryable;
use mysql_async::{
    BinlogStream, BinlogStreamRequest, Conn, Opts, OptsBuilder, QueryResult, Row, SslOpts, Value,
};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::error::{SourceError, said};
use super::wire::{Connection, FIRST_LOOK, KEEPALIVE, STATEMENT_TIMEOUT};
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
/// The largest packet of an answer to a question. It is stated, since the driver would believe the server's own `max_allowed_packet`.
const LARGEST_ANSWER_PACKET: usize = 64 << 20;
/// What the rows of an answer take in memory at most. The longest answers are lists of tables: this is a list of some 200,000.
const ANSWER_BYTES: usize = 64 << 20;
/// What a cell takes beside its bytes.
const CELL_BYTES: usize = size_of::<Option<Value>>() + 16;
/// What the session sets as its `wait_timeout`, in seconds.
const WAIT_TIMEOUT: usize = 604_800;
/// How long the end of a connection may take, which is polite, and of no consequence.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

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
                .query(sql, FIRST_LOOK)
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
            version: said(version),
            tls: settings.tls != TlsMode::Disabled,
            time: micros
                .parse()
                .ok()
                .and_then(|micros| Timestamp::from_microsecond(micros).ok())
                .unwrap_or_default(),
        };
        let options = options(&settings);
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
        let mut control = match tokio::time::timeout(FIRST_LOOK, connect).await {
            Ok(Ok(Ok(conn))) => Control::new(conn),
            Ok(Ok(Err(mysql_async::Error::Io(cause)))) => {
                return Err(SourceError::Unreachable {
                    address: address(),
                    cause: said(&cause.to_string()),
                });
            }
            Ok(Ok(Err(error))) => return Err(SourceError::of_driver(error, "a connection")),
            Ok(Err(refused)) => return Err(refused),
            Err(_) => {
                return Err(SourceError::Unreachable {
                    address: address(),
                    cause: format!("no answer within {} s", FIRST_LOOK.as_secs()),
                });
            }
        };
        for sql in session(self.inner.server.flavor) {
            control
                .run_within(sql, "the session's settings", FIRST_LOOK)
                .await?;
        }
        Ok(control)
    }

    /// A blocking connection for rows, with its session set up.
    pub(super) async fn wire(&self) -> Result<Connection, SourceError> {
        let source = self.clone();
        spawn(move || {
            let mut connection = Connection::open(&source.inner.settings)?;
            for sql in session(source.inner.server.flavor) {
                connection
                    .query(sql, FIRST_LOOK)
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
fn options(settings: &SourceSettings) -> Opts {
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
        .max_allowed_packet(Some(LARGEST_ANSWER_PACKET))
        // Both stated, the driver asks for neither. This one is only of use in a pool.
        .wait_timeout(Some(WAIT_TIMEOUT))
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

/// A connection for questions: `mysql_async`'s, with the room's errors. Each question has to be answered in some time, and within some
/// memory: the server may be anyone's.
#[derive(Debug)]
pub(super) struct Control {
    /// None once it is given away.
    conn: Option<Conn>,
    /// Whether an answer was left in the middle.
    broken: bool,
}

impl Control {
    fn new(conn: Conn) -> Self {
        Self {
            conn: Some(conn),
            broken: false,
        }
    }

    /// Runs a statement without an answer.
    pub(super) async fn run(&mut self, sql: &str, action: &str) -> Result<(), SourceError> {
        self.run_within(sql, action, STATEMENT_TIMEOUT).await
    }

    async fn run_within(
        &mut self,
        sql: &str,
        action: &str,
        within: Duration,
    ) -> Result<(), SourceError> {
        self.ask(sql, vec![], action, within).await.map(drop)
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
        let usable = self.conn.as_mut().filter(|_| !self.broken);
        let Some(conn) = usable else {
            return Err(SourceError::ConnectionLost {
                action: format!("asking for {action}"),
                cause: "an earlier answer was left in the middle".to_owned(),
            });
        };
        // Until the answer has been read to its end; also where this future is dropped.
        self.broken = true;
        let answer = async {
            match parameters.is_empty() {
                true => held(conn.query_iter(sql).await?).await,
                false => held(conn.exec_iter(sql, parameters).await?).await,
            }
        };
        match tokio::time::timeout(within, answer).await {
            Ok(Ok(Some(rows))) => {
                self.broken = false;
                Ok(rows)
            }
            Ok(Ok(None)) => Err(SourceError::too_long(action)),
            Ok(Err(error)) => {
                // After an error of the server's own nothing more is to be read.
                self.broken = !matches!(error, mysql_async::Error::Server(_));
                Err(SourceError::of_driver(error, action))
            }
            Err(_) => Err(SourceError::late(action, within)),
        }
    }

    /// Asks for the binlog: from now on the connection has nothing but events. None: the connection is gone, or doesn't answer.
    pub(super) async fn into_stream(
        mut self,
        request: BinlogStreamRequest<'_>,
    ) -> Result<BinlogStream, mysql_async::Error> {
        let closed = || mysql_async::DriverError::ConnectionClosed;
        let conn = self.conn.take().ok_or_else(closed)?;
        let stream = conn.get_binlog_stream(request);
        match tokio::time::timeout(STATEMENT_TIMEOUT, stream).await {
            Ok(stream) => stream,
            Err(_) => Err(closed().into()),
        }
    }

    /// Ends the connection, and with it its locks. That it may be gone already is no error.
    pub(super) async fn close(mut self) {
        if let Some(conn) = self.conn.take_if(|_| !self.broken) {
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, conn.disconnect()).await;
        }
    }
}

impl Drop for Control {
    /// The driver would read the rest of an answer first, in a task that nobody waits for, and that a server may keep for ever. Where
    /// there is no runtime it lets go of the socket.
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            std::thread::spawn(move || drop(conn));
        }
    }
}

/// The rows of an answer; none if they are more than is held.
async fn held<P: mysql_async::prelude::Protocol>(
    mut answer: QueryResult<'_, '_, P>,
) -> Result<Option<Vec<Row>>, mysql_async::Error> {
    let mut rows = Vec::new();
    let mut bytes = 0;
    while let Some(row) = answer.next().await? {
        bytes += bytes_of(&row);
        if bytes > ANSWER_BYTES {
            return Ok(None);
        }
        rows.push(row);
    }
    answer.drop_result().await?;
    Ok(Some(rows))
}

/// What a row takes in memory, about.
fn bytes_of(row: &Row) -> usize {
    let cell = |at| match row.as_ref(at) {
        Some(Value::Bytes(bytes)) => CELL_BYTES + bytes.capacity(),
        _ => CELL_BYTES,
    };
    size_of::<Row>() + (0..row.len()).map(cell).sum::<usize>()
}

/// A cell by its place; none for NULL and for what isn't of this type.
pub(super) fn cell<T: mysql_async::prelude::FromValue>(
    row: &mysql_async::Row,
    at: usize,
) -> Option<T> {
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
        Control::new(Conn::new(options(settings)).await.unwrap())
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
            .run_within("SELECT 1", "it", SOON)
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
