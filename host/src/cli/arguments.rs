//! What can be typed.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use secrecy::SecretString;

use super::plugin::PluginCommand;
use crate::schema::TableName;
use crate::service::store::Role;
use crate::telemetry::LogFormat;

/// Rebuilds MySQL tables in ClickHouse through sandboxed WebAssembly plugins, without an outage.
#[derive(Debug, Parser)]
#[command(name = "tidemill", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(super) struct Arguments {
    /// The pipe file
    #[arg(
        long,
        global = true,
        env = "TIDEMILL_PIPE",
        default_value = "pipe.toml",
        value_name = "FILE"
    )]
    pub(super) pipe: PathBuf,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
    /// What is logged on standard error: error, warn, info, debug or trace
    #[arg(
        long,
        global = true,
        env = "TIDEMILL_LOG",
        default_value = "error",
        value_name = "LEVEL"
    )]
    pub(super) log: String,
    /// How it is logged: as text, or as an object of JSON a line
    #[arg(long, global = true, env = "TIDEMILL_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub(super) log_format: LogFormat,
    #[command(flatten)]
    pub(super) server: RemoteArguments,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The service whose pipe is meant; without one it is a pipe file of this machine.
#[derive(Debug, clap::Args)]
pub(super) struct RemoteArguments {
    /// A service: `https://tidemill.example.com`; --pipe is then a pipe's name, or a pipe file that has it
    #[arg(long, global = true, env = "TIDEMILL_SERVER", value_name = "URL")]
    pub(super) server: Option<url::Url>,
    /// The file of the token for the service
    #[arg(long, global = true, env = "TIDEMILL_TOKEN_FILE", value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// The token itself comes from the environment alone, where `ps` doesn't show it
    #[arg(skip = token())]
    pub(super) token: Option<secrecy::SecretString>,
}

/// The token of the environment.
fn token() -> Option<secrecy::SecretString> {
    std::env::var("TIDEMILL_TOKEN").ok().map(Into::into)
}

