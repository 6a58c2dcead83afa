//! Looks what is the matter, and tells whoever was not told yet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::{self, join_all};
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::alert::book::Book;
use crate::alert::condition::Condition;
use crate::alert::ears::Ears;
use crate::alert::rules::Facts;
use crate::alert::send::{SendError, Sender};
use crate::alert::store::{Kept, name_of};
use crate::clock::Clock;
use crate::config::{AlertConfig, AlertKind, Config};
use crate::error_text::error_chain;
use crate::model::event::{Event, EventSink, FiringAlert};
use crate::status::Status;

/// The longest that one target is told things before the others count as told: shorter than the end of a program waits.
const LONGEST_TARGET: Duration = Duration::from_secs(20);

/// Looks what is the matter, and tells whoever was not told yet. One that tells does not tell twice, so turns wait for each
/// other; one that is dropped half way keeps what was told by then.
#[derive(Debug)]
pub struct Teller {
    ears: Ears,
    clock: Clock,
    events: EventSink,
    kept: Mutex<Kept>,
    /// Heartbeats that are still to be asked, by name.
    beats: std::sync::Mutex<BTreeSet<String>>,
    /// Targets that asked to be left alone until then, by name.
    left_alone: std::sync::Mutex<BTreeMap<String, Timestamp>>,
}

impl Teller {
    /// Tells `events` of what it tells.
    pub fn new(clock: Clock, events: EventSink) -> Self {
        Self {
            ears: Ears::new(clock.clone()),
            clock,
            events,
            kept: Mutex::default(),
            beats: std::sync::Mutex::default(),
            left_alone: std::sync::Mutex::default(),
        }
    }

    /// Hears events of runs.
    pub fn events(&self) -> EventSink {
        self.ears.events()
    }

    /// This process begins jobs itself, by schedules that were read just now: what they say of the past is made up for.
    pub fn begin_jobs(&self) {
        self.ears.begin_jobs();
    }

    /// Looks at `status`, or at why the lake cannot be looked at, and tells. What cannot be told now is kept for the next
    /// turn, of this process or another.
    pub async fn turn(&self, config: &Config, status: Option<&Status>, destination_problem: Option<&str>) {
        let mut kept = self.kept.lock().await;
        if kept.turn_to(&config.destination) {
            self.ears.forget_lake();
        }
        let targets = &config.alert_targets;
        let (heard, now) = (self.ears.take(), self.clock.now());
        let completed = targets.iter().filter(|target| completed(target, &heard.completed));
        lock(&self.beats).extend(completed.map(|target| target.name.clone()));
        let remembers = destination_problem.is_none() && !targets.is_empty();
        if remembers {
            kept.refresh().await;
        }
        kept.book.keep_targets(targets);
        let destination = name_of(&config.destination);
        let book = &kept.book;
        let facts = Facts { status, heard: &heard, destination: &destination, destination_problem, config, now, book };
        let (conditions, unknown) = (facts.conditions(), facts.unknown());
        kept.book.see(conditions, |condition| unknown.contains(&condition.event), now);
        self.events.emit(&Event::AlertsFiring(kept.book.standing().map(standing).collect()));
        // Before anybody is told: what only this process heard must not be lost with it.
        if remembers {
            kept.keep().await;
        }
        let sender = Sender::new(config);
        let book = std::sync::Mutex::new(&mut kept.book);
        let is_asked =
            |target: &&AlertConfig| lock(&self.left_alone).get(&target.name).is_none_or(|until| *until <= now);
        let telling = targets.iter().filter(is_asked).map(|target| self.tell(target, &sender, &book, now));
        let has_a_beat = |target: &&AlertConfig| lock(&self.beats).contains(&target.name);
        let beats: Vec<_> = targets.iter().filter(is_asked).filter(has_a_beat).collect();
        let asking = beats.into_iter().map(|target| self.ask(target, &sender, now));
        future::join(join_all(telling), join_all(asking)).await;
        if remembers {
            kept.keep().await;
        }
    }

    /// Remembers what a turn that was dropped half way had told.
    pub async fn keep(&self) {
        self.kept.lock().await.keep().await;
    }

    /// Tells `target` what it was not told, one after the other; each is known as told at once. One that hangs keeps nobody
    /// else waiting for long.
    async fn tell(&self, target: &AlertConfig, sender: &Sender, book: &std::sync::Mutex<&mut Book>, now: Timestamp) {
        let telling = async {
            let due = lock(book).due(target, now);
            for message in due {
                let sent = sender.send(target, &message).await;
                self.events.emit(&Event::NotificationSent { target: target.name.clone(), delivered: sent.is_ok() });
                let (alert, event) = (&target.name, message.event_name());
                match sent {
                    Ok(()) => {
                        tracing::info!(alert, event, "told: {}", message.headline());
                        lock(book).told(alert, &message);
                    }
                    Err(error) if error.error.may_pass() => {
                        // What cannot be told to a target now, nothing else can either.
                        tracing::warn!(alert, event, "cannot be told, and is tried again: {}", error_chain(&error));
                        self.leave_alone(target, &error.error, now);
                        break;
                    }
                    Err(error) => {
                        tracing::error!(alert, event, "cannot be told: {}", error_chain(&error));
                        lock(book).refused(alert, &message, now);
                    }
                }
            }
        };
        if tokio::time::timeout(LONGEST_TARGET, telling).await.is_err() {
            tracing::warn!(alert = target.name, "does not answer, and is tried again later");
        }
    }

    async fn ask(&self, target: &AlertConfig, sender: &Sender, now: Timestamp) {
        let alert = &target.name;
        let Ok(pinged) = tokio::time::timeout(LONGEST_TARGET, sender.ping(target)).await else {
            tracing::warn!(alert, "does not answer, and is tried again later");
            return;
        };
        self.events.emit(&Event::NotificationSent { target: alert.clone(), delivered: pinged.is_ok() });
        match pinged {
            Ok(()) => drop(lock(&self.beats).remove(alert)),
            Err(error) if error.error.may_pass() => {
                tracing::warn!(alert, "the heartbeat cannot be sent, and is tried again: {}", error_chain(&error));
                self.leave_alone(target, &error.error, now);
            }
            Err(error) => {
                tracing::error!(alert, "the heartbeat cannot be sent: {}", error_chain(&error));
                lock(&self.beats).remove(alert);
            }
        }
    }

    /// Leaves `target` alone for as long as `error` asks.
    fn leave_alone(&self, target: &AlertConfig, error: &SendError, now: Timestamp) {
        if let Ok(until) = now.checked_add(error.wait()) {
            lock(&self.left_alone).insert(target.name.clone(), until);
        }
    }
}

/// Plain values: a panic elsewhere leaves them usable.
fn lock<T>(held: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    held.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Whether `target` is a heartbeat of a job that completed.
fn completed(target: &AlertConfig, jobs: &BTreeSet<String>) -> bool {
    let is_wanted = |job: &String| target.jobs.is_empty() || target.jobs.contains(job);
    target.kind == Some(AlertKind::Heartbeat) && jobs.iter().any(is_wanted)
}

fn standing(condition: &Condition) -> FiringAlert {
    FiringAlert {
        event: condition.event.name(),
        what: condition.what.clone(),
        since: condition.since,
        affected: condition.affected.clone(),
        to_do: condition.to_do.clone(),
    }
}
