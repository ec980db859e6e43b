//! Reference tables of transforms: read where a table is bound, kept with what a load was made with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::Value;

use super::error::Error;
use crate::digest::Digest;
use crate::files::write_whole;
use crate::pipe::{Pipe, TableMapping, TransformUse};
use crate::rows::{Reference, with_tables};

/// A reference table that a transform was bound with.
#[derive(Clone, Debug)]
pub(super) struct BoundReference {
    /// Its key in the pipe file.
    key: String,
    /// The file that it was read from, and what was in it.
    file: PathBuf,
    digest: Digest,
    bytes: Bytes,
}

/// A transform's configuration, with its reference tables in it.
pub(super) struct WholeConfig {
    pub(super) config: Value,
    /// See [`digest_now`].
    pub(super) digest: String,
}

/// Reads the reference tables of a mapping. The answer has the configuration of each of its transforms.
pub(super) fn read(
    pipe: &Pipe,
    mapping: &TableMapping,
) -> Result<(Vec<WholeConfig>, Vec<BoundReference>), Error> {
    let mut configs = Vec::with_capacity(mapping.transforms.len());
    let mut bound = Vec::new();
    for transform in &mapping.transforms {
        let (mut tables, mut files) = (Vec::new(), Vec::new());
        for reference in &transform.references {
            let key = transform.table_key(reference);
            let read = reference.read();
            let read = read.map_err(|error| pipe.invalid(&key, error.to_string()))?;
            tables.push((reference.name.clone(), read.table));
            files.push(read.digest.clone());
            bound.push(BoundReference {
                key,
                file: reference.file.clone(),
                digest: read.digest,
                bytes: read.bytes,
            });
        }
        let config = with_tables(transform.config.clone(), tables).map_err(|name| {
            let key = format!("{}.config.tables.{name}", transform.key);
            let reason = format!("the table `{name}` is given as a file too, in `tables`");
            pipe.invalid(&key, reason)
        })?;
        configs.push(WholeConfig {
            config,
            digest: digest_of(transform, &files),
        });
    }
    Ok((configs, bound))
}

/// The digest of a transform's configuration and of its reference tables as they are now: the files are not read as rows for that.
pub(super) fn digest_now(pipe: &Pipe, transform: &TransformUse) -> Result<String, Error> {
    let digest = |reference: &Reference| {
        let digest = reference.digest_now();
        digest.map_err(|error| pipe.invalid(&transform.table_key(reference), error.to_string()))
    };
    let files: Result<Vec<Digest>, _> = transform.references.iter().map(digest).collect();
    Ok(digest_of(transform, &files?))
}

/// The same, of files with these digests.
fn digest_of(transform: &TransformUse, files: &[Digest]) -> String {
    let mut parts = vec![transform.config.to_string()];
    for (reference, file) in transform.references.iter().zip(files) {
        let columns = reference
            .columns
            .as_ref()
            .map(|columns| columns.to_string());
        parts.extend([
            reference.name.clone(),
            file.to_string(),
            columns.unwrap_or_default(),
        ]);
    }
    Digest::of_parts(parts).hex().to_owned()
}

/// Keeps copies in a folder, by content, and tells where they are, by their keys.
pub(super) fn keep<'b>(
    folder: &Path,
    references: impl Iterator<Item = &'b BoundReference>,
) -> std::io::Result<BTreeMap<String, (PathBuf, Digest)>> {
    let mut kept = BTreeMap::new();
    for reference in references {
        std::fs::create_dir_all(folder)?;
        let extension = reference.file.extension().unwrap_or_default();
        let path = folder
            .join(reference.digest.hex())
            .with_extension(extension);
        write_whole(&path, 0o600, &[&reference.bytes])?;
        kept.insert(
            reference.key.clone(),
            (std::path::absolute(path)?, reference.digest.clone()),
        );
    }
    Ok(kept)
}
