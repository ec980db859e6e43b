//! From the name of a plugin, as a pipe says it, to its file.

use std::env;
use std::path::{Path, PathBuf};

use super::error::TransformError;

/// The variable that names more folders of plugins, separated as in `PATH`.
pub const PLUGIN_PATH: &str = "TIDEMILL_PLUGIN_PATH";

/// The file of a plugin.
///
/// A value with a `/`, or one that ends in `.wasm`, is a path, relative to `base_dir` (the pipe file's folder). Anything else is a name, and
/// `NAME.wasm` is looked for in `base_dir/plugins`, in the folders of [`PLUGIN_PATH`], and beside the program: `plugins`,
/// `../plugins` and `../lib/tidemill/plugins`. The error lists the files that were looked for.
pub fn resolve(name_or_path: &str, base_dir: &Path) -> Result<PathBuf, TransformError> {
    let path_variable = env::var_os(PLUGIN_PATH).unwrap_or_default();
    let beside = env::current_exe()
        .ok()
        .and_then(|program| program.parent().map(Path::to_owned));
    let folders = env::split_paths(&path_variable).collect::<Vec<_>>();
    resolve_in(name_or_path, base_dir, &folders, beside.as_deref())
}

fn resolve_in(
    name_or_path: &str,
    base_dir: &Path,
    folders: &[PathBuf],
    beside: Option<&Path>,
) -> Result<PathBuf, TransformError> {
    let is_path = name_or_path.contains('/') || name_or_path.ends_with(".wasm");
    let looked: Vec<PathBuf> = if is_path {
        vec![base_dir.join(name_or_path)]
    } else {
        let file = format!("{name_or_path}.wasm");
        let around = beside.into_iter().flat_map(|dir| {
            ["plugins", "../plugins", "../lib/tidemill/plugins"].map(|folder| dir.join(folder))
        });
        let named = folders
            .iter()
            .filter(|folder| !folder.as_os_str().is_empty())
            .cloned();
        std::iter::once(base_dir.join("plugins"))
            .chain(named)
            .chain(around)
            .map(|folder| folder.join(&file))
            .collect()
    };
    match looked.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(TransformError::NotFound {
            name: name_or_path.to_owned(),
            looked,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_name_is_looked_for_in_order_and_a_path_is_taken_as_it_is() {
        let home = tempfile::tempdir().unwrap();
        let (pipe, named, bin) = (
            home.path().join("pipe"),
            home.path().join("named"),
            home.path().join("bin"),
        );
        for folder in [
            &pipe.join("plugins"),
            &named,
            &bin.join("plugins"),
            &home.path().join("lib/tidemill/plugins"),
        ] {
            fs::create_dir_all(folder).unwrap();
        }
        let find = |name: &str| resolve_in(name, &pipe, std::slice::from_ref(&named), Some(&bin));

        let error = find("mask").unwrap_err().to_string();
        let expected = [
            pipe.join("plugins"),
            named.clone(),
            bin.join("plugins"),
            bin.join("../plugins"),
            bin.join("../lib/tidemill/plugins"),
        ];
        let places: Vec<_> = expected
            .iter()
            .map(|folder| {
                error
                    .find(&format!("`{}`", folder.join("mask.wasm").display()))
                    .unwrap()
            })
            .collect();
        assert!(places.is_sorted(), "{error}");

        for folder in expected.iter().rev() {
            if folder.exists() {
                fs::write(folder.join("mask.wasm"), "").unwrap();
                assert_eq!(find("mask").unwrap(), folder.join("mask.wasm"));
            }
        }
        fs::write(pipe.join("own.wasm"), "").unwrap();
        assert_eq!(find("own.wasm").unwrap(), pipe.join("own.wasm"));
        assert_eq!(find("./own.wasm").unwrap(), pipe.join("./own.wasm"));
        assert!(find("own").is_err());
    }
}
