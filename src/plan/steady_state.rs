//! The plan of a regular run once everything before it is exported: what a schedule must have room for.

use jiff::{SignedDuration, Timestamp};

use crate::model::coverage::{Coverage, DayState, ScopeCoverage};
use crate::model::day::{Day, DayZone};
use crate::model::proof::Proof;
use crate::model::slice::Slice;
use crate::model::stream::Stream;
use crate::plan::expect::Average;
use crate::plan::plan;
use crate::plan::planned::Plan;
use crate::plan::wanted::{Known, Wanted, WantedDays};

/// Days before the previous run that are simulated, besides its lookback.
const SIMULATED_DAYS: i64 = 40;

/// The plan of a run that starts `period` after a complete one. Expected rows and missing entitlements are those known now.
pub fn steady_state_plan(wanted: &Wanted, known: &Known<'_>, period: SignedDuration) -> Plan {
    let before = known.now - period;
    let longest = wanted.streams.iter().filter_map(|stream| Some(stream.days.as_ref()?.lookback)).max().unwrap_or(0);
    let lookback = i64::from(wanted.lookback_days.unwrap_or(0).max(longest));
    let start = DayZone::Utc.today(before).plus(-lookback - SIMULATED_DAYS);
    let wanted = Wanted { days: WantedDays::Since(start), single_start: Some(start), ..wanted.clone() };
    let mut coverage = Coverage::new();
    for stream in &wanted.streams {
        for scope in wanted.scopes.get(&stream.scope).into_iter().flatten() {
            let slice = Slice { stream: stream.clone(), scope: scope.clone(), window: None };
            let of_stream = coverage.entry(stream.name.clone()).or_default();
            of_stream.insert(scope.key(), complete_coverage(&slice, known, start, before));
        }
    }
    plan(&wanted, &Known::at(known.now, &coverage, known.forgotten, &|_, _, _| false))
}

/// The coverage of `slice` if all days that were over at `at` had been extracted then.
fn complete_coverage(slice: &Slice, known: &Known<'_>, start: Day, at: Timestamp) -> ScopeCoverage {
    let (stream, key): (&Stream, _) = (&slice.stream, slice.scope.key());
    let seen = known.coverage.get(&stream.name).and_then(|scopes| scopes.get(&key));
    let average = match &stream.days {
        Some(_) => seen.and_then(Average::of_days),
        None => seen.and_then(|seen| seen.whole.as_ref()).map(Average::of_list),
    };
    let (rows, bytes) = average.map_or((0, 0), |average| (average.rows, average.bytes));
    let state = DayState {
        extracted_at: Some(at.into()),
        rows,
        bytes,
        proof: Some(Proof::Body),
        file: true,
        ..DayState::unknown()
    };
    let mut coverage = ScopeCoverage::new(slice.scope.clone());
    coverage.not_entitled = seen.and_then(|seen| seen.not_entitled.clone());
    match &stream.days {
        None => coverage.whole = Some(state),
        Some(days) => {
            for day in days.complete(start, at) {
                *coverage.state_mut(Some(day)) = state.clone();
            }
        }
    }
    coverage
}
