//! What is told: a condition that stands, or is over. `docs/guides/alerts.md` documents the JSON.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::alert::condition::Condition;
use crate::config::AlertEvent;

/// The form of the JSON.
const VERSION: u32 = 1;

/// Whether a condition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageState {
    /// It does.
    Firing,
    /// It is over.
    Resolved {
        /// Since when.
        at: Timestamp,
    },
    /// Nothing is the matter: someone tries the target.
    Test,
    /// The same is over, where a target needs to be told.
    TestOver {
        /// Since when.
        at: Timestamp,
    },
}

/// One thing that is told to one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Tells conditions of one lake apart, and stays the same until it is resolved.
    pub key: String,
    /// Whether it stands.
    pub state: MessageState,
    /// What it is about.
    pub condition: Condition,
}

impl Message {
    /// What `alert test` sends.
    pub fn test(now: Timestamp) -> Self {
        let nothing = || "nothing".to_owned();
        let condition = Condition {
            what: "this is a test: nothing is the matter".into(),
            affected: nothing(),
            to_do: nothing(),
            ..Condition::of(AlertEvent::JobFailed, "test", now)
        };
        Self { key: "test".into(), state: MessageState::Test, condition }
    }

    /// The state in one word.
    pub fn state_name(&self) -> &'static str {
        match self.state {
            MessageState::Firing => "firing",
            MessageState::Resolved { .. } => "resolved",
            MessageState::Test | MessageState::TestOver { .. } => "test",
        }
    }

    /// The event, or that it is a test.
    pub fn event_name(&self) -> &'static str {
        match self.state {
            MessageState::Test | MessageState::TestOver { .. } => "test",
            _ => self.condition.event.name(),
        }
    }

    /// One line that says it all.
    pub fn headline(&self) -> String {
        match self.state {
            MessageState::Firing => self.condition.what.clone(),
            MessageState::Resolved { .. } => format!("over: {}", self.condition.what),
            MessageState::Test | MessageState::TestOver { .. } => format!("test: {}", self.condition.what),
        }
    }

    /// All of it, about the lake at `destination`.
    pub fn to_json(&self, destination: &str) -> Value {
        let resolved_at = match self.state {
            MessageState::Resolved { at } | MessageState::TestOver { at } => Some(at),
            MessageState::Firing | MessageState::Test => None,
        };
        json!({
            "version": VERSION,
            "state": self.state_name(),
            "event": self.event_name(),
            "key": self.key,
            "job": self.condition.job,
            "what": self.condition.what,
            "since": self.condition.since,
            "resolved_at": resolved_at,
            "affected": self.condition.affected,
            "to_do": self.condition.to_do,
            "destination": destination,
            "program": concat!("profound-export ", env!("CARGO_PKG_VERSION")),
        })
    }
}
