//! What changes nothing: check, plan, preview, a query, rejected rows, and the look at a source of which a pipe is to be made.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::resyncs::table_name;
use super::{Body, List, PathOf, QueryOf, Refusals};
use crate::lifecycle;
use crate::lifecycle::report::{CheckReport, Plan, Preview, Rejected};
use crate::service::Service;
use crate::service::auth::Operator;
use crate::service::problem::Problem;

/// Rows of a preview, at most.
const PREVIEW_ROWS: usize = 100;
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
    let (id, pipe) = service.pipe_of(&caller, &name)?;
    let environment = service.environment_of(&caller.tenant);
    let looked = async move { lifecycle::check(&pipe, &environment).await };
    let looked = service.on_work(looked).await?;
    looked
        .map(Json)
        .map_err(|error| service.problem(&id, error))
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
    let (id, pipe) = service.pipe_of(&caller, &name)?;
    let tables = of.tables.iter().map(|table| table_name(table));
    let tables = tables.collect::<Result<Vec<_>, _>>()?;
    let environment = service.environment_of(&caller.tenant);
    let looked = async move { lifecycle::plan(&pipe, &environment, &tables).await };
    let looked = service.on_work(looked).await?;
    looked
        .map(Json)
        .map_err(|error| service.problem(&id, error))
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
    let (id, pipe) = service.pipe_of(&caller, &name)?;
    let table = table_name(&of.table)?;
    let rows = of.rows.unwrap_or(10);
    if !(1..=PREVIEW_ROWS).contains(&rows) {
        let detail = format!("a preview has 1 to {PREVIEW_ROWS} rows");
        return Err(Problem::unusable(detail));
    }
    let environment = service.environment_of(&caller.tenant);
    let looked = async move { lifecycle::preview(&pipe, &environment, &table, rows).await };
    let looked = service.on_work(looked).await?;
    looked
        .map(Json)
        .map_err(|error| service.problem(&id, error))
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
    let (id, pipe) = service.pipe_of(&caller, &name)?;
    let asked = async move { lifecycle::query(&pipe, &query.sql).await };
    let asked = service.on_work(asked).await?;
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
    let (id, pipe) = service.pipe_of(&caller, &name)?;
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
    let asked = service.on_work(asked).await?;
    let items = asked.map_err(|error| service.problem(&id, error))?;
    Ok(Json(List { items, next: None }))
}

/// Where a source is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Connection {
    /// Its name or address.
    pub(super) host: String,
    /// Its port; 3306 by default.
    pub(super) port: Option<u16>,
    /// The user.
    pub(super) user: String,
    /// The password.
    #[schema(value_type = Option<String>, format = Password)]
    pub(super) password: Option<SecretString>,
    /// `disabled`, `required` (the default), `verify_ca` or `verify_identity`.
    pub(super) tls: Option<String>,
}

/// A table of a source.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct FoundTable {
    /// `database.table`.
    pub(super) table: String,
    /// Whether it is a view, which can't be followed.
    pub(super) is_view: bool,
    /// The source's estimate of rows.
    pub(super) estimated_rows: u64,
    /// The key's columns; none: rows can't be told apart.
    pub(super) key: Vec<String>,
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

impl Service {
    /// Looks at a source.
    pub(super) async fn source_tables(
        &self,
        caller: &crate::service::auth::Caller,
        connection: Connection,
    ) -> Result<Vec<FoundTable>, Problem> {
        let Connection {
            host,
            port,
            user,
            password,
            tls,
        } = connection;
        let mut source = toml::Table::new();
        source.insert("host".to_owned(), host.into());
        source.insert("user".to_owned(), user.into());
        if let Some(port) = port {
            source.insert("port".to_owned(), i64::from(port).into());
        }
        if let Some(tls) = tls {
            source.insert("tls".to_owned(), tls.into());
        }
        let settings = self.source_settings(caller, source, password)?;
        let looked = async move { lifecycle::init(&settings, &[]).await };
        let found = self.on_work(looked).await??;
        let table = |found: crate::pipe::template::TemplateTable| FoundTable {
            table: found.name.to_string(),
            is_view: found.is_view,
            estimated_rows: found.estimated_rows,
            key: found.key,
        };
        Ok(found.into_iter().map(table).collect())
    }
}
