//! What requests, tests and the control endpoints share of a running simulator.

use std::sync::Arc;
use std::time::{Duration, Instant};

use catalog::Catalog;
use catalog::clock::Clock;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;

use crate::data::account::Account;
use crate::data::dataset::Dataset;

use super::active_faults::ActiveFaults;
use super::rate_limit::FixedWindow;

/// One request of the API.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReceivedRequest {
    /// When, by the simulated clock.
    pub at: Timestamp,
    /// How long after the start of the server, by a clock that no test sets.
    #[serde(rename = "seconds", serialize_with = "as_seconds")]
    pub since_start: Duration,
    pub method: String,
    pub path: String,
    /// The query string, without a key.
    pub query: String,
    /// Null if the body is empty or not JSON.
    pub body: Value,
    /// The stream whose request is most like this one, if any is.
    pub stream: Option<String>,
    /// How many requests it counts as, granted or not.
    pub cost: u32,
    /// The status of the response; 0 while there is none.
    pub status: u16,
}

fn as_seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// A running simulator.
#[derive(Debug)]
pub(crate) struct SimulatorState {
    pub(crate) started: Instant,
    pub(crate) live: Mutex<LiveState>,
}

/// What changes while the server runs.
#[derive(Debug)]
pub(crate) struct LiveState {
    pub(crate) clock: Clock,
    pub(crate) key: String,
    pub(crate) is_key_revoked: bool,
    pub(crate) faults: ActiveFaults,
    pub(crate) window: FixedWindow,
    pub(crate) dataset: Dataset,
    pub(crate) received: Vec<ReceivedRequest>,
}

impl SimulatorState {
    pub(crate) fn new(catalog: Arc<Catalog>, account: Account) -> Self {
        let clock = account.now.map_or_else(Clock::system, Clock::starting_at);
        let live = LiveState {
            key: account.key.clone(),
            is_key_revoked: false,
            faults: ActiveFaults::default(),
            window: FixedWindow::new(account.requests_per_period, account.period),
            dataset: Dataset::new(catalog, account, clock.now()),
            clock,
            received: Vec::new(),
        };
        Self { started: Instant::now(), live: Mutex::new(live) }
    }

    /// Everything that rows depend on, now.
    pub(crate) fn dataset(&self) -> Dataset {
        let live = self.live.lock();
        Dataset { now: live.clock.now(), ..live.dataset.clone() }
    }
}

impl LiveState {
    /// Changes the first `rows` rows of each scope of the list `stream`, now.
    pub(crate) fn touch(&mut self, stream: &str, rows: usize) -> Timestamp {
        let now = self.clock.now();
        self.dataset.touched.insert(stream.to_owned(), (rows, now));
        now
    }

    /// Takes up to `requests` of those that remain, as another user of the key would; returns how many it took.
    pub(crate) fn spend(&mut self, requests: u32) -> u32 {
        let now = self.clock.now();
        let spent = requests.min(self.window.take(now, 0).remaining);
        self.window.take(now, spent);
        spent
    }

    /// Accepts `key` from now on, and no other key.
    pub(crate) fn replace_key(&mut self, key: &str) {
        (self.key, self.is_key_revoked) = (key.to_owned(), false);
    }
}
