//! Products that a category may lack: what the gates of the catalog report, and what is behind them.

use std::collections::BTreeSet;

use catalog::Catalog;
use catalog::model::stream::Stream;

use super::account::Account;
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

impl ProductState {
    pub(crate) fn new(
        stream: &Stream,
        subject: &Subject,
        catalog: &Catalog,
        account: &Account,
        categories: usize,
    ) -> Self {
        let holds = |gate: &str| match (account.products.get(gate), subject.category) {
            (Some(holders), Some(index)) => holders.contains(index, categories),
            _ => true,
        };
        let gates: BTreeSet<&str> = catalog.streams().filter_map(|stream| stream.gate.as_deref()).collect();
        // A gate's endpoint reports the same at every grain.
        let is_same = |gate: &&&str| catalog.get(gate).is_some_and(|gate| gate.request == stream.request);
        let own_gate = || gates.iter().find(is_same);
        match &stream.gate {
            None if stream.signal.is_none() => Self::Present,
            behind => match (own_gate(), behind) {
                (Some(gate), _) if !holds(gate) => Self::Zero,
                (None, Some(gate)) if !holds(gate) => Self::Absent,
                _ => Self::Present,
            },
        }
    }
}
