//! Connections of clients: so many at a time, and none that keeps its request's headers to itself or leaves its answer unread.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections at a time. The unit allows 65,536 files, most of which are the pipes'.
const MOST: usize = 4_096;
/// How long a request's headers may take to come, from the end of the answer before.
const HEADERS: Duration = Duration::from_secs(30);
/// How long a client may take nothing of what it is sent.
const UNREAD: Duration = Duration::from_secs(60);
/// How long the listener rests where the system gives no connection.
const REST: Duration = Duration::from_secs(1);

/// What connections are bounded by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    most: usize,
    headers: Duration,
    unread: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            most: MOST,
            headers: HEADERS,
            unread: UNREAD,
        }
    }
}

/// Answers requests until it is `ended`, and then those that have begun.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    ended: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    // A request that has come whole is done, also where its client has gone before it was looked at.
    http.half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers);
    let places = Arc::new(Semaphore::new(limits.most));
    let graceful = GracefulShutdown::new();
    let mut ended = std::pin::pin!(ended);
    loop {
        // Those that find no place wait in the system's queue.
        let accepted = async {
            let place = places.clone().acquire_owned().await.ok();
            (accept(&listener).await, place)
        };
        let (stream, place) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut ended => break,
        };
        if let Err(error) = SockRef::from(&stream).set_tcp_user_timeout(Some(limits.unread)) {
            tracing::debug!(%error, "a client may leave an answer unread");
        }
        let router = TowerToHyperService::new(router.clone());
        let connection = http.serve_connection(TokioIo::new(stream), router);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection has ended");
            }
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// The next connection. One that is gone already is no matter of the listener's; where there are no files left it waits.
async fn accept(listener: &TcpListener) -> TcpStream {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error)
                if matches!(
                    error.kind(),
                    ConnectionAborted | ConnectionRefused | ConnectionReset
                ) => {}
            Err(error) => {
                tracing::error!(%error, "a connection could not be accepted");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::{Notify, oneshot};
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_millis(500);
    const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    async fn start(limits: Limits, router: Router) -> (std::net::SocketAddr, oneshot::Sender<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let ended = async move { drop(ended.await) };
        tokio::spawn(serve(listener, router, limits, ended));
        (address, end)
    }

    async fn ask(address: std::net::SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(ASK).await.unwrap();
        stream
    }

    async fn is_answered(stream: &mut TcpStream) -> bool {
        let mut begin = [0; 12];
        let read = timeout(SOON, stream.read_exact(&mut begin)).await;
        matches!(read, Ok(Ok(_))) && begin == *b"HTTP/1.1 200"
    }

    #[tokio::test]
    async fn one_connection_more_waits_until_another_ends() {
        let limits = Limits {
            most: 2,
            ..Limits::default()
        };
        let router = Router::new().route("/", get(async || "here"));
        let (address, _end) = start(limits, router).await;
        let mut first = ask(address).await;
        let mut second = ask(address).await;
        assert!(is_answered(&mut first).await && is_answered(&mut second).await);
        let mut third = ask(address).await;
        assert!(!is_answered(&mut third).await);
        drop(first);
        assert!(is_answered(&mut third).await);
    }

    #[tokio::test]
    async fn headers_have_a_time_and_a_slow_answer_has_its_own() {
        let limits = Limits {
            headers: Duration::from_millis(100),
            ..Limits::default()
        };
        let slow = get(async || {
            tokio::time::sleep(Duration::from_millis(300)).await;
            "here"
        });
        let (address, _end) = start(limits, Router::new().route("/", slow)).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut partial = TcpStream::connect(address).await.unwrap();
        partial.write_all(&ASK[..20]).await.unwrap();
        for stream in [&mut silent, &mut partial] {
            let ended = timeout(SOON, stream.read_to_end(&mut Vec::new())).await;
            assert!(ended.is_ok(), "it is still open");
        }
        assert!(is_answered(&mut ask(address).await).await);
    }

    #[tokio::test]
    async fn a_request_is_answered_though_its_client_sends_no_more() {
        let slow = get(async || {
            tokio::time::sleep(Duration::from_millis(50)).await;
            "here"
        });
        let (address, _end) = start(Limits::default(), Router::new().route("/", slow)).await;
        let mut stream = ask(address).await;
        stream.shutdown().await.unwrap();
        assert!(is_answered(&mut stream).await);
    }

    #[tokio::test]
    async fn an_answer_that_nobody_reads_ends_the_connection() {
        let limits = Limits {
            most: 1,
            unread: SOON,
            ..Limits::default()
        };
        let large = get(async || vec![b'x'; 64 << 20]);
        let router = Router::new().route("/", large);
        let (address, _end) = start(limits, router).await;
        let mut unread = ask(address).await;
        assert!(is_answered(&mut unread).await);
        let mut next = ask(address).await;
        let mut begin = [0; 12];
        let answered = timeout(20 * SOON, next.read_exact(&mut begin)).await;
        assert_eq!(answered.unwrap().unwrap(), begin.len());
    }

    #[tokio::test]
    async fn what_has_begun_is_answered_at_the_end() {
        let go = Arc::new(Notify::new());
        let waits = go.clone();
        let slow = get(async move || {
            waits.notified().await;
            "here"
        });
        let (address, end) = start(Limits::default(), Router::new().route("/", slow)).await;
        let mut begun = ask(address).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let idle = TcpStream::connect(address).await;
        end.send(()).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(TcpStream::connect(address).await.is_err());
        go.notify_one();
        assert!(is_answered(&mut begun).await);
        let mut rest = Vec::new();
        let ended = timeout(SOON, idle.unwrap().read_to_end(&mut rest)).await;
        assert!(ended.is_ok() && rest.is_empty());
    }
}
