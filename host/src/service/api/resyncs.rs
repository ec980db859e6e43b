//! What a pipe is at, and what it was: status, tables, resyncs, and how fast it goes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Body, List, Page, PathOf, QueryOf, Refusals};
use crate::lifecycle::report::{ResyncSummary, Status, TableStatistics};
use crate::service::Service;
use crate::service::auth::{Caller, Operator, Viewer};
use crate::service::looks::table_name;
use crate::service::metrics::Sample;
use crate::service::pipes::Ordered;
use crate::service::problem::Problem;

/// What a pipe is at: its phase, its lag, its tables.
#[utoipa::path(get, path = "/v1/pipes/{pipe}/status", tag = "pipes", params(("pipe" = String, Path, description = "The pipe's name")),
    responses((status = 200, body = Status), Refusals))]
pub(super) async fn status(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    PathOf(name): PathOf<String>,
) -> Result<Json<Status>, Problem> {
    Ok(Json(status_of(&service, &caller, name).await?))
}

async fn status_of(
    service: &Arc<Service>,
    caller: &Caller,
    name: String,
) -> Result<Status, Problem> {
    let read = move |service: &Arc<Service>, caller: &Caller| {
        let (id, pipe) = service.pipe_of(caller, &name)?;
        service.status_of(&id, &pipe)
    };
    service.on_disk(caller, read).await
}

/// The Initial Load Stats of each table of the current or last resync.
#[utoipa::path(get, path = "/v1/pipes/{pipe}/tables", tag = "pipes", params(("pipe" = String, Path, description = "The pipe's name")),
    responses((status = 200, body = List<TableStatistics>), Refusals))]
pub(super) async fn tables(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    PathOf(name): PathOf<String>,
) -> Result<Json<List<TableStatistics>>, Problem> {
    let status = status_of(&service, &caller, name).await?;
    let items = status.resync.map(|resync| resync.tables);
    Ok(Json(List {
        items: items.unwrap_or_default(),
        next: None,
    }))
}

/// A table of the source.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceTable {
    /// `database.table`.
    table: String,
}

/// Load a table that is new in the settings.
///
/// It follows the binlog with the others from then on.
#[utoipa::path(post, path = "/v1/pipes/{pipe}/tables", tag = "pipes", params(("pipe" = String, Path, description = "The pipe's name")),
    request_body = SourceTable, responses((status = 202, body = Ordered), Refusals))]
pub(super) async fn add_table(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    PathOf(name): PathOf<String>,
    Body(table): Body<SourceTable>,
) -> Result<(StatusCode, Json<Ordered>), Problem> {
    let table = table_name(&table.table)?;
    let ordered = service.add_table(&caller, &name, table).await?;
    Ok((StatusCode::ACCEPTED, Json(ordered)))
}

/// Follow a table no longer.
///
/// Its table in the destination stays as it is.
#[utoipa::path(delete, path = "/v1/pipes/{pipe}/tables/{table}", tag = "pipes",
    params(("pipe" = String, Path, description = "The pipe's name"), ("table" = String, Path, description = "`database.table` of the source")),
    responses((status = 204), Refusals))]
pub(super) async fn leave_table(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    PathOf((name, table)): PathOf<(String, String)>,
) -> Result<StatusCode, Problem> {
    let table = table_name(&table)?;
    service.leave_table(&caller, &name, table).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// All loads and resyncs of a pipe, the latest first.
#[utoipa::path(get, path = "/v1/pipes/{pipe}/resyncs", tag = "pipes", params(("pipe" = String, Path, description = "The pipe's name"), Page),
    responses((status = 200, body = List<ResyncSummary>), Refusals))]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    PathOf(name): PathOf<String>,
    QueryOf(page): QueryOf<Page>,
) -> Result<Json<List<ResyncSummary>>, Problem> {
    let limit = page.limit()?;
    let read = move |service: &Arc<Service>, caller: &Caller| {
        let (id, pipe) = service.pipe_of(caller, &name)?;
        service.resyncs(&id, &pipe, page.cursor.as_deref(), limit + 1)
    };
    let resyncs = service.on_disk(&caller, read).await?;
    let resyncs =
        resyncs.ok_or_else(|| Problem::unusable("the cursor is none that this list has given"))?;
    Ok(Json(List::page(
        resyncs,
        limit,
        |resync: &ResyncSummary| resync.id.clone(),
    )))
}

/// A load or resync of a pipe.
#[utoipa::path(get, path = "/v1/pipes/{pipe}/resyncs/{id}", tag = "pipes",
    params(("pipe" = String, Path, description = "The pipe's name"), ("id" = String, Path, description = "The resync's id")),
    responses((status = 200, body = ResyncSummary), Refusals))]
pub(super) async fn read(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    PathOf((name, id)): PathOf<(String, String)>,
) -> Result<Json<ResyncSummary>, Problem> {
    let read = move |service: &Arc<Service>, caller: &Caller| {
        let (pipe_id, pipe) = service.pipe_of(caller, &name)?;
        let found = service.resync(&pipe_id, &pipe, &id)?;
        found.ok_or_else(|| Problem::not_found("resync", &id))
    };
    Ok(Json(service.on_disk(&caller, read).await?))
}

/// What a pipe did in the last hour, in steps of five seconds.
///
/// There is nothing of the time when the pipe didn't run, or before the service was started.
#[utoipa::path(get, path = "/v1/pipes/{pipe}/metrics", tag = "pipes", params(("pipe" = String, Path, description = "The pipe's name")),
    responses((status = 200, body = List<Sample>), Refusals))]
pub(super) async fn metrics(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    PathOf(name): PathOf<String>,
) -> Result<Json<List<Sample>>, Problem> {
    service.pipe_record(&caller, &name)?;
    let items = service.metrics.pipe(&caller.pipe(&name)).samples().all();
    Ok(Json(List { items, next: None }))
}
