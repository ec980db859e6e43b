//! From a plugin's folder to its component: the language's own tool, called so that one command is enough, and the component loaded once to prove it.
//!
//! A component that is there is replaced only by one that loads, so that a pipe, or `plugin dev`, keeps the last good one.

mod c;
mod javascript;
mod python;
mod rust;
mod tools;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::project::{Case, Language, Project};
use crate::files::write_whole;
use crate::transform::{Plugin, Runtime, TransformError};

pub(super) use rust::crate_output;

/// The contract, for the tools that make the glue of a language out of it.
const WIT: &str = include_str!("../../../../wit/transform.wit");
/// The contract's file, in the folder of what is made.
const WIT_FILE: &str = "wit/transform.wit";
/// The contract's world for plugins.
const WORLD: &str = "plugin";

/// Folders of a project that the tools make: nothing in them is source.
pub(super) const BUILT_FOLDERS: &[&str] = &[
    "build",
    "target",
    "node_modules",
    ".venv",
    "__pycache__",
    ".git",
];

/// A plugin that was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The component's file.
    pub path: PathBuf,
    /// Its size.
    pub size_bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub digest: String,
    /// How long it took, from the compiler's start to the check.
    pub duration: Duration,
    /// The plugin, loaded.
    pub plugin: Arc<Plugin>,
}

/// Why a plugin could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A tool is not installed.
    #[error(
        "`{tool}` is needed to build a plugin in {language}, and isn't installed. Install it with\n  {install}\nIt is looked for in the variable `{variable}`, {}", .looked.join(", ")
    )]
    MissingTool {
        /// The tool.
        tool: &'static str,
        /// What it is needed for.
        language: &'static str,
        /// The command that installs it.
        install: String,
        /// The environment variable that may name it.
        variable: &'static str,
        /// Where it was looked for.
        looked: Vec<String>,
    },
    /// No standard library for the target.
    #[error(
        "Rust has no standard library for `{}` here: install it with `rustup target add {}`, or, where rustup can't download, with `tests/provision/wasm-target` of Tidemill's repository",
        rust::TARGET,
        rust::TARGET
    )]
    NoTarget,
    /// A program could not be run.
    #[error("`{program}` can't be run: {source}{}", if .program.ends_with("cargo") { "; Rust is needed to build a plugin from a crate (https://rustup.rs)" } else { "" })]
    Program {
        /// The program.
        program: String,
        /// The system's error.
        source: io::Error,
    },
    /// A tool failed.
    #[error("`{command}` failed in `{}`:\n{messages}", .folder.display())]
    Tool {
        /// What was called.
        command: String,
        /// The plugin's folder.
        folder: PathBuf,
        /// The end of its messages.
        messages: String,
    },
    /// The crate has no library for a plugin.
    #[error(
        "the crate `{0}` makes no WebAssembly module: its `Cargo.toml` needs `[lib]` with `crate-type = [\"cdylib\"]`"
    )]
    NoModule(String),
    /// The module is no plugin.
    #[error("the module of `{name}` can't be made a component: {reason}; {hint}")]
    Encode {
        /// The plugin's name.
        name: String,
        /// What the encoder says.
        reason: String,
        /// What may be meant.
        hint: &'static str,
    },
    /// A file could not be read or written.
    #[error("`{}`: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The component was built and is no plugin; nothing was written.
    #[error("the component was built, and isn't kept: {0}")]
    Unusable(#[from] TransformError),
}

/// Builds a plugin. The component goes to `out`, by default to the project's own place.
pub fn build(
    runtime: &Runtime,
    project: &Project,
    out: Option<&Path>,
) -> Result<Built, BuildError> {
    let started = Instant::now();
    let component = match project.language {
        Language::Rust => rust::component(project)?,
        Language::Python => python::component(project)?,
        Language::Javascript | Language::Typescript => javascript::component(project)?,
        Language::C => c::component(project)?,
    };
    let path = out.unwrap_or(&project.component).to_owned();
    let plugin = runtime.load_bytes(&path, &component)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(at(folder))?;
    }
    write_whole(&path, 0o644, &[&component]).map_err(at(&path))?;
    Ok(Built {
        size_bytes: component.len() as u64,
        digest: plugin.digest().to_owned(),
        duration: started.elapsed(),
        path,
        plugin,
    })
}

/// An error about a file.
fn at(path: &Path) -> impl FnOnce(io::Error) -> BuildError + use<> {
    let path = path.to_owned();
    move |source| BuildError::File { path, source }
}

