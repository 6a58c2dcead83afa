//! What was told to whom, and what is still to be told. Plain values; `store.rs` keeps them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::alert::condition::Condition;
use crate::alert::message::{Message, MessageState};
use crate::config::{AlertConfig, AlertKind};

/// What is never over is forgotten when it was not seen for so long.
const LASTS: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The form in which it is kept.
pub(super) const FORMAT: u32 = 1;

/// What was told to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Book {
    /// The form; another one is not read.
    pub format: u32,
    /// By key of the condition.
    pub entries: BTreeMap<String, Entry>,
}

/// A condition that stands, or is over and was not yet told to everybody as such.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// As it was seen last.
    pub condition: Condition,
    /// When it was seen last.
    pub seen_at: Timestamp,
    /// Since when it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_since: Option<Timestamp>,
    /// Who was told, and up to which level.
    pub told: BTreeMap<String, u8>,
}

impl Default for Book {
    fn default() -> Self {
        Self { format: FORMAT, entries: BTreeMap::new() }
    }
}

impl Book {
    /// Takes in what is the matter at `now`. Conditions of events in `unknown` cannot be judged now, and stay as they are.
    pub fn see(&mut self, conditions: Vec<Condition>, is_unknown: impl Fn(&Condition) -> bool, now: Timestamp) {
        let mut seen = BTreeSet::new();
        for condition in conditions {
            let key = condition.key();
            seen.insert(key.clone());
            match self.entries.get_mut(&key) {
                None => {
                    let entry = Entry { condition, seen_at: now, over_since: None, told: BTreeMap::new() };
                    self.entries.insert(key, entry);
                }
                Some(entry) => {
                    if entry.over_since.take().is_some() {
                        // It came back before everybody heard that it was over.
                        entry.told.clear();
                        entry.condition = condition;
                    } else {
                        let since = entry.condition.since.min(condition.since);
                        entry.condition = Condition { since, ..condition };
                    }
                    entry.seen_at = now;
                }
            }
        }
        self.entries.retain(|key, entry| {
            if seen.contains(key) || is_unknown(&entry.condition) {
                return true;
            }
            if entry.condition.is_lasting {
                return now.duration_since(entry.seen_at) < LASTS;
            }
            entry.over_since.get_or_insert(now);
            !entry.told.is_empty()
        });
    }

    /// What is to be told to `target`.
    pub fn due(&self, target: &AlertConfig) -> Vec<Message> {
        if target.kind == Some(AlertKind::Heartbeat) {
            return Vec::new();
        }
        let due = self.entries.iter().filter_map(|(key, entry)| {
            let Entry { condition, over_since, told, .. } = entry;
            let wants = (target.events.is_empty() || target.events.contains(&condition.event))
                && (target.jobs.is_empty() || condition.job.as_ref().is_none_or(|job| target.jobs.contains(job)));
            let told = told.get(&target.name).copied();
            let state = match over_since {
                None if wants && told.is_none_or(|told| told < condition.level) => MessageState::Firing,
                Some(at) if told.is_some() => MessageState::Resolved { at: *at },
                _ => return None,
            };
            Some(Message { key: key.clone(), state, condition: condition.clone() })
        });
        due.collect()
    }

    /// `message` was told to `target`, or never will be.
    pub fn told(&mut self, target: &str, message: &Message) {
        let Some(entry) = self.entries.get_mut(&message.key) else {
            return;
        };
        match message.state {
            MessageState::Firing => {
                entry.told.insert(target.to_owned(), message.condition.level);
            }
            MessageState::Resolved { .. } => {
                entry.told.remove(target);
                if entry.told.is_empty() {
                    self.entries.remove(&message.key);
                }
            }
            MessageState::Test => {}
        }
    }

    /// Forgets who is not configured any more, so that nothing waits for them.
    pub fn keep_targets(&mut self, targets: &[AlertConfig]) {
        self.entries.retain(|_, entry| {
            entry.told.retain(|name, _| targets.iter().any(|target| target.name == *name));
            entry.over_since.is_none() || !entry.told.is_empty()
        });
    }

    /// Whether the condition of `key` stands.
    pub fn stands(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.over_since.is_none())
    }

    /// Conditions that stand.
    pub fn standing(&self) -> impl Iterator<Item = &Condition> {
        self.entries.values().filter(|entry| entry.over_since.is_none()).map(|entry| &entry.condition)
    }
}

#[cfg(test)]
mod tests;
