//! Evaluates the conditions and notifies the targets that are due a notification.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::{self, join_all};
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::alert::condition::Condition;
use crate::alert::observer::RunObserver;
use crate::alert::rules::AlertInputs;
use crate::alert::send::{SendError, Sender};
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
        let notify = active.iter().map(|target| self.notify(target, &sender, &state, now));
        let pinged: Vec<_> = active.iter().filter(|target| self.pings.lock().contains(&target.name)).collect();
        let ping = pinged.into_iter().map(|target| self.ping(target, &sender, now));
        future::join(join_all(notify), join_all(ping)).await;
        if is_persistent {
            store.save().await;
        }
    }

    /// Saves what an evaluation delivered before it was dropped.
    pub async fn save(&self) {
        self.store.lock().await.save().await;
    }

    /// Sends the pending notifications of `target` one after the other; each is recorded at once.
    async fn notify(&self, target: &AlertConfig, sender: &Sender, state: &Mutex<&mut AlertState>, now: Timestamp) {
        let (name, notify) = (&target.name, async {
            let pending = state.lock().pending(target, now);
            for message in pending {
                let sent = sender.send(target, &message).await;
                self.record_sent(target, sent.is_ok());
                let (target_name, event, state_name) = (&target.name, message.event_name(), message.state_name());
                match sent {
                    Ok(()) => {
                        let summary = message.headline();
                        tracing::info!(target_name, event, state = state_name, summary, "notification sent");
                        state.lock().record_delivered(&target.name, &message);
                    }
                    Err(error) if error.error.may_pass() => {
                        let problem = error_chain(&error);
                        tracing::warn!(target_name, event, problem, "notification failed, retrying later");
                        self.pause(target, &error.error, now);
                        // The next one would fail too.
                        break;
                    }
                    Err(error) => {
                        tracing::error!(target_name, event, problem = error_chain(&error), "notification rejected");
                        state.lock().record_rejected(&target.name, &message, now);
                    }
                }
            }
        });
        if tokio::time::timeout(TARGET_TIMEOUT, notify).await.is_err() {
            tracing::warn!(target_name = name, "notification target timed out, retrying later");
        }
    }

    async fn ping(&self, target: &AlertConfig, sender: &Sender, now: Timestamp) {
        let target_name = &target.name;
        let Ok(pinged) = tokio::time::timeout(TARGET_TIMEOUT, sender.ping(target)).await else {
            tracing::warn!(target_name, "notification target timed out, retrying later");
            return;
        };
        self.record_sent(target, pinged.is_ok());
        match pinged {
            Ok(()) => _ = self.pings.lock().remove(target_name),
            Err(error) if error.error.may_pass() => {
                tracing::warn!(target_name, problem = error_chain(&error), "heartbeat failed, retrying later");
                self.pause(target, &error.error, now);
            }
            Err(error) => {
                tracing::error!(target_name, problem = error_chain(&error), "heartbeat rejected");
                self.pings.lock().remove(target_name);
            }
        }
    }

    fn record_sent(&self, target: &AlertConfig, delivered: bool) {
        self.events.emit(&Event::NotificationSent { target: target.name.clone(), delivered });
    }

    /// Pauses `target` for as long as it asked.
    fn pause(&self, target: &AlertConfig, error: &SendError, now: Timestamp) {
        if let Ok(until) = now.checked_add(error.wait()) {
            self.paused.lock().insert(target.name.clone(), until);
        }
    }
}

fn is_ping_due(target: &AlertConfig, completed: &BTreeSet<String>) -> bool {
    let is_watched = |job: &String| target.jobs.is_empty() || target.jobs.contains(job);
    target.kind == Some(AlertKind::Heartbeat) && completed.iter().any(is_watched)
}

fn firing_alert(condition: &Condition) -> FiringAlert {
    FiringAlert {
        event: condition.event.name(),
        what: condition.what.clone(),
        since: condition.since,
        affected: condition.affected.clone(),
        to_do: condition.to_do.clone(),
    }
}
