//! First things first.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::model::compact_timestamp::CompactTimestamp;
use crate::model::coverage::ScopeCoverage;
use crate::model::scope::ScopeKey;
use crate::model::stream::Stream;
use crate::plan::planned::PlannedSlice;
use crate::plan::wanted::{Known, Wanted};

/// Days by which the newest day of one zone may lie behind that of another.
const BETWEEN_ZONES: i64 = 1;

/// Where a run begins with what comes in no order of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// What was read longest ago.
    First,
    /// What was read last: two runs at the same time then meet in the middle, and ask hardly anything twice.
    Last,
}

/// Sorts: what is due now, lists first, then by tier, then what was read longest ago; after it history, newest first.
/// Within a tier, what could not be read the last time comes last: it may only cost requests again.
///
/// What others wait for, or take their rows from, comes before them, and as soon as the first of them: a night that is
/// cut short has then read all streams alike, with those behind a gate or below a parent among them.
///
/// History goes back in steps of a window's length, all streams together, so that this holds within each step.
pub fn sort(slices: &mut [PlannedSlice], wanted: &Wanted, known: &Known<'_>, end: End) {
    let newest = slices.iter().filter_map(|planned| planned.slice.window).map(|window| window.end).max();
    let ranks = ranks(wanted, known, end);
    slices.sort_by_cached_key(|planned| {
        let (slice, stream) = (&planned.slice, &planned.slice.stream);
        let step = match (planned.history, slice.window, newest) {
            (true, Some(window), Some(newest)) => {
                (newest.since(window.start) - 1 - BETWEEN_ZONES).max(0) / wanted.max_window_days.max(1)
            }
            _ => -1,
        };
        let costly = slice.window.is_some() || stream.is_fan_out();
        let scope = slice.scope.key();
        let rank = ranks.get(&(stream.name.as_str(), scope.clone())).copied();
        let behind = (stream.gate.is_some() || stream.expects.is_some(), depth(stream, wanted));
        let newest_first = slice.window.map(|window| Reverse(window.end));
        let last = Way::of((newest_first, stream.name.clone(), scope), end);
        (step, costly, rank, behind, last)
    });
}

/// Where a stream of a scope stands among the others: tier, whether its last reading was doubtful, and when that was.
type Rank = (usize, bool, Way<Option<CompactTimestamp>>);

/// The rank of every stream and scope: its own, or that of whatever waits for it, if that comes first.
fn ranks<'a>(wanted: &'a Wanted, known: &Known<'_>, end: End) -> HashMap<(&'a str, ScopeKey), Rank> {
    let mut ranks = HashMap::new();
    for stream in &wanted.streams {
        let of_stream = known.coverage.get(&stream.name);
        let tier = stream.tier.map_or(usize::MAX, |tier| tier as usize);
        for scope in wanted.scopes.get(&stream.scope).into_iter().flatten().map(|scope| scope.key()) {
            let coverage = of_stream.and_then(|scopes| scopes.get(&scope));
            let is_suspect = coverage.is_some_and(ScopeCoverage::is_suspect);
            let rank = (tier, is_suspect, Way::of(coverage.and_then(last_read), end));
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
    // A parent may have a parent, and that a gate: as many rounds as there are streams at most, and hardly ever four.
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

/// A place in an order that is gone through from either end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way<T> {
    Forth(T),
    Back(Reverse<T>),
}

impl<T> Way<T> {
    fn of(place: T, end: End) -> Self {
        match end {
            End::First => Self::Forth(place),
            End::Last => Self::Back(Reverse(place)),
        }
    }
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

fn last_read(coverage: &ScopeCoverage) -> Option<CompactTimestamp> {
    coverage.days.values().chain(&coverage.whole).filter_map(|state| state.read_at).max()
}
