//! A lean, blocking MySQL client, which believes nothing that a server claims.
//!
//! It promises that a row of the binary protocol reaches the decoder as a slice of the read buffer: no copy, no allocation, no
//! object a row. Questions are answered by rows in memory, within bounds and in time; the binlog comes event by event. It knows packets, the
//! handshake, statements and the dump of a binlog; it knows no table and no Arrow.

mod ask;
mod dump;
mod handshake;
mod packet;
mod statement;
mod timed;
mod tls;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use mysql_common::constants::CapabilityFlags;
use rustls::{ClientConnection, StreamOwned};
use secrecy::ExposeSecret;

pub(super) use statement::Column;

use super::error::{SourceError, said};
use crate::pipe::{SourceAddress, SourceSettings, TlsMode};
use packet::Packets;
use timed::Timed;

/// How long a connection to an address may take to be made.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to be connected and logged in, and after that to ask who the server is or to set the session up: what every
/// server does at once. The time is that of the whole, however the bytes come.
pub(super) const FIRST_LOOK: Duration = Duration::from_secs(30);
/// How long a statement may take that is no stream of rows: estimates and keys of a huge table take minutes, and so do locks that are
/// waited for.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(600);
/// How long a stream of rows may be silent. A load takes its time, but rows that were begun go on coming. The kernel counts it.
const SILENCE: Duration = Duration::from_secs(3600);
/// Quiet for so long, a connection is probed, so that a peer that vanished is noticed.
pub(super) const KEEPALIVE: Duration = Duration::from_secs(30);
/// The kernel's receive buffer: the server goes on sending while a batch is transformed.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// What went wrong on a connection, before it is known what the connection was used for.
#[derive(Debug)]
pub(super) enum WireError {
    /// The stream ended or failed.
    Io(io::Error),
    /// The server answered with an error packet.
    Server {
        /// Its number.
        code: u16,
        /// Its text.
        message: String,
    },
    /// The server broke the protocol.
    Protocol(String),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData => Self::Protocol(error.to_string()),
            _ => Self::Io(error),
        }
    }
}

impl WireError {
    /// Says what was going on.
    pub(super) fn at(self, action: &str) -> SourceError {
        let action = action.to_owned();
        match self {
            Self::Io(cause) => SourceError::ConnectionLost {
                action,
                cause: said(&cause.to_string()),
            },
            Self::Server { code, message } => SourceError::Server {
                action,
                code,
                message,
            },
            Self::Protocol(reason) => SourceError::Protocol {
                action,
                reason: said(&reason),
            },
        }
    }
}

/// A byte stream to the server.
enum Transport {
    Tcp(Timed<TcpStream>),
    Unix(Timed<UnixStream>),
    Tls(Box<StreamOwned<ClientConnection, Timed<TcpStream>>>),
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(buffer),
            Self::Unix(stream) => stream.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Unix(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Transport {
    /// What is read and written from now on has to be done in this time.
    fn ends_within(&mut self, time: Duration) {
        match self {
            Self::Tcp(stream) => stream.ends_within(time),
            Self::Unix(stream) => stream.ends_within(time),
            Self::Tls(stream) => stream.sock.ends_within(time),
        }
    }

    /// What is read and written from now on may take any time, as long as it goes on.
    fn may_last(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.may_last(SILENCE),
            Self::Unix(stream) => stream.may_last(SILENCE),
            Self::Tls(stream) => stream.sock.may_last(SILENCE),
        }
    }
}

/// A connection that is authenticated and ready for commands.
pub(super) struct Connection {
    packets: Packets<Transport>,
    /// What both sides can do.
    capabilities: CapabilityFlags,
    /// The server's number for this connection.
    id: u32,
}

impl Connection {
    /// Connects and authenticates.
    pub(super) fn open(settings: &SourceSettings) -> Result<Self, SourceError> {
        Self::open_within(settings, FIRST_LOOK)
    }

    fn open_within(settings: &SourceSettings, time: Duration) -> Result<Self, SourceError> {
        let until = Instant::now() + time;
        let address = settings.address.to_string();
        let unreachable = |cause: io::Error| SourceError::Unreachable {
            address: address.clone(),
            cause: cause.to_string(),
        };
        let mut transport = match &settings.address {
            SourceAddress::Socket(path) => {
                Transport::Unix(Timed::new(UnixStream::connect(path).map_err(unreachable)?))
            }
            SourceAddress::Tcp { host, port } => {
                let addresses = settings.reach.resolve(host, *port);
                let addresses =
                    addresses.map_err(|error| SourceError::no_address(error, &address))?;
                Transport::Tcp(Timed::new(dial(&addresses, until).map_err(unreachable)?))
            }
        };
        transport.ends_within(until.saturating_duration_since(Instant::now()));
        let mut connection = Self::authenticate(Packets::new(transport), settings)?;
        connection.may_last().map_err(unreachable)?;
        Ok(connection)
    }

