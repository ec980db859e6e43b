//! The store: plugins by their content, so that what runs doesn't depend on a file that somebody overwrites or a registry that is gone.
//!
//! ```text
//! <store>/sha256/<digest>.wasm         a plugin
//! <store>/manifests/<digest>.json      an artifact's manifest, which names its plugin by digest
//! <store>/signatures/<digest>.json     what was signed of the artifact with this manifest
//! ```
//! A file is written whole or not at all, for this user alone, and its digest is compared each time that it is read; a signature proves itself.
//! Nothing is ever removed: whoever wants the room back removes files or the folder, and they are fetched again when they are needed.

use std::fs::{self, DirBuilder, File};
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::error::RegistryError;
use super::signature::Signed;
use crate::digest::Digest;
use crate::files::write_whole;

/// The environment variable that names the store's folder.
pub const STORE: &str = "TIDEMILL_PLUGIN_STORE";

/// Largest manifest or file of signatures, in bytes. Registries take manifests of at most 4 MiB.
pub(super) const DOCUMENT_BYTES: u64 = 4 << 20;

/// A folder of plugins by content.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// This user's store: `$TIDEMILL_PLUGIN_STORE`, else `$XDG_DATA_HOME/tidemill/plugins`, else `~/.local/share/tidemill/plugins`.
    pub fn of_user() -> Result<Self, RegistryError> {
        if let Some(folder) = std::env::var_os(STORE).filter(|folder| !folder.is_empty()) {
            return Ok(Self::at(Path::new(&folder)));
        }
        let given = std::env::var_os("XDG_DATA_HOME")
            .map(PathBuf::from)
            .filter(|folder| folder.is_absolute());
        let data = given
            .or_else(|| Some(std::env::home_dir()?.join(".local/share")))
            .ok_or(RegistryError::NoStore)?;
        Ok(Self::at(&data.join("tidemill/plugins")))
    }

    /// A store in this folder, which is made when something is kept.
    pub fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Where a plugin is kept.
    pub fn plugin_path(&self, digest: &Digest) -> PathBuf {
        self.path("sha256", digest, "wasm")
    }

    /// Keeps a plugin; its digest.
    pub fn keep_plugin(&self, bytes: &[u8]) -> Result<Digest, RegistryError> {
        let digest = Digest::of(bytes);
        self.write(&self.plugin_path(&digest), bytes)?;
        Ok(digest)
    }

    /// A plugin of at most so many bytes; none if it isn't kept. One that was changed is an error.
    pub fn plugin(&self, digest: &Digest, max_size: u64) -> Result<Option<Vec<u8>>, RegistryError> {
        read_as(&self.plugin_path(digest), digest, max_size)
    }

    pub(super) fn keep_manifest(&self, bytes: &[u8]) -> Result<Digest, RegistryError> {
        let digest = Digest::of(bytes);
        self.write(&self.path("manifests", &digest, "json"), bytes)?;
        Ok(digest)
    }

    pub(super) fn manifest(&self, digest: &Digest) -> Result<Option<Vec<u8>>, RegistryError> {
        read_as(
            &self.path("manifests", digest, "json"),
            digest,
            DOCUMENT_BYTES,
        )
    }

    pub(super) fn keep_signatures(
        &self,
        manifest: &Digest,
        signatures: &[Signed],
    ) -> Result<(), RegistryError> {
        let path = self.path("signatures", manifest, "json");
        let text = serde_json::to_vec(signatures).map_err(|cause| RegistryError::File {
            path: path.clone(),
            cause: cause.into(),
        })?;
        self.write(&path, &text)
    }

    /// What was signed of an artifact, as far as it is known here. A file that can't be understood counts for none: what is missing is asked
    /// for again.
    pub(super) fn signatures(&self, manifest: &Digest) -> Vec<Signed> {
        let bytes = read(&self.path("signatures", manifest, "json"), DOCUMENT_BYTES);
        let bytes = bytes.ok().flatten().unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    fn path(&self, kind: &str, digest: &Digest, extension: &str) -> PathBuf {
        let name = format!("{}.{extension}", digest.hex());
        self.folder.join(kind).join(name)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), RegistryError> {
        let folder = path.parent().unwrap_or(&self.folder);
        let unusable = |cause| RegistryError::File {
            path: path.to_owned(),
            cause,
        };
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(folder).map_err(unusable)?;
        write_whole(path, 0o600, &[bytes]).map_err(unusable)
    }
}

