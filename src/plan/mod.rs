//! What a run requests, in which order, and why: a pure function of streams, scopes, coverage and time.

mod due;
mod expect;
mod order;
mod owed;
mod planned;
mod slices;
mod steady_state;
mod wanted;

pub use due::{Due, Reason};
pub use owed::{DEFAULT_START_DAYS, first_wanted_day, owed_days, single_start};
pub use planned::{Plan, PlannedSlice};
pub use steady_state::steady_state_plan;
pub use wanted::{Known, Wanted, WantedDays};

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::model::coverage::ScopeCoverage;
use crate::model::slice::Slice;
use crate::plan::order::Direction;

/// How long a missing entitlement is assumed before it is requested once more.
const NOT_ENTITLED_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Plans what is due now, by tier and by the time of the last extraction, then the backfill, newest first.
pub fn plan(wanted: &Wanted, known: &Known<'_>) -> Plan {
    let mut plan = Plan::default();
    for stream in &wanted.streams {
        let cutoffs = slices::FinalityCutoffs::new(stream, wanted, known.now);
        for scope in wanted.scopes.get(&stream.scope).into_iter().flatten() {
            if known.forgotten.covers(&stream.name, scope, None) {
                continue;
            }
            let coverage = known.coverage.get(&stream.name).and_then(|scopes| scopes.get(&scope.key()));
            let slice = Slice { stream: Arc::clone(stream), scope: scope.clone(), window: None };
            if is_not_entitled(coverage, known.now) {
                plan.not_entitled.push(slice);
            } else {
                plan.slices.extend(slices::due(slice, coverage, wanted, known, cutoffs.as_ref()));
            }
        }
    }
    order::sort(&mut plan.slices, wanted, known, Direction::Forward);
    plan
}

/// The plan of a run that is concurrent with another: it starts from the other end, as far as dependencies allow, so that both
/// meet in the middle and hardly any slice is requested twice.
pub fn reversed(mut plan: Plan, wanted: &Wanted, known: &Known<'_>) -> Plan {
    order::sort(&mut plan.slices, wanted, known, Direction::Backward);
    plan
}

fn is_not_entitled(coverage: Option<&ScopeCoverage>, now: Timestamp) -> bool {
    let denied = coverage.and_then(|coverage| coverage.not_entitled.as_ref());
    denied.is_some_and(|denied| denied.is_confirmed && now.duration_since(denied.at).abs() < NOT_ENTITLED_FOR)
}

#[cfg(test)]
mod tests;
