//! Where a test ends the process: on both sides of each line that is written to the journal.
//!
//! Built with the feature `failpoints` only. `TIDEMILL_CRASH_AT=n` kills the process with SIGKILL at the n-th such place that it
//! comes to, so that a test can go through all of them one after the other without knowing their names.

/// A place before or after a journalled step.
#[cfg(feature = "failpoints")]
pub(super) fn point(side: &str, step: &str) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static PASSED: AtomicU64 = AtomicU64::new(0);

    let number = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
    let wanted = std::env::var("TIDEMILL_CRASH_AT")
        .ok()
        .and_then(|text| text.parse::<u64>().ok());
    if wanted == Some(number) {
        eprintln!("crash point {number}: {side} `{step}`");
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::process::abort();
    }
}

/// A place before or after a journalled step.
#[cfg(not(feature = "failpoints"))]
pub(super) fn point(_side: &str, _step: &str) {}
