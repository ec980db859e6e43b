//! A pipe file to be kept: as it was, without its secrets, and fit to be read elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::digest::Digest;

/// The authorities' file is left out, too: it is found beside the pipe file alone.
const LEFT_OUT: [&str; 4] = ["password", "password_env", "password_file", "ca"];

/// The text of a pipe file that was read before, without the secrets of its source and its destination. Files that a transform needs are those that
/// were kept, by the keys of their tables, or stand where they stood, by their whole paths.
pub(super) fn text(
    text: &str,
    folder: &Path,
    kept: &BTreeMap<String, (PathBuf, Digest)>,
) -> String {
    // A text that became a pipe is TOML, and what was read from TOML can be written as TOML.
    let mut file: Table = text.parse().unwrap_or_default();
    for section in ["source", "destination"] {
        if let Some(section) = file.get_mut(section).and_then(Value::as_table_mut) {
            section.retain(|key, _| !LEFT_OUT.contains(&key));
        }
    }
    for (i, table) in tables_of(&mut file, "table").enumerate() {
        for (j, transform) in tables_of(table, "transform").enumerate() {
            let key = format!("table[{i}].transform[{j}].tables");
            references(transform, folder, &key, kept);
            granted_files(transform, folder);
        }
    }
    file.to_string()
}

fn references(
    transform: &mut Table,
    folder: &Path,
    key: &str,
    kept: &BTreeMap<String, (PathBuf, Digest)>,
) {
    let references = transform.get_mut("tables").and_then(Value::as_table_mut);
    for (name, reference) in references.into_iter().flatten() {
        let Some(reference) = reference.as_table_mut() else {
            continue;
        };
        if let Some((path, digest)) = kept.get(&format!("{key}.{name}")) {
            reference.insert("file".to_owned(), path.display().to_string().into());
            reference.insert("sha256".to_owned(), digest.hex().into());
        } else if let Some(path) = reference.get_mut("file") {
            make_absolute(path, folder);
        }
    }
}

fn granted_files(transform: &mut Table, folder: &Path) {
    let files = transform
        .get_mut("grants")
        .and_then(|grants| grants.get_mut("files"))
        .and_then(Value::as_array_mut);
    for path in files.into_iter().flatten() {
        make_absolute(path, folder);
    }
}

fn make_absolute(path: &mut Value, folder: &Path) {
    let absolute = path
        .as_str()
        .map(|path| std::path::absolute(folder.join(path)));
    if let Some(Ok(absolute)) = absolute {
        *path = absolute.display().to_string().into();
    }
}

fn tables_of<'t>(table: &'t mut Table, name: &str) -> impl Iterator<Item = &'t mut Table> {
    let array = table.get_mut(name).and_then(Value::as_array_mut);
    array.into_iter().flatten().filter_map(Value::as_table_mut)
}
