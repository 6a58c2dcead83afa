//! Requests by others with the same key, seen in what remains: within one period it falls by more than our own requests
//! explain.
//!
//! Everything is bounded towards fewer: whatever of ours may have been counted is taken to have been, each at the most that
//! a request of its kind can cost. So nothing of ours is ever reported, however requests overlap; what others spend
//! between two periods, or before the first answer of one, is not seen.

use crate::api::budget::state::Came;
use crate::model::cost::{Costs, RequestKind};

const KINDS: usize = RequestKind::ALL.len();

/// Figures by kind of request.
type ByKind = [u64; KINDS];

/// What was known when a request was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    kind: RequestKind,
    number: u64,
    /// Requests that were answered by then.
    answered: ByKind,
    /// Requests of the stretch that were surely counted by then, and which stretch that was.
    counted: ByKind,
    stretch: u64,
}

/// A stretch of one period: from its first answer on.
#[derive(Debug, Clone)]
struct Stretch {
    /// What remained at the first answer.
    remaining: u32,
    /// What had been answered when the request of that answer was sent, and that request itself: none of these are
    /// counted after it.
    before: ByKind,
    /// The first request that was sent after the answer.
    first: u64,
    /// Requests since then that were answered with rows.
    counted: ByKind,
    /// Most that others surely spent.
    foreign: u64,
}

/// Requests by others with the same key.
#[derive(Debug, Clone, Default)]
pub(super) struct Foreign {
    sent: ByKind,
    answered: ByKind,
    /// The most that a request of a kind can cost, judged by all that was seen; none where nothing was.
    most: [Option<u64>; KINDS],
    stretches: u64,
    stretch: Option<Stretch>,
    /// Seen in stretches that are over.
    settled: u64,
}

impl Foreign {
    /// All that were seen so far.
    pub(super) fn seen(&self) -> u64 {
        self.settled + self.stretch.as_ref().map_or(0, |stretch| stretch.foreign)
    }

    /// A request is sent.
    pub(super) fn send(&mut self, kind: RequestKind) -> Mark {
        self.sent[kind as usize] += 1;
        Mark {
            kind,
            number: self.sent.iter().sum(),
            answered: self.answered,
            counted: self.stretch.as_ref().map_or([0; KINDS], |stretch| stretch.counted),
            stretch: self.stretches,
        }
    }

    /// A request is over for the budget: an answer came, or none will.
    pub(super) fn over(&mut self, mark: Mark) {
        self.answered[mark.kind as usize] += 1;
    }

    /// What remained before has nothing to do with what follows.
    pub(super) fn turn(&mut self) {
        self.settled = self.seen();
        self.stretch = None;
    }

    /// An answer of this period says what remains.
    pub(super) fn told(&mut self, mark: Mark, remaining: u32, came: Came, costs: Costs) {
        let Some(stretch) = &mut self.stretch else {
            let mut before = mark.answered;
            before[mark.kind as usize] += 1;
            let first = self.sent.iter().sum::<u64>() + 1;
            self.stretches += 1;
            self.stretch = Some(Stretch { remaining, before, first, counted: [0; KINDS], foreign: 0 });
            return;
        };
        // What was sent before the first answer may tell of an earlier moment, or of an earlier period.
        if mark.number < stretch.first {
            return;
        }
        let fell = u64::from(stretch.remaining.saturating_sub(remaining));
        if came == Came::Rows {
            stretch.counted[mark.kind as usize] += 1;
            let mut counted = if mark.stretch == self.stretches { mark.counted } else { [0; KINDS] };
            counted[mark.kind as usize] += 1;
            // An answer with rows costs one at least. Where less is gone, something came back that nobody told of.
            let Some(more) = fell.checked_sub(counted.iter().sum()) else {
                return self.turn();
            };
            // Were a kind dearer than this, more would be gone.
            for (most, counted) in self.most.iter_mut().zip(counted).filter(|(_, counted)| 0 < *counted) {
                let bound = 1 + more / counted;
                *most = Some(most.map_or(bound, |most| most.min(bound)));
            }
        }
        let mut own = 0_u64;
        for kind in RequestKind::ALL {
            let index = kind as usize;
            let maybe = self.sent[index].saturating_sub(stretch.before[index]);
            match self.most[index] {
                _ if maybe == 0 => {}
                // What has become dearer is learned from requests that fly alone.
                Some(most) => own += maybe * most.max(u64::from(costs.cost(kind))),
                None => return,
            }
        }
        stretch.foreign = stretch.foreign.max(fell.saturating_sub(own));
    }
}
