//! How often a job runs.

use jiff::SignedDuration;

/// How long it is from one run to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Periods {
    /// At least.
    pub shortest: SignedDuration,
    /// On average.
    pub average: SignedDuration,
    /// At most: what takes longer than this can never end before the next run.
    pub longest: SignedDuration,
}

impl Periods {
    /// Always the same.
    pub fn constant(period: SignedDuration) -> Self {
        Self { shortest: period, average: period, longest: period }
    }
}
