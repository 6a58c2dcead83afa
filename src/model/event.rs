//! What happens in a run. The same value becomes a log line, a bar on the screen and, later, a metric or an alert.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::model::slice::Slice;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
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
    RunEnded {
        /// The job.
        job: String,
        /// One line that says it all.
        summary: String,
        /// Whether everything was done.
        complete: bool,
    },
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
