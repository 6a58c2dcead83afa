//! Products that a category may lack: what the gates of the catalog report, and what is behind them.

use std::collections::BTreeSet;

use catalog::model::stream::Stream;

use super::dataset::Dataset;
use super::objects::Subject;

/// What a subject has of the product that a stream is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProductState {
    /// All of it, or the stream is about no product.
    Present,
    /// Nothing, and the stream is the gate that reports it: its figures are zero.
    Zero,
    /// Nothing: the stream has no rows.
    Absent,
}

impl Dataset {
    /// What `subject` has of the product that `stream` is about.
    pub(crate) fn product(&self, stream: &Stream, subject: &Subject) -> ProductState {
        let category = self.objects.category_index(&subject.scope);
        let holds = |gate: &str| match (self.account.products.get(gate), category) {
            (Some(holders), Some(index)) => holders.contains(index, self.objects.categories.len()),
            _ => true,
        };
        let gates: BTreeSet<&str> = self.catalog.streams().filter_map(|stream| stream.gate.as_deref()).collect();
        // A gate's endpoint reports the same at every grain.
        let is_same = |gate: &&&str| self.catalog.get(gate).is_some_and(|gate| gate.request == stream.request);
        let own_gate = || gates.iter().find(is_same);
        match &stream.gate {
            None if stream.signal.is_none() => ProductState::Present,
            behind => match (own_gate(), behind) {
                (Some(gate), _) if !holds(gate) => ProductState::Zero,
                (None, Some(gate)) if !holds(gate) => ProductState::Absent,
                _ => ProductState::Present,
            },
        }
    }
}
