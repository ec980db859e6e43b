//! Names by content: SHA-256, as registries write it.

mod files;

use std::fmt;
use std::io;

use sha2::Sha256;

/// The SHA-256 of some bytes. It is shown as `sha256:` and 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(<Sha256 as sha2::Digest>::digest(bytes)))
    }

    /// The digest of all that can be read.
    fn of_reader(reader: &mut impl io::Read) -> io::Result<Self> {
        let mut hash = <Sha256 as sha2::Digest>::new();
        let mut part = vec![0; 64 << 10];
        loop {
            match reader.read(&mut part)? {
                0 => return Ok(Self(hex::encode(sha2::Digest::finalize(hash)))),
                read => sha2::Digest::update(&mut hash, &part[..read]),
            }
        }
    }

    /// The digest of these parts, each told from the next.
    pub fn of_parts(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        let mut hash = <Sha256 as sha2::Digest>::new();
        for part in parts {
            let part = part.as_ref();
            sha2::Digest::update(&mut hash, (part.len() as u64).to_le_bytes());
            sha2::Digest::update(&mut hash, part);
        }
        Self(hex::encode(sha2::Digest::finalize(hash)))
    }

    /// Reads 64 hexadecimal digits, with `sha256:` before them or without; none if it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let is_digest = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_digest.then(|| Self(digits.to_ascii_lowercase()))
    }

    /// The 64 hexadecimal digits alone: fit for a file's name.
    pub fn hex(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_as_it_is_shown_and_nothing_else_is_one() {
        let digest = Digest::of(b"");
        assert_eq!(
            digest.to_string(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest.clone()));
        assert_eq!(
            Digest::parse(&digest.hex().to_uppercase()),
            Some(digest.clone())
        );
        assert_ne!(Digest::of_parts(["ab", "c"]), Digest::of_parts(["a", "bc"]));
        let cut = &digest.hex()[1..];
        for text in [
            "",
            "sha256:",
            cut,
            &format!("sha512:{}", digest.hex()),
            &format!("../{}", &digest.hex()[3..]),
        ] {
            assert_eq!(Digest::parse(text), None, "{text}");
        }
    }
}
