//! A pipe's Settings: the settings themselves, its secrets, and what is done to the pipe as a whole: resync, rollback, delete.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

use super::fields::{Asked, Fields, Upload};
use super::{Confirm, Frame, Head, Page, show, words};
use crate::lifecycle::report::{Plan, Status};
use crate::service::Service;
use crate::service::auth::{Caller, Operator, Viewer};
use crate::service::pipes::Sent;
use crate::service::problem::Problem;
use crate::service::store::FileRecord;

/// Files that are shown.
const FILES: usize = 500;

#[derive(Template)]
#[template(path = "settings.html")]
struct Settings {
    frame: Frame,
    page: Head,
    toml: String,
    secrets: Vec<String>,
    files: Vec<FileRecord>,
    status: Status,
    /// Why what was sent can't be used.
    refused: Option<Problem>,
}

pub(super) async fn page(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    Path(name): Path<String>,
    Asked(query): Asked,
) -> Page {
    let made = move |service: &Arc<Service>, caller: &Caller| {
        show(&Settings::new(service, caller, &name, &query)?)
    };
    service.on_disk(&caller, made).await
}

impl Settings {
    fn new(
        service: &Service,
        caller: &Caller,
        name: &str,
        query: &Fields,
    ) -> Result<Self, Problem> {
        let (frame, page) = Head::new(service, caller, name, "settings", query)?;
        let (id, pipe) = service.pipe_of(caller, name)?;
        Ok(Self {
            toml: service.toml(&id)?,
            secrets: caller.store(service).secret_names(name)?,
            files: caller.store(service).files(name, "", FILES)?,
            status: service.status_of(&id, &pipe)?,
            refused: None,
            frame,
            page,
        })
    }
}

/// Changes the settings.
pub(super) async fn change(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    Path(name): Path<String>,
    fields: Fields,
) -> Page {
    let _turn = service.supervisor.turn(&caller.pipe(&name)).await;
    let changed = move |service: &Arc<Service>, caller: &Caller| {
        // A browser ends lines as typewriters did.
        let toml = fields.get("toml").unwrap_or_default().replace("\r\n", "\n");
        let refused = match service.change_pipe(caller, &name, Sent::Toml(toml.clone())) {
            Ok(_) => {
                let saved = format!("/pipes/{name}/settings?done=saved");
                return Ok(Redirect::to(&saved).into_response());
            }
            Err(refused) => refused,
        };
        if refused.status != StatusCode::UNPROCESSABLE_ENTITY.as_u16() {
            return Err(refused);
        }
        let mut answer = show(&Settings {
            toml: without_passwords(&toml),
            refused: Some(refused),
            ..Settings::new(service, caller, &name, &Fields::default())?
        })?;
        *answer.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        Ok(answer)
    };
    service.on_disk(&caller, changed).await
}

