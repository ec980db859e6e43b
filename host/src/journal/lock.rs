//! One process at a time works on a pipe: an advisory lock on a file, which the system lets go of when the process ends, however
//! it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::JournalError;

/// The pipe's lock, held until it is dropped.
#[derive(Debug)]
pub struct PipeLock {
    _file: File,
}

impl PipeLock {
    /// Takes the lock of a pipe's state folder, or says which process holds it.
    pub fn take(state: &Path) -> Result<Self, JournalError> {
        let unusable = |cause| JournalError::Folder {
            folder: state.to_owned(),
            cause,
        };
        std::fs::create_dir_all(state).map_err(unusable)?;
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(state.join("lock"));
        let mut file = open.map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                file.read_to_string(&mut process).map_err(unusable)?;
                return Err(JournalError::Locked {
                    process: process.trim().to_owned(),
                });
            }
            Err(TryLockError::Error(cause)) => return Err(unusable(cause)),
        }
        let sign = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        sign(&mut file).map_err(unusable)?;
        Ok(Self { _file: file })
    }

    /// Whether some process holds the lock now.
    pub fn is_held(state: &Path) -> bool {
        match File::open(state.join("lock")) {
            Ok(file) => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_until_the_first_lets_go() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(!PipeLock::is_held(folder.path()));
        let first = PipeLock::take(folder.path()).expect("free");
        assert!(PipeLock::is_held(folder.path()));
        let error = PipeLock::take(folder.path()).expect_err("held").to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        drop(first);
        PipeLock::take(folder.path()).expect("free again");
    }
}
