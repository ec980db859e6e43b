//! What can go wrong between here and a registry. A registry's own words are quoted, cut and freed of control characters.

use std::path::PathBuf;

use crate::digest::Digest;
use crate::policy::PolicyError;

/// Longest quotation of a registry's words, in bytes.
const QUOTE_BYTES: usize = 512;

/// A plugin that can't be pushed, pulled, kept or believed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A reference that is none.
    #[error(
        "`{text}` is no reference to a plugin: {reason}; write it as `oci://host/repository:tag@sha256:…`"
    )]
    Reference {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A reference whose meaning may change.
    #[error(
        "`{reference}` has no digest, and a tag may mean another plugin tomorrow: `tidemill plugin pull {reference}` prints the reference with its digest"
    )]
    NoDigest {
        /// The reference.
        reference: String,
    },
    /// The operator's policy forbids it, or can't be read.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Nobody answers.
    #[error("the registry {registry} can't be reached: {reason}")]
    Unreachable {
        /// The registry.
        registry: String,
        /// Why.
        reason: String,
    },
    /// The registry wants to know who asks.
    #[error("the registry {registry} refuses it: {reason}")]
    Credentials {
        /// The registry.
        registry: String,
        /// Which credentials it was given, and what to do.
        reason: String,
    },
    /// No such artifact.
    #[error("there is no `{reference}` in its registry, or it isn't for these credentials")]
    NotThere {
        /// The reference.
        reference: String,
    },
    /// Other bytes than their digest says.
    #[error(
        "`{reference}`: the registry sent other bytes than {digest}, which were thrown away; whoever runs the registry should know"
    )]
    Tampered {
        /// The reference.
        reference: String,
        /// The digest of what was asked for.
        digest: String,
    },
    /// The artifact is no plugin.
    #[error(
        "`{reference}` is no plugin: {reason}; `tidemill plugin push` makes the artifact that is expected"
    )]
    NotAPlugin {
        /// The reference.
        reference: String,
        /// What it is instead.
        reason: String,
    },
    /// The registry answered with something else.
    #[error("the registry {registry} failed: {reason}")]
    Failed {
        /// The registry.
        registry: String,
        /// What it said.
        reason: String,
    },
    /// A file of the store or of a pipe's state that isn't what its name says.
    #[error(
        "{path} is not the plugin {digest} any more: it was changed or cut; remove it, and it is fetched again", path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it should be.
        digest: Digest,
    },
    /// A pipe's copy of a plugin that is gone or isn't what it was.
    #[error(
        "the pipe's copy of the plugin `{name}`, {path}, is missing or was changed, and changes go through the same plugin as the load; put {digest} back there, or take the plugin up as it is now with `tidemill resync`", path = path.display()
    )]
    Lost {
        /// The plugin, as the pipe names it.
        name: String,
        /// Where the copy should be.
        path: PathBuf,
        /// What it should be.
        digest: Digest,
    },
    /// A plugin's file that was written over at the wrong moment.
    #[error("the plugin `{name}` was written over while the load began; begin it again")]
    Changed {
        /// The plugin, as the pipe names it.
        name: String,
    },
    /// A file or folder that can't be read or written.
    #[error("{path} can't be used: {cause}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// There is no place for the store.
    #[error(
        "there is no folder to keep plugins in, since this user has no home: name one with {}",
        super::store::STORE
    )]
    NoStore,
    /// A key that can't be used to sign.
    #[error("{path} can't be used to sign: {reason}", path = path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// A registry's words, fit to be shown. The queries of addresses are left out: one that is signed beforehand opens what it names to anybody.
pub(super) fn quote(text: &str) -> String {
    let without_query = |word| match str::split_once(word, '?') {
        Some((address, _)) if address.contains("://") => format!("{address}?…"),
        _ => word.to_owned(),
    };
    let words: Vec<String> = text.split(' ').map(without_query).collect();
    crate::quote::quote(&words.join(" "), QUOTE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_of_an_address_is_not_shown() {
        let text = "error sending request for url (https://store.example/a?X-Amz-Signature=secret): who? nobody";
        assert_eq!(
            quote(text),
            "error sending request for url (https://store.example/a?… who? nobody"
        );
    }
}
