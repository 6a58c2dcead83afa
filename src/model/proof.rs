//! How the end of a slice is known.

use serde::{Deserialize, Serialize};

/// Why a slice is believed to be whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The rows received are as many as the API announced, the same on the first and the last page.
    Total,
    /// At least as many rows came as the API announced entities, each of which has one row or more.
    AtLeast,
    /// A list that came in one body.
    Body,
    /// The last page had no next cursor, and no total was announced.
    CursorEnd,
    /// The event stream ended cleanly, and no total was announced.
    StreamEnd,
    /// Nothing was asked: the stream that tells whether there is anything to read said that there is nothing.
    Gate,
}

impl Proof {
    /// Every proof.
    pub const ALL: [Self; 6] = [Self::Total, Self::AtLeast, Self::Body, Self::CursorEnd, Self::StreamEnd, Self::Gate];

    /// The proof that is called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|proof| proof.name() == name)
    }

    /// The name in the ledger and in the coverage table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::AtLeast => "at_least",
            Self::Body => "body",
            Self::CursorEnd => "cursor_end",
            Self::StreamEnd => "stream_end",
            Self::Gate => "gate",
        }
    }
}
