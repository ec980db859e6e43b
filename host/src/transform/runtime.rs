//! The engine, once a process: how guests are compiled, what they may use of WebAssembly, and the room for their instances.
//!
//! Guests are deterministic: NaNs are canonical, relaxed SIMD is not relaxed, and there are no threads and no shared memory. With no imports but
//! the log and a WASI that stands still ([`super::wasi`]), the same batch gives the same answer, which is what makes loading a chunk twice harmless.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use sha2::{Digest, Sha256};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::cache::CodeCache;
use super::compile::{CompileError, Compiler, Turn};
use super::error::TransformError;
use super::instance::link_log;
use super::limits::start_ticker;
use super::lock;
use super::plugin::{self, Linkers, Plugin};
use super::quota::{MemoryQuota, Room};
use super::warm::WarmInstances;
use super::wasi;

/// Largest plugin file, in bytes. A Python plugin takes 18 MB.
const FILE_BYTES: u64 = 256 << 20;

/// How the engine is set up.
#[derive(Clone, Debug)]
pub struct RuntimeSettings {
    /// The folder of the compiled code, made if it is missing; without one every load compiles. See [`super::default_cache_dir`].
    pub cache_dir: Option<PathBuf>,
    /// Bytes of that folder, at most: what was used least lately makes room. 4 GiB by default.
    pub cache_bytes: u64,
    /// Instances at one time: at least tables in parallel × chunks in parallel × transforms of a table. 256 by default. Address space is
    /// reserved for all of them, memory is not.
    pub max_instances: u32,
    /// Who compiles plugins.
    pub compiler: Compiler,
    /// Time for a compilation. 2 minutes by default.
    pub compile_deadline: Duration,
    /// Whether a guest is cut at its deadline. Off only to measure what that costs, with code that [`Compiler::Thread`] compiles.
    pub interruption: bool,
}

impl Default for RuntimeSettings {
    fn default() -> Self {
        Self {
            cache_dir: None,
            cache_bytes: 4 << 30,
            max_instances: 256,
            compiler: Compiler::default(),
            compile_deadline: Duration::from_secs(120),
            interruption: true,
        }
    }
}

/// The WebAssembly engine with its clock, its compiled-code cache and its pool of instances. Make one a process; a clone is the same one.
#[derive(Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
    turn: Turn,
    memory: MemoryQuota,
}

struct Inner {
    linkers: Linkers,
    cache: Option<CodeCache>,
    compiler: Compiler,
    compile_deadline: Duration,
    warm: Arc<WarmInstances>,
    /// Plugins in use, by file and digest.
    loaded: Mutex<HashMap<(PathBuf, String), Weak<Plugin>>>,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime")
            .field("cache", &self.inner.cache)
            .finish_non_exhaustive()
    }
}

impl Runtime {
    /// Starts the engine and its clock. A cache folder that can't be used is said in the log, and costs time only.
    pub fn new(settings: RuntimeSettings) -> Result<Self, TransformError> {
        let failed = |reason: String| TransformError::Engine { reason };
        let engine = start_engine(&settings).map_err(|cause| failed(format!("{cause:#}")))?;
        start_ticker(&engine).map_err(|cause| failed(format!("its clock thread: {cause}")))?;
        let linkers = linkers(&engine).map_err(|cause| failed(format!("{cause:#}")))?;
        let most = settings.cache_bytes;
        let cache = settings.cache_dir.and_then(|dir| match CodeCache::open(&dir, &engine, most) {
            Ok(cache) => Some(cache),
            Err(reason) => {
                tracing::warn!(folder = %dir.display(), reason, "compiled plugins are not kept");
                None
            }
        });
        Ok(Self {
            inner: Arc::new(Inner {
                linkers,
                cache,
                compiler: settings.compiler,
                compile_deadline: settings.compile_deadline,
                warm: Arc::default(),
                loaded: Mutex::default(),
            }),
            turn: Turn::default(),
            memory: MemoryQuota::default(),
        })
    }

    /// The same engine for another tenant, who waits for no compilation of this one's, and whose instances have memory of this quota.
    pub fn for_another_tenant(&self, memory: &MemoryQuota) -> Self {
        Self {
            inner: self.inner.clone(),
            turn: Turn::default(),
            memory: memory.clone(),
        }
    }

    /// Loads a plugin: reads the file, compiles it (or takes its compiled code from the cache), checks that it is a plugin, and asks it to describe
    /// itself. A file that is in use already is shared.
    pub fn load(&self, path: &Path) -> Result<Arc<Plugin>, TransformError> {
        self.load_bytes(path, &read_plugin(path)?)
    }

    /// [`Runtime::load`] for bytes that are, or will be, in this file.
    pub fn load_bytes(&self, path: &Path, bytes: &[u8]) -> Result<Arc<Plugin>, TransformError> {
        let digest = hex::encode(Sha256::digest(bytes));
        let key = (path.to_owned(), digest.clone());
        if let Some(plugin) = self.loaded().get(&key).and_then(Weak::upgrade) {
            return Ok(plugin);
        }
        plugin::check_kind(path, bytes)?;
        let cache = self.inner.cache.as_ref();
        let engine = self.inner.linkers.plain.engine();
        let known = cache.and_then(|cache| cache.load(engine, &digest));
        let is_known = known.is_some();
        let component = match known {
            Some(component) => component,
            None => self.compile(path, bytes)?,
        };
        let linkers = &self.inner.linkers;
        let plugin = Plugin::link(path, bytes, digest.clone(), &component, linkers)?;
        // What is no plugin takes no room.
        if let (false, Some(cache)) = (is_known, cache) {
            cache.store(&component, &digest);
        }
        let plugin = Arc::new(plugin);
        let mut loaded = self.loaded();
        loaded.retain(|_, plugin| plugin.strong_count() > 0);
        loaded.insert(key, Arc::downgrade(&plugin));
        Ok(plugin)
    }

