//! Shipping: plugins as artifacts of OCI registries, in the layout that the CNCF gave WebAssembly; the store that keeps them by content; and
//! the signatures that show who vouches for them.
//!
//! [`push`] and [`pull`] are what the command line does. A pipe's plugin comes by [`fetch`]: from the store if it is there, else from its
//! registry, and in any case only as the operator's [`Policy`] allows it. What a pipe, a transform or WebAssembly is, this room doesn't
//! know.

mod artifact;
mod credentials;
mod error;
mod oci;
mod reading;
mod reference;
mod signature;
mod store;

use std::path::{Path, PathBuf};

pub use artifact::About;
pub use error::RegistryError;
pub use reference::Reference;
pub use signature::{PrivateKey, Proof, Signed, signature_file};
pub use store::{STORE, Store, read_as};

use crate::digest::Digest;
use crate::policy::Policy;
use oci::Registry;

/// A plugin that came from a registry, now or earlier.
#[derive(Debug)]
pub struct Fetched {
    /// The reference with the digest of the artifact.
    pub reference: Reference,
    /// Where the store keeps the plugin.
    pub path: PathBuf,
    /// The plugin.
    pub bytes: Vec<u8>,
    /// Who vouches for it, as far as that was asked for.
    pub proof: Proof,
}

/// Sends a plugin to where the reference says, and signs it if there is a key; the reference with its digest.
pub async fn push(
    reference: &Reference,
    plugin: Vec<u8>,
    about: &About,
    key: Option<&PrivateKey>,
    plain_http: bool,
) -> Result<Reference, RegistryError> {
    if reference.digest().is_some() {
        return Err(RegistryError::Reference {
            text: reference.to_string(),
            reason: "the digest is what a push makes, so leave it out".to_owned(),
        });
    }
    let registry = Registry::of(reference, plain_http)?;
    let artifact = artifact::Artifact::new(plugin, about);
    let digest = registry.push(artifact).await?;
    if let Some(key) = key {
        let signed = key.sign_artifact(reference, &digest);
        registry.push_signature(&digest, signed).await?;
    }
    Ok(reference.at(&digest))
}

/// Asks a registry for a plugin, by tag or digest, and keeps it in the store, if the policy allows it.
pub async fn pull(
    reference: &Reference,
    policy: &Policy,
    store: &Store,
    plain_http: bool,
) -> Result<Fetched, RegistryError> {
    policy.check_repository(&reference.repository())?;
    let registry = Registry::of(reference, plain_http)?;
    let name = reference.to_string();
    let pulled = registry
        .pull(|size| Ok(policy.check_size(&name, size)?))
        .await?;
    let plugin = Digest::of(&pulled.plugin);
    let reference = reference.at(&pulled.digest);
    let mut fetched = Fetched {
        path: store.plugin_path(&plugin),
        proof: proof(&pulled.manifest, Vec::new()),
        bytes: pulled.plugin,
        reference,
    };
    if policy.wants_signature(&plugin) {
        fetched.proof = proof(&pulled.manifest, registry.signatures(&pulled.digest).await?);
        check(&fetched, policy)?;
    }
    store.keep_plugin(&fetched.bytes)?;
    if let Proof::Artifact { signatures, .. } = &fetched.proof
        && !signatures.is_empty()
    {
        store.keep_signatures(&pulled.digest, signatures)?;
    }
    // The last one: what names the plugin is there when all else is.
    store.keep_manifest(&pulled.manifest)?;
    Ok(fetched)
}

/// The plugin of a reference with a digest: from the store, or, if it isn't there whole and with what the policy wants, from its registry.
pub async fn fetch(
    reference: &Reference,
    policy: &Policy,
    store: &Store,
) -> Result<Fetched, RegistryError> {
    reference.pinned()?;
    policy.check_repository(&reference.repository())?;
    match stored(reference, policy, store)? {
        Some(fetched) if check(&fetched, policy).is_ok() => Ok(fetched),
        // It may have been signed since.
        _ => pull(reference, policy, store, false).await,
    }
}

/// A plugin as the store has it; none if any of it is missing. What was changed is discarded.
fn stored(
    reference: &Reference,
    policy: &Policy,
    store: &Store,
) -> Result<Option<Fetched>, RegistryError> {
    let digest = reference.pinned()?;
    let Some(manifest) = sound(store.manifest(digest))? else {
        return Ok(None);
    };
    let Ok(layer) = artifact::layer(&manifest) else {
        return Ok(None);
    };
    policy.check_size(&reference.to_string(), layer.size)?;
    let Some(bytes) = sound(store.plugin(&layer.digest, layer.size))? else {
        return Ok(None);
    };
    Ok(Some(Fetched {
        reference: reference.clone(),
        path: store.plugin_path(&layer.digest),
        proof: proof(&manifest, store.signatures(digest)),
        bytes,
    }))
}

/// What was read from the store; none if it isn't what its name says any more.
fn sound(read: Result<Option<Vec<u8>>, RegistryError>) -> Result<Option<Vec<u8>>, RegistryError> {
    match read {
        Err(RegistryError::Damaged { path, .. }) => {
            store::discard(&path);
            Ok(None)
        }
        read => read,
    }
}

fn proof(manifest: &[u8], signatures: Vec<Signed>) -> Proof {
    Proof::Artifact {
        manifest: String::from_utf8_lossy(manifest).into_owned(),
        signatures,
    }
}

/// Refuses a plugin that needs a signature and has none that counts.
fn check(fetched: &Fetched, policy: &Policy) -> Result<(), RegistryError> {
    let name = fetched.reference.to_string();
    admit(&name, &fetched.bytes, Some(&fetched.proof), policy)
}

/// A plugin that is a file of this machine, if the policy allows files of this size, and what lies beside it if the policy asks who vouches
/// for it. Whether it may run is told by [`admit`].
pub fn read_file(
    name: &str,
    path: &Path,
    policy: &Policy,
) -> Result<(Vec<u8>, Option<Proof>), RegistryError> {
    policy.check_path(path)?;
    let unusable = |cause| RegistryError::File {
        path: path.to_owned(),
        cause,
    };
    let size = std::fs::metadata(path).map_err(unusable)?.len();
    policy.check_size(name, size)?;
    let read = store::read(path, policy.max_size())?;
    let bytes = read.ok_or_else(|| unusable(std::io::ErrorKind::NotFound.into()))?;
    let proof = match policy.wants_signature(&Digest::of(&bytes)) {
        true => Proof::beside(path)?,
        false => None,
    };
    Ok((bytes, proof))
}

/// Refuses a plugin of whatever origin that is too large, or that needs a signature and has none that counts.
pub fn admit(
    name: &str,
    bytes: &[u8],
    proof: Option<&Proof>,
    policy: &Policy,
) -> Result<(), RegistryError> {
    policy.check_size(name, bytes.len() as u64)?;
    if !policy.wants_signature(&Digest::of(bytes)) {
        return Ok(());
    }
    let checked = match proof {
        Some(proof) => proof.check(bytes, policy.keys()),
        None => Err("it has none".to_owned()),
    };
    checked.map_err(|why| policy.unsigned(name, &why).into())
}
