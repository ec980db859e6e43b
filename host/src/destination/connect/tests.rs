//! Servers that mean harm: they listen on loopback, and answer as they like.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\n";
const CHUNKED: &str = "transfer-encoding: chunked\r\n\r\n";

/// Starts a server that is given each connection, and the number of it. Returns its address.
fn server(harm: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let harm = Arc::new(harm);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let harm = Arc::clone(&harm);
            thread::spawn(move || harm(stream.unwrap(), number));
        }
    });
    Url::parse(&format!("http://127.0.0.1:{port}")).unwrap()
}

/// Reads a request, and returns it; none: the client has gone.
fn request(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        let read = stream.read(&mut bytes).ok().filter(|read| *read > 0)?;
        text.extend_from_slice(&bytes[..read]);
        let whole = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, body)) = whole.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return Some(whole);
            }
        }
    }
}

fn answer(stream: &mut TcpStream, head: &str, body: &str) {
    let length = body.len();
    let _ = write!(stream, "{head}content-length: {length}\r\n\r\n{body}");
}

/// Chunks until nobody listens any more; returns their bytes.
fn endless(stream: &mut TcpStream) -> usize {
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let mut sent = 0;
    while stream.write_all(chunk.as_bytes()).is_ok() {
        sent += chunk.len();
    }
    sent
}

fn settings(url: &Url) -> DestinationSettings {
    DestinationSettings {
        server: DestinationServer::Url(url.clone()),
        user: "default".to_owned(),
        password: None,
        database: "d".to_owned(),
        reach: Reach::anywhere(),
    }
}

async fn connect(url: &Url) -> Result<Destination, DestinationError> {
    Destination::connect(&settings(url), url).await
}

/// Waits for what another thread does.
fn soon(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it doesn't");
        thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn an_error_without_an_end_is_left() {
    let heads = [
        "HTTP/1.1 500 Internal Server Error\r\n".to_owned(),
        format!("{OK}X-ClickHouse-Exception-Code: 60\r\n"),
        format!("HTTP/1.1 100 Continue\r\n\r\n{OK}x-clickhouse-exception-code: 60\r\n"),
        "HTTP/1.1 404 Not Found\r\ncontent-encoding: lz4\r\n".to_owned(),
        "HTTP/1.1 204 No Content\r\n".to_owned(),
    ];
    for head in heads {
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sent);
        let begins = format!("{head}{CHUNKED}");
        let url = server(move |mut stream, _| {
            request(&mut stream);
            stream.write_all(begins.as_bytes()).unwrap();
            counted.store(endless(&mut stream) + 1, Ordering::SeqCst);
        });
        let begun = Instant::now();
        let error = connect(&url).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(10), "{head}");
        assert!(error.to_string().len() < 1000, "{head}: {error}");
        // What the kernel holds is more than what is read.
        soon(|| sent.load(Ordering::SeqCst) > 0);
        let sent = sent.load(Ordering::SeqCst);
        assert!(sent < 32 << 20, "{head}: {sent}");
    }
}

#[tokio::test]
async fn a_head_without_an_end_is_left() {
    let url = server(|mut stream, _| {
        request(&mut stream);
        let _ = stream.write_all(OK.as_bytes());
        while stream.write_all(&[b'h'; 4096]).is_ok() {}
    });
    let error = connect(&url).await.unwrap_err();
    assert!(error.to_string().len() < 1000, "{error}");
}

#[tokio::test]
async fn an_answer_without_an_end_is_left() {
    let url = server(|mut stream, _| {
        request(&mut stream);
        let _ = write!(stream, "{OK}{CHUNKED}");
        endless(&mut stream);
    });
    let error = connect(&url).await.unwrap_err();
    assert!(matches!(error, DestinationError::TooLong { .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_is_silent_or_drips_is_left() {
    let url = server(|mut stream, _| {
        while let Some(request) = request(&mut stream) {
            if request.contains("version()") {
                answer(&mut stream, OK, "26.7.1.1\n");
            } else if request.contains("drip") {
                let _ = write!(stream, "{OK}{CHUNKED}");
                while stream.write_all(b"1\r\nx\r\n").is_ok() {
                    thread::sleep(Duration::from_millis(20));
                }
            }
        }
    });
    let mut destination = connect(&url).await.unwrap();
    assert_eq!(destination.within, STATEMENT_TIMEOUT);
    destination.within = Duration::from_millis(300);
    for sql in ["SELECT 'silent'", "SELECT 'drip'"] {
        let begun = Instant::now();
        let errors = [
            destination.execute("do it", sql).await.unwrap_err(),
            destination.query_text(sql).await.unwrap_err(),
        ];
        assert!(begun.elapsed() < Duration::from_secs(5), "{sql}");
        for error in errors {
            assert!(error.is_transient(), "{sql}: {error}");
            assert!(error.to_string().contains("no answer within"), "{error}");
        }
    }
}

#[tokio::test]
async fn answers_share_a_connection_and_what_comes_after_an_error_has_a_new_one() {
    let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = (Arc::clone(&connections), Arc::clone(&requests));
    let url = server(move |mut stream, number| {
        counted.0.fetch_max(number + 1, Ordering::SeqCst);
        while let Some(request) = request(&mut stream) {
            counted.1.fetch_add(1, Ordering::SeqCst);
            if request.contains("version()") {
                answer(&mut stream, OK, "26.7.1.1\n");
            } else if request.contains("wrong") {
                let head = "HTTP/1.1 404 Not Found\r\nConnection: keep-alive\r\nX-ClickHouse-Exception-Code: 60\r\n";
                answer(&mut stream, head, "Code: 60. DB::Exception: No such table.");
            } else {
                answer(&mut stream, OK, &"a".repeat(1 << 20));
            }
        }
    });
    let destination = connect(&url).await.unwrap();
    for _ in 0..3 {
        let text = destination.query_text("SELECT long").await.unwrap();
        assert_eq!(text.len(), 1 << 20);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    let error = destination.query_text("SELECT wrong").await.unwrap_err();
    assert!(
        matches!(error, DestinationError::Server { code: 60, .. }),
        "{error}"
    );
    let text = destination.query_text("SELECT long").await.unwrap();
    assert_eq!(text.len(), 1 << 20);
    assert_eq!(connections.load(Ordering::SeqCst), 2);
    assert_eq!(requests.load(Ordering::SeqCst), 6);
}
