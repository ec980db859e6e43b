//! Signatures: who vouches for a plugin, and how that is shown.
//!
//! An artifact is signed as `cosign` does it: what is signed is a small JSON document that names the digest of the artifact's manifest, and it
//! lies beside the artifact, under the tag `sha256-<digest>.sig`. A plugin that is a file is signed by a file beside it, `<file>.sig`: the
//! signature of the file's bytes, in base64 (`cosign sign-blob` writes the same).

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::pkcs8::spki::EncodePublicKey;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use ed25519_dalek::{Signer, SigningKey};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::artifact;
use super::error::RegistryError;
use super::reference::Reference;
use super::store::read;
use crate::digest::Digest;
use crate::policy::PublicKey;

/// Most that is read of a file with a signature, in bytes.
const SIGNATURE_BYTES: u64 = 4096;

/// What is signed, and the signature in base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    pub(super) payload: String,
    pub(super) signature: String,
}

/// The part of a payload that counts.
#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Image,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

/// What shows that somebody vouches for a plugin. It can be kept, and checked again without anybody being asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The plugin came in an artifact.
    Artifact {
        /// The artifact's manifest, which names the plugin by digest.
        manifest: String,
        /// What was signed of it.
        signatures: Vec<Signed>,
    },
    /// The plugin is a file: the signature of its bytes, in base64.
    File(String),
}

impl Proof {
    /// The proof that lies beside a plugin's file, if there is one.
    pub fn beside(plugin: &Path) -> Result<Option<Self>, RegistryError> {
        let bytes = read(&signature_file(plugin), SIGNATURE_BYTES)?;
        let text = |bytes: Vec<u8>| match bytes.len() {
            // Without base64, as `openssl pkeyutl` writes it.
            64 => BASE64_STANDARD.encode(bytes),
            _ => String::from_utf8_lossy(&bytes).trim().to_owned(),
        };
        Ok(bytes.map(|bytes| Self::File(text(bytes))))
    }

    /// Whether one of these keys vouches for these bytes; else what is wrong.
    pub fn check(&self, plugin: &[u8], keys: &[PublicKey]) -> Result<(), String> {
        match self {
            Self::File(signature) => match verifies(keys, plugin, signature) {
                true => Ok(()),
                false => {
                    Err("the one beside it is not by one of them, or of another file".to_owned())
                }
            },
            Self::Artifact {
                manifest,
                signatures,
            } => {
                let layer = artifact::layer(manifest.as_bytes())?;
                if layer.digest != Digest::of(plugin) {
                    return Err("those that it has are of another plugin".to_owned());
                }
                vouched(&Digest::of(manifest.as_bytes()), signatures, keys)
            }
        }
    }
}

/// Whether one of these keys has signed the artifact with this manifest; else what is wrong.
fn vouched(manifest: &Digest, signatures: &[Signed], keys: &[PublicKey]) -> Result<(), String> {
    if signatures.is_empty() {
        return Err(
            "it has none that lies where they are looked for: cosign 3 puts one there if it is told `--new-bundle-format=false`"
                .to_owned(),
        );
    }
    let by_a_key = signatures
        .iter()
        .filter(|signed| verifies(keys, signed.payload.as_bytes(), &signed.signature));
    let names = |signed: &Signed| {
        serde_json::from_str::<Payload>(&signed.payload)
            .ok()
            .and_then(|payload| Digest::parse(&payload.critical.image.digest))
    };
    let named: Vec<Option<Digest>> = by_a_key.map(names).collect();
    match named.as_slice() {
        [] => Err("those that it has are by others".to_owned()),
        named if named.iter().flatten().any(|digest| digest == manifest) => Ok(()),
        _ => Err("those that it has are of another artifact".to_owned()),
    }
}

fn verifies(keys: &[PublicKey], message: &[u8], signature: &str) -> bool {
    BASE64_STANDARD
        .decode(signature)
        .is_ok_and(|signature| keys.iter().any(|key| key.verifies(message, &signature)))
}

/// The file with the signature of a plugin's file: its name and `.sig`.
pub fn signature_file(plugin: &Path) -> PathBuf {
    let mut name = plugin.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}

/// A private key, to sign with: Ed25519.
pub struct PrivateKey(SigningKey);

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey")
    }
}

impl PrivateKey {
    /// Makes one up.
    pub fn generate() -> Result<Self, RegistryError> {
        let mut seed = Zeroizing::new([0; 32]);
        match SystemRandom::new().fill(seed.as_mut()) {
            Ok(()) => Ok(Self(SigningKey::from_bytes(&seed))),
            Err(_) => Err(RegistryError::Key {
                path: PathBuf::from("/dev/urandom"),
                reason: "the system has no random numbers".to_owned(),
            }),
        }
    }

    /// Reads a key from a PEM file (PKCS#8), as `tidemill plugin keygen` and `openssl genpkey -algorithm ed25519` write it.
    pub fn read(path: &Path) -> Result<Self, RegistryError> {
        let text = std::fs::read_to_string(path).map_err(|cause| RegistryError::File {
            path: path.to_owned(),
            cause,
        })?;
        let text = Zeroizing::new(text);
        match SigningKey::from_pkcs8_pem(text.trim()) {
            Ok(key) => Ok(Self(key)),
            // What the parser says might repeat a part of the key.
            Err(_) => Err(RegistryError::Key {
                path: path.to_owned(),
                reason: match text.contains("ENCRYPTED") {
                    true => "it is encrypted; give it decrypted, from a place that only its owner can read".to_owned(),
                    false => "it is no Ed25519 key in PEM (PKCS#8); make one with `tidemill plugin keygen`".to_owned(),
                },
            }),
        }
    }

