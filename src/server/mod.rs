//! The status page, and what machines read beside it: served over HTTP, from what a process knows anyway.
//!
//! It only shows. There is no request that changes anything, and nothing here knows a key.

mod connections;
mod events;
mod guard;
mod page;
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
use crate::status::StatusCache;

/// Browsers that are told of changes at the same time.
const EVENT_STREAMS: usize = 32;

/// Text that is made whenever somebody asks for it.
type Text = Box<dyn Fn() -> String + Send + Sync>;

/// What is served.
pub struct StatusServer(ServerState);

struct ServerState {
    cache: Arc<StatusCache>,
    live: ActivityMonitor,
    clock: Clock,
    metrics: Option<Text>,
    event_streams: Arc<Semaphore>,
}

impl StatusServer {
    /// Shows what stands and what is being done now.
    pub fn new(cache: Arc<StatusCache>, live: ActivityMonitor, clock: Clock) -> Self {
        let event_streams = Arc::new(Semaphore::new(EVENT_STREAMS));
        Self(ServerState { cache, live, clock, metrics: None, event_streams })
    }

    /// Answers `/metrics` with `text`, in the format of Prometheus.
    #[must_use]
    pub fn with_metrics(mut self, text: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.0.metrics = Some(Box::new(text));
        self
    }

    /// Takes the address, and serves nothing yet.
    ///
    /// # Errors
    /// That the address is in use, or not one of this machine.
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

/// A server that has its address.
pub struct Listening {
    address: SocketAddr,
    listener: TcpListener,
    shared: Arc<ServerState>,
}

impl Listening {
    /// The address; the port is never zero.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves for as long as it is polled. Dropped, it ends every connection.
    pub async fn serve(self) {
        connections::serve(&self.listener, routes::router(self.shared)).await;
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Listening({})", self.address)
    }
}
