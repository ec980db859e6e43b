//! Reference tables of transforms: read where a table is bound, kept with what a load was made with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::Value;

use super::error::Error;
use crate::digest::Digest;
use crate::files::write_whole;
use crate::pipe::{Pipe, TableMapping};
use crate::rows::with_tables;

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

/// Reads the reference tables of a mapping. The answer has the configuration of each of its transforms, with the tables in it.
pub(super) fn read(
    pipe: &Pipe,
    mapping: &TableMapping,
) -> Result<(Vec<Value>, Vec<BoundReference>), Error> {
    let mut configs = Vec::with_capacity(mapping.transforms.len());
    let mut bound = Vec::new();
    for transform in &mapping.transforms {
        let mut tables = Vec::with_capacity(transform.references.len());
        for reference in &transform.references {
            let key = transform.table_key(reference);
            let read = reference.read();
            let read = read.map_err(|error| pipe.invalid(&key, error.to_string()))?;
            tables.push((reference.name.clone(), read.table));
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
        configs.push(config);
    }
    Ok((configs, bound))
}

/// The digest of a transform's configuration, reference tables and all.
pub(super) fn digest_of(config: &Value) -> String {
    Digest::of(config.to_string().as_bytes()).hex().to_owned()
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
