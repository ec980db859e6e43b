//! A lean, blocking MySQL client for the row stream, and for nothing else.
//!
//! It promises that a row of the binary protocol reaches the decoder as a slice of the read buffer: no copy, no allocation, no
//! object a row. It knows packets, the handshake and prepared statements; it knows no table and no Arrow. Everything that is no
//! row stream (introspection, planning, locks) goes through `mysql_async`.

mod handshake;
mod packet;
mod statement;
mod tls;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use mysql_common::constants::CapabilityFlags;
use rustls::{ClientConnection, StreamOwned};
use secrecy::ExposeSecret;

pub(super) use statement::Column;

use super::error::SourceError;
use crate::pipe::{SourceAddress, SourceSettings, TlsMode};
use packet::Packets;

/// How long connecting and the handshake may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
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
                cause: cause.to_string(),
            },
            Self::Server { code, message } => SourceError::Server {
                action,
                code,
                message,
            },
            Self::Protocol(reason) => SourceError::Protocol { action, reason },
        }
    }
}

/// A byte stream to the server.
enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
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
    fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream
                .set_read_timeout(timeout)
                .and(stream.set_write_timeout(timeout)),
            Self::Unix(stream) => stream
                .set_read_timeout(timeout)
                .and(stream.set_write_timeout(timeout)),
            Self::Tls(stream) => stream
                .sock
                .set_read_timeout(timeout)
                .and(stream.sock.set_write_timeout(timeout)),
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
        let address = settings.address.to_string();
        let unreachable = |cause: io::Error| SourceError::Unreachable {
            address: address.clone(),
            cause: cause.to_string(),
        };
        let transport = match &settings.address {
            SourceAddress::Socket(path) => {
                Transport::Unix(UnixStream::connect(path).map_err(unreachable)?)
            }
            SourceAddress::Tcp { host, port } => {
                let addresses = settings.reach.resolve(host, *port);
                let addresses =
                    addresses.map_err(|error| SourceError::no_address(error, &address))?;
                Transport::Tcp(dial(&addresses).map_err(unreachable)?)
            }
        };
        transport
            .set_timeout(Some(CONNECT_TIMEOUT))
            .map_err(unreachable)?;
        let connection = Self::authenticate(Packets::new(transport), settings)?;
        connection
            .packets
            .stream()
            .set_timeout(None)
            .map_err(unreachable)?;
        Ok(connection)
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
                cause,
            },
            Failure::Authentication(reason) => SourceError::Authentication {
                address,
                user: settings.user.clone(),
                reason,
            },
        })
    }

    /// The server's number for this connection, as in SHOW PROCESSLIST.
    pub(super) fn id(&self) -> u32 {
        self.id
    }
}

/// Connects to the first address that answers.
fn dial(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(address, CONNECT_TIMEOUT) {
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
