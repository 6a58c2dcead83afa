//! The slices of one stream and scope that are due.

use jiff::Timestamp;

use crate::model::compact_timestamp::CompactTimestamp;
use crate::model::coverage::{DayState, ScopeCoverage};
use crate::model::day::{Day, DayZone};
use crate::model::days::{Days, DaysKind};
use crate::model::scope::{ScopeKey, ScopeKind};
use crate::model::slice::Slice;
use crate::model::stream::Stream;
use crate::model::window::Window;
use crate::plan::due::{Due, Reason};
use crate::plan::expect::{Average, asked_times, pages};
use crate::plan::planned::PlannedSlice;
use crate::plan::wanted::{Known, Wanted, WantedDays};

const WEEK: i64 = 7;

/// What is due of `slice`, which has no window yet.
pub fn due(
    slice: Slice,
    coverage: Option<&ScopeCoverage>,
    wanted: &Wanted,
    known: &Known<'_>,
    settling: Option<&Settling>,
) -> Vec<PlannedSlice> {
    let Some(settling) = settling else {
        return list(slice, coverage, wanted, known).into_iter().collect();
    };
    let history_ends = coverage.and_then(ScopeCoverage::history_ends);
    let of_scope = OfScope { slice: &slice, key: slice.scope.key(), coverage, history_ends, wanted, known, settling };
    let mut slices = match settling.days.kind.is_single() {
        true => of_scope.singles(),
        false => of_scope.windows(),
    };
    for planned in &mut slices {
        planned.history = planned.due.is_history() && !wanted.days.is_backfill();
    }
    slices
}

/// The wanted days of a stream, and when each is no longer revised: the same for all of its scopes, so found once.
pub struct Settling {
    days: Days,
    /// Wanted and over, oldest first.
    wanted: Vec<(Day, CompactTimestamp)>,
}

impl Settling {
    /// Of `stream`; none for lists.
    pub fn of(stream: &Stream, wanted: &Wanted, now: Timestamp) -> Option<Self> {
        let days = stream.days.clone()?;
        let (start, last) = match wanted.days {
            WantedDays::Since(start) if days.kind == DaysKind::Window => (wanted.single_start.unwrap_or(start), None),
            WantedDays::Since(start) => (start, None),
            WantedDays::Only { window, .. } => (window.start, Some(window.last())),
        };
        let lookback = match days.kind {
            DaysKind::Dated => wanted.lookback_days.unwrap_or(days.lookback),
            DaysKind::Window | DaysKind::Month => days.lookback,
        };
        let over = days.complete(start, now).filter(|day| last.is_none_or(|last| *day <= last));
        let wanted = over.map(|day| (day, days.final_at(day, lookback).into())).collect();
        Some(Self { days, wanted })
    }
}

/// A list, unless it was read this week and changes rarely.
fn list(slice: Slice, coverage: Option<&ScopeCoverage>, wanted: &Wanted, known: &Known<'_>) -> Option<PlannedSlice> {
    let state = coverage.and_then(|coverage| coverage.whole.as_ref());
    let doubtful = (known.doubtful)(&slice.stream.name, &slice.scope.key(), None);
    let sound = state.filter(|state| !state.stale && state.suspect.is_none() && !doubtful);
    let rests = || {
        let is_weekly = is_weekly(&slice, wanted);
        sound.is_some_and(|state| {
            state.read_at.is_some_and(|read_at| was_just_read(read_at, known))
                || is_weekly && !is_its_day(&slice, state, known.now)
        })
    };
    if wanted.days.is_backfill() || rests() {
        return None;
    }
    let due = match (state, sound) {
        (None, _) => Due::one(Reason::Missing),
        (Some(_), None) => Due::one(Reason::Retry),
        (Some(_), Some(_)) => Due::default(),
    };
    let average = state.map(Average::of_list);
    let rows = average.map(|average| average.rows);
    let each = pages(&slice.stream, rows.filter(|_| !slice.stream.is_fan_out()), wanted);
    let requests = each * asked_times(&slice, rows, known);
    let bytes = average.map(|average| average.bytes);
    Some(PlannedSlice { slice, due, requests, rows, bytes, history: false })
}

/// Whether something was read by the run that this one goes on with.
fn was_just_read(read_at: CompactTimestamp, known: &Known<'_>) -> bool {
    known.read_since.is_some_and(|since| since <= read_at)
}

fn is_weekly(slice: &Slice, wanted: &Wanted) -> bool {
    let categories = wanted.scopes.get(&ScopeKind::Category).map_or(0, Vec::len);
    slice.stream.changes_rarely && categories as u64 >= u64::from(wanted.weekly_refresh_min_categories)
}

/// Whether a list that was last read as `state` says is due: on its own day of the week, so that each night has a
/// seventh of them, and on any day when that one was missed.
fn is_its_day(slice: &Slice, state: &DayState, now: Timestamp) -> bool {
    let Some(read_at) = state.read_at else {
        return true;
    };
    let (today, read_on) = (DayZone::Utc.today(now), DayZone::Utc.today(read_at.time()));
    let spread = slice.scope.key().as_str().bytes().map(i64::from).sum::<i64>();
    let its_day = (i64::from(today.to_epoch_days()) + spread) % WEEK == 0;
    WEEK <= today.since(read_on) || its_day && read_on < today
}

