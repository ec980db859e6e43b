//! Digests of files, computed once for each content: whoever asks what a pipe is at asks for those of its plugins and reference tables again and again.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::Digest;

/// Files whose digests are remembered, at most.
const KNOWN: usize = 4096;
/// File systems count time in steps of up to two seconds: a file that was changed as lately may change again and look the same.
const STEP: Duration = Duration::from_secs(2);

/// Those of the process.
static FILES: LazyLock<FileDigests> = LazyLock::new(FileDigests::default);

impl Digest {
    /// The digest of a file. One that looks as it did the last time (inode, size, times) isn't read again.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        FILES.of(path)
    }
}

/// What tells a file's content from another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Look {
    fn of(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }

    /// Whether a change from now on would be seen by its time.
    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs().cast_signed());
        now.saturating_sub(self.changed.0) > STEP.as_secs().cast_signed()
    }
}

struct Known {
    look: Look,
    settled: bool,
    digest: Digest,
    read: Instant,
    asked: Instant,
}

/// The digests of files, the ones that were asked for last.
#[derive(Default)]
struct FileDigests(Mutex<HashMap<PathBuf, Known>>);

impl FileDigests {
    fn of(&self, path: &Path) -> io::Result<Digest> {
        let look = Look::of(&std::fs::metadata(path)?);
        if let Some(known) = self.known().get_mut(path)
            && known.look == look
            && (known.settled || known.read.elapsed() < STEP)
        {
            known.asked = Instant::now();
            return Ok(known.digest.clone());
        }
        let mut file = File::open(path)?;
        let look = Look::of(&file.metadata()?);
        let settled = look.is_settled();
        let digest = Digest::of_reader(&mut file)?;
        let now = Instant::now();
        let known = Known {
            look,
            settled,
            digest: digest.clone(),
            read: now,
            asked: now,
        };
        self.keep(path, known);
        Ok(digest)
    }

    fn keep(&self, path: &Path, known: Known) {
        let mut all = self.known();
        if all.len() >= KNOWN && !all.contains_key(path) {
            // Half of them at a time, so that it is seldom looked for the oldest.
            let mut asked: Vec<Instant> = all.values().map(|known| known.asked).collect();
            asked.sort_unstable();
            let middle = asked[asked.len() / 2];
            all.retain(|_, known| known.asked > middle);
        }
        all.insert(path.to_owned(), known);
    }

    /// A panic while the lock was held leaves whole entries behind.
    fn known(&self) -> MutexGuard<'_, HashMap<PathBuf, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A file of this content that was changed long ago, as far as is known.
    fn settle(digests: &FileDigests, path: &Path) {
        digests.known().get_mut(path).unwrap().settled = true;
    }

    #[test]
    fn a_file_is_read_once_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let digests = FileDigests::default();
        fs::write(&path, "one").unwrap();
        assert_eq!(digests.of(&path).unwrap(), Digest::of(b"one"));
        settle(&digests, &path);
        let read = digests.known()[&path].read;
        assert_eq!(digests.of(&path).unwrap(), Digest::of(b"one"));
        assert_eq!(digests.known()[&path].read, read, "it was not read again");
        // As an upload writes it: another file of the same size under the name.
        crate::files::write_whole(&path, 0o600, &[b"two"]).unwrap();
        assert_eq!(digests.of(&path).unwrap(), Digest::of(b"two"));
        fs::remove_file(&path).unwrap();
        assert!(digests.of(&path).is_err());
    }

    #[test]
    fn a_file_that_was_just_changed_is_believed_for_two_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let digests = FileDigests::default();
        fs::write(&path, "one").unwrap();
        digests.of(&path).unwrap();
        let read = {
            let mut known = digests.known();
            let known = known.get_mut(&path).unwrap();
            assert!(!known.settled);
            known.read = known.read.checked_sub(STEP).unwrap();
            known.read
        };
        digests.of(&path).unwrap();
        assert_ne!(digests.known()[&path].read, read, "it was read again");
    }

    #[test]
    fn a_bounded_number_is_remembered() {
        let digests = FileDigests::default();
        let look = Look::of(&fs::metadata("/").unwrap());
        for number in 0..2 * KNOWN {
            let now = Instant::now();
            let known = Known {
                look,
                settled: true,
                digest: Digest::of(b""),
                read: now,
                asked: now,
            };
            digests.keep(Path::new(&number.to_string()), known);
            assert!(digests.known().len() <= KNOWN);
        }
    }
}
