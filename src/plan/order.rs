//! First things first.

use std::cmp::Reverse;

use crate::model::coverage::ScopeCoverage;
use crate::model::moment::Moment;
use crate::model::stream::Stream;
use crate::plan::planned::PlannedSlice;
use crate::plan::wanted::{Known, Wanted};

/// Days by which the newest day of one zone may lie behind that of another.
const BETWEEN_ZONES: i64 = 1;

/// Sorts: what is due now, lists first, then by tier, then what was read longest ago; after it history, newest first.
///
/// History goes back in steps of a window's length, all streams together, so that within each step what others wait for
/// comes before them.
pub fn sort(slices: &mut [PlannedSlice], wanted: &Wanted, known: &Known<'_>) {
    let newest = slices.iter().filter_map(|planned| planned.slice.window).map(|window| window.end).max();
    let staleness = |planned: &PlannedSlice| {
        let slice = &planned.slice;
        let coverage = known.coverage.get(&slice.stream.name).and_then(|scopes| scopes.get(&slice.scope.key()));
        coverage.and_then(last_read)
    };
    slices.sort_by_cached_key(|planned| {
        let (slice, stream) = (&planned.slice, &planned.slice.stream);
        let step = match (planned.history, slice.window, newest) {
            (true, Some(window), Some(newest)) => {
                (newest.since(window.start) - 1 - BETWEEN_ZONES).max(0) / wanted.max_window_days.max(1)
            }
            _ => -1,
        };
        let costly = slice.window.is_some() || stream.is_fan_out();
        let tier = stream.tier.map_or(usize::MAX, |tier| tier as usize);
        // What others wait for, or take their rows from, comes before them.
        let behind = (stream.gate.is_some() || stream.expects.is_some(), depth(stream, wanted));
        let newest_first = slice.window.map(|window| Reverse(window.end));
        let last = (newest_first, stream.name.clone(), slice.scope.key());
        (step, costly, tier, behind, staleness(planned), last)
    });
}

/// How many parents stand above a stream.
fn depth(stream: &Stream, wanted: &Wanted) -> usize {
    let above = |stream: &Stream| {
        let parent = stream.parent.as_ref()?;
        wanted.streams.iter().find(|other| other.name == parent.stream).map(AsRef::as_ref)
    };
    let own = usize::from(stream.is_fan_out());
    // As many steps as there are streams at most, whatever a declaration says.
    let ancestors = std::iter::successors(above(stream), |parent| above(parent)).take(wanted.streams.len());
    own + ancestors.filter(|ancestor| ancestor.is_fan_out()).count()
}

fn last_read(coverage: &ScopeCoverage) -> Option<Moment> {
    coverage.days.values().chain(&coverage.whole).filter_map(|state| state.read_at).max()
}
