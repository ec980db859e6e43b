//! One process at a time works on a pipe: an advisory lock on a file, which the system lets go of when the process ends, however
//! it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use super::JournalError;

/// How often a lock that is held is looked at again, and the pause before that: who asks whether it is held has it for a moment.
const LOOKS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(10);

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
        match patiently(&file) {
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

fn patiently(file: &File) -> Result<(), TryLockError> {
    for _ in 1..LOOKS {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            done => return done,
        }
    }
    file.try_lock()
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

    #[test]
    fn who_asks_whether_it_is_held_keeps_nobody_from_taking_it() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let folder = tempfile::tempdir().expect("a folder");
        drop(PipeLock::take(folder.path()).expect("free"));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        PipeLock::is_held(folder.path());
                    }
                });
            }
            let taken = (0..200).map(|_| PipeLock::take(folder.path()).map(drop));
            let taken: Result<Vec<()>, _> = taken.collect();
            done.store(true, Ordering::Relaxed);
            taken.expect("nobody has it");
        });
    }
}
