//! Finds the line of a key in a pipe file, so that an error found late (a missing table, a configuration that a plugin refuses)
//! still points at the line to change. The operator's policy is read by the same means.

use std::fmt;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Location, PipeError};

/// A pipe file's text and its name.
#[derive(Clone)]
pub(crate) struct SourceText {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// The text may hold a password: only the name is shown.
impl fmt::Debug for SourceText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceText")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl SourceText {
    pub(super) fn read(path: &Path) -> Result<Self, PipeError> {
        let text = std::fs::read_to_string(path).map_err(|cause| PipeError::Unreadable {
            path: path.to_owned(),
            cause,
        })?;
        Ok(Self {
            path: path.to_owned(),
            text,
        })
    }

    /// The place of a byte offset.
    pub(crate) fn at_offset(&self, offset: usize, key: Option<String>) -> Location {
        let before = &self.text[..self.text.floor_char_boundary(offset.min(self.text.len()))];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Location {
            file: self.path.clone(),
            line: Some(before.matches('\n').count() + 1),
            column: Some(before[line_start..].chars().count() + 1),
            key,
        }
    }

    /// The place of a key such as `table[0].transform[1].config.where`; of the nearest enclosing key that the file has, if it
    /// doesn't have this one.
    pub(crate) fn at_key(&self, key: &str) -> Location {
        let found = DeTable::parse(&self.text)
            .ok()
            .and_then(|root| offset_of(root.get_ref(), key));
        match found {
            Some(offset) => self.at_offset(offset, Some(key.to_owned())),
            None => Location {
                file: self.path.clone(),
                line: None,
                column: None,
                key: Some(key.to_owned()),
            },
        }
    }
}

/// The byte offset of the deepest part of `key` that exists.
fn offset_of(root: &DeTable<'_>, key: &str) -> Option<usize> {
    let mut offset = None;
    let mut table = Some(root);
    let mut value: Option<&Spanned<DeValue<'_>>> = None;
    for part in parts(key) {
        match part {
            Part::Name(name) => {
                let Some((found, inner)) =
                    table.and_then(|t| t.iter().find(|(k, _)| k.get_ref() == name))
                else {
                    break;
                };
                offset = Some(found.span().start);
                value = Some(inner);
            }
            Part::Index(i) => {
                let Some(inner) = value
                    .and_then(|v| v.get_ref().as_array())
                    .and_then(|a| a.get(i))
                else {
                    break;
                };
                offset = Some(inner.span().start);
                value = Some(inner);
            }
        }
        table = value.and_then(|v| v.get_ref().as_table());
    }
    offset
}

enum Part<'a> {
    Name(&'a str),
    Index(usize),
}

/// Splits `a.b[2].c` into its parts.
fn parts(key: &str) -> impl Iterator<Item = Part<'_>> {
    key.split(['.', '['])
        .filter(|part| !part.is_empty())
        .map(|part| {
            match part
                .strip_suffix(']')
                .and_then(|digits| digits.parse().ok())
            {
                Some(index) => Part::Index(index),
                None => Part::Name(part),
            }
        })
}
