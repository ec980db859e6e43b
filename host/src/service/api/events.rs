//! What happens to pipes, as a list or as a stream.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream, StreamExt};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::broadcast::error::RecvError;

use super::{List, Page, PathOf, QueryOf, Refusals};
use crate::service::Service;
use crate::service::auth::{self, Caller, Viewer};
use crate::service::events::{Listener, MOST_LISTENERS};
use crate::service::problem::Problem;
use crate::service::store::Event;

/// Events that are read from the store at a time, where a listener has missed some.
const AT_A_TIME: usize = 500;
/// How often it is asked whether a stream's token is still good, where nothing happens.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// What has happened to a pipe, the latest first.
///
/// With `Accept: text/event-stream` what happens from now on, as server-sent events; `Last-Event-ID` has those behind it sent first. A tenant
/// has 50 streams open at a time. A stream ends with its token.
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
    answer(&service, &caller, Some(name), &page, &headers).await
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
    answer(&service, &caller, None, &page, &headers).await
}

async fn answer(
    service: &Arc<Service>,
    caller: &Caller,
    pipe: Option<String>,
    page: &Page,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::ACCEPT).is_some_and(|accept| accept.contains("text/event-stream")) {
        let last = text(header::HeaderName::from_static("last-event-id"));
        let last = last.and_then(|id| id.parse().ok());
        let token = headers.get(header::AUTHORIZATION).and_then(auth::token);
        let stream = Listening::begin(service, caller, token.unwrap_or_default(), pipe, last)?;
        return Ok(Sse::new(stream.events())
            .keep_alive(KeepAlive::default())
            .into_response());
    }
    let limit = page.limit()?;
    let before = page.number()?.unwrap_or(i64::MAX);
    // Who has seen a pipe's phase finds its event.
    service.events.flush().await;
    let store = caller.store(service);
    let events = store.events_before(pipe.as_deref(), before, limit + 1)?;
    Ok(Json(List::page(events, limit, |event: &Event| {
        event.id.to_string()
    }))
    .into_response())
}

/// A stream of events as they come.
struct Listening {
    service: Arc<Service>,
    tenant: String,
    /// The token that it was asked for with.
    token: SecretString,
    /// The pipe; none: all.
    pipe: Option<String>,
    /// The number of the last event that was sent.
    last: i64,
    listener: Listener,
    /// Whether there may be events in the store that were not heard of.
    behind: bool,
}

impl Listening {
    /// A stream of the events behind `last`, or of those from now on.
    fn begin(
        service: &Arc<Service>,
        caller: &Caller,
        token: &str,
        pipe: Option<String>,
        last: Option<i64>,
    ) -> Result<Self, Problem> {
        let Some(listener) = service.events.listen_as(&caller.tenant) else {
            let detail = format!(
                "the tenant has {MOST_LISTENERS} streams of events open, and may have no more"
            );
            return Err(Problem::quota(detail).suggest("close one, or ask for the list of events"));
        };
        // Who has heard of more than there is has done so before a backup was restored.
        let latest = caller.store(service).last_event()?;
        Ok(Self {
            service: service.clone(),
            tenant: caller.tenant.clone(),
            token: token.into(),
            pipe,
            last: last.unwrap_or(latest).min(latest),
            listener,
            behind: true,
        })
    }

    fn events(self) -> impl Stream<Item = Result<Sent, Infallible>> {
        let batches = stream::unfold(self, async |mut listening| {
            let events = listening.next().await?;
            Some((events, listening))
        });
        batches.flat_map(|events| stream::iter(events.into_iter().map(sent)))
    }

    /// The next events; none: the stream ends, since its token is good no more.
    async fn next(&mut self) -> Option<Vec<Event>> {
        loop {
            if !std::mem::take(&mut self.behind) && !self.hear().await? {
                continue;
            }
            // Which events there are the store tells: it has all, in order.
            let store = self.service.store.tenant(&self.tenant);
            let events = store.events_after(self.pipe.as_deref(), self.last, AT_A_TIME);
            let events = events.ok()?;
            if let Some(event) = events.last() {
                self.last = event.id;
                self.behind = events.len() == AT_A_TIME;
                return Some(events);
            }
        }
    }

    /// Waits a while for news: whether there are any of this stream's. None: it ends.
    async fn hear(&mut self) -> Option<bool> {
        let (tenant, pipe) = (&self.tenant, self.pipe.as_deref());
        let news = async {
            loop {
                match self.listener.news.recv().await {
                    Ok(told) => {
                        let (of, event) = told.as_ref();
                        if of == tenant && pipe.is_none_or(|pipe| pipe == event.pipe) {
                            return Some(true);
                        }
                    }
                    Err(RecvError::Lagged(_)) => return Some(true),
                    Err(RecvError::Closed) => return None,
                }
            }
        };
        let heard = tokio::time::timeout(ASK_EVERY, news).await;
        let heard = heard.unwrap_or(Some(false))?;
        // It is asked like a request's: it may have ended, or have been taken back or rotated.
        let known = self.service.store.bearer(self.token.expose_secret());
        known.ok()??;
        Some(heard)
    }
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
