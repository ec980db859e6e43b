//! A plugin's folder, and what its `tidemill-plugin.toml` says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use serde::Deserialize;

use super::error::Error;
use crate::rows::{self, Reference, ReferenceFile};

/// The file that says what a plugin's folder is.
pub const FILE: &str = "tidemill-plugin.toml";
/// The folder of what is made, in the plugin's folder.
pub(super) const BUILD: &str = "build";

/// A language that plugins are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Rust, by cargo.
    Rust,
    /// Python, by componentize-py.
    Python,
    /// JavaScript, by jco with QuickJS.
    #[value(alias = "js")]
    Javascript,
    /// TypeScript, by jco with QuickJS.
    #[value(alias = "ts")]
    Typescript,
    /// C, by zig or clang.
    C,
}

impl Language {
    /// The word for it in `tidemill-plugin.toml`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::Javascript => "javascript",
            Self::Typescript => "typescript",
            Self::C => "c",
        }
    }

    /// The plugin's source file, where the project names none.
    pub(super) fn source(self) -> &'static str {
        match self {
            Self::Rust => "src/lib.rs",
            Self::Python => "src/plugin.py",
            Self::Javascript => "src/plugin.js",
            Self::Typescript => "src/plugin.ts",
            Self::C => "src/plugin.c",
        }
    }
}

/// A plugin's folder.
#[derive(Clone, Debug)]
pub struct Project {
    /// The folder.
    pub folder: PathBuf,
    /// The plugin's name; the component's file has it too.
    pub name: String,
    /// The language.
    pub language: Language,
    /// The source file, relative to the folder.
    pub source: PathBuf,
    /// The component's file.
    pub component: PathBuf,
    /// The tests.
    pub cases: Vec<Case>,
}

/// A test of a plugin: rows, settings, and the rows that are expected.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// The table that the plugin is shown: database and name.
    pub table: (String, String),
    /// The columns; none: the file's own.
    pub columns: Option<SchemaRef>,
    /// The key's columns, in key order.
    pub key: Vec<String>,
    /// The plugin's configuration, without the reference tables.
    pub config: serde_json::Value,
    /// The reference tables.
    pub tables: Vec<Reference>,
    /// The file of the rows.
    pub rows: PathBuf,
    /// The file of the rows that are expected.
    pub expected: Option<PathBuf>,
    /// Words of the error that is expected instead.
    pub error: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectFile {
    name: String,
    language: Language,
    source: Option<PathBuf>,
    component: Option<PathBuf>,
    #[serde(default, rename = "test")]
    tests: Vec<CaseFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    name: String,
    #[serde(default = "default_table")]
    table: String,
    columns: Option<Vec<String>>,
    #[serde(default)]
    key: Vec<String>,
    #[serde(default = "empty_object")]
    config: serde_json::Value,
    #[serde(default)]
    tables: BTreeMap<String, ReferenceFile>,
    rows: PathBuf,
    expected: Option<PathBuf>,
    error: Option<String>,
}

fn default_table() -> String {
    "test.rows".to_owned()
}

fn empty_object() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

impl Project {
    /// The project of a folder: by its `tidemill-plugin.toml`, else a Rust crate without tests of this kind, whose name and component are its own.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                return Self::bare_crate(folder);
            }
            Err(source) => return Err(Error::File { path, source }),
        };
        let wrong = |reason: String| Error::Project {
            path: path.clone(),
            reason,
        };
        let file: ProjectFile = toml::from_str(&text).map_err(|cause| wrong(cause.to_string()))?;
        check_name(&file.name).map_err(wrong)?;
        let cases = file.tests.into_iter().map(|case| {
            let name = case.name.clone();
            case.resolve(folder).map_err(|reason| Error::Project {
                path: path.clone(),
                reason: format!("test `{name}`: {reason}"),
            })
        });
        let component = file
            .component
            .unwrap_or_else(|| Path::new(BUILD).join(format!("{}.wasm", file.name)));
        Ok(Self {
            folder: folder.to_owned(),
            source: file.source.unwrap_or_else(|| file.language.source().into()),
            component: folder.join(component),
            name: file.name,
            language: file.language,
            cases: cases.collect::<Result<_, _>>()?,
        })
    }

    fn bare_crate(folder: &Path) -> Result<Self, Error> {
        if !folder.join("Cargo.toml").is_file() {
            return Err(Error::NoProject {
                folder: folder.to_owned(),
            });
        }
        let (name, component) = super::build::crate_output(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            name,
            language: Language::Rust,
            source: Language::Rust.source().into(),
            component,
            cases: Vec::new(),
        })
    }

    /// The folder of what is made on the way.
    pub(super) fn build_folder(&self) -> PathBuf {
        self.folder.join(BUILD)
    }
}

/// Checks a plugin's name, which is a file's and a crate's name, too.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let starts = name.starts_with(|first: char| first.is_ascii_lowercase());
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if starts && name.len() <= 64 && name.bytes().all(plain) {
        return Ok(());
    }
    Err(format!(
        "`{name}` is no plugin's name: expected small letters, digits and `-`, a letter first, 64 at most"
    ))
}

