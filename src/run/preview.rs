//! What a run would do, and when it would be done.

use jiff::{SignedDuration, Timestamp};

use tokio::time::Instant;

use crate::ledger::State;
use crate::model::day::Day;
use crate::model::periods::Periods;
use crate::plan::{Known, Plan, Wanted, night};
use crate::run::context::RunSettings;
use crate::run::discover::Discovered;
use crate::run::error::RunError;
use crate::run::forecast::{Circumstances, Forecast, forecast};
use crate::run::job::Goal;
use crate::run::opening::{Opening, open};

/// When a job starts.
#[derive(Debug, Clone, Copy)]
pub struct Starts {
    /// The next start.
    pub next: Timestamp,
    /// The time from one start to the next.
    pub every: Periods,
}

/// What a run would do.
#[derive(Debug)]
pub struct Preview {
    /// What is wanted.
    pub wanted: Wanted,
    /// The plan.
    pub plan: Plan,
    /// The plan of a run that follows a complete one.
    pub night: Plan,
    /// When both will be done.
    pub forecast: Forecast,
    /// The first day wanted.
    pub start: Day,
    /// Requests for lists that name objects, where they are not themselves in the plan.
    pub discovery_requests: u64,
    /// Filters that look wrong and categories that are gone, in words.
    pub warnings: Vec<String>,
    /// Categories that appeared, in words.
    pub news: Vec<String>,
}

/// What the next run of `goal` would do in an account of which `found` was discovered, with what the ledger knows. `starts` is
/// the schedule of a job that has one. Sends nothing, and writes nothing.
///
/// # Errors
/// [`RunError::ConfigMismatch`] when account, lake and job do not belong together.
pub fn preview(
    settings: &RunSettings,
    goal: &Goal,
    state: &State,
    found: &Discovered,
    starts: Option<Starts>,
) -> Result<Preview, RunError> {
    let now = settings.clock.now();
    let starts_at = starts.map_or(now, |starts| starts.next);
    let opening = open(settings, goal, state, found, starts_at)?;
    let Opening { wanted, plan, start, discovery_requests, warnings, news, .. } = opening;
    let every = starts.map_or(SignedDuration::from_hours(24), |starts| starts.every.average);
    let night = night(&wanted, &Known::at(starts_at, &state.coverage, &state.forgotten, &|_, _, _| false), every);
    let around = Circumstances {
        now,
        instant: Instant::now(),
        starts_at,
        budget: settings.client.rate_limiter().snapshot(),
        discovery_requests,
        concurrency: settings.concurrency,
        request_takes: state.facts.request_duration(),
        deadline: goal.job.deadline.map(|deadline| deadline.0),
        every: starts.map(|starts| starts.every),
    };
    let forecast = forecast(&plan, &night, &around);
    Ok(Preview { wanted, plan, night, forecast, start, discovery_requests, warnings, news })
}
