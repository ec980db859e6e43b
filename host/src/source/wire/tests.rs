use std::thread;

use super::*;
use crate::source::hostile::{self, endless_rows, error, greeting, let_in, packets, take_packet};

const SOON: Duration = Duration::from_millis(300);
/// In time, on a machine that is busy.
const IN_TIME: Duration = Duration::from_secs(5);

/// Waits until the other side goes away.
fn is_silent(mut stream: TcpStream) {
    while stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {}
}

fn let_in_by(settings: &SourceSettings) -> Connection {
    Connection::open_within(settings, IN_TIME).unwrap()
}

#[test]
fn a_server_that_is_silent_after_the_login_is_left() {
    let settings = hostile::server(|mut stream| {
        let_in(&mut stream);
        is_silent(stream);
    });
    let mut connection = let_in_by(&settings);
    let begun = Instant::now();
    let error = connection.ask("SELECT version()", &[], SOON).unwrap_err();
    assert!(
        matches!(&error, WireError::Io(cause) if cause.kind() == io::ErrorKind::TimedOut),
        "{error:?}"
    );
    assert!((SOON..IN_TIME).contains(&begun.elapsed()));
    assert!(error.at("asking").connection_lost());
}

#[test]
fn a_handshake_that_drips_does_not_last_longer() {
    let settings = hostile::server(|mut stream| {
        // Each byte in time, and the whole in ten seconds.
        let bytes = greeting();
        for byte in bytes.iter().cycle() {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
    });
    let begun = Instant::now();
    let error = Connection::open_within(&settings, SOON).err().unwrap();
    assert!(error.to_string().contains("no answer within"), "{error}");
    assert!((SOON..IN_TIME).contains(&begun.elapsed()));
}

#[test]
fn an_answer_that_drips_does_not_last_longer() {
    let settings = hostile::server(|mut stream| {
        let_in(&mut stream);
        take_packet(&mut stream);
        let answer = error(1, 1064, &"a".repeat(10_000));
        for byte in answer {
            if stream.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
    });
    let begun = Instant::now();
    let error = let_in_by(&settings).ask("SELECT 1", &[], SOON).unwrap_err();
    assert!(error.at("asking").to_string().contains("no answer within"));
    assert!(begun.elapsed() < IN_TIME);
}

#[test]
fn a_message_of_15_mb_is_cut() {
    for (code, after_login) in [(1045, false), (1040, true)] {
        let settings = hostile::server(move |mut stream| {
            let message = "é\u{1b}[31m".repeat(15_000_000 / 7);
            match after_login {
                true => {
                    let_in(&mut stream);
                    take_packet(&mut stream);
                    stream.write_all(&error(1, code, &message)).unwrap();
                }
                false => {
                    stream.write_all(&greeting()).unwrap();
                    take_packet(&mut stream);
                    stream.write_all(&error(2, code, &message)).unwrap();
                }
            }
            is_silent(stream);
        });
        let error = match after_login {
            true => let_in_by(&settings)
                .ask("SELECT 1", &[], IN_TIME)
                .unwrap_err()
                .at("asking"),
            false => Connection::open_within(&settings, IN_TIME).err().unwrap(),
        };
        let is_told = match &error {
            SourceError::AccessDenied { .. } => !after_login,
            SourceError::Server { code: told, .. } => after_login && *told == code,
            _ => false,
        };
        assert!(is_told, "{error:?}");
        let text = error.to_string();
        assert!(
            text.len() < 800 && text.contains("é") && !text.contains('\u{1b}'),
            "{text}"
        );
    }
}

#[test]
fn a_question_has_no_endless_answer() {
    for text in [&[b'x'; 1][..], &[b'x'; 100_000]] {
        let settings = hostile::server(|mut stream| {
            let_in(&mut stream);
            endless_rows(&mut stream, text);
        });
        let error = let_in_by(&settings)
            .ask("SELECT version()", &[], Duration::from_secs(60))
            .unwrap_err();
        assert!(matches!(error, WireError::Protocol(_)), "{error:?}");
    }
}

#[test]
fn a_plugin_name_of_megabytes_is_cut() {
    let settings = hostile::server(|mut stream| {
        stream.write_all(&greeting()).unwrap();
        take_packet(&mut stream);
        let switch = [&[0xFE][..], &[b'p'; 1 << 20], b"\0nonce\0"].concat();
        stream.write_all(&packets(2, &switch)).unwrap();
        is_silent(stream);
    });
    let error = Connection::open_within(&settings, IN_TIME).err().unwrap();
    assert!(error.to_string().len() < 1000);
}

#[test]
fn an_answer_that_claims_columns_without_number_takes_no_room_for_them() {
    for count in [4097, 1 << 40, u64::MAX] {
        let settings = hostile::server(move |mut stream| {
            let_in(&mut stream);
            take_packet(&mut stream);
            let claim = [&[0xFE][..], &count.to_le_bytes()].concat();
            stream.write_all(&packets(1, &claim)).unwrap();
            is_silent(stream);
        });
        let error = let_in_by(&settings).ask("SELECT 1", &[], IN_TIME);
        assert!(matches!(error, Err(WireError::Protocol(_))), "{error:?}");
    }
}

/// An event that says it has this length, none: its own.
fn event(kind: u8, data: &[u8], length: Option<u32>) -> Vec<u8> {
    let length = length.unwrap_or(19 + data.len() as u32);
    let mut event = vec![0; 19];
    event[4] = kind;
    event[9..13].copy_from_slice(&length.to_le_bytes());
    event.extend_from_slice(data);
    event
}

/// A compressed transaction of these bytes, which says that it becomes this long. The frame of zstd has them as they are.
fn transaction(bytes: &[u8], claimed: u64) -> Vec<u8> {
    let block = (1 | (bytes.len() as u32) << 3).to_le_bytes();
    let frame = [
        &[0x28, 0xB5, 0x2F, 0xFD, 0x20, bytes.len() as u8],
        &block[..3],
        bytes,
    ]
    .concat();
    let length = frame.len() as u8;
    let head = [
        &[2, 1, 0, 3, 9, 0xFE][..],
        &claimed.to_le_bytes(),
        &[1, 1, length, 0],
    ]
    .concat();
    event(40, &[head, frame].concat(), None)
}

/// What comes of a dump with these events: their types, and how it ended.
fn dumped(events: Vec<Vec<u8>>) -> (Vec<u8>, Result<(), WireError>) {
    let settings = hostile::server(move |mut stream| {
        let_in(&mut stream);
        for _ in 0..2 {
            take_packet(&mut stream);
            stream
                .write_all(&packets(1, &[0, 0, 0, 2, 0, 0, 0]))
                .unwrap();
        }
        take_packet(&mut stream);
        for (i, event) in events.iter().enumerate() {
            let payload = [&[0][..], event].concat();
            stream.write_all(&packets(1 + i as u8, &payload)).unwrap();
        }
        let end = packets(1 + events.len() as u8, &[0xFE, 0, 0, 2, 0]);
        stream.write_all(&end).unwrap();
        is_silent(stream);
    });
    let request = mysql_common::packets::binlog_request::BinlogRequest::new(7);
    let dump = let_in_by(&settings).dump(7, &request).unwrap();
    let mut types = Vec::new();
    let end = dump.read(&mut |event, _| {
        types.push(event.header().event_type_raw());
        std::ops::ControlFlow::Continue(())
    });
    (types, end)
}

#[test]
fn a_compressed_transaction_is_as_long_as_it_is_and_not_as_it_says() {
    let inner = [event(2, b"abc", None), event(16, &[0; 8], None)].concat();
    for claimed in [inner.len() as u64, 7, 1 << 40, u64::MAX] {
        let (types, end) = dumped(vec![transaction(&inner, claimed), event(27, b"x", None)]);
        assert_eq!(types, [40, 2, 16, 27], "{claimed}");
        assert!(end.is_ok(), "{end:?}");
    }
}

#[test]
fn an_event_that_is_not_as_long_as_it_says_is_refused() {
    for claimed in [0, 18, 23, u32::MAX] {
        let lies = event(2, b"abc", Some(claimed));
        let inner = [event(16, &[0; 8], None), lies.clone()].concat();
        for (events, seen) in [
            (vec![lies], vec![]),
            (vec![transaction(&inner, 1 << 60)], vec![40, 16]),
        ] {
            let (types, end) = dumped(events);
            assert_eq!(types, seen, "{claimed}");
            assert!(matches!(end, Err(WireError::Protocol(_))), "{end:?}");
        }
    }
    let nested = transaction(&transaction(&[], 0), 0);
    assert!(dumped(vec![nested]).1.is_err());
}
