//! The daemon's scheduler: runs every job when it is due, one job at a time, until it is stopped.
//!
//! What is due is decided by the wall clock each time something wakes the loop ([`ScheduledJobs`]), never by the timer that wakes
//! it: a timer that was suspended with the machine, or failed, delays a run by [`POLL_INTERVAL`] at most. Jobs run one at a time
//! because they share one rate limit: a job never overlaps itself, and runs that become due meanwhile follow right after.

use std::pin::Pin;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_cron_scheduler::JobSchedulerError;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::model::outcome::Outcome;
use crate::schedule::cron::Schedule;
use crate::schedule::scheduled_jobs::{DueRun, ScheduledJobs, Trigger};
use crate::schedule::systemd::SystemdNotifier;
use crate::schedule::wake_timer::WakeTimer;

/// How often the wall clock is checked, even if the timer fails.
const POLL_INTERVAL: Duration = Duration::from_secs(10);
/// A run that starts later than this although nothing else ran was missed because the system was suspended.
const LATE: SignedDuration = SignedDuration::from_secs(60);

/// What the scheduler calls.
pub trait JobRunner {
    /// Runs a job once, with the configuration that is in force when it starts.
    fn run(&self, due: DueRun) -> impl Future<Output = Outcome>;
    /// Reloads the configuration; `None` keeps the previous one.
    fn reload(&self) -> impl Future<Output = Option<Vec<(String, Schedule)>>>;
}

struct ActiveJob<'a> {
    job: String,
    started_at: Timestamp,
    run: Pin<Box<dyn Future<Output = Outcome> + 'a>>,
}

/// Runs `jobs` until `cancel`, or until an outcome [is permanent](Outcome::is_permanent). A run that is active at `cancel` is waited for: it
/// observes the token itself.
///
/// # Errors
/// When the timer cannot be started.
pub async fn serve(
    mut jobs: ScheduledJobs,
    clock: &Clock,
    runner: &impl JobRunner,
    mut reloads: mpsc::Receiver<()>,
    systemd: &SystemdNotifier,
    cancel: &CancellationToken,
) -> Result<(), JobSchedulerError> {
    let mut timer = WakeTimer::start().await?;
    let interval = systemd.keep_alive().map_or(POLL_INTERVAL, |keep_alive| keep_alive.min(POLL_INTERVAL));
    let mut poll = tokio::time::interval_at(Instant::now() + interval, interval);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut active: Option<ActiveJob<'_>> = None;
    log_next_runs(&jobs, clock.now(), None);
    systemd.ready();
    loop {
        if active.is_none() {
            if cancel.is_cancelled() {
                break;
            }
            active = start_due(&jobs, clock, runner);
        }
        if let (None, Some(at)) = (&active, jobs.next()) {
            timer.set(at, clock.now()).await?;
        }
        let is_idle = active.is_none();
        let finished = async {
            match &mut active {
                Some(active) => active.run.as_mut().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            outcome = finished => {
                let finished = active.take();
                if outcome.is_permanent() {
                    break;
                }
                if let Some(ActiveJob { job, started_at, .. }) = finished {
                    jobs.record_run(&job, started_at, clock.now(), outcome);
                    log_next_runs(&jobs, clock.now(), Some(&job));
                }
            }
            () = timer.wait() => {}
            _ = poll.tick() => systemd.alive(),
            Some(()) = reloads.recv() => {
                systemd.reloading();
                if let Some(schedules) = runner.reload().await {
                    jobs.reschedule(schedules, clock.now());
                    log_next_runs(&jobs, clock.now(), None);
                }
                systemd.ready();
            }
            () = cancel.cancelled(), if is_idle => break,
        }
    }
    systemd.stopping();
    timer.stop().await
}

/// Starts the run that is due, and logs why if it is not on time.
fn start_due<'a>(jobs: &ScheduledJobs, clock: &Clock, runner: &'a impl JobRunner) -> Option<ActiveJob<'a>> {
    let started_at = clock.now();
    let due = jobs.due(started_at)?;
    let (job, scheduled_at) = (due.job.clone(), format!("{:.0}", due.at));
    match due.trigger {
        Trigger::Scheduled if started_at.duration_since(due.at) > LATE => {
            tracing::warn!(job, scheduled_at, "missed scheduled run (system asleep), starting now");
        }
        Trigger::Missed => tracing::info!(job, scheduled_at, "missed scheduled run (daemon not running), starting now"),
        Trigger::Resume => tracing::info!(job, "previous run was interrupted, resuming now"),
        Trigger::Delayed => tracing::info!(job, scheduled_at, "scheduled run waited for another run, starting now"),
        Trigger::Retry => tracing::info!(job, "previous run could not reach the API or the destination, retrying"),
        Trigger::Scheduled => {}
    }
    Some(ActiveJob { job, started_at, run: Box::pin(runner.run(due)) })
}

/// Logs the next run of `job`, or of all jobs. A run that is due already is logged when it starts.
fn log_next_runs(jobs: &ScheduledJobs, now: Timestamp, job: Option<&str>) {
    let is_shown = |(name, _, at): &(&str, &Schedule, Timestamp)| job.is_none_or(|job| job == *name) && *at > now;
    for (job, schedule, next) in jobs.upcoming().filter(is_shown) {
        let next_run = next.to_zoned(schedule.zone().clone()).strftime("%a %-d %b %H:%M:%S %Z").to_string();
        tracing::info!(job, next_run, "next run scheduled");
    }
}
