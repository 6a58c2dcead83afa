//! What a process knows of its runs and its lake, shared by page, metrics, alerts and traces. Events feed it during a run; the ledger is re-read
//! when a run starts or ends and at intervals.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::alert::AlertDispatcher;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::setup::cancel_on_signal;
use crate::clock::Clock;
use crate::config::{Config, JobConfig};
use crate::error_text::error_chain;
use crate::model::counters::Counters;
use crate::model::day::DayZone;
use crate::model::event::{Event, EventSink, RunFinished};
use crate::model::outcome::Outcome;
#[cfg(feature = "otlp")]
use crate::observe::otlp::Otlp;
use crate::observe::{ActivityMonitor, Metrics, write_textfile};
#[cfg(not(feature = "otlp"))]
use crate::observe::{SIGNALS, is_exported};
use crate::status::{Status, StatusCache};

/// Refresh interval during a run.
const DURING_A_RUN: Duration = Duration::from_secs(30);
/// Refresh interval otherwise: days become due, and other processes write.
const BETWEEN_RUNS: Duration = Duration::from_secs(300);
/// Notifications delay the end of the program by at most this; with saving the alert state, half a minute.
const NOTIFY_TIMEOUT: Duration = Duration::from_secs(25);
/// After a signal, when a service manager already counts the seconds.
const NOTIFY_TIMEOUT_AFTER_SIGNAL: Duration = Duration::from_secs(3);
/// The share of that for reading the lake.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(10);
const SHOWN_DAYS: u16 = 90;

/// The observers of a process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ProcessMonitor {
    pub live: ActivityMonitor,
    pub cache: Arc<StatusCache>,
    pub metrics: Metrics,
    dispatcher: Arc<AlertDispatcher>,
    clock: Clock,
    /// The last refresh.
    view: watch::Sender<Option<LakeView>>,
    #[cfg(feature = "otlp")]
    otlp: Option<Otlp>,
    /// Requests a refresh, because the configured lake may have changed.
    refresh_now: Arc<tokio::sync::Notify>,
    /// A warning about the text file was logged.
    has_warned: Arc<AtomicBool>,
}

/// The status of a lake, or why it could not be read.
#[derive(Debug, Clone)]
struct LakeView {
    /// Names the lake that the status is of.
    config: Arc<Config>,
    status: Result<Arc<Status>, String>,
}

impl ProcessMonitor {
    /// Continues the counters of an earlier process with the same text file.
    pub fn new(config: &Config, clock: &Clock) -> Self {
        let cache = StatusCache::new(Arc::new(config.clone()), clock.clone(), SHOWN_DAYS);
        let live = ActivityMonitor::new(clock.clone());
        let metrics = Metrics::new(clock.clone());
        let dispatcher = AlertDispatcher::new(clock.clone(), live.events().and(metrics.events()));
        #[cfg(not(feature = "otlp"))]
        if SIGNALS.iter().any(|signal| is_exported(|name| std::env::var(name).ok(), signal)) {
            tracing::warn!(
                error = "this program was built without the feature `otlp`",
                "OTLP is off, exports continue"
            );
        }
        Self {
            #[cfg(feature = "otlp")]
            otlp: otlp(&metrics, clock),
            live,
            cache: Arc::new(cache),
            metrics,
            dispatcher: Arc::new(dispatcher),
            clock: clock.clone(),
            view: watch::Sender::new(None),
            refresh_now: Arc::default(),
            has_warned: Arc::default(),
        }
    }

    pub fn events(&self) -> EventSink {
        let events = self.live.events().and(self.metrics.events()).and(self.dispatcher.events());
        #[cfg(feature = "otlp")]
        let events = self.otlp.iter().fold(events, |events, otlp| events.and(otlp.events()));
        events
    }

    /// From now on this process starts jobs, with `config`.
    pub async fn begin_jobs(&self, config: Arc<Config>) {
        self.cache.set_config(config).await;
        self.dispatcher.start_scheduling();
        self.refresh_now.notify_one();
    }

    /// Refreshes the status and writes the metrics text file, if one is configured. If the lake cannot be read, the previous status is kept.
    pub async fn refresh(&self) {
        let view = loop {
            let config = self.cache.config();
            let status = self.cache.refresh().await.map_err(|error| error_chain(&error));
            // After a reload the status may be of the old lake.
            if Arc::ptr_eq(&config, &self.cache.config()) {
                break LakeView { config, status };
            }
        };
        match &view.status {
            Ok(status) => self.metrics.observe_status(status),
            Err(problem) => {
                tracing::warn!(problem = %problem, "status of the lake not read, showing the last one");
            }
        }
        let expires = view.config.api.key_expires;
        self.metrics.set_key_expiry(expires.map(|last| DayZone::Utc.start_of(last.next())));
        self.write_textfile();
        self.view.send_replace(Some(view));
    }

