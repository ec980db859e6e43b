//! The operator's policy: which plugins this machine runs and what they may be granted, whatever a pipe file says.
//!
//! It is a TOML file that [`POLICY`] names, else [`POLICY_FILE`] if that exists; without one any plugin runs, and none is granted
//! anything. A file that can't be read or understood is an error, never passed over:
//!
//! ```toml
//! [plugins]
//! require_signature = true                    # default: false
//! keys = ["/etc/tidemill/release.pub"]        # public keys that count: files beside this one, or PEM text
//! digests = ["sha256:9f86d0…"]                # plugin files that need no signature
//! registries = ["ghcr.io/acme"]               # from where plugins may come; default: anywhere
//! paths = false                               # whether plugins may be files of this machine; default: true
//! allow = ["environment"]                     # what a pipe may grant: environment, files, network; default: nothing
//! max_size = "64MiB"                          # largest plugin
//! compile_time = "2m"                         # longest compilation of a plugin
//!
//! [service]
//! embedded = false                            # whether tenants may have ClickHouse servers started on this machine; default: false
//! reach = ["10.1.0.0/16", "127.0.0.1:3306", "db.internal"]    # networks, addresses and names that tenants' pipes may connect to
//!                                             # beside the internet, each with a port or without; default: none
//! deny = ["198.51.100.0/24", "10.1.0.9:22"]   # networks and addresses that they may not connect to, whatever `reach` says; default: none.
//!                                             # The machine's own addresses are out of reach anyway, unless `reach` names them
//! ```
//!
//! Who signs what is the registry's matter; whether a signature counts is decided here, by the keys.

mod error;
mod file;
mod key;
mod reach;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use error::PolicyError;
pub use key::PublicKey;
pub use reach::{OutOfReach, Reach, ReachError};

use crate::digest::Digest;
use crate::schema::Grant;

/// The environment variable that names the policy's file.
pub const POLICY: &str = "TIDEMILL_POLICY";

/// The policy's file where the variable is not set.
pub const POLICY_FILE: &str = "/etc/tidemill/policy.toml";

/// Largest plugin where the policy doesn't say: a Python plugin takes 18 MB.
const MAX_SIZE: u64 = 64 << 20;

/// Longest compilation where the policy doesn't say: a Python plugin takes 10 s on a machine that has nothing else to do.
const COMPILE_TIME: Duration = Duration::from_secs(120);

/// What this machine's operator allows.
#[derive(Clone, Debug)]
pub struct Policy {
    /// None: the default policy.
    file: Option<PathBuf>,
    require_signature: bool,
    keys: Vec<PublicKey>,
    digests: Vec<Digest>,
    /// None: any.
    registries: Option<Vec<String>>,
    paths: bool,
    allow: Vec<Grant>,
    max_size: u64,
    compile_time: Duration,
    embedded: bool,
    reach: Vec<reach::Rule>,
    deny: Vec<reach::Rule>,
}

impl Default for Policy {
    /// Any plugin, no grant.
    fn default() -> Self {
        Self {
            file: None,
            require_signature: false,
            keys: Vec::new(),
            digests: Vec::new(),
            registries: None,
            paths: true,
            allow: Vec::new(),
            max_size: MAX_SIZE,
            compile_time: COMPILE_TIME,
            embedded: false,
            reach: Vec::new(),
            deny: Vec::new(),
        }
    }
}

/// Whose policy it is, as errors name it.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "the operator's policy {}", file.display()),
            None => f.write_str("the default policy"),
        }
    }
}

impl Policy {
    /// The policy of this machine: of the file that [`POLICY`] names, else of [`POLICY_FILE`], else the default one.
    pub fn load() -> Result<Self, PolicyError> {
        match std::env::var_os(POLICY) {
            Some(path) => Self::read(Path::new(&path)),
            None => Self::read_if_there(Path::new(POLICY_FILE)),
        }
    }

    /// The default policy if there is no such file. One that merely can't be looked at, or a link that leads nowhere, is no default.
    fn read_if_there(path: &Path) -> Result<Self, PolicyError> {
        match path.symlink_metadata() {
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            _ => Self::read(path),
        }
    }

    /// Reads and checks a policy's file, and the files of its keys.
    pub fn read(path: &Path) -> Result<Self, PolicyError> {
        file::read(path)
    }