impl Case {
    /// The plugin's configuration with the reference tables, as their files are now.
    pub(super) fn whole_config(&self) -> Result<serde_json::Value, Error> {
        let wrong = |reason: String| Error::NoRows(format!("test `{}`: {reason}", self.name));
        let tables = self.tables.iter().map(|reference| {
            let name = reference.name.clone();
            match reference.read() {
                Ok(read) => Ok((name, read.table)),
                Err(error) => Err(wrong(format!("table `{name}`: {error}"))),
            }
        });
        let tables = tables.collect::<Result<Vec<_>, _>>()?;
        rows::with_tables(self.config.clone(), tables)
            .map_err(|name| wrong(format!("the table `{name}` is in `config` too")))
    }

    /// The files that its rows are in, given and expected: they are no part of the plugin.
    pub(super) fn files(&self) -> impl Iterator<Item = PathBuf> {
        let expected = self.expected.as_deref();
        let expected = expected.map(|file| [file.to_owned(), super::test::rejected_file(file)]);
        let tables = self.tables.iter().map(|reference| reference.file.clone());
        let rows = std::iter::once(self.rows.clone());
        rows.chain(expected.into_iter().flatten()).chain(tables)
    }
}

impl CaseFile {
    fn resolve(self, folder: &Path) -> Result<Case, String> {
        let columns = self.columns.as_deref().map(rows::columns).transpose()?;
        let table = match self.table.split_once('.') {
            Some((database, table)) => (database.to_owned(), table.to_owned()),
            None => ("test".to_owned(), self.table),
        };
        if !self.config.is_object() {
            return Err("`config` is not a table".to_owned());
        }
        if self.expected.is_some() && self.error.is_some() {
            return Err("it expects rows and an error; one of them can come".to_owned());
        }
        let tables = self.tables.iter().map(|(name, file)| {
            file.resolve(name, folder)
                .map_err(|(setting, reason)| format!("table `{name}`: {setting}: {reason}"))
        });
        let tables = tables.collect::<Result<_, _>>()?;
        Ok(Case {
            name: self.name,
            table,
            columns,
            key: self.key,
            config: self.config,
            tables,
            rows: folder.join(self.rows),
            expected: self.expected.map(|path| folder.join(path)),
            error: self.error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(text: &str) -> Result<Project, Error> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), text).unwrap();
        Project::open(folder.path())
    }

    #[test]
    fn a_project_says_what_it_is() {
        let project = opened(
            "name = \"tidy\"\nlanguage = \"python\"\n[[test]]\nname = \"one\"\ntable = \"shop.orders\"\ncolumns = [\"id: int64\"]\nkey = [\"id\"]\n\
             config = { a = 1 }\nrows = \"tests/rows.csv\"\n",
        )
        .unwrap();
        assert_eq!(project.source, Path::new("src/plugin.py"));
        assert!(project.component.ends_with("build/tidy.wasm"));
        let case = &project.cases[0];
        assert_eq!(case.table, ("shop".to_owned(), "orders".to_owned()));
        assert_eq!(case.config, serde_json::json!({ "a": 1 }));
    }

    #[test]
    fn what_is_wrong_is_told_with_file_and_place() {
        for (text, words) in [
            ("name = \"Tidy\"\nlanguage = \"c\"", "small letters"),
            ("name = \"../x\"\nlanguage = \"c\"", "small letters"),
            ("name = \"x\"\nlanguage = \"cobol\"", "line 2"),
            ("name = \"x\"\nlanguage = \"c\"\nruns = 1", "runs"),
            (
                "name = \"x\"\nlanguage = \"c\"\n[[test]]\nname = \"t\"\nrows = \"r\"\ncolumns = [\"a: b\"]",
                "test `t`: `a: b`",
            ),
            (
                "name = \"x\"\nlanguage = \"c\"\n[[test]]\nname = \"t\"\nrows = \"r\"\nexpected = \"e\"\nerror = \"e\"",
                "one of them",
            ),
        ] {
            let error = opened(text).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains(FILE), "{error}");
        }
    }

    #[test]
    fn a_reference_table_is_needed_by_its_test_alone() {
        let project = opened(
            "name = \"x\"\nlanguage = \"c\"\n[[test]]\nname = \"t\"\nrows = \"r.csv\"\nexpected = \"e.jsonl\"\n\
             tables = { zones = { file = \"zones.csv\" } }\n",
        )
        .unwrap();
        let case = &project.cases[0];
        let error = case.whole_config().unwrap_err().to_string();
        assert!(
            error.contains("test `t`: table `zones`") && error.contains("zones.csv"),
            "{error}"
        );
        let files: Vec<_> = case.files().collect();
        let names = ["r.csv", "e.jsonl", "e.rejected.jsonl", "zones.csv"];
        assert_eq!(files, names.map(|name| project.folder.join(name)));
    }

    #[test]
    fn a_folder_of_nothing_says_how_to_begin() {
        let folder = tempfile::tempdir().unwrap();
        let error = Project::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("tidemill plugin new"), "{error}");
    }
}
