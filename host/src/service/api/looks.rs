//! What changes nothing: check, plan, preview, a query, rejected rows, and the look at a source of which a pipe is to be made.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Body, List, PathOf, QueryOf, Refusals};
use crate::lifecycle;
use crate::lifecycle::report::{CheckReport, Plan, Preview, Rejected};
use crate::service::Service;
use crate::service::auth::Operator;
use crate::service::looks::{Connection, FoundTable, table_name};
use crate::service::problem::Problem;

/// Rejected rows of an answer, at most.
const REJECTED_ROWS: usize = 200;

/// Check a pipe against its servers and plugins.
#[utoipa::path(post, path = "/v1/pipes/{pipe}/check", tag = "looks", params(("pipe" = String, Path, description = "The pipe's name")),
    responses((status = 200, body = CheckReport), Refusals))]
pub(super) async fn check(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    PathOf(name): PathOf<String>,
) -> Result<Json<CheckReport>, Problem> {
    Ok(Json(service.check(&caller, &name).await?))
}

/// Which tables a plan is about.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanOf {
    /// `database.table` of the source; all, if there are none.
    #[serde(default)]
    tables: Vec<String>,
}

/// What a resync would do.
#[utoipa::path(post, path = "/v1/pipes/{pipe}/plan", tag = "looks", params(("pipe" = String, Path, description = "The pipe's name")),
    request_body = PlanOf, responses((status = 200, body = Plan), Refusals))]
pub(super) async fn plan(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    PathOf(name): PathOf<String>,
    Body(of): Body<PlanOf>,
) -> Result<Json<Plan>, Problem> {
    let tables = of.tables.iter().map(|table| table_name(table));
    let tables = tables.collect::<Result<Vec<_>, _>>()?;
    Ok(Json(service.plan(&caller, &name, tables).await?))
}

/// Which rows a preview shows.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PreviewOf {
    /// `database.table` of the source.
    table: String,
    /// How many rows; 10 by default.
    #[schema(minimum = 1, maximum = 100)]
    rows: Option<usize>,
}

/// Some rows of a table before and after its transforms.
#[utoipa::path(post, path = "/v1/pipes/{pipe}/preview", tag = "looks", params(("pipe" = String, Path, description = "The pipe's name")),
    request_body = PreviewOf, responses((status = 200, body = Preview), Refusals))]
pub(super) async fn preview(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    PathOf(name): PathOf<String>,
    Body(of): Body<PreviewOf>,
) -> Result<Json<Preview>, Problem> {
    let (table, rows) = (table_name(&of.table)?, of.rows.unwrap_or(10));
    Ok(Json(service.preview(&caller, &name, table, rows).await?))
}

/// A query.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    /// The statement, in the words of the destination.
    sql: String,
}

/// A query's answer.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Answer {
    /// Tab-separated, with a line of names.
    tsv: String,
}

/// Run a query at the pipe's destination.
///
/// It is run with the rights of the pipe's user there.
#[utoipa::path(post, path = "/v1/pipes/{pipe}/query", tag = "looks", params(("pipe" = String, Path, description = "The pipe's name")),
    request_body = Query, responses((status = 200, body = Answer), Refusals))]
pub(super) async fn query(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    PathOf(name): PathOf<String>,
    Body(query): Body<Query>,
) -> Result<Json<Answer>, Problem> {
    let (id, pipe) = service.read_pipe(&caller, &name).await?;
    let asked = async move { lifecycle::query(&pipe, &query.sql).await };
    let asked = service.look(&caller, asked).await?;
    let tsv = asked.map_err(|error| service.problem(&id, error))?;
    Ok(Json(Answer { tsv }))
}

/// Which rejected rows are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RejectedOf {
    /// `database.table` of the source.
    table: String,
    /// The latest so many; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// The latest rows of a table that could not be transformed, or didn't fit.
#[utoipa::path(get, path = "/v1/pipes/{pipe}/rejected", tag = "looks",
    params(("pipe" = String, Path, description = "The pipe's name"), RejectedOf),
    responses((status = 200, body = List<Rejected>), Refusals))]
pub(super) async fn rejected(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    PathOf(name): PathOf<String>,
    QueryOf(of): QueryOf<RejectedOf>,
) -> Result<Json<List<Rejected>>, Problem> {
    let (id, pipe) = service.read_pipe(&caller, &name).await?;
    let table = table_name(&of.table)?;
    let limit = of.limit.unwrap_or(50);
    if !(1..=REJECTED_ROWS).contains(&limit) {
        let detail = format!("an answer has 1 to {REJECTED_ROWS} rows");
        return Err(Problem::unusable(detail));
    }
    if pipe.table(&table).is_none() {
        return Err(Problem::not_found("table", &of.table));
    }
    let asked = async move { lifecycle::rejected(&pipe, &table, limit).await };
    let asked = service.look(&caller, asked).await?;
    let items = asked.map_err(|error| service.problem(&id, error))?;
    Ok(Json(List { items, next: None }))
}

/// The tables of a source, for a new pipe.
#[utoipa::path(post, path = "/v1/sources/tables", tag = "looks", request_body = Connection,
    responses((status = 200, body = List<FoundTable>), Refusals))]
pub(super) async fn source_tables(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    Body(connection): Body<Connection>,
) -> Result<Json<List<FoundTable>>, Problem> {
    let items = service.source_tables(&caller, connection).await?;
    Ok(Json(List { items, next: None }))
}
