//! Whole rows on their way from a response to a record batch.

use std::sync::Arc;

/// The names that bind positional rows, in the order in which the response lists its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions {
    /// Names of the entries of each row's `dimensions`.
    pub dimensions: Vec<String>,
    /// Names of the entries of each row's `metrics`.
    pub metrics: Vec<String>,
}

/// What travels from extraction to decoding, in the order in which it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// Whole rows: a JSON array of `rows` objects, at most about 1 MiB, or one larger row.
    Rows {
        /// The text of the array, brackets included.
        json: Vec<u8>,
        /// How many rows the array holds.
        rows: usize,
    },
    /// What binds the positional rows of this page. May follow rows, when a body sends `data` before `info`.
    Positions(Arc<Positions>),
    /// A page is over; the rows that follow belong to the next.
    EndOfPage,
}

impl Block {
    /// Bytes of JSON it holds.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Rows { json, .. } => json.len(),
            Self::Positions(_) | Self::EndOfPage => 0,
        }
    }
}
