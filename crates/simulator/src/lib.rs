//! The API, simulated: an HTTP server that answers every stream of the catalog with invented data, and fails on request.
//!
//! The catalog decides the answers: paths, columns, types, ranges, keys and pagination. What a column's values look like
//! follows from its name (`data/dimension.rs`) or, where the vocabulary does not know the name, from its type, so a stream
//! that is added to the catalog is answered at once. All rows are a function of the account's seed, the scope, the day and
//! the number of the row; nothing is stored, and any row can be made without those before it.
//!
//! Reports on visibility, citations and sentiment count the same answers (`data/answers.rs`), so their figures agree with
//! each other and with the answers. Where an account wants more rows of a report than its answers have, figures are random.
//!
//! `data` invents the account and its rows, `query` decides what a request means, `server` speaks HTTP.

mod data;
mod query;
mod server;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use catalog::Catalog;
use catalog::model::day::Day;
use catalog::model::scope::{Scope, ScopeKind};
use catalog::model::stream::Stream;
use catalog::model::window::Window;
use jiff::Timestamp;
use serde_json::Value;

pub use data::account::{Account, ProductHolders, UndocumentedEnd};
pub use query::truth::Truth;
pub use server::fault::{
    AnnouncedAt, DetailForm, Fault, FaultKind, FloodForm, GatewayForm, KeyLocation, NoInfoForm, ResetForm,
};
pub use server::state::ReceivedRequest;

use data::objects::Subject;
use query::fan_out::RequestRows;
use server::state::SimulatorState;
use server::{control, exchange};

/// Why the simulator could not start.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    #[error("the simulator cannot listen on `{address}`")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("the simulator cannot start its thread")]
    Thread(#[source] io::Error),
}

/// A running server. It stops when it is dropped, connections included.
#[derive(Debug)]
pub struct Simulator {
    server: Arc<SimulatorState>,
    url: String,
    /// A runtime of its own, so that neither a busy test nor a paused clock delays it. Taken when dropped.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Simulator {
    /// Starts a server that answers the streams of `catalog` for `account`, listening on `account.listen`.
    ///
    /// # Errors
    /// If the address is in use or not of this machine.
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
            .map_err(SimulatorError::Thread)?;
        let server = Arc::new(SimulatorState::new(catalog, account));
        let router = control::router().fallback(exchange::handle).with_state(server.clone());
        runtime.spawn(async move {
            // An error has no caller left; requests then fail to connect.
            if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                let _ = axum::serve(listener, router).await;
            }
        });
        Ok(Self { server, url: format!("http://{address}"), runtime: Some(runtime) })
    }

    /// The base URL, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The newest API key of the account, revoked or not.
    pub fn key(&self) -> String {
        self.server.live.lock().key.clone()
    }

    /// Every API request so far, oldest first.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.server.live.lock().received.clone()
    }

    /// Applies `fault` to requests from now on.
    pub fn inject(&self, fault: Fault) {
        self.server.live.lock().faults.add(fault);
    }

    /// Ends all faults. A revoked key stays revoked.
    pub fn clear_faults(&self) {
        self.server.live.lock().faults.clear();
    }

    /// The time on the simulated clock.
    pub fn now(&self) -> Timestamp {
        self.server.live.lock().clock.now()
    }

    /// Sets the simulated clock, which continues from there.
    pub fn set_now(&self, now: Timestamp) {
        self.server.live.lock().clock = catalog::clock::Clock::starting_at(now);
    }

    /// Changes all figures of `day`, once more with each call; its rows and their keys stay.
    pub fn restate(&self, day: Day) {
        *self.server.live.lock().dataset.revisions.entry(day).or_default() += 1;
    }

    /// Changes the first `rows` rows of each scope of the list `stream`: their time of change is now, if they have one, and
    /// so are the texts of their children.
    pub fn touch(&self, stream: &str, rows: usize) {
        self.server.live.lock().touch(stream, rows);
    }

    /// Takes up to `requests` of those that remain, as another user of the key would; returns how many it took.
    pub fn spend(&self, requests: u32) -> u32 {
        self.server.live.lock().spend(requests)
    }

    /// Rejects the key from now on.
    pub fn revoke_key(&self) {
        self.server.live.lock().is_key_revoked = true;
    }

    /// Accepts `key` from now on, and no other key.
    pub fn rotate_key(&self, key: &str) {
        self.server.live.lock().replace_key(key);
    }

    /// Every scope of a kind; of assets, the owned ones.
    pub fn scopes(&self, kind: ScopeKind) -> Vec<Scope> {
        self.server.dataset().objects.scopes(kind, true)
    }

    /// What `stream` holds for `scope`, in `window` or the whole history; nothing if the account has no such scope. Days
    /// outside the history, and the rest of today, have no rows.
    pub fn truth(&self, stream: &Stream, scope: &Scope, window: Option<Window>) -> Truth {
        let dataset = self.server.dataset();
        let Some(scope) = dataset.objects.find_scope(scope) else { return Truth::default() };
        Truth::new(&Arc::new(stream.clone()), &Subject { scope, ..Subject::default() }, window, &dataset)
    }

    /// The rows that [`Simulator::truth`] sums up, as objects of named values, oldest day first.
    pub fn rows(&self, stream: &Stream, scope: &Scope, window: Option<Window>) -> Vec<Value> {
        self.rows_with(stream, scope, window, BTreeMap::new())
    }

    /// The same as [`Simulator::rows`] for a stream with the parameters `variables` of a user.
    pub fn rows_with(
        &self,
        stream: &Stream,
        scope: &Scope,
        window: Option<Window>,
        variables: BTreeMap<String, String>,
    ) -> Vec<Value> {
        let requests = self.request_rows(stream, scope, window, variables);
        requests.iter().flat_map(|request| request.objects(stream)).map(Value::Object).collect()
    }

    /// The requests with which an exporter gets what [`Simulator::truth`] sums up: the day or month of each, if rows do not
    /// carry it, and its variables.
    pub fn requests_for(
        &self,
        stream: &Stream,
        scope: &Scope,
        window: Option<Window>,
    ) -> Vec<(Option<Day>, BTreeMap<String, String>)> {
        let requests = self.request_rows(stream, scope, window, BTreeMap::new());
        requests.into_iter().map(|request| (request.day, request.subject.variables)).collect()
    }

    fn request_rows(
        &self,
        stream: &Stream,
        scope: &Scope,
        window: Option<Window>,
        variables: BTreeMap<String, String>,
    ) -> Vec<RequestRows> {
        let dataset = self.server.dataset();
        let Some(scope) = dataset.objects.find_scope(scope) else { return Vec::new() };
        let subject = Subject { scope, variables, changed: None };
        query::truth::requests(&Arc::new(stream.clone()), &subject, window, &dataset)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
