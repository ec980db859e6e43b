//! What a plugin sees of WASI (preview 2), if it imports any of it: clocks that stand at the resync's start, random numbers that follow from
//! the batch, standard output and error that are captured, and nothing else unless it is granted. So the same batch still gives the same
//! answer, and a guest of a language whose runtime wants WASI works without being given the machine.
//!
//! Functions of WASI may wait, so guests that import it run on a stack of their own and are given up at the deadline while they wait.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use rand_xoshiro::Xoshiro256StarStar;
use rand_xoshiro::rand_core::{Rng, SeedableRng, TryRng};
use secrecy::{ExposeSecret, SecretString};
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi::{
    FsPerms, HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, async_trait,
};
use xxhash_rust::xxh3::Xxh3;

use super::guest::Guest;
use super::limits::Limits;
use super::lock;
use super::quota::Room;
use crate::digest::Digest;
use crate::schema::Grant;

/// What a guest may write to its standard output and error in a call before the rest is dropped, in bytes.
const OUTPUT_BYTES: usize = 64 << 10;
/// Handles that the host keeps for an instance at one time: streams, files, sockets, what it waits for. Each is memory that the guest's own
/// limit doesn't count, and some are open files of the process.
pub(super) const HANDLES: usize = 1024;

/// What a plugin is granted, none by default. An empty list satisfies a plugin whose language imports an interface without need:
/// it is there, and there is nothing in it.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// Environment variables, by name and value.
    pub environment: Option<Vec<(String, SecretString)>>,
    /// Folders, to be read, each under its own path.
    pub files: Option<Vec<PathBuf>>,
    /// Addresses that may be connected to over TCP. Names are not looked up.
    pub network: Option<Vec<SocketAddr>>,
}

impl Grants {
    /// Whether this is granted.
    pub fn has(&self, grant: Grant) -> bool {
        match grant {
            Grant::Environment => self.environment.is_some(),
            Grant::Files => self.files.is_some(),
            Grant::Network => self.network.is_some(),
        }
    }

    /// SHA-256 of what is granted, values and all, in hexadecimal; none if that is nothing.
    pub fn digest(&self) -> Option<String> {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        for (name, value) in self.environment.iter().flatten() {
            parts.push([b"variable ", name.as_bytes()].concat());
            parts.push(value.expose_secret().as_bytes().to_vec());
        }
        let files = self.files.iter().flatten();
        parts.extend(files.map(|path| [b"folder ", path.as_os_str().as_bytes()].concat()));
        let network = self.network.iter().flatten();
        parts.extend(network.map(|address| format!("address {address}").into_bytes()));
        (!parts.is_empty()).then(|| Digest::of_parts(parts).hex().to_owned())
    }
}

/// Where a guest's clocks stand and its random numbers begin: a property of the resync, so that a batch that is transformed again, here or
/// on another machine, comes out the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// What the clocks show, for as long as the resync takes: its start.
    pub started: Timestamp,
    /// The seed of all its random numbers.
    pub seed: u64,
}

impl Default for Origin {
    fn default() -> Self {
        Self {
            started: Timestamp::UNIX_EPOCH,
            seed: 0,
        }
    }
}

/// The terms on which an instance runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    pub(super) limits: Limits,
    pub(super) grants: Grants,
    pub(super) origin: Origin,
    pub(super) room: Room,
}

/// How an import of WASI is given.
pub(super) enum Access {
    /// To all: it shows nothing of the machine.
    Free,
    /// Where it is granted.
    Granted(Grant),
}

