//! What every run and preview looks at before it plans, and the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::config::JobConfig;
use crate::ledger::{Entry, State};
use crate::model::compact_timestamp::CompactTimestamp;
use crate::model::day::{Day, DayZone};
use crate::model::scope::{Scope, ScopeKey, ScopeKind};
use crate::model::stream::Stream;
use crate::model::window::Window;
use crate::plan::{Known, Plan, Wanted, WantedDays, plan};
use crate::run::account::{admit, check_salt, check_tables, remake_tables};
use crate::run::categories::{Changes, changes};
use crate::run::context::RunSettings;
use crate::run::discover::Discovered;
use crate::run::error::RunError;
use crate::run::job::Goal;
use crate::run::parents::ancestors_of;
use crate::run::resolve::{resolve, with_stand_ins};

/// A run that goes on where another stopped so recently does not read again what that one has read.
const GOES_ON_WITHIN: SignedDuration = SignedDuration::from_hours(12);
/// The first day wanted, counted back from the first run, where a job says none.
const DEFAULT_HISTORY_DAYS: i64 = 30;
/// The same for streams whose rows carry no date, each day of which is a request.
const SINGLE_HISTORY_DAYS: i64 = 7;

/// What every run and preview looks at before it plans, and the plan.
#[derive(Debug)]
pub struct Opening {
    /// What is wanted.
    pub wanted: Wanted,
    /// The plan.
    pub plan: Plan,
    /// The first day wanted.
    pub start: Day,
    /// Requests for lists that name objects, where they are not themselves in the plan.
    pub discovery_requests: u64,
    /// Filters that look wrong and categories that are gone, in words.
    pub warnings: Vec<String>,
    /// Categories that appeared, in words.
    pub news: Vec<String>,
    /// That hardly any of the categories are there, in words.
    pub doubt: Option<String>,
    /// What the first record of the run must say.
    pub entries: Vec<Entry>,
}

/// Plans a run of `goal` that starts at `at`, in an account of which `found` was discovered, with what the
/// ledger knows. Sends nothing, and writes nothing.
///
/// # Errors
/// [`RunError::ConfigMismatch`] when account, lake and job do not belong together.
pub fn open(
    settings: &RunSettings,
    goal: &Goal,
    state: &State,
    found: &Discovered,
    at: Timestamp,
) -> Result<Opening, RunError> {
    let destinations = &settings.destinations;
    let mut entries = admit(state, found, destinations.layout.partition, destinations.lake.url())?;
    let stand_in = |name: &str| {
        let stand_in = state.facts.fallback(name)?;
        settings.catalog.get(stand_in).cloned()
    };
    let streams = with_stand_ins(&with_gates(goal, &settings.catalog), stand_in);
    match goal.days {
        Some(WantedDays::Only { force: true, .. }) => entries.extend(remake_tables(state, &streams)?),
        _ => check_tables(state, &streams)?,
    }
    check_salt(state, &streams, settings.salt.as_ref())?;
    let mut resolved = resolve(&goal.job, found)?;
    // A backfill asks for what someone had in mind; the next run of the job tells.
    let changes = match goal.days {
        None => {
            let scopes = resolved.scopes.get(&ScopeKind::Category).map_or(&[][..], Vec::as_slice);
            changes(state, found, scopes, goal.job.on_shrink, at)
        }
        Some(_) => Changes::default(),
    };
    entries.extend(changes.entries);
    resolved.warnings.extend(changes.warnings);
    if let Some(WantedDays::Only { window, .. }) = goal.days {
        resolved.warnings.extend(leave_out_forgotten(state, &streams, &resolved.scopes, window)?);
    }
    let start = first_day(&goal.job, state.starts.get(&goal.job.name).copied(), at);
    if state.starts.get(&goal.job.name) != Some(&start) && goal.days.is_none() {
        entries.push(Entry::Start { job: goal.job.name.clone(), day: start });
    }
    let wanted = Wanted {
        streams,
        scopes: resolved.scopes,
        days: goal.days.unwrap_or(WantedDays::Since(start)),
        // Each of their days costs a request: where nobody says how far back, the last week is enough to begin with.
        single_start: goal.job.start.is_none().then(|| start.plus(DEFAULT_HISTORY_DAYS - SINGLE_HISTORY_DAYS)),
        lookback_days: goal.job.lookback.map(|days| days.0),
        event_streams: settings.event_streams,
        paged: settings
            .catalog
            .streams()
            .filter(|stream| state.facts.events_incomplete(&stream.name))
            .map(|stream| stream.name.clone())
            .collect(),
        costs: state.facts.costs(),
        max_window_days: settings.max_window_days,
        weekly_refresh_min_categories: goal.job.weekly_refresh_min_categories,
    };
    let doubtful = |stream: &str, scope: &ScopeKey, day| state.is_doubtful(stream, scope, day, None);
    let read_since = goal.days.is_none().then(|| goes_on_since(state, &goal.job.name, at)).flatten();
    let plan = plan(
        &wanted,
        &Known { coverage: &state.coverage, forgotten: &state.forgotten, doubtful: &doubtful, now: at, read_since },
    );
    let planned = |name: &String| plan.slices.iter().any(|planned| planned.slice.stream.name == *name);
    let unplanned = found.lists.iter().filter(|(name, _)| !planned(name));
    let discovery_requests = unplanned.map(|(_, fetched)| fetched.requests).sum();
    let (warnings, news, doubt) = (resolved.warnings, changes.news, changes.doubt);
    Ok(Opening { wanted, plan, start, discovery_requests, warnings, news, doubt, entries })
}

