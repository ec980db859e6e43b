//! What stands before every route: the request's id, its line in the log and its place in the metrics, the audit log, idempotency keys, and answers where there is no route.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tracing::Instrument;
use tracing::field::Empty;
use uuid::Uuid;

use super::LARGEST_BODY;
use super::body::is_upload;
use crate::service::Service;
use crate::service::auth::{self, Caller};
use crate::service::metrics::Asked;
use crate::service::problem::Problem;
use crate::service::store::{AuditEntry, Kept, KeptAnswer};
use crate::telemetry;

/// The header of a request's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header of an idempotency key.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Largest answer that is kept for an idempotency key.
const LARGEST_ANSWER: usize = 4 << 20;

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
    let route = parts.extensions.get::<MatchedPath>();
    let route = route
        .map_or(parts.uri.path(), MatchedPath::as_str)
        .to_owned();
    let request_id = parts.extensions.get::<RequestId>().cloned();
    let entry = AuditEntry {
        id: 0,
        at: Timestamp::now(),
        actor: format!("{} {}", caller.token.id, caller.token.name),
        action: format!("{} {route}", parts.method),
        target: parts.uri.path().trim_start_matches("/v1/").to_owned(),
        status: 0,
        request: request_id.map_or_else(String::new, |id| id.0),
    };
    let mut request = Request::from_parts(parts, body);
    if is_upload(&request)
        && let Some(turn) = service.shares.upload(&caller.tenant).await
    {
        request.extensions_mut().insert(turn);
    }
    let response = match once(&service, &caller, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    let status = response.status().as_u16();
    let entry = AuditEntry { status, ..entry };
    if let Err(error) = caller.store(&service).audit(&entry) {
        tracing::error!(%error, "the audit log could not be written");
    }
    response
}

/// Does a request, or answers as the first one with its idempotency key was answered.
async fn once(
    service: &Service,
    caller: &Caller,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(key) = key(request.headers())? else {
        return Ok(next.run(request).await);
    };
    let most = match is_upload(&request) {
        true => service.largest_upload(),
        false => LARGEST_BODY,
    };
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, most).await.map_err(|_| {
        let detail = format!("the body has more than {most} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body", detail)
    })?;
    let mut digest = Sha256::new();
    for part in [
        caller.token.id.as_bytes(),
        parts.method.as_str().as_bytes(),
        parts.uri.to_string().as_bytes(),
        &body,
    ] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    let store = caller.store(service);
    match store.take_key(&key, &digest.finalize())? {
        Kept::New => {}
        Kept::Answer(answer) => return Ok(again(answer)),
        Kept::AtWork => {
            let detail = "the first request with this idempotency key is still at work";
            return Err(Problem::conflict(detail).suggest("send it again in some seconds"));
        }
        Kept::Other => {
            return Err(Problem::unusable(
                "the idempotency key was sent with another request",
            ));
        }
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    keep(service, caller, &key, response).await
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

/// Keeps an answer for its key. A fault of the service may be gone the next time, and an answer with a secret is given once.
async fn keep(
    service: &Service,
    caller: &Caller,
    key: &str,
    response: Response,
) -> Result<Response, Problem> {
    let store = caller.store(service);
    let (parts, body) = response.into_parts();
    let no_store = parts.headers.get(header::CACHE_CONTROL);
    let has_secret = no_store.is_some_and(|value| value == "no-store");
    let body = to_bytes(body, LARGEST_ANSWER).await;
    let body = body.map_err(|_| Problem::conflict("the answer is too large to be kept"));
    let text = body
        .as_ref()
        .ok()
        .and_then(|body| std::str::from_utf8(body).ok());
    let header = |name: HeaderName| {
        let value = parts.headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    let answer = text.filter(|_| !parts.status.is_server_error() && !has_secret);
    let answer = answer.map(|body| KeptAnswer {
        status: parts.status.as_u16(),
        content_type: header(header::CONTENT_TYPE),
        location: header(header::LOCATION),
        body: body.to_owned(),
    });
    store.keep_answer(key, answer.as_ref())?;
    Ok(Response::from_parts(parts, Body::from(body?)))
}

/// A kept answer.
fn again(answer: KeptAnswer) -> Response {
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

/// A handler has panicked, which is a fault of Tidemill; the message is in the log.
pub(super) fn panicked(_: Box<dyn Any + Send>) -> Response {
    let detail = "the service has failed; this is a fault of Tidemill";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).into_response()
}
