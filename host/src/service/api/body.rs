//! What a request brings: extractors whose refusals are problem documents.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::{Json, body::Bytes};
use serde::de::DeserializeOwned;

use crate::service::Service;
use crate::service::pipes::Sent;
use crate::service::problem::Problem;
use crate::service::uploads::Uploaded;

/// A body of JSON.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Service>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, service: &Arc<Service>) -> Result<Self, Problem> {
        let read = Json::<T>::from_request(request, service).await;
        match read {
            Ok(Json(value)) => Ok(Self(value)),
            Err(refused) => Err(Problem::new(refused.status(), "body", refused.body_text())),
        }
    }
}

/// The parts of a path.
pub(super) struct PathOf<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Service>> for PathOf<T> {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        service: &Arc<Service>,
    ) -> Result<Self, Problem> {
        match Path::<T>::from_request_parts(parts, service).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(refused) => Err(Problem::new(
                StatusCode::NOT_FOUND,
                "not_found",
                refused.body_text(),
            )),
        }
    }
}

/// The parameters behind a `?`.
pub(super) struct QueryOf<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Service>> for QueryOf<T> {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        service: &Arc<Service>,
    ) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, service).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(refused) => Err(Problem::unusable(refused.body_text())),
        }
    }
}

/// The type of a request's body, without its parameters.
fn content_type(request: &Request) -> String {
    let value = request.headers().get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = value.split(';').next().unwrap_or("");
    kind.trim().to_ascii_lowercase()
}

/// The bytes of a body.
async fn bytes(request: Request) -> Result<Bytes, Problem> {
    let read = Bytes::from_request(request, &()).await;
    read.map_err(|refused| Problem::new(refused.status(), "body", refused.body_text()))
}

/// The type of a plugin that is uploaded.
pub(super) const WASM: &str = "application/wasm";
/// The type of a file that is uploaded.
pub(super) const FILE: &str = "application/octet-stream";

/// Whether a request brings a file, which may be larger than another request.
pub(super) fn is_upload(request: &Request) -> bool {
    matches!(content_type(request).as_str(), WASM | FILE)
}

/// The bytes of a file of this type.
pub(super) async fn upload(
    service: &Service,
    kind: &str,
    mut request: Request,
) -> Result<Uploaded, Problem> {
    if content_type(&request) != kind {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "body",
            format!("what is uploaded here is sent as {kind}"),
        ));
    }
    DefaultBodyLimit::max(service.largest_upload()).apply(&mut request);
    let turn = request.extensions_mut().remove();
    let bytes = bytes(request).await?;
    Ok(Uploaded { bytes, _turn: turn })
}

/// The settings of a pipe.
impl FromRequest<Arc<Service>> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Service>) -> Result<Self, Problem> {
        let kind = content_type(&request);
        let unreadable = |error: &dyn std::fmt::Display| {
            Problem::new(StatusCode::BAD_REQUEST, "body", error.to_string())
        };
        match kind.as_str() {
            "application/toml" => {
                let text = String::from_utf8(bytes(request).await?.to_vec());
                Ok(Self::Toml(text.map_err(|error| unreadable(&error))?))
            }
            "application/json" => {
                let settings = serde_json::from_slice(&bytes(request).await?);
                Ok(Self::Json(settings.map_err(|error| unreadable(&error))?))
            }
            _ => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "body",
                "a pipe's settings are sent as application/toml or application/json",
            )),
        }
    }
}
