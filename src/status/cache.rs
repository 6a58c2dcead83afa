//! The status that a process shows while it lives: made anew from the tail of the ledger whenever that is asked for.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::{Config, Location};
use crate::destination::{Destination, DestinationError};
use crate::error_text::error_chain;
use crate::ledger::{Ledger, LedgerError, State};
use crate::schedule::ScheduleError;
use crate::status::Status;

/// Why the status cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The destination cannot be opened.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A job has a schedule that is none.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
}

/// The status that a process shows while it lives.
#[derive(Debug)]
pub struct StatusCache {
    clock: Clock,
    shown_days: u16,
    config: Mutex<Arc<Config>>,
    ledger: Arc<tokio::sync::Mutex<Option<Ledger>>>,
    trouble: Mutex<Option<String>>,
    status: watch::Sender<Option<Arc<Status>>>,
}

impl StatusCache {
    /// A board of the lake that `config` names, with the last `shown_days` days. It shows nothing before it is refreshed.
    pub fn new(config: Arc<Config>, clock: Clock, shown_days: u16) -> Self {
        Self {
            clock,
            shown_days,
            config: Mutex::new(config),
            ledger: Arc::default(),
            trouble: Mutex::default(),
            status: watch::Sender::new(None),
        }
    }

    /// What is configured.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes another configuration. Its lake is read at the next refresh.
    pub async fn configure(&self, config: Arc<Config>) {
        let mut ledger = self.ledger.lock().await;
        if config.destination != self.config().destination {
            *ledger = None;
        }
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// The status as it was last made, and every one that follows; none before the first.
    pub fn statuses(&self) -> watch::Receiver<Option<Arc<Status>>> {
        self.status.subscribe()
    }

    /// Reads what was recorded since the last time, and makes the status anew.
    ///
    /// # Errors
    /// [`StatusError`]; the last status then stands.
    pub async fn refresh(&self) -> Result<Arc<Status>, StatusError> {
        let made = self.read_and_make().await;
        let trouble = made.as_ref().err().map(|error| error_chain(error));
        let was = std::mem::replace(&mut *self.trouble.lock().unwrap_or_else(PoisonError::into_inner), trouble.clone());
        match made {
            Ok(status) => {
                self.status.send_replace(Some(Arc::clone(&status)));
                Ok(status)
            }
            Err(error) => {
                // Whoever shows the status shows this beside it.
                if was != trouble {
                    self.status.send_modify(|_| {});
                }
                Err(error)
            }
        }
    }

    /// Why the lake could not be read when it was looked at last; none where it could.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many days are shown.
    pub fn shown_days(&self) -> u16 {
        self.shown_days
    }

    async fn read_and_make(&self) -> Result<Arc<Status>, StatusError> {
        self.read().await?;
        let shown_days = self.shown_days;
        let made = self.with_state(move |state, config, now| Status::of(state, config, now, shown_days)).await?;
        Ok(Arc::new(made))
    }

    /// Looks at the ledger as it was last read, at the configuration and at the time; on a thread of its own, since a
    /// large lake has a million days.
    pub async fn with_state<T: Send + 'static>(
        &self,
        look: impl FnOnce(&State, &Config, Timestamp) -> T + Send + 'static,
    ) -> T {
        let ledger = Arc::clone(&self.ledger).lock_owned().await;
        let (config, now) = (self.config(), self.clock.now());
        let looking = tokio::task::spawn_blocking(move || {
            let nothing = State::default();
            look(ledger.as_ref().map_or(&nothing, Ledger::state), &config, now)
        });
        // Nobody cancels it, so this is a panic, which goes on where it was caused.
        looking.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    /// Reads the tail of the ledger. A lake that is not there yet is not made by looking.
    async fn read(&self) -> Result<(), StatusError> {
        let mut ledger = self.ledger.lock().await;
        if let Some(ledger) = &mut *ledger {
            return Ok(ledger.refresh().await?);
        }
        let config = self.config();
        if let Ok(Location::Local(path)) = config.destination.location()
            && !path.exists()
        {
            return Ok(());
        }
        let (lake, clock) = (Destination::open(&config.destination)?, self.clock.clone());
        *ledger = Some(Ledger::open_lake(lake, clock, config.catalog()).await?);
        Ok(())
    }
}
