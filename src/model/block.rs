//! The channel between extraction and decoding.

use std::sync::Arc;

/// The names of the values in positional rows, in the order of the response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions {
    pub dimensions: Vec<String>,
    pub metrics: Vec<String>,
}

/// Part of a response, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// Whole rows: a JSON array of `rows` objects, at most about 1 MiB, or one larger row.
    Rows {
        /// The array, brackets included.
        json: Vec<u8>,
        rows: usize,
    },
    /// For the positional rows of this page. May follow them, if a body has `data` before `info`.
    Positions(Arc<Positions>),
    EndOfPage,
}

impl Block {
    /// Of JSON.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Rows { json, .. } => json.len(),
            Self::Positions(_) | Self::EndOfPage => 0,
        }
    }
}
