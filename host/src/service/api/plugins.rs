//! Plugins of the tenant's own.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{List, Page, PathOf, QueryOf, Refusals, body};
use crate::service::Service;
use crate::service::auth::{Operator, Viewer};
use crate::service::problem::Problem;
use crate::service::store::PluginRecord;

/// A plugin, and what it says of itself.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PluginDetail {
    /// What a list shows of it.
    #[serde(flatten)]
    pub(crate) record: PluginRecord,
    /// What it does, in its own words.
    pub(crate) summary: String,
    /// The version of the contract that it was built for.
    pub(crate) contract: String,
    /// What it asks of the host.
    pub(crate) imports: Vec<String>,
    /// The JSON Schema of its configuration.
    #[schema(value_type = Object)]
    pub(crate) config_schema: serde_json::Value,
    /// The pipes that use it.
    pub(crate) pipes: Vec<String>,
}

/// All plugins that were uploaded, by name.
#[utoipa::path(get, path = "/v1/plugins", tag = "plugins", params(Page), responses((status = 200, body = List<PluginRecord>), Refusals))]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    QueryOf(page): QueryOf<Page>,
) -> Result<Json<List<PluginRecord>>, Problem> {
    let limit = page.limit()?;
    let plugins = caller.store(&service).plugins(page.after(), limit + 1)?;
    Ok(Json(List::page(plugins, limit, |plugin: &PluginRecord| {
        plugin.name.clone()
    })))
}

/// What an upload is called.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Upload {
    /// The name by which pipes use it: 1 to 64 letters, digits, `-` or `_`.
    #[param(max_length = 64)]
    name: String,
}

/// Upload a plugin.
///
/// The body is the component. One of the same name is replaced: pipes that use it go on with the one that they were loaded with until their next resync.
#[utoipa::path(post, path = "/v1/plugins", tag = "plugins", params(Upload),
    request_body(content = Vec<u8>, content_type = "application/wasm"), responses((status = 201, body = PluginDetail), Refusals))]
pub(super) async fn upload(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    QueryOf(upload): QueryOf<Upload>,
    request: Request,
) -> Result<(StatusCode, Json<PluginDetail>), Problem> {
    let sent = body::upload(&service, body::WASM, request).await?;
    let plugin = service.upload_plugin(&caller, &upload.name, sent).await?;
    Ok((StatusCode::CREATED, Json(plugin)))
}

/// A plugin, and what it says of itself.
#[utoipa::path(get, path = "/v1/plugins/{plugin}", tag = "plugins", params(("plugin" = String, Path, description = "The plugin's name")),
    responses((status = 200, body = PluginDetail), Refusals))]
pub(super) async fn inspect(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    PathOf(name): PathOf<String>,
) -> Result<Json<PluginDetail>, Problem> {
    Ok(Json(service.inspect_plugin(&caller, &name).await?))
}

/// Remove a plugin that no pipe uses.
#[utoipa::path(delete, path = "/v1/plugins/{plugin}", tag = "plugins", params(("plugin" = String, Path, description = "The plugin's name")),
    responses((status = 204), Refusals))]
pub(super) async fn remove(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    PathOf(name): PathOf<String>,
) -> Result<StatusCode, Problem> {
    service.remove_plugin(&caller, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