    /// What components are linked with.
    #[cfg(test)]
    pub(super) fn linkers(&self) -> &Linkers {
        &self.inner.linkers
    }

    /// The engine.
    #[cfg(test)]
    pub(super) fn engine(&self) -> &Engine {
        self.inner.linkers.plain.engine()
    }

    /// The process's idle instances.
    pub(super) fn warm(&self) -> Arc<WarmInstances> {
        self.inner.warm.clone()
    }

    /// The place of an instance's memory.
    pub(super) fn room(&self) -> Room {
        Room::of(&self.memory, &self.inner.warm)
    }

    fn loaded(&self) -> std::sync::MutexGuard<'_, HashMap<(PathBuf, String), Weak<Plugin>>> {
        lock(&self.inner.loaded)
    }

    fn compile(&self, path: &Path, bytes: &[u8]) -> Result<Component, TransformError> {
        let engine = self.inner.linkers.plain.engine();
        let started = std::time::Instant::now();
        let (compiler, limit) = (&self.inner.compiler, self.inner.compile_deadline);
        let compiled = compiler.compile(engine, bytes, limit, &self.turn);
        let component = compiled.map_err(|error| match error {
            CompileError::Invalid(reason) => TransformError::Invalid {
                path: path.to_owned(),
                reason,
            },
            CompileError::TooLong(limit) => TransformError::Compile {
                path: path.to_owned(),
                reason: format!("it takes longer than {limit:?}; make it smaller, or let the operator raise `plugins.compile_time` of the policy"),
            },
            CompileError::Failed(reason) => TransformError::Compile {
                path: path.to_owned(),
                reason,
            },
        })?;
        tracing::debug!(plugin = %path.display(), elapsed = ?started.elapsed(), "compiled");
        Ok(component)
    }
}

fn linkers(engine: &Engine) -> wasmtime::Result<Linkers> {
    let mut plain = Linker::new(engine);
    link_log(&mut plain)?;
    let mut with_wasi = plain.clone();
    wasi::link(&mut with_wasi)?;
    Ok(Linkers {
        plain,
        wasi: with_wasi,
    })
}

/// The bytes of a plugin's file, unless there are too many for a plugin.
pub fn read_plugin(path: &Path) -> Result<Vec<u8>, TransformError> {
    let unreadable = |source| TransformError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > FILE_BYTES {
        return Err(TransformError::NotAComponent {
            path: path.to_owned(),
            found: format!("it has {size} bytes, and a plugin at most {FILE_BYTES}"),
        });
    }
    std::fs::read(path).map_err(unreadable)
}

/// The engine with its pool; where a pool's address space can't be had (`ulimit -v`), with instances made one by one.
fn start_engine(settings: &RuntimeSettings) -> wasmtime::Result<Engine> {
    let mut config = engine_config();
    config.epoch_interruption(settings.interruption);
    let one_by_one = config.clone();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(
        settings.max_instances,
    )));
    Engine::new(&config).or_else(|cause| {
        tracing::warn!(reason = %format!("{cause:#}"), "no pool of plugin instances: they are made one by one");
        Engine::new(&one_by_one)
    })
}

pub(super) fn engine_config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_threads(false)
        .shared_memory(false)
        .concurrency_support(false)
        // A crash is told by the panic's text; frames of a stripped plugin say nothing, and the map that they need makes compiled code larger.
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false);
    config
}

/// Core instances, memories and tables of one component, at most: components of interpreted languages are made of several modules. Python's
/// have 38 core instances, JavaScript's three memories.
pub(super) const CORE_INSTANCES: u32 = 64;
pub(super) const MEMORIES: u32 = 4;
pub(super) const TABLES: u32 = 8;
/// What the engine keeps of an instance beside its memory: its globals and functions. No limit of the pipe counts it.
const INSTANCE_BYTES: usize = 1 << 20;

/// Room for so many instances. Each has its share, so that none can take the others': what asks for more than a share isn't loaded.
fn pool(instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .max_core_instances_per_component(CORE_INSTANCES)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES))
        .max_memories_per_component(MEMORIES)
        .total_memories(instances.saturating_mul(MEMORIES))
        .max_tables_per_component(TABLES)
        .total_tables(instances.saturating_mul(TABLES))
        .total_stacks(instances)
        .max_tables_per_module(TABLES)
        .table_elements(20_000)
        .max_component_instance_size(INSTANCE_BYTES)
        .max_core_instance_size(INSTANCE_BYTES);
    pool
}

/// The digest of a plugin's file, without loading it: SHA-256 in hexadecimal. A file that hasn't changed isn't read again.
pub fn digest_of(path: &Path) -> Result<String, TransformError> {
    match crate::digest::Digest::of_file(path) {
        Ok(digest) => Ok(digest.hex().to_owned()),
        Err(source) => Err(TransformError::Unreadable {
            path: path.to_owned(),
            source,
        }),
    }
}
