//! `serve`: the daemon.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::cli::failure::Failure;
use crate::cli::left::left_lines;
use crate::cli::run::{code, failure, until_done};
use crate::cli::setup::{configuration, goal, schedule, settings};
use crate::cli::watch::Watch;
use crate::cli::{Surroundings, exit, logging};
use crate::clock::Clock;
use crate::config::Config;
use crate::daemon::{Runner, serve};
use crate::model::words::words;
use crate::run::{RunSettings, run_job};
use crate::schedule::Schedule;

#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Runs jobs of the configuration that was read last.
struct Jobs {
    around: Surroundings,
    config: Config,
    settings: RunSettings,
    watch: Watch,
    /// The exit code of what ended the daemon.
    code: u8,
}

pub async fn execute(around: &Surroundings, _: Arguments) -> Result<u8, Failure> {
    let (events, _progress) = logging::start(around, "serve");
    let (sources, config) = configuration(around)?;
    let schedules = schedules(&config)?;
    if schedules.is_empty() {
        return Err(Failure::new(exit::CONFIGURATION, "no job has a `cron`, so there is nothing to wait for")
            .hint("give a job its `cron` in jobs.toml, or run it once with `profound-export run`"));
    }
    let cancel = CancellationToken::new();
    let clock = Clock::system();
    let watch = Watch::new(&config, &clock);
    let events = events.and(watch.events());
    let settings = settings(&sources, &config, clock.clone(), events, cancel.clone())?;
    let mut jobs = Jobs { around: around.clone(), config, settings, watch: watch.clone(), code: exit::COMPLETE };
    let (reload, reloads) = mpsc::channel(1);
    let serving = async {
        tokio::select! {
            served = serve(schedules, &clock, &mut jobs, reloads, &cancel) => served,
            () = hear_reloads(reload) => Ok(()),
            () = watch.keep_looking() => Ok(()),
        }
    };
    let served = until_done(serving, cancel.clone()).await;
    served.map_err(|error| Failure::new(exit::FAILED, format!("the timer failed: {}", words(&error))))?;
    Ok(jobs.code)
}

impl Runner for Jobs {
    async fn run(&mut self, name: &str) -> bool {
        let Ok(job) = self.config.job(name) else {
            return true;
        };
        let goal = match goal(&self.config, job, self.settings.clock.now()) {
            Ok(goal) => goal,
            Err(failure) => {
                tracing::error!("{failure}");
                return true;
            }
        };
        let result = run_job(&self.settings, &goal).await;
        for left in left_lines(&result.left) {
            tracing::info!(job = name, "left for the next run: {left}");
        }
        let ended = code(result.outcome, true);
        if let Some(failure) = failure(&self.settings, result, ended) {
            eprintln!("{failure}");
        }
        // A rejected key stays rejected, and a lake that does not fit stays so: only a person can mend that.
        if matches!(ended, exit::KEY_REJECTED | exit::CONFIGURATION) {
            self.code = ended;
            return false;
        }
        true
    }

    async fn reload(&mut self) -> Option<BTreeMap<String, Schedule>> {
        let read = configuration(&self.around).and_then(|(sources, config)| {
            let schedules = schedules(&config)?;
            let same_api = config.api == self.config.api;
            let RunSettings { events, cancel, clock, .. } = self.settings.clone();
            let mut settings = settings(&sources, &config, clock, events, cancel)?;
            if same_api {
                // The budget of the hour goes on.
                settings.client = self.settings.client.clone();
            }
            Ok((config, settings, schedules))
        });
        match read {
            Ok((config, settings, schedules)) => {
                tracing::info!("the configuration was read again");
                self.watch.board.configure(Arc::new(config.clone())).await;
                (self.config, self.settings) = (config, settings);
                Some(schedules)
            }
            Err(failure) => {
                tracing::error!("the new configuration is refused and the old one kept: {failure}");
                None
            }
        }
    }
}

fn schedules(config: &Config) -> Result<BTreeMap<String, Schedule>, Failure> {
    let mut schedules = BTreeMap::new();
    for job in &config.jobs {
        if let Some(schedule) = schedule(job)? {
            schedules.insert(job.name.clone(), schedule);
        }
    }
    Ok(schedules)
}

/// Passes SIGHUP on, for as long as it is polled.
async fn hear_reloads(reload: mpsc::Sender<()>) {
    #[cfg(unix)]
    if let Ok(mut hangups) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) {
        while hangups.recv().await.is_some() {
            // One that waits already stands for this one too.
            reload.try_send(()).ok();
        }
    }
    std::future::pending::<()>().await;
    drop(reload);
}
