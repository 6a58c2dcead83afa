//! The plan of a run, and what its first record says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::catalog::Catalog;
use crate::config::JobConfig;
use crate::ledger::{Entry, State};
use crate::model::day::{Day, DayZone};
use crate::model::scope::{Scope, ScopeKey, ScopeKind};
use crate::model::stream::{DiscoveredObject, Stream};
use crate::model::window::Window;
use crate::plan::{DEFAULT_START_DAYS, Known, Plan, Wanted, WantedDays, plan, single_start};
use crate::run::error::RunError;
use crate::run::prepare::account::{admit, check_salt, check_tables, redefine_tables};
use crate::run::prepare::categories::{CategoryChanges, category_changes};
use crate::run::prepare::discover::Discovered;
use crate::run::prepare::filters::{resolve_scopes, with_fallbacks};
use crate::run::prepare::missing::{MissingObjects, missing_objects};
use crate::run::prepare::resume::resume_point;
use crate::run::settings::{RunRequest, RunSettings};
use crate::run::slice::ancestors_of;

/// A planned run.
#[derive(Debug)]
pub struct PreparedRun {
    pub wanted: Wanted,
    pub plan: Plan,
    /// The first day that the job exports.
    pub start: Day,
    /// Requests of discovery for lists that are not in the plan themselves.
    pub discovery_requests: u64,
    /// Filters that match nothing or too much, and categories that are gone.
    pub warnings: Vec<String>,
    /// New categories.
    pub notices: Vec<String>,
    /// Lists that lack known objects, or name some incompletely, and what follows.
    pub list_problems: Vec<(DiscoveredObject, String)>,
    /// Entries of the run's first record.
    pub entries: Vec<Entry>,
}

/// Plans a run of `request` that starts at `at`, from the discovered account and the ledger's state. Sends and writes nothing.
///
/// # Errors
/// [`RunError::ConfigMismatch`] if account, lake and job do not belong together.
pub fn prepare(
    settings: &RunSettings,
    request: &RunRequest,
    state: &State,
    found: &Discovered,
    at: Timestamp,
) -> Result<PreparedRun, RunError> {
    let destinations = &settings.destinations;
    let mut entries = admit(state, found, destinations.layout.partition, destinations.lake.url())?;
    let fallback = |name: &str| settings.catalog.get(state.facts.fallback(name)?).cloned();
    let streams = with_fallbacks(&with_gates(request, &settings.catalog), fallback);
    if request.is_forced() {
        entries.extend(redefine_tables(state, &streams)?);
    } else {
        check_tables(state, &streams)?;
    }
    check_salt(state, &streams, settings.salt.as_ref())?;
    let mut resolved = resolve_scopes(&request.job, found, &state.coverage)?;
    // A backfill exports days that a person chose. Changes of categories are reported by the next run of the job.
    let (missing, changes) = match request.days {
        None => {
            let scopes = resolved.scopes.get(&ScopeKind::Category).map_or(&[][..], Vec::as_slice);
            let missing = missing_objects(state, found, &request.job, at);
            let changes = category_changes(state, found, scopes, &missing.gone_categories, at);
            (missing, changes)
        }
        Some(_) => (MissingObjects::default(), CategoryChanges::default()),
    };
    let list_problems = found.incomplete.iter().cloned().chain(missing.problems).collect();
    entries.extend(changes.entries.into_iter().chain(missing.entries));
    resolved.warnings.extend(changes.warnings);
    if let Some(WantedDays::Only { window, .. }) = request.days {
        resolved.warnings.extend(skip_forgotten(state, &streams, &resolved.scopes, window)?);
    }
    let start = first_day(&request.job, state.starts.get(&request.job.name).copied(), at);
    let single = single_start(start, request.job.start.is_some());
    let job = &request.job.name;
    let is_pinned = state.starts.get(job) == Some(&start) && state.single_starts.get(job) == single.as_ref();
    if !is_pinned && request.days.is_none() {
        entries.push(Entry::Start { job: job.clone(), day: start, single });
    }
    let wanted = Wanted {
        streams,
        scopes: resolved.scopes,
        days: request.days.unwrap_or(WantedDays::Since(start)),
        single_start: single,
        lookback_days: request.job.lookback.map(|days| days.0),
        event_streams: settings.event_streams,
        paged: settings
            .catalog
            .streams()
            .filter(|stream| state.facts.events_incomplete(&stream.name, at))
            .map(|stream| stream.name.clone())
            .collect(),
        costs: state.facts.costs(),
        max_window_days: settings.max_window_days,
        weekly_refresh_min_categories: request.job.weekly_refresh_min_categories,
    };
    let may_be_overwritten =
        |stream: &str, scope: &ScopeKey, day| state.is_possibly_overwritten(stream, scope, day, None);
    let resume_point = request.days.is_none().then(|| resume_point(state, &request.job.name, at)).flatten();
    let plan = plan(
        &wanted,
        &Known {
            coverage: &state.coverage,
            forgotten: &state.forgotten,
            may_be_overwritten: &may_be_overwritten,
            now: at,
            resume_point,
        },
    );
    let planned = |name: &String| plan.slices.iter().any(|planned| planned.slice.stream.name == *name);
    let unplanned = found.lists.iter().filter(|(name, _)| !planned(name));
    let discovery_requests = unplanned.map(|(_, list)| list.requests).sum();
    Ok(PreparedRun {
        wanted,
        plan,
        start,
        discovery_requests,
        warnings: resolved.warnings,
        notices: changes.notices,
        list_problems,
        entries,
    })
}

