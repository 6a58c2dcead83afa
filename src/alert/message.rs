//! A notification. docs/guides/alerts.md documents its JSON.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::alert::condition::Condition;
use crate::config::AlertEvent;

/// The version of the JSON.
const VERSION: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageState {
    Firing,
    Resolved {
        at: Timestamp,
    },
    /// Of `alert test`.
    Test,
    /// Closes the test at a target that would keep it open.
    TestResolved {
        at: Timestamp,
    },
    /// A heartbeat after a complete run.
    Ping,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Identifies the condition within a lake, and stays the same until it is resolved.
    pub key: String,
    pub state: MessageState,
    pub condition: Condition,
}

impl Message {
    /// What `alert test` sends.
    pub fn test(now: Timestamp) -> Self {
        let nothing = || "nothing".to_owned();
        let condition = Condition {
            summary: "this is a test, no alert fires".into(),
            impact: nothing(),
            action: nothing(),
            ..Condition::new(AlertEvent::JobFailed, "test", now)
        };
        Self { key: "test".into(), state: MessageState::Test, condition }
    }

    pub fn ping(now: Timestamp) -> Self {
        Self { key: "ping".into(), state: MessageState::Ping, ..Self::test(now) }
    }

    pub fn state_name(&self) -> &'static str {
        match self.state {
            MessageState::Firing => "firing",
            MessageState::Resolved { .. } => "resolved",
            MessageState::Test | MessageState::TestResolved { .. } => "test",
            MessageState::Ping => "ping",
        }
    }

    pub fn event_name(&self) -> &'static str {
        match self.state {
            MessageState::Test | MessageState::TestResolved { .. } => "test",
            MessageState::Ping => "heartbeat",
            _ => self.condition.event.name(),
        }
    }

    pub fn headline(&self) -> String {
        let summary = &self.condition.summary;
        match self.state {
            MessageState::Firing => summary.clone(),
            MessageState::Resolved { .. } => format!("resolved: {summary}"),
            MessageState::Test | MessageState::TestResolved { .. } => format!("test: {summary}"),
            MessageState::Ping => "a run completed".to_owned(),
        }
    }

    /// `destination` is the address of the lake.
    pub fn to_json(&self, destination: &str) -> Value {
        let resolved_at = match self.state {
            MessageState::Resolved { at } | MessageState::TestResolved { at } => Some(at),
            MessageState::Firing | MessageState::Test | MessageState::Ping => None,
        };
        json!({
            "version": VERSION,
            "state": self.state_name(),
            "event": self.event_name(),
            "key": self.key,
            "job": self.condition.job,
            "summary": self.condition.summary,
            "since": self.condition.since,
            "resolved_at": resolved_at,
            "impact": self.condition.impact,
            "action": self.condition.action,
            "destination": destination,
            "program": concat!("profound-export ", env!("CARGO_PKG_VERSION")),
        })
    }
}
