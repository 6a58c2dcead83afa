//! The requests, rows and bytes that a slice is expected to have, from earlier extractions.

use crate::model::cost::RequestKind;
use crate::model::coverage::{DayState, ScopeCoverage};
use crate::model::slice::Slice;
use crate::model::stream::Stream;
use crate::plan::wanted::{Known, Wanted};

/// The rows and bytes of an average day, or of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Average {
    pub rows: u64,
    pub bytes: u64,
}

impl Average {
    /// Of the extracted days; `None` without any.
    pub fn of_days(coverage: &ScopeCoverage) -> Option<Self> {
        let (mut days, mut rows, mut bytes) = (0_u64, 0_u64, 0_u64);
        for state in coverage.days.values().filter(|state| state.extracted_at.is_some()) {
            (days, rows, bytes) = (days + 1, rows + state.rows, bytes + state.bytes);
        }
        Some(Self { rows: rows.checked_div(days)?, bytes: bytes.checked_div(days)? })
    }

    pub fn of_list(state: &DayState) -> Self {
        Self { rows: state.rows, bytes: state.bytes }
    }

    pub fn times(self, days: i64) -> Self {
        let days = u64::try_from(days).unwrap_or(1);
        Self { rows: self.rows.saturating_mul(days), bytes: self.bytes.saturating_mul(days) }
    }
}

/// Requests for `rows` rows: one for an event stream, one for each page, or for one page if nothing is known, times the cost
/// of its kind.
pub fn pages(stream: &Stream, rows: Option<u64>, wanted: &Wanted) -> u64 {
    if wanted.event_streams && stream.event_stream.is_some() && !wanted.paged.contains(&stream.name) {
        return u64::from(wanted.costs.cost(RequestKind::Events));
    }
    let pages = stream.pagination.limit().map_or(1, |limit| rows.unwrap_or(0).div_ceil(limit).max(1));
    pages * u64::from(wanted.costs.cost(RequestKind::Page))
}

/// How many requests a slice is made of, from earlier extractions: one, or one for each row of its parent. If the parent says
/// what has changed, the `extracted` rows need hardly any.
pub fn fan_out(slice: &Slice, extracted: Option<u64>, known: &Known<'_>) -> u64 {
    let Some(parent) = &slice.stream.parent else {
        return 1;
    };
    let of_scope = known.coverage.get(&parent.stream).and_then(|scopes| scopes.get(&slice.scope.key()));
    let state = of_scope.and_then(|coverage| coverage.state(slice.window.map(|window| window.start)));
    let parents = state.map_or(1, |state| state.rows * parent.variants.len().max(1) as u64);
    match (&parent.changed, extracted) {
        (Some(_), Some(extracted)) => parents.saturating_sub(extracted).max(1),
        _ => parents.max(1),
    }
}
