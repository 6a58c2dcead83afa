//! What happens in a run. The same value becomes a log line, a bar on the screen, a metric, a line of the status page or
//! an alert.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::model::slice::{Slice, SliceName};

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A run has begun; its plan is not made yet.
    RunStarted {
        /// The run.
        run: Uuid,
        /// The job.
        job: String,
    },
    /// A run has its plan.
    RunPlanned {
        /// The job.
        job: String,
        /// Slices to do.
        slices: usize,
        /// Requests they are expected to cost.
        requests: u64,
    },
    /// A slice is being asked for.
    SliceStarted {
        /// Which.
        slice: Slice,
    },
    /// A slice is published and recorded.
    SliceDone {
        /// Which.
        slice: Slice,
        /// What came of it.
        done: SliceDone,
    },
    /// A slice is asked again, in another way.
    SliceRetried {
        /// Which.
        slice: Slice,
        /// What went wrong.
        problem: String,
        /// What is done about it.
        remedy: String,
    },
    /// A slice is left for the next run; what stood stands.
    SliceLeft {
        /// Which.
        slice: Slice,
        /// Why.
        problem: String,
        /// Whether someone must look at it.
        failed: bool,
    },
    /// The account may not read a stream of a scope.
    NotEntitled {
        /// Which.
        slice: Slice,
        /// The API's words.
        detail: String,
        /// Whether it could be read before.
        could_before: bool,
    },
    /// Rows hold something the catalog does not know.
    Drift {
        /// The stream.
        stream: String,
        /// The member.
        member: String,
        /// The first value seen, shortened.
        example: String,
    },
    /// A request was answered to the end, or failed.
    RequestEnded {
        /// The path of the endpoint, as the catalog writes it.
        endpoint: String,
        /// What was asked for.
        slice: SliceName,
        /// The status; none where no answer came.
        status: Option<u16>,
        /// From sending to the end of the body.
        took: Duration,
    },
    /// A request is sent again.
    RequestRepeated {
        /// The path of the endpoint, as the catalog writes it.
        endpoint: String,
        /// Why.
        reason: Repeated,
    },
    /// A response told how much of the budget is left.
    BudgetTold(BudgetTold),
    /// Nothing can be sent until the budget allows it.
    Waiting {
        /// How long.
        wait: Duration,
    },
    /// Something worth knowing that needs nobody.
    News {
        /// In words.
        message: String,
    },
    /// Something that is not as it should be, and was worked around.
    Warning {
        /// In words.
        message: String,
    },
    /// A run ended.
    RunEnded(Box<RunEnded>),
    /// What is the matter now, as alerts see it.
    AlertsStand(Vec<StandingAlert>),
    /// A target of alerts was told something, or could not be.
    AlertSent {
        /// The target.
        target: String,
        /// Whether it took it.
        ok: bool,
    },
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct RunEnded {
    /// The run.
    pub run: Uuid,
    /// The job.
    pub job: String,
    /// The name of its outcome: `complete`, `failed`, `incomplete`, `key_rejected`, `unavailable` or `refused`.
    pub outcome: &'static str,
    /// One line that says it all.
    pub summary: String,
    /// What stopped it, in words.
    pub problem: Option<String>,
    /// What mends that.
    pub hint: Option<String>,
    /// Whether it was the destination that stopped it.
    pub at_destination: bool,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What came of it.
    pub figures: RunFigures,
}

/// Something that is the matter, as alerts tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StandingAlert {
    /// The name of the event.
    pub event: &'static str,
    /// What happened, in one sentence.
    pub what: String,
    /// Since when.
    pub since: Timestamp,
    /// What it affects.
    pub affected: String,
    /// What someone can do.
    pub to_do: String,
}

/// What came of a run, in figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunFigures {
    /// Requests spent, retries and discovery included.
    pub requests: u64,
    /// Rows that came over the wire.
    pub rows: u64,
    /// Files written.
    pub files: u64,
    /// Files left alone because nothing changed.
    pub unchanged: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Slices that were published and recorded.
    pub slices: u64,
    /// Slices that someone must look at.
    pub failed: u64,
    /// Slices left for the next run.
    pub left: u64,
    /// Slices that the account may not read.
    pub not_entitled: u64,
}

impl RunEnded {
    /// Whether everything was done.
    pub fn is_complete(&self) -> bool {
        self.outcome == "complete"
    }
}

/// Why a request is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repeated {
    /// The API asked to wait (429).
    RateLimited,
    /// The API could not answer (408, 5xx).
    Server,
    /// No connection, or no answer in time.
    Connection,
    /// An answer came and was not whole.
    Damaged,
}

impl Repeated {
    /// All of them.
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

/// The budget of the key, as the last response told of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BudgetTold {
    /// Requests of a period.
    pub limit: u32,
    /// How many of these the API says are left.
    pub remaining: Option<u32>,
    /// How many are kept for others.
    pub reserved: u32,
    /// Own requests of the trailing period.
    pub spent: u32,
    /// Requests by others with the same key that were seen so far: fewer than there were, never more.
    pub foreign: u64,
    /// How long a period is, as far as known.
    pub period: Duration,
    /// The time until the period ends.
    pub resets_in: Option<Duration>,
}

/// What came of a slice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SliceDone {
    /// Rows that came over the wire.
    pub rows: u64,
    /// Files written.
    pub files: u64,
    /// Files left alone because nothing changed.
    pub unchanged: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Requests spent, retries included.
    pub requests: u64,
    /// Rows outside the window, dropped.
    pub outside: u64,
    /// From the first request to the record.
    pub took: Duration,
}

/// Where events are told. Cheap to clone.
#[derive(Clone)]
pub struct Events(Arc<dyn Fn(&Event) + Send + Sync>);

impl Events {
    /// Tells `listener` of every event.
    pub fn to(listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(listener))
    }

    /// Tells nobody.
    pub fn silent() -> Self {
        Self::to(|_| {})
    }

    /// Tells both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::to(move |event| {
            self.tell(event);
            other.tell(event);
        })
    }

    /// Tells of `event`.
    pub fn tell(&self, event: &Event) {
        (self.0)(event);
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Events")
    }
}
