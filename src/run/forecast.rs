//! When a plan will be done, and whether its schedule has room for it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::api::{RateLimitState, completion_times};
use crate::model::day::Day;
use crate::model::periods::Periods;
use crate::plan::{Plan, PlannedSlice};

/// What a request is thought to take before one has been seen.
const TYPICAL_REQUEST: Duration = Duration::from_secs(1);

/// What a forecast is made from, beside the plan.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// The time.
    pub now: Timestamp,
    /// The same time, as the budget counts it.
    pub instant: Instant,
    /// When the run starts.
    pub starts_at: Timestamp,
    /// What is known of the budget at `now`.
    pub budget: RateLimitState,
    /// Requests for lists that name objects, which come before the plan's.
    pub discovery_requests: u64,
    /// Slices at once.
    pub concurrency: usize,
    /// What a request takes on average, where that is known.
    pub request_takes: Option<Duration>,
    /// How long a run may take at most.
    pub deadline: Option<Duration>,
    /// The time from one start to the next; none for jobs that run by hand.
    pub every: Option<Periods>,
}

/// When a plan will be done, and whether its schedule has room for it.
#[derive(Debug, Clone)]
pub struct Forecast {
    /// When the run starts.
    pub starts_at: Timestamp,
    /// How long after the start each slice of the plan will be over, in the plan's order.
    pub over: Vec<Duration>,
    /// How long after the start everything that is due now will be over.
    pub due_takes: Duration,
    /// How long the run may take: until its deadline, or its next start; none for jobs that run by hand without one.
    pub room: Option<Duration>,
    /// What lies before everything that was read; none where nothing does.
    pub history: Option<HistoryForecast>,
    /// What each run needs once everything before it is there.
    pub night: NightForecast,
}

/// When the days before everything that was read will be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryForecast {
    /// The first day.
    pub first: Day,
    /// The last day.
    pub last: Day,
    /// Slices.
    pub slices: u64,
    /// Requests.
    pub requests: u64,
    /// When they will be there at the pace of what runs leave over; none where they leave nothing.
    pub done_at: Option<Timestamp>,
}

/// What each run needs once everything before it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NightForecast {
    /// Requests, those for lists that name objects included.
    pub requests: u64,
    /// How long they take when the budget is whole at the start.
    pub takes: Duration,
    /// How long they may take: the deadline, or the time to the next start; none for jobs that run by hand.
    pub room: Option<Duration>,
}

impl NightForecast {
    /// Whether a run can end in the time that it has.
    pub fn fits(&self) -> bool {
        self.room.is_none_or(|room| self.takes <= room)
    }
}

/// Plays `plan` forward; `night` is the plan of a run that follows a complete one.
pub fn forecast(plan: &Plan, night: &Plan, around: &Circumstances) -> Forecast {
    let until_start = Duration::try_from(around.starts_at.duration_since(around.now)).unwrap_or_default();
    let whole = around.budget.after_idle_window();
    let budget = if around.budget.window() <= until_start { &whole } else { &around.budget };
    let request_takes = around.request_takes.unwrap_or(TYPICAL_REQUEST);
    let times = |budget: &RateLimitState, requests: u64| {
        completion_times(budget, around.instant, requests, around.concurrency, request_takes)
    };
    let requests = plan.requests() + around.discovery_requests;
    let times_of_plan = times(budget, requests);
    let after = |count: u64| last_of(&times_of_plan, count);
    let mut count = around.discovery_requests;
    let mut over = Vec::with_capacity(plan.slices.len());
    for planned in &plan.slices {
        count += planned.requests;
        over.push(after(count));
    }
    let due = plan.slices.iter().filter(|planned| !planned.history).map(|planned| planned.requests).sum::<u64>();
    let night_requests = night.requests() + around.discovery_requests;
    let night = NightForecast {
        requests: night_requests,
        takes: last_of(&times(&whole, night_requests), night_requests),
        room: around.room(),
    };
    let late = night.room.map_or(0, |room| times_of_plan.iter().filter(|over| room < **over).count() as u64);
    let history = history(plan).map(|history| HistoryForecast {
        done_at: match late {
            0 => around.after(SignedDuration::try_from(after(requests)).ok()),
            late => around.after(runs_for(late, spare(&night, &whole), around.every.map(|every| every.average))),
        },
        ..history
    });
    Forecast {
        starts_at: around.starts_at,
        over,
        due_takes: after(due + around.discovery_requests),
        room: night.room,
        history,
        night,
    }
}

impl Circumstances {
    /// How long a run may take at most: until its deadline, or its next start.
    fn room(&self) -> Option<Duration> {
        let every = self.every.and_then(|every| Duration::try_from(every.longest).ok());
        self.deadline.into_iter().chain(every).min()
    }

    /// An instant so long after the start.
    fn after(&self, time: Option<SignedDuration>) -> Option<Timestamp> {
        self.starts_at.checked_add(time?).ok()
    }
}

/// How long it takes until runs that leave over `spare` requests each have made `requests` of them.
fn runs_for(requests: u64, spare: u64, every: Option<SignedDuration>) -> Option<SignedDuration> {
    let runs = requests.checked_add(spare.checked_sub(1)?)? / spare;
    every?.checked_mul(i32::try_from(runs).ok()?)
}

fn last_of(times: &[Duration], count: u64) -> Duration {
    let last = usize::try_from(count).ok().and_then(|count| count.checked_sub(1));
    last.and_then(|last| times.get(last)).copied().unwrap_or_default()
}

/// Requests that a run leaves over for history.
fn spare(night: &NightForecast, budget: &RateLimitState) -> u64 {
    let Some(room) = night.room else {
        return u64::from(budget.usable());
    };
    let periods = room.as_secs_f64() / budget.window().as_secs_f64();
    ((f64::from(budget.usable()) * periods) as u64).saturating_sub(night.requests)
}

fn history(plan: &Plan) -> Option<HistoryForecast> {
    let past: Vec<&PlannedSlice> = plan.slices.iter().filter(|planned| planned.history).collect();
    let windows = || past.iter().filter_map(|planned| planned.slice.window);
    Some(HistoryForecast {
        first: windows().map(|window| window.start).min()?,
        last: windows().map(|window| window.last()).max()?,
        slices: past.len() as u64,
        requests: past.iter().map(|planned| planned.requests).sum(),
        done_at: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_takes_as_many_runs_as_its_requests_need() {
        let day = SignedDuration::from_hours(24);
        assert_eq!(runs_for(100, 50, Some(day)), Some(day * 2));
        assert_eq!(runs_for(101, 50, Some(day)), Some(day * 3));
        assert_eq!(runs_for(100, 0, Some(day)), None, "runs that leave nothing over");
        assert_eq!(runs_for(100, 50, None), None, "nobody knows when it runs again");
    }
}
