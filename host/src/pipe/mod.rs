//! The pipe: one source, one destination, the tables between them and their transforms, in one TOML file.
//!
//! A [`Pipe`] can only be made by [`Pipe::load`], so whoever has one knows that names, sizes, durations and secrets were
//! checked. What only a server or a plugin can tell (a missing table, a configuration that its schema refuses) is reported
//! later, with the line that [`Pipe::locate`] finds. The module knows no server.

mod access;
mod columns;
mod error;
mod file;
mod following;
mod locate;
mod pinned;
pub mod template;
mod validate;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

pub use access::{Access, DESTINATION_PASSWORD, FILES, SOURCE_PASSWORD, Secrets, Tenancy};
pub use error::{Location, PipeError};
pub use file::{OnDrop, OnTableError, OnTruncate, TlsMode, VerifyMode};
pub use following::{ApplySettings, BrakeSettings, Cdc};
pub(crate) use locate::SourceText;

use crate::digest::Digest;
use crate::policy::Reach;
use crate::rows::Reference;
use crate::schema::{
    ClickHouseType, Engine, Format, Grant, MetadataNames, OnError, OutOfRange, SkipIndex,
    TableName, ZeroDates,
};

/// A validated pipe.
#[derive(Clone, Debug)]
pub struct Pipe {
    /// The pipe's name.
    pub name: String,
    /// The folder that relative paths start from: the pipe file's.
    pub folder: PathBuf,
    /// The folder of the journal and of an embedded ClickHouse.
    pub state: PathBuf,
    /// The MySQL or MariaDB server.
    pub source: SourceSettings,
    /// The ClickHouse server.
    pub destination: DestinationSettings,
    /// How the tables are read and loaded.
    pub snapshot: SnapshotSettings,
    /// Whether the binlog is followed.
    pub cdc: Cdc,
    /// How the source's changes are gathered and applied.
    pub apply: ApplySettings,
    /// What holds a load to spare the source.
    pub brakes: BrakeSettings,
    /// How far the copy is verified before the swap.
    pub verify: VerifyMode,
    /// What guards the swap, and the way back.
    pub swap: SwapSettings,
    /// The names of the columns that Tidemill adds.
    pub metadata: MetadataNames,
    /// The table mappings, in the file's order; at least one.
    pub tables: Vec<TableMapping>,
    text: locate::SourceText,
    access: Access,
}

/// How to reach the source.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    /// Where it listens.
    pub address: SourceAddress,
    /// The user.
    pub user: String,
    /// The password, if there is one.
    pub password: Option<SecretString>,
    /// How far TLS is asked for.
    pub tls: TlsMode,
    /// The PEM file of trusted authorities; none: the public ones.
    pub ca: Option<PathBuf>,
    /// Which addresses may be connected to.
    pub reach: Reach,
}

/// Where the source listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceAddress {
    /// TCP.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A Unix socket.
    Socket(PathBuf),
}

impl std::fmt::Display for SourceAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Socket(path) => write!(f, "{}", path.display()),
        }
    }
}

/// How to reach the destination.
#[derive(Clone, Debug)]
pub struct DestinationSettings {
    /// Which server.
    pub server: DestinationServer,
    /// The user.
    pub user: String,
    /// The password, if there is one.
    pub password: Option<SecretString>,
    /// The database of the destination tables.
    pub database: String,
    /// Which addresses may be connected to.
    pub reach: Reach,
}

/// Which ClickHouse server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DestinationServer {
    /// One that the pipe starts and stops by itself, with its data in the state folder.
    Embedded {
        /// Its HTTP port; none: a free one.
        port: Option<u16>,
    },
    /// One that listens at this HTTP or HTTPS address.
    Url(Url),
}

impl std::fmt::Display for DestinationServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Embedded { .. } => f.write_str("embedded"),
            Self::Url(url) => write!(f, "{url}"),
        }
    }
}

/// How the tables are read and loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotSettings {
    /// How many chunks are read at the same time, each over a connection of its own.
    pub parallel_chunks: usize,
    /// The number of rows that the planner aims at for a chunk.
    pub chunk_rows: u64,
    /// The size of an insert, in bytes of Arrow memory; a chunk that is larger is written as several.
    pub block_bytes: usize,
    /// The most rows of a record batch.
    pub batch_rows: usize,
    /// The size at which a record batch is closed, in bytes.
    pub batch_bytes: usize,
    /// A ceiling for the rows read a second, over all tables.
    pub rows_per_second: Option<u64>,
}

