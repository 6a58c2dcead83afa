//! What a run asks for, in which order, and why: a pure function of streams, scopes, coverage and time.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::model::coverage::{Coverage, DayState, ScopeCoverage};
use crate::model::day::Day;
use crate::model::scope::{Scope, ScopeKey, ScopeKind};
use crate::model::slice::Slice;
use crate::model::stream::{Days, DaysKind, Stream};
use crate::model::window::Window;

/// How long *not entitled* is believed before it is asked again.
const NOT_ENTITLED_FOR: SignedDuration = SignedDuration::from_hours(24);

/// What a job wants, resolved.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The streams, each once.
    pub streams: Vec<Arc<Stream>>,
    /// What they are asked for.
    pub scopes: BTreeMap<ScopeKind, Vec<Scope>>,
    /// Which days.
    pub days: WantedDays,
    /// The first day wanted of streams where each day costs a request; none is the same as of the others.
    pub single_start: Option<Day>,
    /// Replaces the lookback of streams whose rows carry their day; for the others each reading costs a request.
    pub lookback_days: Option<u16>,
    /// Whether results come as event streams where there are any, so that each is one request.
    pub event_streams: bool,
    /// The longest window of one slice, of streams whose rows carry their day.
    pub max_window_days: i64,
    /// With more categories than this, lists that rarely change are read once a week for each.
    pub weekly_lists_above: u32,
}

/// Which days a run wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedDays {
    /// From a first day to yesterday, as far as they are not final.
    Since(Day),
    /// Of these days those that were never read; with `force`, all of them. Lists are left alone.
    Only {
        /// The days.
        window: Window,
        /// Whether days that are there are read again.
        force: bool,
    },
}

/// What is known beside the wishes.
pub struct Known<'a> {
    /// What has been read.
    pub coverage: &'a Coverage,
    /// Whether a run that was killed may have overwritten a day after it was recorded.
    pub doubtful: &'a dyn Fn(&str, &ScopeKey, Option<Day>) -> bool,
    /// The time.
    pub now: Timestamp,
}

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
    /// Requests it is expected to cost.
    pub requests: u64,
    /// Rows it is expected to bring, as far as earlier readings tell.
    pub rows: Option<u64>,
    /// Whether it only fills in days long over, and may be left to later runs.
    pub history: bool,
}

/// How many days are due, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Due {
    /// Never read.
    pub missing: u32,
    /// Read before they were final.
    pub provisional: u32,
    /// Doubtful, or perhaps overwritten by a run that was killed.
    pub doubtful: u32,
}

impl Due {
    /// All of them.
    pub fn days(self) -> u32 {
        self.missing + self.provisional + self.doubtful
    }
}

impl std::ops::AddAssign for Due {
    fn add_assign(&mut self, other: Self) {
        self.missing += other.missing;
        self.provisional += other.provisional;
        self.doubtful += other.doubtful;
    }
}

impl Plan {
    /// Requests the plan is expected to cost.
    pub fn requests(&self) -> u64 {
        self.slices.iter().map(|planned| planned.requests).sum()
    }
}

/// Why a day is due.
enum Reason {
    Missing,
    Provisional,
    Doubtful,
}

impl Reason {
    /// One day that is due for this reason.
    fn due(self) -> Due {
        match self {
            Self::Missing => Due { missing: 1, ..Due::default() },
            Self::Provisional => Due { provisional: 1, ..Due::default() },
            Self::Doubtful => Due { doubtful: 1, ..Due::default() },
        }
    }
}