/// What was typed, without the passwords in it: they are in no page.
fn without_passwords(toml: &str) -> String {
    let mut in_secrets = false;
    let line = |line: &str| {
        let start = line.trim_start();
        if start.starts_with('[') {
            in_secrets = start.starts_with("[secrets");
        }
        let key = start.split_once('=').map(|(key, _)| key.trim());
        match key {
            Some(key) if in_secrets || key.trim_matches('"') == "password" => {
                format!("{key} = \"\"  # to be given again")
            }
            _ => line.to_owned(),
        }
    };
    toml.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Sets a secret.
pub(super) async fn put_secret(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    Path(pipe): Path<String>,
    fields: Fields,
) -> Page {
    service.pipe_record(&caller, &pipe)?;
    let name = fields.needed("name")?.to_owned();
    let value = fields.secret("value");
    let value = value.ok_or_else(|| Problem::unusable("the secret has no value"))?;
    service.put_secrets(&caller.pipe(&pipe), &BTreeMap::from([(name, value)]))?;
    Ok(Redirect::to(&format!("/pipes/{pipe}/settings?done=secret")).into_response())
}

/// Removes a secret.
pub(super) async fn remove_secret(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    Path(pipe): Path<String>,
    fields: Fields,
) -> Page {
    service.pipe_record(&caller, &pipe)?;
    let name = fields.needed("name")?;
    match caller.store(&service).remove_secret(&pipe, name)? {
        true => Ok(
            Redirect::to(&format!("/pipes/{pipe}/settings?done=secret-removed")).into_response(),
        ),
        false => Err(Problem::not_found("secret", name)),
    }
}

/// Keeps a file.
pub(super) async fn put_file(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    Path(pipe): Path<String>,
    sent: Upload,
) -> Page {
    let name = sent.name.unwrap_or(sent.file_name);
    service.put_file(&caller, &pipe, &name, sent.sent).await?;
    Ok(Redirect::to(&format!("/pipes/{pipe}/settings?done=file")).into_response())
}

/// Removes a file.
pub(super) async fn remove_file(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    Path(pipe): Path<String>,
    fields: Fields,
) -> Page {
    let name = fields.needed("name")?;
    service.remove_file(&caller, &pipe, name).await?;
    Ok(Redirect::to(&format!("/pipes/{pipe}/settings?done=file-removed")).into_response())
}

#[derive(Template)]
#[template(path = "resync.html")]
struct Resync {
    frame: Frame,
    page: Head,
    plan: Plan,
    has_errors: bool,
}

/// What a resync would do, and the question whether it is to be done.
pub(super) async fn resync(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    Path(name): Path<String>,
    Asked(query): Asked,
) -> Page {
    let (frame, page) = Head::new(&service, &caller, &name, "settings", &query)?;
    let plan = service.plan(&caller, &name, Vec::new()).await?;
    show(&Resync {
        has_errors: words::has_errors(&plan),
        plan,
        frame,
        page,
    })
}

/// Asks before a rollback.
pub(super) async fn rollback(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    Path(name): Path<String>,
) -> Page {
    let asked = name.clone();
    let read = move |service: &Arc<Service>, caller: &Caller| {
        let (id, pipe) = service.pipe_of(caller, &asked)?;
        service.status_of(&id, &pipe)
    };
    let status = service.on_disk(&caller, read).await?;
    let tables: Vec<&str> = status
        .rollback
        .iter()
        .map(|(table, _)| table.as_str())
        .collect();
    if tables.is_empty() {
        return Err(Problem::conflict(
            "no table from before the last resync is kept any more",
        ));
    }
    show(&Confirm {
        frame: Frame::new(&caller, "pipes"),
        title: format!("Roll {name} back"),
        text: format!(
            "The tables from before the last resync take the place of the present ones: {}. A resync makes the present ones again.",
            tables.join(", ")
        ),
        button: "Roll back",
        action: format!("/pipes/{name}/state"),
        hidden: vec![("state", "rollback".to_owned())],
        back: format!("/pipes/{name}/settings"),
    })
}

/// Asks before a pipe is deleted.
pub(super) async fn delete(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    Path(name): Path<String>,
) -> Page {
    service.pipe_record(&caller, &name)?;
    show(&Confirm {
        frame: Frame::new(&caller, "pipes"),
        title: format!("Delete {name}"),
        text: "The pipe is stopped and removed with its settings, its secrets and its history, and with it the way to a rollback. Its tables in the destination stay as they are; those of an embedded ClickHouse go.".to_owned(),
        button: "Delete the pipe",
        action: format!("/pipes/{name}/delete"),
        hidden: Vec::new(),
        back: format!("/pipes/{name}/settings"),
    })
}

/// Deletes a pipe.
pub(super) async fn remove(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    Path(name): Path<String>,
) -> Page {
    service.remove_pipe(&caller, &name).await?;
    Ok(Redirect::to("/?done=deleted").into_response())
}

#[cfg(test)]
mod tests {
    use super::without_passwords;

    #[test]
    fn settings_that_are_refused_come_back_without_their_passwords() {
        let typed = "name = \"a\"\n[source]\npassword = \"hunter2\"\nuser = \"u\"\n[secrets]\nkey = \"hunter3\"\n[swap]\nkeep_old = \"7d\"";
        let shown = without_passwords(typed);
        assert!(!shown.contains("hunter"), "{shown}");
        assert!(
            shown.contains("user = \"u\"") && shown.contains("keep_old = \"7d\""),
            "{shown}"
        );
        assert_eq!(shown.lines().count(), typed.lines().count());
    }
}
