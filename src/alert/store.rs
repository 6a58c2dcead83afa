//! Persists the alert state as one small object of the lake, so that neither a restart nor another machine notifies twice.

use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;

use crate::alert::state::{AlertState, FORMAT, OLDEST_FORMAT};
use crate::config::{DestinationConfig, Location};
use crate::destination::{Destination, DestinationError, OWN_DIRECTORY};
use crate::error_text::error_chain;

/// A notification must not wait longer for a slow store.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The name of the lake in notifications, whether or not it can be opened. It is part of PagerDuty's deduplication key.
pub(super) fn lake_name(config: &DestinationConfig) -> String {
    match config.location() {
        Ok(Location::Local(path)) => std::path::absolute(&path).unwrap_or(path).display().to_string(),
        Ok(Location::Store(url)) => url.to_string(),
        Err(_) => config.url.clone(),
    }
}

/// The alert state of the process, and the version of it that the lake has.
#[derive(Debug, Default)]
pub(super) struct AlertStore {
    pub state: AlertState,
    /// None before the first read or write.
    stored: Option<AlertState>,
    config: Option<DestinationConfig>,
    lake: Option<Destination>,
}

impl AlertStore {
    /// Switches to the lake of `config`, and returns whether there was another one, whose state stays with it.
    pub fn switch_to(&mut self, config: &DestinationConfig) -> bool {
        let has_changed = self.config.as_ref().is_some_and(|known| known != config);
        if has_changed {
            *self = Self::default();
        }
        self.config = Some(config.clone());
        has_changed
    }

    /// Reads the state of the lake, unless this process has changes to write. A failed read keeps the state.
    pub async fn refresh(&mut self) {
        if self.stored.as_ref().is_some_and(|stored| *stored != self.state) {
            return;
        }
        let Some(lake) = self.lake() else {
            return;
        };
        let Some(stored) = with_timeout("read", read(&lake)).await else {
            return;
        };
        match &self.stored {
            // What this process observed before its first read is added to the state of the lake.
            None => self.state.merge(stored.clone()),
            Some(_) => self.state = stored.clone(),
        }
        self.stored = Some(stored);
    }

    /// Writes the state if it differs from the lake's. A failed write is repeated the next time.
    pub async fn save(&mut self) {
        if self.stored.as_ref().map_or(self.state == AlertState::default(), |stored| *stored == self.state) {
            return;
        }
        let Some(lake) = self.lake() else {
            return;
        };
        // Names and text serialize.
        let bytes = serde_json::to_vec_pretty(&self.state).unwrap_or_default();
        if with_timeout("write", lake.overwrite(&path(), Bytes::from(bytes))).await.is_some() {
            self.stored = Some(self.state.clone());
        }
    }

    /// None before the lake exists, which this must not create, or if it cannot be opened, which its reader reports.
    fn lake(&mut self) -> Option<Destination> {
        let config = self.config.as_ref()?;
        if let Ok(Location::Local(path)) = config.location()
            && !path.exists()
        {
            return None;
        }
        if self.lake.is_none() {
            self.lake = Destination::open(config).ok();
        }
        self.lake.clone()
    }
}

fn path() -> Path {
    Path::from_iter([OWN_DIRECTORY, "alerts.json"])
}

/// An unreadable state starts empty: alerts that fire are then notified once more.
async fn read(lake: &Destination) -> Result<AlertState, DestinationError> {
    let Some(bytes) = lake.read(&path()).await? else {
        return Ok(AlertState::default());
    };
    match serde_json::from_slice::<AlertState>(&bytes) {
        Ok(state) if (OLDEST_FORMAT..=FORMAT).contains(&state.format) => Ok(AlertState { format: FORMAT, ..state }),
        _ => {
            tracing::warn!(path = %path(), "unreadable alert state, starting empty");
            Ok(AlertState::default())
        }
    }
}

/// The result, unless it failed or took too long.
async fn with_timeout<T>(action: &str, result: impl Future<Output = Result<T, DestinationError>>) -> Option<T> {
    let problem = match tokio::time::timeout(TIMEOUT, result).await {
        Ok(Ok(value)) => return Some(value),
        Ok(Err(error)) => error_chain(&error),
        Err(_) => format!("no response within {} s", TIMEOUT.as_secs()),
    };
    tracing::warn!(action, problem, "alert state unavailable, notifications may repeat");
    None
}
