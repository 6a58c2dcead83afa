//! Which notification each target got, and which are pending. Plain values; `store.rs` persists them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::alert::condition::Condition;
use crate::alert::message::{Message, MessageState};
use crate::config::{AlertConfig, AlertKind};

/// `seen_at` is updated once a day, so that an unchanged state is not written by each evaluation.
const SEEN_INTERVAL: SignedDuration = SignedDuration::from_hours(24);
/// A lasting condition that is not seen for so long is removed.
const LASTING: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The version of the stored format.
pub(super) const FORMAT: u32 = 3;
/// The oldest one that is read; it has other names for the texts of a condition.
pub(super) const OLDEST_FORMAT: u32 = 2;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AlertState {
    pub format: u32,
    /// By key of the condition.
    pub alerts: BTreeMap<String, Alert>,
}

/// A condition that fires, or that is resolved while some target has yet to be notified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Alert {
    pub condition: Condition,
    /// To a day.
    pub seen_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Timestamp>,
    /// Targets that were notified that it fires.
    pub notified: BTreeSet<String>,
}

impl Alert {
    fn new(condition: Condition, now: Timestamp) -> Self {
        Self { condition, seen_at: now, resolved_at: None, notified: BTreeSet::new() }
    }
}

impl Default for AlertState {
    fn default() -> Self {
        Self { format: FORMAT, alerts: BTreeMap::new() }
    }
}

impl AlertState {
    /// Records the conditions at `now`. Alerts for which `is_unknown` holds cannot be evaluated now and keep their state.
    pub fn record(&mut self, conditions: Vec<Condition>, is_unknown: impl Fn(&Condition) -> bool, now: Timestamp) {
        let mut seen = BTreeSet::new();
        for condition in conditions {
            let key = condition.key();
            seen.insert(key.clone());
            match self.alerts.get_mut(&key) {
                // A condition that fires again before every target was notified of its end is a new one.
                Some(alert) if alert.resolved_at.is_none() => {
                    let since = alert.condition.since.min(condition.since);
                    alert.condition = Condition { since, ..condition };
                    if now.duration_since(alert.seen_at) >= SEEN_INTERVAL {
                        alert.seen_at = now;
                    }
                }
                _ => _ = self.alerts.insert(key, Alert::new(condition, now)),
            }
        }
        self.alerts.retain(|key, alert| {
            if seen.contains(key) || is_unknown(&alert.condition) {
                return true;
            }
            if alert.condition.is_lasting {
                return now.duration_since(alert.seen_at) < LASTING;
            }
            alert.resolved_at.get_or_insert(now);
            !alert.notified.is_empty()
        });
    }

    /// The notifications that `target` should get.
    pub fn pending(&self, target: &AlertConfig) -> Vec<Message> {
        if target.kind == Some(AlertKind::Heartbeat) {
            return Vec::new();
        }
        let pending = self.alerts.iter().filter_map(|(key, alert)| {
            let Alert { condition, resolved_at, notified, .. } = alert;
            let is_wanted = (target.events.is_empty() || target.events.contains(&condition.event))
                && (target.jobs.is_empty() || condition.job.as_ref().is_none_or(|job| target.jobs.contains(job)));
            let state = match (resolved_at, notified.contains(&target.name)) {
                (None, false) if is_wanted => MessageState::Firing,
                (Some(at), true) => MessageState::Resolved { at: *at },
                _ => return None,
            };
            Some(Message { key: key.clone(), state, condition: condition.clone() })
        });
        pending.collect()
    }

    pub fn record_delivered(&mut self, target: &str, message: &Message) {
        let Some(alert) = self.alerts.get_mut(&message.key) else {
            return;
        };
        match message.state {
            MessageState::Firing => _ = alert.notified.insert(target.to_owned()),
            MessageState::Resolved { .. } => {
                alert.notified.remove(target);
                if alert.notified.is_empty() {
                    self.alerts.remove(&message.key);
                }
            }
            MessageState::Test | MessageState::TestResolved { .. } | MessageState::Ping => {}
        }
    }

    /// Adds the alerts of `other` that are not known here.
    pub fn merge(&mut self, other: Self) {
        for (key, alert) in other.alerts {
            self.alerts.entry(key).or_insert(alert);
        }
    }

    /// Removes targets that are no longer configured, so that no alert waits for them.
    pub fn retain_targets(&mut self, targets: &[AlertConfig]) {
        self.alerts.retain(|_, alert| {
            let is_configured = |name: &String| targets.iter().any(|target| target.name == *name);
            alert.notified.retain(is_configured);
            alert.resolved_at.is_none() || !alert.notified.is_empty()
        });
    }

    /// The condition of `key`, if it fires.
    pub fn firing_condition(&self, key: &str) -> Option<&Condition> {
        self.alerts.get(key).filter(|alert| alert.resolved_at.is_none()).map(|alert| &alert.condition)
    }

    pub fn firing(&self) -> impl Iterator<Item = &Condition> {
        self.alerts.values().filter(|alert| alert.resolved_at.is_none()).map(|alert| &alert.condition)
    }
}

#[cfg(test)]
mod tests;