/// Makes the plan. Lists come first, then by tier, then what was read longest ago.
pub fn plan(wanted: &Wanted, known: &Known<'_>) -> Plan {
    let mut plan = Plan::default();
    for stream in &wanted.streams {
        for scope in wanted.scopes.get(&stream.scope).into_iter().flatten() {
            let coverage = known.coverage.get(&stream.name).and_then(|scopes| scopes.get(&scope.key()));
            let slice = Slice { stream: Arc::clone(stream), scope: scope.clone(), window: None };
            if is_not_entitled(coverage, known.now) {
                plan.not_entitled.push(slice);
                continue;
            }
            match &stream.days {
                None => plan.slices.extend(list_slice(slice, coverage, wanted, known)),
                Some(days) if days.kind.is_single() => {
                    plan.slices.extend(single_slices(&slice, days, coverage, wanted, known));
                }
                Some(days) => plan.slices.extend(dated_slices(&slice, days, coverage, wanted, known)),
            }
        }
    }
    let staleness = |planned: &PlannedSlice| {
        let slice = &planned.slice;
        let coverage = known.coverage.get(&slice.stream.name).and_then(|scopes| scopes.get(&slice.scope.key()));
        coverage.and_then(last_read)
    };
    plan.slices.sort_by_cached_key(|planned| {
        let slice = &planned.slice;
        let newest_first = slice.window.map(|window| std::cmp::Reverse(window.end));
        let tier = slice.stream.tier.map_or(usize::MAX, |tier| tier as usize);
        let stream = &slice.stream;
        // What others wait for, or take their rows from, comes before them.
        let behind = (stream.gate.is_some() || stream.expects.is_some(), depth(stream, wanted));
        let costly = slice.window.is_some() || stream.is_fan_out();
        (costly, tier, behind, staleness(planned), newest_first, stream.name.clone(), slice.scope.key())
    });
    plan
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

fn last_read(coverage: &ScopeCoverage) -> Option<Timestamp> {
    coverage.days.values().chain(&coverage.whole).filter_map(|state| state.read_at).max()
}

fn is_not_entitled(coverage: Option<&ScopeCoverage>, now: Timestamp) -> bool {
    let told = coverage.and_then(|coverage| coverage.not_entitled.as_ref());
    told.is_some_and(|told| now.duration_since(told.at) < NOT_ENTITLED_FOR)
}

fn list_slice(
    slice: Slice,
    coverage: Option<&ScopeCoverage>,
    wanted: &Wanted,
    known: &Known<'_>,
) -> Option<PlannedSlice> {
    if matches!(wanted.days, WantedDays::Only { .. }) {
        return None;
    }
    let rows = coverage.and_then(|coverage| coverage.whole.as_ref()).map(|state| state.rows);
    let due = match rows {
        Some(_) => Due::default(),
        None => Due { missing: 1, ..Due::default() },
    };
    let each = pages(&slice.stream, rows.filter(|_| !slice.stream.is_fan_out()), wanted.event_streams);
    let requests = each * asked_times(&slice, rows, known);
    Some(PlannedSlice { slice, due, requests, rows, history: false })
}

/// How many requests a slice is made of, as far as earlier readings tell: one, or one for each row of its parent. Where
/// the parent tells what has changed, rows that were read before are hardly asked for again.
fn asked_times(slice: &Slice, read: Option<u64>, known: &Known<'_>) -> u64 {
    let Some(parent) = &slice.stream.parent else {
        return 1;
    };
    let of_scope = known.coverage.get(&parent.stream).and_then(|scopes| scopes.get(&slice.scope.key()));
    let state = of_scope.and_then(|coverage| coverage.state(slice.window.map(|window| window.start)));
    let parents = state.map_or(1, |state| state.rows * parent.variants.len().max(1) as u64);
    match (&parent.changed, read) {
        (Some(_), Some(read)) => parents.saturating_sub(read).max(1),
        _ => parents.max(1),
    }
}

/// The days, or months, of a stream whose rows carry no date: a slice each, newest first.
fn single_slices(
    slice: &Slice,
    days: &Days,
    coverage: Option<&ScopeCoverage>,
    wanted: &Wanted,
    known: &Known<'_>,
) -> Vec<PlannedSlice> {
    let (start, last, only) = match wanted.days {
        WantedDays::Since(start) if days.kind == DaysKind::Month => (start, None, None),
        WantedDays::Since(start) => (wanted.single_start.unwrap_or(start), None, None),
        WantedDays::Only { window, force } => (window.start, Some(window.last()), Some(force)),
    };
    let key = slice.scope.key();
    let rows = coverage.and_then(rows_a_day);
    let reason = |day: Day| -> Option<Reason> {
        let state = coverage.and_then(|coverage| coverage.days.get(&day));
        let settled = days.settled(day, days.lookback) <= known.now;
        match (reason_of(state, day, days, days.lookback, only == Some(true))?, only) {
            (reason @ (Reason::Missing | Reason::Doubtful), _) => Some(reason),
            // Each costs a request: once when it is over, and once more when it is no longer revised.
            (reason, None) if settled => Some(reason),
            (reason, Some(true)) => Some(reason),
            _ => None,
        }
    };
    let due_of = |day: Day| match reason(day) {
        Some(reason) => Some(reason.due()),
        None => (known.doubtful)(&slice.stream.name, &key, Some(day)).then(|| Reason::Doubtful.due()),
    };
    let wished = days.complete(start, known.now).rev().filter(|day| last.is_none_or(|last| *day <= last));
    let planned = wished.filter_map(|day| {
        let due = due_of(day)?;
        let slice = slice.over(days.span(day));
        let each = pages(&slice.stream, rows, wanted.event_streams);
        let requests = each * asked_times(&slice, None, known);
        Some(PlannedSlice { slice, due, requests, rows, history: false })
    });
    planned.collect()
}

fn dated_slices(
    slice: &Slice,
    days: &Days,
    coverage: Option<&ScopeCoverage>,
    wanted: &Wanted,
    known: &Known<'_>,
) -> Vec<PlannedSlice> {
    let yesterday = days.zone.yesterday(known.now);
    let (window, only_missing) = match wanted.days {
        WantedDays::Since(start) => (Window::inclusive(start, yesterday), false),
        WantedDays::Only { window, .. } => (Window::inclusive(window.start, window.last().min(yesterday)), true),
    };
    let Some(window) = window else {
        return Vec::new();
    };
    let forced = matches!(wanted.days, WantedDays::Only { force: true, .. });
    let lookback = wanted.lookback_days.unwrap_or(days.lookback);
    let key = slice.scope.key();
    let reason = |day: Day| -> Option<Reason> {
        let state = coverage.and_then(|coverage| coverage.days.get(&day));
        let reason = reason_of(state, day, days, lookback, forced);
        match reason {
            Some(Reason::Missing | Reason::Doubtful) => reason,
            _ if (known.doubtful)(&slice.stream.name, &key, Some(day)) => Some(Reason::Doubtful),
            _ if only_missing && !forced => None,
            _ => reason,
        }
    };
    let mut slices: Vec<PlannedSlice> = Vec::new();
    // Newest first, so that what people look at comes first when the hour is short.
    for day in window.days().rev() {
        let Some(reason) = reason(day) else {
            continue;
        };
        let due = reason.due();
        // Days between two that are due come along: a longer window costs no request.
        match slices.last_mut() {
            Some(PlannedSlice { slice: Slice { window: Some(open), .. }, due: already, .. })
                if open.end.since(day) <= wanted.max_window_days =>
            {
                open.start = day;
                *already += due;
            }
            _ => slices.push(PlannedSlice {
                slice: slice.over(Window::day(day)),
                due,
                requests: 1,
                rows: None,
                history: false,
            }),
        }
    }
    let a_day = coverage.and_then(rows_a_day);
    for planned in &mut slices {
        let length = planned.slice.window.map_or(1, Window::len_days);
        planned.rows = a_day.map(|rows| rows.saturating_mul(u64::try_from(length).unwrap_or(1)));
        planned.requests = pages(&planned.slice.stream, planned.rows, wanted.event_streams);
    }
    slices
}

fn reason_of(state: Option<&DayState>, day: Day, days: &Days, lookback: u16, forced: bool) -> Option<Reason> {
    match state {
        None => Some(Reason::Missing),
        Some(state) if state.stale || state.suspect.is_some() => Some(Reason::Doubtful),
        Some(state) if state.read_at.is_none() => Some(Reason::Missing),
        Some(state) => (forced || !state.is_final(day, days, lookback)).then_some(Reason::Provisional),
    }
}

/// Rows of an average day that was read.
fn rows_a_day(coverage: &ScopeCoverage) -> Option<u64> {
    let read = || coverage.days.values().filter(|state| state.read_at.is_some());
    let days = read().count() as u64;
    read().map(|state| state.rows).sum::<u64>().checked_div(days)
}

/// Requests for `rows` rows: an event stream is one, pages as many as they take, one when nothing is known.
fn pages(stream: &Stream, rows: Option<u64>, event_streams: bool) -> u64 {
    if event_streams && stream.event_stream.is_some() {
        return 1;
    }
    stream.pagination.limit().map_or(1, |limit| rows.unwrap_or(0).div_ceil(limit).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::model::scope::Named;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn category(id: &str) -> Scope {
        Scope { category: Some(Named { id: id.into(), name: id.into() }), ..Scope::default() }
    }

    fn wanted(streams: &[&str], days: WantedDays) -> Wanted {
        let catalog = Catalog::embedded().unwrap();
        Wanted {
            streams: streams.iter().map(|name| Arc::clone(catalog.get(name).unwrap())).collect(),
            scopes: [
                (ScopeKind::Account, vec![Scope::default()]),
                (ScopeKind::Category, vec![category("c1"), category("c2")]),
            ]
            .into(),
            days,
            single_start: None,
            lookback_days: None,
            event_streams: true,
            max_window_days: 31,
            weekly_lists_above: 50,
        }
    }

    fn read(coverage: &mut Coverage, stream: &str, scope: &str, days: &[&str], at: &str) {
        let scope = category(scope);
        let scopes = coverage.entry(stream.to_owned()).or_default();
        let found = scopes.entry(scope.key()).or_insert_with(|| ScopeCoverage::of(scope));
        for text in days {
            let state = DayState { read_at: Some(at.parse().unwrap()), rows: 10, ..DayState::unknown() };
            found.days.insert(day(text), state);
        }
    }

    const NOW: &str = "2026-03-10T12:00:00Z";

    fn windows(wanted: &Wanted, coverage: &Coverage) -> Vec<String> {
        let known = Known { coverage, doubtful: &|_, _, _| false, now: NOW.parse().unwrap() };
        plan(wanted, &known).slices.iter().map(|planned| planned.slice.to_string()).collect()
    }

    #[test]
    fn first_run_asks_everything_up_to_yesterday_in_one_window() {
        let wanted = wanted(&["visibility_v2", "models"], WantedDays::Since(day("2026-02-09")));
        assert_eq!(
            windows(&wanted, &Coverage::new()),
            [
                "models of the account",
                "visibility_v2 of \"c1\" 2026-02-09..2026-03-09",
                "visibility_v2 of \"c2\" 2026-02-09..2026-03-09",
            ]
        );
    }

    #[test]
    fn final_days_are_not_asked_again_and_others_are() {
        let mut coverage = Coverage::new();
        // Read on the eighth: days up to the fourth were final then (lookback 3), later ones were not.
        read(
            &mut coverage,
            "visibility_v2",
            "c1",
            &["2026-03-03", "2026-03-04", "2026-03-05", "2026-03-06"],
            "2026-03-08T12:00:00Z",
        );
        let mut wanted = wanted(&["visibility_v2"], WantedDays::Since(day("2026-03-03")));
        wanted.scopes.insert(ScopeKind::Category, vec![category("c1")]);
        assert_eq!(windows(&wanted, &coverage), ["visibility_v2 of \"c1\" 2026-03-05..2026-03-09"]);
        wanted.lookback_days = Some(0);
        assert_eq!(windows(&wanted, &coverage), ["visibility_v2 of \"c1\" 2026-03-07..2026-03-09"]);
    }

    #[test]
    fn long_gaps_are_asked_in_windows_of_a_month_newest_first() {
        let mut wanted = wanted(&["visibility_v2"], WantedDays::Since(day("2026-01-01")));
        wanted.scopes.insert(ScopeKind::Category, vec![category("c1")]);
        assert_eq!(
            windows(&wanted, &Coverage::new()),
            [
                "visibility_v2 of \"c1\" 2026-02-07..2026-03-09",
                "visibility_v2 of \"c1\" 2026-01-07..2026-02-06",
                "visibility_v2 of \"c1\" 2026-01-01..2026-01-06",
            ]
        );
    }

    #[test]
    fn what_was_read_longest_ago_comes_first() {
        let mut coverage = Coverage::new();
        read(&mut coverage, "visibility_v2", "c1", &["2026-03-08"], "2026-03-09T12:00:00Z");
        read(&mut coverage, "visibility_v2", "c2", &["2026-03-08"], "2026-03-09T11:00:00Z");
        let wanted = wanted(&["visibility_v2"], WantedDays::Since(day("2026-03-08")));
        assert!(windows(&wanted, &coverage)[0].contains("\"c2\""));
    }

    #[test]
    fn backfill_asks_only_what_is_missing_unless_forced() {
        let mut coverage = Coverage::new();
        read(&mut coverage, "visibility_v2", "c1", &["2026-03-08"], "2026-03-09T12:00:00Z");
        let window = Window::inclusive(day("2026-03-07"), day("2026-03-08")).unwrap();
        let mut backfill = wanted(&["visibility_v2", "models"], WantedDays::Only { window, force: false });
        backfill.scopes.insert(ScopeKind::Category, vec![category("c1")]);
        assert_eq!(windows(&backfill, &coverage), ["visibility_v2 of \"c1\" 2026-03-07"]);
        backfill.days = WantedDays::Only { window, force: true };
        assert_eq!(windows(&backfill, &coverage), ["visibility_v2 of \"c1\" 2026-03-07..2026-03-08"]);
    }

    /// The stream `name` as one whose days are of `kind`.
    fn of_kind(name: &str, kind: DaysKind) -> Arc<Stream> {
        let mut stream = Stream::clone(Catalog::embedded().unwrap().get(name).unwrap());
        stream.days.as_mut().unwrap().kind = kind;
        stream.days.as_mut().unwrap().lookback = 7;
        Arc::new(stream)
    }

    #[test]
    fn days_without_a_date_in_their_rows_are_asked_one_by_one_and_once_more_when_settled() {
        let mut wanted = wanted(&[], WantedDays::Since(day("2026-02-20")));
        wanted.streams = vec![of_kind("visibility_v2_by_day", DaysKind::Window)];
        wanted.scopes.insert(ScopeKind::Category, vec![category("c1")]);
        wanted.single_start = Some(day("2026-03-01"));
        let mut coverage = Coverage::new();
        let days = ["2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05"];
        read(&mut coverage, "visibility_v2_by_day", "c1", &days, "2026-03-06T12:00:00Z");
        assert_eq!(
            windows(&wanted, &coverage),
            [
                "visibility_v2_by_day of \"c1\" 2026-03-09",
                "visibility_v2_by_day of \"c1\" 2026-03-08",
                "visibility_v2_by_day of \"c1\" 2026-03-07",
                "visibility_v2_by_day of \"c1\" 2026-03-06",
                // Seven days after the end of the second is the tenth, at midnight; the third is not settled yet.
                "visibility_v2_by_day of \"c1\" 2026-03-02",
                "visibility_v2_by_day of \"c1\" 2026-03-01",
            ]
        );
    }

    #[test]
    fn months_are_asked_whole_after_their_end() {
        let mut wanted = wanted(&[], WantedDays::Since(day("2026-01-20")));
        wanted.streams = vec![of_kind("visibility_v2_by_day", DaysKind::Month)];
        wanted.scopes.insert(ScopeKind::Category, vec![category("c1")]);
        wanted.single_start = Some(day("2026-03-05"));
        let all = [
            "visibility_v2_by_day of \"c1\" 2026-02-01..2026-02-28",
            "visibility_v2_by_day of \"c1\" 2026-01-01..2026-01-31",
        ];
        assert_eq!(windows(&wanted, &Coverage::new()), all);
        let mut coverage = Coverage::new();
        read(&mut coverage, "visibility_v2_by_day", "c1", &["2026-02-01", "2026-01-01"], "2026-03-02T12:00:00Z");
        // February was read before it was settled, which it is by now; January after.
        assert_eq!(windows(&wanted, &coverage), all[..1]);
    }

    #[test]
    fn scope_that_may_not_be_read_rests_for_a_day() {
        let mut coverage = Coverage::new();
        read(&mut coverage, "visibility_v2", "c1", &[], NOW);
        let told = |at: &str| {
            Some(crate::model::coverage::NotEntitled { at: at.parse().unwrap(), detail: "Forbidden".into() })
        };
        let wanted = wanted(&["visibility_v2"], WantedDays::Since(day("2026-03-09")));
        let mut slices = |at: &str| {
            coverage.get_mut("visibility_v2").unwrap().get_mut(&category("c1").key()).unwrap().not_entitled = told(at);
            windows(&wanted, &coverage).len()
        };
        assert_eq!(slices("2026-03-09T13:00:00Z"), 1);
        assert_eq!(slices("2026-03-09T11:00:00Z"), 2);
    }

    #[test]
    fn days_a_killed_run_may_have_overwritten_are_asked_again() {
        let mut coverage = Coverage::new();
        read(&mut coverage, "visibility_v2", "c1", &["2026-03-01"], "2026-03-08T12:00:00Z");
        let mut wanted = wanted(&["visibility_v2"], WantedDays::Since(day("2026-03-01")));
        wanted.scopes.insert(ScopeKind::Category, vec![category("c1")]);
        let doubtful = |_: &str, _: &ScopeKey, due: Option<Day>| due == Some(day("2026-03-01"));
        let known = Known { coverage: &coverage, doubtful: &doubtful, now: NOW.parse().unwrap() };
        assert_eq!(plan(&wanted, &known).slices[0].slice.window.unwrap().start, day("2026-03-01"));
    }
}
