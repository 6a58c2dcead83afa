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
use crate::plan::expect::{Average, fan_out, pages};
use crate::plan::owed::{doubtful_days_before, first_wanted_day, is_in_doubt, owed};
use crate::plan::planned::PlannedSlice;
use crate::plan::wanted::{Known, Wanted, WantedDays};

const WEEK: i64 = 7;

/// The due slices of a stream and scope; `slice` has no window yet.
pub fn due(
    slice: Slice,
    coverage: Option<&ScopeCoverage>,
    wanted: &Wanted,
    known: &Known<'_>,
    cutoffs: Option<&FinalityCutoffs>,
) -> Vec<PlannedSlice> {
    let Some(cutoffs) = cutoffs else {
        return list(slice, coverage, wanted, known).into_iter().collect();
    };
    let backfill_boundary = coverage.and_then(ScopeCoverage::backfill_boundary);
    let of_scope =
        DueDays { slice: &slice, key: slice.scope.key(), coverage, backfill_boundary, wanted, known, cutoffs };
    let mut slices = if cutoffs.days.kind.is_single() { of_scope.singles() } else { of_scope.windows() };
    for planned in &mut slices {
        planned.is_backfill = planned.due.is_backfill() && !wanted.days.is_backfill();
    }
    slices
}

/// The wanted days of a stream, and when each becomes final: the same for all of its scopes, so computed once.
pub struct FinalityCutoffs {
    days: Days,
    lookback: u16,
    first: Day,
    /// Days that are wanted and over, oldest first, and when each becomes final.
    wanted: Vec<WantedDay>,
}

type WantedDay = (Day, CompactTimestamp);

impl FinalityCutoffs {
    /// `None` for lists.
    pub fn new(stream: &Stream, wanted: &Wanted, now: Timestamp) -> Option<Self> {
        let days = stream.days.clone()?;
        let (start, last) = match wanted.days {
            WantedDays::Since(start) => (first_wanted_day(days.kind, start, wanted.single_start), None),
            WantedDays::Only { window, .. } => (window.start, Some(window.last())),
        };
        let lookback = match days.kind {
            DaysKind::Dated => wanted.lookback_days.unwrap_or(days.lookback),
            DaysKind::Window | DaysKind::Week | DaysKind::Month => days.lookback,
        };
        let over = days.complete(start, now).filter(|day| last.is_none_or(|last| *day <= last));
        let wanted = over.map(|day| (day, days.final_at(day, lookback).into())).collect();
        Some(Self { days, lookback, first: start, wanted })
    }

    /// The wanted days of a scope, newest first: those of the stream, and earlier ones whose record is in doubt.
    fn of_scope<'a>(
        &'a self,
        doubtful: impl DoubleEndedIterator<Item = Day> + 'a,
    ) -> impl Iterator<Item = WantedDay> + 'a {
        let earlier = doubtful.rev().map(|day| (day, self.days.final_at(day, self.lookback).into()));
        self.wanted.iter().rev().copied().chain(earlier)
    }
}

