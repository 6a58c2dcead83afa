//! Which notification each target got, and which are pending. Plain values; `store.rs` persists them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::alert::condition::Condition;
use crate::alert::message::{Message, MessageState};
use crate::config::{AlertConfig, AlertKind};

/// Wait before a notification that the target rejected is sent once more; it doubles each time.
const REJECTED_BACKOFF: SignedDuration = SignedDuration::from_hours(1);
const MAX_REJECTIONS: u32 = 5;
/// `seen_at` is kept to a day, so that an unchanged state is not written at each look.
const A_DAY: SignedDuration = SignedDuration::from_hours(24);
/// A lasting condition that was not seen for so long is forgotten.
const LASTING: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The format that is stored.
pub(super) const FORMAT: u32 = 2;

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
    /// Targets that know that it fires.
    pub notified: BTreeSet<String>,
    /// Targets that rejected the notification: a wrong address or secret, which an operator may correct.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rejected: BTreeMap<String, Rejections>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rejections {
    pub count: u32,
    pub retry_at: Timestamp,
}

impl Alert {
    fn new(condition: Condition, now: Timestamp) -> Self {
        Self { condition, seen_at: now, resolved_at: None, notified: BTreeSet::new(), rejected: BTreeMap::new() }
    }
}

impl Default for AlertState {
    fn default() -> Self {
        Self { format: FORMAT, alerts: BTreeMap::new() }
    }
}

impl AlertState {
    /// Records the conditions at `now`. Alerts for which `is_unknown` holds cannot be judged now, and stay as they are.
    pub fn record(&mut self, conditions: Vec<Condition>, is_unknown: impl Fn(&Condition) -> bool, now: Timestamp) {
        let mut seen = BTreeSet::new();
        for condition in conditions {
            let key = condition.key();
            seen.insert(key.clone());
            match self.alerts.get_mut(&key) {
                // One that returns before every target knew that it was resolved is a new one.
                Some(alert) if alert.resolved_at.is_none() => {
                    let since = alert.condition.since.min(condition.since);
                    alert.condition = Condition { since, ..condition };
                    if now.duration_since(alert.seen_at) >= A_DAY {
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

    /// The notifications that `target` should get at `now`.
    pub fn pending(&self, target: &AlertConfig, now: Timestamp) -> Vec<Message> {
        if target.kind == Some(AlertKind::Heartbeat) {
            return Vec::new();
        }
        let pending = self.alerts.iter().filter_map(|(key, alert)| {
            let Alert { condition, resolved_at, notified, rejected, .. } = alert;
            if rejected.get(&target.name).is_some_and(|rejected| rejected.retry_at > now) {
                return None;
            }
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

    /// `target` rejected `message`. It is retried with backoff, and after [`MAX_REJECTIONS`] counts as delivered.
    pub fn record_rejected(&mut self, target: &str, message: &Message, now: Timestamp) {
        let Some(alert) = self.alerts.get_mut(&message.key) else {
            return;
        };
        let count = alert.rejected.get(target).map_or(0, |rejected| rejected.count) + 1;
        if count >= MAX_REJECTIONS {
            return self.record_delivered(target, message);
        }
        let retry_at = now.checked_add(REJECTED_BACKOFF * (1 << (count - 1))).unwrap_or(now);
        alert.rejected.insert(target.to_owned(), Rejections { count, retry_at });
    }

    pub fn record_delivered(&mut self, target: &str, message: &Message) {
        let Some(alert) = self.alerts.get_mut(&message.key) else {
            return;
        };
        alert.rejected.remove(target);
        match message.state {
            MessageState::Firing => _ = alert.notified.insert(target.to_owned()),
            MessageState::Resolved { .. } => {
                alert.notified.remove(target);
                if alert.notified.is_empty() {
                    self.alerts.remove(&message.key);
                }
            }
            MessageState::Test | MessageState::TestResolved { .. } => {}
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
            alert.rejected.retain(|name, _| is_configured(name));
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
