//! The pipe file as it is typed: one structure a section, every setting named, documented and defaulted once.
//!
//! What stands here is only shape; what it means is checked in [`super::Pipe::load`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::rows::ReferenceFile;
use crate::schema::{Engine, Format, MetadataNames, OnError, OutOfRange, SkipIndex};

/// A whole pipe file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PipeFile {
    /// The pipe's name: letters, digits, `-` and `_`.
    pub(super) name: String,
    /// The folder of the journal and of an embedded ClickHouse; default `.tidemill/<name>` beside the pipe file.
    pub(super) state: Option<String>,
    /// Whether the binlog is followed once the tables are loaded.
    #[serde(default = "yes")]
    pub(super) cdc: bool,
    /// Whether nothing is loaded, and the binlog is followed from now on.
    #[serde(default)]
    pub(super) cdc_only: bool,
    pub(super) source: SourceFile,
    pub(super) destination: DestinationFile,
    #[serde(default)]
    pub(super) snapshot: SnapshotFile,
    #[serde(default)]
    pub(super) apply: ApplyFile,
    #[serde(default)]
    pub(super) brakes: BrakesFile,
    #[serde(default)]
    pub(super) values: ValuesFile,
    #[serde(default)]
    pub(super) verify: VerifyFile,
    #[serde(default)]
    pub(super) swap: SwapFile,
    #[serde(default)]
    pub(super) metadata: MetadataNames,
    #[serde(default, rename = "table")]
    pub(super) tables: Vec<TableFile>,
}

/// `[source]`: the MySQL or MariaDB server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceFile {
    #[serde(default = "default_host")]
    pub(super) host: String,
    #[serde(default = "default_mysql_port")]
    pub(super) port: u16,
    /// A Unix socket's path, instead of host and port.
    pub(super) socket: Option<String>,
    pub(super) user: String,
    pub(super) password: Option<String>,
    /// The environment variable that holds the password.
    pub(super) password_env: Option<String>,
    /// A file whose first line is the password.
    pub(super) password_file: Option<String>,
    /// `disabled`, `required`, `verify_ca` or `verify_identity`. Default: `disabled` for loopback and sockets, else `required`.
    pub(super) tls: Option<TlsMode>,
    /// A PEM file with the authorities that `verify_ca` and `verify_identity` trust; default: the public ones.
    pub(super) ca: Option<String>,
}

/// How far TLS is asked for, in MySQL's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// No encryption.
    Disabled,
    /// Encrypted, without a look at the certificate.
    Required,
    /// Encrypted, and the certificate's authority is verified.
    VerifyCa,
    /// Encrypted, and authority and host name are verified.
    VerifyIdentity,
}

/// `[destination]`: the ClickHouse server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DestinationFile {
    /// `embedded`, or the server's HTTP address: `http://localhost:8123`.
    pub(super) url: String,
    #[serde(default = "default_clickhouse_user")]
    pub(super) user: String,
    pub(super) password: Option<String>,
    pub(super) password_env: Option<String>,
    pub(super) password_file: Option<String>,
    pub(super) database: String,
    /// The fixed HTTP port of an embedded server; default: a free one.
    pub(super) port: Option<u16>,
}

/// `[snapshot]`: how the tables are read and loaded.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SnapshotFile {
    pub(super) parallel_chunks: usize,
    pub(super) chunk_rows: u64,
    pub(super) block: String,
    pub(super) batch_rows: usize,
    pub(super) batch: String,
    pub(super) rows_per_second: Option<u64>,
}

impl Default for SnapshotFile {
    fn default() -> Self {
        Self {
            parallel_chunks: 2,
            chunk_rows: 500_000,
            block: "64MiB".to_owned(),
            batch_rows: 65_536,
            batch: "8MiB".to_owned(),
            rows_per_second: None,
        }
    }
}

/// `[apply]`: how the source's changes are gathered and applied.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ApplyFile {
    pub(super) rows: usize,
    pub(super) bytes: String,
    pub(super) every: String,
    pub(super) on_truncate: OnTruncate,
    pub(super) on_drop: OnDrop,
    /// Default: made of the pipe's name, the state folder and the machine.
    pub(super) server_id: Option<u32>,
    pub(super) heartbeat: String,
}

impl Default for ApplyFile {
    fn default() -> Self {
        Self {
            rows: 100_000,
            bytes: "64MiB".to_owned(),
            every: "1s".to_owned(),
            on_truncate: OnTruncate::Stop,
            on_drop: OnDrop::Stop,
            server_id: None,
            heartbeat: "5s".to_owned(),
        }
    }
}

/// What becomes of a destination table whose source table is emptied by TRUNCATE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTruncate {
    /// The table is followed no further until somebody decides.
    #[default]
    Stop,
    /// It is emptied as well.
    Apply,
    /// It keeps its rows.
    Ignore,
}

/// What becomes of a destination table whose source table is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDrop {
    /// The table is followed no further until somebody decides.
    #[default]
    Stop,
    /// It keeps its rows, and the pipe goes on.
    Ignore,
}

/// `[brakes]`: what holds a load to spare the source.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BrakesFile {
    pub(super) threads_running: Option<u64>,
    pub(super) replica_lag: Option<String>,
    /// Its first cell is the lag in seconds; default: what the server says of itself as a replica.
    pub(super) replica_lag_query: Option<String>,
    pub(super) every: String,
}

impl Default for BrakesFile {
    fn default() -> Self {
        Self {
            threads_running: None,
            replica_lag: None,
            replica_lag_query: None,
            every: "1s".to_owned(),
        }
    }
}