/// How an interface of WASI is given; none: never.
pub(super) fn access(import: &str) -> Option<Access> {
    let (interface, version) = import.split_once('@')?;
    // A release of 0.2, and no draft of one.
    version.strip_prefix("0.2.")?.parse::<u32>().ok()?;
    let (package, interface) = interface.split_once('/')?;
    Some(match (package, interface) {
        ("wasi:io", "error" | "poll" | "streams") => Access::Free,
        ("wasi:random", "random" | "insecure" | "insecure-seed") => Access::Free,
        ("wasi:clocks", "wall-clock" | "monotonic-clock") => Access::Free,
        ("wasi:cli", "environment") => Access::Granted(Grant::Environment),
        ("wasi:cli", "exit" | "stdin" | "stdout" | "stderr") => Access::Free,
        ("wasi:cli", "terminal-input" | "terminal-output") => Access::Free,
        ("wasi:cli", "terminal-stdin" | "terminal-stdout" | "terminal-stderr") => Access::Free,
        ("wasi:filesystem", "types" | "preopens") => Access::Granted(Grant::Files),
        ("wasi:sockets", "network" | "instance-network" | "ip-name-lookup") => {
            Access::Granted(Grant::Network)
        }
        ("wasi:sockets", "tcp" | "tcp-create-socket" | "udp" | "udp-create-socket") => {
            Access::Granted(Grant::Network)
        }
        _ => return None,
    })
}

/// Gives components all that [`access`] knows.
pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)
}

/// A guest's view of the world.
pub(super) struct World {
    pub(super) context: WasiCtx,
    pub(super) table: ResourceTable,
    random: Random,
    written: Written,
    seed: u64,
}

impl Default for World {
    /// A world in which nothing is granted.
    fn default() -> Self {
        Self::made(&Grants::default(), Origin::default(), WasiCtxBuilder::new())
    }
}

impl World {
    /// The world as it is granted; an error names the folder that can't be opened.
    pub(super) fn new(terms: &Terms) -> Result<Self, String> {
        let mut builder = WasiCtxBuilder::new();
        for folder in terms.grants.files.iter().flatten() {
            builder
                .preopened_dir(folder, folder.to_string_lossy(), FsPerms::ReadOnly)
                .map_err(|cause| format!("the folder `{}`: {cause}", folder.display()))?;
        }
        Ok(Self::made(&terms.grants, terms.origin, builder))
    }

    fn made(grants: &Grants, origin: Origin, mut builder: WasiCtxBuilder) -> Self {
        let (random, written) = (Random::seeded(origin.seed), Written::default());
        let allowed = grants.network.clone().unwrap_or_default();
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES);
        let clock = Standing::at(origin.started);
        builder
            .wall_clock(clock)
            .monotonic_clock(clock)
            .secure_random(random.clone())
            .insecure_random(random.clone())
            .insecure_random_seed(u128::from(origin.seed))
            .max_random_size(1 << 20)
            .stdout(written.clone())
            .stderr(written.clone())
            .allow_ip_name_lookup(false)
            .allow_udp(false)
            // Where no address is granted there isn't even a socket: it is an open file of this process.
            .allow_tcp(!allowed.is_empty());
        for (name, value) in grants.environment.iter().flatten() {
            builder.env(name, value.expose_secret());
        }
        builder.socket_addr_check(move |address, purpose| {
            let connects = matches!(purpose, SocketAddrUse::TcpConnect);
            // A socket is bound to any address of this machine before it is connected; it can't listen.
            let binds = matches!(purpose, SocketAddrUse::TcpBind) && address.port() == 0;
            let answer = binds || connects && allowed.contains(&address);
            Box::pin(async move { answer })
        });
        Self {
            context: builder.build(),
            table,
            random,
            written,
            seed: origin.seed,
        }
    }

    /// Random numbers begin anew for a batch: they follow from the resync, the batch's place, and nothing else.
    pub(super) fn reseed(&self, place: &str, batch: u64) {
        let mut hash = Xxh3::with_seed(self.seed);
        hash.update(place.as_bytes());
        hash.update(&batch.to_le_bytes());
        self.random.reseed(hash.digest());
    }

    /// What the guest wrote since the last time, and how many bytes more than are kept.
    pub(super) fn take_written(&self) -> (Vec<u8>, u64) {
        std::mem::take(&mut *lock(&self.written.0))
    }
}

