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
pub struct RequestCosts {
    events: u32,
    page: u32,
}

impl Default for RequestCosts {
    /// One each, as the vendor's documentation suggests.
    fn default() -> Self {
        Self { events: 1, page: 1 }
    }
}

impl RequestCosts {
    pub fn cost(self, kind: RequestKind) -> u32 {
        match kind {
            RequestKind::Events => self.events,
            RequestKind::Page => self.page,
        }
    }

    pub fn max(self) -> u32 {
        self.events.max(self.page)
    }

    #[must_use]
    pub fn with(self, kind: RequestKind, requests: u32) -> Self {
        let requests = requests.max(1);
        match kind {
            RequestKind::Events => Self { events: requests, ..self },
            RequestKind::Page => Self { page: requests, ..self },
        }
    }
}
