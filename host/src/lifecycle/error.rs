//! What can end a run of the lifecycle: the rooms' own errors with the place in the pipe file, and what only the lifecycle knows.

use serde::Serialize;

use crate::destination::DestinationError;
use crate::journal::{JournalError, Phase};
use crate::pipe::{Location, PipeError};
use crate::policy::PolicyError;
use crate::registry::RegistryError;
use crate::source::SourceError;
use crate::transform::TransformError;

/// Whose matter an error is; the command line has an exit code for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The command was not right for the pipe.
    Usage,
    /// The pipe file.
    Configuration,
    /// MySQL or MariaDB.
    Source,
    /// A plugin.
    Plugin,
    /// The copy could not be proved.
    Verification,
    /// ClickHouse.
    Destination,
    /// The pipe's state: its lock, its journal, another resync.
    State,
    /// Tidemill itself.
    Internal,
}

impl ErrorClass {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Configuration => "configuration",
            Self::Source => "source",
            Self::Plugin => "plugin",
            Self::Verification => "verification",
            Self::Destination => "destination",
            Self::State => "state",
            Self::Internal => "internal",
        }
    }
}

/// Why a run ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pipe file is wrong.
    #[error(transparent)]
    Pipe(#[from] PipeError),
    /// The source failed.
    #[error("{}{cause}", at(.location))]
    Source {
        /// The key that is about it, where there is one.
        location: Option<Location>,
        /// Why.
        cause: SourceError,
    },
    /// A plugin failed or was refused.
    #[error("{}{cause}", at(.location))]
    Transform {
        /// The key that is about it, where there is one.
        location: Option<Location>,
        /// Why.
        cause: TransformError,
    },
    /// The operator's policy can't be used, or forbids something.
    #[error("{}{cause}", at(.location))]
    Policy {
        /// The key that is about it, where there is one.
        location: Option<Location>,
        /// Why.
        cause: PolicyError,
    },
    /// A plugin could not be had from where the pipe says.
    #[error("{}{cause}", at(.location))]
    Registry {
        /// The key that is about it, where there is one.
        location: Option<Location>,
        /// Why.
        cause: RegistryError,
    },
    /// The destination failed.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// The journal failed, or the pipe is locked.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A plugin rejected a row, and rejected rows stop the resync.
    #[error("plugin `{plugin}` rejected a row of {table} in chunk {chunk} (key {key}): {reason}")]
    Rejected {
        /// The plugin.
        plugin: String,
        /// The source table.
        table: String,
        /// The chunk's number.
        chunk: u32,
        /// The row's key.
        key: String,
        /// The plugin's reason.
        reason: String,
    },
    /// A plugin rejected a row of a change, and rejected rows stop their table.
    #[error("plugin `{plugin}` rejected a changed row of {table} {place} (key {key}): {reason}")]
    RejectedChange {
        /// The plugin.
        plugin: String,
        /// The source table.
        table: String,
        /// Where in the binlog.
        place: String,
        /// The row's key.
        key: String,
        /// The plugin's reason.
        reason: String,
    },
    /// The copy of a table could not be proved.
    #[error("the copy of {table} is not proved: {reason}; the original is untouched")]
    Verification {
        /// The source table.
        table: String,
        /// What differs.
        reason: String,
    },
    /// A resync is under way or unfinished.
    #[error("resync {id} of this pipe is not finished (phase {phase})")]
    Unfinished {
        /// The resync.
        id: String,
        /// Its phase.
        phase: Phase,
        /// Whether a process is at work on it.
        active: bool,
    },
    /// There is nothing that the command could work on.
    #[error("{reason}")]
    Nothing {
        /// Why.
        reason: String,
        /// What to do.
        suggestion: String,
    },
    /// A worker ended without a word.
    #[error("a worker ended unexpectedly: {0}; this is a fault of Tidemill, nothing was swapped")]
    Worker(String),
}

/// The place before the message.
fn at(location: &Option<Location>) -> String {
    location
        .as_ref()
        .map(|location| format!("{location}: "))
        .unwrap_or_default()
}