    /// What is read and written from now on has to be done in this time.
    fn ends_within(&mut self, time: Duration) {
        self.packets.stream_mut().ends_within(time);
    }

    fn may_last(&mut self) -> io::Result<()> {
        self.packets.stream_mut().may_last()
    }

    fn authenticate(
        packets: Packets<Transport>,
        settings: &SourceSettings,
    ) -> Result<Self, SourceError> {
        use handshake::Failure;
        let address = settings.address.to_string();
        let password = settings
            .password
            .as_ref()
            .map_or("", |password| password.expose_secret());
        handshake::run(packets, settings, password.as_bytes()).map_err(|failure| match failure {
            Failure::Wire(WireError::Server {
                code: 1045 | 1698 | 1044,
                message,
            }) => SourceError::AccessDenied {
                address,
                user: settings.user.clone(),
                password: if password.is_empty() {
                    "without a password"
                } else {
                    "with a password"
                },
                message,
            },
            Failure::Wire(WireError::Io(cause)) => SourceError::Unreachable {
                address,
                cause: cause.to_string(),
            },
            Failure::Wire(error) => error.at(&format!(
                "the connection of `{}` to {address}",
                settings.user
            )),
            Failure::Tls(cause) => SourceError::Tls {
                address,
                mode: settings.tls,
                ca: settings.ca.clone(),
                cause: said(&cause),
            },
            Failure::Authentication(reason) => SourceError::Authentication {
                address,
                user: settings.user.clone(),
                reason,
            },
        })
    }

    /// A way to end the connection from elsewhere: whoever waits for the server has waited.
    pub(super) fn hangup(&self) -> io::Result<Hangup> {
        Ok(Hangup(match self.packets.stream() {
            Transport::Tcp(stream) => Cable::Tcp(stream.socket().try_clone()?),
            Transport::Tls(stream) => Cable::Tcp(stream.sock.socket().try_clone()?),
            Transport::Unix(stream) => Cable::Unix(stream.socket().try_clone()?),
        }))
    }

    /// The server's number for this connection, as in SHOW PROCESSLIST.
    pub(super) fn id(&self) -> u32 {
        self.id
    }
}

/// Ends a connection when it is dropped.
#[derive(Debug)]
pub(super) struct Hangup(Cable);

#[derive(Debug)]
enum Cable {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Drop for Hangup {
    fn drop(&mut self) {
        // That it has ended already is no error.
        let _ = match &self.0 {
            Cable::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Cable::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

/// Connects to the first address that answers.
fn dial(addresses: &[SocketAddr], until: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(last);
        }
        match TcpStream::connect_timeout(address, left.min(CONNECT_TIMEOUT)) {
            Ok(stream) => {
                let socket = socket2::SockRef::from(&stream);
                socket.set_tcp_nodelay(true)?;
                socket.set_tcp_keepalive(
                    &socket2::TcpKeepalive::new()
                        .with_time(KEEPALIVE)
                        .with_interval(KEEPALIVE / 3),
                )?;
                // The kernel may give less; less is no error.
                socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Whether the way to the server can't be listened to: only then may a password be sent in clear.
fn is_secure(transport: &Transport) -> bool {
    !matches!(transport, Transport::Tcp(_))
}

/// Puts TLS over a TCP stream.
fn secure(transport: Transport, settings: &SourceSettings) -> io::Result<Transport> {
    let (Transport::Tcp(mut stream), SourceAddress::Tcp { host, .. }) =
        (transport, &settings.address)
    else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a Unix socket has no TLS",
        ));
    };
    debug_assert_ne!(settings.tls, TlsMode::Disabled);
    let config = tls::config(settings.tls, settings.ca.as_deref()).map_err(io::Error::other)?;
    let name = host.clone().try_into().map_err(io::Error::other)?;
    let mut session = ClientConnection::new(config, name).map_err(io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    Ok(Transport::Tls(Box::new(StreamOwned::new(session, stream))))
}

#[cfg(test)]
mod tests;
