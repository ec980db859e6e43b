//! Webhooks: where a tenant's events are posted, and what has become of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Body, List, Page, PathOf, QueryOf, Refusals};
use crate::service::Service;
use crate::service::auth::Admin;
use crate::service::problem::Problem;
use crate::service::store::{DeliveryRecord, EventKind, WebhookRecord};
use crate::service::webhooks::NewWebhook;

/// All webhooks of the tenant, without their secrets.
#[utoipa::path(get, path = "/v1/webhooks", tag = "webhooks", operation_id = "list_webhooks", responses((status = 200, body = List<WebhookRecord>), Refusals))]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    Admin(caller): Admin,
) -> Result<Json<List<WebhookRecord>>, Problem> {
    let items = caller.store(&service).webhooks()?;
    Ok(Json(List { items, next: None }))
}

/// A webhook that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookOf {
    /// Where events are posted, by https or http. It is to answer with 2xx within 15 seconds.
    #[schema(max_length = 2000)]
    url: String,
    /// What they are about: `phase`, `note`, `failure` (of a pipe or of a resync), `needs_approval`, `action`; all, if there is nothing.
    #[serde(default)]
    #[schema(max_items = 10)]
    events: Vec<EventKind>,
    /// The pipe that they are of; all, if there is none.
    #[serde(default)]
    pipe: Option<String>,
}

/// Make a webhook.
///
/// Events are posted as JSON with `type`, `timestamp` and `data`, one after the other, and signed as <https://www.standardwebhooks.com> says: the header
/// `webhook-signature` has `v1,` and the HMAC-SHA256 of `{webhook-id}.{webhook-timestamp}.{body}` by the secret, in base64. What isn't answered with 2xx is sent
/// again, with the same `webhook-id`, for a day. The answer is the only time that the secret is shown.
#[utoipa::path(post, path = "/v1/webhooks", tag = "webhooks", operation_id = "make_webhook", request_body = WebhookOf,
    responses((status = 201, body = NewWebhook), Refusals))]
pub(super) async fn make(
    State(service): State<Arc<Service>>,
    Admin(caller): Admin,
    Body(of): Body<WebhookOf>,
) -> Result<Response, Problem> {
    if of.events.len() > 10 {
        return Err(Problem::unusable(
            "a webhook names 10 kinds of events at most",
        ));
    }
    let made = service.make_webhook(&caller, of.url, of.events, of.pipe);
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, no_store, Json(made.await?)).into_response())
}

/// Delete a webhook.
///
/// What is on its way to it is not sent any more.
#[utoipa::path(delete, path = "/v1/webhooks/{id}", tag = "webhooks", operation_id = "remove_webhook", params(("id" = String, Path, description = "The webhook's id")),
    responses((status = 204), Refusals))]
pub(super) async fn remove(
    State(service): State<Arc<Service>>,
    Admin(caller): Admin,
    PathOf(id): PathOf<String>,
) -> Result<StatusCode, Problem> {
    match caller.store(&service).remove_webhook(&id)? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found("webhook", &id)),
    }
}

/// What has become of the events of a webhook, the latest first.
///
/// All that wait are there, and the last 200 that were delivered or given up.
#[utoipa::path(get, path = "/v1/webhooks/{id}/deliveries", tag = "webhooks", operation_id = "webhook_deliveries",
    params(("id" = String, Path, description = "The webhook's id"), Page), responses((status = 200, body = List<DeliveryRecord>), Refusals))]
pub(super) async fn deliveries(
    State(service): State<Arc<Service>>,
    Admin(caller): Admin,
    PathOf(id): PathOf<String>,
    QueryOf(page): QueryOf<Page>,
) -> Result<Json<List<DeliveryRecord>>, Problem> {
    let limit = page.limit()?;
    let before = page.number()?.unwrap_or(i64::MAX);
    let store = caller.store(&service);
    if store.webhook(&id)?.is_none() {
        return Err(Problem::not_found("webhook", &id));
    }
    let deliveries = store.deliveries(&id, before, limit + 1)?;
    let number = |delivery: &DeliveryRecord| delivery.id.to_string();
    Ok(Json(List::page(deliveries, limit, number)))
}
