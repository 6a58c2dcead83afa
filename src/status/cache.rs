//! The status that a running process shows, refreshed from the ledger's tail.

use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

use crate::clock::Clock;
use crate::config::{Config, Location};
use crate::destination::{Destination, DestinationError};
use crate::error_text::{error_chain, escape_controls};
use crate::ledger::{Ledger, LedgerError, Record, State};
use crate::schedule::ScheduleError;
use crate::status::Status;
use crate::status::run_details::RunDetails;

/// Why the status cannot be computed.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    #[error(transparent)]
    Destination(#[from] DestinationError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
}

impl StatusError {
    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Destination(error) => Some(error.hint()),
            Self::Ledger(error) => Some(error.hint()),
            Self::Schedule(_) => None,
        }
    }
}

/// A [`StatusError`] as texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    /// The error without its sources.
    pub message: String,
    pub chain: String,
    pub hint: Option<&'static str>,
}

impl ReadError {
    fn new(error: &StatusError) -> Self {
        Self { message: escape_controls(&error.to_string()), chain: error_chain(error), hint: error.hint() }
    }
}

/// The last status of the configured lake. The page, metrics and alerts of a process read this one value.
#[derive(Debug)]
pub struct StatusCache {
    clock: Clock,
    shown_days: u16,
    config: Mutex<Arc<Config>>,
    ledger: Arc<tokio::sync::Mutex<Option<Ledger>>>,
    error: Mutex<Option<ReadError>>,
    status: watch::Sender<Option<Arc<Status>>>,
}

impl StatusCache {
    /// An empty cache of the lake that `config` names. Each status covers the last `shown_days` days.
    pub fn new(config: Arc<Config>, clock: Clock, shown_days: u16) -> Self {
        Self {
            clock,
            shown_days,
            config: Mutex::new(config),
            ledger: Arc::default(),
            error: Mutex::default(),
            status: watch::Sender::new(None),
        }
    }

    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.lock())
    }

    /// Replaces the configuration. If it names another lake, the next refresh reads that one.
    pub async fn set_config(&self, config: Arc<Config>) {
        let mut ledger = self.ledger.lock().await;
        if config.destination != self.config().destination {
            *ledger = None;
        }
        *self.config.lock() = config;
    }

    /// The last status and all that follow; `None` before the first refresh.
    pub fn subscribe(&self) -> watch::Receiver<Option<Arc<Status>>> {
        self.status.subscribe()
    }

    /// Reads the ledger's tail and computes the status.
    ///
    /// # Errors
    /// [`StatusError`]; subscribers keep the previous status.
    pub async fn refresh(&self) -> Result<Arc<Status>, StatusError> {
        let computed = self.read_and_compute().await;
        let error = computed.as_ref().err().map(ReadError::new);
        let previous = std::mem::replace(&mut *self.error.lock(), error.clone());
        match &computed {
            Ok(status) => {
                self.status.send_replace(Some(Arc::clone(status)));
            }
            // Subscribers show the error next to the old status, so a new error is a change.
            Err(_) if previous != error => self.status.send_modify(|_| {}),
            Err(_) => {}
        }
        computed
    }

    /// Why the last refresh failed.
    pub fn error(&self) -> Option<ReadError> {
        self.error.lock().clone()
    }

    pub fn shown_days(&self) -> u16 {
        self.shown_days
    }

    async fn read_and_compute(&self) -> Result<Arc<Status>, StatusError> {
        self.read_ledger().await?;
        let shown_days = self.shown_days;
        let status = self.with_state(move |state, config, now| Status::of(state, config, now, shown_days)).await?;
        Ok(Arc::new(status))
    }

    /// Computes something from the last ledger state, on a blocking thread: the ledger of a large lake has a million days.
    pub async fn with_state<T: Send + 'static>(
        &self,
        compute: impl FnOnce(&State, &Config, Timestamp) -> T + Send + 'static,
    ) -> T {
        let ledger = Arc::clone(&self.ledger).lock_owned().await;
        let (config, now) = (self.config(), self.clock.now());
        let computing = tokio::task::spawn_blocking(move || {
            let empty = State::default();
            compute(ledger.as_ref().map_or(&empty, Ledger::state), &config, now)
        });
        // The task is never cancelled, so the only join error is a panic of `compute`.
        computing.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    /// The slices of `run`, from its records in the lake. `None` for a run that the ledger does not have, or no longer keeps.
    ///
    /// # Errors
    /// A record cannot be read.
    pub async fn run_details(&self, run: Uuid) -> Result<Option<RunDetails>, LedgerError> {
        let (omitted, records) = {
            let ledger = self.ledger.lock().await;
            let Some(ledger) = &*ledger else { return Ok(None) };
            let Some((numbers, omitted)) = RunDetails::records_of(ledger.state(), run) else { return Ok(None) };
            (omitted, ledger.records(numbers))
        };
        let records: Vec<Record> = records.await?;
        Ok(Some(RunDetails::new(run, &records, omitted)))
    }

    /// Opens the ledger or reads its tail. A local lake that does not exist is not created by looking at it.
    async fn read_ledger(&self) -> Result<(), StatusError> {
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
