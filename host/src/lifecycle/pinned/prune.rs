//! Copies that nothing needs any more are removed: a pipe that is resynced each night would else keep every plugin and table that it ever had.
//!
//! Needed is what a stream's tables were loaded with, the pipe's own and that of a resync, and what an unfinished resync is made with. A table that was rolled back
//! has left its stream, and its next load is made with copies of its own. All of that stands in the journal before a copy is used, so a crash between two
//! removals leaves at most some for the next time.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use super::{BoundTable, Error, digest, folder, unusable};
use crate::digest::Digest;
use crate::journal::{Journal, PinnedPlugin};

/// Removes what neither the journal nor the load of these tables needs. Who has the pipe's lock does it. That it can't be done stops nobody.
pub(in crate::lifecycle) fn prune(state: &Path, journal: &Journal, tables: &[BoundTable]) {
    let bound = tables.iter().flat_map(|table| &table.plugins);
    let pruned = Needed::of(journal, bound).and_then(|needed| {
        let pruned = needed.keep_alone(&folder(state));
        pruned.map_err(|cause| Error::from(unusable(state)(cause)))
    });
    if let Err(error) = pruned {
        tracing::warn!(%error, "what earlier loads were made with can't be removed");
    }
}

struct Needed {
    resyncs: HashSet<String>,
    plugins: HashSet<Digest>,
}

impl Needed {
    fn of<'p>(
        journal: &Journal,
        bound: impl Iterator<Item = &'p PinnedPlugin>,
    ) -> Result<Self, Error> {
        let mut needed = Self {
            resyncs: HashSet::new(),
            plugins: bound.map(digest).collect::<Result<_, _>>()?,
        };
        for followed in journal.all_followed()? {
            needed.add(followed.resync, &followed.plugins)?;
        }
        for resync in journal.resyncs()? {
            if !resync.phase.is_over() {
                let tables = journal.tables(&resync.id)?;
                let plugins = tables.into_iter().flat_map(|table| table.plugins);
                needed.add(resync.id, &plugins.collect::<Vec<_>>())?;
            }
        }
        Ok(needed)
    }

    fn add(&mut self, resync: String, plugins: &[PinnedPlugin]) -> Result<(), Error> {
        self.resyncs.insert(resync);
        for plugin in plugins {
            self.plugins.insert(digest(plugin)?);
        }
        Ok(())
    }

    /// Removes all other copies of a folder.
    fn keep_alone(&self, folder: &Path) -> io::Result<()> {
        let mut texts = Vec::new();
        for file in files(folder)? {
            if file.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            match self.resyncs.contains(stem(&file)) {
                true => texts.push(std::fs::read_to_string(&file)?),
                false => std::fs::remove_file(&file)?,
            }
        }
        for file in files(&folder.join("plugins"))? {
            let is_copy = file
                .extension()
                .is_some_and(|extension| extension == "wasm" || extension == "json");
            let digest = Digest::parse(stem(&file)).filter(|_| is_copy);
            if digest.is_some_and(|digest| !self.plugins.contains(&digest)) {
                std::fs::remove_file(&file)?;
            }
        }
        // The pipe files that were kept name their tables.
        for file in files(&folder.join("tables"))? {
            let name = stem(&file);
            let is_copy = Digest::parse(name).is_some()
                && file.extension().is_none_or(|extension| extension != "tmp");
            if is_copy && !texts.iter().any(|text| text.contains(name)) {
                std::fs::remove_file(&file)?;
            }
        }
        Ok(())
    }
}

fn stem(file: &Path) -> &str {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    stem.unwrap_or_default()
}