/// A warning about the forgotten days that a backfill of `window` skips.
///
/// # Errors
/// [`RunError::ConfigMismatch`] if all of its days were forgotten.
fn skip_forgotten(
    state: &State,
    streams: &[Arc<Stream>],
    scopes: &BTreeMap<ScopeKind, Vec<Scope>>,
    window: Window,
) -> Result<Option<String>, RunError> {
    let (mut touched, mut has_others) = (BTreeSet::new(), false);
    for stream in streams.iter().filter(|stream| stream.days.is_some()) {
        for scope in scopes.get(&stream.scope).into_iter().flatten() {
            let is_forgotten = |day| state.forgotten.covers(&stream.name, scope, Some(day));
            let erasures = state.forgotten.erasures(&stream.name).iter().filter(|erasure| erasure.has_scope(scope));
            match erasures.count() {
                0 => has_others = true,
                _ => {
                    let forgotten = window.days().filter(|day| is_forgotten(*day)).count() as i64;
                    has_others |= window.len_days() > forgotten;
                    touched.extend((forgotten > 0).then_some(stream.name.as_str()));
                }
            }
        }
    }
    let names = touched.iter().copied().collect::<Vec<_>>().join(", ");
    match (touched.is_empty(), has_others) {
        (true, _) => Ok(None),
        (false, true) => Ok(Some(format!("forgotten days are skipped: of {names}"))),
        (false, false) => Err(RunError::ConfigMismatch {
            problem: format!("all days of this backfill were forgotten: {names}"),
            hint: "forgotten days are never exported to this lake; export them to another lake, or as a stream with another name".into(),
        }),
    }
}

/// The streams of `request` and their gates, unless a pattern excludes them: their signals save more requests than they
/// cost.
fn with_gates(request: &RunRequest, catalog: &Catalog) -> Vec<Arc<Stream>> {
    let mut streams = request.streams.clone();
    // Parents that are requested only for their children have gates, too.
    let parents = ancestors_of(&request.streams, catalog).into_iter().filter_map(|name| catalog.get(&name).cloned());
    for stream in request.streams.iter().cloned().chain(parents) {
        for name in [&stream.gate, &stream.expects].into_iter().flatten() {
            let is_excluded = request.job.streams.iter().any(|pattern| pattern.strip_prefix('!') == Some(name));
            let is_chosen = streams.iter().any(|other| other.name == *name);
            if let (false, false, Some(gate)) = (is_excluded, is_chosen, catalog.get(name)) {
                streams.push(Arc::clone(gate));
            }
        }
    }
    streams
}

/// The job's own first day, or the one pinned by its first run, or thirty days ago.
fn first_day(job: &JobConfig, pinned: Option<Day>, now: Timestamp) -> Day {
    job.start.or(pinned).unwrap_or_else(|| DayZone::Eastern.today(now).plus(-DEFAULT_START_DAYS))
}
