//! How often a job runs.

use jiff::SignedDuration;

/// The time between two runs of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Periods {
    pub shortest: SignedDuration,
    pub average: SignedDuration,
    /// A run that takes longer never ends before the next one.
    pub longest: SignedDuration,
}

impl Periods {
    pub fn constant(period: SignedDuration) -> Self {
        Self { shortest: period, average: period, longest: period }
    }
}
