//! A condition that needs an operator.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::AlertEvent;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    pub event: AlertEvent,
    /// The job or destination; empty if there is only one. With the event it identifies the condition.
    pub subject: String,
    pub job: Option<String>,
    /// The scopes of streams that lost access. The API only says which scopes have none, so a new process needs the list to tell a
    /// lost scope from one that never had access.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub scopes: BTreeSet<(String, String)>,
    /// It is never resolved, such as an unknown field.
    #[serde(default)]
    pub is_lasting: bool,
    /// What happened, in one sentence.
    #[serde(alias = "what")]
    pub summary: String,
    pub since: Timestamp,
    /// What does not work, and what still does.
    #[serde(alias = "affected")]
    pub impact: String,
    /// What an operator can do.
    #[serde(alias = "to_do")]
    pub action: String,
}

impl Condition {
    pub(super) fn new(event: AlertEvent, subject: impl Into<String>, since: Timestamp) -> Self {
        Self {
            event,
            subject: subject.into(),
            job: None,
            scopes: BTreeSet::new(),
            is_lasting: false,
            summary: String::new(),
            since,
            impact: String::new(),
            action: String::new(),
        }
    }

    /// Stays the same while the condition fires.
    pub fn key(&self) -> String {
        key(self.event, &self.subject)
    }
}

pub(super) fn key(event: AlertEvent, subject: &str) -> String {
    if subject.is_empty() { event.name().to_owned() } else { format!("{}/{subject}", event.name()) }
}
