//! A server of the test's own, which keeps what it is sent and answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use crate::support::block_on;

/// A request that came in.
#[derive(Clone, Debug)]
pub(super) struct Got {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The status that it was answered with.
    pub(super) status: u16,
}

impl Got {
    /// A header, as text.
    #[track_caller]
    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        let value = value.unwrap_or_else(|| panic!("no header `{name}`: {self:?}"));
        value.to_str().expect("text")
    }

    /// Whether it was taken.
    pub(super) fn is_taken(&self) -> bool {
        self.status == 200
    }
}

#[derive(Debug, Default)]
struct Kept {
    got: Vec<Got>,
    /// The next answers; then `after`.
    next: VecDeque<u16>,
    after: u16,
}

/// The server.
#[derive(Clone, Debug)]
pub(super) struct Receiver {
    /// Where it listens: `http://127.0.0.1:PORT`.
    pub(super) url: String,
    kept: Arc<Mutex<Kept>>,
}

/// The status of an answer that never comes.
pub(super) const SILENCE: u16 = 0;

impl Receiver {
    /// Starts one that gives these answers first, and takes all that comes after.
    pub(super) fn start(next: &[u16]) -> Self {
        let kept = Arc::new(Mutex::new(Kept {
            got: Vec::new(),
            next: next.iter().copied().collect(),
            after: 200,
        }));
        let router = axum::Router::new().fallback(take).with_state(kept.clone());
        let url = block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
            let listener = listener.expect("a port");
            let address = listener.local_addr().expect("an address");
            tokio::spawn(async { axum::serve(listener, router).await });
            format!("http://{address}")
        });
        Self { url, kept }
    }

    /// Gives this answer from now on.
    pub(super) fn answer(&self, status: u16) {
        let mut kept = self.kept.lock().expect("no panic");
        kept.next.clear();
        kept.after = status;
    }

    /// What came in.
    pub(super) fn got(&self) -> Vec<Got> {
        self.kept.lock().expect("no panic").got.clone()
    }

    /// Waits until what came in is what is wanted.
    #[track_caller]
    pub(super) fn await_got(&self, what: &str, is: impl Fn(&[Got]) -> bool) -> Vec<Got> {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let got = self.got();
            if is(&got) {
                return got;
            }
            assert!(Instant::now() < deadline, "not {what}: {got:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

async fn take(
    State(kept): State<Arc<Mutex<Kept>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let status = {
        let mut kept = kept.lock().expect("no panic");
        let status = kept.next.pop_front().unwrap_or(kept.after);
        kept.got.push(Got {
            path: uri.path().to_owned(),
            headers,
            body,
            status,
        });
        status
    };
    match StatusCode::from_u16(status) {
        // Where a redirect leads is another path of this server.
        Ok(status) if status.is_redirection() => {
            (status, [(header::LOCATION, "/elsewhere")]).into_response()
        }
        Ok(status) => status.into_response(),
        Err(_) => std::future::pending().await,
    }
}