/// What a backfill of `window` leaves out because it was forgotten, in words; refuses one that would ask for nothing else.
fn leave_out_forgotten(
    state: &State,
    streams: &[Arc<Stream>],
    scopes: &BTreeMap<ScopeKind, Vec<Scope>>,
    window: Window,
) -> Result<Option<String>, RunError> {
    let (mut touched, mut left) = (BTreeSet::new(), false);
    for stream in streams.iter().filter(|stream| stream.days.is_some()) {
        for scope in scopes.get(&stream.scope).into_iter().flatten() {
            let is_forgotten = |day| state.forgotten.covers(&stream.name, scope, Some(day));
            let erasures = state.forgotten.erasures(&stream.name).iter().filter(|erasure| erasure.is_of(scope));
            match erasures.count() {
                0 => left = true,
                _ => {
                    let forgotten = window.days().filter(|day| is_forgotten(*day)).count() as i64;
                    left |= forgotten < window.len_days();
                    touched.extend((0 < forgotten).then_some(stream.name.as_str()));
                }
            }
        }
    }
    let names = touched.iter().copied().collect::<Vec<_>>().join(", ");
    match (touched.is_empty(), left) {
        (true, _) => Ok(None),
        (false, true) => Ok(Some(format!("days that were forgotten are left out, for good: of {names}"))),
        (false, false) => Err(RunError::ConfigMismatch {
            problem: format!("everything that this backfill asks for was forgotten: {names}"),
            hint: "what `forget` removed is never asked for again in this lake; another lake, or a stream of another name, is free to".into(),
        }),
    }
}

/// The streams of `goal`, and those that tell whether there is anything to read for them, unless they are left out by
/// name: their answers save more requests than they cost.
fn with_gates(goal: &Goal, catalog: &Catalog) -> Vec<Arc<Stream>> {
    let mut streams = goal.streams.clone();
    // Parents that are read only for their children wait for the same streams as if they were chosen.
    let parents = ancestors_of(&goal.streams, catalog).into_iter().filter_map(|name| catalog.get(&name).cloned());
    for stream in goal.streams.iter().cloned().chain(parents) {
        for name in [&stream.gate, &stream.expects].into_iter().flatten() {
            let left_out = goal.job.streams.iter().any(|pattern| pattern.strip_prefix('!') == Some(name));
            let chosen = streams.iter().any(|other| other.name == *name);
            if let (false, false, Some(gate)) = (left_out, chosen, catalog.get(name)) {
                streams.push(Arc::clone(gate));
            }
        }
    }
    streams
}

/// A job's own first day, or the one pinned by its first run, or thirty days before now.
fn first_day(job: &JobConfig, pinned: Option<Day>, now: Timestamp) -> Day {
    job.start.or(pinned).unwrap_or_else(|| DayZone::Eastern.today(now).plus(-DEFAULT_HISTORY_DAYS))
}

/// Runs of other processes that are under way on the same lake, as far as its records tell: the job, and since when.
pub fn alive_runs(state: &State, at: Timestamp) -> impl Iterator<Item = (&str, Timestamp)> {
    state.open_runs.values().filter(move |open| open.is_alive(at)).map(|open| (open.job.as_str(), open.at))
}

/// Whether a run that began before `own` is reading the same lake, as far as its records tell.
pub fn is_beside_another(state: &State, own: Uuid, at: Timestamp) -> bool {
    let began = state.open_runs.get(&own).map_or(u64::MAX, |run| run.number);
    state.open_runs.values().any(|open| open.number < began && open.is_alive(at) && !open.planned.is_empty())
}

