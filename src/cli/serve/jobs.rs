//! Runs jobs with the configuration that was read last.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::cli::deferred::deferred_lines;
use crate::cli::failure::Failure;
use crate::cli::process_monitor::ProcessMonitor;
use crate::cli::run::{code, failure};
use crate::cli::serve::schedules;
use crate::cli::setup::{configuration, goal, settings, warn_of_expiry};
use crate::cli::{GlobalOptions, exit};
use crate::config::Config;
use crate::run::{Outcome, RunSettings, run_job};
use crate::schedule::{DueRun, JobOutcome, JobRunner, Schedule};

/// Runs jobs with the configuration that was read last.
pub(super) struct Jobs {
    options: GlobalOptions,
    read: Mutex<Read>,
    monitor: ProcessMonitor,
    /// The exit code of what ended the daemon.
    code: AtomicU8,
}

/// What was read last. A run that is under way keeps what it began with.
#[derive(Clone)]
struct Read {
    config: Arc<Config>,
    settings: RunSettings,
}

impl Jobs {
    pub(super) fn new(options: GlobalOptions, config: Config, settings: RunSettings, monitor: ProcessMonitor) -> Self {
        let read = Mutex::new(Read { config: Arc::new(config), settings });
        Self { options, read, monitor, code: AtomicU8::new(exit::COMPLETE) }
    }

    /// The exit code of what ended the daemon.
    pub(super) fn code(&self) -> u8 {
        self.code.load(Ordering::Relaxed)
    }

    fn read(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_again(&self) -> Result<(Read, Vec<(String, Schedule)>), Failure> {
        let (sources, config) = configuration(&self.options)?;
        let schedules = schedules(&config)?;
        let old = self.read().clone();
        let RunSettings { events, cancel, clock, .. } = old.settings;
        let mut settings = settings(&sources, &config, clock, events, cancel)?;
        if config.api == old.config.api {
            // The budget of the hour goes on.
            settings.client = old.settings.client;
        }
        Ok((Read { config: Arc::new(config), settings }, schedules))
    }
}

impl JobRunner for Jobs {
    async fn run(&self, due: DueRun) -> JobOutcome {
        let Read { config, settings } = self.read().clone();
        let name = due.job;
        let Ok(job) = config.job(&name) else {
            return JobOutcome::Complete;
        };
        let goal = match goal(&config, job, settings.clock.now()) {
            Ok(goal) => goal,
            Err(failure) => {
                tracing::error!("{failure}");
                return JobOutcome::Complete;
            }
        };
        if settings.client.reload_key() {
            tracing::info!("another key stands in the place of the old one, and is used from now on");
        }
        warn_of_expiry(&config, settings.clock.now());
        let result = run_job(&settings, &goal).await;
        for left in deferred_lines(&result.deferred) {
            tracing::info!(job = name, "left for the next run: {left}");
        }
        let outcome = result.outcome;
        let ended = code(outcome, true);
        if let Some(failure) = failure(&settings, result, ended) {
            failure.tell(self.options.log_format);
        }
        // A rejected key stays rejected, and a lake that does not fit stays so: only a person can mend that.
        match outcome {
            Outcome::KeyRejected | Outcome::ConfigMismatch => {
                self.code.store(ended, Ordering::Relaxed);
                JobOutcome::Fatal
            }
            Outcome::Complete => JobOutcome::Complete,
            Outcome::Failed | Outcome::Incomplete => JobOutcome::Incomplete,
            Outcome::Unavailable => JobOutcome::Unavailable,
        }
    }

    async fn reload(&self) -> Option<Vec<(String, Schedule)>> {
        match self.read_again() {
            Ok((read, schedules)) => {
                tracing::info!("the configuration was read again; a run that is under way keeps the old one");
                if read.config.server.of_serve() != self.monitor.cache.config().server.of_serve() {
                    tracing::warn!("the status page stays where it is: another `server.listen` needs a restart");
                }
                self.monitor.begin_jobs(Arc::clone(&read.config)).await;
                *self.read() = read;
                Some(schedules)
            }
            Err(failure) => {
                tracing::error!("the new configuration is refused and the old one kept: {failure}");
                None
            }
        }
    }
}
