//! The plugin kit at the command line: what an author of a plugin types and sees, with the real tools of each language.

mod dev;
mod guide;
mod templates;
mod testing;
mod tools;
mod types;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{root, tidemill, world};

/// A new plugin in a folder of its own.
pub(crate) struct Author {
    folder: tempfile::TempDir,
}

impl Author {
    /// `tidemill plugin new tidy`.
    pub(crate) fn new(language: &str) -> Self {
        let author = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let made = author.at(
            author.folder.path(),
            &["plugin", "new", "tidy", "--language", language],
        );
        assert_eq!(made.code, Some(0), "{made:#?}");
        author
    }

    /// The plugin's folder.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("tidy")
    }

    /// The component.
    pub(crate) fn component(&self) -> PathBuf {
        self.path().join("build/tidy.wasm")
    }

    /// A command in the plugin's folder, not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        command_in(&self.path(), arguments)
    }

    /// A command's answer in JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> world::Answer {
        self.at(&self.path(), arguments)
    }

    fn at(&self, folder: &Path, arguments: &[&str]) -> world::Answer {
        let mut command = command_in(folder, arguments);
        world::answer(command.args(["--output", "json"]).output().unwrap())
    }

    /// A command's answer as a person sees it.
    pub(crate) fn text(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Changes a file of the plugin.
    pub(crate) fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "`{from}` is not in {file}: {text}");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    }

    /// Writes a file of the plugin.
    pub(crate) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path().join(file), text).unwrap();
    }
}

fn command_in(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(tidemill());
    command
        .current_dir(folder)
        .args(arguments)
        .env("TIDEMILL_PLUGIN_PATH", root().join("target/plugins"))
        // What all Rust plugins of the tests need is compiled once.
        .env("CARGO_TARGET_DIR", root().join("target/templates"));
    command
}

/// The verdict of a plugin's only test.
#[track_caller]
pub(crate) fn verdict(answer: &world::Answer) -> &Value {
    let tests = answer.json["result"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer:#?}"));
    assert_eq!(tests.len(), 1, "{answer:#?}");
    &tests[0]["verdict"]
}
