//! What happens in a run. The same value becomes a log line, the progress bar, a metric, a line of the status page or an alert.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use crate::model::counters::Counters;
use crate::model::outcome::Outcome;
use crate::model::slice::{Slice, SliceName};

#[derive(Debug, Clone)]
pub enum Event {
    /// The plan is not made yet.
    RunStarted {
        run: Uuid,
        job: String,
    },
    /// `requests` is what the planned slices are expected to cost.
    RunPlanned {
        job: String,
        slices: usize,
        requests: u64,
    },
    SliceStarted {
        slice: Slice,
    },
    /// Published and recorded in the ledger.
    SlicePublished {
        slice: Slice,
        counters: Counters,
    },
    /// The slice is requested another time, in the form that `remedy` names.
    SliceRetried {
        slice: Slice,
        problem: String,
        remedy: String,
    },
    /// A later run does it; nothing is wrong with the data. The published file is kept.
    SliceDeferred {
        slice: Slice,
        problem: String,
    },
    /// An operator has to look at it. The published file is kept.
    SliceFailed {
        slice: Slice,
        problem: String,
    },
    /// `detail` is the API's message; `had_access` says that an earlier run could extract the scope.
    NotEntitled {
        slice: Slice,
        detail: String,
        had_access: bool,
    },
    /// A row holds a field that the catalog does not declare. `example` is the first value, shortened.
    SchemaDrift {
        stream: String,
        field: String,
        example: String,
    },
    /// The body ended, or the request failed; without an HTTP `status` no response came. `endpoint` is the path as the catalog
    /// writes it, so that it can be a metric label.
    RequestFinished {
        endpoint: String,
        slice: SliceName,
        status: Option<u16>,
        elapsed: Duration,
    },
    RequestRetried {
        endpoint: String,
        reason: RetryReason,
    },
    RateLimitStatus(RateLimitStatus),
    /// No request can be sent for `wait`.
    RateLimitWait {
        wait: Duration,
    },
    /// Some days lost most of their rows, or columns are incomplete: those keep their published files, and the next run extracts them
    /// once more.
    SliceSuspect {
        slice: Slice,
        problem: String,
    },
    /// The local clock differs from the API's, which decides about days.
    ClockSkew {
        difference: SignedDuration,
    },
    /// A commit of a table, with `files` files.
    TablePublished {
        table: String,
        files: u64,
        bytes: u64,
    },
    /// `table` could not be published, or not all of it; `None` for all tables.
    TableFailed {
        table: Option<String>,
    },
    /// Another process runs on the same lake. This run starts from the other end of its plan.
    ConcurrentRun,
    /// The rate limit allows no request for `wait`, which ends after the deadline. No further slice starts.
    DeadlineBeforeReset {
        wait: Duration,
    },
    Notice {
        message: String,
    },
    /// Something unexpected that the run worked around.
    Warning {
        message: String,
    },
    RunFinished(Box<RunFinished>),
    /// Every alert that fires; emitted whenever the set may have changed.
    AlertsFiring(Vec<FiringAlert>),
    NotificationSent {
        target: String,
        delivered: bool,
    },
}

#[derive(Debug, Clone)]
pub struct RunFinished {
    pub run: Uuid,
    pub job: String,
    pub outcome: Outcome,
    /// One line for people.
    pub summary: String,
    /// The error that ended the run early.
    pub problem: Option<String>,
    pub hint: Option<String>,
    pub is_destination_error: bool,
    pub started_at: Timestamp,
    pub elapsed: Duration,
    pub counters: Counters,
}

/// A firing alert, for the status page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FiringAlert {
    pub event: &'static str,
    /// What happened, in one sentence.
    pub summary: String,
    pub since: Timestamp,
    pub impact: String,
    /// What an operator can do.
    pub action: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetryReason {
    /// HTTP 429.
    RateLimited,
    /// HTTP 408 or 5xx.
    Server,
    /// No connection, or no response in time.
    Connection,
    /// A response came and was not complete.
    Damaged,
}

impl RetryReason {
    pub const ALL: [Self; 4] = [Self::RateLimited, Self::Server, Self::Connection, Self::Damaged];

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Server => "server",
            Self::Connection => "connection",
            Self::Damaged => "damaged",
        }
    }
}

/// What is known of the key's rate limit after the last response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimitStatus {
    /// Requests a window.
    pub limit: u32,
    pub remaining: Option<u32>,
    /// Requests that this program leaves to other users of the key.
    pub reserved: u32,
    /// Own requests of the trailing window.
    pub own_requests: u32,
    /// Requests that others sent with the key, as far as responses showed them: a lower bound.
    pub external_requests: u64,
    /// The length of a window, as far as it is known.
    pub window: Duration,
    pub resets_in: Option<Duration>,
}

/// Where events are emitted. Cheap to clone.
#[derive(Clone)]
pub struct EventSink(Arc<dyn Fn(&Event) + Send + Sync>);

impl EventSink {
    pub fn new(receive: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(receive))
    }

    /// Discards every event.
    pub fn none() -> Self {
        Self::new(|_| {})
    }

    /// A sink that passes every event to `self` and then to `other`.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::new(move |event| {
            self.emit(event);
            other.emit(event);
        })
    }

    pub fn emit(&self, event: &Event) {
        (self.0)(event);
    }
}

impl fmt::Debug for EventSink {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("EventSink")
    }
}
