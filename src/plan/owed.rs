//! Which days a job owes: the one decision that plan, status, alerts and the coverage table share.

use jiff::{SignedDuration, Timestamp};

use crate::model::compact_timestamp::CompactTimestamp;
use crate::model::coverage::{DayState, ScopeCoverage};
use crate::model::day::Day;
use crate::model::days::{Days, DaysKind};
use crate::plan::due::Reason;

/// How many days before its first run a job without `start` begins.
pub const DEFAULT_START_DAYS: i64 = 30;
/// The same for streams whose rows have no date: each of their days is a request.
const SINGLE_START_DAYS: i64 = 7;
/// The clocks of two machines may differ by this much without a doubt about what either recorded.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_hours(1);

/// The first day of streams whose every day costs a request, for a job that begins at `start`: without a configured start, the last
/// week is enough to begin with. `None` is the same as for other streams.
pub fn single_start(start: Day, is_configured: bool) -> Option<Day> {
    (!is_configured).then(|| start.plus(DEFAULT_START_DAYS - SINGLE_START_DAYS))
}

/// The first day that a job wants of streams of `kind`.
pub fn first_wanted_day(kind: DaysKind, start: Day, single_start: Option<Day>) -> Day {
    if kind == DaysKind::Window { single_start.unwrap_or(start) } else { start }
}

/// Why each day is owed that is wanted from `first` on and over at `now`, oldest first. Days before `first` are owed only if what is
/// recorded of them is in doubt.
pub fn owed_days<'a>(
    coverage: &'a ScopeCoverage,
    days: &Days,
    first: Day,
    now: Timestamp,
) -> impl Iterator<Item = (Day, Reason)> + use<'a> {
    let boundary = coverage.backfill_boundary();
    let doubtful = doubtful_days_before(coverage, first, now).map(|day| (day, Reason::Retry));
    let wanted = days.complete(first, now);
    doubtful.chain(wanted.filter_map(move |day| Some((day, owed(coverage.days.get(&day), day, boundary, now)?))))
}

/// Days before `first` whose record is in doubt. No window of the job includes them, so they would never be extracted once more.
pub fn doubtful_days_before(
    coverage: &ScopeCoverage,
    first: Day,
    now: Timestamp,
) -> impl DoubleEndedIterator<Item = Day> + use<'_> {
    let is_doubtful = move |(day, state): &(&Day, &DayState)| **day < first && is_in_doubt(state, now);
    coverage.days.iter().filter(is_doubtful).map(|(day, _)| *day)
}

/// Why `day` is owed whatever its lookback: never extracted, or in doubt. Days before `boundary`, the first extracted day, are backfill.
pub fn owed(state: Option<&DayState>, day: Day, boundary: Option<Day>, now: Timestamp) -> Option<Reason> {
    match state {
        Some(state) if is_in_doubt(state, now) => Some(Reason::Retry),
        Some(DayState { extracted_at: Some(_), .. }) => None,
        _ if boundary.is_some_and(|first| day < first) => Some(Reason::Backfill),
        _ => Some(Reason::Missing),
    }
}

/// Whether a day, or a list, must be extracted once more although it was extracted.
pub fn is_in_doubt(state: &DayState, now: Timestamp) -> bool {
    state.stale || state.suspect.is_some() || state.extracted_at.is_some_and(|at| is_in_future(at, now))
}

/// Whether a clock that was ahead recorded `at`. A day may not have ended when it was extracted.
fn is_in_future(at: CompactTimestamp, now: Timestamp) -> bool {
    at.to_timestamp().duration_since(now) > CLOCK_TOLERANCE
}
