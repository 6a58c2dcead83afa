//! One account, one lake, and runs between them.

pub mod lake;
pub mod reader;
pub mod stores;
pub mod torture;
pub mod turns;
pub mod uploads;
pub mod year;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use object_store::memory::InMemory;
use profound_export::api::{Client, ClientSettings};
use profound_export::catalog::Catalog;
use profound_export::clock::Clock;
use profound_export::config::{
    ApiConfig, Compression, DestinationConfig, JobConfig, Partition, Period, Salt, Sources, StreamParameters, key,
    select,
};
use profound_export::destination::Destination;
use profound_export::layout::Layout;
use profound_export::ledger::{Ledger, State};
use profound_export::model::day::Day;
use profound_export::model::event::{Event, EventSink};
use profound_export::model::scope::{Scope, ScopeKind};
use profound_export::model::stream::Stream;
use profound_export::model::window::Window;
use profound_export::retry::RetryPolicy;
use profound_export::run::{Destinations, OUTAGE_RETRIES, RunRequest, RunResult, RunSettings, run_job};
use profound_export::simulator::{Account, ReceivedRequest, Simulator};
use profound_export::tables::Tables;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// The simulated noon of the first run: a Tuesday, days after the clocks of New York went forward.
pub const NOW: &str = "2026-03-10T16:00:00Z";
/// The key of the account. No other text of a run looks like it.
pub const KEY: &str = "pk-5d1f0e7c-never-shown";

/// Runs a promise on a destination in memory and on one on disk, as two tests.
macro_rules! on_memory_and_disk {
    (async fn $name:ident($place:ident) $body:block) => {
        mod $name {
            #[allow(unused_imports, reason = "not every promise needs what its file imports")]
            use super::*;

            async fn promise($place: $crate::support::Place) $body

            #[tokio::test]
            async fn on_memory() {
                promise($crate::support::Place::Memory).await;
            }

            #[tokio::test]
            async fn on_disk() {
                promise($crate::support::Place::Disk).await;
            }
        }
    };
}
pub(crate) use on_memory_and_disk;

/// Where the lake of a test is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Memory,
    Disk,
    /// The store that `PROFOUND_TEST_STORE` names, below a prefix of its own.
    Bucket,
}

impl Place {
    /// What a promise holds for, where that has nothing to do with the destination: all `cases` in memory; on disk the first, and all in a
    /// long test.
    pub fn cases<T>(self, cases: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
        let is_short = self == Self::Disk && !is_long_test();
        cases.into_iter().enumerate().filter(move |(index, _)| !is_short || *index == 0).map(|(_, case)| case)
    }

    /// An empty destination; on disk it is below `scratch`.
    pub fn destination(self, scratch: &TempDir) -> Destination {
        match self {
            Self::Memory => Destination::new(Arc::new(InMemory::new()), "memory:///"),
            Self::Disk => {
                let url = scratch.path().join("lake").display().to_string();
                Destination::open(&DestinationConfig { url, ..DestinationConfig::default() }).unwrap()
            }
            Self::Bucket => real_store().expect("PROFOUND_TEST_STORE names a store"),
        }
    }
}

/// The store of the environment, below a prefix of its own. `PROFOUND_TEST_STORE` is the JSON of a `[destination]`:
/// `{"url": "s3://bucket/prefix", "options": {...}}`.
pub fn real_store() -> Option<Destination> {
    let text = std::env::var("PROFOUND_TEST_STORE").ok()?;
    let mut config: DestinationConfig = serde_json::from_str(&text).expect("PROFOUND_TEST_STORE is a `[destination]`");
    config.url = format!("{}/{}", config.url.trim_end_matches('/'), uuid::Uuid::now_v7());
    Some(Destination::open(&config).unwrap())
}

/// An account that is small enough for many tests, with a rate limit that none of them reaches.
pub fn account() -> Account {
    Account {
        now: Some(instant(NOW)),
        key: KEY.into(),
        categories: 2,
        prompts_per_category: 6,
        answer_bytes: 200,
        requests_per_period: 1_000_000,
        ..Account::default()
    }
}

/// Whether tests try all cases, as in `.ci/run`, in place of some.
pub fn is_long_test() -> bool {
    std::env::var_os("PROFOUND_EXPORT_LONG_TESTS").is_some()
}

