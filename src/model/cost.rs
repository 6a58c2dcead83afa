//! What requests cost: how many of the hour's requests one of a kind takes.

use std::collections::BTreeMap;
use std::time::Duration;

/// The kinds of requests that may cost differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// One response that holds a whole window, as an event stream.
    Events,
    /// One page, or one list.
    Page,
}

impl RequestKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Events, Self::Page];

    /// The name under which the ledger keeps what it costs.
    pub fn learned_name(self) -> &'static str {
        match self {
            Self::Events => "cost/events",
            Self::Page => "cost/pages",
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
    /// What the ledger has `learned`; one where it knows nothing.
    pub fn learned(learned: &BTreeMap<String, String>) -> Self {
        RequestKind::ALL.into_iter().fold(Self::default(), |costs, kind| {
            let known = learned.get(kind.learned_name()).and_then(|value| value.parse().ok());
            costs.with(kind, known.unwrap_or(1))
        })
    }

    /// What one request of `kind` takes.
    pub fn of(self, kind: RequestKind) -> u32 {
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

/// The name under which the ledger keeps how long a request takes, in milliseconds.
pub const PACE: &str = "pace/milliseconds";

/// How long a request takes on average, as the ledger has `learned`; none where it knows nothing.
pub fn learned_pace(learned: &BTreeMap<String, String>) -> Option<Duration> {
    learned.get(PACE)?.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_what_was_learned_and_one_where_nothing_sensible_was() {
        let learned = |value: &str| Costs::learned(&[("cost/events".to_owned(), value.to_owned())].into());
        assert_eq!(learned("3").of(RequestKind::Events), 3);
        assert_eq!(learned("3").of(RequestKind::Page), 1);
        assert_eq!(learned("0"), Costs::default());
        assert_eq!(learned("many"), Costs::default());
    }
}
