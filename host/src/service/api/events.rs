//! What happens to pipes, as a list or as a stream.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream, StreamExt};
use tokio::sync::broadcast::error::RecvError;

use super::{List, Page, PathOf, QueryOf, Refusals};
use crate::service::Service;
use crate::service::auth::{Caller, Viewer};
use crate::service::problem::Problem;
use crate::service::store::{Event, Role};

/// Events that are read from the store at a time, where a listener has missed some.
const AT_A_TIME: usize = 500;

/// What has happened to a pipe, the latest first.
///
/// With `Accept: text/event-stream` what happens from now on, as server-sent events; `Last-Event-ID` has those behind it sent first.
#[utoipa::path(get, path = "/v1/pipes/{pipe}/events", tag = "pipes", params(("pipe" = String, Path, description = "The pipe's name"), Page),
    responses((status = 200, content((List<Event> = "application/json"), (String = "text/event-stream"))), Refusals))]
pub(super) async fn of_pipe(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    PathOf(name): PathOf<String>,
    QueryOf(page): QueryOf<Page>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    service.pipe_record(&caller, &name)?;
    answer(&service, caller, Some(name), &page, &headers)
}

/// What has happened to all pipes, the latest first.
///
/// With `Accept: text/event-stream` as a stream, as of one pipe.
#[utoipa::path(get, path = "/v1/events", tag = "pipes", params(Page),
    responses((status = 200, content((List<Event> = "application/json"), (String = "text/event-stream"))), Refusals))]
pub(super) async fn of_tenant(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    QueryOf(page): QueryOf<Page>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    answer(&service, caller, None, &page, &headers)
}

fn answer(
    service: &Arc<Service>,
    caller: Caller,
    pipe: Option<String>,
    page: &Page,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::ACCEPT).is_some_and(|accept| accept.contains("text/event-stream")) {
        let last = text(header::HeaderName::from_static("last-event-id"));
        let last = last.and_then(|id| id.parse().ok());
        let stream = stream(service.clone(), caller, pipe, last)?;
        return Ok(Sse::new(stream)
            .keep_alive(KeepAlive::default())
            .into_response());
    }
    let limit = page.limit()?;
    let before = page.number()?.unwrap_or(i64::MAX);
    let store = caller.store(service);
    let events = store.events_before(pipe.as_deref(), before, limit + 1)?;
    Ok(Json(List::page(events, limit, |event: &Event| {
        event.id.to_string()
    }))
    .into_response())
}

/// Events as they come; those behind `last` first. It ends where its caller's token does.
fn stream(
    service: Arc<Service>,
    caller: Caller,
    pipe: Option<String>,
    last: Option<i64>,
) -> Result<impl Stream<Item = Result<Sent, Infallible>>, Problem> {
    let news = service.events.listen();
    let store = caller.store(&service);
    let last = match last {
        Some(last) => last,
        None => {
            let latest = store.events_before(pipe.as_deref(), i64::MAX, 1)?;
            latest.first().map_or(0, |event| event.id)
        }
    };
    let state = (service, caller, pipe, last, news, true);
    let batches = stream::unfold(
        state,
        async |(service, caller, pipe, last, mut news, first)| {
            let mut first = first;
            loop {
                if !std::mem::take(&mut first) {
                    // Which event it is the store tells: it has all, in order.
                    match news.recv().await {
                        Ok(event) if event.0 != caller.tenant => continue,
                        Ok(_) | Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return None,
                    }
                }
                let known = service.store.tenant(&caller.tenant).tokens().ok()?;
                if !known
                    .iter()
                    .any(|token| token.id == caller.token.id && token.role >= Role::Viewer)
                {
                    return None;
                }
                let store = caller.store(&service);
                let events = store.events_after(pipe.as_deref(), last, AT_A_TIME).ok()?;
                if let Some(event) = events.last() {
                    let again = events.len() == AT_A_TIME;
                    let state = (
                        service.clone(),
                        caller.clone(),
                        pipe.clone(),
                        event.id,
                        news,
                        again,
                    );
                    return Some((events, state));
                }
            }
        },
    );
    Ok(batches.flat_map(|events| stream::iter(events.into_iter().map(sent))))
}

fn sent(event: Event) -> Result<Sent, Infallible> {
    let kind = serde_json::to_value(event.kind).ok();
    let kind = kind.and_then(|kind| kind.as_str().map(str::to_owned));
    let sent = Sent::default()
        .id(event.id.to_string())
        .event(kind.unwrap_or_default());
    // Plain data: it can be written as JSON.
    Ok(sent.json_data(&event).unwrap_or_default())
}
