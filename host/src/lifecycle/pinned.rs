//! What a load was made with, kept beside the journal: the pipe file without its secrets, and the plugins' files by their digests. Changes
//! go through the same transforms as the load, whatever becomes of the files that the pipe names, of the store and of registries. Each
//! pipe has its own copies, so that whoever tidies the store up stops nobody. What nothing needs any more goes when the next load begins ([`prune`]).
//!
//! ```text
//! <state>/pinned/<resync>.toml         mode 0600: a transform's configuration may hold a key
//! <state>/pinned/plugins/<digest>.wasm
//! <state>/pinned/plugins/<digest>.json who vouches for it, if the policy asked
//! <state>/pinned/tables/<digest>.csv   a reference table, under its file's extension
//! ```

mod prune;

use std::io::Write;
use std::path::{Path, PathBuf};

use super::binding::BoundTable;
use super::error::Error;
use super::references;
use super::session::Session;
use super::supply::{Supplied, Supply};
use crate::destination::Zones;
use crate::digest::Digest;
use crate::files::write_whole;
use crate::journal::{JournalError, PinnedPlugin};
use crate::pipe::{Pipe, TableMapping};
use crate::registry::{Proof, RegistryError};
use crate::schema::{SourceTable, TableName};

pub(super) use prune::prune;

/// The pipe of a load.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) pipe: Pipe,
    state: PathBuf,
}

fn folder(state: &Path) -> PathBuf {
    state.join("pinned")
}

fn plugin_file(state: &Path, digest: &Digest) -> PathBuf {
    let name = format!("{}.wasm", digest.hex());
    folder(state).join("plugins").join(name)
}

fn unusable(state: &Path) -> impl Fn(std::io::Error) -> JournalError {
    move |cause| JournalError::Folder {
        folder: folder(state),
        cause,
    }
}

/// Keeps what a load is about to be made with.
pub(super) async fn keep(
    supply: &Supply,
    pipe: &Pipe,
    resync: &str,
    tables: &[BoundTable],
) -> Result<(), Error> {
    std::fs::create_dir_all(folder(&pipe.state).join("plugins")).map_err(unusable(&pipe.state))?;
    for table in tables {
        for plugin in &table.plugins {
            keep_plugin(supply, pipe, plugin).await?;
        }
    }
    let tables_folder = folder(&pipe.state).join("tables");
    let bound = tables.iter().flat_map(|table| &table.references);
    let kept = references::keep(&tables_folder, bound).map_err(unusable(&pipe.state))?;
    let file = folder(&pipe.state).join(format!("{resync}.toml"));
    let text = pipe.pinned_text(&kept);
    write_whole(&file, 0o600, &[text.as_bytes()]).map_err(unusable(&pipe.state))?;
    Ok(())
}

/// Keeps a plugin that a table was bound with, unless it is kept already.
async fn keep_plugin(supply: &Supply, pipe: &Pipe, plugin: &PinnedPlugin) -> Result<(), Error> {
    let digest = digest(plugin)?;
    let file = plugin_file(&pipe.state, &digest);
    let (name, folder) = (&plugin.plugin, &pipe.folder);
    let kept = supply
        .pinned(name, folder, &digest, file.clone(), proof(&file))
        .await;
    let supplied = match kept {
        Ok(kept) if kept.path == file => return Ok(()),
        Ok(found) => found,
        // Why it can't be had, or another plugin than the table was bound with.
        Err(_) => supply.plugin(name, folder).await?,
    };
    if Digest::of(&supplied.bytes) != digest {
        return Err(Error::from(RegistryError::Changed { name: name.clone() }));
    }
    store(&pipe.state, &file, &supplied)
}

/// Writes a plugin's copy, and before it what vouches for it.
fn store(state: &Path, file: &Path, supplied: &Supplied) -> Result<(), Error> {
    if let Some(proof) = &supplied.proof {
        let text = serde_json::to_vec(proof).map_err(|cause| unusable(state)(cause.into()))?;
        write_whole(&proof_file(file), 0o600, &[&text]).map_err(unusable(state))?;
    }
    write_whole(file, 0o600, &[&supplied.bytes]).map_err(unusable(state))?;
    Ok(())
}

fn proof_file(plugin: &Path) -> PathBuf {
    plugin.with_extension("json")
}

/// What was kept of who vouches for a plugin. One that can't be read vouches for nobody.
fn proof(plugin: &Path) -> Option<Proof> {
    let bytes = std::fs::read(proof_file(plugin)).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn digest(plugin: &PinnedPlugin) -> Result<Digest, Error> {
    let unreadable = || {
        let PinnedPlugin { plugin, digest, .. } = plugin;
        Error::Worker(format!(
            "the journal has `{digest}` for the digest of the plugin `{plugin}`"
        ))
    };
    Digest::parse(&plugin.digest).ok_or_else(unreadable)
}

/// Writes a file that is written again and again: whole or not at all, for the user alone, without waiting for the disk.
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
    pub(super) fn open(pipe: &Pipe, resync: &str) -> Result<Self, Error> {
        let state = &pipe.state;
        let file = folder(state).join(format!("{resync}.toml"));
        let text = std::fs::read_to_string(&file).map_err(|cause| JournalError::Folder {
            folder: file.clone(),
            cause,
        })?;
        Ok(Self {
            pipe: Pipe::parse_as(&file, text, pipe.access().clone())?,
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
        let mut supplied = Vec::with_capacity(plugins.len());
        for plugin in plugins {
            let (digest, name) = (digest(plugin)?, &plugin.plugin);
            let file = plugin_file(&self.state, &digest);
            let kept = session
                .supply
                .pinned(
                    name,
                    &session.pipe.folder,
                    &digest,
                    file.clone(),
                    proof(&file),
                )
                .await?;
            if kept.path != file {
                store(&self.state, &file, &kept)?;
            }
            supplied.push(kept);
        }
        let mapping = self.mapping(&source.name)?;
        BoundTable::bind_as(session, &self.pipe, mapping, source, supplied, zones).await
    }
}
