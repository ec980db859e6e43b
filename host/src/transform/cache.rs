//! Compiled code, kept between runs: a Rust plugin compiles in 30 ms, one in Python in 10 s, and the compiled form loads in less than one.
//!
//! Loading compiled code runs it: the engine can't tell good machine code from bad. So a file is used only if
//!
//! 1. its folder and itself belong to this user, and nobody else may write there (the folder has mode 0700);
//! 2. it begins with the BLAKE3 of the plugin's digest, the engine's settings and version, and the code, and this digest is right for the
//!    bytes in memory that are then handed over, so a cut, damaged or exchanged file, or one of another engine, is never used.
//!
//! The folder is bounded: what was used last stays. Several processes share it. One may throw out what another one is about to read, which then compiles.
//!
//! What is left is a writer with this user's own rights, who could as well exchange the `tidemill` binary. A file that fails is
//! ignored and written again. Nothing here is an error to anybody: without the cache a plugin is compiled.

use std::fs::{self, DirBuilder, File};
use std::hash::{Hash, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::files::write_whole;

/// Where compiled code is kept by default: `$XDG_CACHE_HOME/tidemill/compiled`, or under `~/.cache`; none without a home.
pub fn default_cache_dir() -> Option<PathBuf> {
    Some(super::user_cache_dir()?.join("compiled"))
}

/// A folder of compiled code for one engine.
#[derive(Debug)]
pub(super) struct CodeCache {
    dir: PathBuf,
    /// Engine version and settings.
    engine: [u8; 32],
    /// Bytes of all files of the folder together, at most.
    most: u64,
}

/// The extension of compiled code.
const COMPILED: &str = "cwasm";
/// The extension of a file that is being written, and how old it is if it no longer is.
const UNFINISHED: (&str, Duration) = ("tmp", Duration::from_secs(3600));

impl CodeCache {
    /// Opens or makes the folder; why it can't be used otherwise.
    pub(super) fn open(dir: &Path, engine: &Engine, most: u64) -> Result<Self, String> {
        if let Some(parent) = dir.parent() {
            fs::create_dir_all(parent).map_err(|cause| cause.to_string())?;
        }
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(cause) if cause.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(cause.to_string());
            }
            _ => {}
        }
        let folder = fs::symlink_metadata(dir).map_err(|cause| cause.to_string())?;
        if !folder.is_dir() || !is_private(&folder) {
            return Err("it is not a folder of this user that nobody else may write to".to_owned());
        }
        let mut hasher = HashInput(Sha256::new());
        env!("CARGO_PKG_VERSION").hash(&mut hasher);
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self {
            dir: dir.to_owned(),
            engine: hasher.0.finalize().into(),
            most,
        })
    }

    /// The compiled code of the plugin with this digest, if it is there and sound.
    pub(super) fn load(&self, engine: &Engine, plugin: &str) -> Option<Component> {
        let bytes = read_private(&self.path(plugin))?;
        let (seal, code) = bytes.split_first_chunk::<32>()?;
        if *seal != self.seal(plugin, code) {
            tracing::warn!(file = %self.path(plugin).display(), "compiled code is damaged and is written again");
            return None;
        }
        // SAFETY: `deserialize` demands bytes that `serialize` of this engine's version and settings wrote. These were written by `store`
        // below: they lie in a file and a folder that only this user can write to, and bear a digest over themselves and over the plugin and engine
        // that they were made for, which was just checked on this very buffer (it is private memory and can't change any more).
        let loaded = unsafe { Component::deserialize(engine, code) };
        let loaded = loaded.inspect_err(|cause| tracing::warn!(reason = %cause, "compiled code can't be loaded and is written again")).ok()?;
        self.touch(plugin);
        Some(loaded)
    }

    /// Notes that a file was used: its time of modification says when it was used last.
    fn touch(&self, plugin: &str) {
        // It may have been thrown out meanwhile, which costs the next load its time only.
        let file = File::open(self.path(plugin));
        let touched = file.and_then(|file| file.set_modified(SystemTime::now()));
        if let Err(error) = touched {
            tracing::debug!(%error, plugin, "the use of compiled code can't be noted");
        }
    }

    /// Keeps a component's compiled code: whole or not at all. What was used least lately makes room.
    pub(super) fn store(&self, component: &Component, plugin: &str) {
        let written = component
            .serialize()
            .map_err(|cause| cause.to_string())
            .and_then(|code| {
                let seal = self.seal(plugin, &code);
                let bytes = (seal.len() + code.len()) as u64;
                let Some(others) = self.most.checked_sub(bytes) else {
                    return Err(format!(
                        "it has {bytes} bytes, and the folder may have {}",
                        self.most
                    ));
                };
                self.make_room(others).map_err(|cause| cause.to_string())?;
                write_whole(&self.path(plugin), 0o600, &[&seal, &code])
                    .map_err(|cause| cause.to_string())
            });
        if let Err(reason) = written {
            tracing::warn!(folder = %self.dir.display(), reason, "compiled code is not kept");
        }
    }

    /// Removes files, those that were used least lately first, until there are no more than so many bytes. What a process has left half written goes, too.
    fn make_room(&self, most: u64) -> io::Result<()> {
        let now = SystemTime::now();
        let (mut files, mut bytes) = (Vec::new(), 0);
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            // Another process may have removed it.
            let Ok(metadata) = fs::symlink_metadata(&path) else {
                continue;
            };
            let used = metadata.modified()?;
            let age = now.duration_since(used).unwrap_or_default();
            let extension = path.extension().unwrap_or_default();
            if extension == COMPILED {
                bytes += metadata.len();
                files.push((used, metadata.len(), path));
            } else if extension == UNFINISHED.0 && age > UNFINISHED.1 {
                remove(&path)?;
            }
        }
        files.sort_unstable();
        for (_, size, path) in files {
            if bytes <= most {
                break;
            }
            remove(&path)?;
            bytes -= size;
        }
        Ok(())
    }

    fn path(&self, plugin: &str) -> PathBuf {
        let engine = hex::encode(&self.engine[..8]);
        self.dir.join(format!("{plugin}-{engine}.{COMPILED}"))
    }

    /// BLAKE3, because most of a load is this: it takes a third of SHA-256's time.
    fn seal(&self, plugin: &str, code: &[u8]) -> [u8; 32] {
        let mut seal = blake3::Hasher::new();
        seal.update(b"tidemill compiled code 2\n");
        seal.update(&self.engine);
        seal.update(plugin.as_bytes());
        seal.update(code);
        *seal.finalize().as_bytes()
    }
}

