//! What stands before every route: the request's id, its line in the log and its place in the metrics, the audit log, idempotency keys, and answers where there is no route.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use tracing::Instrument;
use tracing::field::Empty;
use uuid::Uuid;

use super::LARGEST_BODY;
use super::body::is_upload;
use crate::service::Service;
use crate::service::auth::{self, Caller};
use crate::service::changes;
use crate::service::metrics::Asked;
use crate::service::problem::Problem;
use crate::service::store::{Answer, Kept, KeptAnswer};
use crate::telemetry;

/// The header of a request's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header of an idempotency key.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A request's id, as its answer and the log have it.
#[derive(Clone, Debug)]
pub(in crate::service) struct RequestId(pub(in crate::service) String);

/// Gives each request an id, its log lines a span with it, and the log a line of it. It is counted once its answer begins.
pub(super) async fn request(
    State(service): State<Arc<Service>>,
    mut request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let id = Uuid::now_v7().simple().to_string();
    let asked = Asked::default();
    request.extensions_mut().insert(RequestId(id.clone()));
    request.extensions_mut().insert(asked.clone());
    let method = method_name(request.method());
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("(none)", MatchedPath::as_str).to_owned();
    // At the level of errors, so that the span is there whatever is logged.
    let span = tracing::error_span!(parent: None, "request", request = id, tenant = Empty, otel.kind = "server", otel.name = format!("{method} {route}"));
    telemetry::follow(&span, request.headers());
    let mut response = next.run(request).instrument(span.clone()).await;
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    telemetry::answer(&span, (method, &route), status);
    span.in_scope(|| {
        let ms = took.as_secs_f64() * 1e3;
        tracing::info!(method, route, status, ms, "answered");
    });
    service
        .metrics
        .requests
        .count(asked.tenant(), (method, &route), status, took);
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// A method's name; those that nobody knows have one in common.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

/// What changes something is written into the audit log, whatever became of it; with an idempotency key it is done once.
pub(super) async fn changes(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    if matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    ) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let caller = match auth::bearer(&service, &parts) {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    parts.extensions.insert(caller.clone());
    let entry = changes::entry(&parts, &caller);
    let change = {
        let (service, caller) = (service.clone(), caller.clone());
        async move {
            let mut request = Request::from_parts(parts, body);
            let is_upload = is_upload(&request);
            if is_upload && let Some(turn) = service.shares.upload(&caller.tenant).await {
                request.extensions_mut().insert(turn);
            }
            let most = match is_upload {
                true => service.largest_upload(),
                false => LARGEST_BODY,
            };
            let (parts, body) = request.into_parts();
            let body = changes::whole(body, most).await?;
            once(&service, &caller, (parts, body), next).await
        }
    };
    changes::to_its_end(service, caller, entry, change).await
}

/// Does a request, or answers as the first one with its idempotency key was answered.
async fn once(
    service: &Service,
    caller: &Caller,
    (parts, body): (Parts, Bytes),
    next: Next,
) -> Result<Response, Problem> {
    let key = key(&parts.headers)?;
    if let Some(key) = &key {
        let request = digest(caller, &parts, &body);
        if let Some(answer) = known(caller.store(service).take_key(key, &request)?)? {
            return Ok(answer);
        }
    }
    let response = changes::run(next, Request::from_parts(parts, Body::from(body))).await;
    match key {
        Some(key) => Ok(keep(service, caller, &key, response).await),
        None => Ok(response),
    }
}

/// What tells a request from another one with the same idempotency key.
fn digest(caller: &Caller, parts: &Parts, body: &[u8]) -> Vec<u8> {
    let mut digest = Sha256::new();
    for part in [
        caller.token.id.as_bytes(),
        parts.method.as_str().as_bytes(),
        parts.uri.to_string().as_bytes(),
        body,
    ] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest.finalize().to_vec()
}

/// The answer of a request whose idempotency key is known; none: it is to be done.
fn known(kept: Kept) -> Result<Option<Response>, Problem> {
    let done = |why: &str| {
        let detail =
            format!("the request with this idempotency key was done, and its answer {why}");
        Problem::new(StatusCode::CONFLICT, "done", detail).suggest("look at what it has made")
    };
    match kept {
        Kept::New => Ok(None),
        Kept::Answer(KeptAnswer::Whole(answer)) => Ok(Some(again(answer))),
        Kept::Answer(KeptAnswer::ShownOnce) => Err(done("has a secret, which is shown once")),
        Kept::Answer(KeptAnswer::TooLarge) => Err(done("is too large to be kept")),
        Kept::AtWork => {
            let detail = "the first request with this idempotency key is still at work";
            Err(Problem::conflict(detail).suggest("send it again in some seconds"))
        }
        Kept::Other => Err(Problem::unusable(
            "the idempotency key was sent with another request",
        )),
        Kept::TooMany => Err(
            Problem::quota("too many requests with idempotency keys are at work")
                .suggest("send it again in some seconds"),
        ),
    }
}

/// The idempotency key of a request.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(key) if (1..=255).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Problem::unusable(
            "an idempotency key has 1 to 255 visible characters",
        )),
    }
}

/// Keeps the answer of what was done for its key. What was refused or has failed may be possible the next time: its key is as new.
async fn keep(service: &Service, caller: &Caller, key: &str, response: Response) -> Response {
    let (parts, body) = response.into_parts();
    // A handler's answer is in memory already.
    let body = match to_bytes(body, usize::MAX).await {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "an answer can't be read");
            return changes::failed().into_response();
        }
    };
    let no_store = parts.headers.get(header::CACHE_CONTROL);
    let has_secret = no_store.is_some_and(|value| value == "no-store");
    let header = |name: HeaderName| {
        let value = parts.headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    let answer = match parts.status.is_success() {
        false => None,
        true if has_secret => Some(KeptAnswer::ShownOnce),
        true => Some(KeptAnswer::of(Answer {
            status: parts.status.as_u16(),
            content_type: header(header::CONTENT_TYPE),
            location: header(header::LOCATION),
            // All that changes something answers with JSON, or with nothing.
            body: String::from_utf8_lossy(&body).into_owned(),
        })),
    };
    if let Err(error) = caller.store(service).keep_answer(key, answer.as_ref()) {
        tracing::error!(%error, "an answer could not be kept for its idempotency key");
    }
    Response::from_parts(parts, Body::from(body))
}

/// A kept answer.
fn again(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let headers = [
        (header::CONTENT_TYPE, answer.content_type),
        (header::LOCATION, answer.location),
    ];
    for (name, value) in headers {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// There is no such route.
pub(in crate::service) fn nothing_here() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "there is nothing at this address",
    )
    .suggest("/docs lists the routes")
}

/// The route doesn't have this method.
pub(super) async fn not_that_method() -> Problem {
    let detail = "the route doesn't have this method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail).suggest("/docs lists the routes")
}

/// A handler has panicked.
pub(super) fn panicked(_: Box<dyn Any + Send>) -> Response {
    changes::failed().into_response()
}
