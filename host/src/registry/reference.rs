//! References: `oci://host[:port]/repository[:tag][@sha256:…]`.

use std::fmt;

use super::error::RegistryError;
use crate::digest::Digest;

/// What a reference begins with, where a pipe names a plugin.
const SCHEME: &str = "oci://";

/// Where a plugin is in a registry. The digest, if there is one, is that of the artifact's manifest, and alone decides what is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    inner: oci_client::Reference,
    digest: Option<Digest>,
}

impl Reference {
    /// Whether a plugin's name is meant as a reference: it begins with `oci://`.
    pub fn is_one(plugin: &str) -> bool {
        plugin.starts_with(SCHEME)
    }

    /// Reads a reference. The host can't be left out; without tag and digest the tag is `latest`.
    pub fn parse(text: &str) -> Result<Self, RegistryError> {
        let wrong = |reason: &str| RegistryError::Reference {
            text: without_secrets(text).escape_debug().to_string(),
            reason: reason.to_owned(),
        };
        let rest = text
            .strip_prefix(SCHEME)
            .ok_or_else(|| wrong("it doesn't begin with `oci://`"))?;
        let (host, path) = rest
            .split_once('/')
            .ok_or_else(|| wrong("it has no repository"))?;
        if rest != without_credentials(rest) {
            return Err(wrong(
                "it has credentials, which `docker login` keeps for it instead",
            ));
        }
        // Other tools take a first part without a dot for a repository of Docker Hub.
        if !host.contains(['.', ':']) && host != "localhost" {
            return Err(wrong("it doesn't name its registry's host"));
        }
        let inner = format!("{}/{path}", host.to_ascii_lowercase());
        let inner =
            oci_client::Reference::try_from(inner).map_err(|cause| wrong(&cause.to_string()))?;
        let digest = match inner.digest() {
            Some(digest) if digest.starts_with("sha256:") => Digest::parse(digest),
            Some(_) => return Err(wrong("its digest is not of SHA-256")),
            None => None,
        };
        Ok(Self { inner, digest })
    }

    /// The registry: `host:port`.
    pub fn registry(&self) -> &str {
        self.inner.registry()
    }

    /// Registry and repository, as a policy names them: `ghcr.io/acme/mask`.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.registry(), self.inner.repository())
    }

    /// The digest of the artifact's manifest, if the reference has one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The digest, without which a reference may mean something else tomorrow.
    pub fn pinned(&self) -> Result<&Digest, RegistryError> {
        self.digest().ok_or_else(|| RegistryError::NoDigest {
            reference: self.to_string(),
        })
    }

    /// The same repository and tag, at this artifact.
    #[must_use]
    pub fn at(&self, digest: &Digest) -> Self {
        Self {
            inner: self.inner.clone_with_digest(digest.to_string()),
            digest: Some(digest.clone()),
        }
    }

    /// Another tag of the same repository.
    pub(super) fn tagged(&self, tag: &str) -> Self {
        let (registry, repository) = (self.inner.registry(), self.inner.repository());
        Self {
            inner: oci_client::Reference::with_tag(
                registry.to_owned(),
                repository.to_owned(),
                tag.to_owned(),
            ),
            digest: None,
        }
    }

    /// Whether the registry is on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.registry().rsplit_once(':');
        let host = host.map_or(self.registry(), |(host, _)| host);
        let address = host.parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    /// As the client knows it.
    pub(super) fn inner(&self) -> &oci_client::Reference {
        &self.inner
    }
}

/// What is no reference, as an error may show it: without what may be a password or a signature.
fn without_secrets(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    let kept = without_credentials(rest);
    let hidden = if kept == rest { "" } else { "…@" };
    match kept.split_once('?') {
        Some((kept, _)) => format!("{scheme}{hidden}{kept}?…"),
        None => format!("{scheme}{hidden}{kept}"),
    }
}

/// What stands behind the credentials, which go to the last `@` that isn't a digest's: a digest has no `/`, and a password may have any sign.
fn without_credentials(rest: &str) -> &str {
    let host = match rest.rfind('/') {
        Some(slash) => rest[..slash].rfind('@'),
        None => rest.rfind('@'),
    };
    host.map_or(rest, |at| &rest[at + 1..])
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.repository())?;
        if let Some(tag) = self.inner.tag() {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_they_are_shown() {
        let digest = Digest::of(b"manifest");
        for (text, registry, repository, shown) in [
            (
                "oci://ghcr.io/acme/mask:1.0",
                "ghcr.io",
                "ghcr.io/acme/mask",
                "oci://ghcr.io/acme/mask:1.0",
            ),
            (
                "oci://localhost/mask",
                "localhost",
                "localhost/mask",
                "oci://localhost/mask:latest",
            ),
            (
                "oci://Registry.Example:5000/mask",
                "registry.example:5000",
                "registry.example:5000/mask",
                "oci://registry.example:5000/mask:latest",
            ),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(
                (
                    reference.registry(),
                    &*reference.repository(),
                    &*reference.to_string()
                ),
                (registry, repository, shown)
            );
            assert!(reference.pinned().is_err());
            let pinned = reference.at(&digest);
            assert_eq!(Reference::parse(&pinned.to_string()).unwrap(), pinned);
            assert_eq!(pinned.pinned().unwrap(), &digest);
        }
        let digest_alone = format!("oci://ghcr.io/acme/mask@{digest}");
        assert_eq!(
            Reference::parse(&digest_alone).unwrap().to_string(),
            digest_alone
        );
    }

    #[test]
    fn what_is_no_reference_is_told() {
        for text in [
            "ghcr.io/acme/mask",
            "oci://",
            "oci://ghcr.io",
            "oci://ghcr.io/",
            "oci://mask/mask",
            "oci://ghcr.io/../mask",
            "oci://ghcr.io/Acme",
            "oci://user:secret@ghcr.io/mask",
            "oci://ghcr.io/mask:a b",
            "oci://ghcr.io/mask?x=1",
            "oci://ghcr.io/mask\n",
            "oci://ghcr.io/mask@sha256:12",
            &format!("oci://ghcr.io/mask@sha512:{}", "0".repeat(128)),
        ] {
            let error = Reference::parse(text).unwrap_err().to_string();
            assert!(error.contains("oci://host/repository:tag"), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_secret_in_a_reference_is_not_shown() {
        for text in [
            "oci://user:secret@ghcr.io/acme/mask",
            "oci://user:secret@ghcr.io/acme/mask@sha256:12",
            "oci://user:se/secret@ghcr.io/acme/mask:1",
            "oci://user:secret@ghcr.io",
            "oci://ghcr.io/acme/mask?token=secret",
            "user:secret@ghcr.io/acme/mask",
        ] {
            let error = Reference::parse(text).unwrap_err().to_string();
            assert!(
                error.contains("ghcr.io") && !error.contains("secret"),
                "{error}"
            );
        }
    }

    #[test]
    fn loopback_is_this_machine_alone() {
        for (text, loopback) in [
            ("oci://localhost:5000/m", true),
            ("oci://127.0.0.1:5000/m", true),
            ("oci://127.9.9.9/m", true),
            ("oci://127.0.0.1.example.com/m", false),
            ("oci://localhost.example.com:5000/m", false),
            ("oci://10.0.0.1/m", false),
        ] {
            assert_eq!(
                Reference::parse(text).unwrap().is_loopback(),
                loopback,
                "{text}"
            );
        }
    }
}
