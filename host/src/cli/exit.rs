//! Exit codes, and what ends a command.

use std::process::ExitCode;

use crate::lifecycle::{Error, ErrorClass};
use crate::pipe::{Location, PipeError};
use crate::policy::PolicyError;
use crate::registry::RegistryError;
use crate::transform::TransformError;

/// The exit codes, as `tidemill --help` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// Done.
    Ok = 0,
    /// A fault of Tidemill.
    Internal = 1,
    /// The command line.
    Usage = 2,
    /// The pipe file.
    Configuration = 3,
    /// MySQL or MariaDB.
    Source = 4,
    /// A plugin.
    Plugin = 5,
    /// The copy could not be proved.
    Verification = 6,
    /// ClickHouse.
    Destination = 7,
    /// A table waits for `approve`.
    NeedsApproval = 8,
    /// The pipe's state: another resync, nothing to do.
    State = 9,
    /// Paused before its end.
    Paused = 10,
    /// `check` or `plan` found what a resync would be refused for.
    Found = 11,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error, as a person and a script are told it.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) location: Option<Location>,
    pub(super) suggestion: Option<String>,
}

impl Failure {
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            code: "usage".to_owned(),
            message: message.into(),
            location: None,
            suggestion: None,
        }
    }

    pub(super) fn internal(cause: &dyn std::fmt::Display) -> Self {
        Self {
            exit: Exit::Internal,
            code: "internal".to_owned(),
            message: cause.to_string(),
            location: None,
            suggestion: None,
        }
    }
}

impl From<crate::kit::Error> for Failure {
    fn from(error: crate::kit::Error) -> Self {
        match error {
            crate::kit::Error::Transform(cause) => cause.into(),
            error => Self {
                exit: Exit::Plugin,
                code: "plugin".to_owned(),
                message: error.to_string(),
                location: None,
                suggestion: None,
            },
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match error.class() {
            ErrorClass::Usage => Exit::Usage,
            ErrorClass::Configuration => Exit::Configuration,
            ErrorClass::Source => Exit::Source,
            ErrorClass::Plugin => Exit::Plugin,
            ErrorClass::Verification => Exit::Verification,
            ErrorClass::Destination => Exit::Destination,
            ErrorClass::State => Exit::State,
            ErrorClass::Internal => Exit::Internal,
        };
        Self {
            exit,
            code: error.code().to_owned(),
            message: error.to_string(),
            location: error.location().cloned(),
            suggestion: error.suggestion(),
        }
    }
}

impl From<PipeError> for Failure {
    fn from(error: PipeError) -> Self {
        Error::from(error).into()
    }
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        Error::from(error).into()
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        Error::from(error).into()
    }
}

impl From<TransformError> for Failure {
    fn from(error: TransformError) -> Self {
        Error::from(error).into()
    }
}
