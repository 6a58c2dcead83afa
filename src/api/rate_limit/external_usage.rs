//! Requests that others send with the same key, seen in what remains: within a window it falls by more than own requests explain.
//!
//! The figure is a lower bound. Every own request that the server may have counted is taken to have been counted, at the most that a
//! request of its kind can cost, so that no own request is ever reported as external, however requests overlap. What others
//! send between two windows, or before the first response of one, is not seen.

use crate::api::rate_limit::ResponseKind;
use crate::model::cost::{RequestCosts, RequestKind};

const KINDS: usize = RequestKind::ALL.len();

type ByKind = [u64; KINDS];

/// What was known when a request was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SentMark {
    kind: RequestKind,
    number: u64,
    /// Requests that were answered by then.
    answered: ByKind,
    /// Requests that the server had counted since `baseline` by then, at least.
    counted: ByKind,
    baseline: u64,
}

/// The first response of a window; later ones are compared with it.
#[derive(Debug, Clone)]
struct Baseline {
    remaining: u32,
    /// Requests that the server had counted before this response, at least, the request of the response included.
    counted_before: ByKind,
    /// The first request that was sent after the response.
    first_number: u64,
    /// Requests since then that were answered with rows.
    counted: ByKind,
    external: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct ExternalUsage {
    sent: ByKind,
    answered: ByKind,
    /// The most that a request of a kind can cost, by all responses so far; `None` where none has shown it.
    max_cost: [Option<u64>; KINDS],
    baselines: u64,
    baseline: Option<Baseline>,
    /// Seen in windows that are over.
    previous: u64,
}

impl ExternalUsage {
    /// External requests seen so far.
    pub(super) fn total(&self) -> u64 {
        self.previous + self.baseline.as_ref().map_or(0, |baseline| baseline.external)
    }

    pub(super) fn record_sent(&mut self, kind: RequestKind) -> SentMark {
        self.sent[kind as usize] += 1;
        SentMark {
            kind,
            number: self.sent.iter().sum(),
            answered: self.answered,
            counted: self.baseline.as_ref().map_or([0; KINDS], |baseline| baseline.counted),
            baseline: self.baselines,
        }
    }

    /// A request got its response, or will get none.
    pub(super) fn record_answered(&mut self, mark: SentMark) {
        self.answered[mark.kind as usize] += 1;
    }

    /// What remained before says nothing about what will remain.
    pub(super) fn end_window(&mut self) {
        self.previous = self.total();
        self.baseline = None;
    }

    /// A response of this window says that `remaining` requests remain.
    pub(super) fn observe(&mut self, mark: SentMark, remaining: u32, kind: ResponseKind, costs: RequestCosts) {
        let Some(baseline) = &mut self.baseline else {
            let mut counted_before = mark.answered;
            counted_before[mark.kind as usize] += 1;
            let first_number = self.sent.iter().sum::<u64>() + 1;
            self.baselines += 1;
            self.baseline =
                Some(Baseline { remaining, counted_before, first_number, counted: [0; KINDS], external: 0 });
            return;
        };
        // A request that was sent before the first response may describe an earlier moment, or an earlier window.
        if mark.number < baseline.first_number {
            return;
        }
        let used = u64::from(baseline.remaining.saturating_sub(remaining));
        if kind == ResponseKind::Ok {
            baseline.counted[mark.kind as usize] += 1;
            let mut counted = if mark.baseline == self.baselines { mark.counted } else { [0; KINDS] };
            counted[mark.kind as usize] += 1;
            // Rows cost one request at least. If fewer are gone, the window was reset without notice.
            let Some(beyond) = used.checked_sub(counted.iter().sum()) else {
                return self.end_window();
            };
            // If a kind cost more than this, more would be gone.
            for (max, counted) in self.max_cost.iter_mut().zip(counted).filter(|(_, counted)| *counted > 0) {
                let bound = 1 + beyond / counted;
                *max = Some(max.map_or(bound, |max| max.min(bound)));
            }
        }
        let mut own = 0_u64;
        for kind in RequestKind::ALL {
            let index = kind as usize;
            let maybe_counted = self.sent[index].saturating_sub(baseline.counted_before[index]);
            match self.max_cost[index] {
                _ if maybe_counted == 0 => {}
                // A kind that has become more expensive shows in the learned costs.
                Some(max) => own += maybe_counted * max.max(u64::from(costs.cost(kind))),
                None => return,
            }
        }
        baseline.external = baseline.external.max(used.saturating_sub(own));
    }
}
