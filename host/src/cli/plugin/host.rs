//! What runs an author's plugins: the same host as a pipe's, as this machine's operator bounds it.

use std::path::Path;
use std::sync::Arc;

use super::ship;
use crate::cli::exit::Failure;
use crate::kit::{self, Project};
use crate::policy::Policy;
use crate::registry::{self, Reference};
use crate::transform::{Compiler, Plugin, Runtime, RuntimeSettings, default_cache_dir};

/// The operator's policy, and the host that compiles plugins within it.
pub(super) struct Host {
    pub(super) policy: Policy,
    pub(super) runtime: Runtime,
}

impl Host {
    pub(super) fn start() -> Result<Self, Failure> {
        let policy = Policy::load()?;
        let runtime = Runtime::new(RuntimeSettings {
            cache_dir: default_cache_dir(),
            compiler: Compiler::own(),
            compile_deadline: policy.compile_time(),
            ..RuntimeSettings::default()
        })?;
        Ok(Self { policy, runtime })
    }

    /// The plugin of a folder, built if its source is newer, or of a file. One that is to see a source's rows must be one that a pipe may
    /// run; with rows of files an author tries what nobody has signed yet.
    pub(super) fn load(
        &self,
        path: &Path,
        sees_source: bool,
    ) -> Result<(Arc<Plugin>, Option<Project>), Failure> {
        let (plugin, project) = match path.is_dir() {
            false if sees_source => return Ok((self.admitted(path)?, None)),
            false => return Ok((self.runtime.load(path)?, None)),
            true => {
                let project = Project::open(path)?;
                let built = kit::build_if_stale(&self.runtime, &project);
                (built.map_err(kit::Error::from)?, project)
            }
        };
        let plugin = match sees_source {
            true => self.admitted(&project.component)?,
            false => plugin,
        };
        Ok((plugin, Some(project)))
    }

    /// The plugin of a file that the policy lets a pipe run.
    fn admitted(&self, path: &Path) -> Result<Arc<Plugin>, Failure> {
        let name = path.display().to_string();
        let (bytes, proof) = registry::read_file(&name, path, &self.policy)?;
        registry::admit(&name, &bytes, proof.as_ref(), &self.policy)?;
        Ok(self.runtime.load_bytes(path, &bytes)?)
    }

    /// The plugin of a reference, of a file, or of a folder, where nothing is built: that would run what the folder's tools say.
    pub(super) fn inspected(&self, path: &Path) -> Result<Arc<Plugin>, Failure> {
        // A path's `oci://` would be lost on the way.
        if let Some(reference) = path.to_str().filter(|name| Reference::is_one(name)) {
            let fetched = ship::fetch(reference, &self.policy)?;
            return Ok(self.runtime.load_bytes(&fetched.path, &fetched.bytes)?);
        }
        if !path.is_dir() {
            return Ok(self.runtime.load(path)?);
        }
        let component = Project::open(path)?.component;
        match component.is_file() {
            true => Ok(self.runtime.load(&component)?),
            false => Err(kit::Error::NotBuilt { component }.into()),
        }
    }
}
