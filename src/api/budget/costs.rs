//! What a kind of request really costs, learned from the drop of `Remaining` across one that flew alone.

use std::collections::VecDeque;

use crate::model::cost::{Costs, RequestKind};

/// The last observations of a kind, the least of which counts: what others spend meanwhile only adds to a drop.
const REMEMBERED: usize = 8;
/// Observations before a kind is believed to cost more than was known: one or two may be somebody else's spending.
const ENOUGH: usize = 3;

/// What was known of costs, and what was observed since.
#[derive(Debug, Clone, Default)]
pub(super) struct LearnedCosts {
    known: Costs,
    events: VecDeque<u32>,
    page: VecDeque<u32>,
}

impl LearnedCosts {
    /// Forgets what was known for what earlier processes learned; what this one observed stays.
    pub(super) fn expect(&mut self, known: Costs) {
        self.known = known;
    }

    /// A request of `kind` flew alone, and `Remaining` fell by `drop`.
    pub(super) fn observe(&mut self, kind: RequestKind, drop: u32) {
        let observed = match kind {
            RequestKind::Events => &mut self.events,
            RequestKind::Page => &mut self.page,
        };
        if REMEMBERED <= observed.len() {
            observed.pop_front();
        }
        observed.push_back(drop.max(1));
    }

    /// The costs as far as they are sure.
    pub(super) fn costs(&self) -> Costs {
        let of = |kind: RequestKind, observed: &VecDeque<u32>| {
            let known = self.known.cost(kind);
            match observed.iter().copied().min() {
                // Nobody's spending makes a drop smaller, so less than was known is certain at once.
                Some(least) if least < known || ENOUGH <= observed.len() => least,
                _ => known,
            }
        };
        let events = of(RequestKind::Events, &self.events);
        let page = of(RequestKind::Page, &self.page);
        Costs::default().with(RequestKind::Events, events).with(RequestKind::Page, page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(known: u32, drops: &[u32]) -> u32 {
        let mut learned = LearnedCosts::default();
        learned.expect(Costs::default().with(RequestKind::Events, known));
        drops.iter().for_each(|drop| learned.observe(RequestKind::Events, *drop));
        learned.costs().cost(RequestKind::Events)
    }

    #[test]
    fn cost_is_the_least_of_the_last_drops_once_there_are_enough() {
        assert_eq!(learned(1, &[]), 1);
        assert_eq!(learned(1, &[9, 7]), 1, "may be somebody else's");
        assert_eq!(learned(1, &[9, 3, 5]), 3);
        assert_eq!(learned(3, &[1]), 1, "less is certain at once");
        assert_eq!(learned(1, &[1, 3, 3, 3, 3, 3, 3, 3, 3]), 3, "what changed is noticed");
        assert_eq!(learned(1, &[0, 0, 0]), 1);
    }
}
