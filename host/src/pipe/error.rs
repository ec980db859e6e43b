//! Errors of the pipe file: what is wrong, in which file, line and key, and what to do.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// A place in a pipe file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Location {
    /// The pipe file.
    pub file: PathBuf,
    /// The line, from 1; none if the key isn't in the file.
    pub line: Option<usize>,
    /// The column, from 1, in characters.
    pub column: Option<usize>,
    /// The key, as in `table[0].transform[1].config.where`.
    pub key: Option<String>,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        match &self.key {
            Some(key) => write!(f, ": `{key}`"),
            None => Ok(()),
        }
    }
}

/// A pipe file that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PipeError {
    /// The file can't be read.
    #[error("the pipe file {path} can't be read: {cause}; write one with `tidemill init`", path = path.display())]
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
}

impl PipeError {
    /// Where the error is, if it is at a place in the file.
    pub fn location(&self) -> Option<&Location> {
        match self {
            Self::Unreadable { .. } => None,
            Self::Invalid { location, .. } => Some(location),
        }
    }
}
