//! Proofs that a slice is complete.

use serde::{Deserialize, Serialize};

/// Why a slice counts as complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// As many rows as announced, with the same total on the first and last page.
    Total,
    /// At least as many rows as announced entities, each of which has one row or more.
    AtLeast,
    /// A list in one response.
    Body,
    /// The last page had no next cursor, and there was no total.
    CursorEnd,
    /// The event stream ended cleanly, and there was no total.
    StreamEnd,
    /// No request: the signal of the gate said that there are no rows.
    Gate,
}

impl Proof {
    pub const ALL: [Self; 6] = [Self::Total, Self::AtLeast, Self::Body, Self::CursorEnd, Self::StreamEnd, Self::Gate];

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|proof| proof.name() == name)
    }

    /// In the ledger and the coverage table.
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
