//! Files that a pipe's settings name: reference tables of its transforms, the certificate authority of its source.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;

use super::{List, Page, PathOf, QueryOf, Refusals, body};
use crate::service::Service;
use crate::service::auth::{Operator, Viewer};
use crate::service::problem::Problem;
use crate::service::store::FileRecord;

/// The files that were uploaded for a pipe, by name.
#[utoipa::path(get, path = "/v1/pipes/{pipe}/files", tag = "pipes",
    params(("pipe" = String, Path, description = "The pipe's name"), Page), responses((status = 200, body = List<FileRecord>), Refusals))]
pub(super) async fn list(
    State(service): State<Arc<Service>>,
    Viewer(caller): Viewer,
    PathOf(pipe): PathOf<String>,
    QueryOf(page): QueryOf<Page>,
) -> Result<Json<List<FileRecord>>, Problem> {
    service.pipe_record(&caller, &pipe)?;
    let limit = page.limit()?;
    let store = caller.store(&service);
    let files = store.files(&pipe, page.after(), limit + 1)?;
    Ok(Json(List::page(files, limit, |file: &FileRecord| {
        file.name.clone()
    })))
}

/// Upload a file for a pipe.
///
/// The settings name it with `files/` before its name, as the `file` of a transform's `tables` or as the source's `ca`. One of the same name is replaced: a
/// load keeps what it was begun with, the next resync takes up what is there then.
#[utoipa::path(put, path = "/v1/pipes/{pipe}/files/{name}", tag = "pipes",
    params(("pipe" = String, Path, description = "The pipe's name"),
        ("name" = String, Path, description = "The file's name: 1 to 100 letters, digits, `-`, `_` or `.`, the first of them no dot")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"), responses((status = 200, body = FileRecord), Refusals))]
pub(super) async fn put(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    PathOf((pipe, name)): PathOf<(String, String)>,
    request: Request,
) -> Result<Json<FileRecord>, Problem> {
    service.pipe_record(&caller, &pipe)?;
    let sent = body::upload(&service, body::FILE, request).await?;
    let kept = service.put_file(&caller, &pipe, &name, sent).await?;
    Ok(Json(kept))
}

/// Remove a file that the pipe's settings don't name.
#[utoipa::path(delete, path = "/v1/pipes/{pipe}/files/{name}", tag = "pipes",
    params(("pipe" = String, Path, description = "The pipe's name"), ("name" = String, Path, description = "The file's name")),
    responses((status = 204), Refusals))]
pub(super) async fn remove(
    State(service): State<Arc<Service>>,
    Operator(caller): Operator,
    PathOf((pipe, name)): PathOf<(String, String)>,
) -> Result<StatusCode, Problem> {
    service.remove_file(&caller, &pipe, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
