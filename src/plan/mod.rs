//! What a run asks for, in which order, and why: a pure function of streams, scopes, coverage and time.

mod due;
mod expect;
mod night;
mod order;
mod planned;
mod slices;
mod wanted;

pub use due::Due;
pub use night::night;
pub use planned::{Plan, PlannedSlice};
pub use wanted::{Known, Wanted, WantedDays};

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::model::coverage::ScopeCoverage;
use crate::model::slice::Slice;
use crate::plan::order::End;

/// How long *not entitled* is believed before it is asked again.
const NOT_ENTITLED_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Makes the plan: what is due now in the order of its tiers and of how long ago it was read, then history, newest
/// first.
pub fn plan(wanted: &Wanted, known: &Known<'_>) -> Plan {
    let mut plan = Plan::default();
    for stream in &wanted.streams {
        let settling = slices::Settling::of(stream, wanted, known.now);
        for scope in wanted.scopes.get(&stream.scope).into_iter().flatten() {
            if known.forgotten.covers(&stream.name, scope, None) {
                continue;
            }
            let coverage = known.coverage.get(&stream.name).and_then(|scopes| scopes.get(&scope.key()));
            let slice = Slice { stream: Arc::clone(stream), scope: scope.clone(), window: None };
            match is_not_entitled(coverage, known.now) {
                true => plan.not_entitled.push(slice),
                false => plan.slices.extend(slices::due(slice, coverage, wanted, known, settling.as_ref())),
            }
        }
    }
    order::sort(&mut plan.slices, wanted, known, End::First);
    plan
}

/// The same plan for a run beside another one: it begins at the other end, as far as what others wait for allows.
pub fn beside_another(mut plan: Plan, wanted: &Wanted, known: &Known<'_>) -> Plan {
    order::sort(&mut plan.slices, wanted, known, End::Last);
    plan
}

fn is_not_entitled(coverage: Option<&ScopeCoverage>, now: Timestamp) -> bool {
    let told = coverage.and_then(|coverage| coverage.not_entitled.as_ref());
    told.is_some_and(|told| now.duration_since(told.at) < NOT_ENTITLED_FOR)
}

#[cfg(test)]
mod tests;
