//! What can go wrong between the host and a plugin: one enum, each variant saying what happened, where, and what to do.
//!
//! A guest's own words (a panic, a reason) are quoted, cut and freed of control characters; cell values are never added by the host.

use std::fmt;
use std::path::PathBuf;

use super::contract::{TRANSFORM, VERSION};
use crate::schema::Grant;

/// Longest quotation of a guest's words in an error or a log line, in bytes.
pub(super) const QUOTE_BYTES: usize = 2048;

/// Where a plugin was when something happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// The plugin's name, or its file before the name is known.
    pub plugin: String,
    /// The table, as `database.name`.
    pub table: Option<String>,
    /// The chunk, as the caller names it.
    pub chunk: Option<String>,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin `{}`", self.plugin)?;
        if let Some(table) = &self.table {
            write!(f, ", table `{table}`")?;
        }
        if let Some(chunk) = &self.chunk {
            write!(f, ", chunk {chunk}")?;
        }
        Ok(())
    }
}

/// One place where a configuration differs from the plugin's JSON Schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where in the configuration: a JSON Pointer, empty for the configuration itself.
    pub path: String,
    /// What is wrong there, without the value.
    pub reason: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() {
            "/"
        } else {
            &self.path
        };
        write!(f, "at `{path}`: {}", self.reason)
    }
}

/// The limits that a plugin can run into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// Memory of an instance.
    Memory,
    /// Memory of all of a tenant's instances.
    TenantMemory,
    /// Time for a call.
    Deadline,
    /// CPU time of all calls together.
    Cpu,
    /// Size of an answer.
    Output,
    /// Size of an answer beside that of what was given.
    Growth,
    /// Instances at one time, in the whole process.
    Instances,
}

impl LimitKind {
    /// The setting that raises it.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Memory => "limits.memory",
            Self::TenantMemory => "plugin_memory of the tenant's quotas, which the operator sets",
            Self::Deadline => "limits.deadline",
            Self::Cpu => "limits.cpu",
            Self::Output => "limits.output",
            Self::Growth => "limits.growth",
            Self::Instances => "parallel chunks or tables (lower them)",
        }
    }
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::TenantMemory => "tenant's memory",
            Self::Deadline => "time",
            Self::Cpu => "CPU",
            Self::Output => "output",
            Self::Growth => "growth",
            Self::Instances => "instance",
        })
    }
}

/// Why a plugin refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The configuration can't be used.
    Config,
    /// The table doesn't fit.
    Schema,
    /// The batch is condemned as a whole.
    Data,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "its configuration",
            Self::Schema => "the table's schema",
            Self::Data => "the batch",
        })
    }
}

