//! What was told to whom, and what is still to be told. Plain values; `store.rs` keeps them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::alert::condition::Condition;
use crate::alert::message::{Message, MessageState};
use crate::config::{AlertConfig, AlertKind};

/// A message that a target refused is sent to it again so much later, and each time after twice as long.
const AFTER_REFUSAL: SignedDuration = SignedDuration::from_hours(1);
/// A message that was refused so often is not sent to that target any more.
const MOST_REFUSALS: u32 = 5;
/// When a condition was seen last is kept so exactly.
const A_DAY: SignedDuration = SignedDuration::from_hours(24);
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
    /// When it was seen last, to a day.
    pub seen_at: Timestamp,
    /// Since when it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_since: Option<Timestamp>,
    /// Who was told, and up to which level.
    pub told: BTreeMap<String, u8>,
    /// Who refused to be told: a wrong address or secret that someone may put right.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<String, Refusals>,
}

/// A target that refuses a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refusals {
    /// How often it did.
    pub times: u32,
    /// When it is asked again.
    pub again_at: Timestamp,
}

impl Entry {
    fn of(condition: Condition, now: Timestamp) -> Self {
        Self { condition, seen_at: now, over_since: None, told: BTreeMap::new(), refused: BTreeMap::new() }
    }
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
                    self.entries.insert(key, Entry::of(condition, now));
                }
                // It came back before everybody heard that it was over.
                Some(entry) if entry.over_since.is_some() => *entry = Entry::of(condition, now),
                Some(entry) => {
                    let since = entry.condition.since.min(condition.since);
                    entry.condition = Condition { since, ..condition };
                    // The day is all that forgetting needs, and the book is written only when it changes.
                    if A_DAY <= now.duration_since(entry.seen_at) {
                        entry.seen_at = now;
                    }
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

    /// What is to be told to `target` at `now`.
    pub fn due(&self, target: &AlertConfig, now: Timestamp) -> Vec<Message> {
        if target.kind == Some(AlertKind::Heartbeat) {
            return Vec::new();
        }
        let due = self.entries.iter().filter_map(|(key, entry)| {
            let Entry { condition, over_since, told, refused, .. } = entry;
            if refused.get(&target.name).is_some_and(|refused| now < refused.again_at) {
                return None;
            }
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

    /// `target` refused `message` at `now`. It is told later, and after some times not at all.
    pub fn refused(&mut self, target: &str, message: &Message, now: Timestamp) {
        let Some(entry) = self.entries.get_mut(&message.key) else {
            return;
        };
        let times = entry.refused.get(target).map_or(0, |refused| refused.times) + 1;
        if MOST_REFUSALS <= times {
            return self.told(target, message);
        }
        let again_at = now.checked_add(AFTER_REFUSAL * (1 << (times - 1))).unwrap_or(now);
        entry.refused.insert(target.to_owned(), Refusals { times, again_at });
    }

    /// `message` was told to `target`, or never will be.
    pub fn told(&mut self, target: &str, message: &Message) {
        let Some(entry) = self.entries.get_mut(&message.key) else {
            return;
        };
        entry.refused.remove(target);
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
            MessageState::Test | MessageState::TestOver { .. } => {}
        }
    }

    /// Takes in what `other` knows beside.
    pub fn adopt(&mut self, other: Self) {
        for (key, entry) in other.entries {
            self.entries.entry(key).or_insert(entry);
        }
    }

    /// Forgets who is not configured any more, so that nothing waits for them.
    pub fn keep_targets(&mut self, targets: &[AlertConfig]) {
        self.entries.retain(|_, entry| {
            let is_configured = |name: &String| targets.iter().any(|target| target.name == *name);
            entry.told.retain(|name, _| is_configured(name));
            entry.refused.retain(|name, _| is_configured(name));
            entry.over_since.is_none() || !entry.told.is_empty()
        });
    }

    /// The condition of `key`, while it stands.
    pub fn standing_as(&self, key: &str) -> Option<&Condition> {
        self.entries.get(key).filter(|entry| entry.over_since.is_none()).map(|entry| &entry.condition)
    }

    /// Conditions that stand.
    pub fn standing(&self) -> impl Iterator<Item = &Condition> {
        self.entries.values().filter(|entry| entry.over_since.is_none()).map(|entry| &entry.condition)
    }
}

#[cfg(test)]
mod tests;
