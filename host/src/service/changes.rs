//! What changes something, by the API or by a form: it is done to its end whether its client waits or not, and the audit log tells of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use super::Service;
use super::api::RequestId;
use super::auth::Caller;
use super::problem::Problem;
use super::store::AuditEntry;

/// How long a body may take to come.
const BODY_DEADLINE: Duration = Duration::from_secs(300);
/// Longest target of an audit entry, in bytes.
const LONGEST_TARGET: usize = 300;

/// What the audit log tells of a change, but for its status.
pub(super) fn entry(parts: &Parts, caller: &Caller) -> AuditEntry {
    let path = parts.uri.path();
    let route = parts.extensions.get::<MatchedPath>();
    let route = route.map_or_else(|| beginning(path), MatchedPath::as_str);
    let request_id = parts.extensions.get::<RequestId>().cloned();
    let target = path.strip_prefix("/v1/").unwrap_or(path);
    AuditEntry {
        id: 0,
        at: Timestamp::now(),
        actor: format!("{} {}", caller.token.id, caller.token.name),
        action: format!("{} {route}", parts.method),
        target: beginning(target.trim_start_matches('/')).to_owned(),
        status: 0,
        request: request_id.map_or_else(String::new, |id| id.0),
    }
}

/// As much of a text as an entry has of it.
fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_TARGET)]
}

/// Writes into the audit log what has become of a change. That it can't be written is no reason to say that it wasn't made.
pub(super) fn audit(service: &Service, caller: &Caller, entry: AuditEntry, status: StatusCode) {
    let status = status.as_u16();
    let entry = AuditEntry { status, ..entry };
    if let Err(error) = caller.store(service).audit(&entry) {
        tracing::error!(%error, "the audit log could not be written");
    }
}

/// Makes a change and writes it into the audit log, also where its client goes meanwhile: the server drops a request's future then.
pub(super) async fn to_its_end<F>(
    service: Arc<Service>,
    caller: Caller,
    entry: AuditEntry,
    change: F,
) -> Response
where
    F: Future<Output = Result<Response, Problem>> + Send + 'static,
{
    let work = async move {
        let _at_work = service.changes.read().await;
        let response = caught(change).await.and_then(|done| done);
        let response = response.unwrap_or_else(IntoResponse::into_response);
        audit(&service, &caller, entry, response.status());
        response
    };
    let done = tokio::spawn(work.in_current_span()).await;
    // It doesn't panic, and is cut only where the process ends.
    done.unwrap_or_else(|_| failed().into_response())
}

/// Answers a request; a panic is a problem, so that what follows it is done.
pub(super) async fn run(next: Next, request: Request) -> Response {
    let answered = caught(next.run(request)).await;
    answered.unwrap_or_else(IntoResponse::into_response)
}

async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Problem> {
    // What a panic leaves behind is behind locks that know of it, or in a transaction that isn't committed.
    let done = AssertUnwindSafe(work).catch_unwind().await;
    done.map_err(|_| failed())
}

/// A panic, which is a fault of Tidemill; its message is in the log.
pub(super) fn failed() -> Problem {
    let detail = "the service has failed; this is a fault of Tidemill";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
}

/// A body as a whole, if it isn't larger than this and comes in time.
pub(super) async fn whole(body: Body, most: usize) -> Result<Bytes, Problem> {
    let refused = |status, detail: String| Err(Problem::new(status, "body", detail));
    let deadline = Instant::now() + BODY_DEADLINE;
    let mut pieces = body.into_data_stream();
    let mut whole = Vec::new();
    loop {
        let piece = match timeout_at(deadline, pieces.next()).await {
            Ok(Some(Ok(piece))) => piece,
            Ok(None) => return Ok(whole.into()),
            Ok(Some(Err(error))) => {
                let detail = format!("the body can't be read: {error}");
                return refused(StatusCode::BAD_REQUEST, detail);
            }
            Err(_) => {
                let seconds = BODY_DEADLINE.as_secs();
                let detail = format!("the body has not come within {seconds} seconds");
                return refused(StatusCode::REQUEST_TIMEOUT, detail);
            }
        };
        if piece.len() > most - whole.len() {
            let detail = format!("the body has more than {most} bytes");
            return refused(StatusCode::PAYLOAD_TOO_LARGE, detail);
        }
        whole.extend_from_slice(&piece);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;

    use super::*;

    /// A body of so many pieces, one after each pause.
    fn dripping(pieces: usize, pause: Duration) -> Body {
        let drop = move |left: usize| async move {
            tokio::time::sleep(pause).await;
            (left > 0).then(|| (Ok::<_, Infallible>("x"), left - 1))
        };
        Body::from_stream(stream::unfold(pieces, drop))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_has_a_size_and_a_time() {
        let second = Duration::from_secs(1);
        let read = whole(dripping(200, second), 200).await.unwrap();
        assert_eq!(read.len(), 200);
        let status = async |body, most| whole(body, most).await.unwrap_err().status;
        assert_eq!(status(dripping(201, second), 200).await, 413);
        let begun = Instant::now();
        assert_eq!(status(dripping(1_000, second), 2_000).await, 408);
        assert_eq!(begun.elapsed(), BODY_DEADLINE);
        let broken = stream::iter([Ok("x"), Err(std::io::Error::other("gone"))]);
        assert_eq!(status(Body::from_stream(broken), 9).await, 400);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "x".repeat(LONGEST_TARGET - 1) + "é";
        assert_eq!(beginning(&text).len(), LONGEST_TARGET - 1);
        assert_eq!(beginning("pipes/p"), "pipes/p");
    }
}
