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
    /// Whether plugins are for a tenant of a service, whom errors tell nothing of the machine.
    of_tenant: bool,
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
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            of_tenant: false,
        }
    }

    /// The same for a tenant, by what of the policy is for tenants.
    pub(super) fn for_tenant(policy: &Policy) -> Self {
        Self {
            policy: policy.for_tenants(),
            of_tenant: true,
        }
    }

    /// What the operator allows.
    pub(super) fn policy(&self) -> &Policy {
        &self.policy
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
        self.admitted(name, self.file(name, folder)?)
    }

    /// The plugin that a load was made with, from the pipe's own copy. If that was lost or changed, or isn't enough for the policy by now, the
    /// same plugin is taken from where the pipe names it: a file that starts from this folder, with the signature that lies beside it by now,
    /// or a registry, which is not asked otherwise.
    pub(super) async fn pinned(
        &self,
        name: &str,
        folder: &Path,
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
        let found = match reference {
            true => Ok(self.fetch(name).await?.into()),
            false => self.file(name, folder),
        };
        match found {
            Ok(found) if Digest::of(&found.bytes) == *digest => self.admitted(name, found),
            _ => Err(refusal.into()),
        }
    }

    /// A plugin's file, and what lies beside it if the policy asks who vouches for it.
    fn file(&self, name: &str, folder: &Path) -> Result<Supplied, Error> {
        let path = transform::resolve(name, folder).map_err(|error| match self.of_tenant {
            true => error.of_tenant(),
            false => error,
        })?;
        let (bytes, proof) = registry::read_file(name, &path, &self.policy)?;
        Ok(Supplied { path, bytes, proof })
    }

    fn admitted(&self, name: &str, found: Supplied) -> Result<Supplied, Error> {
        registry::admit(name, &found.bytes, found.proof.as_ref(), &self.policy)?;
        Ok(found)
    }

    async fn fetch(&self, reference: &str) -> Result<Fetched, RegistryError> {
        let store = Store::of_user()?;
        registry::fetch(&Reference::parse(reference)?, &self.policy, &store).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{PrivateKey, signature_file};

    /// A folder with the plugin `own.wasm`, and with a key that its policy may want a signature by.
    struct Machine {
        folder: tempfile::TempDir,
        key: PrivateKey,
    }

    impl Machine {
        fn new() -> Self {
            let (folder, key) = (
                tempfile::tempdir().unwrap(),
                PrivateKey::generate().unwrap(),
            );
            std::fs::write(folder.path().join("own.wasm"), "plugin").unwrap();
            std::fs::write(folder.path().join("copy.wasm"), "plugin").unwrap();
            std::fs::write(folder.path().join("release.pub"), key.to_pem().unwrap().1).unwrap();
            Self { folder, key }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn supply(&self, policy: &str) -> Supply {
            let file = self.path("policy.toml");
            std::fs::write(&file, format!("[plugins]\n{policy}\n")).unwrap();
            let policy = Policy::read(&file).unwrap();
            Supply::new(policy)
        }

        /// What a pipe gets that was loaded with `plugin` when nobody asked who vouches for it.
        async fn pinned(&self, policy: &str) -> Result<Supplied, Error> {
            let (supply, digest) = (self.supply(policy), Digest::of(b"plugin"));
            let copy = self.path("copy.wasm");
            supply
                .pinned("./own.wasm", self.folder.path(), &digest, copy, None)
                .await
        }
    }

    const SIGNED: &str = "require_signature = true\nkeys = [\"release.pub\"]";

    #[tokio::test]
    async fn a_file_that_was_signed_since_is_believed_for_its_copy() {
        let machine = Machine::new();
        assert_eq!(
            machine.pinned("").await.unwrap().path,
            machine.path("copy.wasm")
        );
        let refused = machine.pinned(SIGNED).await.unwrap_err().to_string();
        assert!(
            refused.contains("it has none") && refused.contains("plugin sign"),
            "{refused}"
        );
        let (own, signature) = (machine.path("own.wasm"), machine.key.sign(b"plugin"));
        std::fs::write(signature_file(&own), signature).unwrap();
        let supplied = machine.pinned(SIGNED).await.unwrap();
        assert_eq!((&*supplied.bytes, &supplied.path), (&b"plugin"[..], &own));
        assert!(supplied.proof.is_some());
        // The signature is of what the pipe names; the load was made with something else.
        let signature = machine.key.sign(b"another");
        std::fs::write(signature_file(&own), signature).unwrap();
        let refused = machine.pinned(SIGNED).await.unwrap_err().to_string();
        assert!(refused.contains("of another file"), "{refused}");
        std::fs::write(&own, "another").unwrap();
        let refused = machine.pinned(SIGNED).await.unwrap_err().to_string();
        assert!(refused.contains("it has none"), "{refused}");
    }

    #[tokio::test]
    async fn a_copy_that_was_lost_is_made_of_the_same_file_alone() {
        let machine = Machine::new();
        std::fs::remove_file(machine.path("copy.wasm")).unwrap();
        let supplied = machine.pinned("").await.unwrap();
        assert_eq!(supplied.path, machine.path("own.wasm"));
        std::fs::write(machine.path("own.wasm"), "another").unwrap();
        let lost = machine.pinned("").await.unwrap_err().to_string();
        assert!(lost.contains("missing or was changed"), "{lost}");
    }

    #[tokio::test]
    async fn a_file_that_is_too_large_is_not_read() {
        let machine = Machine::new();
        // A hole, which would be as much memory.
        let file = std::fs::File::create(machine.path("own.wasm")).unwrap();
        file.set_len(1 << 40).unwrap();
        let supply = machine.supply("max_size = \"1KiB\"");
        let refused = supply.plugin("./own.wasm", machine.folder.path()).await;
        let refused = refused.unwrap_err().to_string();
        for words in ["1099511627776 bytes", "1024", "max_size"] {
            assert!(refused.contains(words), "{words}: {refused}");
        }
    }
}
