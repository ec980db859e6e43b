//! What a room found while it was looking at a pipe.

use serde::{Deserialize, Serialize};

/// How bad a finding is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// It works, with the loss that the message names.
    Warning,
    /// It can't work.
    Error,
}

/// Something that `check` or `plan` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: `source`, `destination`, a table, a plugin.
    pub subject: String,
    /// What was found and what to do.
    pub message: String,
}

impl Finding {
    /// A finding about `subject`.
    pub fn new(severity: Severity, subject: impl ToString, message: impl Into<String>) -> Self {
        Self {
            severity,
            subject: subject.to_string(),
            message: message.into(),
        }
    }
}
