//! Errors of the API, as problem documents (RFC 9457): what happened, where, and what to do.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::store::StoreError;
use super::vault::VaultError;
use crate::lifecycle::{Error, ErrorClass};
use crate::pipe::{Location, PipeError};
use crate::policy::PolicyError;
use crate::transform::TransformError;

/// The type of a problem document's body.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// A problem document.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The kind of problem, as an address within this service's documentation.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem, in words.
    pub title: String,
    /// The answer's status.
    pub status: u16,
    /// What happened.
    pub detail: String,
    /// A name for scripts.
    pub code: String,
    /// Whose matter it is: `usage`, `configuration`, `source`, `plugin`, `verification`, `destination`, `state` or `internal`.
    pub class: String,
    /// What to do, where the detail doesn't say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// Where in the pipe's settings it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// A place in a pipe's settings.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Place {
    /// The line of the TOML text, from 1.
    pub line: Option<usize>,
    /// The column, from 1.
    pub column: Option<usize>,
    /// The key: `table[0].transform[1].config.where`.
    pub key: Option<String>,
}

impl From<&Location> for Place {
    fn from(location: &Location) -> Self {
        Self {
            line: location.line,
            column: location.column,
            key: location.key.clone(),
        }
    }
}

impl Problem {
    /// A problem of this status.
    pub(super) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        let class = match status {
            StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE => "state",
            _ if status.is_server_error() => "internal",
            _ => "usage",
        };
        Self {
            kind: format!("/docs#problem-{}", code.replace('_', "-")),
            title: status.canonical_reason().unwrap_or("Problem").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.to_owned(),
            class: class.to_owned(),
            suggestion: None,
            place: None,
        }
    }

    /// With what to do.
    #[must_use]
    pub(super) fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }

    /// There is no such thing, or it is another tenant's: the two look the same.
    pub(super) fn not_found(what: &str, name: &str) -> Self {
        let detail = format!("there is no {what} `{name}`");
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// It isn't possible as things are.
    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "nothing_to_do", detail)
    }

    /// What was sent can't be used.
    pub(super) fn unusable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
    }

    /// A quota is used up.
    pub(super) fn quota(detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::FORBIDDEN, "quota", detail);
        problem.suggest("let the operator raise the quota, or make room")
    }

    /// Takes the paths of the service's own folders out: they tell a tenant about the machine, and nothing of use.
    #[must_use]
    pub(super) fn without_path(mut self, folder: &std::path::Path) -> Self {
        let texts = [Some(&mut self.detail), self.suggestion.as_mut()];
        for text in texts.into_iter().flatten() {
            *text = without_path(text, folder);
        }
        self
    }
}

/// A text without the paths of a folder of the service's.
pub(super) fn without_path(text: &str, folder: &std::path::Path) -> String {
    let folder = folder.display().to_string();
    text.replace(&format!("{folder}/"), "")
        .replace(&folder, "the pipe's folder")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&self)).into_response();
        let problem = HeaderValue::from_static(PROBLEM_JSON);
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        // Pages show it in their own way.
        response.extensions_mut().insert(self);
        if status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match error.class() {
            ErrorClass::Usage | ErrorClass::Configuration | ErrorClass::Plugin => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            // Its servers are the pipe's matter, not the service's: a gateway's answer would be taken for the service's own.
            ErrorClass::Source | ErrorClass::Destination => StatusCode::FAILED_DEPENDENCY,
            ErrorClass::Verification | ErrorClass::State => StatusCode::CONFLICT,
            ErrorClass::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut problem = Self::new(status, error.code(), error.to_string());
        error.class().name().clone_into(&mut problem.class);
        problem.suggestion = error.suggestion();
        problem.place = error.location().map(Into::into);
        problem
    }
}

impl From<PipeError> for Problem {
    fn from(error: PipeError) -> Self {
        Error::from(error).into()
    }
}

impl From<TransformError> for Problem {
    fn from(error: TransformError) -> Self {
        Error::from(error).into()
    }
}

impl From<PolicyError> for Problem {
    fn from(error: PolicyError) -> Self {
        Error::from(error).into()
    }
}

/// A fault of the service itself: what it is stands in its log, not in the answer.
fn internal(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "a request failed");
    let detail = "the service has failed; its operator finds why in its log, by the request's id";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        internal(&error)
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        internal(&error)
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        internal(&error)
    }
}