/// A clock that stands still.
#[derive(Clone, Copy)]
struct Standing(Duration);

impl Standing {
    fn at(moment: Timestamp) -> Self {
        let since_epoch = Duration::try_from(moment.duration_since(Timestamp::UNIX_EPOCH));
        Self(since_epoch.unwrap_or_default())
    }
}

impl HostWallClock for Standing {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

impl HostMonotonicClock for Standing {
    fn resolution(&self) -> u64 {
        1_000_000_000
    }

    fn now(&self) -> u64 {
        0
    }
}

/// Random numbers for guests: the same ones each time, so nothing that a secret may be made of.
#[derive(Clone)]
struct Random(Arc<Mutex<Xoshiro256StarStar>>);

impl Random {
    fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Xoshiro256StarStar::seed_from_u64(
            seed,
        ))))
    }

    fn reseed(&self, seed: u64) {
        *lock(&self.0) = Xoshiro256StarStar::seed_from_u64(seed);
    }
}

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(lock(&self.0).next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(lock(&self.0).next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        lock(&self.0).fill_bytes(bytes);
        Ok(())
    }
}

/// What a guest wrote to its standard output and error, cut at [`OUTPUT_BYTES`], and how much was cut.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<(Vec<u8>, u64)>>);

impl OutputStream for Written {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let (kept, dropped) = &mut *lock(&self.0);
        let room = OUTPUT_BYTES.saturating_sub(kept.len()).min(bytes.len());
        kept.extend_from_slice(&bytes[..room]);
        *dropped += (bytes.len() - room) as u64;
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(OUTPUT_BYTES)
    }
}

#[async_trait]
impl Pollable for Written {
    async fn ready(&mut self) {}
}

impl IsTerminal for Written {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Written {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only WASI of another version asks for it.
        Box::new(tokio::io::sink())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_shows_nothing_is_free() {
        let free = |import| matches!(access(import), Some(Access::Free));
        let granted = |import| match access(import) {
            Some(Access::Granted(grant)) => Some(grant),
            _ => None,
        };
        for import in [
            "wasi:clocks/wall-clock@0.2.6",
            "wasi:random/random@0.2.0",
            "wasi:io/streams@0.2.3",
            "wasi:cli/stderr@0.2.0",
            "wasi:cli/exit@0.2.0",
        ] {
            assert!(free(import), "{import}");
        }
        assert_eq!(
            granted("wasi:cli/environment@0.2.0"),
            Some(Grant::Environment)
        );
        assert_eq!(
            granted("wasi:filesystem/preopens@0.2.0"),
            Some(Grant::Files)
        );
        assert_eq!(granted("wasi:sockets/tcp@0.2.0"), Some(Grant::Network));
        for import in [
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:clocks/wall-clock@0.3.0",
            "wasi:clocks/wall-clock",
            "wasi:keyvalue/store@0.2.0",
            "acme:secrets/vault@0.2.0",
        ] {
            assert!(access(import).is_none(), "{import}");
        }
    }

    #[test]
    fn random_numbers_follow_from_the_batch() {
        let terms = Terms::default();
        let drawn = |place: &str, batch| {
            let world = World::new(&terms).unwrap();
            world.reseed(place, batch);
            world.random.clone().try_next_u64().unwrap()
        };
        assert_eq!(drawn("7", 0), drawn("7", 0));
        assert_ne!(drawn("7", 0), drawn("7", 1));
        assert_ne!(drawn("7", 0), drawn("8", 0));
    }

    #[test]
    fn what_is_written_is_kept_up_to_its_bound() {
        let mut written = Written::default();
        for _ in 0..3 {
            written.write(vec![b'x'; 40 << 10].into()).unwrap();
        }
        let (kept, dropped) = std::mem::take(&mut *lock(&written.0));
        assert_eq!((kept.len(), dropped), (OUTPUT_BYTES, (120 - 64) << 10));
    }
}