/// `[values]`: what becomes of values that the other side has no place for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ValuesFile {
    pub(super) on_out_of_range: OutOfRange,
    /// `error`, `null` or a date; default: `null` where the column is nullable, else `error`.
    pub(super) zero_dates: Option<String>,
}

/// `[verify]`: how the copy is proved before the swap.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct VerifyFile {
    pub(super) mode: VerifyMode,
}

/// How far a copy is verified before the swap.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum VerifyMode {
    /// The ledger adds up and the rows by key, as ClickHouse counts them, equal it.
    #[default]
    Counts,
    /// Also, the digest of every column as read back equals the digest of what was sent.
    Full,
}

/// `[swap]`: what guards the swap, and the way back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SwapFile {
    pub(super) max_shrink: String,
    pub(super) max_growth: Option<String>,
    pub(super) keep_old: String,
    pub(super) on_table_error: OnTableError,
}

impl Default for SwapFile {
    fn default() -> Self {
        Self {
            max_shrink: "10%".to_owned(),
            max_growth: None,
            keep_old: "7d".to_owned(),
            on_table_error: OnTableError::Stop,
        }
    }
}

/// Whether one bad table keeps the others from being swapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTableError {
    /// No table is swapped.
    #[default]
    Stop,
    /// The others are swapped.
    Continue,
}

/// `[[table]]`: a table mapping.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableFile {
    /// `database.table`.
    pub(super) source: String,
    /// The destination table's name; default: the source table's.
    pub(super) destination: Option<String>,
    #[serde(default)]
    pub(super) engine: Option<Engine>,
    /// Columns or expressions of the sorting key; default: the primary key.
    pub(super) order_by: Option<Vec<String>>,
    /// The first columns or expressions of the sorting key, where the primary key is to be shorter.
    pub(super) primary_key: Option<Vec<String>>,
    pub(super) partition_by: Option<String>,
    pub(super) ttl: Option<String>,
    #[serde(default)]
    pub(super) indexes: Vec<SkipIndex>,
    /// Default: the source table's.
    pub(super) comment: Option<String>,
    pub(super) on_out_of_range: Option<OutOfRange>,
    pub(super) zero_dates: Option<String>,
    pub(super) on_truncate: Option<OnTruncate>,
    pub(super) on_drop: Option<OnDrop>,
    /// MergeTree settings.
    #[serde(default)]
    pub(super) settings: BTreeMap<String, toml::Value>,
    /// Another ClickHouse type than the default and other settings, by column.
    #[serde(default)]
    pub(super) types: BTreeMap<String, ColumnFile>,
    #[serde(default, rename = "transform")]
    pub(super) transforms: Vec<TransformFile>,
}

/// A column of `types`: a ClickHouse type, or a table of settings.
#[derive(Debug, Default)]
pub(super) struct ColumnFile {
    pub(super) settings: ColumnSettingsFile,
}

/// `[table.types.column]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ColumnSettingsFile {
    #[serde(rename = "type")]
    pub(super) clickhouse_type: Option<String>,
    pub(super) format: Option<Format>,
    pub(super) codec: Option<String>,
    pub(super) ttl: Option<String>,
    pub(super) comment: Option<String>,
    pub(super) nullable: Option<bool>,
    /// What NULL becomes.
    pub(super) default: Option<toml::Value>,
    pub(super) on_out_of_range: Option<OutOfRange>,
    pub(super) zero_dates: Option<String>,
}

impl<'de> Deserialize<'de> for ColumnFile {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TypeOrSettings;
        impl<'de> serde::de::Visitor<'de> for TypeOrSettings {
            type Value = ColumnSettingsFile;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a ClickHouse type or a table of settings")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(ColumnSettingsFile {
                    clickhouse_type: Some(text.to_owned()),
                    ..ColumnSettingsFile::default()
                })
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                map: A,
            ) -> Result<Self::Value, A::Error> {
                Deserialize::deserialize(serde::de::value::MapAccessDeserializer::new(map))
            }
        }
        let settings = deserializer.deserialize_any(TypeOrSettings)?;
        Ok(Self { settings })
    }
}

/// `[[table.transform]]`: a plugin's use on a table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TransformFile {
    /// A plugin's name, the path of its file, or a reference with a digest: `oci://…@sha256:…`.
    pub(super) plugin: String,
    #[serde(default)]
    pub(super) config: toml::Table,
    /// Files whose rows the configuration gets in its `tables`.
    #[serde(default)]
    pub(super) tables: BTreeMap<String, ReferenceFile>,
    #[serde(default)]
    pub(super) limits: LimitsFile,
    #[serde(default)]
    pub(super) grants: GrantsFile,
    #[serde(default)]
    pub(super) on_error: OnError,
    pub(super) max_rejected: Option<u64>,
    pub(super) max_rejected_share: Option<String>,
    pub(super) rejected_window: Option<u64>,
    #[serde(default = "yes")]
    pub(super) keep_row: bool,
    #[serde(default)]
    pub(super) show_output: bool,
}

/// `grants` of a transform.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GrantsFile {
    pub(super) environment: Option<Vec<String>>,
    pub(super) files: Option<Vec<PathBuf>>,
    pub(super) network: Option<Vec<String>>,
}

/// `limits` of a transform.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsFile {
    pub(super) memory: Option<String>,
    pub(super) deadline: Option<String>,
    pub(super) cpu: Option<String>,
    pub(super) output: Option<String>,
    pub(super) growth: Option<u32>,
    pub(super) batches: Option<u32>,
    pub(super) log_lines: Option<u32>,
}

fn yes() -> bool {
    true
}

fn default_host() -> String {
    "127.0.0.1".to_owned()
}

fn default_mysql_port() -> u16 {
    3306
}

fn default_clickhouse_user() -> String {
    "default".to_owned()
}
