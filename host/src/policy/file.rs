//! The policy's file: its shape, and each value checked with its place.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::error::PolicyError;
use super::key::PublicKey;
use super::reach::Rule;
use super::{COMPILE_TIME, Grant, MAX_SIZE, Policy};
use crate::digest::Digest;
use crate::pipe::SourceText;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PolicyFile {
    plugins: PluginsFile,
    service: ServiceFile,
}

/// `[service]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ServiceFile {
    embedded: bool,
    reach: Vec<String>,
    deny: Vec<String>,
}

/// `[plugins]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PluginsFile {
    require_signature: bool,
    keys: Vec<String>,
    digests: Vec<String>,
    registries: Option<Vec<String>>,
    paths: Option<bool>,
    allow: Vec<Grant>,
    max_size: Option<String>,
    compile_time: Option<String>,
}

pub(super) fn read(path: &Path) -> Result<Policy, PolicyError> {
    let text = std::fs::read_to_string(path).map_err(|cause| PolicyError::Unreadable {
        path: path.to_owned(),
        cause,
    })?;
    let check = Check {
        text: SourceText {
            path: path.to_owned(),
            text,
        },
    };
    check.policy()
}

/// A policy's text, and where it is.
struct Check {
    text: SourceText,
}

impl Check {
    fn policy(&self) -> Result<Policy, PolicyError> {
        let file: PolicyFile =
            toml::from_str(&self.text.text).map_err(|error| PolicyError::Invalid {
                location: self
                    .text
                    .at_offset(error.span().map_or(0, |span| span.start), None),
                reason: error.message().to_owned(),
            })?;
        let plugins = file.plugins;
        let policy = Policy {
            file: Some(self.text.path.clone()),
            require_signature: plugins.require_signature,
            keys: self.each("plugins.keys", &plugins.keys, |key| self.key(key))?,
            digests: self.each("plugins.digests", &plugins.digests, digest)?,
            registries: match &plugins.registries {
                None => None,
                Some(registries) => Some(self.each("plugins.registries", registries, registry)?),
            },
            paths: plugins.paths.unwrap_or(true),
            allow: plugins.allow,
            max_size: self.size(plugins.max_size.as_deref())?,
            compile_time: self.compile_time(plugins.compile_time.as_deref())?,
            embedded: file.service.embedded,
            reach: self.each("service.reach", &file.service.reach, Rule::parse)?,
            deny: self.each("service.deny", &file.service.deny, Rule::parse_denied)?,
        };
        if policy.require_signature && policy.keys.is_empty() && policy.digests.is_empty() {
            return self.invalid(
                "plugins.require_signature",
                "no plugin could run: name the public keys whose signatures count in `keys`, or plugins in `digests`",
            );
        }
        Ok(policy)
    }

    fn invalid<T>(&self, key: &str, reason: impl Into<String>) -> Result<T, PolicyError> {
        Err(PolicyError::Invalid {
            location: self.text.at_key(key),
            reason: reason.into(),
        })
    }

    /// Checks each item of a list.
    fn each<T>(
        &self,
        key: &str,
        items: &[String],
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, PolicyError> {
        let item = |(i, text): (usize, &String)| match check(text) {
            Ok(value) => Ok(value),
            Err(reason) => self.invalid(&format!("{key}[{i}]"), reason),
        };
        items.iter().enumerate().map(item).collect()
    }

    /// A public key: PEM text, or the path of its file.
    fn key(&self, text: &str) -> Result<PublicKey, String> {
        if text.contains("-----BEGIN") {
            return PublicKey::from_pem(text);
        }
        let folder = self.text.path.parent().unwrap_or(Path::new("."));
        let path = folder.join(text);
        let pem = std::fs::read_to_string(&path)
            .map_err(|cause| format!("the key {} can't be read: {cause}", path.display()))?;
        PublicKey::from_pem(&pem).map_err(|reason| format!("{}: {reason}", path.display()))
    }

    fn compile_time(&self, text: Option<&str>) -> Result<Duration, PolicyError> {
        let Some(text) = text else {
            return Ok(COMPILE_TIME);
        };
        let parsed = text.parse::<jiff::SignedDuration>().ok();
        match parsed.and_then(|duration| Duration::try_from(duration).ok()) {
            Some(duration) if !duration.is_zero() => Ok(duration),
            _ => self.invalid(
                "plugins.compile_time",
                format!("`{text}` is no duration: write it as `2m` or `90s`"),
            ),
        }
    }

    fn size(&self, text: Option<&str>) -> Result<u64, PolicyError> {
        let Some(text) = text else {
            return Ok(MAX_SIZE);
        };
        match text.parse::<bytesize::ByteSize>() {
            Ok(size) if size.as_u64() > 0 => Ok(size.as_u64()),
            _ => self.invalid(
                "plugins.max_size",
                format!("`{text}` is no size: write it as `64MiB`"),
            ),
        }
    }
}

fn digest(text: &str) -> Result<Digest, String> {
    Digest::parse(text).ok_or_else(|| {
        format!("`{text}` is no digest: write `sha256:` and 64 hexadecimal digits, as `tidemill plugin inspect` shows them")
    })
}

/// A registry, or the beginning of repositories' names, as it is compared: without a slash at its end, and the host in
/// small letters, as a reference has it.
fn registry(text: &str) -> Result<String, String> {
    let plain = text.trim_end_matches('/');
    if plain.is_empty() || plain.contains("://") || plain.contains(['@', '*', ' ']) {
        return Err(format!(
            "`{text}` is no registry: write its host and, if you like, the beginning of the repository's name, as in `ghcr.io/acme`"
        ));
    }
    let (host, repository) = plain.split_at(plain.find('/').unwrap_or(plain.len()));
    Ok(host.to_ascii_lowercase() + repository)
}
