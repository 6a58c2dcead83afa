//! The API, simulated: an HTTP server that answers every stream of the catalog with made-up data, and fails on request.
//!
//! The catalog decides the answers: paths, columns, types, ranges, keys and pagination. What a column's values look
//! like follows from its name (`axis.rs`) or, where no vocabulary knows the name, from its type, so a stream that is added to
//! the catalog is answered at once. All data are a function of the account's seed, the scope, the day and the number of
//! the row; nothing is stored, and any row can be made without those before it.

mod account;
mod answer;
mod asked;
mod axes;
mod axis;
mod bind;
mod budget;
mod clock;
mod control;
mod cursor;
mod days;
mod effects;
mod endpoint;
mod fault;
mod figure;
mod frame;
mod gzip;
mod hash;
mod invent;
mod kin;
mod lists;
mod page;
mod product;
mod question;
mod radix;
mod refusal;
mod rules;
mod server;
mod state;
mod stuffing;
mod table;
#[cfg(test)]
mod tests;
mod truth;
mod words;
mod world;
mod write;
mod zone;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use serde_json::Value;

use catalog::Catalog;
use catalog::model::day::{Day, DayZone};
use catalog::model::scope::{Scope, ScopeKind};
use catalog::model::stream::Stream;
use catalog::model::window::Window;

pub use account::{Account, UndocumentedEnd};
pub use fault::{DetailForm, Fault, FaultKind, FloodForm, KeyPlace, ResetForm};
pub use product::Holders;
pub use state::Received;
pub use truth::Truth;

use state::Shared;
use world::Place;

/// Why the simulator could not start.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The address is taken, or is none of this machine.
    #[error("the simulator cannot listen on `{address}`")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// No thread could be had for it.
    #[error("the simulator has no thread to run on")]
    Runtime(#[source] io::Error),
}

/// A running server. It stops when it is dropped, connections and all.
#[derive(Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
    url: String,
    keys: Keys,
    /// A runtime of its own, so that neither a busy test nor a paused clock holds it up. Taken when dropped.
    runtime: Option<tokio::runtime::Runtime>,
}

/// The keys of the account, oldest first. Only ever grows, so that a key may be lent out.
#[derive(Debug)]
struct Keys {
    key: String,
    next: OnceLock<Box<Keys>>,
}

impl Keys {
    fn new(key: &str) -> Self {
        Self { key: key.to_owned(), next: OnceLock::new() }
    }

    fn last(&self) -> &Self {
        let mut last = self;
        while let Some(next) = last.next.get() {
            last = next;
        }
        last
    }
}

