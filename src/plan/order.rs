//! The order of a plan.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::model::compact_timestamp::CompactTimestamp;
use crate::model::coverage::ScopeCoverage;
use crate::model::scope::ScopeKey;
use crate::model::stream::Stream;
use crate::plan::planned::PlannedSlice;
use crate::plan::wanted::{Known, Wanted};

/// Days by which the newest day of one zone may be behind that of another.
const ZONE_DAYS: i64 = 1;

/// From which end a run takes slices of equal rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The slice extracted longest ago first.
    Forward,
    /// The slice extracted last first.
    Backward,
}

/// Sorts by: what is due now, lists first, then tier, then the time of the last extraction; after it the backfill, newest first.
/// Within a tier, slices that failed the last time come last: they may cost requests for nothing.
///
/// Gates and parents come before the streams that depend on them, and as early as the first of those. A run that is cut short
/// has then advanced all streams evenly, children and gated streams among them.
///
/// The backfill goes back in steps of a window's length, all streams together, so that this holds within each step.
pub fn sort(slices: &mut [PlannedSlice], wanted: &Wanted, known: &Known<'_>, direction: Direction) {
    let newest = slices.iter().filter_map(|planned| planned.slice.window).map(|window| window.end).max();
    let ranks = ranks(wanted, known, direction);
    slices.sort_by_cached_key(|planned| {
        let (slice, stream) = (&planned.slice, &planned.slice.stream);
        let step = match (planned.is_backfill, slice.window, newest) {
            (true, Some(window), Some(newest)) => {
                (newest.since(window.start) - 1 - ZONE_DAYS).max(0) / wanted.max_window_days.max(1)
            }
            _ => -1,
        };
        let costly = slice.window.is_some() || stream.is_fan_out();
        let scope = slice.scope.key();
        let rank = ranks.get(&(stream.name.as_str(), scope.clone())).copied();
        let behind = (stream.gate.is_some() || stream.expects.is_some(), depth(stream, wanted));
        let newest_first = slice.window.map(|window| Reverse(window.end));
        let last = Directed::new((newest_first, stream.name.clone(), scope), direction);
        (step, costly, rank, behind, last)
    });
}

/// The rank of a stream of a scope: tier, whether its last extraction is suspect, and when it was.
type Rank = ((bool, Option<usize>), bool, Directed<Option<CompactTimestamp>>);

/// The rank of every stream and scope: its own, or that of a stream that depends on it, if that comes first.
fn ranks<'a>(wanted: &'a Wanted, known: &Known<'_>, direction: Direction) -> HashMap<(&'a str, ScopeKey), Rank> {
    let mut ranks = HashMap::new();
    for stream in &wanted.streams {
        let of_stream = known.coverage.get(&stream.name);
        // Streams without a tier come last.
        let tier = (stream.tier.is_none(), stream.tier.map(|tier| tier as usize));
        for scope in wanted.scopes.get(&stream.scope).into_iter().flatten().map(|scope| scope.key()) {
            let coverage = of_stream.and_then(|scopes| scopes.get(&scope));
            let is_suspect = coverage.is_some_and(ScopeCoverage::is_suspect);
            let rank = (tier, is_suspect, Directed::new(coverage.and_then(last_extracted), direction));
            ranks.insert((stream.name.as_str(), scope), rank);
        }
    }
    let waiting: Vec<(&Stream, &str)> = wanted
        .streams
        .iter()
        .flat_map(|stream| {
            let parent = stream.parent.as_ref().map(|parent| &parent.stream);
            let needs = [stream.gate.as_ref(), stream.expects.as_ref(), parent];
            needs.into_iter().flatten().map(|need| (stream.as_ref(), need.as_str()))
        })
        .collect();
    // A parent may have a parent, and that a gate: at most as many rounds as there are streams, in practice up to four.
    for _ in 0..wanted.streams.len() {
        let mut moved = false;
        for (stream, need) in &waiting {
            for scope in wanted.scopes.get(&stream.scope).into_iter().flatten().map(|scope| scope.key()) {
                let own = ranks.get(&(stream.name.as_str(), scope.clone())).copied();
                let needed = ranks.get_mut(&(*need, scope));
                if let (Some(own), Some(needed)) = (own, needed)
                    && own < *needed
                {
                    *needed = own;
                    moved = true;
                }
            }
        }
        if !moved {
            break;
        }
    }
    ranks
}

/// A place in an order that runs from either end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Directed<T> {
    Forward(T),
    Backward(Reverse<T>),
}

impl<T> Directed<T> {
    fn new(place: T, direction: Direction) -> Self {
        match direction {
            Direction::Forward => Self::Forward(place),
            Direction::Backward => Self::Backward(Reverse(place)),
        }
    }
}

/// How many fan-outs a stream is below.
fn depth(stream: &Stream, wanted: &Wanted) -> usize {
    let above = |stream: &Stream| {
        let parent = stream.parent.as_ref()?;
        wanted.streams.iter().find(|other| other.name == parent.stream).map(AsRef::as_ref)
    };
    let own = usize::from(stream.is_fan_out());
    // At most as many steps as there are streams, even if declarations form a cycle.
    let ancestors = std::iter::successors(above(stream), |parent| above(parent)).take(wanted.streams.len());
    own + ancestors.filter(|ancestor| ancestor.is_fan_out()).count()
}

fn last_extracted(coverage: &ScopeCoverage) -> Option<CompactTimestamp> {
    coverage.days.values().chain(&coverage.whole).filter_map(|state| state.extracted_at).max()
}
