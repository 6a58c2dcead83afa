//! Days that were extracted with another reading of `end_date` than the one that a response has proven.

use jiff::Timestamp;

use crate::catalog::Catalog;
use crate::ledger::{Entry, State};
use crate::model::coverage::{DayState, ScopeCoverage};
use crate::model::proof::Proof;
use crate::model::slice::Slice;
use crate::model::stream::{Days, DaysKind, WindowEnd};

/// The reading of `end_date` in requests of streams with `days`: what was learned, or what is documented.
pub fn assumed_end(days: &Days, learned: Option<WindowEnd>) -> WindowEnd {
    match learned.unwrap_or(days.end) {
        WindowEnd::Undocumented => WindowEnd::Inclusive,
        end => end,
    }
}

/// Streams and scopes of `family` with days that may lack rows, or have those of another day, because requests assumed another end than
/// `proven`; and the entries that mark those days stale. `learned` is what was known before, and `started_at` when the run started.
pub fn reopened(
    state: &State,
    catalog: &Catalog,
    family: &str,
    learned: Option<WindowEnd>,
    proven: WindowEnd,
    started_at: Timestamp,
) -> (Vec<Slice>, Vec<Entry>) {
    let (mut slices, mut entries) = (Vec::new(), Vec::new());
    for stream in catalog.streams().filter(|stream| stream.family == family) {
        let Some(days) = stream.days.as_ref().filter(|days| assumed_end(days, learned) != proven) else {
            continue;
        };
        let is_affected = |state: &DayState| {
            let at = state.extracted_at.map(|at| at.to_timestamp());
            let is_requested = at.is_some() && !state.stale && state.proof != Some(Proof::Gate);
            is_requested
                && match days.kind {
                    // Only the last day of a window can be missing, as a whole. Slices of this run compared both readings.
                    DaysKind::Dated => {
                        proven == WindowEnd::Exclusive && state.rows == 0 && at.is_some_and(|at| at < started_at)
                    }
                    DaysKind::Window | DaysKind::Week | DaysKind::Month => true,
                }
        };
        let scopes = state.coverage.get(&stream.name).into_iter().flat_map(|scopes| scopes.values());
        for ScopeCoverage { scope, days, .. } in scopes {
            let before = entries.len();
            let affected = days.iter().filter(|(_, state)| is_affected(state));
            entries.extend(affected.map(|(day, _)| Entry::Stale {
                stream: stream.name.clone(),
                scope: scope.clone(),
                day: Some(*day),
            }));
            if entries.len() > before {
                slices.push(Slice { stream: stream.clone(), scope: scope.clone(), window: None });
            }
        }
    }
    (slices, entries)
}