/// Writes one of the files that are made on the way.
fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<(), BuildError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(at(folder))?;
    }
    std::fs::write(path, text).map_err(at(path))
}

/// The module, as compilers write it, as a component.
fn encode(name: &str, module: &[u8], hint: &'static str) -> Result<Vec<u8>, BuildError> {
    let encoded = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|mut encoder| encoder.encode());
    encoded.map_err(|cause| BuildError::Encode {
        name: name.to_owned(),
        reason: format!("{cause:#}"),
        hint,
    })
}

/// Builds a plugin unless its component is newer than all of its source, and loads it. Of a crate cargo knows that better: its dependencies lie elsewhere.
pub fn build_if_stale(runtime: &Runtime, project: &Project) -> Result<Arc<Plugin>, BuildError> {
    let made = std::fs::metadata(&project.component).and_then(|file| file.modified());
    let is_current = made.is_ok_and(|made| newest(project).is_ok_and(|newest| newest < Some(made)));
    if is_current && project.language != Language::Rust {
        return Ok(runtime.load(&project.component)?);
    }
    Ok(build(runtime, project, None)?.plugin)
}

/// When a project's source, or a package that it is built of, was last written to. Rows of tests and documents are no source.
fn newest(project: &Project) -> io::Result<Option<SystemTime>> {
    let rows: HashSet<PathBuf> = project.cases.iter().flat_map(Case::files).collect();
    let is_source =
        |path: &Path| !rows.contains(path) && path.extension().is_none_or(|end| end != "md");
    Ok(newest_in(&project.folder, &is_source)?.max(newest_package(&project.folder)))
}

fn newest_in(folder: &Path, is_source: &dyn Fn(&Path) -> bool) -> io::Result<Option<SystemTime>> {
    let mut newest = None;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        if BUILT_FOLDERS.iter().any(|built| name == *built) || !is_source(&path) {
            continue;
        }
        let metadata = entry.metadata()?;
        let written = match metadata.is_dir() {
            true => newest_in(&path, is_source)?,
            false => Some(metadata.modified()?),
        };
        newest = newest.max(written);
    }
    Ok(newest)
}

/// When pip or npm last installed something in a project: each writes to one place then.
fn newest_package(folder: &Path) -> Option<SystemTime> {
    let libraries = std::fs::read_dir(folder.join(".venv/lib"));
    let libraries = libraries.into_iter().flatten().flatten();
    let of_pip = libraries.map(|library| library.path().join("site-packages"));
    let of_npm = folder.join("node_modules/.package-lock.json");
    let places = of_pip.chain([of_npm]);
    let written = |place: PathBuf| std::fs::metadata(place).and_then(|place| place.modified());
    places.filter_map(|place| written(place).ok()).max()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn rows_and_documents_are_no_source_and_packages_are() {
        let folder = tempfile::tempdir().unwrap();
        let at = |hour: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(hour * 3600);
        let touch = |name: &str, hour| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let file = File::options().append(true).create(true).open(path);
            file.unwrap().set_modified(at(hour)).unwrap();
        };
        fs::write(
            folder.path().join("tidemill-plugin.toml"),
            "name = \"x\"\nlanguage = \"python\"\n[[test]]\nname = \"t\"\nrows = \"tests/rows.csv\"\nexpected = \"tests/e.jsonl\"\n\
             tables = { zones = { file = \"zones.csv\" } }\n",
        )
        .unwrap();
        touch("tidemill-plugin.toml", 1);
        touch("src/plugin.py", 2);
        for name in [
            "tests/rows.csv",
            "tests/e.jsonl",
            "tests/e.rejected.jsonl",
            "zones.csv",
            "README.md",
            "build/x.wasm",
            ".venv/bin/python",
        ] {
            touch(name, 9);
        }
        let project = Project::open(folder.path()).unwrap();
        assert_eq!(newest(&project).unwrap(), Some(at(2)));
        touch("node_modules/.package-lock.json", 3);
        assert_eq!(newest(&project).unwrap(), Some(at(3)));
        let packages = folder.path().join(".venv/lib/python3.12/site-packages");
        fs::create_dir_all(&packages).unwrap();
        File::open(&packages).unwrap().set_modified(at(4)).unwrap();
        assert_eq!(newest(&project).unwrap(), Some(at(4)));
        touch("src/plugin.py", 5);
        assert_eq!(newest(&project).unwrap(), Some(at(5)));
    }
}
