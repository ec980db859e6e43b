//! Plugins of the tenant's own: listed, uploaded, looked at, deleted.

use std::sync::Arc;

use askama::Template;
use axum::extract::{DefaultBodyLimit, FromRequest};
use axum::extract::{Multipart, Path, Request, State};
use axum::response::{IntoResponse, Redirect};

use super::fields::Asked;
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
    mut request: Request,
) -> Page {
    let unusable = |error: axum::extract::multipart::MultipartError| {
        Problem::new(error.status(), "body", error.body_text())
    };
    // How large it may be was looked at before.
    DefaultBodyLimit::disable().apply(&mut request);
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|error| Problem::new(error.status(), "body", error.body_text()))?;
    let (mut name, mut file) = (String::new(), None);
    while let Some(field) = form.next_field().await.map_err(unusable)? {
        match field.name() {
            Some("name") => name = field.text().await.map_err(unusable)?.trim().to_owned(),
            Some("file") => {
                let of_file = field.file_name().unwrap_or_default();
                let of_file = of_file.trim_end_matches(".wasm").to_owned();
                let bytes = field.bytes().await.map_err(unusable)?;
                file = Some((of_file, bytes)).filter(|(_, bytes)| !bytes.is_empty());
            }
            _ => {}
        }
    }
    let (of_file, bytes) = file.ok_or_else(|| Problem::unusable("no file was chosen"))?;
    let name = if name.is_empty() { of_file } else { name };
    service.upload_plugin(&caller, &name, bytes).await?;
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
    service.remove_plugin(&caller, &name)?;
    Ok(Redirect::to("/plugins?done=plugin-deleted").into_response())
}
