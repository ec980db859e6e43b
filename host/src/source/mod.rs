//! The source: MySQL or MariaDB. Looks at tables, cuts them into chunks, opens a consistent snapshot, turns rows into Arrow, and follows
//! the binlog.
//!
//! [`Source`] answers questions over short-lived connections, one a question. Rows come through a [`Reader`]: a
//! blocking connection of its own, inside the snapshot, to be used from a dedicated thread. What is committed later comes through a
//! [`Binlog`]. Everything is attempted once; what may be tried again says so ([`SourceError::is_transient`]). The module writes
//! nothing to the source, holds no lock beyond [`Source::snapshot`], and knows neither ClickHouse nor transforms.

mod binlog;
mod charsets;
mod chunks;
mod connect;
mod decode;
mod defaults;
mod error;
mod findings;
mod gauge;
#[cfg(test)]
mod hostile;
mod introspect;
mod keys;
mod reader;
mod snapshot;
mod wire;

pub use binlog::{
    Binlog, BinlogSettings, Change, Event, EventKind, Rows, Statement, TableMap, TableStatement,
    Target,
};
pub use connect::{Flavor, ServerInfo, Source};
pub use decode::{
    ChangeDecoder, Changes, Charsets, ImageKind, MapMisfit, Pairs, ReadLimits, TableRead,
};
pub use defaults::{ColumnDefault, ColumnDefaults};
pub use error::SourceError;
pub use gauge::{Gauge, ReplicaLag};
pub use introspect::TableSummary;
pub use reader::{ReadTotals, Reader};
pub use snapshot::{Consistency, Snapshot};