/// What is done with the pipes of a service, beside what they are told.
#[derive(Debug, Subcommand)]
pub(super) enum PipeCommand {
    /// Show all pipes
    List,
    /// Make a pipe out of a pipe file; passwords and `[secrets]` in it are kept encrypted
    Create {
        /// The pipe file
        file: PathBuf,
    },
    /// Change the settings of the pipe of the same name
    Change {
        /// The pipe file
        file: PathBuf,
    },
    /// Show the files that were uploaded for a pipe
    Files {
        /// The pipe's name
        name: String,
    },
    /// Upload a file that a pipe's settings name as `files/NAME`: a reference table, a certificate authority
    Upload {
        /// The pipe's name
        name: String,
        /// The file
        file: PathBuf,
        /// The file's name there; default: its own
        #[arg(long = "as", value_name = "NAME")]
        as_name: Option<String>,
    },
    /// Remove an uploaded file that the pipe's settings don't name
    RemoveFile {
        /// The pipe's name
        name: String,
        /// The file's name, without `files/`
        file: String,
    },
    /// Stop a pipe and remove it; its tables in the destination stay
    Delete {
        /// The pipe's name
        name: String,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 internal, 2 usage, 3 pipe file, 4 source, 5 plugin, 6 verification, 7 destination,
8 a table waits for `approve`, 9 state (another resync, nothing to do), 10 paused,
11 `check` or `plan` found an error";

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people.
    Text,
    /// One JSON envelope: command, ok, summary, result, error.
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write a commented pipe file by looking at a source
    Init(InitArguments),
    /// Check a pipe against its servers and plugins; changes nothing
    Check,
    /// Show what a resync would do; changes nothing
    Plan {
        /// Only this source table; may be repeated
        #[arg(long = "table", value_name = "DATABASE.TABLE")]
        tables: Vec<TableName>,
    },
    /// Show some rows of a table before and after its transforms; changes nothing
    Preview {
        /// The source table
        #[arg(value_name = "DATABASE.TABLE")]
        table: TableName,
        /// How many rows
        #[arg(long, default_value_t = 10)]
        rows: usize,
    },
    /// Load a pipe, if that isn't done, and follow the source's binlog until it is stopped
    Run,
    /// Rebuild tables from the source and swap them in
    Resync {
        /// Only this source table; may be repeated
        #[arg(long = "table", value_name = "DATABASE.TABLE")]
        tables: Vec<TableName>,
        /// Keep the tables current until they are swapped
        #[arg(long)]
        live: bool,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
    /// Load a table that is new in the pipe file, and follow it with the others
    AddTable {
        /// The source table
        #[arg(value_name = "DATABASE.TABLE")]
        table: TableName,
    },
    /// Follow a table no longer; its destination table stays
    RemoveTable {
        /// The source table
        #[arg(value_name = "DATABASE.TABLE")]
        table: TableName,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
    /// Show what the pipe is at: its phase, its lag, its tables
    Status,
    /// Show the Initial Load Stats of each table
    Tables,
    /// Stop what the pipe does at the next batch boundary
    Pause,
    /// Go on after a pause, an error or a crash
    Resume,
    /// Give the unfinished resync up: drops the `_resync` tables
    Abort {
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
    /// Approve the swap of tables that shrank or grew too much
    Approve {
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
    /// Bring back the tables from before the last resync
    Rollback {
        /// Only this source table; may be repeated
        #[arg(long = "table", value_name = "DATABASE.TABLE")]
        tables: Vec<TableName>,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
    /// Show all resyncs of the pipe
    History,
    /// Run a query at the pipe's destination, an embedded one too
    Query {
        /// The query
        sql: String,
    },
    /// Show what each MySQL and MariaDB type becomes, and what a pipe may ask for instead
    Types {
        /// As the page of documentation that TYPES.md is
        #[arg(long)]
        markdown: bool,
    },
    /// Write, build, test, look at and ship plugins
    Plugin {
        #[command(subcommand)]
        command: PluginCommand,
    },
    /// Run many pipes of many tenants, with an API and web pages
    Serve(ServeArguments),
    /// Make, change and remove the pipes of a service (with --server)
    Pipe {
        #[command(subcommand)]
        command: PipeCommand,
    },
    /// Make and change the tenants of a service, on its machine
    Tenant {
        #[command(flatten)]
        data: DataFolder,
        #[command(subcommand)]
        command: TenantCommand,
    },
    /// Encrypt the secrets of a service with another key. The service must not run
    Rekey {
        #[command(flatten)]
        data: DataFolder,
        /// The file of the key until now; default: TIDEMILL_KEY of the environment
        #[arg(long, env = "TIDEMILL_KEY_FILE", value_name = "FILE")]
        key_file: Option<PathBuf>,
        /// The file of the new key, 64 hexadecimal digits: `openssl rand -hex 32` makes one
        #[arg(long, value_name = "FILE")]
        new_key_file: PathBuf,
    },
    /// Run a ClickHouse server out of libchdb.so, until standard input ends
    Clickhouse(ServerArguments),
    /// Compile a plugin from standard input to standard output, in so many seconds: what `tidemill` runs to load a plugin
    #[command(hide = true)]
    CompilePlugin {
        /// The seconds
        seconds: u64,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the man pages: what a package is made with
    #[command(hide = true)]
    Man {
        /// The folder that they are written to
        folder: PathBuf,
    },
}

/// Where the source of a new pipe is.
#[derive(Debug, clap::Args)]
pub(super) struct InitArguments {
    /// The source's host
    #[arg(long, default_value = "127.0.0.1")]
    pub(super) host: String,
    /// The source's port
    #[arg(long, default_value_t = 3306)]
    pub(super) port: u16,
    /// The source's Unix socket, instead of host and port
    #[arg(long)]
    pub(super) socket: Option<PathBuf>,
    /// The source's user
    #[arg(long)]
    pub(super) user: String,
    /// The environment variable that holds the password
    #[arg(long, value_name = "NAME")]
    pub(super) password_env: Option<String>,
    /// The file whose first line is the password
    #[arg(long, value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,
    /// How far TLS is asked for: disabled, required, verify_ca, verify_identity; default: required, but on loopback and sockets
    #[arg(long, value_name = "MODE")]
    pub(super) tls: Option<String>,
    /// The PEM file of the authorities that TLS trusts; default: the public ones
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    /// A database of the source; may be repeated; default: all
    #[arg(long = "database", value_name = "NAME")]
    pub(super) databases: Vec<String>,
    /// The destination: `embedded` or a URL
    #[arg(long, default_value = "embedded")]
    pub(super) destination: String,
    /// The destination's database; default: the source's
    #[arg(long, value_name = "NAME")]
    pub(super) destination_database: Option<String>,
    /// Write over a file that exists
    #[arg(long)]
    pub(super) force: bool,
}

/// Where a service keeps what it knows.
#[derive(Debug, clap::Args)]
pub(super) struct DataFolder {
    /// The service's data folder
    #[arg(long, env = "TIDEMILL_DATA", value_name = "FOLDER")]
    pub(super) data: PathBuf,
}

/// What `serve` reads of the environment alone.
const SERVICE_VARIABLES: &str = "Environment: OTEL_EXPORTER_OTLP_ENDPOINT has traces sent there by OTLP (protobuf over HTTP); the other OTEL_… variables are obeyed.
Open without a token: /healthz, /readyz. With one: /metrics, for Prometheus";

/// The service that `tidemill serve` runs.
#[derive(Debug, clap::Args)]
#[command(after_help = SERVICE_VARIABLES)]
pub(super) struct ServeArguments {
    #[command(flatten)]
    pub(super) data: DataFolder,
    /// Where requests come in; a proxy in front of it speaks TLS
    #[arg(
        long,
        env = "TIDEMILL_LISTEN",
        default_value = "127.0.0.1:8420",
        value_name = "ADDRESS:PORT"
    )]
    pub(super) listen: std::net::SocketAddr,
    /// The file of the key that secrets are encrypted with, 64 hexadecimal digits; default: TIDEMILL_KEY of the environment
    #[arg(long, env = "TIDEMILL_KEY_FILE", value_name = "FILE")]
    pub(super) key_file: Option<PathBuf>,
    /// Where browsers find the service, if a proxy is in front of it: with https their cookies go nowhere else
    #[arg(long, env = "TIDEMILL_PUBLIC_URL", value_name = "URL")]
    pub(super) public_url: Option<url::Url>,
    /// Finish loads and resyncs before the process ends; a second SIGTERM stops them at their next batch boundary
    #[arg(long)]
    pub(super) drain: bool,
    /// The file of a token, 16 characters or more, by which /metrics tells of all tenants; default: TIDEMILL_METRICS_TOKEN of the environment. A
    /// tenant's token is told of this one alone
    #[arg(long, env = "TIDEMILL_METRICS_TOKEN_FILE", value_name = "FILE")]
    pub(super) metrics_token_file: Option<PathBuf>,
    /// Read from the environment alone: what is typed is seen by all of the machine
    #[arg(skip = token_of_environment())]
    pub(super) metrics_token: Option<SecretString>,
}

fn token_of_environment() -> Option<SecretString> {
    std::env::var("TIDEMILL_METRICS_TOKEN").ok().map(Into::into)
}

/// What the operator does with tenants.
#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Make a tenant, and its first token
    Create {
        /// Its name: 1 to 63 small letters, digits and `-`
        name: String,
        #[command(flatten)]
        quotas: QuotaArguments,
    },
    /// Show all tenants
    List,
    /// Change what a tenant may use
    Set {
        /// Its name
        name: String,
        #[command(flatten)]
        quotas: QuotaArguments,
    },
    /// Make a token of a tenant
    Token {
        /// The tenant's name
        name: String,
        /// What its bearer may do
        #[arg(long, value_enum, default_value = "admin")]
        role: Role,
        /// What it is for
        #[arg(
            long = "for",
            default_value = "made by the operator",
            value_name = "TEXT"
        )]
        purpose: String,
    },
    /// Remove a tenant with its pipes' settings and journals; tables of destinations stay. The service must not run
    Remove {
        /// Its name
        name: String,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
}

/// What a tenant may use.
#[derive(Debug, Default, clap::Args)]
pub(super) struct QuotaArguments {
    /// Pipes
    #[arg(long, value_name = "NUMBER")]
    pub(super) pipes: Option<u32>,
    /// Chunks that are loaded at the same time, over all pipes
    #[arg(long, value_name = "NUMBER")]
    pub(super) parallel_chunks: Option<u32>,
    /// Memory of plugins at one time, such as 4GiB
    #[arg(long, value_name = "SIZE")]
    pub(super) plugin_memory: Option<bytesize::ByteSize>,
    /// CPU time of plugins a minute, in milliseconds; 0: as much as there is
    #[arg(long, value_name = "MILLISECONDS")]
    pub(super) plugin_cpu: Option<u64>,
    /// Size of all uploads together, such as 1GiB
    #[arg(long, value_name = "SIZE")]
    pub(super) uploads: Option<bytesize::ByteSize>,
    /// Rows that are loaded a second, over all pipes; 0: as many as there are
    #[arg(long, value_name = "NUMBER")]
    pub(super) rows_per_second: Option<u64>,
}

/// The server that `tidemill clickhouse` runs.
#[derive(Debug, clap::Args)]
pub(super) struct ServerArguments {
    /// The data folder
    #[arg(long)]
    pub(super) data: PathBuf,
    /// The HTTP port, on loopback
    #[arg(long, default_value_t = 8123)]
    pub(super) http_port: u16,
    /// The native protocol's port, on loopback
    #[arg(long, default_value_t = 9000)]
    pub(super) tcp_port: u16,
    /// libchdb.so; default: where `tests/provision/clickhouse install` puts it
    #[arg(long)]
    pub(super) library: Option<PathBuf>,
}

impl Command {
    /// Whether it does what is worth a trace.
    pub(super) fn is_traced(&self) -> bool {
        matches!(
            self,
            Self::Serve(_)
                | Self::Run
                | Self::Resync { .. }
                | Self::AddTable { .. }
                | Self::Resume
                | Self::Approve { .. }
        )
    }

    /// The name as it was typed, for the JSON envelope.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::Check => "check",
            Self::Plan { .. } => "plan",
            Self::Preview { .. } => "preview",
            Self::Run => "run",
            Self::Resync { .. } => "resync",
            Self::AddTable { .. } => "add-table",
            Self::RemoveTable { .. } => "remove-table",
            Self::Status => "status",
            Self::Tables => "tables",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort { .. } => "abort",
            Self::Approve { .. } => "approve",
            Self::Rollback { .. } => "rollback",
            Self::History => "history",
            Self::Query { .. } => "query",
            Self::CompilePlugin { .. } => "compile-plugin",
            Self::Types { .. } => "types",
            Self::Plugin { command } => command.name(),
            Self::Serve(_) => "serve",
            Self::Pipe { .. } => "pipe",
            Self::Tenant { .. } => "tenant",
            Self::Rekey { .. } => "rekey",
            Self::Clickhouse(_) => "clickhouse",
            Self::Completions { .. } => "completions",
            Self::Man { .. } => "man",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