impl From<SourceError> for Error {
    fn from(cause: SourceError) -> Self {
        Self::Source {
            location: None,
            cause,
        }
    }
}

impl From<TransformError> for Error {
    fn from(cause: TransformError) -> Self {
        Self::Transform {
            location: None,
            cause,
        }
    }
}

impl From<PolicyError> for Error {
    fn from(cause: PolicyError) -> Self {
        Self::Policy {
            location: None,
            cause,
        }
    }
}

impl From<RegistryError> for Error {
    fn from(cause: RegistryError) -> Self {
        match cause {
            RegistryError::Policy(cause) => cause.into(),
            cause => Self::Registry {
                location: None,
                cause,
            },
        }
    }
}

impl Error {
    /// The same, at a key of the pipe file, if it is about a plugin that stands there.
    #[must_use]
    pub(super) fn at_plugin(mut self, place: Location) -> Self {
        if let Self::Transform { location, .. }
        | Self::Policy { location, .. }
        | Self::Registry { location, .. } = &mut self
        {
            *location = Some(place);
        }
        self
    }

    /// Whose matter it is.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Pipe(_) => ErrorClass::Configuration,
            Self::Source { .. } => ErrorClass::Source,
            Self::Policy {
                cause: PolicyError::Unreadable { .. } | PolicyError::Invalid { .. },
                ..
            } => ErrorClass::Configuration,
            Self::Transform { .. }
            | Self::Policy { .. }
            | Self::Registry { .. }
            | Self::Rejected { .. }
            | Self::RejectedChange { .. } => ErrorClass::Plugin,
            Self::Destination(_) => ErrorClass::Destination,
            Self::Verification { .. } => ErrorClass::Verification,
            Self::Journal(_) | Self::Unfinished { .. } | Self::Nothing { .. } => ErrorClass::State,
            Self::Worker(_) => ErrorClass::Internal,
        }
    }

    /// Whether it may pass by itself: a server that can't be reached, a connection that was lost.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Source { cause, .. } => cause.is_transient(),
            Self::Destination(cause) => cause.is_transient(),
            _ => false,
        }
    }

    /// A name for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Pipe(_) => "pipe",
            Self::Source { .. } => "source",
            Self::Transform { .. } => "transform",
            Self::Policy { .. } => "policy",
            Self::Registry { .. } => "registry",
            Self::Rejected { .. } | Self::RejectedChange { .. } => "rejected_row",
            Self::Destination(_) => "destination",
            Self::Verification { .. } => "verification",
            Self::Journal(JournalError::Locked { .. }) => "locked",
            Self::Journal(_) => "journal",
            Self::Unfinished { .. } => "unfinished",
            Self::Nothing { .. } => "nothing_to_do",
            Self::Worker(_) => "internal",
        }
    }

    /// Where in the pipe file it is, if it is there.
    pub fn location(&self) -> Option<&Location> {
        match self {
            Self::Pipe(error) => error.location(),
            Self::Policy { location, cause } => cause.location().or(location.as_ref()),
            Self::Source { location, .. }
            | Self::Transform { location, .. }
            | Self::Registry { location, .. } => location.as_ref(),
            _ => None,
        }
    }

    /// What to do, where the message doesn't say it.
    pub fn suggestion(&self) -> Option<String> {
        match self {
            Self::Unfinished { active: true, .. } => {
                Some("watch it with `tidemill status`, stop it with `tidemill pause`".to_owned())
            }
            Self::Unfinished { active: false, .. } => {
                Some("go on with `tidemill resume`, or give it up with `tidemill abort`".to_owned())
            }
            Self::Nothing { suggestion, .. } => Some(suggestion.clone()),
            Self::Rejected { .. } => Some("change the row or the transform, then `tidemill resume`".to_owned()),
            Self::Verification { .. } => {
                Some("look at `tidemill tables`; `tidemill abort` drops the copy, `tidemill resume` verifies again".to_owned())
            }
            _ => None,
        }
    }
}
