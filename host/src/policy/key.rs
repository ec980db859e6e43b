//! Public keys: Ed25519, as `tidemill plugin keygen` and `openssl` make them, and ECDSA on P-256, as `cosign` does.

use std::fmt;

use ed25519_dalek::pkcs8::spki::der::Document;
use ed25519_dalek::pkcs8::spki::der::pem::PemLabel;
use ed25519_dalek::pkcs8::spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};
use ed25519_dalek::{Signature, VerifyingKey};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

/// id-Ed25519 (RFC 8410).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// id-ecPublicKey, and its curve P-256 (RFC 5480).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

/// A public key whose signatures count.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Ed25519(VerifyingKey),
    /// The point, uncompressed.
    P256(Vec<u8>),
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, bytes) = match &self.0 {
            Kind::Ed25519(key) => ("Ed25519", key.as_bytes().as_slice()),
            Kind::P256(point) => ("P256", point.as_slice()),
        };
        f.debug_tuple(kind).field(&hex::encode(bytes)).finish()
    }
}

impl PublicKey {
    /// Reads a key from PEM text (`-----BEGIN PUBLIC KEY-----`); what is wrong with it otherwise.
    pub fn from_pem(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!(
                "{what}; expected the PEM text of an Ed25519 or ECDSA P-256 public key (`-----BEGIN PUBLIC KEY-----`)"
            )
        };
        let (label, document) =
            Document::from_pem(text.trim()).map_err(|_| wrong("this is no PEM text"))?;
        if label != SubjectPublicKeyInfoRef::PEM_LABEL {
            return Err(match label.contains("PRIVATE") {
                true => wrong("this is a private key, which belongs to who signs"),
                false => wrong(&format!("this is a {}", label.to_lowercase())),
            });
        }
        let info: SubjectPublicKeyInfoRef<'_> = document
            .decode_msg()
            .map_err(|_| wrong("this key is damaged"))?;
        let bits = info.subject_public_key.as_bytes().unwrap_or_default();
        match info.algorithm.oid {
            ED25519 => <[u8; 32]>::try_from(bits)
                .ok()
                .and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
                // With such a key anything verifies.
                .filter(|key| !key.is_weak())
                .map(|key| Self(Kind::Ed25519(key)))
                .ok_or_else(|| wrong("this Ed25519 key is damaged")),
            EC if info.algorithm.parameters_oid() == Ok(P256) && bits.len() == 65 => {
                Ok(Self(Kind::P256(bits.to_vec())))
            }
            other => Err(wrong(&format!("this key's algorithm is {other}"))),
        }
    }

    /// Whether this key has signed this message. An Ed25519 signature has 64 bytes; one of ECDSA is ASN.1's, over the SHA-256.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Kind::Ed25519(key) => Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Kind::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
                .verify(message, signature)
                .is_ok(),
        }
    }
}
