//! What can go wrong in the kit.

use std::io;
use std::path::PathBuf;

use super::build::BuildError;
use super::project::FILE;
use crate::rows::RowsError;
use crate::transform::TransformError;

/// Why the kit could not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A folder is no plugin's.
    #[error(
        "`{}` is no plugin's folder: it has neither `{FILE}` nor `Cargo.toml`; `tidemill plugin new NAME --language rust|python|javascript|typescript|c` makes one",
        .folder.display()
    )]
    NoProject {
        /// The folder.
        folder: PathBuf,
    },
    /// The project's file is wrong.
    #[error("`{}`: {reason}", .path.display())]
    Project {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is no component yet.
    #[error(
        "`{}` is not there: the plugin isn't built yet, and nothing is built to be looked at; `tidemill plugin build` builds it",
        .component.display()
    )]
    NotBuilt {
        /// The component's file.
        component: PathBuf,
    },
    /// A new project can't be made.
    #[error("{0}")]
    New(String),
    /// The plugin has no test of this kind, and one is needed.
    #[error("{0}")]
    NoRows(String),
    /// A file of rows.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The build.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The plugin.
    #[error(transparent)]
    Transform(#[from] TransformError),
    /// A file could not be read or written.
    #[error("`{}`: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The folder can't be watched.
    #[error("`{}` can't be watched: {reason}", .folder.display())]
    Watch {
        /// The folder.
        folder: PathBuf,
        /// Why.
        reason: String,
    },
}
