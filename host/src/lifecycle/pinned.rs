//! What a load was made with, kept beside the journal: the pipe file without its secrets, and the plugins' files by their digests. Changes
//! go through the same transforms as the load, whatever becomes of the files that the pipe names.
//!
//! ```text
//! <state>/pinned/<resync>.toml         mode 0600: a transform's configuration may hold a key
//! <state>/pinned/plugins/<digest>.wasm
//! ```

use std::io::Write;
use std::path::{Path, PathBuf};

use super::binding::BoundTable;
use super::error::Error;
use super::session::Session;
use crate::destination::Zones;
use crate::journal::{JournalError, PinnedPlugin};
use crate::pipe::{Pipe, TableMapping};
use crate::schema::{SourceTable, TableName};
use crate::transform::resolve;

/// The pipe of a load.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) pipe: Pipe,
    state: PathBuf,
}

fn folder(state: &Path) -> PathBuf {
    state.join("pinned")
}

fn plugin_file(state: &Path, digest: &str) -> PathBuf {
    folder(state).join("plugins").join(format!("{digest}.wasm"))
}

/// Keeps what a load is about to be made with.
pub(super) fn keep(pipe: &Pipe, resync: &str, tables: &[BoundTable]) -> Result<(), Error> {
    let unusable = |cause| JournalError::Folder {
        folder: folder(&pipe.state),
        cause,
    };
    std::fs::create_dir_all(folder(&pipe.state).join("plugins")).map_err(unusable)?;
    for table in tables {
        for (plugin, transform) in table.plugins.iter().zip(&table.mapping.transforms) {
            let file = plugin_file(&pipe.state, &plugin.digest);
            if !file.exists() {
                let path = resolve(&transform.plugin, &pipe.folder)?;
                let bytes = std::fs::read(path).map_err(unusable)?;
                write(&file, &bytes).map_err(unusable)?;
            }
        }
    }
    let file = folder(&pipe.state).join(format!("{resync}.toml"));
    write(&file, pipe.pinned_text().as_bytes()).map_err(unusable)?;
    Ok(())
}

/// Writes a file whole or not at all, for the user alone.
pub(super) fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let new = file.with_extension("new");
    let mut open = std::fs::OpenOptions::new();
    let open = open.write(true).create(true).truncate(true).mode(0o600);
    open.open(&new)?.write_all(bytes)?;
    std::fs::rename(new, file)
}

impl Pinned {
    /// What the load of this id was made with.
    pub(super) fn open(state: &Path, resync: &str) -> Result<Self, Error> {
        let file = folder(state).join(format!("{resync}.toml"));
        let text = std::fs::read_to_string(&file).map_err(|cause| JournalError::Folder {
            folder: file.clone(),
            cause,
        })?;
        Ok(Self {
            pipe: Pipe::parse(&file, text)?,
            state: state.to_owned(),
        })
    }

    /// The mapping of a source table.
    pub(super) fn mapping(&self, source: &TableName) -> Result<&TableMapping, Error> {
        self.pipe.table(source).ok_or_else(|| {
            Error::Worker(format!(
                "{} doesn't have the table {source}",
                self.pipe.path().display()
            ))
        })
    }

    /// Binds a table as it is known, by the pinned mapping and plugins.
    pub(super) async fn bind(
        &self,
        session: &Session,
        source: SourceTable,
        plugins: &[PinnedPlugin],
        zones: &mut Zones,
    ) -> Result<BoundTable, Error> {
        let files: Vec<PathBuf> = plugins
            .iter()
            .map(|plugin| plugin_file(&self.state, &plugin.digest))
            .collect();
        let mapping = self.mapping(&source.name)?;
        BoundTable::bind_as(session, &self.pipe, mapping, source, Some(&files), zones).await
    }
}
