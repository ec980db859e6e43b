//! The Rust helper as a new project's own copy: it is not on crates.io, and a plugin must build anywhere.

use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use toml::{Table, Value};

use super::new::collect;

static SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../plugins/sdk");
static CONTRACT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../wit");
/// The workspace's manifest, from which the helper's crates inherit.
const WORKSPACE: &str = include_str!("../../../Cargo.toml");
/// Where the helper lies in a project. Its source looks for the contract two folders above.
const FOLDER: &str = "vendor/tidemill-sdk";

/// Adds the helper's files and the contract.
pub(super) fn sdk(files: &mut Vec<(PathBuf, Vec<u8>)>) {
    let first = files.len();
    collect(&SDK, Path::new(""), Path::new(FOLDER), files);
    for (path, content) in &mut files[first..] {
        if path.ends_with("Cargo.toml") {
            *content = standing_alone(&String::from_utf8_lossy(content)).into_bytes();
        }
    }
    collect(&CONTRACT, Path::new(""), Path::new("wit"), files);
}

/// A manifest with all that it inherits from the workspace written out.
fn standing_alone(manifest: &str) -> String {
    let parsed = |text: &str| text.parse::<Table>().unwrap_or_default();
    let (mut manifest, workspace) = (parsed(manifest), parsed(WORKSPACE));
    let inherited =
        |part: &str, name: &str| workspace.get("workspace")?.get(part)?.get(name).cloned();
    manifest.remove("lints");
    manifest.remove("dev-dependencies");
    if let Some(Value::Table(package)) = manifest.get_mut("package") {
        for (name, value) in package.iter_mut().filter(|(_, value)| inherits(value)) {
            if let Some(meant) = inherited("package", name) {
                *value = meant;
            }
        }
    }
    if let Some(Value::Table(dependencies)) = manifest.get_mut("dependencies") {
        for (name, value) in dependencies.iter_mut().filter(|(_, value)| inherits(value)) {
            if let Some(meant) = inherited("dependencies", name) {
                *value = beside(meant);
            }
        }
    }
    manifest.to_string()
}

fn inherits(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

/// A dependency within the helper, by its place there.
fn beside(mut dependency: Value) -> Value {
    let path = dependency.get("path").and_then(Value::as_str);
    if let Some(inner) = path
        .and_then(|path| path.strip_prefix("plugins/sdk/"))
        .map(str::to_owned)
    {
        dependency["path"] = inner.into();
    }
    dependency
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_helper_s_manifests_stand_alone() {
        let mut files = Vec::new();
        sdk(&mut files);
        let manifests: Vec<String> = files
            .iter()
            .filter(|(path, _)| path.ends_with("Cargo.toml"))
            .map(|(_, content)| String::from_utf8_lossy(content).into_owned())
            .collect();
        assert!(!manifests.is_empty());
        for manifest in manifests {
            assert!(!manifest.contains("workspace"), "{manifest}");
            assert!(!manifest.contains("plugins/"), "{manifest}");
        }
        assert!(
            files
                .iter()
                .any(|(path, _)| path.ends_with("wit/transform.wit"))
        );
    }
}
