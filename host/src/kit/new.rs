//! A new plugin: a folder that builds and passes its test as it is, out of the templates and helpers that this program has in it.

use std::path::{Path, PathBuf};

use include_dir::{Dir, DirEntry, include_dir};

use super::error::Error;
use super::project::{Language, check_name};

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");
static PYTHON: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../plugins/sdk-python/tidemill");
static JAVASCRIPT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../plugins/sdk-javascript");
static C: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../plugins/sdk-c");
static CONTRACT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../wit");

/// A plugin that was made.
#[derive(Clone, Debug)]
pub struct Created {
    /// Its folder.
    pub folder: PathBuf,
    /// Its files, relative to the folder.
    pub files: Vec<PathBuf>,
    /// The commands that come next.
    pub next: Vec<String>,
}

/// Makes the folder of a new plugin. `folder` must not exist, or be empty.
pub fn create(folder: &Path, name: &str, language: Language) -> Result<Created, Error> {
    check_name(name).map_err(Error::New)?;
    let taken = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if taken || folder.is_file() {
        return Err(Error::New(format!(
            "`{}` is there already; a new plugin needs a folder of its own",
            folder.display()
        )));
    }
    let mut files = Vec::new();
    for (path, content) in content(name, language) {
        write(&folder.join(&path), &content)?;
        files.push(path);
    }
    let shown = folder.display();
    let mut next = vec![format!("cd {shown}")];
    next.extend(setup(language).map(str::to_owned));
    next.push("tidemill plugin test".to_owned());
    Ok(Created {
        folder: folder.to_owned(),
        files,
        next,
    })
}

/// All files of a new plugin: paths and texts.
fn content(name: &str, language: Language) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for folder in ["common", language.word()] {
        collect(&TEMPLATES, Path::new(folder), Path::new(""), &mut files);
    }
    let part = files
        .iter()
        .position(|(path, _)| path.ends_with("README.part.md"));
    let part = part
        .map(|place| files.swap_remove(place).1)
        .unwrap_or_default();
    let part = String::from_utf8_lossy(&part).into_owned();
    for (path, content) in &mut files {
        // Cargo and git would take the templates' own files for those of this repository.
        for (stored, meant) in [
            ("gitignore", ".gitignore"),
            ("Cargo.toml.template", "Cargo.toml"),
        ] {
            if path.ends_with(stored) {
                path.set_file_name(meant);
            }
        }
        *content = filled(content, name, language, &part);
    }
    match language {
        Language::Python => collect(
            &PYTHON,
            Path::new(""),
            Path::new("sdk/tidemill"),
            &mut files,
        ),
        Language::Javascript | Language::Typescript => {
            collect(&JAVASCRIPT, Path::new(""), Path::new("sdk"), &mut files);
        }
        Language::C => collect(&C, Path::new(""), Path::new("sdk"), &mut files),
        Language::Rust => super::vendor::sdk(&mut files),
    }
    if language != Language::Rust {
        collect(&CONTRACT, Path::new(""), Path::new("sdk/wit"), &mut files);
    }
    files.retain(|(path, _)| is_wanted(path));
    files.sort();
    files
}

/// Caches, and the helpers' own tests, stay behind.
fn is_wanted(path: &Path) -> bool {
    let is_cache = path
        .components()
        .any(|part| part.as_os_str() == "__pycache__");
    let is_test = path.starts_with("sdk") && path.to_string_lossy().contains(".test.");
    !is_cache && !is_test
}

/// Puts an embedded folder's files below another path.
pub(super) fn collect(dir: &Dir<'_>, from: &Path, to: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    let entries = match from.as_os_str().is_empty() {
        true => dir.entries(),
        false => dir.get_dir(from).map(Dir::entries).unwrap_or_default(),
    };
    for entry in entries {
        match entry {
            DirEntry::Dir(inner) => {
                collect(dir, inner.path(), &to.join(name_of(inner.path())), files)
            }
            DirEntry::File(file) => {
                files.push((to.join(name_of(file.path())), file.contents().to_vec()))
            }
        }
    }
}

fn name_of(path: &Path) -> &Path {
    path.file_name().map_or(path, Path::new)
}

/// A template's text with this plugin's words in it.
fn filled(text: &[u8], name: &str, language: Language, part: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let setup: Vec<&str> = setup(language).collect();
    text.replace("{{part}}", part.trim_end())
        .replace("{{setup}}", &setup.join("\n"))
        .replace("{{name}}", name)
        .replace("{{language}}", language.word())
        .replace("{{source}}", language.source())
        .into_bytes()
}

/// The commands that install what builds a plugin of this language.
fn setup(language: Language) -> impl Iterator<Item = &'static str> {
    let commands: &[&str] = match language {
        Language::Rust => &["rustup target add wasm32-unknown-unknown"],
        Language::Python => &[
            "python3 -m venv .venv",
            ".venv/bin/pip install componentize-py==0.25.1",
        ],
        Language::Javascript | Language::Typescript => &["npm install"],
        Language::C => &[
            "python3 -m venv .venv",
            ".venv/bin/pip install ziglang==0.17.1",
        ],
    };
    commands.iter().copied()
}

fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(path);
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, content));
    written.map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::kit::Project;

    #[test]
    fn every_language_s_project_is_whole() {
        for language in Language::value_variants() {
            let folder = tempfile::tempdir().unwrap();
            let made = create(&folder.path().join("tidy"), "tidy", *language).unwrap();
            for file in &made.files {
                let text = std::fs::read_to_string(made.folder.join(file)).unwrap();
                for word in [
                    "{{name}}",
                    "{{language}}",
                    "{{source}}",
                    "{{setup}}",
                    "{{part}}",
                ] {
                    assert!(!text.contains(word), "{word} in {}", file.display());
                }
            }
            let project = Project::open(&made.folder).unwrap();
            assert_eq!((project.language, project.cases.len()), (*language, 1));
            assert!(made.folder.join(&project.source).is_file(), "{language:?}");
            assert!(project.cases[0].rows.is_file() && made.folder.join("README.md").is_file());
            assert!(made.folder.join(".gitignore").is_file());
        }
    }

    #[test]
    fn nothing_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mine"), "").unwrap();
        let error = create(folder.path(), "tidy", Language::C)
            .unwrap_err()
            .to_string();
        assert!(error.contains("is there already"), "{error}");
        let error = create(&folder.path().join("x"), "Tidy Up", Language::C)
            .unwrap_err()
            .to_string();
        assert!(error.contains("small letters"), "{error}");
    }
}
