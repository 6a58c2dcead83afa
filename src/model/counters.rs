//! What a slice, a stream or a run requested and wrote.

use std::iter::Sum;
use std::ops::AddAssign;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a slice, a stream or a run requested and wrote. Those of a run are the sum of its slices, but for `requests`, which
/// then include discovery and failed slices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Slices that were published and recorded.
    pub slices: u64,
    /// Slices that need a person's attention.
    pub failed: u64,
    /// Slices that a later run does.
    pub deferred: u64,
    pub not_entitled: u64,
    /// Retries included.
    pub requests: u64,
    /// Rows received.
    pub rows: u64,
    /// Received rows that were outside the window, and dropped.
    pub outside_rows: u64,
    /// Files written.
    pub files: u64,
    /// Files kept because their rows are the same.
    pub unchanged: u64,
    /// Bytes written.
    pub bytes: u64,
    /// From the first request of each slice to its record. Slices run at the same time, so the sum exceeds the run's time.
    #[serde(skip)]
    pub elapsed: Duration,
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        let Self {
            slices,
            failed,
            deferred,
            not_entitled,
            requests,
            rows,
            outside_rows,
            files,
            unchanged,
            bytes,
            elapsed,
        } = other;
        self.slices += slices;
        self.failed += failed;
        self.deferred += deferred;
        self.not_entitled += not_entitled;
        self.requests += requests;
        self.rows += rows;
        self.outside_rows += outside_rows;
        self.files += files;
        self.unchanged += unchanged;
        self.bytes += bytes;
        self.elapsed += elapsed;
    }
}

impl Sum for Counters {
    fn sum<I: Iterator<Item = Self>>(counters: I) -> Self {
        counters.fold(Self::default(), |mut sum, more| {
            sum += more;
            sum
        })
    }
}
