//! Encryption of secrets at rest: ChaCha20-Poly1305 under one key of the operator's, which is never in the data folder.
//!
//! A sealed secret is bound to its place (tenant, pipe and name): moved to another one it can't be opened.

use std::path::Path;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};

use super::store::{Store, StoreError};

/// The environment variable that holds the key.
pub(super) const KEY: &str = "TIDEMILL_KEY";

/// The first byte of what is sealed: how.
const VERSION: u8 = 1;
/// What is sealed in the store to know the key again.
const PROBE: &str = "key-probe";

/// Why secrets can't be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// No key was given.
    #[error(
        "secrets are kept encrypted, and there is no key: give a file of it with --key-file (`openssl rand -hex 32` makes one), or set {KEY}"
    )]
    NoKey,
    /// The key's file can't be read.
    #[error("the key file {file} can't be read: {cause}", file = file.display())]
    Unreadable {
        /// The file.
        file: std::path::PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// It isn't a key.
    #[error("the key is to be 64 hexadecimal digits, as `openssl rand -hex 32` writes them")]
    Malformed,
    /// The store's secrets were sealed with another key.
    #[error("the data folder's secrets were encrypted with another key than this one")]
    OtherKey,
    /// A secret can't be opened.
    #[error("a secret can't be decrypted: it was changed, or sealed with another key")]
    Damaged,
    /// All is sealed anew, and the file still has what was sealed before.
    #[error(
        "the secrets are encrypted with the new key, which is the right one from now on; but the store could not be written anew without those of the old key: {0}"
    )]
    Leftover(StoreError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// What seals and opens secrets.
pub(super) struct Vault {
    key: LessSafeKey,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").finish_non_exhaustive()
    }
}

impl Vault {
    /// The vault of a store, with the key of a file, else of [`KEY`].
    pub(super) fn open(store: &Store, key_file: Option<&Path>) -> Result<Self, VaultError> {
        let vault = match key_file {
            Some(file) => Self::of_file(file)?,
            None => Self::new(&std::env::var(KEY).map_err(|_| VaultError::NoKey)?.into())?,
        };
        match store.meta(PROBE)? {
            Some(sealed) => {
                vault
                    .open_sealed(&[PROBE], &sealed)
                    .map_err(|_| VaultError::OtherKey)?;
            }
            None => store.set_meta(PROBE, &vault.probe()?)?,
        }
        Ok(vault)
    }

    fn of_file(file: &Path) -> Result<Self, VaultError> {
        let text = std::fs::read_to_string(file).map_err(|cause| VaultError::Unreadable {
            file: file.to_owned(),
            cause,
        });
        Self::new(&text?.into())
    }

    fn probe(&self) -> Result<Vec<u8>, VaultError> {
        self.seal(&[PROBE], &"known".into())
    }

    /// Seals all secrets of the store with the key of a file, in place of this one: how many there are. Either all are sealed anew, or none.
    pub(super) fn rekey(&self, store: &Store, file: &Path) -> Result<usize, VaultError> {
        let new = Self::of_file(file)?;
        let mut secrets = store.secrets()?;
        for secret in &mut secrets {
            let place = [&*secret.tenant, &*secret.pipe, &*secret.name];
            let plain = self.open_sealed(&place, &secret.sealed)?;
            secret.sealed = new.seal(&place, &plain)?;
        }
        store.replace_secrets(&secrets, (PROBE, &new.probe()?))?;
        store.compact().map_err(VaultError::Leftover)?;
        Ok(secrets.len())
    }

    fn new(key: &SecretString) -> Result<Self, VaultError> {
        let bytes = hex::decode(key.expose_secret().trim()).map_err(|_| VaultError::Malformed)?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|_| VaultError::Malformed)?;
        Ok(Self {
            key: LessSafeKey::new(key),
        })
    }

    /// Seals a secret for a place.
    pub(super) fn seal(
        &self,
        place: &[&str],
        secret: &SecretString,
    ) -> Result<Vec<u8>, VaultError> {
        let mut nonce = [0; NONCE_LEN];
        // 96 random bits: 2^32 secrets may be sealed before two nonces are likely to meet.
        let filled = SystemRandom::new().fill(&mut nonce);
        filled.map_err(|_| VaultError::Random)?;
        let mut bytes = secret.expose_secret().as_bytes().to_vec();
        let aad = Aad::from(place_bytes(place));
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut bytes)
            .map_err(|_| VaultError::Random)?;
        Ok([&[VERSION], &nonce[..], &bytes].concat())
    }

    /// Opens what was sealed for this place.
    pub(super) fn open_sealed(
        &self,
        place: &[&str],
        sealed: &[u8],
    ) -> Result<SecretString, VaultError> {
        let Some((&[VERSION], rest)) = sealed.split_first_chunk::<1>() else {
            return Err(VaultError::Damaged);
        };
        let Some((nonce, rest)) = rest.split_first_chunk::<NONCE_LEN>() else {
            return Err(VaultError::Damaged);
        };
        let mut bytes = rest.to_vec();
        let aad = Aad::from(place_bytes(place));
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.key.open_in_place(nonce, aad, &mut bytes);
        let plain = plain.map_err(|_| VaultError::Damaged)?;
        let text = std::str::from_utf8(plain).map_err(|_| VaultError::Damaged)?;
        Ok(text.into())
    }
}

