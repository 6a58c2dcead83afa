//! Each configured job: last run, next run, lag.

use jiff::Timestamp;
use serde::Serialize;

use crate::config::{Config, JobConfig};
use crate::ledger::{RunSummary, State};
use crate::model::outcome::Outcome;
use crate::schedule::{Schedule, ScheduleError};
use crate::status::streams::StreamStatus;

/// Runs of a trend.
const TREND_RUNS: usize = 30;

/// A finished run, as a point of the trend of its job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrendPoint {
    pub started_at: Timestamp,
    pub outcome: Outcome,
    pub milliseconds: u64,
    pub requests: u64,
    pub rows: u64,
}

impl TrendPoint {
    fn new(run: &RunSummary) -> Self {
        let milliseconds = run.ended_at.duration_since(run.end.started_at).as_millis();
        Self {
            started_at: run.end.started_at,
            outcome: run.end.outcome,
            milliseconds: u64::try_from(milliseconds).unwrap_or_default(),
            requests: run.end.counters.requests,
            rows: run.end.counters.rows,
        }
    }
}

/// One configured job.
#[derive(Debug, Clone, Serialize)]
pub struct JobStatus {
    pub name: String,
    /// IANA name of the schedule's time zone.
    pub timezone: String,
    /// The last run that ended, backfills included.
    pub last_run: Option<RunSummary>,
    /// End of the last complete run among those that the ledger keeps.
    pub last_success: Option<Timestamp>,
    /// Start of the last run, also of one that has not ended.
    pub last_start: Option<Timestamp>,
    /// Start of the run that is in progress in any process, as far as the ledger shows.
    pub running_since: Option<Timestamp>,
    /// Start of a run that is newer than the last run and was killed, as far as the ledger shows.
    pub killed_since: Option<Timestamp>,
    /// The last runs, oldest first. Backfills are left out: their length says nothing about the next run.
    pub trend: Vec<TrendPoint>,
    /// Slices that the last run left to the next one, without backfill; zero if it ended before it had a plan.
    pub deferred: Option<u64>,
    /// `None` for a job without a schedule.
    pub next_run: Option<Timestamp>,
    /// The two runs after `next_run`.
    pub later_runs: Vec<Timestamp>,
    /// Seconds since the oldest owed day ended; zero if no day is owed.
    pub lag_seconds: u64,
    /// The stream that owes that day.
    pub worst_stream: Option<String>,
}

pub(super) fn of(
    state: &State,
    config: &Config,
    streams: &[StreamStatus],
    now: Timestamp,
) -> Result<Vec<JobStatus>, ScheduleError> {
    let job = |job: &JobConfig| {
        let schedule = job.cron.as_ref().map(|cron| Schedule::new(cron, &job.timezone)).transpose()?;
        let mut upcoming = schedule.iter().flat_map(|schedule| schedule.upcoming(now)).take(3);
        let ended = || state.runs.iter().rev().filter(|run| run.end.job == job.name);
        let regular = || ended().filter(|run| !run.end.backfill);
        let mut trend: Vec<TrendPoint> = regular().take(TREND_RUNS).map(TrendPoint::new).collect();
        trend.reverse();
        let open = || state.open_runs.values().filter(|run| run.job == job.name && !run.backfill);
        let own = config.streams_of(job).unwrap_or_default();
        let is_behind =
            |stream: &&StreamStatus| stream.lag_seconds > 0 && own.iter().any(|own| own.name == stream.name);
        let worst = streams.iter().filter(is_behind).max_by_key(|stream| stream.lag_seconds);
        Ok(JobStatus {
            name: job.name.clone(),
            timezone: job.timezone.clone(),
            last_run: ended().next().cloned(),
            last_success: regular().find(|run| run.end.outcome == Outcome::Complete).map(|run| run.ended_at),
            last_start: open().map(|run| run.at).chain(regular().map(|run| run.end.started_at)).max(),
            running_since: open().filter(|run| run.is_alive(now)).map(|run| run.at).min(),
            killed_since: open()
                .filter(|run| !run.is_alive(now) && regular().next().is_none_or(|last| last.number < run.number))
                .map(|run| run.at)
                .max(),
            deferred: regular().next().and_then(|run| run.end.deferred()),
            trend,
            next_run: upcoming.next(),
            later_runs: upcoming.collect(),
            lag_seconds: worst.map_or(0, |stream| stream.lag_seconds),
            worst_stream: worst.map(|stream| stream.name.clone()),
        })
    };
    config.jobs.iter().map(job).collect()
}
