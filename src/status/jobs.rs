//! Each configured job: its last run, its next one, and how far it is behind.

use jiff::Timestamp;
use serde::Serialize;

use crate::config::Config;
use crate::ledger::{RunSummary, State};
use crate::model::outcome::Outcome;
use crate::schedule::{Schedule, ScheduleError};
use crate::status::streams::StreamStatus;

/// One configured job.
#[derive(Debug, Clone, Serialize)]
pub struct JobStatus {
    /// Its name.
    pub name: String,
    /// The IANA name of the zone whose clock its schedule means.
    pub timezone: String,
    /// Its last run that ended, backfills included.
    pub last_run: Option<RunSummary>,
    /// When its last complete run ended, of those the ledger remembers.
    pub last_success: Option<Timestamp>,
    /// When a run of it last began, also one that has not ended.
    pub last_start: Option<Timestamp>,
    /// When the run of it began that is under way, in whichever process, as far as the ledger tells.
    pub running_since: Option<Timestamp>,
    /// Its next start; none where it runs only by hand.
    pub next_run: Option<Timestamp>,
    /// The two starts after that.
    pub later_runs: Vec<Timestamp>,
    /// Age of the oldest day that it owes, in seconds since that day ended; zero where nothing is owed.
    pub lag_seconds: u64,
    /// The stream of that day.
    pub worst_stream: Option<String>,
}

/// All configured jobs.
pub(super) fn of(
    state: &State,
    config: &Config,
    streams: &[StreamStatus],
    now: Timestamp,
) -> Result<Vec<JobStatus>, ScheduleError> {
    let job = |job: &crate::config::JobConfig| {
        let schedule = job.cron.as_ref().map(|cron| Schedule::new(cron, &job.timezone)).transpose()?;
        let mut upcoming = schedule.iter().flat_map(|schedule| schedule.upcoming(now)).take(3);
        let mut runs = state.runs.iter().rev().filter(|run| run.end.job == job.name);
        let success = runs.clone().find(|run| run.end.outcome == Outcome::Complete && !run.end.backfill);
        let own = config.streams_of(job).unwrap_or_default();
        let is_own = |stream: &&StreamStatus| own.iter().any(|own| own.name == stream.name);
        let worst = streams.iter().filter(is_own).max_by_key(|stream| stream.lag_seconds);
        let worst = worst.filter(|stream| 0 < stream.lag_seconds);
        let open = || state.open_runs.values().filter(|run| run.job == job.name && !run.backfill);
        let alive = open().filter(|run| run.is_alive(now));
        let begun = state.runs.iter().filter(|run| run.end.job == job.name && !run.end.backfill);
        let last_start = open().map(|run| run.at).chain(begun.map(|run| run.end.started_at)).max();
        Ok(JobStatus {
            name: job.name.clone(),
            timezone: job.timezone.clone(),
            last_run: runs.next().cloned(),
            last_success: success.map(|run| run.ended_at),
            last_start,
            running_since: alive.map(|run| run.at).min(),
            next_run: upcoming.next(),
            later_runs: upcoming.collect(),
            lag_seconds: worst.map_or(0, |stream| stream.lag_seconds),
            worst_stream: worst.map(|stream| stream.name.clone()),
        })
    };
    config.jobs.iter().map(job).collect()
}