/// What guards the swap, and the way back.
#[derive(Clone, Debug)]
pub struct SwapSettings {
    /// The share of rows, 0 to 1, by which a table may shrink without approval.
    pub max_shrink: f64,
    /// The share by which it may grow; none: any.
    pub max_growth: Option<f64>,
    /// How long the old table is kept for a rollback.
    pub keep_old: Duration,
    /// Whether one bad table keeps the others from being swapped.
    pub on_table_error: OnTableError,
}

/// One source table and the destination table that it feeds.
#[derive(Clone, Debug)]
pub struct TableMapping {
    /// The source table.
    pub source: TableName,
    /// The destination table's name, in the destination's database.
    pub destination: String,
    /// The engine, where the pipe states one.
    pub engine: Option<Engine>,
    /// The sorting key, where the pipe states one: columns or expressions.
    pub order_by: Option<Vec<String>>,
    /// The primary key, where the pipe states one.
    pub primary_key: Option<Vec<String>>,
    /// The partition expression.
    pub partition_by: Option<String>,
    /// The table's TTL.
    pub ttl: Option<String>,
    /// Skip indexes.
    pub indexes: Vec<SkipIndex>,
    /// The table's comment, where the pipe states one.
    pub comment: Option<String>,
    /// What becomes of values that a column's type can't hold: the table's choice, else the pipe's.
    pub on_out_of_range: OutOfRange,
    /// What becomes of dates that are no days, where the table or the pipe says so.
    pub zero_dates: Option<ZeroDates>,
    /// What becomes of the table when its source table is truncated: the table's choice, else the pipe's.
    pub on_truncate: OnTruncate,
    /// What becomes of the table when its source table is dropped: the table's choice, else the pipe's.
    pub on_drop: OnDrop,
    /// MergeTree settings: name and SQL value.
    pub settings: Vec<(String, String)>,
    /// What the pipe says of single columns.
    pub columns: Vec<ColumnSettings>,
    /// The transforms, in order.
    pub transforms: Vec<TransformUse>,
    /// The mapping's key in the file: `table[0]`.
    pub key: String,
}

/// What a pipe says of a column.
#[derive(Clone, Debug)]
pub struct ColumnSettings {
    /// The column, as the source or the last transform names it.
    pub name: String,
    /// Another ClickHouse type than the default.
    pub clickhouse_type: Option<ClickHouseType>,
    /// Bytes where text is the default.
    pub format: Option<Format>,
    /// The codec: `ZSTD(3)`.
    pub codec: Option<String>,
    /// The TTL.
    pub ttl: Option<String>,
    /// The comment.
    pub comment: Option<String>,
    /// Whether it can be NULL.
    pub nullable: Option<bool>,
    /// What NULL becomes.
    pub default: Option<String>,
    /// What becomes of values that the type can't hold.
    pub on_out_of_range: Option<OutOfRange>,
    /// What becomes of dates that are no days.
    pub zero_dates: Option<ZeroDates>,
    /// Its key in the file: `table[0].types.total`.
    pub key: String,
}

/// A plugin's use on a table.
#[derive(Clone, Debug)]
pub struct TransformUse {
    /// A plugin's name, the path of its file, or its reference in a registry, as the pipe gives it.
    pub plugin: String,
    /// The configuration, a JSON object.
    pub config: serde_json::Value,
    /// The files whose rows the configuration gets in its `tables`.
    pub references: Vec<Reference>,
    /// The limits, where the pipe states them.
    pub limits: LimitSettings,
    /// What of the machine it is given.
    pub grants: GrantSettings,
    /// What becomes of rows that it can't transform.
    pub on_error: OnError,
    /// The most such rows in a load of the table.
    pub max_rejected: Option<u64>,
    /// The most such rows in a window, as a share of its rows.
    pub max_rejected_share: Option<f64>,
    /// Rows of a window.
    pub rejected_window: Option<u64>,
    /// Whether the table of rejected rows is given a row, beside its key.
    pub keep_row: bool,
    /// Whether what it writes to its standard output and error is logged.
    pub show_output: bool,
    /// The transform's key in the file: `table[0].transform[1]`.
    pub key: String,
}

/// A transform's limits, where the pipe states them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitSettings {
    /// Memory of an instance, in bytes.
    pub memory_bytes: Option<u64>,
    /// Time for a batch.
    pub batch_deadline: Option<Duration>,
    /// CPU time of a load's batches together.
    pub cpu: Option<Duration>,
    /// Output of a batch, in bytes.
    pub output_bytes: Option<u64>,
    /// Output of a batch, as a multiple of what was given.
    pub growth: Option<u32>,
    /// Batches after which an instance is replaced.
    pub batches: Option<u32>,
    /// Log lines of an instance.
    pub log_lines: Option<u32>,
}

