//! The plan itself.

use crate::model::slice::Slice;
use crate::plan::due::Due;

/// What a run requests, in order.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub slices: Vec<PlannedSlice>,
    /// Streams and scopes that are not requested, because the account has no access.
    pub not_entitled: Vec<Slice>,
}

/// A slice, and why it is in the plan.
#[derive(Debug, Clone)]
pub struct PlannedSlice {
    pub slice: Slice,
    /// Its due days, by reason.
    pub due: Due,
    /// Expected requests, as the rate limit counts them.
    pub requests: u64,
    /// Expected rows, if it was extracted before.
    pub rows: Option<u64>,
    /// Expected bytes of Parquet, if it was extracted before.
    pub bytes: Option<u64>,
    /// Whether all of its days are before those extracted so far, so that it comes last.
    pub is_backfill: bool,
}

impl Plan {
    /// Expected requests.
    pub fn requests(&self) -> u64 {
        self.slices.iter().map(|planned| planned.requests).sum()
    }
}
