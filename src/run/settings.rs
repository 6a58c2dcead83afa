//! What a run needs from outside.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::api::Client;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::{Compression, JobConfig, Salt, StreamParameters};
use crate::destination::Destination;
use crate::layout::Layout;
use crate::ledger::State;
use crate::model::event::EventSink;
use crate::model::stream::Stream;
use crate::plan::WantedDays;
use crate::retry::RetryPolicy;
use crate::tables::{Tables, TablesSource};

/// The lake, the form of its files, and the spool.
#[derive(Debug, Clone)]
pub struct Destinations {
    pub lake: Destination,
    /// `None`: no tables are published.
    pub tables: Option<Tables>,
    pub layout: Layout,
    pub compression: Compression,
    /// Whether only one process ever writes, so that a store without create-if-absent will do.
    pub single_writer: bool,
    pub spool_dir: PathBuf,
    pub spool_bytes: u64,
}

/// Waits about a minute in all. The next run comes anyway, so a longer outage is for the alert.
pub const OUTAGE_RETRIES: RetryPolicy = RetryPolicy {
    max_attempts: 4,
    initial_backoff: Duration::from_secs(10),
    max_backoff: Duration::from_secs(60),
    total_time: None,
    max_retry_after: Duration::from_secs(900),
};

/// What a run needs from outside; the same for all jobs of a process.
#[derive(Debug, Clone)]
pub struct RunSettings {
    pub catalog: Arc<Catalog>,
    /// Set if a job hashes columns.
    pub salt: Option<Salt>,
    pub client: Arc<Client>,
    pub clock: Clock,
    pub destinations: Destinations,
    pub parameters: StreamParameters,
    /// Slices at the same time.
    pub concurrency: usize,
    /// Whether event streams are requested where an endpoint has one.
    pub event_streams: bool,
    /// How often, and after which pauses, an API that is down is requested once more.
    pub outage_retries: RetryPolicy,
    /// The longest window of one request, in days.
    pub max_window_days: i64,
    pub events: EventSink,
    pub cancel: CancellationToken,
}

impl RunSettings {
    /// What tables are derived from, by the ledger's `state`.
    pub fn tables_source<'a>(&'a self, state: &'a State, cancel: &'a CancellationToken) -> TablesSource<'a> {
        self.destinations.tables_source(&self.catalog, state, self.clock.now(), cancel)
    }
}

impl Destinations {
    /// What tables are derived from, by the ledger's `state`.
    pub fn tables_source<'a>(
        &'a self,
        catalog: &'a Catalog,
        state: &'a State,
        now: Timestamp,
        cancel: &'a CancellationToken,
    ) -> TablesSource<'a> {
        let Self { lake, layout, compression, single_writer, spool_dir, spool_bytes, .. } = self;
        TablesSource {
            lake,
            layout: *layout,
            compression: *compression,
            single_writer: *single_writer,
            spool_dir,
            spool_bytes: *spool_bytes,
            catalog,
            state,
            now,
            cancel,
        }
    }
}

/// One run of one job, as a schedule or a person requests it.
#[derive(Debug, Clone)]
pub struct RunRequest {
    pub job: JobConfig,
    pub streams: Vec<Arc<Stream>>,
    /// The days of a backfill. `None` exports the days that are due.
    pub days: Option<WantedDays>,
    pub time_limit: Option<Duration>,
}

impl RunRequest {
    pub fn is_backfill(&self) -> bool {
        self.days.is_some_and(WantedDays::is_backfill)
    }

    /// Whether files are written although their rows are unchanged.
    pub fn is_forced(&self) -> bool {
        matches!(self.days, Some(WantedDays::Only { force: true, .. }))
    }
}
