//! What a pipe says of following the binlog, and of sparing the source.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::error::PipeError;
use super::file::{ApplyFile, BrakesFile};
use super::validate::{Check, LARGEST_BLOCK_BYTES};

/// Whether a pipe follows the source's binlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cdc {
    /// No: it ends with its load.
    Off,
    /// Once its tables are loaded.
    AfterLoad,
    /// From now on, without a load.
    Only,
}

impl Cdc {
    /// Whether the binlog is followed at all.
    pub fn follows(self) -> bool {
        self != Self::Off
    }
}

/// How the source's changes are gathered and applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplySettings {
    /// The changes of a table that are gathered for an insert, at most.
    pub rows: usize,
    /// Their memory, in bytes.
    pub bytes: usize,
    /// The time after which what was gathered is inserted.
    pub every: Duration,
    /// What the pipe calls itself at the source, where no two readers may have one number.
    pub server_id: u32,
    /// How often an idle source says that it is alive.
    pub heartbeat: Duration,
}

/// What holds a load to spare the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrakeSettings {
    /// The most threads that the source may run, the pipe's own question aside.
    pub threads_running: Option<u64>,
    /// The most that a replica may be behind.
    pub replica_lag: Option<Duration>,
    /// The question whose first cell is the lag in seconds; none: what the source says of itself as a replica.
    pub replica_lag_query: Option<String>,
    /// How often the source is asked.
    pub every: Duration,
}

impl BrakeSettings {
    /// Whether there is anything to ask the source for.
    pub fn any(&self) -> bool {
        self.threads_running.is_some() || self.replica_lag.is_some()
    }
}

impl Check<'_> {
    pub(super) fn cdc(&self, cdc: bool, only: bool) -> Result<Cdc, PipeError> {
        match (cdc, only) {
            (false, true) => self.invalid(
                "cdc_only",
                "without cdc a pipe only loads, and with cdc_only it never does: state one of the two",
            ),
            (false, false) => Ok(Cdc::Off),
            (true, false) => Ok(Cdc::AfterLoad),
            (true, true) => Ok(Cdc::Only),
        }
    }

    pub(super) fn apply(
        &self,
        file: &ApplyFile,
        name: &str,
        state: &Path,
    ) -> Result<ApplySettings, PipeError> {
        if !(1..=1_000_000).contains(&file.rows) {
            return self.invalid("apply.rows", "an insert has 1 to 1000000 changes");
        }
        let bytes = self.bytes("apply.bytes", &file.bytes)?;
        if !(1 << 20..=LARGEST_BLOCK_BYTES).contains(&bytes) {
            return self.invalid(
                "apply.bytes",
                "an insert has 1MiB to 256MiB, so that ClickHouse writes it whole or not at all",
            );
        }
        let server_id = match file.server_id {
            Some(0) => {
                return self.invalid(
                    "apply.server_id",
                    "a server's number is 1 to 4294967295, and no other replica of the source may have it; leave it out for one of the \
                     pipe's own",
                );
            }
            Some(stated) => stated,
            None => server_id(name, state),
        };
        Ok(ApplySettings {
            rows: file.rows,
            bytes: bytes as usize,
            every: self.duration_in("apply.every", &file.every, MILLIS_10..=MINUTES_10)?,
            server_id,
            heartbeat: self.duration_in(
                "apply.heartbeat",
                &file.heartbeat,
                MILLIS_100..=MINUTES_10,
            )?,
        })
    }

    pub(super) fn brakes(&self, file: &BrakesFile) -> Result<BrakeSettings, PipeError> {
        if file.threads_running == Some(0) {
            return self.invalid(
                "brakes.threads_running",
                "at least one thread; leave it out for no such brake",
            );
        }
        if file.replica_lag_query.is_some() && file.replica_lag.is_none() {
            return self.invalid(
                "brakes.replica_lag_query",
                "the lag is only asked for with `replica_lag`, the most that it may be",
            );
        }
        Ok(BrakeSettings {
            threads_running: file.threads_running,
            replica_lag: file
                .replica_lag
                .as_deref()
                .map(|text| self.duration("brakes.replica_lag", text))
                .transpose()?,
            replica_lag_query: file.replica_lag_query.clone(),
            every: self.duration_in("brakes.every", &file.every, MILLIS_100..=MINUTES_10)?,
        })
    }

    /// A duration between two bounds.
    fn duration_in(
        &self,
        key: &str,
        text: &str,
        bounds: RangeInclusive<Duration>,
    ) -> Result<Duration, PipeError> {
        let duration = self.duration(key, text)?;
        if bounds.contains(&duration) {
            return Ok(duration);
        }
        self.invalid(
            key,
            format!(
                "`{text}` is not between {:?} and 10 minutes",
                bounds.start()
            ),
        )
    }
}

const MILLIS_10: Duration = Duration::from_millis(10);
const MILLIS_100: Duration = Duration::from_millis(100);
const MINUTES_10: Duration = Duration::from_secs(600);

/// A number for a pipe that states none. It stays the same, and two pipes hardly ever share one: a source that is read by two of one
/// number ends the connection of the first. Servers of a usual replication, whose numbers are small, are kept clear of.
fn server_id(name: &str, state: &Path) -> u32 {
    // The machine's name, where it has one: the same pipe may be at work on two of them.
    let machine = std::fs::read("/proc/sys/kernel/hostname").unwrap_or_default();
    let state = std::path::absolute(state).unwrap_or_else(|_| state.to_owned());
    let place = [
        machine.as_slice(),
        state.as_os_str().as_encoded_bytes(),
        name.as_bytes(),
    ]
    .join(&0);
    let numbers = u64::from(u32::MAX - FIRST_SERVER_ID);
    FIRST_SERVER_ID + (xxhash_rust::xxh3::xxh3_64(&place) % numbers) as u32
}

const FIRST_SERVER_ID: u32 = 1_000_000;