/// Removes a file that may be gone already.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

/// Owned by this user, and writable by nobody else.
fn is_private(metadata: &fs::Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0
}

fn read_private(path: &Path) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || !is_private(&metadata) {
        return None;
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).ok()?);
    file.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// What `Hash` gives, as input of a digest that stays the same over runs and compilers.
struct HashInput(Sha256);

impl Hasher for HashInput {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest: [u8; 32] = self.0.clone().finalize().into();
        digest
            .iter()
            .take(8)
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const PLUGIN: &str = "00ff";
    const MOST: u64 = 1 << 20;

    #[test]
    fn what_was_used_least_lately_makes_room() {
        let (_home, engine, mut cache) = cached();
        let component =
            Component::from_binary(&engine, &wat::parse_str("(component)").unwrap()).unwrap();
        let size = fs::metadata(cache.path(PLUGIN)).unwrap().len();
        let aged = |path: &Path, seconds| {
            let at = SystemTime::now() - Duration::from_secs(seconds);
            File::open(path).unwrap().set_modified(at).unwrap();
        };
        cache.most = 3 * size;
        for (name, age) in [("00fe", 300), ("00fd", 200)] {
            cache.store(&component, name);
            aged(&cache.path(name), age);
        }
        aged(&cache.path(PLUGIN), 400);
        let torn = cache.dir.join("00fc.1-1.tmp");
        fs::write(&torn, "x").unwrap();
        aged(&torn, 7200);
        let written = cache.dir.join("00fb.1-2.tmp");
        fs::write(&written, "x").unwrap();
        // The oldest is used once more, so that the next one goes.
        assert!(cache.load(&engine, PLUGIN).is_some());
        cache.store(&component, "00fa");
        let is_there = |name| cache.path(name).exists();
        assert!(is_there(PLUGIN) && !is_there("00fe") && is_there("00fd") && is_there("00fa"));
        assert!(!torn.exists() && written.exists());
        // What is larger than all that there may be throws nothing out.
        cache.most = size - 1;
        cache.store(&component, "00f9");
        assert!(!cache.path("00f9").exists() && cache.path("00fa").exists());
    }

    fn cached() -> (tempfile::TempDir, Engine, CodeCache) {
        let home = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let cache = CodeCache::open(&home.path().join("compiled"), &engine, MOST).unwrap();
        let component =
            Component::from_binary(&engine, &wat::parse_str("(component)").unwrap()).unwrap();
        cache.store(&component, PLUGIN);
        (home, engine, cache)
    }

    #[test]
    fn what_was_stored_is_loaded() {
        let (_home, engine, cache) = cached();
        assert!(cache.load(&engine, PLUGIN).is_some());
        assert!(cache.load(&engine, "00fe").is_none());
        assert_eq!(fs::metadata(&cache.dir).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_cut_changed_or_exchanged_file_is_not_used() {
        let (_home, engine, cache) = cached();
        let whole = fs::read(cache.path(PLUGIN)).unwrap();
        for length in [0, 31, 32, whole.len() / 2, whole.len() - 1] {
            fs::write(cache.path(PLUGIN), &whole[..length]).unwrap();
            assert!(
                cache.load(&engine, PLUGIN).is_none(),
                "cut to {length} bytes"
            );
        }
        for position in [0, 31, 32, whole.len() / 2, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[position] ^= 1;
            fs::write(cache.path(PLUGIN), changed).unwrap();
            assert!(
                cache.load(&engine, PLUGIN).is_none(),
                "changed at {position}"
            );
        }
        fs::write(cache.path("00fe"), &whole).unwrap();
        assert!(
            cache.load(&engine, "00fe").is_none(),
            "another plugin's code"
        );
    }

    #[test]
    fn a_file_or_folder_that_others_may_write_to_is_not_used() {
        let (_home, engine, cache) = cached();
        fs::set_permissions(cache.path(PLUGIN), fs::Permissions::from_mode(0o666)).unwrap();
        assert!(cache.load(&engine, PLUGIN).is_none());
        fs::set_permissions(&cache.dir, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(CodeCache::open(&cache.dir, &engine, MOST).is_err());
    }

    #[test]
    fn other_settings_have_other_files() {
        let (_home, engine, cache) = cached();
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        let other = CodeCache::open(&cache.dir, &Engine::new(&config).unwrap(), MOST).unwrap();
        assert_ne!(other.path(PLUGIN), cache.path(PLUGIN));
        assert!(cache.load(&engine, PLUGIN).is_some());
    }
}