    /// Writes the final text file and sends the remaining traces.
    pub async fn shut_down(self) {
        self.write_textfile();
        #[cfg(feature = "otlp")]
        if let Some(otlp) = self.otlp {
            otlp.end().await;
        }
    }

    /// Writes the text file, if one is configured. A failure is logged once and fails no export.
    fn write_textfile(&self) {
        let config = self.cache.config();
        let Some(path) = &config.metrics.textfile else {
            return;
        };
        let written = write_textfile(path, &self.metrics.textfile());
        let had_warned = self.has_warned.swap(written.is_err(), Ordering::Relaxed);
        if let Err(error) = written
            && !had_warned
        {
            tracing::warn!(error = error_chain(&error), "metrics text file not written, exports continue");
        }
    }

    /// Evaluates alerts after each refresh, until dropped.
    pub async fn dispatch_alerts(&self) {
        let mut view = self.view.subscribe();
        while view.changed().await.is_ok() {
            self.evaluate_alerts().await;
        }
    }

    /// Evaluates alerts once more before the process exits. Limited to less than the time that a service manager waits, and to a few seconds once
    /// `cancel` is cancelled by a signal.
    pub async fn notify_before_exit(&self, cancel: &CancellationToken) {
        let config = self.cache.config();
        if config.alert_targets.is_empty() {
            return;
        }
        let notifying = async {
            match tokio::time::timeout(REFRESH_TIMEOUT, self.refresh()).await {
                Ok(()) => self.evaluate_alerts().await,
                // A slow lake is not a problem yet, and the events of runs are known without it.
                Err(_) => self.dispatcher.evaluate(&config, None, None).await,
            }
        };
        let was_stopped = cancel.is_cancelled();
        let stopped =
            async { if was_stopped { std::future::pending().await } else { cancel_on_signal(cancel.clone()).await } };
        let within = if was_stopped { NOTIFY_TIMEOUT_AFTER_SIGNAL } else { NOTIFY_TIMEOUT };
        let is_done = tokio::select! {
            notified = tokio::time::timeout(within, notifying) => notified.is_ok(),
            () = stopped => false,
        };
        if !is_done {
            tracing::warn!("notifications not all sent in time; the next run or daemon sends the rest");
            self.dispatcher.save().await;
        }
    }

    async fn evaluate_alerts(&self) {
        let view = self.view.borrow().clone();
        if let Some(LakeView { config, status }) = view {
            let problem = status.as_ref().err().map(String::as_str);
            self.dispatcher.evaluate(&config, status.as_deref().ok(), problem).await;
        }
    }

    /// Reports that `jobs` could not start, because without a key or a destination there is no run to report it, and shuts
    /// down.
    pub async fn end_without_start(self, jobs: &[&JobConfig], failure: Failure, cancel: &CancellationToken) -> Failure {
        let outcome = match failure.code {
            exit::UNAVAILABLE => Outcome::Unavailable,
            _ => Outcome::ConfigMismatch,
        };
        for job in jobs {
            self.events().emit(&Event::RunFinished(Box::new(RunFinished {
                run: Uuid::now_v7(),
                job: job.name.clone(),
                outcome,
                summary: format!("{}: could not start", job.name),
                problem: Some(failure.message.clone()),
                hint: failure.hint.clone(),
                is_destination_error: failure.is_of_destination,
                started_at: self.clock.now(),
                elapsed: Duration::ZERO,
                counters: Counters::default(),
            })));
        }
        self.notify_before_exit(cancel).await;
        self.shut_down().await;
        failure
    }

    /// Refreshes when a run starts or ends, and at intervals, until dropped.
    pub async fn refresh_periodically(&self) {
        let mut changes = self.live.changes();
        let mut running = None;
        loop {
            self.refresh().await;
            let interval = if running.is_some() { DURING_A_RUN } else { BETWEEN_RUNS };
            let until = Instant::now() + interval;
            loop {
                tokio::select! {
                    () = tokio::time::sleep_until(until) => break,
                    () = self.refresh_now.notified() => break,
                    changed = changes.changed() => {
                        let now = self.live.activity().run.map(|run| run.run);
                        if changed.is_err() || now != running {
                            running = now;
                            break;
                        }
                    }
                }
            }
        }
    }
}

/// The OTLP exporter, if the environment configures it. An invalid configuration is a warning: exports matter more.
#[cfg(feature = "otlp")]
fn otlp(metrics: &Metrics, clock: &Clock) -> Option<Otlp> {
    let started = Otlp::start(|name| std::env::var(name).ok(), metrics, clock);
    started.unwrap_or_else(|error| {
        tracing::warn!(error = error_chain(&error), "OTLP is off, exports continue");
        None
    })
}
