//! What the store counts, for `/metrics`.

use crate::Revision;
use std::sync::Arc;
use std::time::Duration;

/// Upper bounds of the buckets of commit durations, in seconds.
const COMMIT_SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0];
/// Upper bounds of the buckets of batch sizes, in writes.
const BATCH_WRITES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// The store's figures at one moment. Counters begin at 0 when the store is opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Durable commits, each one sync.
    pub commits: u64,
    /// Commits that failed.
    pub failed_commits: u64,
    /// Writes carried out.
    pub writes: u64,
    /// Writes refused because their condition did not hold.
    pub conflicts: u64,
    /// Times the database was opened again or rebuilt after a failed commit.
    pub recoveries: u64,
    /// Writes per commit, of commits that carried any.
    pub batch_writes: Histogram,
    /// Seconds per commit, failed ones included.
    pub commit_seconds: Histogram,
    /// The last commit's duration.
    pub last_commit: Duration,
    /// Running watches.
    pub watchers: usize,
    /// Keys that exist.
    pub keys: usize,
    /// Events kept.
    pub history_events: usize,
    /// Bytes of memory that the history keeps beside the current objects, about.
    pub history_bytes: usize,
    /// The newest revision.
    pub revision: Revision,
    /// The oldest kept revision.
    pub compacted: Revision,
    /// Bytes the database takes up on disk; 0 when the file system does not say.
    pub disk_bytes: u64,
    /// Why the last commit failed; `None` while the store can write.
    pub unwritable: Option<Arc<str>>,
}

impl Figures {
    /// Whether the last commit succeeded.
    pub fn writable(&self) -> bool {
        self.unwritable.is_none()
    }
}

/// Counts of observations by size.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Upper bounds of the buckets, ascending; one more bucket follows for what is above.
    pub bounds: &'static [f64],
    /// Observations in each bucket (not cumulative), one more than there are bounds.
    pub counts: Vec<u64>,
    /// Sum of all observations.
    pub sum: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    fn observe(&mut self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket] += 1;
        self.sum += value;
    }

    /// How many observations there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// What the writer counts.
#[derive(Debug, Clone)]
pub(crate) struct Counts {
    pub commits: u64,
    pub failed_commits: u64,
    pub writes: u64,
    pub conflicts: u64,
    pub recoveries: u64,
    pub batch_writes: Histogram,
    pub commit_seconds: Histogram,
    pub last_commit: Duration,
    pub unwritable: Option<Arc<str>>,
    /// Values on disk that would be sealed otherwise now.
    pub stale: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            commits: 0,
            failed_commits: 0,
            writes: 0,
            conflicts: 0,
            recoveries: 0,
            batch_writes: Histogram::new(BATCH_WRITES),
            commit_seconds: Histogram::new(COMMIT_SECONDS),
            last_commit: Duration::ZERO,
            unwritable: None,
            stale: 0,
        }
    }
}

impl Counts {
    /// Notes a commit of so many writes, and why it failed if it did.
    pub fn commit(&mut self, writes: usize, took: Duration, failure: Option<Arc<str>>) {
        self.commit_seconds.observe(took.as_secs_f64());
        self.last_commit = took;
        if failure.is_some() {
            self.failed_commits += 1;
        } else {
            self.commits += 1;
            self.writes += writes as u64;
            if writes > 0 {
                self.batch_writes.observe(writes as f64);
            }
        }
        self.unwritable = failure;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_falls_into_the_bucket_that_bounds_it() {
        let mut histogram = Histogram::new(&[1.0, 2.0]);
        [0.5, 1.0, 1.5, 9.0].into_iter().for_each(|v| histogram.observe(v));
        assert_eq!(
            (histogram.counts.as_slice(), histogram.sum, histogram.count()),
            ([2, 1, 1].as_slice(), 12.0, 4)
        );
    }
}
