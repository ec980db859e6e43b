//! A pipe's Logs: what has happened to it, the latest first.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use serde::Deserialize;

use super::fields::Asked;
use super::{Frame, Head, Page, show, words};
use crate::service::Service;
use crate::service::auth::Viewer;
use crate::service::store::{Event, EventKind};

/// Events of a page.
const EVENTS: usize = 100;
/// The kinds that can be asked for, and what the choice says.
const KINDS: [(&str, &str); 7] = [
    ("", "Everything"),
    ("failure", "Failures"),
    ("needs_approval", "Waits for approval"),
    ("phase", "Phases"),
    ("note", "Notes"),
    ("action", "Actions of people"),
    ("webhook", "Webhooks"),
];

#[derive(Template)]
#[template(path = "logs.html")]
struct Logs {
    frame: Frame,
    page: Head,
    events: Vec<Event>,
    kind: &'static str,
    before: Option<i64>,
    next: Option<i64>,
}

pub(super) async fn page(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    Path(name): Path<String>,
    Asked(query): Asked,
) -> Page {
    let (frame, page) = Head::new(&service, &caller, &name, "logs", &query)?;
    let asked = query.get("kind").unwrap_or_default();
    let kind = KINDS
        .iter()
        .map(|(kind, _)| *kind)
        .find(|kind| *kind == asked);
    let kind = kind.unwrap_or_default();
    let before = query.get("before").and_then(|before| before.parse().ok());
    let known = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(kind);
    let of_kind = EventKind::deserialize(known).ok();
    let store = caller.store(&service);
    let mut events =
        store.events_of_kind(&name, of_kind, before.unwrap_or(i64::MAX), EVENTS + 1)?;
    let more = events.len() > EVENTS;
    events.truncate(EVENTS);
    show(&Logs {
        next: events.last().filter(|_| more).map(|event| event.id),
        events,
        kind,
        before,
        frame,
        page,
    })
}