/// A place as bytes: no two places have the same ones.
fn place_bytes(place: &[&str]) -> Vec<u8> {
    let part = |part: &&str| {
        let length = part.len() as u64;
        [&length.to_le_bytes(), part.as_bytes()].concat()
    };
    place.iter().flat_map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::store::{SealedSecret, testing};

    fn vault(digit: &str) -> Vault {
        Vault::new(&digit.repeat(64).into()).unwrap()
    }

    #[test]
    fn a_secret_opens_at_its_place_with_its_key_alone() {
        let place = ["tenant", "pipe", "source.password"];
        let sealed = vault("a").seal(&place, &"hunter2".into()).unwrap();
        let opened = vault("a").open_sealed(&place, &sealed).unwrap();
        assert_eq!(opened.expose_secret(), "hunter2");
        assert!(!sealed.windows(7).any(|bytes| bytes == b"hunter2"));
        assert!(vault("b").open_sealed(&place, &sealed).is_err());
        for other in [
            ["tenant", "pipe", "destination.password"],
            ["tenantp", "ipe", "source.password"],
        ] {
            assert!(
                vault("a").open_sealed(&other, &sealed).is_err(),
                "{other:?}"
            );
        }
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        for damaged in [&changed[..], &sealed[..10], &[]] {
            assert!(vault("a").open_sealed(&place, damaged).is_err());
        }
        let again = vault("a").seal(&place, &"hunter2".into()).unwrap();
        assert_ne!(again, sealed);
    }

    /// The file of a key of one digit.
    fn key_file(folder: &Path, digit: &str) -> std::path::PathBuf {
        let file = folder.join(digit);
        std::fs::write(&file, format!("{}\n", digit.repeat(64))).unwrap();
        file
    }

    #[test]
    fn another_key_is_told_at_the_start() {
        let (folder, store) = testing::store();
        let file = |digit| key_file(folder.path(), digit);
        Vault::open(&store, Some(&file("a"))).unwrap();
        Vault::open(&store, Some(&file("a"))).unwrap();
        let other = Vault::open(&store, Some(&file("b"))).unwrap_err();
        assert!(matches!(other, VaultError::OtherKey), "{other}");
        assert!(matches!(
            Vault::new(&"short".into()),
            Err(VaultError::Malformed)
        ));
    }

    #[test]
    fn with_another_key_all_secrets_are_sealed_or_none() {
        let (folder, store) = testing::store();
        let file = |digit| key_file(folder.path(), digit);
        let old = Vault::open(&store, Some(&file("a"))).unwrap();
        let places = [["acme", "shop", "password"], ["other", "", "webhook.1"]];
        let mut secrets = places.map(|place| SealedSecret {
            tenant: place[0].to_owned(),
            pipe: place[1].to_owned(),
            name: place[2].to_owned(),
            sealed: old.seal(&place, &place[2].into()).unwrap(),
        });
        let kept = ("kept", &[][..]);
        store.replace_secrets(&secrets, kept).unwrap();
        assert_eq!(old.rekey(&store, &file("b")).unwrap(), 2);
        let is_other = Vault::open(&store, Some(&file("a")));
        assert!(matches!(is_other, Err(VaultError::OtherKey)));
        let new = Vault::open(&store, Some(&file("b"))).unwrap();
        for place in places {
            let sealed = store.tenant(place[0]).secret(place[1], place[2]).unwrap();
            let opened = new.open_sealed(&place, &sealed.unwrap()).unwrap();
            assert_eq!(opened.expose_secret(), place[2]);
        }

        // One that can't be opened holds all of them back.
        secrets[0].sealed = new.seal(&places[0], &"password".into()).unwrap();
        store.replace_secrets(&secrets, kept).unwrap();
        let refused = new.rekey(&store, &file("a")).unwrap_err();
        assert!(matches!(refused, VaultError::Damaged), "{refused}");
        assert_eq!(store.secrets().unwrap()[0].sealed, secrets[0].sealed);
        Vault::open(&store, Some(&file("b"))).unwrap();
    }
}
