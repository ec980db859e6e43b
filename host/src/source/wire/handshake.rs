//! The handshake: greeting, TLS, and proof of the password in whichever way the server wants it.
//!
//! The ways themselves (`mysql_native_password`, `caching_sha2_password` with its fast path, over TLS or a socket in clear, else
//! under the server's public key, `client_ed25519`) are `mysql_common`'s.

use std::borrow::Cow;

use mysql_common::auth::plugins::{AuthProc, ChallengeResponsePlugin, Context, Response};
use mysql_common::constants::CapabilityFlags;
use mysql_common::io::ParseBuf;
use mysql_common::packets::{
    AuthPlugin, ErrPacket, HandshakePacket, HandshakeResponse, SslRequest,
};
use mysql_common::proto::MySerialize;

use super::packet::{Packets, ROW_BYTES};
use super::{Connection, Transport, WireError, is_secure, secure};
use crate::pipe::{SourceSettings, TlsMode};
use crate::source::error::said;

/// The largest packet that either side sends.
const MAX_PACKET_BYTES: u32 = ROW_BYTES as u32;
/// `utf8mb4_general_ci`, which all servers know.
const UTF8MB4: u8 = 45;

/// Why there is no connection.
pub(super) enum Failure {
    Wire(WireError),
    /// No encryption as asked for.
    Tls(String),
    /// No common way to authenticate.
    Authentication(String),
}

impl<E: Into<WireError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Wire(error.into())
    }
}

/// What a way to authenticate may know of the connection.
struct Login<'a> {
    password: &'a [u8],
    nonce: &'a [u8],
    tls: bool,
    socket: bool,
}

impl Context for &Login<'_> {
    fn pass(&self) -> &[u8] {
        self.password
    }

    fn is_ipc_transport(&self) -> bool {
        self.socket
    }

    fn is_tls_transport(&self) -> bool {
        self.tls
    }

    fn scramble(&self) -> &[u8] {
        self.nonce
    }

    fn server_key_pem(&self) -> Option<&[u8]> {
        None
    }
}

/// Runs the handshake on a fresh stream.
pub(super) fn run(
    mut packets: Packets<Transport>,
    settings: &SourceSettings,
    password: &[u8],
) -> Result<Connection, Failure> {
    let greeting = packets.next()?;
    if greeting.first() == Some(&0xFF) {
        return Err(server_error(greeting, CapabilityFlags::empty()).into());
    }
    let greeting: HandshakePacket<'_> = ParseBuf(greeting).parse(())?;
    let greeting = greeting.into_owned();
    let mut capabilities = capabilities();
    if settings.tls != TlsMode::Disabled {
        if !greeting
            .capabilities()
            .contains(CapabilityFlags::CLIENT_SSL)
        {
            return Err(Failure::Tls("the server offers no TLS".to_owned()));
        }
        capabilities |= CapabilityFlags::CLIENT_SSL;
    }
    capabilities &= greeting.capabilities();
    if settings.tls != TlsMode::Disabled {
        packets.send(&bytes_of(&SslRequest::new(
            capabilities,
            MAX_PACKET_BYTES,
            UTF8MB4,
        )))?;
        packets = packets
            .replace(|stream| secure(stream, settings))
            .map_err(|cause| Failure::Tls(cause.to_string()))?;
    }

    let plugin = match greeting.auth_plugin() {
        Some(plugin @ (AuthPlugin::CachingSha2Password | AuthPlugin::MysqlNativePassword)) => {
            plugin.into_owned()
        }
        // The others want another kind of challenge: the server switches to them.
        _ => AuthPlugin::MysqlNativePassword,
    };
    let nonce = greeting.nonce();
    let mut exchange = Exchange::new(&packets, password, plugin.clone(), nonce)?;
    let proof = exchange.answer_to_nonce()?.unwrap_or_default();
    let response = HandshakeResponse::new(
        Some(proof),
        greeting.server_version_parsed().unwrap_or((5, 7, 0)),
        Some(settings.user.as_bytes()),
        None::<Cow<'_, [u8]>>,
        Some(plugin),
        capabilities,
        None,
        MAX_PACKET_BYTES,
    );
    packets.send(&bytes_of(&response))?;
    exchange.finish(&mut packets, capabilities)?;
    Ok(Connection {
        packets,
        capabilities,
        id: greeting.connection_id(),
    })
}

fn capabilities() -> CapabilityFlags {
    CapabilityFlags::CLIENT_PROTOCOL_41
        | CapabilityFlags::CLIENT_LONG_PASSWORD
        | CapabilityFlags::CLIENT_LONG_FLAG
        | CapabilityFlags::CLIENT_TRANSACTIONS
        | CapabilityFlags::CLIENT_SECURE_CONNECTION
        | CapabilityFlags::CLIENT_PLUGIN_AUTH
        | CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA
        | CapabilityFlags::CLIENT_DEPRECATE_EOF
}

