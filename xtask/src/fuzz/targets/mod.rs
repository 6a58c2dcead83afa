//! What is fed with inputs, and what must hold for each.

mod checkpoints;
mod configuration;
mod cutting;
mod decoding;
mod events;
mod lists;
mod paths;
mod records;

use std::hash::{DefaultHasher, Hash, Hasher};

/// One part of the program that reads what others wrote.
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// What it begins with beside its corpus.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words of the format.
    pub words: &'static [&'static str],
    /// Tries one input. Panics where a promise does not hold.
    pub try_one: fn(&[u8]) -> Outcome,
    /// Bytes of memory that any input may take.
    pub bytes: usize,
    /// Bytes of memory that each byte of an input may take beside.
    pub bytes_a_byte: usize,
}

/// What came of an input.
pub struct Outcome {
    /// Tells it from other outcomes: inputs that bring a new one are mutated further.
    pub kind: u64,
    /// Bytes of memory that the input asks for in so many words, such as by a window of a thousand years.
    pub named_bytes: usize,
}

impl Outcome {
    /// An outcome told from others by `kind`.
    pub fn of(kind: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        kind.hash(&mut hasher);
        Self { kind: hasher.finish(), named_bytes: 0 }
    }
}

/// Every target.
pub const ALL: [Target; 7] = [
    events::TARGET,
    lists::TARGET,
    decoding::TARGET,
    configuration::TARGET,
    paths::TARGET,
    records::TARGET,
    checkpoints::TARGET,
];

/// An error told from others: its words, without figures and without what it quotes.
pub fn kind_of(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let outside = text.split(['`', '"']).step_by(2).collect::<String>();
    outside.chars().filter(|c| !c.is_ascii_digit()).take(60).collect()
}