/// An error at the plugin boundary.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransformError {
    /// The WebAssembly engine could not be set up on this machine.
    #[error("the WebAssembly engine can't start: {reason}")]
    Engine {
        /// What the engine says.
        reason: String,
    },
    /// No file of this name.
    #[error("no plugin `{name}`: looked for {}; build it with `tidemill plugin build`, or give its path", list(.looked))]
    NotFound {
        /// The name or path that was asked for.
        name: String,
        /// Every file that was looked for, in order.
        looked: Vec<PathBuf>,
    },
    /// A tenant of a service has uploaded no plugin of this name.
    #[error(
        "there is no plugin `{name}`; upload the plugin under this name, or name one that there is"
    )]
    NotUploaded {
        /// The name that was asked for.
        name: String,
    },
    /// The file can't be read.
    #[error("the plugin `{}` can't be read: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("`{}` is no WebAssembly component: {found}; build it with `tidemill plugin build`, or encode it with `wasm-tools component new`", .path.display())]
    NotAComponent {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: String,
    },
    /// The file begins like a component and isn't a valid one, or one that the engine has no room for.
    #[error("`{}` is a damaged or unsupported component: {reason}; build it again, without threads, shared memory, asynchronous functions or a multitude of modules", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What the validator says.
        reason: String,
    },
    /// The component could not be compiled.
    #[error("`{}` can't be compiled: {reason}", .path.display())]
    Compile {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// The component wants more than the host gives.
    #[error("`{}` imports `{import}`, which no plugin is given; build it without", .path.display())]
    ForeignImport {
        /// The file.
        path: PathBuf,
        /// The import's name.
        import: String,
    },
    /// The component wants something that isn't granted to it.
    #[error(
        "{site}: it imports `{import}`, and a plugin sees no files, connections or environment by default: build it without (in Rust for `wasm32-unknown-unknown`; Python and JavaScript: with WASI stubbed out), or grant it with `grants.{grant} = []` or a list of what it may use"
    )]
    NotGranted {
        /// Where.
        site: Box<Site>,
        /// The import's name.
        import: String,
        /// What has to be granted.
        grant: Grant,
    },
    /// Something that is granted can't be had.
    #[error("{site}: what it is granted can't be had: {reason}")]
    Unavailable {
        /// Where.
        site: Box<Site>,
        /// What, and why.
        reason: String,
    },
    /// The component was built for another version of the contract.
    #[error("`{}` was built for `{found}`, and this Tidemill supports version {VERSION} of the contract: {}", .path.display(), remedy(*.newer))]
    ContractVersion {
        /// The file.
        path: PathBuf,
        /// The contract that it names.
        found: String,
        /// Whether that is one of a later Tidemill.
        newer: bool,
    },
    /// The component isn't a Tidemill plugin.
    #[error("`{}` is a component but no Tidemill plugin: it exports {exports}, and not `{TRANSFORM}`; implement the world `plugin` of `wit/`", .path.display())]
    NoContract {
        /// The file.
        path: PathBuf,
        /// What it exports.
        exports: String,
    },
    /// The component names the contract and has other functions.
    #[error("`{}` names `{TRANSFORM}`, and its functions are not the contract's: {reason}; rebuild it against `wit/` version {VERSION}", .path.display())]
    ContractShape {
        /// The file.
        path: PathBuf,
        /// The difference.
        reason: String,
    },
    /// The plugin describes itself in a way that can't be used.
    #[error("`{}` describes itself wrongly: {reason}; this is the plugin's fault", .path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The configuration violates the plugin's JSON Schema.
    #[error("{site}: the configuration is refused: {}; `tidemill plugin inspect` shows what the plugin accepts", list(.violations))]
    Config {
        /// Where.
        site: Box<Site>,
        /// All violations.
        violations: Vec<Violation>,
    },
    /// The plugin answered with an error of its own.
    #[error("{site}: it refuses {refusal}: {reason}")]
    Refused {
        /// Where.
        site: Box<Site>,
        /// What it refuses.
        refusal: Refusal,
        /// The plugin's words.
        reason: String,
    },
    /// The plugin's binding can't be used.
    #[error("{site}: its binding can't be used: {reason}")]
    Binding {
        /// Where.
        site: Box<Site>,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A key column would not survive.
    #[error(
        "{site}: the key column `{column}` {reason}; pass it on, or compute a column of the same name"
    )]
    Key {
        /// Where.
        site: Box<Site>,
        /// The key's column.
        column: String,
        /// What happens to it.
        reason: String,
    },
    /// A column of a type that the contract doesn't know.
    #[error(
        "{site}: the column `{column}` has the type {data_type}, which plugins can't be given; leave the column out of the table's mapping"
    )]
    UnsupportedType {
        /// Where.
        site: Box<Site>,
        /// The column.
        column: String,
        /// Its Arrow type.
        data_type: String,
    },
    /// The plugin's answer violates the contract.
    #[error(
        "{site}: it broke the contract: {reason}; this is the plugin's fault, and nothing of the batch was used"
    )]
    Breach {
        /// Where.
        site: Box<Site>,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The plugin ran into one of its limits.
    #[error("{site}: it ran into its {kind} limit of {limit}: {asked}; the setting is `{}`", .kind.setting())]
    Limit {
        /// Where.
        site: Box<Site>,
        /// Which limit.
        kind: LimitKind,
        /// The limit's value.
        limit: String,
        /// What the plugin asked for.
        asked: String,
    },
    /// More rows than the pipe tolerates could not be transformed.
    #[error(
        "{site}: more rows could not be transformed than `{setting}` of {bound} allows: {counted}; the last one: {reason}"
    )]
    TooManyRejected {
        /// Where.
        site: Box<Site>,
        /// The setting that bounds them.
        setting: &'static str,
        /// Its value.
        bound: String,
        /// How many there were.
        counted: String,
        /// Why the last one could not be transformed.
        reason: String,
    },
    /// The plugin crashed.
    #[error("{site}: it crashed: {reason}")]
    Trapped {
        /// Where.
        site: Box<Site>,
        /// The panic's text where there is one, and the kind of trap.
        reason: String,
    },
    /// The batch isn't what the chain was bound to.
    #[error(
        "table `{table}`, chunk {chunk}: the batch doesn't fit the chain of transforms: {reason}"
    )]
    Batch {
        /// The table.
        table: String,
        /// The chunk.
        chunk: String,
        /// The difference.
        reason: String,
    },
}

