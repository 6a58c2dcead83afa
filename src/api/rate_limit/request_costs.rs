//! What a kind of request costs, learned from the drop of `X-RateLimit-Remaining` across a request that was alone in flight.

use std::collections::VecDeque;

use crate::model::cost::{RequestCosts, RequestKind};

/// The least of the last observations counts: requests of others can only add to a drop.
const MAX_OBSERVATIONS: usize = 8;
/// Observations before a kind is believed to cost more than before: one or two may include requests of others.
const MIN_OBSERVATIONS: usize = 3;

#[derive(Debug, Clone, Default)]
pub(super) struct LearnedCosts {
    known: RequestCosts,
    observed: [VecDeque<u32>; RequestKind::ALL.len()],
}

impl LearnedCosts {
    /// Starts from the costs that earlier processes learned. Observations of this one stay.
    pub(super) fn assume(&mut self, known: RequestCosts) {
        self.known = known;
    }

    /// A request of `kind` was alone in flight, and `drop` requests fewer remain.
    pub(super) fn observe(&mut self, kind: RequestKind, drop: u32) {
        let observed = &mut self.observed[kind as usize];
        if observed.len() >= MAX_OBSERVATIONS {
            observed.pop_front();
        }
        observed.push_back(drop.max(1));
    }

    /// The costs, as far as they are certain.
    pub(super) fn costs(&self) -> RequestCosts {
        RequestKind::ALL.into_iter().fold(self.known, |costs, kind| {
            let observed = &self.observed[kind as usize];
            match observed.iter().copied().min() {
                // No request of others makes a drop smaller, so a lower cost is certain at once.
                Some(least) if least < costs.cost(kind) || observed.len() >= MIN_OBSERVATIONS => {
                    costs.with(kind, least)
                }
                _ => costs,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(known: u32, drops: &[u32]) -> u32 {
        let mut learned = LearnedCosts::default();
        learned.assume(RequestCosts::default().with(RequestKind::Events, known));
        drops.iter().for_each(|drop| learned.observe(RequestKind::Events, *drop));
        learned.costs().cost(RequestKind::Events)
    }

    #[test]
    fn cost_is_the_least_of_the_last_drops_once_there_are_enough() {
        assert_eq!(learned(1, &[]), 1);
        assert_eq!(learned(1, &[9, 7]), 1, "may include requests of others");
        assert_eq!(learned(1, &[9, 3, 5]), 3);
        assert_eq!(learned(3, &[1]), 1, "less is certain at once");
        assert_eq!(learned(1, &[1, 3, 3, 3, 3, 3, 3, 3, 3]), 3, "a change is noticed");
        assert_eq!(learned(1, &[0, 0, 0]), 1);
    }
}
