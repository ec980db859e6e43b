//! A watch on a plugin's source: at each save it is built, and the first test's rows are shown before and after. A save that doesn't build leaves the last
//! good component where it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use notify::{RecursiveMode, Watcher};

use super::build::{BUILT_FOLDERS, Built, build};
use super::error::Error;
use super::project::Project;
use super::test::{CaseReport, check};
use crate::rows;
use crate::transform::{Plugin, Runtime};

/// An editor writes a file in several steps: so long nothing must happen before a build.
const QUIET: Duration = Duration::from_millis(150);

/// What `dev` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A file was saved.
    Saved,
    /// It is to end.
    Stop,
}

/// What `dev` tells.
#[derive(Debug)]
pub enum Event {
    /// It waits for a save.
    Watching(PathBuf),
    /// The plugin was built.
    Built(Built),
    /// The first test's rows went through it.
    Ran(Box<CaseReport>),
    /// The build, or the test, could not be done. `kept`: whether an earlier component is still in its place.
    Failed {
        /// Why.
        error: Error,
        /// Whether an earlier component is still in its place.
        kept: bool,
    },
}

/// Watches a plugin's folder until it is told to stop. `signals` are those of `sender`, which the caller may use, too.
pub fn dev(
    runtime: &Runtime,
    folder: &Path,
    sender: &Sender<Signal>,
    signals: &Receiver<Signal>,
    tell: &mut dyn FnMut(Event),
) -> Result<(), Error> {
    let project = Project::open(folder)?;
    let _watcher = watch(&project.folder, sender.clone())?;
    loop {
        round(runtime, folder, tell);
        tell(Event::Watching(project.folder.clone()));
        if !saved(signals) {
            return Ok(());
        }
    }
}

/// Waits for a save and the quiet after it; no: it is to end.
fn saved(signals: &Receiver<Signal>) -> bool {
    if signals.recv() != Ok(Signal::Saved) {
        return false;
    }
    loop {
        match signals.recv_timeout(QUIET) {
            Ok(Signal::Saved) => {}
            Err(RecvTimeoutError::Timeout) => return true,
            Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

fn round(runtime: &Runtime, folder: &Path, tell: &mut dyn FnMut(Event)) {
    // The tests are a part of what is saved.
    let project = match Project::open(folder) {
        Ok(project) => project,
        Err(error) => return tell(Event::Failed { error, kept: false }),
    };
    let failed = |error| Event::Failed {
        error,
        kept: project.component.is_file(),
    };
    let plugin = match build(runtime, &project, None) {
        Ok(built) => {
            let plugin = built.plugin.clone();
            tell(Event::Built(built));
            plugin
        }
        Err(error) => return tell(failed(error.into())),
    };
    match first_case(runtime, &project, &plugin) {
        Ok(Some(report)) => tell(Event::Ran(Box::new(report))),
        Ok(None) => {}
        Err(error) => tell(failed(error)),
    }
}

fn first_case(
    runtime: &Runtime,
    project: &Project,
    plugin: &Arc<Plugin>,
) -> Result<Option<CaseReport>, Error> {
    let case = project.cases.first();
    case.map(|case| check(runtime, plugin, case, None, false))
        .transpose()
}

/// Sends a signal for each change of a file that isn't one of the build's own.
fn watch(folder: &Path, sender: Sender<Signal>) -> Result<impl Watcher + use<>, Error> {
    let failed = |cause: notify::Error| Error::Watch {
        folder: folder.to_owned(),
        reason: cause.to_string(),
    };
    let root = folder.canonicalize().map_err(|source| Error::File {
        path: folder.to_owned(),
        source,
    })?;
    let below = root.clone();
    let changed = move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        let is_change = event.kind.is_modify() || event.kind.is_create() || event.kind.is_remove();
        let is_source = |path: &PathBuf| path.strip_prefix(&below).is_ok_and(is_source);
        if is_change && event.paths.iter().any(is_source) {
            // Nobody listens any more: it has ended.
            let _ended = sender.send(Signal::Saved);
        }
    };
    let mut watcher = notify::recommended_watcher(changed).map_err(failed)?;
    watcher
        .watch(&root, RecursiveMode::Recursive)
        .map_err(failed)?;
    Ok(watcher)
}

/// Whether a path in the plugin's folder is one that a person writes.
fn is_source(path: &Path) -> bool {
    let mut parts = path.components();
    !parts.any(|part| {
        BUILT_FOLDERS
            .iter()
            .any(|folder| part.as_os_str() == *folder)
    }) && path.file_name().is_some_and(|name| name != "Cargo.lock")
}

/// A row before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The row that went in, as JSON.
    pub before: String,
    /// What became of it.
    pub after: Result<String, String>,
}

impl Shown {
    /// The rows of a test, in their order.
    pub fn of(report: &CaseReport) -> Vec<Self> {
        let (Some(trial), Some(fate)) = (&report.trial, &report.fate) else {
            return Vec::new();
        };
        let given = trial.rows();
        let mut after = vec![Err("left out".to_owned()); given.num_rows()];
        for (place, &row) in fate.origins.iter().enumerate() {
            after[row] = Ok(rows::row_line(&fate.rows, place));
        }
        for rejected in &fate.rejected {
            after[rejected.row - 1] = Err(format!("rejected: {}", rejected.reason));
        }
        let before = rows::lines(given).into_iter();
        before
            .zip(after)
            .map(|(before, after)| Self { before, after })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_writes_is_no_save() {
        for path in [
            "src/plugin.py",
            "tests/rows.jsonl",
            "tidemill-plugin.toml",
            "sdk/tidemill.h",
        ] {
            assert!(is_source(Path::new(path)), "{path}");
        }
        for path in [
            "build/x.wasm",
            "target/release/x",
            "node_modules/a/b.js",
            "src/__pycache__/x",
            ".git/index",
            ".venv/bin/x",
            "Cargo.lock",
        ] {
            assert!(!is_source(Path::new(path)), "{path}");
        }
    }
}
