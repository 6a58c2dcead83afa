//! `serve`: the daemon.

mod jobs;
mod systemd;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::cli::failure::Failure;
use crate::cli::process_monitor::ProcessMonitor;
use crate::cli::run::until_done;
use crate::cli::serve::jobs::Jobs;
use crate::cli::serve::systemd::report_activity;
use crate::cli::setup::{configuration, schedule, settings};
use crate::cli::status_page::show;
use crate::cli::{GlobalOptions, exit, logging};
use crate::clock::Clock;
use crate::config::Config;
use crate::error_text::error_chain;
use crate::ledger::State;
use crate::run::alive_runs;
use crate::schedule::{PreviousRun, Schedule, ScheduledJobs, SystemdNotifier, serve};

pub async fn execute(options: &GlobalOptions) -> Result<u8, Failure> {
    let (events, _progress) = logging::start(options, "serve");
    let (reload, reloads) = mpsc::channel(1);
    let reloading = forward_reloads(reload);
    let (sources, config) = configuration(options)?;
    let schedules = schedules(&config)?;
    if schedules.is_empty() {
        return Err(Failure::new(exit::CONFIGURATION, "no job has a `cron`, so there is nothing to schedule")
            .hint("give a job its `cron` in jobs.toml, or run it once with `profound-export run`"));
    }
    let cancel = CancellationToken::new();
    let clock = Clock::system();
    let monitor = ProcessMonitor::new(&config, &clock);
    let events = events.and(monitor.events());
    let settings = match settings(&sources, &config, clock.clone(), events, cancel.clone()) {
        Ok(settings) => settings,
        Err(failure) => {
            let jobs: Vec<_> = config.jobs.iter().filter(|job| job.cron.is_some()).collect();
            return Err(monitor.end_without_start(&jobs, failure, &cancel).await);
        }
    };
    monitor.begin_jobs(Arc::new(config.clone())).await;
    let address = config.server.of_serve();
    let jobs = Jobs::new(options.clone(), config, settings, monitor.clone());
    let notify = SystemdNotifier::from_environment();
    let serving = async {
        monitor.refresh().await;
        let last_runs = monitor.cache.with_state(|state, _, now| {
            for (job, since) in alive_runs(state, now) {
                tracing::warn!(job, %since, "another process is running this job, skipping what it exports");
            }
            last_runs(state)
        });
        let scheduled = ScheduledJobs::new(schedules, &last_runs.await, clock.now());
        tokio::select! {
            served = serve(scheduled, &clock, &jobs, reloads, &notify, &cancel) => served,
            () = reloading => Ok(()),
            () = monitor.refresh_periodically() => Ok(()),
            () = monitor.dispatch_alerts() => Ok(()),
            () = report_activity(&monitor, &notify) => Ok(()),
        }
    };
    let shown = async {
        tokio::select! {
            served = serving => served,
            // The page is up while the first read of a large lake is still in progress.
            () = show(&monitor, &clock, address) => Ok(()),
        }
    };
    let served = until_done(shown, cancel.clone()).await?;
    monitor.notify_before_exit(&cancel).await;
    // Writes the metrics of the last run and of its notifications.
    monitor.shut_down().await;
    served.map_err(|error| Failure::new(exit::FAILED, format!("the timer failed: {}", error_chain(&error))))?;
    Ok(jobs.code())
}

/// When each job last ran, to find missed and interrupted runs.
fn last_runs(state: &State) -> BTreeMap<String, PreviousRun> {
    let mut last: BTreeMap<String, PreviousRun> = BTreeMap::new();
    let ended = state.runs.iter().filter(|run| !run.end.backfill).map(|run| {
        // A run that lacks only backfill is not repeated before its next scheduled start.
        let is_interrupted = run.end.is_cut_short();
        (&run.end.job, PreviousRun { started_at: run.end.started_at, is_interrupted })
    });
    let open = state.open_runs.values().filter(|run| !run.backfill);
    let killed = open.map(|run| (&run.job, PreviousRun { started_at: run.at, is_interrupted: true }));
    for (job, run) in ended.chain(killed) {
        let known = last.entry(job.clone()).or_insert(run);
        if known.started_at <= run.started_at {
            *known = run;
        }
    }
    last
}

/// The schedules of jobs that have one, in the order of the configuration file.
fn schedules(config: &Config) -> Result<Vec<(String, Schedule)>, Failure> {
    let mut schedules = Vec::new();
    for job in &config.jobs {
        if let Some(schedule) = schedule(job)? {
            schedules.push((job.name.clone(), schedule));
        }
    }
    Ok(schedules)
}

/// Forwards SIGHUP until dropped. The handler is installed by the call itself, because without one SIGHUP ends the process.
fn forward_reloads(reload: mpsc::Sender<()>) -> impl Future<Output = ()> {
    #[cfg(unix)]
    let hangups = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup());
    async move {
        #[cfg(unix)]
        if let Ok(mut hangups) = hangups {
            while hangups.recv().await.is_some() {
                // A reload that is already queued covers this signal too.
                reload.try_send(()).ok();
            }
        }
        std::future::pending::<()>().await;
        drop(reload);
    }
}
