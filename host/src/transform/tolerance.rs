//! What becomes of rows that a plugin can't transform, and how many of them there may be: a policy of each transform.
//!
//! A row is a plugin's to reject by number. Where it condemns a whole batch instead (an error, a crash, a limit), the batch is parted until
//! the rows that it fails at stand alone ([`super::salvage`]).

use std::sync::{Mutex, MutexGuard};

use super::lock;
use crate::schema::OnError;

/// A transform's policy for rows that it can't transform.
#[derive(Clone, Debug, PartialEq)]
pub struct Tolerance {
    /// What becomes of them.
    pub on_error: OnError,
    /// The most of them in a load of a table; none: as many as there are.
    pub max_rejected: Option<u64>,
    /// The most of them in a window, as a share of its rows, from 0 to 1. A tenth by default.
    pub max_share: f64,
    /// Rows of a window. 10,000 by default.
    pub window: u64,
}

impl Tolerance {
    /// Whether such a row may be set aside.
    pub(super) fn is_tolerant(&self) -> bool {
        self.on_error != OnError::Fail
    }
}

impl Default for Tolerance {
    fn default() -> Self {
        Self {
            on_error: OnError::Fail,
            max_rejected: None,
            max_share: 0.1,
            window: 10_000,
        }
    }
}

/// The rows that a transform was given and could not transform.
#[derive(Default)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// Whether the total has no bound.
    endless: bool,
    rejected: u64,
    window_rows: u64,
    window_rejected: u64,
}

/// Which bound was passed: its setting, its value, what was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TooMany {
    pub(super) setting: &'static str,
    pub(super) bound: String,
    pub(super) counted: String,
}

impl Tally {
    /// So many rows were rejected in what is loaded already: they count from here on.
    pub(super) fn resume(&self, rejected: u64) {
        self.counts().rejected = rejected;
    }

    /// There is no total from now on, only windows.
    pub(super) fn lift_total(&self) {
        self.counts().endless = true;
    }

    /// So many rows are about to be transformed.
    pub(super) fn begin(&self, tolerance: &Tolerance, rows: usize) {
        let mut counts = self.counts();
        if counts.window_rows >= tolerance.window {
            (counts.window_rows, counts.window_rejected) = (0, 0);
        }
        counts.window_rows += rows as u64;
    }

    /// So many more rows could not be transformed.
    pub(super) fn reject(&self, tolerance: &Tolerance, rows: usize) -> Result<(), TooMany> {
        let mut counts = self.counts();
        counts.rejected += rows as u64;
        counts.window_rejected += rows as u64;
        if let Some(most) = tolerance
            .max_rejected
            .filter(|most| !counts.endless && counts.rejected > *most)
        {
            return Err(TooMany {
                setting: "max_rejected",
                bound: most.to_string(),
                counted: format!("{} rows", counts.rejected),
            });
        }
        let window = counts.window_rows.max(tolerance.window);
        if counts.window_rejected as f64 > tolerance.max_share * window as f64 {
            return Err(TooMany {
                setting: "max_rejected_share",
                bound: format!("{}%", tolerance.max_share * 100.0),
                counted: format!("{} of {window} rows", counts.window_rejected),
            });
        }
        Ok(())
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        lock(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_bounded_over_restarts() {
        let tolerance = Tolerance {
            max_rejected: Some(5),
            ..Tolerance::default()
        };
        let tally = Tally::default();
        tally.resume(3);
        tally.begin(&tolerance, 10);
        assert_eq!(tally.reject(&tolerance, 2), Ok(()));
        let passed = tally.reject(&tolerance, 1).unwrap_err();
        assert_eq!(
            (
                passed.setting,
                passed.bound.as_str(),
                passed.counted.as_str()
            ),
            ("max_rejected", "5", "6 rows")
        );
    }

    #[test]
    fn a_stream_has_no_total() {
        let tolerance = Tolerance {
            max_rejected: Some(5),
            max_share: 1.0,
            ..Tolerance::default()
        };
        let tally = Tally::default();
        tally.lift_total();
        tally.begin(&tolerance, 10);
        assert_eq!(tally.reject(&tolerance, 10), Ok(()));
    }

    #[test]
    fn the_share_is_bounded_in_each_window() {
        let tolerance = Tolerance {
            max_share: 0.1,
            window: 100,
            ..Tolerance::default()
        };
        let tally = Tally::default();
        // Ten of a hundred, window after window.
        for _ in 0..5 {
            tally.begin(&tolerance, 100);
            assert_eq!(tally.reject(&tolerance, 10), Ok(()));
        }
        // A batch larger than a window is a window.
        tally.begin(&tolerance, 1000);
        assert_eq!(tally.reject(&tolerance, 100), Ok(()));
        assert_eq!(
            tally.reject(&tolerance, 1).unwrap_err().counted,
            "101 of 1000 rows"
        );
    }
}