impl TransformError {
    /// The same for a tenant of a service, who has uploaded plugins and knows nothing of the machine's folders.
    #[must_use]
    pub fn of_tenant(self) -> Self {
        match self {
            Self::NotFound { name, .. } => Self::NotUploaded { name },
            other => other,
        }
    }

    /// Whether the same call may succeed later. A plugin's answer depends on its batch alone, so only the want of a free instance, or
    /// of memory that others of the tenant have, passes.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Limit {
                kind: LimitKind::Instances | LimitKind::TenantMemory,
                ..
            }
        )
    }

    /// Where it happened, for errors of a plugin at work.
    pub fn site(&self) -> Option<&Site> {
        match self {
            Self::Config { site, .. }
            | Self::Refused { site, .. }
            | Self::Binding { site, .. }
            | Self::Key { site, .. }
            | Self::UnsupportedType { site, .. }
            | Self::Breach { site, .. }
            | Self::NotGranted { site, .. }
            | Self::TooManyRejected { site, .. }
            | Self::Unavailable { site, .. }
            | Self::Limit { site, .. }
            | Self::Trapped { site, .. } => Some(site),
            _ => None,
        }
    }
}

/// What to do about a plugin of another contract.
fn remedy(newer: bool) -> &'static str {
    match newer {
        true => concat!(
            "use a later Tidemill, or rebuild the plugin with the SDK of Tidemill ",
            env!("CARGO_PKG_VERSION")
        ),
        false => concat!(
            "rebuild the plugin with the SDK of Tidemill ",
            env!("CARGO_PKG_VERSION"),
            ", which says what has changed"
        ),
    }
}

/// A guest's words, fit to be shown: no control characters, and no longer than [`QUOTE_BYTES`].
pub(super) fn quote(text: &str) -> String {
    crate::quote::quote(text, QUOTE_BYTES)
}

/// Items joined by `; `.
fn list<T: Listed>(items: &[T]) -> String {
    items
        .iter()
        .map(Listed::listed)
        .collect::<Vec<_>>()
        .join("; ")
}

trait Listed {
    fn listed(&self) -> String;
}

impl Listed for PathBuf {
    fn listed(&self) -> String {
        format!("`{}`", self.display())
    }
}

impl Listed for Violation {
    fn listed(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_s_words_are_cut_and_cleaned() {
        assert_eq!(quote("\x1b[31mred\nline\0"), "[31mred line");
        let long = quote(&"é".repeat(QUOTE_BYTES));
        assert!(long.len() <= QUOTE_BYTES + '…'.len_utf8() && long.ends_with('…'));
    }

    #[test]
    fn a_limit_says_its_name_value_request_and_setting() {
        let site = Box::new(Site {
            plugin: "mask".into(),
            table: Some("shop.orders".into()),
            chunk: Some("7".into()),
        });
        let error = TransformError::Limit {
            site,
            kind: LimitKind::Memory,
            limit: "64.0 MiB".into(),
            asked: "it asked for 65.0 MiB".into(),
        };
        assert_eq!(
            error.to_string(),
            "plugin `mask`, table `shop.orders`, chunk 7: it ran into its memory limit of 64.0 MiB: it asked for 65.0 MiB; the setting is `limits.memory`"
        );
    }
}
