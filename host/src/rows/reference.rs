//! Reference tables: small files of rows that a transform is given as a part of its configuration, since a plugin sees no files.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::columnar::Room;
use super::json::cell;
use super::{RowsError, bytes_of, parse, type_text};
use crate::digest::Digest;

/// The largest file, in bytes, and the most that it may become: the table is a part of a configuration, and held by each instance.
const LARGEST_FILE: u64 = 16 << 20;
const LARGEST_TEXT: usize = 64 << 20;

/// A reference table: where it is, and what it must be.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The name that the plugin knows it by.
    pub name: String,
    /// The file: CSV, JSON lines, Parquet or Arrow.
    pub file: PathBuf,
    /// Columns whose types are stated; the others have their own, or the nearest that is guessed.
    pub columns: Option<SchemaRef>,
    /// The content that is meant, where it is stated.
    pub digest: Option<Digest>,
}

/// A reference table as a pipe file or a plugin's test states it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceFile {
    /// The file, from where it is stated.
    pub file: PathBuf,
    /// Columns in words: `vat: decimal128(4, 2)`.
    #[serde(default)]
    pub columns: Vec<String>,
    /// The SHA-256 of the file.
    pub sha256: Option<String>,
}

/// A reference table that was read.
#[derive(Clone, Debug)]
pub struct ReadReference {
    /// The table, as a plugin is given it: `{"columns": [{"name": …, "type": …}], "rows": [[…], …]}`.
    pub table: Value,
    /// The file's content.
    pub bytes: Bytes,
    /// The content's digest.
    pub digest: Digest,
}

impl ReferenceFile {
    /// What is stated, of a file beneath this folder. An error says the setting that is wrong, and why.
    pub fn resolve(&self, name: &str, folder: &Path) -> Result<Reference, (&'static str, String)> {
        let stated = match &self.columns[..] {
            [] => None,
            words => Some(super::columns(words).map_err(|reason| ("columns", reason))?),
        };
        let digest = self.sha256.as_deref().map(|text| {
            Digest::parse(text).ok_or_else(|| ("sha256", format!("`{text}` is no SHA-256")))
        });
        Ok(Reference {
            name: name.to_owned(),
            file: folder.join(&self.file),
            columns: stated,
            digest: digest.transpose()?,
        })
    }
}

impl Reference {
    /// What the file holds, and its digest.
    ///
    /// # Errors
    /// If it can't be read, is larger than 16 MiB, or isn't the one that is meant.
    pub fn content(&self) -> Result<(Bytes, Digest), RowsError> {
        self.check_size()?;
        let bytes = bytes_of(&self.file)?;
        let digest = Digest::of(&bytes);
        self.check_digest(&digest)?;
        Ok((bytes, digest))
    }

    /// The digest of what the file holds now. A file that hasn't changed isn't read again.
    ///
    /// # Errors
    /// Those of [`Reference::content`].
    pub fn digest_now(&self) -> Result<Digest, RowsError> {
        self.check_size()?;
        let digest =
            Digest::of_file(&self.file).map_err(|cause| RowsError::new(&self.file, None, cause))?;
        self.check_digest(&digest)?;
        Ok(digest)
    }

    fn check_size(&self) -> Result<(), RowsError> {
        let wrong = |reason: String| RowsError::new(&self.file, None, reason);
        let size = std::fs::metadata(&self.file).map_or(0, |metadata| metadata.len());
        if size > LARGEST_FILE {
            return Err(wrong(format!(
                "a reference table is a small one, of at most {LARGEST_FILE} bytes, and this file has {size}; ClickHouse's dictionaries hold larger ones"
            )));
        }
        Ok(())
    }

    fn check_digest(&self, digest: &Digest) -> Result<(), RowsError> {
        match self.digest.as_ref().filter(|meant| *meant != digest) {
            Some(meant) => Err(RowsError::new(
                &self.file,
                None,
                format!("its content is {digest}, and what is meant is {meant}"),
            )),
            None => Ok(()),
        }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// Those of [`Reference::content`], and if it is no rows with the columns that are stated.
    pub fn read(&self) -> Result<ReadReference, RowsError> {
        let wrong = |reason: String| RowsError::new(&self.file, None, reason);
        let (bytes, digest) = self.content()?;
        let room = Room(LARGEST_TEXT);
        let mut rows = parse(&self.file, bytes.clone(), None, room)?;
        if let Some(stated) = &self.columns {
            let schema = with_stated(&rows.schema(), stated).map_err(wrong)?;
            rows = parse(&self.file, bytes.clone(), Some(&schema), room)?;
        }
        Ok(ReadReference {
            table: as_json(&rows).map_err(wrong)?,
            bytes,
            digest,
        })
    }
}

/// A configuration with tables in its `tables`. The error is the name of one that is there already.
pub(crate) fn with_tables(
    mut config: Value,
    tables: impl IntoIterator<Item = (String, Value)>,
) -> Result<Value, String> {
    for (name, table) in tables {
        let all = &mut config["tables"];
        if all.get(&name).is_some() || !(all.is_null() || all.is_object()) {
            return Err(name);
        }
        all[name] = table;
    }
    Ok(config)
}

/// The columns, those that are stated with the types that are.
fn with_stated(schema: &SchemaRef, stated: &SchemaRef) -> Result<SchemaRef, String> {
    let unknown = |field: &&FieldRef| schema.field_with_name(field.name()).is_err();
    if let Some(field) = stated.fields().iter().find(unknown) {
        let known: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        return Err(format!(
            "it has no column `{}`; it has {}",
            field.name(),
            known.join(", ")
        ));
    }
    let fields = schema.fields().iter().map(|field| {
        let stated = stated.fields().iter().find(|s| s.name() == field.name());
        // Any cell of a reference table may be empty.
        Arc::new(stated.unwrap_or(field).as_ref().clone().with_nullable(true))
    });
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

fn as_json(rows: &RecordBatch) -> Result<Value, String> {
    let fields = rows.schema_ref().fields().iter();
    let columns: Vec<Value> = fields
        .map(|field| {
            serde_json::json!({ "name": field.name(), "type": type_text(field.data_type()) })
        })
        .collect();
    let mut text = String::from("[");
    for row in 0..rows.num_rows() {
        text += if row == 0 { "[" } else { ",[" };
        for (i, column) in rows.columns().iter().enumerate() {
            let separator = if i == 0 { "" } else { "," };
            let _infallible = write!(text, "{separator}{}", cell(column, row));
        }
        text.push(']');
        if text.len() > LARGEST_TEXT {
            return Err(format!(
                "its first {} rows are more than {LARGEST_TEXT} bytes as JSON, and a reference table is a small one",
                row + 1
            ));
        }
    }
    text.push(']');
    let rows: Value = serde_json::from_str(&text).map_err(|cause| cause.to_string())?;
    Ok(serde_json::json!({ "columns": columns, "rows": rows }))
}