pub fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn day(text: &str) -> Day {
    text.parse().unwrap()
}

pub fn days(first: &str, last: &str) -> Window {
    Window::inclusive(day(first), day(last)).unwrap()
}

type Listener = Box<dyn Fn(&Event) + Send>;

/// An exporter between a simulated account and a lake. Each run is a process of its own, a minute after the last.
pub struct Export {
    pub simulator: Arc<Simulator>,
    pub lake: Destination,
    pub tables: Option<Tables>,
    pub catalog: Catalog,
    pub api: ApiConfig,
    pub job: JobConfig,
    pub partition: Partition,
    pub single_writer: bool,
    /// The parameters that a user supplies.
    pub parameters: StreamParameters,
    /// The salt of hashed texts.
    pub salt: Option<Salt>,
    /// The limit of the spool.
    pub spool_bytes: u64,
    /// The deadline of a run, from its start.
    pub time: Option<Duration>,
    events: Arc<Mutex<Vec<Event>>>,
    listener: Arc<Mutex<Option<Listener>>>,
    ran: AtomicBool,
    scratch: TempDir,
}

impl Export {
    /// Exports `streams` of an account from 2026-03-06 on.
    pub async fn start(place: Place, account: Account, streams: &[&str]) -> Self {
        Self::start_with(place, account, Catalog::embedded().unwrap(), streams).await
    }

