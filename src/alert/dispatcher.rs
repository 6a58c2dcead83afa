//! Evaluates the conditions and notifies the targets that are due a notification.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::alert::condition::Condition;
use crate::alert::message::{Message, MessageState};
use crate::alert::observer::RunObserver;
use crate::alert::rules::AlertInputs;
use crate::alert::send::Sender;
use crate::alert::state::AlertState;
use crate::alert::store::{AlertStore, lake_name};
use crate::clock::Clock;
use crate::config::{AlertConfig, AlertKind, Config};
use crate::error_text::error_chain;
use crate::model::event::{Event, EventSink, FiringAlert};
use crate::status::Status;

/// The longest time for one target in one evaluation. Shorter than the wait at the end of the process, so that one slow target
/// does not hide that the others were notified.
const TARGET_TIMEOUT: Duration = Duration::from_secs(20);

/// Evaluations wait for each other, so that nothing is sent twice. One that is dropped keeps what was delivered by then.
#[derive(Debug)]
pub struct AlertDispatcher {
    observer: RunObserver,
    clock: Clock,
    events: EventSink,
    store: tokio::sync::Mutex<AlertStore>,
    /// Heartbeat targets that are due a ping, by name.
    pings: Mutex<BTreeSet<String>>,
    /// Targets that asked for a pause, and its end.
    paused: Mutex<BTreeMap<String, Timestamp>>,
}

impl AlertDispatcher {
    /// `events` receives firing alerts and sent notifications.
    pub fn new(clock: Clock, events: EventSink) -> Self {
        Self {
            observer: RunObserver::new(clock.clone()),
            clock,
            events,
            store: tokio::sync::Mutex::default(),
            pings: Mutex::default(),
            paused: Mutex::default(),
        }
    }

    /// The sink for events of runs.
    pub fn events(&self) -> EventSink {
        self.observer.events()
    }

    /// This process starts jobs itself, by schedules that it just read, and catches up on missed runs.
    pub fn start_scheduling(&self) {
        self.observer.start_scheduling();
    }

    /// Evaluates `status`, or why the lake is unavailable, and notifies. What cannot be delivered now is retried by the next
    /// evaluation, of this process or another.
    pub async fn evaluate(&self, config: &Config, status: Option<&Status>, destination_problem: Option<&str>) {
        let mut store = self.store.lock().await;
        if store.switch_to(&config.destination) {
            self.observer.clear_lake();
        }
        let targets = &config.alert_targets;
        let (observations, now) = (self.observer.take(), self.clock.now());
        let due_pings = targets.iter().filter(|target| is_ping_due(target, &observations.completed));
        self.pings.lock().extend(due_pings.map(|target| target.name.clone()));
        let is_persistent = destination_problem.is_none() && !targets.is_empty();
        if is_persistent {
            store.refresh().await;
        }
        store.state.retain_targets(targets);
        let destination = lake_name(&config.destination);
        let inputs = AlertInputs {
            status,
            observations: &observations,
            destination: &destination,
            destination_problem,
            config,
            now,
            state: &store.state,
        };
        let (conditions, unknown) = (inputs.conditions(), inputs.unknown());
        store.state.record(conditions, |condition| unknown.contains(&condition.event), now);
        self.events.emit(&Event::AlertsFiring(store.state.firing().map(firing_alert).collect()));
        // Saved before the first notification: only this process knows what its runs showed.
        if is_persistent {
            store.save().await;
        }
        let sender = Sender::new(config);
        let state = Mutex::new(&mut store.state);
        let is_active = |target: &&AlertConfig| self.paused.lock().get(&target.name).is_none_or(|until| *until <= now);
        let active: Vec<_> = targets.iter().filter(is_active).collect();
        join_all(active.into_iter().map(|target| self.notify(target, &sender, &state, now))).await;
        if is_persistent {
            store.save().await;
        }
    }

    /// Saves what an evaluation delivered before it was dropped.
    pub async fn save(&self) {
        self.store.lock().await.save().await;
    }

    /// Sends the pending messages of `target` one after the other; each is recorded at once.
    async fn notify(&self, target: &AlertConfig, sender: &Sender, state: &Mutex<&mut AlertState>, now: Timestamp) {
        let name = &target.name;
        let mut messages = state.lock().pending(target);
        messages.extend(self.pings.lock().contains(name).then(|| Message::ping(now)));
        let notify = async {
            for message in messages {
                let sent = sender.send(target, &message).await;
                self.events.emit(&Event::NotificationSent { target: name.clone(), delivered: sent.is_ok() });
                let (target_name, event, state_name) = (name, message.event_name(), message.state_name());
                let Err(error) = sent else {
                    self.record_delivered(name, &message, &mut state.lock());
                    continue;
                };
                let problem = error_chain(&error);
                // Further messages are not sent during the pause that the target asked for.
                if let Ok(until) = now.checked_add(error.error.pause()) {
                    self.paused.lock().insert(name.clone(), until);
                }
                if error.error.is_rejected() {
                    tracing::error!(target_name, event, state = state_name, problem, "notification rejected");
                } else {
                    tracing::warn!(target_name, event, problem, "notification failed, retrying later");
                    break;
                }
            }
        };
        if tokio::time::timeout(TARGET_TIMEOUT, notify).await.is_err() {
            tracing::warn!(target_name = name, "notification target timed out, retrying later");
        }
    }

    fn record_delivered(&self, target_name: &str, message: &Message, state: &mut AlertState) {
        if message.state == MessageState::Ping {
            self.pings.lock().remove(target_name);
            return;
        }
        let (event, state_name, summary) = (message.event_name(), message.state_name(), message.headline());
        tracing::info!(target_name, event, state = state_name, summary, "notification sent");
        state.record_delivered(target_name, message);
    }
}

fn is_ping_due(target: &AlertConfig, completed: &BTreeSet<String>) -> bool {
    let is_watched = |job: &String| target.jobs.is_empty() || target.jobs.contains(job);
    target.kind == Some(AlertKind::Heartbeat) && completed.iter().any(is_watched)
}

fn firing_alert(condition: &Condition) -> FiringAlert {
    FiringAlert {
        event: condition.event.name(),
        summary: condition.summary.clone(),
        since: condition.since,
        impact: condition.impact.clone(),
        action: condition.action.clone(),
    }
}
