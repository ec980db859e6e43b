//! The tenant itself, who did what, and whether the service is well.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use utoipa::ToSchema;

use super::{List, Page, QueryOf, Refusals};
use crate::service::Service;
use crate::service::auth::{Admin, Viewer};
use crate::service::problem::Problem;
use crate::service::store::{AuditEntry, Quotas, Role, TokenRecord};

/// Who asks, and what the tenant may use.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Tenant {
    /// The tenant's name.
    name: String,
    /// The token that asks.
    token: TokenRecord,
    /// What its bearer may do.
    role: Role,
    /// What the tenant may use.
    quotas: Quotas,
}

/// Who asks, and what the tenant may use.
#[utoipa::path(get, path = "/v1/tenant", tag = "tenant", responses((status = 200, body = Tenant), Refusals))]
pub(super) async fn tenant(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
) -> Result<Json<Tenant>, Problem> {
    let record = service.store.tenant_record(&caller.tenant)?;
    let record = record.ok_or_else(|| Problem::not_found("tenant", &caller.tenant))?;
    Ok(Json(Tenant {
        name: record.name,
        role: caller.token.role,
        token: caller.token,
        quotas: record.quotas,
    }))
}

/// Who did what, the latest first.
#[utoipa::path(get, path = "/v1/audit", tag = "tenant", params(Page), responses((status = 200, body = List<AuditEntry>), Refusals))]
pub(super) async fn audit(
    State(service): State<Arc<Service>>,
    Admin(caller): Admin,
    QueryOf(page): QueryOf<Page>,
) -> Result<Json<List<AuditEntry>>, Problem> {
    let limit = page.limit()?;
    let before = page.number()?.unwrap_or(i64::MAX);
    let entries = caller.store(&service).audited(before, limit + 1)?;
    Ok(Json(List::page(entries, limit, |entry: &AuditEntry| {
        entry.id.to_string()
    })))
}

/// Whether the process answers, and whether it is ready for requests.
pub(super) fn health() -> Router<Arc<Service>> {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
}

/// Ready: the service doesn't end, and its store can be written. Pipes that are still being started are no reason.
async fn ready(State(service): State<Arc<Service>>) -> Result<&'static str, Problem> {
    let unavailable = |code, detail: &str| {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
        problem.suggest("try again later")
    };
    if service.supervisor.is_closing() {
        return Err(unavailable("ending", "the service is about to end"));
    }
    if let Err(error) = service.store.probe() {
        tracing::error!(%error, "the store can't be written");
        return Err(unavailable("store", "the service's store can't be written"));
    }
    Ok("ready\n")
}
