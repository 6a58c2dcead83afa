//! How many requests of the rate limit one request of each kind costs.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// A whole window as an event stream.
    Events,
    /// A page or a list.
    Page,
}

impl RequestKind {
    pub const ALL: [Self; 2] = [Self::Events, Self::Page];

    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Page => "page",
        }
    }
}

/// Requests counted by the API per request sent, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestCosts([u32; RequestKind::ALL.len()]);

impl Default for RequestCosts {
    /// One each, as the vendor's documentation suggests.
    fn default() -> Self {
        Self([1; RequestKind::ALL.len()])
    }
}

impl RequestCosts {
    pub fn cost(self, kind: RequestKind) -> u32 {
        self.0[kind as usize]
    }

    pub fn max(self) -> u32 {
        self.0.into_iter().fold(1, u32::max)
    }

    #[must_use]
    pub fn with(mut self, kind: RequestKind, requests: u32) -> Self {
        self.0[kind as usize] = requests.max(1);
        self
    }
}
