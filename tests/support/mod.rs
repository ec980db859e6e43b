//! What the end-to-end tests have in common: real servers, a world of databases for each test, and a vocabulary to say what
//! is given and what is expected.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the tests and the benchmark each use a part"
)]

pub mod browser;
pub mod clickhouse;
pub mod dice;
pub mod follow;
pub mod mysql;
pub mod oracle;
pub mod proxy;
pub mod schemathesis;
pub mod servers;
pub mod service;
pub mod world;

pub use browser::{Browser, By};
pub use clickhouse::ClickHouse;
pub use dice::Dice;
pub use follow::Following;
pub use mysql::{Flavor, MySql};
pub use proxy::Proxy;
pub use schemathesis::Schemathesis;
pub use service::{Client, Reply, Service};
pub use world::World;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The repository's root.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .canonicalize()
            .expect("the repository")
    })
}

/// The binary under test.
pub fn tidemill() -> &'static str {
    env!("CARGO_BIN_EXE_tidemill")
}

/// A name that no other test, process or run has.
pub fn unique(prefix: &str) -> String {
    format!(
        "{prefix}_{}",
        &uuid::Uuid::new_v4().simple().to_string()[..12]
    )
}

/// The runtime of a test: tests are plain functions, so that their steps read as commands.
pub fn block_on<F: Future>(future: F) -> F::Output {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| tokio::runtime::Runtime::new().expect("a runtime"))
        .block_on(future)
}
