//! Plugins of the tenant's own: listed, uploaded, looked at, deleted.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};

use super::fields::{Asked, Upload};
use super::{Confirm, Frame, Page, show, words};
use crate::service::Service;
use crate::service::api::PluginDetail;
use crate::service::auth::{Operator, Viewer};
use crate::service::problem::Problem;
use crate::service::store::PluginRecord;

/// Plugins of a page.
const PLUGINS: usize = 100;

#[derive(Template)]
#[template(path = "plugins.html")]
struct Plugins {
    frame: Frame,
    plugins: Vec<PluginRecord>,
    next: Option<String>,
    largest: u64,
}

pub(super) async fn list(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    Asked(query): Asked,
) -> Page {
    let after = query.get("after").unwrap_or_default();
    let mut plugins = caller.store(&service).plugins(after, PLUGINS + 1)?;
    let more = plugins.len() > PLUGINS;
    plugins.truncate(PLUGINS);
    show(&Plugins {
        frame: Frame::new(&caller, "plugins").done(&query),
        next: plugins
            .last()
            .filter(|_| more)
            .map(|plugin| plugin.name.clone()),
        plugins,
        largest: service.environment.policy().max_size(),
    })
}

#[derive(Template)]
#[template(path = "plugin.html")]
struct PluginPage {
    frame: Frame,
    plugin: PluginDetail,
    schema: String,
}

pub(super) async fn inspect(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    Path(name): Path<String>,
    Asked(query): Asked,
) -> Page {
    let plugin = service.inspect_plugin(&caller, &name).await?;
    show(&PluginPage {
        frame: Frame::new(&caller, "plugins").done(&query),
        schema: serde_json::to_string_pretty(&plugin.config_schema).unwrap_or_default(),
        plugin,
    })
}

/// Keeps a plugin.
pub(super) async fn upload(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    sent: Upload,
) -> Page {
    let of_file = sent.file_name.trim_end_matches(".wasm").to_owned();
    let name = sent.name.unwrap_or(of_file);
    service.upload_plugin(&caller, &name, sent.sent).await?;
    Ok(Redirect::to(&format!("/plugins/{name}?done=uploaded")).into_response())
}

/// Asks before a plugin is deleted.
pub(super) async fn delete(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    Path(name): Path<String>,
) -> Page {
    let found = caller.store(&service).plugin(&name)?;
    found.ok_or_else(|| Problem::not_found("plugin", &name))?;
    show(&Confirm {
        frame: Frame::new(&caller, "plugins"),
        title: format!("Delete the plugin {name}"),
        text: "Its file is removed. Pipes that were loaded with it keep their own copies until their next resync.".to_owned(),
        button: "Delete the plugin",
        action: format!("/plugins/{name}/delete"),
        hidden: Vec::new(),
        back: format!("/plugins/{name}"),
    })
}

/// Deletes a plugin that no pipe uses.
pub(super) async fn remove(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    Path(name): Path<String>,
) -> Page {
    service.remove_plugin(&caller, &name).await?;
    Ok(Redirect::to("/plugins?done=plugin-deleted").into_response())
}
