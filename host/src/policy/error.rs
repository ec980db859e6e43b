//! What is wrong with a policy, and what one forbids.

use std::path::PathBuf;

use crate::pipe::Location;

/// A policy that can't be used, or that forbids something.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file can't be read.
    #[error("the operator's policy {path} can't be read: {cause}; without its policy Tidemill runs no plugin", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// A key or its value is wrong.
    #[error("{location}: {reason}")]
    Invalid {
        /// Where.
        location: Location,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The policy is in order, and forbids something.
    #[error("{policy} forbids it: {what}; {remedy}")]
    Forbidden {
        /// Which policy.
        policy: String,
        /// What it forbids.
        what: String,
        /// What to do.
        remedy: String,
    },
}

impl PolicyError {
    /// Where the error is, if it is at a place in the policy's file.
    pub fn location(&self) -> Option<&Location> {
        match self {
            Self::Invalid { location, .. } => Some(location),
            Self::Unreadable { .. } | Self::Forbidden { .. } => None,
        }
    }
}
