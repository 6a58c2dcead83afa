//! HTTP server of a running process: status page, `/status.json`, metrics and health.
//!
//! It is read-only: no request changes anything, and no key is reachable from here.

mod connections;
mod events;
mod guard;
mod page;
mod page_data;
mod problems;
mod routes;
mod status_json;
mod verdict;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::observe::ActivityMonitor;
use crate::status::{Status, StatusCache};

/// Open pages that receive change events at the same time.
const EVENT_STREAMS: usize = 32;

type MetricsText = Box<dyn Fn() -> String + Send + Sync>;

/// The server before it has an address.
pub struct StatusServer(ServerState);

struct ServerState {
    cache: Arc<StatusCache>,
    live: ActivityMonitor,
    clock: Clock,
    metrics: Option<MetricsText>,
    event_streams: Arc<Semaphore>,
}

impl StatusServer {
    /// Shows the status in `cache` and the activity in `live`.
    pub fn new(cache: Arc<StatusCache>, live: ActivityMonitor, clock: Clock) -> Self {
        let event_streams = Arc::new(Semaphore::new(EVENT_STREAMS));
        Self(ServerState { cache, live, clock, metrics: None, event_streams })
    }

    /// Serves `text` under `/metrics`, in the Prometheus text format.
    #[must_use]
    pub fn with_metrics(mut self, text: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.0.metrics = Some(Box::new(text));
        self
    }

    /// The page at `/` for `status`, as a browser gets it.
    pub fn page(&self, status: Arc<Status>) -> String {
        page::index(&self.0.data(Some(status))).into_string()
    }

    /// Binds the address. Requests are answered once [`Listening::serve`] is polled.
    ///
    /// # Errors
    /// The address is in use or does not belong to this machine.
    pub async fn bind(self, address: SocketAddr) -> std::io::Result<Listening> {
        let listener = TcpListener::bind(address).await?;
        Ok(Listening { address: listener.local_addr()?, listener, shared: Arc::new(self.0) })
    }
}

impl fmt::Debug for StatusServer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("StatusServer")
    }
}

/// A server with its address.
pub struct Listening {
    address: SocketAddr,
    listener: TcpListener,
    shared: Arc<ServerState>,
}

impl Listening {
    /// The bound address, with the real port where zero was requested.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until dropped, which closes every connection.
    pub async fn serve(self) {
        connections::serve(&self.listener, routes::router(self.shared)).await;
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Listening({})", self.address)
    }
}