/// The server's challenges and our answers, until it says yes or no.
struct Exchange<'a> {
    plugin: AuthPlugin<'static>,
    procedure: AuthProc,
    nonce: Vec<u8>,
    password: &'a [u8],
    tls: bool,
    socket: bool,
}

impl<'a> Exchange<'a> {
    fn new(
        packets: &Packets<Transport>,
        password: &'a [u8],
        plugin: AuthPlugin<'static>,
        nonce: Vec<u8>,
    ) -> Result<Self, Failure> {
        let (tls, socket) = (
            matches!(packets.stream(), Transport::Tls(_)),
            matches!(packets.stream(), Transport::Unix(_)),
        );
        let name = said(&String::from_utf8_lossy(plugin.as_bytes()));
        let refused = |reason: &str| {
            Err(Failure::Authentication(format!(
                "the server asks for `{name}`, {reason}"
            )))
        };
        match &plugin {
            AuthPlugin::MysqlOldPassword => {
                return refused("which is broken; give the user a password of today");
            }
            AuthPlugin::MysqlClearPassword if !is_secure(packets.stream()) => {
                return refused(
                    "which sends the password in clear; set tls = \"verify_identity\" in [source]",
                );
            }
            _ => {}
        }
        match plugin.init() {
            Ok(procedure) => Ok(Self {
                plugin,
                procedure,
                nonce,
                password,
                tls,
                socket,
            }),
            Err(_) => refused(
                "which Tidemill doesn't have; create a user IDENTIFIED WITH caching_sha2_password, mysql_native_password or ed25519",
            ),
        }
    }

    fn answer_to_nonce(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let nonce = self.nonce.clone();
        self.answer(&nonce)
    }

    fn answer(&mut self, challenge: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        let login = Login {
            password: self.password,
            nonce: &self.nonce,
            tls: self.tls,
            socket: self.socket,
        };
        match self.procedure.run(&login, challenge) {
            Ok(Response::Next { packet } | Response::Last { packet }) => Ok(packet),
            Err(cause) => {
                let plugin = said(&String::from_utf8_lossy(self.plugin.as_bytes()));
                Err(Failure::Authentication(format!(
                    "`{plugin}` went wrong: {cause}"
                )))
            }
        }
    }

    /// Answers until the server is content.
    fn finish(
        mut self,
        packets: &mut Packets<Transport>,
        capabilities: CapabilityFlags,
    ) -> Result<(), Failure> {
        loop {
            let payload = packets.next()?;
            let answer = match payload.first() {
                Some(0x00) => return Ok(()),
                Some(0xFF) => return Err(server_error(payload, capabilities).into()),
                Some(0x01) => {
                    let challenge = payload[1..].to_vec();
                    self.answer(&challenge)?
                }
                Some(0xFE) => {
                    let (plugin, nonce) = switch(payload);
                    self = Self::new(packets, self.password, plugin, nonce)?;
                    // An empty answer is an answer here.
                    Some(self.answer_to_nonce()?.unwrap_or_default())
                }
                _ => {
                    return Err(WireError::Protocol(
                        "an unknown packet in the handshake".to_owned(),
                    )
                    .into());
                }
            };
            if let Some(answer) = answer {
                packets.send(&answer)?;
            }
        }
    }
}

/// Which way the server switches to, and its challenge. A bare packet asks for the password hash of MySQL 4.
fn switch(payload: &[u8]) -> (AuthPlugin<'static>, Vec<u8>) {
    let rest = &payload[1..];
    let Some(end) = rest.iter().position(|&b| b == 0) else {
        return (AuthPlugin::MysqlOldPassword, Vec::new());
    };
    let nonce = &rest[end + 1..];
    (
        AuthPlugin::from_bytes(&rest[..end]).into_owned(),
        nonce.strip_suffix(&[0]).unwrap_or(nonce).to_vec(),
    )
}

/// The error of an error packet.
pub(super) fn server_error(payload: &[u8], capabilities: CapabilityFlags) -> WireError {
    match ParseBuf(payload).parse::<ErrPacket<'_>>(capabilities) {
        Ok(ErrPacket::Error(error)) => WireError::Server {
            code: error.error_code(),
            message: said(&error.message_str()),
        },
        _ => WireError::Protocol("an error that can't be read".to_owned()),
    }
}

fn bytes_of(packet: &impl MySerialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.serialize(&mut bytes);
    bytes
}
