//! What every run and preview looks at before it plans, and the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::catalog::Catalog;
use crate::config::JobConfig;
use crate::ledger::{Entry, RunEnd, State};
use crate::model::cost::Costs;
use crate::model::day::{Day, DayZone};
use crate::model::moment::Moment;
use crate::model::scope::{Scope, ScopeKey, ScopeKind};
use crate::model::stream::Stream;
use crate::model::window::Window;
use crate::plan::{Known, Plan, Wanted, WantedDays, plan};
use crate::run::account::{admit, check_salt, check_tables};
use crate::run::categories::{Changes, changes};
use crate::run::context::{RunSettings, fallback_name};
use crate::run::discover::Discovered;
use crate::run::error::RunError;
use crate::run::job::Goal;
use crate::run::parents::ancestors_of;
use crate::run::resolve::{resolve, with_stand_ins};
use crate::run::result::Outcome;

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
    /// What the first record of the run must say.
    pub entries: Vec<Entry>,
}

/// Plans a run of `goal` that starts at `at`, in an account of which `found` was discovered, with what the
/// ledger knows. Sends nothing, and writes nothing.
///
/// # Errors
/// [`RunError::Refused`] when account, lake and job do not belong together.
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
        let stand_in = state.learned.get(&fallback_name(name))?;
        settings.catalog.get(stand_in).cloned()
    };
    let streams = with_stand_ins(&with_gates(goal, &settings.catalog), stand_in);
    check_tables(state, &streams)?;
    check_salt(state, &streams, settings.salt.as_ref())?;
    let mut resolved = resolve(&goal.job, found)?;
    // A backfill asks for what someone had in mind; the next run of the job tells.
    let changes = match goal.days {
        None => changes(state, found, resolved.scopes.get(&ScopeKind::Category).map_or(&[], Vec::as_slice)),
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
        costs: Costs::learned(&state.learned),
        max_window_days: settings.max_window_days,
        weekly_lists_above: goal.job.weekly_lists_above,
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
    let (warnings, news) = (resolved.warnings, changes.news);
    Ok(Opening { wanted, plan, start, discovery_requests, warnings, news, entries })
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
            let erasures = state.forgotten.of(&stream.name).iter().filter(|erasure| erasure.is_of(scope));
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
        (false, false) => Err(RunError::Refused {
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

/// When the run began that a run of `job` at `at` goes on with: the first of those that ended one after the other with
/// something left, or never ended, in the last twelve hours.
fn goes_on_since(state: &State, job: &str, at: Timestamp) -> Option<Moment> {
    let is_recent = |began: &Timestamp| at.duration_since(*began) < GOES_ON_WITHIN;
    let of_job = state.runs.iter().rev().filter(|run| run.end.job == job);
    // One that left nothing but history has read all that was due: the next reads it again.
    let is_cut_short = |end: &RunEnd| end.outcome == Outcome::Incomplete.name() && end.history_left < end.slices_left;
    let incomplete = of_job.take_while(|run| is_cut_short(&run.end));
    let last_whole = state.runs.iter().rev().find(|run| run.end.job == job && !is_cut_short(&run.end));
    let killed = state.open_runs.values().filter(|run| run.job == job).map(|run| run.at);
    let killed = killed.filter(|began| last_whole.is_none_or(|whole| whole.ended_at < *began));
    incomplete.map(|run| run.end.started_at).chain(killed).filter(is_recent).min().map(Moment::from)
}