/// One stream of one scope, and everything that says what is due of it.
struct OfScope<'a> {
    slice: &'a Slice,
    key: ScopeKey,
    coverage: Option<&'a ScopeCoverage>,
    /// The first day that is not history; none where nothing was read.
    history_ends: Option<Day>,
    wanted: &'a Wanted,
    known: &'a Known<'a>,
    settling: &'a Settling,
}

impl OfScope<'_> {
    /// Days or months without a date in their rows: a slice each, newest first.
    fn singles(&self) -> Vec<PlannedSlice> {
        let average = self.coverage.and_then(Average::of_days);
        let rows = average.map(|average| average.rows);
        let newest = self.settling.wanted.last().map(|(day, _)| *day);
        // Of what was never read the newest comes tonight; what others wait for comes for as long as their first window.
        let now = if self.slice.stream.signal.is_some() { self.wanted.max_window_days } else { 1 };
        let wanted = self.settling.wanted.iter().rev().filter(|(day, _)| !self.is_forgotten(*day));
        let planned = wanted.filter_map(|(day, settled)| {
            let due = Due::one(self.reason_of_single(*day, *settled)?);
            let is_past = self.history_ends.is_none() && newest.is_some_and(|newest| now <= newest.since(*day));
            let due = if is_past { due.of_the_past() } else { due };
            let slice = self.slice.with_window(self.settling.days.span(*day));
            let requests = pages(&slice.stream, rows, self.wanted) * asked_times(&slice, None, self.known);
            let bytes = average.map(|average| average.bytes);
            Some(PlannedSlice { slice, due, requests, rows, bytes, history: false })
        });
        planned.collect()
    }

    /// Days that rows carry themselves: as few windows as they fit in, newest first, so that what people look at comes
    /// first when the hour is short.
    fn windows(&self) -> Vec<PlannedSlice> {
        let mut slices: Vec<PlannedSlice> = Vec::new();
        let mut joins = true;
        for (day, settled) in self.settling.wanted.iter().rev() {
            if self.is_forgotten(*day) {
                // It must not come along either.
                joins = false;
                continue;
            }
            let Some(reason) = self.reason(*day, *settled) else {
                continue;
            };
            let due = Due::one(reason);
            // Days between two that are due come along: a longer window costs no request.
            match slices.last_mut() {
                Some(PlannedSlice { slice: Slice { window: Some(open), .. }, due: already, .. })
                    if joins && open.end.since(*day) <= self.wanted.max_window_days =>
                {
                    open.start = *day;
                    *already += due;
                }
                _ => {
                    let slice = self.slice.with_window(Window::from_day(*day));
                    joins = true;
                    slices.push(PlannedSlice { slice, due, requests: 1, rows: None, bytes: None, history: false });
                }
            }
        }
        if self.history_ends.is_none() {
            // The newest window is what a new scope brings tonight.
            slices.iter_mut().skip(1).for_each(|older| older.due = older.due.of_the_past());
        }
        let a_day = self.coverage.and_then(Average::of_days);
        for planned in &mut slices {
            let expected = a_day.map(|a_day| a_day.times(planned.slice.window.map_or(1, Window::len_days)));
            planned.rows = expected.map(|expected| expected.rows);
            planned.bytes = expected.map(|expected| expected.bytes);
            planned.requests = pages(&planned.slice.stream, planned.rows, self.wanted);
        }
        slices
    }

    fn is_forgotten(&self, day: Day) -> bool {
        self.known.forgotten.covers(&self.slice.stream.name, &self.slice.scope, Some(day))
    }

    fn reason_of_single(&self, day: Day, settled: CompactTimestamp) -> Option<Reason> {
        match (self.reason(day, settled)?, self.wanted.days) {
            // Each costs a request: once when it is over, and once more when it is no longer revised.
            (Reason::Lookback, WantedDays::Since(_)) if CompactTimestamp::from(self.known.now) < settled => None,
            (reason, _) => Some(reason),
        }
    }

    fn reason(&self, day: Day, settled: CompactTimestamp) -> Option<Reason> {
        let state = self.coverage.and_then(|coverage| coverage.days.get(&day));
        let reason = match state {
            Some(state) if state.stale || state.suspect.is_some() => Some(Reason::Retry),
            Some(DayState { read_at: Some(read_at), .. }) => {
                (*read_at < settled && !was_just_read(*read_at, self.known)).then_some(Reason::Lookback)
            }
            _ if self.history_ends.is_some_and(|first| day < first) && !self.wanted.days.is_backfill() => {
                Some(Reason::History)
            }
            _ => Some(Reason::Missing),
        };
        match (reason, self.wanted.days) {
            (Some(Reason::Missing | Reason::Retry | Reason::History), _) => reason,
            _ if (self.known.doubtful)(&self.slice.stream.name, &self.key, Some(day)) => Some(Reason::Retry),
            (_, WantedDays::Only { force, .. }) => force.then_some(Reason::Lookback),
            (reason, WantedDays::Since(_)) => reason,
        }
    }
}