    /// Private and public key, as PEM text.
    pub fn to_pem(&self) -> Result<(Zeroizing<String>, String), RegistryError> {
        let failed = |reason: String| RegistryError::Key {
            path: PathBuf::new(),
            reason,
        };
        let private = self
            .0
            .to_pkcs8_pem(Default::default())
            .map_err(|cause| failed(cause.to_string()))?;
        let public = self
            .0
            .verifying_key()
            .to_public_key_pem(Default::default())
            .map_err(|cause| failed(cause.to_string()))?;
        Ok((private, public))
    }

    /// The signature of these bytes, in base64.
    pub fn sign(&self, bytes: &[u8]) -> String {
        BASE64_STANDARD.encode(self.0.sign(bytes).to_bytes())
    }

    /// Signs the artifact with this manifest.
    pub(super) fn sign_artifact(&self, reference: &Reference, manifest: &Digest) -> Signed {
        let payload = json!({
            "critical": {
                "identity": { "docker-reference": reference.repository() },
                "image": { "docker-manifest-digest": manifest.to_string() },
                "type": "cosign container image signature",
            },
            "optional": null,
        })
        .to_string();
        Signed {
            signature: self.sign(payload.as_bytes()),
            payload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> (PrivateKey, Vec<PublicKey>) {
        let key = PrivateKey::generate().unwrap();
        let public = PublicKey::from_pem(&key.to_pem().unwrap().1).unwrap();
        (key, vec![public])
    }

    fn reference() -> Reference {
        Reference::parse("oci://ghcr.io/acme/mask:1").unwrap()
    }

    #[test]
    fn a_key_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let (key, public) = keys();
        std::fs::write(&path, key.to_pem().unwrap().0.as_bytes()).unwrap();
        let signature = PrivateKey::read(&path).unwrap().sign(b"x");
        assert!(verifies(&public, b"x", &signature));
        std::fs::write(
            &path,
            "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n",
        )
        .unwrap();
        let error = PrivateKey::read(&path).unwrap_err().to_string();
        assert!(
            error.contains("keygen") && !error.contains("c2VjcmV0"),
            "{error}"
        );
        assert_eq!(format!("{key:?}"), "PrivateKey");
    }

    #[test]
    fn a_file_s_signature_is_its_own_in_base64_or_raw() {
        let folder = tempfile::tempdir().unwrap();
        let plugin = folder.path().join("mask.wasm");
        let (key, public) = keys();
        assert_eq!(Proof::beside(&plugin).unwrap(), None);
        let signature = key.sign(b"plugin");
        for bytes in [
            format!("{signature}\n").into_bytes(),
            BASE64_STANDARD.decode(&signature).unwrap(),
        ] {
            std::fs::write(signature_file(&plugin), bytes).unwrap();
            let proof = Proof::beside(&plugin).unwrap().unwrap();
            proof.check(b"plugin", &public).unwrap();
            assert!(proof.check(b"plugim", &public).is_err());
            assert!(proof.check(b"plugin", &keys().1).is_err());
            assert!(proof.check(b"plugin", &[]).is_err());
        }
    }

    #[test]
    fn an_artifact_s_signature_counts_for_it_alone() {
        let (key, public) = keys();
        let manifest = |plugin: &[u8]| {
            artifact::Artifact::new(plugin.to_vec(), &artifact::About::default()).manifest
        };
        let (own, other) = (manifest(b"plugin"), manifest(b"other"));
        let proof = |manifest: &str, signatures: Vec<Signed>| Proof::Artifact {
            manifest: manifest.to_owned(),
            signatures,
        };
        let sign =
            |manifest: &str| key.sign_artifact(&reference(), &Digest::of(manifest.as_bytes()));

        proof(&own, vec![sign(&own)])
            .check(b"plugin", &public)
            .unwrap();
        proof(&own, vec![sign(&other), sign(&own)])
            .check(b"plugin", &public)
            .unwrap();
        let mut changed = sign(&own);
        changed.payload = changed.payload.replace("null", "{}");
        let mut nonsense = sign(&own);
        nonsense.payload = "no JSON".to_owned();
        nonsense.signature = key.sign(nonsense.payload.as_bytes());
        for (proof, plugin, why) in [
            (
                proof(&own, vec![]),
                &b"plugin"[..],
                "--new-bundle-format=false",
            ),
            (
                proof(&own, vec![sign(&other)]),
                b"plugin",
                "of another artifact",
            ),
            (proof(&own, vec![changed]), b"plugin", "by others"),
            (
                proof(&own, vec![nonsense]),
                b"plugin",
                "of another artifact",
            ),
            (proof(&own, vec![sign(&own)]), b"other", "of another plugin"),
            (proof("{}", vec![sign("{}")]), b"plugin", ""),
        ] {
            let reason = proof.check(plugin, &public).unwrap_err();
            assert!(reason.contains(why), "{why}: {reason}");
        }
        let reason = proof(&own, vec![sign(&own)])
            .check(b"plugin", &keys().1)
            .unwrap_err();
        assert!(reason.contains("by others"), "{reason}");
    }
}
