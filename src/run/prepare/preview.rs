//! What the next run would do, and when it would finish.

use jiff::{SignedDuration, Timestamp};

use tokio::time::Instant;

use crate::ledger::State;
use crate::model::periods::Periods;
use crate::plan::{Known, steady_state_plan};
use crate::run::error::RunError;
use crate::run::prepare::discover::Discovered;
use crate::run::prepare::forecast::{Forecast, ForecastInputs, forecast};
use crate::run::prepare::prepared::{PreparedRun, prepare};
use crate::run::settings::{RunRequest, RunSettings};

/// When a job starts.
#[derive(Debug, Clone, Copy)]
pub struct JobSchedule {
    pub next_start: Timestamp,
    /// The time from one start to the next.
    pub every: Periods,
}

/// What the next run would do, and when it would be complete.
#[derive(Debug)]
pub struct Preview {
    pub run: PreparedRun,
    pub forecast: Forecast,
}

/// What the next run of `request` would do, from the discovered account and the ledger's state. `schedule` is that of a job that
/// has one. Sends and writes nothing.
///
/// # Errors
/// [`RunError::ConfigMismatch`] if account, lake and job do not belong together.
pub fn preview(
    settings: &RunSettings,
    request: &RunRequest,
    state: &State,
    found: &Discovered,
    schedule: Option<JobSchedule>,
) -> Result<Preview, RunError> {
    let now = settings.clock.now();
    let starts_at = schedule.map_or(now, |schedule| schedule.next_start);
    let run = prepare(settings, request, state, found, starts_at)?;
    let period = schedule.map_or(SignedDuration::from_hours(24), |schedule| schedule.every.average);
    let known = Known::at(starts_at, &state.coverage, &state.forgotten, &|_, _, _| false);
    let inputs = ForecastInputs {
        now,
        instant: Instant::now(),
        starts_at,
        budget: settings.client.rate_limiter().snapshot(),
        discovery_requests: run.discovery_requests,
        concurrency: settings.concurrency,
        request_duration: state.facts.request_duration(),
        deadline: request.job.deadline.map(|deadline| deadline.0),
        every: schedule.map(|schedule| schedule.every),
    };
    let forecast = forecast(&run.plan, &steady_state_plan(&run.wanted, &known, period), &inputs);
    Ok(Preview { run, forecast })
}