/// A file that is named by its digest; none if there is no such file.
pub fn read_as(
    path: &Path,
    digest: &Digest,
    max_size: u64,
) -> Result<Option<Vec<u8>>, RegistryError> {
    match read(path, max_size)? {
        Some(bytes) if Digest::of(&bytes) != *digest => Err(RegistryError::Damaged {
            path: path.to_owned(),
            digest: digest.clone(),
        }),
        read => Ok(read),
    }
}

/// A file's bytes, or as many of them as show that it is larger than this; none if there is no such file.
pub(super) fn read(path: &Path, max_size: u64) -> Result<Option<Vec<u8>>, RegistryError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| {
        let size = file.metadata()?.len().min(max_size);
        bytes.reserve_exact(usize::try_from(size).unwrap_or_default());
        file.take(max_size.saturating_add(1))
            .read_to_end(&mut bytes)
    });
    match read {
        Ok(_) => Ok(Some(bytes)),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(RegistryError::File {
            path: path.to_owned(),
            cause,
        }),
    }
}

/// Removes a file that isn't what its name says, so that it is fetched again.
pub(super) fn discard(path: &Path) {
    tracing::warn!(file = %path.display(), "it was changed or cut, and is fetched again");
    // If it can't be removed, it is written over.
    let _ = fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn what_was_kept_is_found_and_for_this_user_alone() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::at(&home.path().join("a/store"));
        let digest = Digest::of(b"plugin");
        assert_eq!(store.plugin(&digest, 100).unwrap(), None);
        assert_eq!(store.keep_plugin(b"plugin").unwrap(), digest);
        assert_eq!(store.plugin(&digest, 100).unwrap().unwrap(), b"plugin");
        let path = store.plugin_path(&digest);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(
            fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777,
            0o700
        );
        let files = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(files, 1, "nothing is left beside it");
        store.keep_plugin(b"plugin").unwrap();
    }

    #[test]
    fn what_was_changed_cut_or_grew_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::at(home.path());
        let digest = store.keep_plugin(b"plugin").unwrap();
        for bytes in [&b"plugim"[..], b"plug", b"", b"plugin and more"] {
            fs::write(store.plugin_path(&digest), bytes).unwrap();
            let error = store.plugin(&digest, 100).unwrap_err();
            assert!(matches!(error, RegistryError::Damaged { .. }), "{error}");
        }
        // More than may be read is never read.
        fs::write(store.plugin_path(&digest), vec![0; 1000]).unwrap();
        assert!(store.plugin(&digest, 10).is_err());
        assert_eq!(
            read(&store.plugin_path(&digest), 10)
                .unwrap()
                .unwrap()
                .len(),
            11
        );
    }

    #[test]
    fn signatures_that_can_t_be_understood_count_for_none() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::at(home.path());
        let manifest = store.keep_manifest(b"{}").unwrap();
        assert!(store.signatures(&manifest).is_empty());
        let signed = Signed {
            payload: "p".to_owned(),
            signature: "AA==".to_owned(),
        };
        store
            .keep_signatures(&manifest, std::slice::from_ref(&signed))
            .unwrap();
        assert_eq!(store.signatures(&manifest), [signed]);
        fs::write(store.path("signatures", &manifest, "json"), "[{").unwrap();
        assert!(store.signatures(&manifest).is_empty());
    }
}