    /// Whether a pipe may grant this to a plugin.
    pub fn allows(&self, grant: Grant) -> bool {
        self.allow.contains(&grant)
    }

    /// Refuses a grant that the policy doesn't allow.
    pub fn check_grant(&self, grant: Grant) -> Result<(), PolicyError> {
        match self.allows(grant) {
            true => Ok(()),
            false => Err(self.forbids(
                format!("plugins may not be granted `{grant}`"),
                format!("take it out of the transform's `grants`, or let the operator add it to `plugins.allow` in {}", self.place()),
            )),
        }
    }

    /// The policy for a service's tenants: their plugins come from the registries that it names, and from no others.
    pub fn for_tenants(&self) -> Self {
        Self {
            registries: Some(self.registries.clone().unwrap_or_default()),
            ..self.clone()
        }
    }

    /// Refuses a repository (`host:port/name`) outside of the registries that the policy names.
    pub fn check_repository(&self, repository: &str) -> Result<(), PolicyError> {
        let Some(registries) = &self.registries else {
            return Ok(());
        };
        // `ghcr.io/acme` is not `ghcr.io/acme-too`.
        let is_within = |prefix: &String| {
            repository
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if registries.iter().any(is_within) {
            return Ok(());
        }
        let allowed = match registries.as_slice() {
            [] => "none at all".to_owned(),
            some => some.join(", "),
        };
        Err(self.forbids(
            format!("plugins may not come from {repository}, only from {allowed}"),
            format!("use a plugin of an allowed registry, or let the operator add this one to `plugins.registries` in {}", self.place()),
        ))
    }

    /// Refuses plugins that are files of this machine, if the policy does.
    pub fn check_path(&self, path: &Path) -> Result<(), PolicyError> {
        if self.paths {
            return Ok(());
        }
        Err(self.forbids(
            format!("the plugin {} is a file, and plugins may only come from a registry", path.display()),
            format!("push it with `tidemill plugin push` and name it as `oci://…`, or let the operator set `plugins.paths` in {}", self.place()),
        ))
    }

    /// Refuses a plugin that is too large, in bytes.
    pub fn check_size(&self, plugin: &str, size: u64) -> Result<(), PolicyError> {
        if size <= self.max_size {
            return Ok(());
        }
        Err(self.forbids(
            format!(
                "`{plugin}` has {size} bytes, and a plugin at most {}",
                self.max_size
            ),
            format!(
                "make it smaller, or let the operator raise `plugins.max_size` in {}",
                self.place()
            ),
        ))
    }

    /// Whether a plugin's file with this digest needs a signature by one of [`Policy::keys`].
    pub fn wants_signature(&self, digest: &Digest) -> bool {
        self.require_signature && !self.digests.contains(digest)
    }

    /// The refusal of a plugin that needs a signature; `why`: what is wrong with those that it has.
    pub fn unsigned(&self, plugin: &str, why: &str) -> PolicyError {
        self.forbids(
            format!("`{plugin}` needs a signature by one of the operator's keys, and {why}"),
            format!("sign it with `tidemill plugin push --sign` or `tidemill plugin sign`, or let the operator add its digest to `plugins.digests` in {}", self.place()),
        )
    }

    /// The public keys whose signatures count.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// Largest plugin, in bytes.
    pub fn max_size(&self) -> u64 {
        self.max_size
    }

    /// Longest compilation of a plugin.
    pub fn compile_time(&self) -> Duration {
        self.compile_time
    }

    /// Whether a service starts ClickHouse servers for its tenants.
    pub fn allows_embedded(&self) -> bool {
        self.embedded
    }

    /// Which addresses tenants' pipes may connect to.
    pub fn reach(&self) -> Reach {
        Reach::bounded(self.reach.clone(), self.deny.clone())
    }

    /// The file to change.
    fn place(&self) -> String {
        let file = self.file.as_deref().unwrap_or(Path::new(POLICY_FILE));
        file.display().to_string()
    }

    fn forbids(&self, what: String, remedy: String) -> PolicyError {
        PolicyError::Forbidden {
            policy: self.to_string(),
            what,
            remedy,
        }
    }
}

#[cfg(test)]
mod tests;