/// A list, unless it changes rarely and was extracted this week.
fn list(slice: Slice, coverage: Option<&ScopeCoverage>, wanted: &Wanted, known: &Known<'_>) -> Option<PlannedSlice> {
    let state = coverage.and_then(|coverage| coverage.whole.as_ref());
    let may_be_overwritten = (known.may_be_overwritten)(&slice.stream.name, &slice.scope.key(), None);
    let sound = state.filter(|state| !is_in_doubt(state, known.now) && !may_be_overwritten);
    let rests = || {
        let is_weekly = is_weekly(&slice, wanted);
        sound.is_some_and(|state| {
            state.extracted_at.is_some_and(|extracted_at| was_just_extracted(extracted_at, known))
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
    let requests = each * fan_out(&slice, rows, known);
    let bytes = average.map(|average| average.bytes);
    Some(PlannedSlice { slice, due, requests, rows, bytes, is_backfill: false })
}

/// Whether the run that this one resumes extracted it.
fn was_just_extracted(extracted_at: CompactTimestamp, known: &Known<'_>) -> bool {
    known.resume_point.is_some_and(|since| since <= extracted_at)
}

fn is_weekly(slice: &Slice, wanted: &Wanted) -> bool {
    let categories = wanted.scopes.get(&ScopeKind::Category).map_or(0, Vec::len);
    slice.stream.changes_rarely && categories as u64 >= u64::from(wanted.weekly_refresh_min_categories)
}

/// Whether a weekly list is due: on its own day of the week, so that each day has a seventh of the lists, and on any day if that
/// one was missed.
fn is_its_day(slice: &Slice, state: &DayState, now: Timestamp) -> bool {
    let Some(extracted_at) = state.extracted_at else {
        return true;
    };
    let (today, read_on) = (DayZone::Utc.today(now), DayZone::Utc.today(extracted_at.to_timestamp()));
    let spread = slice.scope.key().as_str().bytes().map(i64::from).sum::<i64>();
    let its_day = (i64::from(today.to_epoch_days()) + spread) % WEEK == 0;
    WEEK <= today.since(read_on) || its_day && read_on < today
}

/// One stream of one scope, and everything that decides what is due.
struct DueDays<'a> {
    slice: &'a Slice,
    key: ScopeKey,
    coverage: Option<&'a ScopeCoverage>,
    /// The first day that is not backfill; `None` if nothing was extracted.
    backfill_boundary: Option<Day>,
    wanted: &'a Wanted,
    known: &'a Known<'a>,
    cutoffs: &'a FinalityCutoffs,
}

impl DueDays<'_> {
    /// Days or months whose rows have no date: a slice each, newest first.
    fn singles(&self) -> Vec<PlannedSlice> {
        let average = self.coverage.and_then(Average::of_days);
        let rows = average.map(|average| average.rows);
        let newest = self.cutoffs.wanted.last().map(|(day, _)| *day);
        // Of a new scope the newest day is due now; a gate is due for as long as the first window of its streams.
        let now = if self.slice.stream.signal.is_some() { self.wanted.max_window_days } else { 1 };
        let wanted = self.wanted_days().filter(|(day, _)| !self.is_forgotten(*day));
        let planned = wanted.filter_map(|(day, settled)| {
            let due = Due::one(self.reason_of_single(day, settled)?);
            let is_past = self.backfill_boundary.is_none() && newest.is_some_and(|newest| now <= newest.since(day));
            let due = if is_past { due.as_backfill() } else { due };
            let slice = self.slice.with_window(self.cutoffs.days.span(day));
            let requests = pages(&slice.stream, rows, self.wanted) * fan_out(&slice, None, self.known);
            let bytes = average.map(|average| average.bytes);
            Some(PlannedSlice { slice, due, requests, rows, bytes, is_backfill: false })
        });
        planned.collect()
    }

    /// Days whose rows have a date: as few windows as possible, newest first, so that the days people look at come first if the
    /// rate limit ends the run.
    fn windows(&self) -> Vec<PlannedSlice> {
        let mut slices: Vec<PlannedSlice> = Vec::new();
        let mut joins = true;
        for (day, settled) in self.wanted_days() {
            if self.is_forgotten(day) {
                // A window must not include it.
                joins = false;
                continue;
            }
            let Some(reason) = self.reason(day, settled) else {
                continue;
            };
            let due = Due::one(reason);
            // Days between two due days are included: a longer window costs no request.
            match slices.last_mut() {
                Some(PlannedSlice { slice: Slice { window: Some(open), .. }, due: already, .. })
                    if joins && open.end.since(day) <= self.wanted.max_window_days =>
                {
                    open.start = day;
                    *already = *already + due;
                }
                _ => {
                    let slice = self.slice.with_window(Window::from_day(day));
                    joins = true;
                    slices.push(PlannedSlice { slice, due, requests: 1, rows: None, bytes: None, is_backfill: false });
                }
            }
        }
        if self.backfill_boundary.is_none() {
            // Of a new scope only the newest window is due now.
            slices.iter_mut().skip(1).for_each(|older| older.due = older.due.as_backfill());
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

    /// Newest first. A backfill has the days that a person chose.
    fn wanted_days(&self) -> impl Iterator<Item = WantedDay> {
        let coverage = self.coverage.filter(|_| !self.wanted.days.is_backfill());
        let doubtful = coverage
            .into_iter()
            .flat_map(|coverage| doubtful_days_before(coverage, self.cutoffs.first, self.known.now));
        self.cutoffs.of_scope(doubtful)
    }

    fn is_forgotten(&self, day: Day) -> bool {
        self.known.forgotten.covers(&self.slice.stream.name, &self.slice.scope, Some(day))
    }

    fn reason_of_single(&self, day: Day, settled: CompactTimestamp) -> Option<Reason> {
        match (self.reason(day, settled)?, self.wanted.days) {
            // Each costs a request: once when it is over, and once more when it is final.
            (Reason::Lookback, WantedDays::Since(_)) if CompactTimestamp::from(self.known.now) < settled => None,
            (reason, _) => Some(reason),
        }
    }

    fn reason(&self, day: Day, settled: CompactTimestamp) -> Option<Reason> {
        let state = self.coverage.and_then(|coverage| coverage.days.get(&day));
        let boundary = self.backfill_boundary.filter(|_| !self.wanted.days.is_backfill());
        let is_provisional =
            |state: &DayState| state.extracted_at.is_some_and(|at| at < settled && !was_just_extracted(at, self.known));
        let reason = owed(state, day, boundary, self.known.now)
            .or_else(|| state.is_some_and(is_provisional).then_some(Reason::Lookback));
        match (reason, self.wanted.days) {
            (Some(Reason::Missing | Reason::Retry | Reason::Backfill), _) => reason,
            _ if (self.known.may_be_overwritten)(&self.slice.stream.name, &self.key, Some(day)) => Some(Reason::Retry),
            (_, WantedDays::Only { force, .. }) => force.then_some(Reason::Lookback),
            (reason, WantedDays::Since(_)) => reason,
        }
    }
}
