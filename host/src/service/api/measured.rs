//! `/metrics`: what is measured, for Prometheus.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::service::Service;
use crate::service::auth;
use crate::service::metrics::{CONTENT_TYPE, Scope};
use crate::service::problem::Problem;

/// The route.
pub(super) fn routes() -> Router<Arc<Service>> {
    Router::new().route("/metrics", get(metrics))
}

/// With the operator's token all tenants' metrics and the process's, with a tenant's token this tenant's.
async fn metrics(State(service): State<Arc<Service>>, scope: Scope) -> Result<Response, Problem> {
    // It reads all pipes' records, and may take longer than a request should keep others waiting.
    let told = {
        let service = service.clone();
        move || service.metrics.tell(&service, &scope)
    };
    let told = tokio::task::spawn_blocking(told).await;
    let text = told.map_err(std::io::Error::other)??;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

impl FromRequestParts<Arc<Service>> for Scope {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        service: &Arc<Service>,
    ) -> Result<Self, Problem> {
        let authorization = parts.headers.get(header::AUTHORIZATION);
        let token = authorization.and_then(auth::token);
        let operator = service.metrics.operator.as_ref();
        match (token, operator) {
            (Some(token), Some(operator)) if operator.is(token) => Ok(Self::All),
            _ => Ok(Self::Tenant(auth::bearer(service, parts)?.tenant)),
        }
    }
}