/// When the run began that a run of `job` at `at` goes on with: the first of those that ended one after the other with
/// something left, or never ended, in the last twelve hours. What was read before the present Eastern day is read again:
/// it may have been revised since, and a day more is over.
fn goes_on_since(state: &State, job: &str, at: Timestamp) -> Option<CompactTimestamp> {
    let is_recent = |began: &Timestamp| at.duration_since(*began) < GOES_ON_WITHIN;
    let of_job = || state.runs.iter().rev().filter(|run| run.end.job == job && !run.end.backfill);
    let incomplete = of_job().take_while(|run| run.end.is_cut_short()).map(|run| run.end.started_at);
    // Records are numbered, so that it does not matter whose clock told the time.
    let last_whole = of_job().find(|run| !run.end.is_cut_short()).map_or(0, |run| run.number);
    let killed = state.open_runs.values().filter(|run| run.job == job && !run.backfill && last_whole < run.number);
    let began = incomplete.chain(killed.map(|run| run.at)).filter(is_recent).min()?;
    let today = DayZone::Eastern.start_of(DayZone::Eastern.today(at));
    Some(began.max(today).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{OpenRun, RunEnd, RunSummary};
    use crate::model::counters::Counters;
    use crate::model::outcome::Outcome;

    const RUN: Uuid = Uuid::nil();

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The record `number` of a run of `nightly` that began at `started_at`, and how it ended.
    fn ended(number: u64, started_at: &str, outcome: Outcome, backfill: bool) -> RunSummary {
        let end = RunEnd {
            run: RUN,
            job: "nightly".into(),
            backfill,
            started_at: at(started_at),
            outcome,
            counters: Counters { deferred: u64::from(outcome == Outcome::Incomplete), ..Counters::default() },
            backfill_remaining: 0,
            problems: Vec::new(),
            hint: None,
        };
        RunSummary { ended_at: at(started_at) + SignedDuration::from_mins(30), number, end }
    }

    fn open_run(number: u64, began: &str, heard: &str) -> OpenRun {
        let planned = [crate::ledger::Planned { stream: "models".into(), scope: ScopeKey::default(), window: None }];
        let planned = planned.iter().collect();
        let (at, heard_at) = (at(began), Some(at(heard)));
        OpenRun { at, number, heard_at, backfill: false, job: "nightly".into(), planned }
    }

    fn since(state: &State, now: &str) -> Option<String> {
        goes_on_since(state, "nightly", at(now)).map(|moment| moment.time().to_string())
    }

    #[test]
    fn run_goes_on_with_those_before_it_that_were_cut_short() {
        let mut state = State::default();
        state.runs.push_back(ended(1, "2026-03-10T08:00:00Z", Outcome::Complete, false));
        assert_eq!(since(&state, "2026-03-10T16:00:00Z"), None);
        state.runs.push_back(ended(2, "2026-03-10T10:00:00Z", Outcome::Incomplete, false));
        state.runs.push_back(ended(3, "2026-03-10T12:00:00Z", Outcome::Incomplete, false));
        assert_eq!(since(&state, "2026-03-10T16:00:00Z").as_deref(), Some("2026-03-10T10:00:00Z"));
        assert_eq!(
            since(&state, "2026-03-10T23:00:00Z").as_deref(),
            Some("2026-03-10T12:00:00Z"),
            "twelve hours at most"
        );
    }

    #[test]
    fn what_was_read_on_another_day_is_read_again() {
        let mut state = State::default();
        state.runs.push_back(ended(1, "2026-03-11T02:00:00Z", Outcome::Incomplete, false));
        // Midnight in New York is 04:00 UTC in summer time.
        assert_eq!(since(&state, "2026-03-11T03:30:00Z").as_deref(), Some("2026-03-11T02:00:00Z"));
        assert_eq!(since(&state, "2026-03-11T06:00:00Z").as_deref(), Some("2026-03-11T04:00:00Z"));
    }

    #[test]
    fn backfill_neither_is_gone_on_with_nor_ends_what_is() {
        let mut state = State::default();
        state.runs.push_back(ended(1, "2026-03-10T10:00:00Z", Outcome::Incomplete, false));
        state.runs.push_back(ended(2, "2026-03-10T11:00:00Z", Outcome::Complete, true));
        assert_eq!(since(&state, "2026-03-10T16:00:00Z").as_deref(), Some("2026-03-10T10:00:00Z"));
        state.runs.push_back(ended(3, "2026-03-10T12:00:00Z", Outcome::Complete, false));
        state.runs.push_back(ended(4, "2026-03-10T13:00:00Z", Outcome::Incomplete, true));
        assert_eq!(since(&state, "2026-03-10T16:00:00Z"), None);
    }

    #[test]
    fn killed_run_is_gone_on_with_unless_a_whole_one_came_after_it_whatever_the_clocks_say() {
        let mut state = State::default();
        state.open_runs.insert(RUN, open_run(5, "2026-03-10T10:00:00Z", "2026-03-10T10:05:00Z"));
        assert_eq!(since(&state, "2026-03-10T16:00:00Z").as_deref(), Some("2026-03-10T10:00:00Z"));
        // Its clock was an hour behind.
        state.runs.push_back(ended(6, "2026-03-10T09:10:00Z", Outcome::Complete, false));
        assert_eq!(since(&state, "2026-03-10T16:00:00Z"), None);
    }

    #[test]
    fn run_is_beside_another_that_began_before_and_was_heard_of_lately() {
        let mut state = State::default();
        state.open_runs.insert(RUN, open_run(5, "2026-03-10T10:00:00Z", "2026-03-10T10:05:00Z"));
        let (own, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        state.open_runs.insert(own, open_run(7, "2026-03-10T10:06:00Z", "2026-03-10T10:06:00Z"));
        assert!(is_beside_another(&state, own, at("2026-03-10T10:06:00Z")));
        assert!(!is_beside_another(&state, own, at("2026-03-10T10:20:00Z")), "it was killed");
        assert!(!is_beside_another(&state, RUN, at("2026-03-10T10:06:00Z")), "the first of two begins in front");
        assert!(is_beside_another(&state, other, at("2026-03-10T10:06:00Z")));
    }
}
