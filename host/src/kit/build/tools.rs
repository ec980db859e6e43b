//! The programs that build plugins: where they are, and how one is called.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::BuildError;
use crate::transform::user_cache_dir;

/// Lines of a failed build's messages that the error repeats.
const MESSAGE_LINES: usize = 60;

/// A program, and how somebody comes by it.
pub(super) struct Tool {
    pub(super) name: &'static str,
    /// What it is needed for.
    pub(super) language: &'static str,
    /// The environment variable that may name it.
    pub(super) variable: &'static str,
    /// Its places in a plugin's folder, as its installer makes them.
    pub(super) in_project: &'static [&'static str],
    /// Its place below the user's cache folder, where `tests/provision/plugin-tools` puts it.
    pub(super) in_cache: &'static str,
    /// The command that installs it.
    pub(super) install: &'static str,
}

impl Tool {
    /// The program's file: the one that the variable names, the plugin folder's own, one in `PATH`, the one in the user's cache.
    pub(super) fn find(&self, folder: &Path) -> Result<PathBuf, BuildError> {
        if let Some(named) = std::env::var_os(self.variable).filter(|named| !named.is_empty()) {
            return Ok(named.into());
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        self.find_in(folder, &path, user_cache_dir().as_deref())
    }

    fn find_in(
        &self,
        folder: &Path,
        path: &OsStr,
        cache: Option<&Path>,
    ) -> Result<PathBuf, BuildError> {
        let own = self.in_project.iter().map(|place| folder.join(place));
        let in_path = std::env::split_paths(path).map(|folder| folder.join(self.name));
        let cached = cache.map(|cache| cache.join("tools").join(self.in_cache));
        let found = own
            .chain(in_path)
            .chain(cached.clone())
            .find(|file| file.is_file());
        // The tool runs in a folder of its own.
        if let Some(found) = found {
            return std::path::absolute(&found).map_err(super::at(&found));
        }
        let own = self.in_project.iter().map(|place| format!("`{place}`"));
        let cached = cached.map(|file| format!("`{}`", file.display()));
        Err(BuildError::MissingTool {
            tool: self.name,
            language: self.language,
            install: self.install.to_owned(),
            variable: self.variable,
            looked: own
                .chain(["the folders of `PATH`".to_owned()])
                .chain(cached)
                .collect(),
        })
    }
}

/// Runs a program to its end; its messages are the error's where it fails. `told` is what it is called in errors.
pub(super) fn run(command: &mut Command, told: &str, folder: &Path) -> Result<Output, BuildError> {
    let output = output(command)?;
    if output.status.success() {
        return Ok(output);
    }
    let messages = [&output.stdout[..], &output.stderr[..]].concat();
    Err(BuildError::Tool {
        command: told.to_owned(),
        folder: folder.to_owned(),
        messages: last_lines(&messages),
    })
}

pub(super) fn output(command: &mut Command) -> Result<Output, BuildError> {
    command.output().map_err(|source| BuildError::Program {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    })
}

pub(super) fn last_lines(messages: &[u8]) -> String {
    let text = String::from_utf8_lossy(messages);
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(MESSAGE_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOL: Tool = Tool {
        name: "maker",
        language: "Cobol",
        variable: "TIDEMILL_TEST_MAKER",
        in_project: &["tools/maker"],
        in_cache: "cobol/maker",
        install: "cobolget install maker",
    };

    #[test]
    fn a_tool_is_looked_for_in_order_and_its_absence_says_what_to_do() {
        let home = tempfile::tempdir().unwrap();
        let (project, path, cache) = (
            home.path().join("p"),
            home.path().join("bin"),
            home.path().join("cache"),
        );
        let find = || TOOL.find_in(&project, path.as_os_str(), Some(&cache));
        let error = find().unwrap_err().to_string();
        for words in [
            "`maker`",
            "Cobol",
            "\n  cobolget install maker\n",
            "TIDEMILL_TEST_MAKER",
            "`tools/maker`",
            "cache/tools/cobol/maker",
        ] {
            assert!(error.contains(words), "{words}: {error}");
        }
        for file in [
            cache.join("tools/cobol/maker"),
            path.join("maker"),
            project.join("tools/maker"),
        ] {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, "").unwrap();
            assert_eq!(find().unwrap(), file);
        }
    }
}
