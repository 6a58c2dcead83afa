//! The parsers under test, and what must hold for each input.

mod checkpoints;
mod configuration;
mod cutting;
mod decoding;
mod events;
mod lists;
mod paths;
mod records;

use std::hash::{DefaultHasher, Hash, Hasher};

/// A parser of foreign data.
pub struct FuzzTarget {
    /// Also the name of its corpus.
    pub name: &'static str,
    /// Further inputs besides the corpus.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Panics if an assertion fails.
    pub try_one: fn(&[u8]) -> FuzzOutcome,
    /// Memory bound for any input.
    pub bytes: usize,
    /// Added to the bound per byte of input.
    pub bytes_per_byte: usize,
}

pub struct FuzzOutcome {
    /// Distinguishes outcomes: inputs with a new one are mutated further.
    pub kind: u64,
    /// Memory that the input explicitly requests, such as with a window of a thousand years.
    pub named_bytes: usize,
}

impl FuzzOutcome {
    pub fn new(kind: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        kind.hash(&mut hasher);
        Self { kind: hasher.finish(), named_bytes: 0 }
    }
}

pub const ALL: [FuzzTarget; 7] = [
    events::TARGET,
    lists::TARGET,
    decoding::TARGET,
    configuration::TARGET,
    paths::TARGET,
    records::TARGET,
    checkpoints::TARGET,
];

/// The error message without numbers and quoted text.
pub fn kind_of(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let outside = text.split(['`', '"']).step_by(2).collect::<String>();
    outside.chars().filter(|c| !c.is_ascii_digit()).take(60).collect()
}
