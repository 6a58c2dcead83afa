//! When a plan will be complete, and whether its schedule has room for it. The plan is played forward through the rate
//! limiter's own rules.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::time::Instant;

use crate::api::{RateLimitState, completion_times};
use crate::model::day::Day;
use crate::model::periods::Periods;
use crate::plan::{Plan, PlannedSlice};

/// The duration of a request before one has been measured.
const TYPICAL_REQUEST: Duration = Duration::from_secs(1);

/// What a forecast is made from, besides the plan.
#[derive(Debug, Clone)]
pub struct ForecastInputs {
    pub now: Timestamp,
    /// The same time for the rate limiter.
    pub instant: Instant,
    pub starts_at: Timestamp,
    /// The rate limit as it is known at `now`.
    pub budget: RateLimitState,
    /// Requests of discovery, which come before the plan's.
    pub discovery_requests: u64,
    pub concurrency: usize,
    /// The average duration of a request, if it is known.
    pub request_duration: Option<Duration>,
    pub deadline: Option<Duration>,
    /// The time from one start to the next; `None` for jobs that run by hand.
    pub every: Option<Periods>,
}

/// When a plan will be complete, and whether its schedule has room for it.
#[derive(Debug, Clone)]
pub struct Forecast {
    pub starts_at: Timestamp,
    /// How long after the start each slice is complete, in the plan's order.
    pub complete_after: Vec<Duration>,
    /// How long after the start everything that is due now is complete.
    pub due_complete_after: Duration,
    pub backfill: Option<BackfillForecast>,
    pub steady_state: SteadyStateForecast,
}

/// When the days before everything exported so far will be complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackfillForecast {
    pub first: Day,
    pub last: Day,
    pub slices: u64,
    pub requests: u64,
    /// `None` if regular runs leave no requests for it.
    #[serde(rename = "done_at")]
    pub complete_at: Option<Timestamp>,
}

/// What each run needs once everything before it is exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SteadyStateForecast {
    /// Requests of discovery included.
    pub requests: u64,
    /// How long the requests take if the rate limit is unused at the start.
    pub duration: Duration,
    /// How long a run may take: until its deadline, or its next start; `None` for jobs that run by hand without one.
    pub room: Option<Duration>,
}

impl SteadyStateForecast {
    /// Whether a run can end in the time that it has.
    pub fn fits(&self) -> bool {
        self.room.is_none_or(|room| self.duration <= room)
    }
}

/// Plays `plan` forward; `steady_state` is the plan of a run that follows a complete one.
pub fn forecast(plan: &Plan, steady_state: &Plan, inputs: &ForecastInputs) -> Forecast {
    let ForecastInputs { starts_at, discovery_requests, .. } = *inputs;
    let until_start = Duration::try_from(starts_at.duration_since(inputs.now)).unwrap_or_default();
    let unused = inputs.budget.after_idle_window();
    let budget = if inputs.budget.window() <= until_start { &unused } else { &inputs.budget };
    let duration = inputs.request_duration.unwrap_or(TYPICAL_REQUEST);
    // By number of requests, from zero to all of them: an index is a sum over the plan's slices, so it is never beyond the end.
    let times = |budget: &RateLimitState, requests: u64| {
        let mut times = vec![Duration::ZERO];
        times.extend(completion_times(budget, inputs.instant, requests, inputs.concurrency, duration));
        times
    };
    let times_of_plan = times(budget, plan.requests() + discovery_requests);
    let mut requests = discovery_requests;
    let complete_after = plan.slices.iter().map(|planned| {
        requests += planned.requests;
        times_of_plan[requests as usize]
    });
    let complete_after: Vec<Duration> = complete_after.collect();
    let due = plan.slices.iter().filter(|planned| !planned.is_backfill).map(|planned| planned.requests).sum::<u64>();
    let every = inputs.every.and_then(|every| Duration::try_from(every.longest).ok());
    let room = inputs.deadline.into_iter().chain(every).min();
    let requests = steady_state.requests() + discovery_requests;
    let steady_state = SteadyStateForecast { requests, duration: times(&unused, requests)[requests as usize], room };
    let deferred = room.map_or(0, |room| times_of_plan.iter().filter(|time| **time > room).count() as u64);
    let takes = if deferred == 0 {
        times_of_plan.last().copied().unwrap_or_default().try_into().ok()
    } else {
        time_of_runs(deferred, spare_requests(&steady_state, &unused), inputs.every.map(|every| every.average))
    };
    Forecast {
        starts_at,
        complete_after,
        due_complete_after: times_of_plan[(due + discovery_requests) as usize],
        backfill: backfill(plan, takes.and_then(|takes: SignedDuration| starts_at.checked_add(takes).ok())),
        steady_state,
    }
}

/// How long it takes until runs that leave `spare` requests each have sent `requests` of them.
fn time_of_runs(requests: u64, spare: u64, every: Option<SignedDuration>) -> Option<SignedDuration> {
    let runs = (spare > 0).then(|| requests.div_ceil(spare))?;
    every?.checked_mul(i32::try_from(runs).ok()?)
}

/// Requests that a run leaves for the backfill.
fn spare_requests(steady_state: &SteadyStateForecast, budget: &RateLimitState) -> u64 {
    let Some(room) = steady_state.room else {
        return u64::from(budget.usable());
    };
    let windows = room.as_secs_f64() / budget.window().as_secs_f64();
    ((f64::from(budget.usable()) * windows) as u64).saturating_sub(steady_state.requests)
}

fn backfill(plan: &Plan, complete_at: Option<Timestamp>) -> Option<BackfillForecast> {
    let slices: Vec<&PlannedSlice> = plan.slices.iter().filter(|planned| planned.is_backfill).collect();
    let windows = || slices.iter().filter_map(|planned| planned.slice.window);
    Some(BackfillForecast {
        first: windows().map(|window| window.start).min()?,
        last: windows().map(|window| window.last()).max()?,
        slices: slices.len() as u64,
        requests: slices.iter().map(|planned| planned.requests).sum(),
        complete_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backfill_takes_as_many_runs_as_its_requests_need() {
        let day = SignedDuration::from_hours(24);
        assert_eq!(time_of_runs(100, 50, Some(day)), Some(day * 2));
        assert_eq!(time_of_runs(101, 50, Some(day)), Some(day * 3));
        assert_eq!(time_of_runs(100, 0, Some(day)), None, "runs that leave no requests");
        assert_eq!(time_of_runs(100, 50, None), None, "jobs without a schedule");
    }
}