    /// The same, with the streams of `catalog` on both sides.
    pub async fn start_with(place: Place, account: Account, catalog: Catalog, streams: &[&str]) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let lake = place.destination(&scratch);
        let simulator = Simulator::start(Arc::new(catalog.clone()), account).await.unwrap();
        let base_url = simulator.url().parse().unwrap();
        let job = JobConfig {
            name: "nightly".into(),
            streams: streams.iter().map(|name| (*name).to_owned()).collect(),
            start: Some(day("2026-03-06")),
            ..JobConfig::default()
        };
        Self {
            simulator: Arc::new(simulator),
            lake,
            tables: None,
            catalog,
            api: ApiConfig { base_url, idle_timeout: Period(Duration::from_secs(20)), ..ApiConfig::default() },
            job,
            partition: Partition::Day,
            single_writer: false,
            parameters: StreamParameters::new(),
            salt: None,
            spool_bytes: u64::MAX,
            time: None,
            events: Arc::default(),
            listener: Arc::default(),
            ran: AtomicBool::new(false),
            scratch,
        }
    }

    /// The same on another lake.
    pub fn on(self, lake: Destination) -> Self {
        Self { lake, ..self }
    }

    /// Reads the key from a file from now on, and returns its path.
    pub fn key_in_a_file(&mut self) -> PathBuf {
        let path = self.scratch.path().join("key");
        std::fs::write(&path, self.simulator.key()).unwrap();
        self.api.key_file = Some(path.clone());
        path
    }

    /// Calls `listener` with each event, in addition to recording it.
    pub fn listen(&self, listener: impl Fn(&Event) + Send + 'static) {
        *self.listener.lock().unwrap() = Some(Box::new(listener));
    }

    /// The settings of a process that starts now, by the simulator's clock.
    pub fn settings(&self) -> RunSettings {
        self.settings_at(Clock::starting_at(self.simulator.now()))
    }

    /// The same on a machine with this clock.
    pub fn settings_at(&self, clock: Clock) -> RunSettings {
        let variable = ("PROFOUND_API_KEY".to_owned(), self.simulator.key());
        let environment = match self.api.key_file {
            Some(_) => BTreeMap::new(),
            None => [variable].into(),
        };
        let key = key::read(&Sources { environment, ..Sources::default() }, &self.api).unwrap();
        let (recorded, listener) = (Arc::clone(&self.events), Arc::clone(&self.listener));
        let events = EventSink::new(move |event| {
            recorded.lock().unwrap().push(event.clone());
            if let Some(listener) = &*listener.lock().unwrap() {
                listener(event);
            }
        });
        let settings = ClientSettings { config: &self.api, clock: clock.clone(), events: events.clone() };
        let client = Client::new(settings, key).unwrap();
        RunSettings {
            outage_retries: RetryPolicy { initial_backoff: Duration::ZERO, ..OUTAGE_RETRIES },
            catalog: Arc::new(self.catalog.clone()),
            parameters: self.parameters.clone(),
            salt: self.salt.clone(),
            client: Arc::new(client),
            clock,
            destinations: Destinations {
                lake: self.lake.clone(),
                tables: self.tables.clone(),
                layout: self.layout(),
                compression: Compression::default(),
                single_writer: self.single_writer,
                spool_dir: self.scratch.path().join("spool"),
                spool_bytes: self.spool_bytes,
            },
            concurrency: self.api.concurrency,
            event_streams: self.api.event_streams,
            max_window_days: i64::from(self.api.max_window.0),
            events,
            cancel: CancellationToken::new(),
        }
    }

    pub fn goal(&self) -> RunRequest {
        let streams = select(&self.catalog, &self.job.streams).unwrap();
        RunRequest { job: self.job.clone(), streams, days: None, time_limit: self.time }
    }

    /// Advances the clock by a minute, so that times show which run was first.
    pub fn a_minute_later(&self) {
        let second = Timestamp::from_second(self.simulator.now().as_second()).unwrap();
        self.simulator.set_now(second + SignedDuration::from_secs(60));
    }

    /// One run of the job, in a process of its own.
    pub async fn run(&self) -> RunResult {
        if self.ran.swap(true, Ordering::Relaxed) {
            self.a_minute_later();
        }
        run_job(&self.settings(), &self.goal()).await
    }

    /// One run a minute later, even if it is the first.
    pub async fn run_after_a_minute(&self) -> RunResult {
        self.ran.store(true, Ordering::Relaxed);
        self.run().await
    }

    /// One run, and the requests that the simulator received meanwhile.
    pub async fn run_and_watch(&self) -> (RunResult, Vec<ReceivedRequest>) {
        let before = self.simulator.requests().len();
        let result = self.run().await;
        (result, self.simulator.requests().split_off(before))
    }

    /// The events since the last call.
    pub fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock().unwrap())
    }

    pub fn layout(&self) -> Layout {
        Layout { partition: self.partition }
    }

    pub fn stream(&self, name: &str) -> &Arc<Stream> {
        self.catalog.get(name).unwrap()
    }

    /// The first scope of a stream.
    pub fn first_scope(&self, stream: &str) -> Scope {
        self.simulator.scopes(self.stream(stream).scope).remove(0)
    }

    /// The categories of the account, by id.
    pub fn categories(&self) -> Vec<String> {
        let scopes = self.simulator.scopes(ScopeKind::Category);
        scopes.into_iter().filter_map(|scope| Some(scope.category?.id)).collect()
    }

    /// From the first day wanted through yesterday, as `stream` counts days, or whole months; none for lists.
    pub fn wanted(&self, stream: &Stream) -> Option<Window> {
        let days = stream.days.as_ref()?;
        let mut complete = days.complete(self.job.start.unwrap(), self.simulator.now());
        let first = complete.next()?;
        let last = complete.next_back().unwrap_or(first);
        Window::new(first, days.span(last).end)
    }

    /// The state of the ledger.
    pub async fn state(&self) -> State {
        let ledger = Ledger::open(self.lake.clone(), Clock::starting_at(self.simulator.now())).await.unwrap();
        ledger.state().clone()
    }
}

/// The requests of `received` about a stream, discovery left out.
pub fn of_stream<'a>(received: &'a [ReceivedRequest], stream: &str) -> Vec<&'a ReceivedRequest> {
    received.iter().filter(|request| request.stream.as_deref() == Some(stream)).collect()
}

/// The most requests that `received`, oldest first, count as within any `period`, whenever it begins.
pub fn max_cost_within(received: &[ReceivedRequest], period: Duration) -> u64 {
    let period = SignedDuration::try_from(period).unwrap();
    let (mut oldest, mut cost, mut most) = (0, 0, 0);
    for request in received {
        cost += u64::from(request.cost);
        while request.at.duration_since(received[oldest].at) >= period {
            cost -= u64::from(received[oldest].cost);
            oldest += 1;
        }
        most = most.max(cost);
    }
    most
}

/// The messages of an error and its sources.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