/// The files of a folder; none, if it isn't there.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(cause),
    };
    let paths = entries.map(|entry| Ok(entry?.path()));
    let paths: io::Result<Vec<PathBuf>> = paths.collect();
    Ok(paths?.into_iter().filter(|path| path.is_file()).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::journal::{
        FollowedRecord, Kind, MAIN, Phase, ResyncRecord, StreamRecord, TableRecord,
    };
    use crate::schema::{Position, TableName};

    fn plugin(content: &str) -> PinnedPlugin {
        PinnedPlugin {
            plugin: content.to_owned(),
            digest: Digest::of(content.as_bytes()).hex().to_owned(),
            config: None,
            grants: None,
        }
    }

    fn followed(resync: &str, plugins: &[PinnedPlugin]) -> FollowedRecord {
        let schema = json!({
            "name": { "database": "shop", "name": "orders" }, "columns": [], "key": [], "key_index": null,
            "estimated_rows": 0, "estimated_bytes": 0, "comment": "",
        });
        let record = json!({
            "source": TableName::new("shop", "orders"), "destination": "orders", "resync": resync, "plugins": plugins,
            "schema": schema, "state": "following", "reason": null, "from": null,
            "since": "2026-01-01T00:00:00Z", "counts": crate::journal::ChangeCounts::default(),
        });
        serde_json::from_value(record).expect("a record")
    }

    /// A resync in this phase, of a table with this plugin.
    fn begun(journal: &Journal, phase: Phase, plugin: PinnedPlugin) -> String {
        let resync = ResyncRecord {
            phase,
            ..ResyncRecord::new(Kind::Resync)
        };
        let table = TableRecord {
            plugins: vec![plugin],
            ..TableRecord::new(
                TableName::new("shop", "orders"),
                "orders".into(),
                "f".into(),
            )
        };
        journal.begin(&resync, &[table]).expect("begun");
        resync.id
    }

    /// Writes what `keep` would have.
    fn keep(state: &Path, resync: &str, plugin: &str, table: &str) {
        let folder = folder(state);
        fs::create_dir_all(folder.join("plugins")).unwrap();
        fs::create_dir_all(folder.join("tables")).unwrap();
        let (plugin, table) = (Digest::of(plugin.as_bytes()), Digest::of(table.as_bytes()));
        let table = folder
            .join("tables")
            .join(table.hex())
            .with_extension("csv");
        let text = format!("file = {table:?}");
        fs::write(folder.join(format!("{resync}.toml")), text).unwrap();
        for extension in ["wasm", "json"] {
            let file = folder.join("plugins").join(plugin.hex());
            fs::write(file.with_extension(extension), "").unwrap();
        }
        fs::write(table, "").unwrap();
    }

    fn is_kept(state: &Path, resync: &str, plugin: &str, table: &str) -> [bool; 4] {
        let folder = folder(state);
        let (plugin, table) = (Digest::of(plugin.as_bytes()), Digest::of(table.as_bytes()));
        let plugin = folder.join("plugins").join(plugin.hex());
        [
            folder.join(format!("{resync}.toml")).exists(),
            plugin.with_extension("wasm").exists(),
            plugin.with_extension("json").exists(),
            folder
                .join("tables")
                .join(format!("{}.csv", table.hex()))
                .exists(),
        ]
    }

    #[test]
    fn what_streams_and_unfinished_resyncs_need_stays_and_the_rest_goes() {
        let state = tempfile::tempdir().unwrap();
        let state = state.path();
        let journal = Journal::open(state).unwrap();
        let replaced = begun(&journal, Phase::Completed, plugin("old"));
        let aborted = begun(&journal, Phase::Aborted, plugin("aborted"));
        let follows = begun(&journal, Phase::Running, plugin("follows"));
        let failed = begun(&journal, Phase::Failed, plugin("failed"));
        let stream = StreamRecord {
            position: Position {
                gtid: None,
                file: "binlog.000001".to_owned(),
                offset: 4,
            },
            counter: 0,
            pending: None,
            error: None,
            paused: false,
        };
        let main = [followed(&follows, &[plugin("follows")])];
        journal.write_stream(MAIN, &stream, &main, "begun").unwrap();
        for (resync, plugin, table) in [
            (&replaced, "old", "first"),
            (&aborted, "aborted", "shared"),
            (&follows, "follows", "shared"),
            (&failed, "failed", "last"),
        ] {
            keep(state, resync, plugin, table);
        }
        let written = folder(state)
            .join("plugins")
            .join(format!("{}.1-1.tmp", "0".repeat(64)));
        fs::write(&written, "").unwrap();

        prune(state, &journal, &[]);
        assert_eq!(is_kept(state, &replaced, "old", "first"), [false; 4]);
        assert_eq!(
            is_kept(state, &aborted, "aborted", "shared"),
            [false, false, false, true]
        );
        assert_eq!(is_kept(state, &follows, "follows", "shared"), [true; 4]);
        assert_eq!(is_kept(state, &failed, "failed", "last"), [true; 4]);
        assert!(written.exists());

        // A table that a load is about to be made with is needed before the journal knows it.
        keep(state, &replaced, "new", "first");
        let bound = [plugin("new")];
        let needed = Needed::of(&journal, bound.iter()).unwrap();
        needed.keep_alone(&folder(state)).unwrap();
        assert_eq!(
            is_kept(state, &replaced, "new", "first"),
            [false, true, true, false]
        );
    }
}
