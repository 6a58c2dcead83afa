//! What a process knows of its own runs and of its lake, for everything that shows it: made once, fed by events, and
//! read anew from the ledger when a run has got further.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::alert::Teller;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::clock::Clock;
use crate::config::Config;
use crate::destination::Destination;
use crate::model::day::DayZone;
use crate::model::event::Events;
use crate::model::words::words;
#[cfg(feature = "otlp")]
use crate::otlp::Otlp;
use crate::report::{Live, Metrics, write_textfile};
use crate::status::Board;

/// How often the lake is looked at while a run is under way.
const DURING_A_RUN: Duration = Duration::from_secs(30);
/// How often it is looked at otherwise: days become due, and other processes write.
const BETWEEN_RUNS: Duration = Duration::from_secs(300);
/// How long the telling of alerts may hold up the end of the program.
const LONGEST_TELLING: Duration = Duration::from_secs(30);
/// Days of coverage that are shown.
const SHOWN_DAYS: u16 = 90;

/// What a process knows of its runs and its lake. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Watch {
    /// What is being done now.
    pub live: Live,
    /// What stands.
    pub board: Arc<Board>,
    /// Both in figures.
    pub metrics: Metrics,
    /// Tells someone what is the matter.
    teller: Arc<Teller>,
    /// Why the lake cannot be looked at.
    problem: watch::Sender<Option<String>>,
    /// Sends both to where OpenTelemetry says.
    #[cfg(feature = "otlp")]
    otlp: Option<Otlp>,
    /// Whether it was told that the text file cannot be written.
    is_told: Arc<AtomicBool>,
}

impl Watch {
    /// Knows nothing yet but what was counted by an earlier process with the same text file.
    ///
    /// # Errors
    /// When the destination cannot be opened, or no HTTP can be spoken.
    pub fn new(config: &Config, clock: &Clock) -> Result<Self, Failure> {
        let board = Board::new(Arc::new(config.clone()), clock.clone(), SHOWN_DAYS);
        let live = Live::new(clock.clone());
        let metrics = Metrics::new(clock.clone(), exit::of_name);
        // One that is not there, or cannot be read, is written all the same; that is told if it fails.
        let before = config.metrics.textfile.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        metrics.go_on_from(&before.unwrap_or_default());
        let lake = Destination::open(&config.destination)?;
        let teller = Teller::new(lake, clock.clone(), live.events().and(metrics.events()));
        let problem = watch::Sender::new(None);
        Ok(Self {
            #[cfg(feature = "otlp")]
            otlp: otlp(&metrics, clock),
            live,
            board: Arc::new(board),
            metrics,
            teller: Arc::new(teller),
            problem,
            is_told: Arc::default(),
        })
    }

    /// From now on this process starts jobs at their time, and those that were missed.
    pub fn serves(&self) {
        self.teller.serves();
    }

    /// Hears the events of runs.
    pub fn events(&self) -> Events {
        let events = self.live.events().and(self.metrics.events()).and(self.teller.events());
        #[cfg(feature = "otlp")]
        let events = self.otlp.iter().fold(events, |events, otlp| events.and(otlp.events()));
        events
    }

    /// Looks at the lake, and writes the text file where one is set. That the lake cannot be read is told, and what was
    /// known stands.
    pub async fn look(&self) {
        let problem = match self.board.refresh().await {
            Ok(status) => {
                self.metrics.stand(&status);
                None
            }
            Err(error) => Some(words(&error)),
        };
        if let Some(problem) = &problem {
            tracing::warn!("the lake cannot be looked at, so what is shown of it is old: {problem}");
        }
        let expires = self.board.config().api.key_expires;
        self.metrics.key_expires(expires.map(|last| DayZone::Utc.start_of(last.next())));
        self.write_textfile();
        self.problem.send_replace(problem);
    }

    /// Leaves what is to be left when no more will be looked at: the text file, and what was not sent yet.
    pub async fn leave(self) {
        self.write_textfile();
        #[cfg(feature = "otlp")]
        if let Some(otlp) = self.otlp {
            otlp.end().await;
        }
    }

    /// Writes the text file where one is set. That it cannot be written is told once, and fails nothing.
    fn write_textfile(&self) {
        let config = self.board.config();
        let Some(path) = &config.metrics.textfile else {
            return;
        };
        let written = write_textfile(path, &self.metrics.text());
        let was_told = self.is_told.swap(written.is_err(), Ordering::Relaxed);
        if let Err(error) = written
            && !was_told
        {
            tracing::warn!("{}; the export goes on without", words(&error));
        }
    }

    /// Tells what is the matter each time the lake was looked at, for as long as it is polled.
    pub async fn keep_telling(&self) {
        let mut looked = self.problem.subscribe();
        while looked.changed().await.is_ok() {
            self.tell().await;
        }
    }

    /// Tells what is the matter when no more will be looked at, and waits no longer for that than a service manager does.
    pub async fn tell_at_the_end(&self) {
        if self.board.config().alert_targets.is_empty() {
            return;
        }
        let telling = async {
            self.look().await;
            self.tell().await;
        };
        if tokio::time::timeout(LONGEST_TELLING, telling).await.is_err() {
            let seconds = LONGEST_TELLING.as_secs();
            tracing::warn!("alerts could not all be told within {seconds} s; the next run or daemon tells the rest");
        }
    }

    async fn tell(&self) {
        let (config, problem) = (self.board.config(), self.problem.borrow().clone());
        // What was known before the lake was out of reach may have changed since.
        let status = self.board.statuses().borrow().clone().filter(|_| problem.is_none());
        self.teller.turn(&config, status.as_deref(), problem.as_deref()).await;
    }

    /// Looks at the lake again and again, for as long as it is polled: when a run begins or ends, and from time to time.
    pub async fn keep_looking(&self) {
        let mut changes = self.live.changes();
        let mut running = None;
        loop {
            self.look().await;
            let interval = if running.is_some() { DURING_A_RUN } else { BETWEEN_RUNS };
            let until = Instant::now() + interval;
            loop {
                tokio::select! {
                    () = tokio::time::sleep_until(until) => break,
                    changed = changes.changed() => {
                        let now = self.live.doing().run.map(|run| run.run);
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
        tracing::warn!("nothing is sent over OTLP: {}", words(&error));
        None
    })
}
