//! What a process knows of its own runs and of its lake, for everything that shows it: made once, fed by events, and
//! read anew from the ledger when a run has got further.

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
use crate::status::{Status, StatusCache};

/// How often the lake is looked at while a run is under way.
const DURING_A_RUN: Duration = Duration::from_secs(30);
/// How often it is looked at otherwise: days become due, and other processes write.
const BETWEEN_RUNS: Duration = Duration::from_secs(300);
/// How long the telling of alerts may hold up the end of the program; with what remembers it, half a minute.
const LONGEST_TELLING: Duration = Duration::from_secs(25);
/// The same after a signal, when a service manager counts the seconds already.
const LONGEST_TELLING_AFTER_A_SIGNAL: Duration = Duration::from_secs(3);
/// How much of that looking at the lake may take.
const LONGEST_LOOK: Duration = Duration::from_secs(10);
/// Days of coverage that are shown.
const SHOWN_DAYS: u16 = 90;

/// What a process knows of its runs and its lake. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ProcessMonitor {
    /// What is being done now.
    pub live: ActivityMonitor,
    /// What stands.
    pub cache: Arc<StatusCache>,
    /// Both in figures.
    pub metrics: Metrics,
    /// Tells someone what is the matter.
    dispatcher: Arc<AlertDispatcher>,
    clock: Clock,
    /// What was seen of the lake last.
    looked: watch::Sender<Option<LakeView>>,
    /// Sends both to where OpenTelemetry says.
    #[cfg(feature = "otlp")]
    otlp: Option<Otlp>,
    /// The lake may be another one now.
    look_again: Arc<tokio::sync::Notify>,
    /// Whether it was told that the text file cannot be written.
    is_told: Arc<AtomicBool>,
}

/// What was seen of a lake at one time.
#[derive(Debug, Clone)]
struct LakeView {
    /// What was configured then, which says what lake it was.
    config: Arc<Config>,
    /// What stands, or why that cannot be told.
    status: Result<Arc<Status>, String>,
}

impl ProcessMonitor {
    /// Knows nothing yet but what was format_count by an earlier process with the same text file.
    pub fn new(config: &Config, clock: &Clock) -> Self {
        let cache = StatusCache::new(Arc::new(config.clone()), clock.clone(), SHOWN_DAYS);
        let live = ActivityMonitor::new(clock.clone());
        let metrics = Metrics::new(clock.clone());
        let dispatcher = AlertDispatcher::new(clock.clone(), live.events().and(metrics.events()));
        Self {
            #[cfg(feature = "otlp")]
            otlp: otlp(&metrics, clock),
            live,
            cache: Arc::new(cache),
            metrics,
            dispatcher: Arc::new(dispatcher),
            clock: clock.clone(),
            looked: watch::Sender::new(None),
            look_again: Arc::default(),
            is_told: Arc::default(),
        }
    }

    /// Hears the events of runs.
    pub fn events(&self) -> EventSink {
        let events = self.live.events().and(self.metrics.events()).and(self.dispatcher.events());
        #[cfg(feature = "otlp")]
        let events = self.otlp.iter().fold(events, |events, otlp| events.and(otlp.events()));
        events
    }

    /// This process begins jobs itself, from now on with `config`.
    pub async fn begin_jobs(&self, config: Arc<Config>) {
        self.cache.set_config(config).await;
        self.dispatcher.start_scheduling();
        self.look_again.notify_one();
    }

    /// Looks at the lake, and writes the text file where one is set. That the lake cannot be read is told, and what was
    /// known stands.
    pub async fn refresh(&self) {
        let looked = loop {
            let config = self.cache.config();
            let status = self.cache.refresh().await.map_err(|error| error_chain(&error));
            // Else it may be that of another lake.
            if Arc::ptr_eq(&config, &self.cache.config()) {
                break LakeView { config, status };
            }
        };
        match &looked.status {
            Ok(status) => self.metrics.observe_status(status),
            Err(problem) => {
                tracing::warn!("the lake cannot be looked at, so what is shown of it is old: {problem}");
            }
        }
        let expires = looked.config.api.key_expires;
        self.metrics.set_key_expiry(expires.map(|last| DayZone::Utc.start_of(last.next())));
        self.write_textfile();
        self.looked.send_replace(Some(looked));
    }

