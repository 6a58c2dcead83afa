//! Products that a category may lack: what the gates of the catalog tell, and what lies behind them.

use std::collections::BTreeSet;

use catalog::Catalog;
use catalog::model::stream::Stream;

use super::account::Account;
use super::world::{Place, World};

/// Which categories have a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holders {
    /// Every category.
    All,
    /// None.
    Nobody,
    /// The first one.
    First,
    /// Every category but the last; the only one has it.
    AllButLast,
    /// Those at these positions.
    Only(BTreeSet<usize>),
}

impl Holders {
    /// Whether the category at `index` of `count` is one of them.
    pub fn contains(&self, index: usize, count: usize) -> bool {
        match self {
            Self::All => true,
            Self::Nobody => false,
            Self::First => index == 0,
            Self::AllButLast => index + 1 < count || count == 1,
            Self::Only(positions) => positions.contains(&index),
        }
    }
}

/// What a place has of the product that a stream is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Product {
    /// All of it, or the stream is about none.
    Present,
    /// Nothing, and the stream is the one that says so: its figures are zero.
    Zero,
    /// Nothing: there are no rows.
    Absent,
}

impl Product {
    /// What `place` has of the product of `stream`.
    pub(super) fn of(stream: &Stream, place: &Place, catalog: &Catalog, account: &Account, world: &World) -> Self {
        if stream.gate.is_none() && stream.signal.is_none() {
            return Self::Present;
        }
        let gates: BTreeSet<&str> = catalog.streams().filter_map(|stream| stream.gate.as_deref()).collect();
        // Another grain of a gate's endpoint tells the same.
        let same = |gate: &&&str| catalog.get(gate).is_some_and(|gate| gate.request == stream.request);
        let told_by = gates.iter().find(same);
        let holds = |gate: &str| match (account.products.get(gate), place.category) {
            (Some(holders), Some(index)) => holders.contains(index, world.categories.len()),
            _ => true,
        };
        match (told_by, &stream.gate) {
            (Some(gate), _) if !holds(gate) => Self::Zero,
            (None, Some(gate)) if !holds(gate) => Self::Absent,
            _ => Self::Present,
        }
    }
}
