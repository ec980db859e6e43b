//! Pipes: made, read, changed, removed, and what they are told to do.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Body, List, Page, PathOf, QueryOf, Refusals};
use crate::service::Service;
use crate::service::auth::{Caller, Operator, Viewer};
use crate::service::pipes::{Order, Ordered, PipeDetail, PipeSummary, Sent};
use crate::service::problem::Problem;

/// All pipes, by name.
#[utoipa::path(get, path = "/v1/pipes", tag = "pipes", params(Page), responses((status = 200, body = List<PipeSummary>), Refusals))]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    QueryOf(page): QueryOf<Page>,
) -> Result<Json<List<PipeSummary>>, Problem> {
    let limit = page.limit()?;
    let records = caller.store(&service).pipes(page.after(), limit + 1)?;
    let summary = |record| service.summary(&caller.tenant, record);
    let pipes = records.into_iter().map(summary).collect();
    Ok(Json(List::page(pipes, limit, |pipe: &PipeSummary| {
        pipe.name.clone()
    })))
}

/// Make a pipe.
///
/// The settings are those of a pipe file, as TOML or as the same structure in JSON. Passwords that stand in them are kept encrypted and never shown again; a
/// transform's configuration names other secrets as `{"secret": "NAME"}`, whose values come in `secrets` beside the settings. The pipe stands still until it
/// is started.
#[utoipa::path(post, path = "/v1/pipes", tag = "pipes",
    request_body(content((String = "application/toml"), (Object = "application/json"))),
    responses((status = 201, body = PipeDetail, headers(("location" = String, description = "The pipe's address"))), Refusals))]
pub(super) async fn create(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    sent: Sent,
) -> Result<Response, Problem> {
    let make = |service: &Arc<Service>, caller: &Caller| {
        let id = service.create_pipe(caller, sent)?;
        service.detail(caller, &id.name)
    };
    let pipe = service.on_disk(&caller, make).await?;
    let location = format!("/v1/pipes/{}", pipe.summary.name);
    let location = [(header::LOCATION, location)];
    Ok((StatusCode::CREATED, location, Json(pipe)).into_response())
}

/// A pipe with its settings.
#[utoipa::path(get, path = "/v1/pipes/{pipe}", tag = "pipes", params(("pipe" = String, Path, description = "The pipe's name")),
    responses((status = 200, body = PipeDetail), Refusals))]
pub(super) async fn read(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    PathOf(name): PathOf<String>,
) -> Result<Json<PipeDetail>, Problem> {
    let read = move |service: &Arc<Service>, caller: &Caller| service.detail(caller, &name);
    Ok(Json(service.on_disk(&caller, read).await?))
}

/// Change a pipe's settings.
///
/// All of them are sent. How it loads and applies is in force at once where the pipe runs; the rest is taken up by the next resync. A password that isn't
/// sent stays, where its server stays the same: with another address of a server, its password is sent again.
#[utoipa::path(put, path = "/v1/pipes/{pipe}", tag = "pipes", params(("pipe" = String, Path, description = "The pipe's name")),
    request_body(content((String = "application/toml"), (Object = "application/json"))),
    responses((status = 200, body = PipeDetail), Refusals))]
pub(super) async fn change(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    PathOf(name): PathOf<String>,
    sent: Sent,
) -> Result<Json<PipeDetail>, Problem> {
    let _turn = service.supervisor.turn(&caller.pipe(&name)).await;
    let change = move |service: &Arc<Service>, caller: &Caller| {
        service.change_pipe(caller, &name, sent)?;
        service.detail(caller, &name)
    };
    Ok(Json(service.on_disk(&caller, change).await?))
}

/// Stop a pipe and remove it.
///
/// Its tables in the destination stay as they are; its journal is gone, and with it the way to a rollback.
#[utoipa::path(delete, path = "/v1/pipes/{pipe}", tag = "pipes", params(("pipe" = String, Path, description = "The pipe's name")),
    responses((status = 204), Refusals))]
pub(super) async fn remove(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    PathOf(name): PathOf<String>,
) -> Result<StatusCode, Problem> {
    service.remove_pipe(&caller, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Start, stop or resync a pipe.
///
/// Also: approve a swap that waits, give an unfinished resync up, roll the last one back. The answer comes once it is begun; events and the status tell how
/// it goes on.
#[utoipa::path(patch, path = "/v1/pipes/{pipe}/state", tag = "pipes", params(("pipe" = String, Path, description = "The pipe's name")),
    request_body = Order, responses((status = 202, body = Ordered), Refusals))]
pub(super) async fn order(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    PathOf(name): PathOf<String>,
    Body(order): Body<Order>,
) -> Result<(StatusCode, Json<Ordered>), Problem> {
    let ordered = service.order(&caller, &name, order).await?;
    Ok((StatusCode::ACCEPTED, Json(ordered)))
}

/// The names of a pipe's secrets.
///
/// Their values are never shown.
#[utoipa::path(get, path = "/v1/pipes/{pipe}/secrets", tag = "pipes", params(("pipe" = String, Path, description = "The pipe's name")),
    responses((status = 200, body = List<String>), Refusals))]
pub(super) async fn secrets(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    PathOf(name): PathOf<String>,
) -> Result<Json<List<String>>, Problem> {
    service.pipe_record(&caller, &name)?;
    let items = caller.store(&service).secret_names(&name)?;
    Ok(Json(List { items, next: None }))
}

/// A secret's value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretValue {
    /// The value, at most 65,536 bytes.
    #[schema(value_type = String, format = Password, max_length = 65536)]
    value: secrecy::SecretString,
}

/// Set a secret of a pipe.
///
/// `source.password` and `destination.password` are those of its servers; others are named by its transforms. A pipe that runs takes it up when it is
/// started or resynced. A pipe has 200 secrets at most, and each has 65,536 bytes at most.
#[utoipa::path(put, path = "/v1/pipes/{pipe}/secrets/{name}", tag = "pipes",
    params(("pipe" = String, Path, description = "The pipe's name"), ("name" = String, Path, description = "The secret's name")),
    request_body = SecretValue, responses((status = 204), Refusals))]
pub(super) async fn put_secret(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    PathOf((pipe, name)): PathOf<(String, String)>,
    Body(secret): Body<SecretValue>,
) -> Result<StatusCode, Problem> {
    service.pipe_record(&caller, &pipe)?;
    let secrets = BTreeMap::from([(name, secret.value)]);
    service.put_secrets(&caller.pipe(&pipe), &secrets)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a secret of a pipe.
#[utoipa::path(delete, path = "/v1/pipes/{pipe}/secrets/{name}", tag = "pipes",
    params(("pipe" = String, Path, description = "The pipe's name"), ("name" = String, Path, description = "The secret's name")),
    responses((status = 204), Refusals))]
pub(super) async fn remove_secret(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    PathOf((pipe, name)): PathOf<(String, String)>,
) -> Result<StatusCode, Problem> {
    service.pipe_record(&caller, &pipe)?;
    match caller.store(&service).remove_secret(&pipe, &name)? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found("secret", &name)),
    }
}
