//! What can be typed behind `tidemill plugin`.

use std::path::PathBuf;

use clap::Subcommand;

use crate::kit::Language;
use crate::schema::TableName;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum PluginCommand {
    /// Make the folder of a new plugin, which builds and passes its test as it is
    New {
        /// The plugin's name: small letters, digits and `-`
        name: String,
        /// The language that it is written in
        #[arg(long, value_enum)]
        language: Language,
        /// The folder; default: the name
        #[arg(long, value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
    /// Build a plugin into a component
    Build {
        /// The plugin's folder
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// The component's file; default: build/<name>.wasm, or what `tidemill-plugin.toml` says
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Run a plugin on rows, and compare with the rows that are expected
    Test(TestArguments),
    /// Show what a plugin says of itself; nothing is built
    Inspect {
        /// The component's file, the plugin's folder, or a reference with a digest (`oci://…@sha256:…`)
        #[arg(default_value = ".")]
        plugin: PathBuf,
    },
    /// Build a plugin at each save, and show rows before and after
    Dev {
        /// The plugin's folder
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Measure a plugin, beside the pass-through plugin
    Bench {
        /// The plugin's folder, or the component's file
        #[arg(default_value = ".")]
        plugin: PathBuf,
        #[command(flatten)]
        rows: RowsArguments,
        /// How long each of the two is measured
        #[arg(long, default_value_t = 3.0, value_name = "SECONDS")]
        seconds: f64,
    },
    #[command(flatten)]
    Ship(ShipCommand),
    #[command(flatten)]
    Service(ServicePluginCommand),
}

/// What is done with a tenant's own plugins at a service.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ServicePluginCommand {
    /// Show the plugins that were uploaded to a service (with --server)
    List,
    /// Upload a plugin to a service (with --server), in place of one of its name
    Upload {
        /// The component's file
        file: PathBuf,
        /// The name by which pipes use it; default: the file's, without its ending
        #[arg(long = "as", value_name = "NAME")]
        as_name: Option<String>,
    },
    /// Remove a plugin that no pipe uses from a service (with --server)
    Remove {
        /// The plugin's name
        name: String,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
}

/// What brings plugins from their author to the operator.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ShipCommand {
    /// Send a plugin to a registry, and print the reference with its digest
    Push {
        /// The component's file
        file: PathBuf,
        /// Where to: oci://host/repository:tag
        reference: String,
        /// Sign it with this private key (Ed25519, PEM): see `keygen`
        #[arg(long, value_name = "KEY")]
        sign: Option<PathBuf>,
        /// Speak plain HTTP with a registry that isn't on this machine
        #[arg(long)]
        plain_http: bool,
    },
    /// Fetch a plugin from a registry into the store, as the operator's policy allows it
    Pull {
        /// From where: oci://host/repository:tag or oci://host/repository@sha256:…
        reference: String,
        /// Speak plain HTTP with a registry that isn't on this machine
        #[arg(long)]
        plain_http: bool,
    },
    /// Sign a plugin that is used as a file: writes <FILE>.sig
    Sign {
        /// The component's file
        file: PathBuf,
        /// The private key (Ed25519, PEM)
        #[arg(long)]
        key: PathBuf,
    },
    /// Make a pair of keys: <NAME>.key to sign with, <NAME>.pub for the operator's policy
    Keygen {
        /// The files' name, without its ending
        name: PathBuf,
    },
}

/// What a test takes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct TestArguments {
    /// The plugin's folder, whose tests are run; or a component's file
    #[arg(default_value = ".")]
    pub(super) plugin: PathBuf,
    /// Only this test of the folder; may be repeated
    #[arg(long = "test", value_name = "NAME", conflicts_with = "given")]
    pub(super) tests: Vec<String>,
    #[command(flatten)]
    pub(super) rows: RowsArguments,
    /// The file of the rows that are expected of `--input` or `--table`
    #[arg(long, value_name = "FILE", requires = "given")]
    pub(super) expected: Option<PathBuf>,
    /// Write what comes out as what is expected
    #[arg(long)]
    pub(super) update: bool,
    /// Write the rows of `--table` to a file, for a test: .jsonl, .csv, .parquet or .arrow
    #[arg(long, value_name = "FILE", requires = "table")]
    pub(super) save: Option<PathBuf>,
}

/// Which rows a plugin is given, and how it is configured; without them: as the first test of its folder says.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RowsArguments {
    /// A file of rows: .jsonl, .csv, .parquet or .arrow
    #[arg(long, value_name = "FILE", group = "given")]
    pub(super) input: Option<PathBuf>,
    /// A column of `--input`, as `name: type` or `name: type?`; may be repeated; default: the file's own, or guessed
    #[arg(long = "column", value_name = "COLUMN", requires = "input")]
    pub(super) columns: Vec<String>,
    /// A column of the key; may be repeated
    #[arg(long = "key", value_name = "NAME", requires = "input")]
    pub(super) key: Vec<String>,
    /// Rows of this table of the pipe's source
    #[arg(long, value_name = "DATABASE.TABLE", group = "given")]
    pub(super) table: Option<TableName>,
    /// How many rows of `--table`
    #[arg(long, default_value_t = 100, value_name = "ROWS", requires = "table")]
    pub(super) rows: usize,
    /// The plugin's configuration, as JSON
    #[arg(long, value_name = "JSON")]
    pub(super) config: Option<String>,
}

impl PluginCommand {
    /// Whether it is about a service's plugins, not about files of this machine.
    pub(in crate::cli) fn is_of_service(&self) -> bool {
        matches!(self, Self::Service(_))
    }

    /// The name as it was typed, for the JSON envelope.
    pub(in crate::cli) fn name(&self) -> &'static str {
        match self {
            Self::New { .. } => "plugin new",
            Self::Build { .. } => "plugin build",
            Self::Test(_) => "plugin test",
            Self::Inspect { .. } => "plugin inspect",
            Self::Dev { .. } => "plugin dev",
            Self::Bench { .. } => "plugin bench",
            Self::Ship(command) => match command {
                ShipCommand::Push { .. } => "plugin push",
                ShipCommand::Pull { .. } => "plugin pull",
                ShipCommand::Sign { .. } => "plugin sign",
                ShipCommand::Keygen { .. } => "plugin keygen",
            },
            Self::Service(command) => match command {
                ServicePluginCommand::List => "plugin list",
                ServicePluginCommand::Upload { .. } => "plugin upload",
                ServicePluginCommand::Remove { .. } => "plugin remove",
            },
        }
    }
}
