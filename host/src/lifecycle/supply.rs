//! Where a pipe's plugins come from: files of this machine, the store and registries, each only as the operator's policy allows it.
//!
//! What is loaded are the bytes that were checked here, never a file that is read once more.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::Error;
use crate::digest::Digest;
use crate::policy::Policy;
use crate::registry::{self, Fetched, Proof, Reference, RegistryError, Store, read_as};
use crate::schema::Grant;
use crate::transform;

/// The way to plugins.
#[derive(Debug)]
pub(super) struct Supply {
    policy: Policy,
}

/// A plugin that may run.
#[derive(Debug)]
pub(super) struct Supplied {
    /// Where it was found.
    pub(super) path: PathBuf,
    /// The component.
    pub(super) bytes: Vec<u8>,
    /// Who vouches for it, if anybody was asked.
    pub(super) proof: Option<Proof>,
}

impl From<Fetched> for Supplied {
    fn from(fetched: Fetched) -> Self {
        Self {
            path: fetched.path,
            bytes: fetched.bytes,
            proof: Some(fetched.proof),
        }
    }
}

impl Supply {
    /// Reads the operator's policy.
    pub(super) fn open() -> Result<Self, Error> {
        Ok(Self {
            policy: Policy::load()?,
        })
    }

    /// How long a plugin may take to be compiled.
    pub(super) fn compile_time(&self) -> Duration {
        self.policy.compile_time()
    }

    /// Refuses a grant that the operator's policy doesn't allow.
    pub(super) fn check_grant(&self, grant: Grant) -> Result<(), Error> {
        Ok(self.policy.check_grant(grant)?)
    }

    /// The plugin that a pipe names: by a name or a path, which start from the pipe file's folder, or by a reference.
    pub(super) async fn plugin(&self, name: &str, folder: &Path) -> Result<Supplied, Error> {
        if Reference::is_one(name) {
            return Ok(self.fetch(name).await?.into());
        }
        let path = transform::resolve(name, folder)?;
        self.policy.check_path(&path)?;
        let bytes = transform::read_plugin(&path)?;
        let proof = match self.policy.wants_signature(&Digest::of(&bytes)) {
            true => Proof::beside(&path)?,
            false => None,
        };
        registry::admit(name, &bytes, proof.as_ref(), &self.policy)?;
        Ok(Supplied { path, bytes, proof })
    }

    /// The plugin that a load was made with, from the pipe's own copy. If that was lost or changed, or isn't enough for the policy by now, a
    /// plugin of a registry is fetched again; no registry is asked otherwise.
    pub(super) async fn pinned(
        &self,
        name: &str,
        digest: &Digest,
        copy: PathBuf,
        proof: Option<Proof>,
    ) -> Result<Supplied, Error> {
        let reference = Reference::is_one(name);
        match reference {
            true => self
                .policy
                .check_repository(&Reference::parse(name)?.repository())?,
            false => self.policy.check_path(Path::new(name))?,
        }
        let size = std::fs::metadata(&copy).map_or(0, |metadata| metadata.len());
        self.policy.check_size(name, size)?;
        let refusal = match read_as(&copy, digest, size) {
            Ok(Some(bytes)) => match registry::admit(name, &bytes, proof.as_ref(), &self.policy) {
                Ok(()) => {
                    let path = copy;
                    return Ok(Supplied { path, bytes, proof });
                }
                Err(refusal) => refusal,
            },
            Ok(None) | Err(RegistryError::Damaged { .. }) => RegistryError::Lost {
                name: name.to_owned(),
                path: copy,
                digest: digest.clone(),
            },
            Err(error) => error,
        };
        if !reference {
            return Err(refusal.into());
        }
        let fetched = self.fetch(name).await?;
        match Digest::of(&fetched.bytes) == *digest {
            true => Ok(fetched.into()),
            false => Err(refusal.into()),
        }
    }

    async fn fetch(&self, reference: &str) -> Result<Fetched, RegistryError> {
        let store = Store::of_user()?;
        registry::fetch(&Reference::parse(reference)?, &self.policy, &store).await
    }
}
