//! Runs every job at its time, one after another, until it is stopped.
//!
//! What is due is decided by the clock on the wall each time something wakes us ([`Starts`]), never by the timer that does
//! (`alarm.rs`): a timer that slept with the machine, or failed, costs a minute at most. Jobs run one at a time, since
//! they share one budget: a job never overlaps itself, and starts that come while another runs are served right after it.

mod alarm;
mod notify;
mod starts;

use std::pin::Pin;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_cron_scheduler::JobSchedulerError;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::daemon::alarm::Alarm;
use crate::schedule::Schedule;

pub use notify::Notify;
pub use starts::{Ended, LastRun, Start, Starts, Why};

/// How often the clock on the wall is looked at, whatever the timer does.
const LOOK: Duration = Duration::from_secs(10);
/// A start that is later than this, while nothing ran, was slept through.
const LATE: SignedDuration = SignedDuration::from_secs(60);

/// What the daemon calls.
pub trait Runner {
    /// Runs a job once, beginning with the configuration that is in force now.
    fn run(&self, start: Start) -> impl Future<Output = Ended>;
    /// Reads the configuration again; `None` keeps the old one.
    fn reload(&self) -> impl Future<Output = Option<Vec<(String, Schedule)>>>;
}

/// A run that is under way.
struct Running<'a> {
    job: String,
    began: Timestamp,
    run: Pin<Box<dyn Future<Output = Ended> + 'a>>,
}

/// Serves `starts` until `cancel`, or until a run ends that no other may follow. A run that is under way at `cancel` is
/// waited for: it hears of it by itself.
///
/// # Errors
/// When the timer cannot be started.
pub async fn serve(
    mut starts: Starts,
    clock: &Clock,
    runner: &impl Runner,
    mut reloads: mpsc::Receiver<()>,
    notify: &Notify,
    cancel: &CancellationToken,
) -> Result<(), JobSchedulerError> {
    let mut alarm = Alarm::start().await?;
    let often = LOOK.min(notify.keep_alive());
    let mut look = tokio::time::interval_at(Instant::now() + often, often);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut running: Option<Running<'_>> = None;
    tell_upcoming(&starts, clock.now(), None);
    notify.ready();
    loop {
        if running.is_none() {
            if cancel.is_cancelled() {
                break;
            }
            running = begin(&starts, clock, runner);
        }
        if let (None, Some(at)) = (&running, starts.next()) {
            alarm.set(at, clock.now()).await?;
        }
        let idle = running.is_none();
        let ended = async {
            match &mut running {
                Some(running) => running.run.as_mut().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = ended => {
                let over = running.take();
                if ended == Ended::Fatal {
                    break;
                }
                if let Some(Running { job, began, .. }) = over {
                    starts.ended(&job, began, clock.now(), ended);
                    tell_upcoming(&starts, clock.now(), Some(&job));
                }
            }
            () = alarm.heard() => {}
            _ = look.tick() => notify.alive(),
            Some(()) = reloads.recv() => {
                notify.reloading();
                if let Some(schedules) = runner.reload().await {
                    starts.reschedule(schedules, clock.now());
                    tell_upcoming(&starts, clock.now(), None);
                }
                notify.ready();
            }
            () = cancel.cancelled(), if idle => break,
        }
    }
    notify.stopping();
    alarm.stop().await
}

/// Begins the run that is due, and says why where it is not at its time.
fn begin<'a>(starts: &Starts, clock: &Clock, runner: &'a impl Runner) -> Option<Running<'a>> {
    let began = clock.now();
    let start = starts.due(began)?;
    let job = start.job.clone();
    let at = format!("{:.0}", start.at);
    match start.why {
        Why::Scheduled if LATE < began.duration_since(start.at) => {
            tracing::warn!(job, "the start at {at} was slept through: the job starts now");
        }
        Why::Missed => tracing::info!(job, "the start at {at} was missed while no daemon ran: the job starts now"),
        Why::GoesOn => tracing::info!(job, "the last run was cut short: the job goes on now"),
        Why::AfterARun => tracing::info!(job, "the start at {at} fell into a run: the job starts now"),
        Why::TriedAgain => tracing::info!(job, "the last run was in vain: the job is tried again"),
        Why::Scheduled => {}
    }
    Some(Running { job, began, run: Box::pin(runner.run(start)) })
}

/// Tells the next start of `job`, or of all jobs; one that has come tells of itself.
fn tell_upcoming(starts: &Starts, now: Timestamp, job: Option<&str>) {
    let lies_ahead = |(name, _, at): &(&str, &Schedule, Timestamp)| job.is_none_or(|job| job == *name) && now < *at;
    for (job, schedule, next) in starts.upcoming().filter(lies_ahead) {
        let shown = next.to_zoned(schedule.zone().clone()).strftime("%a %-d %b %H:%M:%S %Z");
        tracing::info!(job, "next run {shown}");
    }
}
