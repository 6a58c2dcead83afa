//! The plan itself.

use crate::model::slice::Slice;
use crate::plan::due::Due;

/// What a run asks for, in order.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The slices, first things first.
    pub slices: Vec<PlannedSlice>,
    /// Streams and scopes that are not asked, because the account may not read them.
    pub not_entitled: Vec<Slice>,
}

/// A slice and why it is in the plan.
#[derive(Debug, Clone)]
pub struct PlannedSlice {
    /// The slice.
    pub slice: Slice,
    /// How many days of it are due, by reason.
    pub due: Due,
    /// Requests of the budget that it is expected to cost.
    pub requests: u64,
    /// Rows it is expected to bring, as far as earlier readings tell.
    pub rows: Option<u64>,
    /// Bytes of Parquet it is expected to become, as far as earlier readings tell.
    pub bytes: Option<u64>,
    /// Whether all of it lies before what was read so far, and is worth what the run has left over.
    pub history: bool,
}

impl Plan {
    /// Requests the plan is expected to cost.
    pub fn requests(&self) -> u64 {
        self.slices.iter().map(|planned| planned.requests).sum()
    }
}
