//! One attempt at a part of a slice.

use crate::api::{RequestOptions, Transport};
use crate::ledger::Fact;
use crate::model::slice::Slice;
use crate::run::slice::context::SliceContext;
use crate::run::slice::prefetch::Prefetched;

/// One attempt at a part of a planned slice: which days, and in which form they are requested.
#[derive(Clone)]
pub struct SliceAttempt {
    pub slice: Slice,
    pub transport: Transport,
    pub options: RequestOptions,
    /// What its form shows if it succeeds, with the evidence so far.
    pub shows: Vec<(Fact, String)>,
    /// Whether it confirms the rows of an event stream, which show that the account may read them.
    pub is_confirming: bool,
    /// Whether the same request was sent before.
    pub is_retry: bool,
    pub prefetched: Option<Prefetched>,
    /// Whether the attempt after it is for the newest day of the same window, which the API rejected as a whole.
    pub lacks_newest_day: bool,
    /// Whether another process committed some of its days during the attempt before this one.
    pub had_conflict: bool,
}

impl SliceAttempt {
    pub fn new(cx: &SliceContext<'_>, slice: Slice, prefetched: Option<Prefetched>) -> Self {
        Self {
            transport: cx.account.transport(&slice.stream),
            options: cx.account.request_options(&slice.stream),
            shows: Vec::new(),
            is_confirming: false,
            is_retry: false,
            prefetched,
            lacks_newest_day: false,
            had_conflict: false,
            slice,
        }
    }

    /// The same attempt, which shows `fact` if it succeeds.
    pub fn showing(mut self, fact: Fact, seen: String) -> Self {
        self.shows.push((fact, seen));
        self
    }

    /// Whether it requests pages because the event stream cannot be used.
    pub fn replaces_events(&self) -> bool {
        self.shows.iter().any(|(fact, _)| matches!(fact, Fact::EventsIncomplete { .. }))
    }

    /// The older and the newer half of its days, in the same form; `None` for a single day or a list.
    pub fn halves(&self) -> Option<[Self; 2]> {
        let (older, newer) = self.slice.halves()?;
        let half = |slice| Self { slice, is_retry: false, prefetched: None, ..self.clone() };
        Some([half(older), half(newer)])
    }
}