/// What of the machine a pipe grants to a plugin; none: the plugin must not ask for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantSettings {
    /// Names of environment variables.
    pub environment: Option<Vec<String>>,
    /// Folders, to be read.
    pub files: Option<Vec<PathBuf>>,
    /// Addresses that may be connected to.
    pub network: Option<Vec<SocketAddr>>,
}

impl GrantSettings {
    /// What is granted.
    pub fn granted(&self) -> impl Iterator<Item = Grant> {
        let environment = self.environment.as_ref().map(|_| Grant::Environment);
        let files = self.files.as_ref().map(|_| Grant::Files);
        let network = self.network.as_ref().map(|_| Grant::Network);
        [environment, files, network].into_iter().flatten()
    }
}

impl TransformUse {
    /// A reference table's key in the file: `table[0].transform[1].tables.countries`.
    pub fn table_key(&self, reference: &Reference) -> String {
        format!("{}.tables.{}", self.key, reference.name)
    }
}

impl TableMapping {
    /// What the pipe says of a column.
    pub fn column(&self, name: &str) -> Option<&ColumnSettings> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl Pipe {
    /// The files beside it that it names: what its transforms look up, and the authority of its source.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let transforms = self.tables.iter().flat_map(|table| &table.transforms);
        let references = transforms.flat_map(|used| &used.references);
        let references = references.map(|reference| reference.file.as_path());
        references.chain(self.source.ca.as_deref())
    }

    /// Reads and checks a pipe file. Nothing but the file, the environment variables and secret files that it names, and the machine's
    /// name is looked at.
    pub fn load(path: &Path) -> Result<Self, PipeError> {
        validate::pipe(locate::SourceText::read(path)?, Access::Own)
    }

    /// [`Pipe::load`] for a pipe that may not be the user's own.
    pub fn load_as(path: &Path, access: Access) -> Result<Self, PipeError> {
        validate::pipe(locate::SourceText::read(path)?, access)
    }

    /// Reads the pipe's file again.
    pub fn reload(&self) -> Result<Self, PipeError> {
        Self::load_as(self.path(), self.access.clone())
    }

    /// Checks the text of a pipe file that stands, or would stand, at this path.
    pub fn parse(path: &Path, text: String) -> Result<Self, PipeError> {
        Self::parse_as(path, text, Access::Own)
    }

    /// [`Pipe::parse`] for a pipe that may not be the user's own.
    pub fn parse_as(path: &Path, text: String, access: Access) -> Result<Self, PipeError> {
        let path = path.to_owned();
        validate::pipe(locate::SourceText { path, text }, access)
    }

    /// The settings of a source alone, of which a pipe is to be made: a `[source]` section.
    pub fn source_of(section: toml::Table, access: Access) -> Result<SourceSettings, PipeError> {
        let whole = |name: &str, value: toml::Value| (name.to_owned(), value);
        let destination = [
            whole("url", "http://localhost".into()),
            whole("database", "none".into()),
        ];
        let table = toml::Table::from_iter([whole("source", "none.none".into())]);
        let file = toml::Table::from_iter([
            whole("name", "new".into()),
            whole("source", section.into()),
            whole("destination", toml::Table::from_iter(destination).into()),
            whole("table", vec![table].into()),
        ]);
        Ok(Self::parse_as(Path::new("source"), file.to_string(), access)?.source)
    }

    /// Whose it is.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The pipe file's text without the secrets of its source and its destination, to be kept as what a load was made with:
    /// [`Pipe::parse`] reads the same mappings, values and names in it, whatever the file says by then. `tables`: the copies of reference tables, by
    /// their keys (`table[0].transform[1].tables.countries`).
    pub fn pinned_text(&self, tables: &BTreeMap<String, (PathBuf, Digest)>) -> String {
        pinned::text(&self.text.text, &self.folder, tables)
    }

    /// The file that the pipe was read from.
    pub fn path(&self) -> &Path {
        &self.text.path
    }

    /// Where a key such as `table[0].transform[1].config.where` stands in the file, or the nearest key that encloses it.
    pub fn locate(&self, key: &str) -> Location {
        self.text.at_key(key)
    }

    /// An error at a key of this pipe.
    pub fn invalid(&self, key: &str, reason: impl Into<String>) -> PipeError {
        PipeError::Invalid {
            location: self.locate(key),
            reason: reason.into(),
        }
    }

    /// The mapping of a source table.
    pub fn table(&self, source: &TableName) -> Option<&TableMapping> {
        self.tables.iter().find(|t| &t.source == source)
    }
}
