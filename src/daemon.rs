//! Runs every job at its time, one after another, until it is stopped.
//!
//! tokio-cron-scheduler only wakes us, by one-shot jobs. When a job is due is computed each time from its cron
//! expression and its zone, because the scheduler keeps a fixed offset across daylight-saving changes; what is due is
//! decided by the ledger. Jobs run one at a time, since they share one budget: a job never overlaps itself, and a
//! start that comes while another job runs is served right after it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::schedule::Schedule;

/// Starts waiting to be served; each job waits at most once.
const WAITING: usize = 64;

/// What the daemon calls when a job is due.
pub trait Runner {
    /// Runs the job once. `false` when no job may run any more.
    fn run(&mut self, job: &str) -> impl Future<Output = bool>;
    /// Reads the schedules again, after SIGHUP; `None` keeps the old ones.
    fn reload(&mut self) -> impl Future<Output = Option<BTreeMap<String, Schedule>>>;
}

/// Serves `schedules` until `cancel`, or until the runner says that no job may run any more.
///
/// # Errors
/// When the timer cannot be started.
pub async fn serve(
    mut schedules: BTreeMap<String, Schedule>,
    clock: &Clock,
    runner: &mut impl Runner,
    mut reloads: mpsc::Receiver<()>,
    cancel: &CancellationToken,
) -> Result<(), JobSchedulerError> {
    let mut timer = JobScheduler::new().await?;
    timer.start().await?;
    let (wake, mut woken) = mpsc::channel(WAITING);
    let mut due = BTreeMap::new();
    for (name, schedule) in &schedules {
        arm(&timer, name, schedule, clock.now(), &wake, &mut due).await?;
    }
    let mut go_on = true;
    while go_on {
        tokio::select! {
            Some(name) = woken.recv() => {
                let name: String = name;
                // A start of a schedule that was replaced meanwhile, or one a moment early, is not due.
                let is_due = due.get(&name).is_some_and(|at| *at <= clock.now());
                let Some(schedule) = schedules.get(&name).filter(|_| is_due) else {
                    rearm(&timer, &name, &schedules, clock, &wake, &mut due).await?;
                    continue;
                };
                go_on = runner.run(&name).await;
                // Starts that fell into the run are covered by it: the next one lies ahead.
                arm(&timer, &name, schedule, clock.now(), &wake, &mut due).await?;
            }
            Some(()) = reloads.recv() => {
                if let Some(read) = runner.reload().await {
                    schedules = read;
                    due.clear();
                    for (name, schedule) in &schedules {
                        arm(&timer, name, schedule, clock.now(), &wake, &mut due).await?;
                    }
                }
            }
            () = cancel.cancelled() => break,
        }
    }
    timer.shutdown().await
}

/// Wakes again at the time that was missed by a moment.
async fn rearm(
    timer: &JobScheduler,
    name: &str,
    schedules: &BTreeMap<String, Schedule>,
    clock: &Clock,
    wake: &mpsc::Sender<String>,
    due: &mut BTreeMap<String, Timestamp>,
) -> Result<(), JobSchedulerError> {
    let Some(at) = due.get(name).copied().filter(|_| schedules.contains_key(name)) else {
        return Ok(());
    };
    wake_at(timer, name, at, clock.now(), wake).await
}

/// Wakes at the first start after `now`.
async fn arm(
    timer: &JobScheduler,
    name: &str,
    schedule: &Schedule,
    now: Timestamp,
    wake: &mpsc::Sender<String>,
    due: &mut BTreeMap<String, Timestamp>,
) -> Result<(), JobSchedulerError> {
    let Some(next) = schedule.next_after(now) else {
        return Ok(());
    };
    due.insert(name.to_owned(), next);
    tracing::info!(job = name, "next run {}", next.to_zoned(schedule.zone().clone()).strftime("%a %-d %b %H:%M:%S %Z"));
    wake_at(timer, name, next, now, wake).await
}

async fn wake_at(
    timer: &JobScheduler,
    name: &str,
    at: Timestamp,
    now: Timestamp,
    wake: &mpsc::Sender<String>,
) -> Result<(), JobSchedulerError> {
    let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
    let (name, wake) = (name.to_owned(), wake.clone());
    let job = Job::new_one_shot_async(wait, move |_, _| {
        let (name, wake) = (name.clone(), wake.clone());
        Box::pin(async move {
            // The daemon is gone: nobody needs to be woken.
            wake.send(name).await.ok();
        })
    })?;
    timer.add(job).await.map(|_| ())
}
