//! Something that is the matter.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::AlertEvent;

/// Something that is the matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// What kind of thing.
    pub event: AlertEvent,
    /// What it is about: a job, a stream, a scope; empty where there is only one. With the event it tells conditions apart.
    pub subject: String,
    /// The job, where it belongs to one.
    pub job: Option<String>,
    /// A condition that gets worse is told again: days that are left, counted down in steps.
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

impl Condition {
    /// Tells conditions apart, and stays the same for as long as one lasts.
    pub fn key(&self) -> String {
        match self.subject.is_empty() {
            true => self.event.name().to_owned(),
            false => format!("{}/{}", self.event.name(), self.subject),
        }
    }
}
