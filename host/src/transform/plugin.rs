//! A plugin: a file that was found to be a component of this contract, compiled, and asked to describe itself.
//!
//! Everything that can be refused before a table is known is refused here: what the file is, what it imports, which version of the
//! contract it exports, and a description or JSON Schema that can't be used.

use std::path::{Path, PathBuf};

use serde_json::Value;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};

use super::config_schema::ConfigSchema;
use super::contract::{self, RawDescription};
use super::error::{Site, TransformError, Violation, quote};
use super::guest::Guest;
use super::instance::Instance;
use super::limits::Limits;
use super::wasi::{self, Access, Terms};
use crate::schema::Grant;

/// Longest name and version, in bytes.
const NAME_BYTES: usize = 64;
/// Longest summary, in bytes.
const SUMMARY_BYTES: usize = 1024;

/// A loaded plugin. It is immutable and shared.
pub struct Plugin {
    path: PathBuf,
    digest: String,
    size_bytes: u64,
    imports: Vec<String>,
    name: String,
    version: String,
    summary: String,
    config_schema: ConfigSchema,
    pre: contract::Prepared<Guest>,
    /// Whether it imports any of WASI.
    wasi: bool,
}

/// What components are linked with.
pub(super) struct Linkers {
    /// The log alone.
    pub(super) plain: Linker<Guest>,
    /// The log, and WASI.
    pub(super) wasi: Linker<Guest>,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl Plugin {
    /// Links a compiled component and asks it to describe itself.
    pub(super) fn link(
        path: &Path,
        bytes: &[u8],
        digest: String,
        component: &Component,
        linkers: &Linkers,
    ) -> Result<Self, TransformError> {
        let imports = check_interfaces(path, component)?;
        let wasi = imports.iter().any(|import| wasi::access(import).is_some());
        let linker = if wasi { &linkers.wasi } else { &linkers.plain };
        let shape = |cause: wasmtime::Error| TransformError::ContractShape {
            path: path.to_owned(),
            reason: quote(&format!("{cause:#}")),
        };
        let pre = linker.instantiate_pre(component).map_err(shape)?;
        let pre = contract::Prepared::new(pre, wasi).map_err(shape)?;

        let file = path
            .file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy()
            .into_owned();
        let site = Site {
            plugin: file,
            ..Site::default()
        };
        let wrong = |reason| TransformError::Description {
            path: path.to_owned(),
            reason,
        };
        // No pipe can raise these limits.
        let unlimited = |error| match error {
            TransformError::Limit {
                kind, limit, asked, ..
            } => wrong(format!(
                "for that it has a {kind} limit of {limit}, and {asked}"
            )),
            other => other,
        };
        let made = Instance::new(&pre, wasi, &to_describe(), &site);
        let mut instance = made.map_err(|error| match error {
            // The functions' types are compared when an instance is made: what isn't the contract's is no crash.
            TransformError::Breach { reason, .. } => TransformError::ContractShape {
                path: path.to_owned(),
                reason,
            },
            other => unlimited(other),
        })?;
        let raw = instance.describe(&site).map_err(unlimited)?;
        let config_schema = check_description(&raw).map_err(wrong)?;
        let RawDescription {
            name,
            version,
            summary,
            ..
        } = raw;
        Ok(Self {
            path: path.to_owned(),
            digest,
            size_bytes: bytes.len() as u64,
            imports,
            name,
            version,
            summary,
            config_schema,
            pre,
            wasi,
        })
    }

    /// The name that it gives itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version that it gives itself.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What it does, in its own words.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// The JSON Schema of its configuration.
    pub fn config_schema(&self) -> &Value {
        &self.config_schema.schema
    }

    /// SHA-256 of the file, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The file that it was loaded from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's size.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// What it imports: the host's log, interfaces of WASI.
    pub fn imports(&self) -> Vec<String> {
        self.imports.clone()
    }

    /// The version of the contract that it was built for.
    pub fn contract_version(&self) -> &'static str {
        contract::VERSION
    }

    /// Checks a configuration against the JSON Schema; the violations, if there are any. No value is repeated: some are secret.
    pub fn check_config(&self, config: &Value) -> Result<(), Vec<Violation>> {
        self.config_schema.check(config)
    }

    /// What it needs to be granted, with the import that asks for it.
    pub fn needs(&self) -> impl Iterator<Item = (Grant, &str)> {
        self.imports
            .iter()
            .filter_map(|import| match wasi::access(import)? {
                Access::Granted(grant) => Some((grant, import.as_str())),
                Access::Free => None,
            })
    }

