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
    let error = connection.query("SELECT version()", SOON).unwrap_err();
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
    let error = let_in_by(&settings).query("SELECT 1", SOON).unwrap_err();
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
                .query("SELECT 1", IN_TIME)
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
fn a_small_question_has_no_endless_answer() {
    for text in [&[b'x'; 1][..], &[b'x'; 100_000]] {
        let settings = hostile::server(|mut stream| {
            let_in(&mut stream);
            endless_rows(&mut stream, text);
        });
        let error = let_in_by(&settings)
            .query("SELECT version()", Duration::from_secs(60))
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