    /// Leaves what is to be left when no more will be looked at: the text file, and what was not sent yet.
    pub async fn shut_down(self) {
        self.write_textfile();
        #[cfg(feature = "otlp")]
        if let Some(otlp) = self.otlp {
            otlp.end().await;
        }
    }

    /// Writes the text file where one is set. That it cannot be written is told once, and fails nothing.
    fn write_textfile(&self) {
        let config = self.cache.config();
        let Some(path) = &config.metrics.textfile else {
            return;
        };
        let written = write_textfile(path, &self.metrics.textfile());
        let was_told = self.is_told.swap(written.is_err(), Ordering::Relaxed);
        if let Err(error) = written
            && !was_told
        {
            tracing::warn!("{}; the export goes on without", error_chain(&error));
        }
    }

    /// Tells what is the matter each time the lake was looked at, for as long as it is polled.
    pub async fn dispatch_alerts(&self) {
        let mut looked = self.looked.subscribe();
        while looked.changed().await.is_ok() {
            self.tell().await;
        }
    }

    /// Tells what is the matter when no more will be looked at. That takes no longer than a service manager waits, and hardly
    /// any time once `cancel` is cancelled, as a signal does.
    pub async fn notify_before_exit(&self, cancel: &CancellationToken) {
        let config = self.cache.config();
        if config.alert_targets.is_empty() {
            return;
        }
        let telling = async {
            match tokio::time::timeout(LONGEST_LOOK, self.refresh()).await {
                Ok(()) => self.tell().await,
                // A lake that is slow is no trouble yet; what runs told is known all the same.
                Err(_) => self.dispatcher.evaluate(&config, None, None).await,
            }
        };
        let was_stopped = cancel.is_cancelled();
        let stopped = async {
            match was_stopped {
                true => std::future::pending().await,
                false => cancel_on_signal(cancel.clone()).await,
            }
        };
        let within = if was_stopped { LONGEST_TELLING_AFTER_A_SIGNAL } else { LONGEST_TELLING };
        let is_told = tokio::select! {
            told = tokio::time::timeout(within, telling) => told.is_ok(),
            () = stopped => false,
        };
        if !is_told {
            tracing::warn!("alerts could not all be told in time; the next run or daemon tells the rest");
            self.dispatcher.save().await;
        }
    }

    async fn tell(&self) {
        let looked = self.looked.borrow().clone();
        if let Some(LakeView { config, status }) = looked {
            let problem = status.as_ref().err().map(String::as_str);
            self.dispatcher.evaluate(&config, status.as_deref().ok(), problem).await;
        }
    }

    /// Tells that `jobs` could not begin: without a key or a place to write there is no run that could tell.
    pub async fn report_failed_start(&self, jobs: &[&JobConfig], failure: &Failure, cancel: &CancellationToken) {
        let outcome = match failure.code {
            exit::UNAVAILABLE => Outcome::Unavailable,
            _ => Outcome::ConfigMismatch,
        };
        for job in jobs {
            self.events().emit(&Event::RunFinished(Box::new(RunFinished {
                run: Uuid::now_v7(),
                job: job.name.clone(),
                outcome,
                summary: format!("{}: could not begin", job.name),
                problem: Some(failure.message.clone()),
                hint: failure.hint.clone(),
                is_destination_error: failure.is_of_destination,
                started_at: self.clock.now(),
                elapsed: Duration::ZERO,
                counters: Counters::default(),
            })));
        }
        self.notify_before_exit(cancel).await;
    }

    /// Looks at the lake again and again, for as long as it is polled: when a run begins or ends, and from time to time.
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
                    () = self.look_again.notified() => break,
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

/// What sends over OTLP, where the environment wants it. That it cannot be followed is told; exports matter more.
#[cfg(feature = "otlp")]
fn otlp(metrics: &Metrics, clock: &Clock) -> Option<Otlp> {
    let started = Otlp::start(|name| std::env::var(name).ok(), metrics, clock);
    started.unwrap_or_else(|error| {
        tracing::warn!("nothing is sent over OTLP: {}", error_chain(&error));
        None
    })
}