    /// An instance on these terms, which must grant what it needs.
    /// Makes an instance and lets it go again. Nobody needs that but who measures what it takes.
    pub fn instantiate(&self) -> Result<(), TransformError> {
        self.instance(&Terms::default(), &Site::default()).map(drop)
    }

    pub(super) fn instance(&self, terms: &Terms, site: &Site) -> Result<Instance, TransformError> {
        match self.needs().find(|(grant, _)| !terms.grants.has(*grant)) {
            Some((grant, import)) => Err(TransformError::NotGranted {
                site: Box::new(site.clone()),
                import: quote(import),
                grant,
            }),
            None => Instance::new(&self.pre, self.wasi, terms, site),
        }
    }
}

/// What kind of file this is, before the engine sees it.
pub(super) fn check_kind(path: &Path, bytes: &[u8]) -> Result<(), TransformError> {
    let found = match bytes {
        [] => "the file is empty".to_owned(),
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => return Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            "it is a core module, as compilers write it before it is encoded".to_owned()
        }
        [0, b'a', b's', b'm', ..] => {
            "it is WebAssembly of an encoding that this version doesn't know".to_owned()
        }
        _ => "it doesn't begin like WebAssembly".to_owned(),
    };
    Err(TransformError::NotAComponent {
        path: path.to_owned(),
        found,
    })
}

/// Checks imports and exports by name; the imports.
fn check_interfaces(path: &Path, component: &Component) -> Result<Vec<String>, TransformError> {
    let engine = component.engine();
    let component_type = component.component_type();
    let exports: Vec<String> = component_type
        .exports(engine)
        .map(|(name, _)| name.to_owned())
        .collect();
    let of_contract = |name: &&String| {
        name.split('@')
            .next()
            .is_some_and(|interface| interface == contract::TRANSFORM_NAME)
    };
    // One that was built for several versions is of this one, too.
    let ours = exports.iter().find(|name| *name == contract::TRANSFORM);
    match ours.or_else(|| exports.iter().find(of_contract)) {
        Some(name) if name == contract::TRANSFORM => {}
        Some(name) => {
            return Err(TransformError::ContractVersion {
                path: path.to_owned(),
                found: quote(name),
                newer: is_newer(name),
            });
        }
        None => {
            let exports = if exports.is_empty() {
                "nothing".to_owned()
            } else {
                format!("`{}`", quote(&exports.join("`, `")))
            };
            return Err(TransformError::NoContract {
                path: path.to_owned(),
                exports,
            });
        }
    }
    let mut imports = Vec::new();
    for (name, item) in component_type.imports(engine) {
        let known =
            name == contract::LOG || name == contract::TYPES || wasi::access(name).is_some();
        if !(known && matches!(item.ty, ComponentItem::ComponentInstance(_))) {
            return Err(TransformError::ForeignImport {
                path: path.to_owned(),
                import: quote(name),
            });
        }
        imports.push(name.to_owned());
    }
    Ok(imports)
}

/// Whether an interface of the contract (`name@1.2.3`) is of a later version than this host's.
fn is_newer(interface: &str) -> bool {
    let numbers = |version: &str| -> Vec<u64> {
        version
            .split('.')
            .map(|number| number.parse().unwrap_or(0))
            .collect()
    };
    let version = interface
        .split_once('@')
        .map_or("0", |(_, version)| version);
    numbers(version) > numbers(contract::VERSION)
}

/// What a plugin may use to describe itself, whatever a pipe says: some begin with a lot of memory.
fn to_describe() -> Terms {
    Terms {
        limits: Limits {
            memory_bytes: 256 << 20,
            ..Limits::default()
        },
        ..Terms::default()
    }
}

/// Checks a description; its JSON Schema, compiled.
fn check_description(raw: &RawDescription) -> Result<ConfigSchema, String> {
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if raw.name.is_empty() || raw.name.len() > NAME_BYTES || !raw.name.chars().all(named) {
        return Err(format!(
            "the name `{}` is not one to {NAME_BYTES} letters, digits, `-`, `_` or `.`",
            quote(&raw.name)
        ));
    }
    for (what, text, longest) in [
        ("version", &raw.version, NAME_BYTES),
        ("summary", &raw.summary, SUMMARY_BYTES),
    ] {
        if text.len() > longest || text.chars().any(char::is_control) {
            return Err(format!(
                "the {what} is longer than {longest} bytes or has control characters"
            ));
        }
    }
    ConfigSchema::parse(&raw.config_schema)
}
