//! A server that means harm, for tests: it listens on loopback, speaks as much of the protocol as it takes to be let in, and then does what
//! a test is about.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::pipe::{SourceAddress, SourceSettings, TlsMode};
use crate::policy::Reach;

/// Starts a server for one connection, and returns how to connect to it.
pub(super) fn server(harm: impl FnOnce(TcpStream) + Send + 'static) -> SourceSettings {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || harm(listener.accept().unwrap().0));
    SourceSettings {
        address: SourceAddress::Tcp {
            host: "127.0.0.1".to_owned(),
            port,
        },
        user: "tidemill".to_owned(),
        password: None,
        tls: TlsMode::Disabled,
        ca: None,
        reach: Reach::anywhere(),
    }
}

/// A payload in as many packets as it takes.
pub(super) fn packets(mut sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in payload.chunks(0xFF_FFFF) {
        bytes.extend_from_slice(&(part.len() as u32).to_le_bytes()[..3]);
        bytes.push(sequence);
        bytes.extend_from_slice(part);
        sequence = sequence.wrapping_add(1);
    }
    bytes
}

/// The first packet of a server without TLS.
pub(super) fn greeting() -> Vec<u8> {
    let payload = [
        b"\x0a8.4.0\0\x07\0\0\0AAAAAAAA\0".as_slice(),
        &[0xDF, 0xF7, 45, 2, 0, 0x28, 0x01, 21],
        &[0; 10],
        b"BBBBBBBBBBBB\0mysql_native_password\0",
    ];
    packets(0, &payload.concat())
}

/// An error with a message.
pub(super) fn error(sequence: u8, code: u16, message: &str) -> Vec<u8> {
    let payload = [
        &[0xFF][..],
        &code.to_le_bytes(),
        b"#28000",
        message.as_bytes(),
    ];
    packets(sequence, &payload.concat())
}

/// Lets anyone in.
pub(super) fn let_in(stream: &mut TcpStream) {
    stream.write_all(&greeting()).unwrap();
    take_packet(stream);
    stream
        .write_all(&packets(2, &[0, 0, 0, 2, 0, 0, 0]))
        .unwrap();
}

/// Reads what the client says.
pub(super) fn take_packet(stream: &mut TcpStream) -> Vec<u8> {
    let mut header = [0; 4];
    stream.read_exact(&mut header).unwrap();
    let length = u32::from_le_bytes([header[0], header[1], header[2], 0]);
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).unwrap();
    payload
}

/// Answers a question with rows of one text for ever, until nobody listens.
pub(super) fn endless_rows(stream: &mut TcpStream, text: &[u8]) {
    take_packet(stream);
    let definition = b"\x03def\0\0\0\x01a\0\x0c\x2d\0\xff\0\0\0\xfd\0\0\0\0\0";
    let mut bytes = [packets(1, &[1]), packets(2, definition)].concat();
    let mut row = vec![0xFD];
    row.extend_from_slice(&(text.len() as u32).to_le_bytes()[..3]);
    row.extend_from_slice(text);
    let mut sequence = 3;
    while stream.write_all(&bytes).is_ok() {
        bytes = packets(sequence, &row);
        sequence = sequence.wrapping_add(1);
    }
}
