//! What requests cost: how many of the hour's requests one of a kind takes.

use serde::{Deserialize, Serialize};

/// The kinds of requests that may cost differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// One response that holds a whole window, as an event stream.
    Events,
    /// One page, or one list.
    Page,
}

impl RequestKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Events, Self::Page];

    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Page => "page",
        }
    }
}

/// How many requests of the budget one request of each kind takes, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Costs {
    events: u32,
    page: u32,
}

impl Default for Costs {
    /// One each, which is what the vendor's documentation suggests.
    fn default() -> Self {
        Self { events: 1, page: 1 }
    }
}

impl Costs {
    /// What one request of `kind` takes.
    pub fn cost(self, kind: RequestKind) -> u32 {
        match kind {
            RequestKind::Events => self.events,
            RequestKind::Page => self.page,
        }
    }

    /// What one request of the costliest kind takes.
    pub fn most(self) -> u32 {
        self.events.max(self.page)
    }

    /// The same, where one request of `kind` takes `requests`.
    #[must_use]
    pub fn with(self, kind: RequestKind, requests: u32) -> Self {
        let requests = requests.max(1);
        match kind {
            RequestKind::Events => Self { events: requests, ..self },
            RequestKind::Page => Self { page: requests, ..self },
        }
    }
}