impl Simulator {
    /// Starts a server that answers the streams of `catalog` for `account`, listening on `account.listen`.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(catalog: Arc<Catalog>, account: Account) -> Result<Self, SimulatorError> {
        let listen = |source| SimulatorError::Listen { address: account.listen, source };
        let listener = std::net::TcpListener::bind(account.listen).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("simulator")
            .enable_all()
            .build()
            .map_err(SimulatorError::Runtime)?;
        let keys = Keys::new(&account.key);
        let shared = Arc::new(Shared::new(catalog, account));
        let router = axum::Router::new().fallback(server::handle).with_state(shared.clone());
        runtime.spawn(async move {
            // Nobody is left to hear of an error: requests then fail, and say so.
            if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                let _ = axum::serve(listener, router).await;
            }
        });
        Ok(Self { shared, url: format!("http://{address}"), keys, runtime: Some(runtime) })
    }

    /// The base URL, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The API key of the account: the last one that was made, also when it was revoked since.
    pub fn key(&self) -> &str {
        &self.keys.last().key
    }

    /// Every API request so far, oldest first.
    pub fn requests(&self) -> Vec<Received> {
        self.shared.state().received.clone()
    }

    /// Lets `fault` happen from now on.
    pub fn inject(&self, fault: Fault) {
        self.shared.state().faults.add(fault);
    }

    /// Ends all faults. A key revoked by one stays revoked.
    pub fn clear_faults(&self) {
        self.shared.state().faults.clear();
    }

    /// The time on the simulated clock.
    pub fn now(&self) -> Timestamp {
        self.shared.state().clock.now()
    }

    /// Sets the simulated clock; it goes on from there.
    pub fn set_now(&self, now: Timestamp) {
        self.shared.state().clock = clock::starting_at(Some(now));
    }

    /// Today in `zone`, by the simulated clock: the last day with data, and not yet whole.
    pub fn today(&self, zone: DayZone) -> Day {
        zone.today(self.now())
    }

    /// The first day with data.
    pub fn first_day(&self) -> Day {
        self.shared.first_day
    }

    /// Changes all figures of `day` from now on; its rows and their keys stay. Again each time.
    pub fn restate(&self, day: Day) {
        *self.shared.state().revisions.entry(day).or_default() += 1;
    }

    /// Changes the first `rows` rows of each scope of the list `stream`: they say that they changed now, where the list
    /// says so at all, and what is read for them is another text. Again each time.
    pub fn touch(&self, stream: &str, rows: usize) {
        self.shared.touch(stream, rows);
    }

    /// Takes up to `requests` of the budget, now, as somebody else with the same key would; how many were left to take.
    pub fn spend(&self, requests: u32) -> u32 {
        self.shared.spend(requests)
    }

    /// Rejects the key from now on.
    pub fn revoke_key(&self) {
        self.shared.state().key = None;
    }

    /// Accepts `new` from now on, and no other key.
    pub fn rotate_key(&self, new: &str) {
        let mut next = Box::new(Keys::new(new));
        // Another thread may add a key at the same time; then this one goes behind it.
        while let Err(kept) = self.keys.last().next.set(next) {
            next = kept;
        }
        self.shared.state().key = Some(new.to_owned());
    }

    /// Every scope of a kind. Assets are the owned ones.
    pub fn scopes(&self, kind: ScopeKind) -> Vec<Scope> {
        let world = &self.shared.world;
        world.places(kind).iter().map(|place| world.scope(place)).collect()
    }

    /// What `stream` holds for `scope`, in `window` or the whole history. Nothing when the account has no such scope.
    /// Days outside the data, and the hours of today that are yet to come, have no rows.
    pub fn truth(&self, stream: &Stream, scope: &Scope, window: Option<Window>) -> Truth {
        match self.place(scope) {
            Some(place) => Truth::of(&self.shared, &Arc::new(stream.clone()), &place, window),
            None => Truth::default(),
        }
    }

    /// The rows that [`Simulator::truth`] adds up, as objects of named values, oldest day first.
    pub fn rows(&self, stream: &Stream, scope: &Scope, window: Option<Window>) -> Vec<Value> {
        match self.place(scope) {
            Some(place) => truth::named_rows(&self.shared, &Arc::new(stream.clone()), &place, window),
            None => Vec::new(),
        }
    }

    /// The requests that bring about what [`Simulator::truth`] tells: the day or month of each, where rows do not carry
    /// it, and the variables that it names beside its scope.
    pub fn requests_for(
        &self,
        stream: &Stream,
        scope: &Scope,
        window: Option<Window>,
    ) -> Vec<(Option<Day>, BTreeMap<String, String>)> {
        match self.place(scope) {
            Some(place) => truth::variables(&self.shared, &Arc::new(stream.clone()), &place, window),
            None => Vec::new(),
        }
    }

    /// The same as [`Simulator::rows`] for a stream whose `variables` a user gives.
    pub fn rows_given(
        &self,
        stream: &Stream,
        scope: &Scope,
        window: Option<Window>,
        variables: BTreeMap<String, String>,
    ) -> Vec<Value> {
        match self.place(scope) {
            Some(place) => {
                let place = Place { variables, ..place };
                truth::named_rows(&self.shared, &Arc::new(stream.clone()), &place, window)
            }
            None => Vec::new(),
        }
    }

    fn place(&self, scope: &Scope) -> Option<Place> {
        self.shared.world.place(scope)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
