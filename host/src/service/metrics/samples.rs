//! What a pipe did in the last hour, in steps: for charts.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::lifecycle::PipeUsage;
use crate::lifecycle::report::FollowReport;

/// The time between two samples.
pub(in crate::service) const SAMPLE_EVERY: Duration = Duration::from_secs(5);
/// How long a sample is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(1);

/// What a pipe did in some seconds.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Sample {
    /// The end of those seconds.
    pub(crate) at: Timestamp,
    /// Rows of loads a second.
    pub(crate) rows_per_second: f64,
    /// Row events of the binlog a second.
    pub(crate) events_per_second: f64,
    /// How far the destination is behind the source, in seconds; null if it isn't known.
    pub(crate) lag_seconds: Option<u64>,
    /// CPU time of each plugin, in seconds a second: 1 is a whole core.
    pub(crate) plugin_cpu: BTreeMap<String, f64>,
}

/// The samples of a pipe. They outlive its runs.
#[derive(Debug)]
pub(in crate::service) struct Samples {
    kept: VecDeque<Sample>,
    at: Instant,
    rows_read: u64,
    /// What the pipe's plugins had used then; none: nobody has looked, and the process may have run the pipe before.
    used: Option<PipeUsage>,
}

impl Default for Samples {
    fn default() -> Self {
        Self {
            kept: VecDeque::new(),
            at: Instant::now(),
            rows_read: 0,
            used: None,
        }
    }
}

impl Samples {
    /// The pipe is started: its rows are counted anew.
    pub(in crate::service) fn begin(&mut self) {
        (self.at, self.rows_read, self.used) = (Instant::now(), 0, None);
    }

    /// Takes a sample: rows of loads that were read since the start, what the pipe follows, and what it has used in this process.
    pub(in crate::service) fn take(
        &mut self,
        rows_read: u64,
        following: Option<FollowReport>,
        usage: PipeUsage,
    ) {
        let seconds = self.at.elapsed().as_secs_f64().max(0.001);
        let rows = rows_read.saturating_sub(self.rows_read);
        let now = Timestamp::now();
        self.kept.push_back(Sample {
            at: now,
            rows_per_second: rows as f64 / seconds,
            events_per_second: following.as_ref().map_or(0.0, |f| f.events_per_second),
            lag_seconds: following.and_then(|following| following.lag_seconds),
            plugin_cpu: plugin_cpu(self.used.as_ref(), &usage, seconds),
        });
        (self.at, self.rows_read, self.used) = (Instant::now(), rows_read, Some(usage));
        let old = |sample: &Sample| sample.at.duration_until(now) > KEPT;
        while self.kept.front().is_some_and(old) {
            self.kept.pop_front();
        }
    }

    /// The last one.
    pub(in crate::service) fn last(&self) -> Option<Sample> {
        self.kept.back().cloned()
    }

    /// Those of the last hour, the earliest first.
    pub(in crate::service) fn all(&self) -> Vec<Sample> {
        let now = Timestamp::now();
        let kept = self.kept.iter();
        let new = kept.skip_while(|sample| sample.at.duration_until(now) > KEPT);
        new.cloned().collect()
    }
}

/// CPU time that each plugin has used since, in seconds a second.
fn plugin_cpu(before: Option<&PipeUsage>, now: &PipeUsage, seconds: f64) -> BTreeMap<String, f64> {
    let Some(before) = before else {
        return BTreeMap::new();
    };
    let used = now.plugins.iter().map(|(name, usage)| {
        let known = before.plugins.get(name).map_or(0, |known| known.cpu_us);
        let used = usage.cpu_us.saturating_sub(known) as f64 / 1e6;
        (name.clone(), used / seconds)
    });
    // A plugin that does nothing takes no room in each sample.
    used.filter(|(_, used)| *used > 0.0).collect()
}
