//! What requests, tests and people share of a running simulator.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

use catalog::Catalog;
use catalog::model::day::{Day, DayZone};

use super::account::Account;
use super::budget::Budget;
use super::clock::starting_at;
use super::effects::Faults;
use super::table::Conditions;
use super::world::World;
use catalog::clock::Clock;

/// Days before the start that have data, unless the account tells its first day.
const HISTORY_DAYS: i64 = 400;

/// One request that was received.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Received {
    /// When, by the simulated clock.
    pub at: Timestamp,
    /// How long after the start of the server.
    #[serde(rename = "seconds", serialize_with = "as_seconds")]
    pub since_start: Duration,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query as it was sent, without a key.
    pub query: String,
    /// The body; null when it was empty or no JSON.
    pub body: Value,
    /// The stream it was taken for, if any.
    pub stream: Option<String>,
    /// How many requests of the budget it takes, granted or not.
    pub cost: u32,
    /// The status that was answered; 0 while there is none.
    pub status: u16,
}

impl Received {
    /// The most requests of the budget that `received`, oldest first, took within any `period`, wherever it begins.
    pub fn most_in_any(received: &[Self], period: Duration) -> u64 {
        let (mut oldest, mut taken, mut most) = (0, 0, 0);
        for request in received {
            taken += u64::from(request.cost);
            while SignedDuration::try_from(period)
                .is_ok_and(|period| period <= request.at.duration_since(received[oldest].at))
            {
                taken -= u64::from(received[oldest].cost);
                oldest += 1;
            }
            most = most.max(taken);
        }
        most
    }
}

fn as_seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// What never changes while the server runs, and what does.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) account: Account,
    pub(super) catalog: Arc<Catalog>,
    pub(super) world: Arc<World>,
    pub(super) first_day: Day,
    pub(super) started: Instant,
    state: Mutex<State>,
}

/// What changes.
#[derive(Debug)]
pub(super) struct State {
    pub(super) clock: Clock,
    /// The key that is accepted; `None` once it is revoked.
    pub(super) key: Option<String>,
    pub(super) faults: Faults,
    pub(super) budget: Budget,
    /// How often each day was restated.
    pub(super) revisions: BTreeMap<Day, u64>,
    /// How many rows of a list, from the first, were touched, and when; by stream.
    pub(super) touched: BTreeMap<String, (usize, Timestamp)>,
    pub(super) received: Vec<Received>,
}

/// The state that rows depend on, at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) now: Timestamp,
    revisions: BTreeMap<Day, u64>,
    touched: BTreeMap<String, (usize, Timestamp)>,
}

impl Shared {
    pub(super) fn new(catalog: Arc<Catalog>, account: Account) -> Self {
        let clock = starting_at(account.now);
        let first_day = account.first_day.unwrap_or_else(|| DayZone::Utc.today(clock.now()).plus(-HISTORY_DAYS));
        let state = State {
            clock,
            key: Some(account.key.clone()),
            faults: Faults::default(),
            budget: Budget::new(account.requests_per_period, account.period),
            revisions: BTreeMap::new(),
            touched: BTreeMap::new(),
            received: Vec::new(),
        };
        let world = Arc::new(World::new(&account));
        Self { account, catalog, world, first_day, started: Instant::now(), state: Mutex::new(state) }
    }

    /// The state. A panic while it was held leaves it whole, for every change is one step.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the first `rows` rows of each scope of the list `stream`, now.
    pub(super) fn touch(&self, stream: &str, rows: usize) -> Timestamp {
        let mut state = self.state();
        let now = state.clock.now();
        state.touched.insert(stream.to_owned(), (rows, now));
        now
    }

    /// Takes up to `requests` of the budget, now, as somebody else with the same key would.
    pub(super) fn spend(&self, requests: u32) -> u32 {
        let mut state = self.state();
        let now = state.clock.now();
        let left = state.budget.take(now, 0).remaining;
        state.budget.take(now, requests.min(left));
        requests.min(left)
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let state = self.state();
        Snapshot { now: state.clock.now(), revisions: state.revisions.clone(), touched: state.touched.clone() }
    }
}

impl Snapshot {
    pub(super) fn conditions<'a>(&'a self, shared: &'a Shared) -> Conditions<'a> {
        Conditions {
            account: &shared.account,
            catalog: &shared.catalog,
            now: self.now,
            first_day: shared.first_day,
            revisions: &self.revisions,
            touched: &self.touched,
        }
    }
}
