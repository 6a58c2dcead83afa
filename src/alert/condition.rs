//! Something that is the matter.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::AlertEvent;

/// Something that is the matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// What kind of thing.
    pub event: AlertEvent,
    /// What it is about: a job, a stream; empty where there is only one. With the event it tells conditions apart.
    pub subject: String,
    /// The job, where it belongs to one.
    pub job: Option<String>,
    /// What it touches, where that may become more while it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub touched: Option<Touched>,
    /// A condition that gets worse is told again: days that are left, counted down in steps; or that more is touched.
    #[serde(default)]
    pub level: u8,
    /// Whether it is never over: then it is told once and no more.
    #[serde(default)]
    pub is_lasting: bool,
    /// What happened, in one sentence.
    pub what: String,
    /// Since when.
    pub since: Timestamp,
    /// What it affects.
    pub affected: String,
    /// What someone can do.
    pub to_do: String,
}

/// What a condition touches: the scopes of each stream, or the streams of each member.
pub type Touches = BTreeMap<String, BTreeSet<String>>;

/// What a condition touches, and since when that was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// What.
    pub parts: Touches,
    /// When its present level began.
    pub told_at: Timestamp,
    /// Whether more is touched since.
    #[serde(default)]
    pub has_grown: bool,
}

impl Condition {
    /// Of `event` about `subject`, with nothing said yet.
    pub(super) fn of(event: AlertEvent, subject: impl Into<String>, since: Timestamp) -> Self {
        Self {
            event,
            subject: subject.into(),
            job: None,
            touched: None,
            level: 0,
            is_lasting: false,
            what: String::new(),
            since,
            affected: String::new(),
            to_do: String::new(),
        }
    }

    /// Tells conditions apart, and stays the same for as long as one lasts.
    pub fn key(&self) -> String {
        key_of(self.event, &self.subject)
    }

    /// Whether `part` of `subject` is touched.
    pub(super) fn touches(&self, subject: &str, part: &str) -> bool {
        let parts = self.touched.as_ref().and_then(|touched| touched.parts.get(subject));
        parts.is_some_and(|parts| parts.contains(part))
    }
}

/// The key of a condition of `event` about `subject`.
pub(super) fn key_of(event: AlertEvent, subject: &str) -> String {
    match subject.is_empty() {
        true => event.name().to_owned(),
        false => format!("{}/{subject}", event.name()),
    }
}
