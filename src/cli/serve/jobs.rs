//! Runs jobs with the last configuration that was loaded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::Mutex;

use crate::cli::deferred::deferred_lines;
use crate::cli::failure::Failure;
use crate::cli::process_monitor::ProcessMonitor;
use crate::cli::run::{code, failure};
use crate::cli::serve::schedules;
use crate::cli::setup::{configuration, goal, settings, warn_of_expiry};
use crate::cli::{GlobalOptions, exit};
use crate::config::Config;
use crate::run::{Outcome, RunSettings, run_job};
use crate::schedule::{DueRun, JobRunner, Schedule};

/// Runs jobs with the last configuration that was loaded.
pub(super) struct Jobs {
    options: GlobalOptions,
    loaded: Mutex<LoadedConfig>,
    monitor: ProcessMonitor,
    /// The exit code of what ended the daemon.
    code: AtomicU8,
}

/// The last configuration. A run in progress keeps the one it started with.
#[derive(Clone)]
struct LoadedConfig {
    config: Arc<Config>,
    settings: RunSettings,
}

impl Jobs {
    pub(super) fn new(options: GlobalOptions, config: Config, settings: RunSettings, monitor: ProcessMonitor) -> Self {
        let loaded = Mutex::new(LoadedConfig { config: Arc::new(config), settings });
        Self { options, loaded, monitor, code: AtomicU8::new(exit::COMPLETE) }
    }

    /// The exit code of what ended the daemon.
    pub(super) fn code(&self) -> u8 {
        self.code.load(Ordering::Relaxed)
    }

    fn reload_config(&self) -> Result<(LoadedConfig, Vec<(String, Schedule)>), Failure> {
        let (sources, config) = configuration(&self.options)?;
        let schedules = schedules(&config)?;
        let old = self.loaded.lock().clone();
        let RunSettings { events, cancel, clock, .. } = old.settings;
        let mut settings = settings(&sources, &config, clock, events, cancel)?;
        if config.api == old.config.api {
            // The client keeps the rate-limit window.
            settings.client = old.settings.client;
        }
        Ok((LoadedConfig { config: Arc::new(config), settings }, schedules))
    }
}

impl JobRunner for Jobs {
    async fn run(&self, due: DueRun) -> Outcome {
        let LoadedConfig { config, settings } = self.loaded.lock().clone();
        let name = due.job;
        let Ok(job) = config.job(&name) else {
            return Outcome::Complete;
        };
        let goal = match goal(&config, job, settings.clock.now()) {
            Ok(goal) => goal,
            Err(failure) => {
                tracing::error!(job = name, problem = %failure, "job not started, its configuration is invalid");
                return Outcome::Complete;
            }
        };
        if settings.client.reload_key() {
            tracing::info!("API key changed, using the new one");
        }
        warn_of_expiry(&config, settings.clock.now());
        let result = run_job(&settings, &goal).await;
        for deferred in deferred_lines(&result.deferred) {
            tracing::info!(job = name, "slices deferred to the next run: {deferred}");
        }
        let outcome = result.outcome;
        let ended = code(outcome, true);
        if let Some(failure) = failure(&settings, result, ended) {
            failure.print(self.options.log_format);
        }
        if outcome.is_permanent() {
            self.code.store(ended, Ordering::Relaxed);
        }
        outcome
    }

    async fn reload(&self) -> Option<Vec<(String, Schedule)>> {
        match self.reload_config() {
            Ok((loaded, schedules)) => {
                tracing::info!("configuration reloaded; a run in progress keeps the old one");
                if loaded.config.server.of_serve() != self.monitor.cache.config().server.of_serve() {
                    tracing::warn!("status page keeps its address: a new `server.listen` needs a restart");
                }
                self.monitor.begin_jobs(Arc::clone(&loaded.config)).await;
                *self.loaded.lock() = loaded;
                Some(schedules)
            }
            Err(failure) => {
                tracing::error!(problem = %failure, "configuration not reloaded, the old one is kept");
                None
            }
        }
    }
}
