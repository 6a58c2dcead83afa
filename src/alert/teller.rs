//! Looks what is the matter, and tells whoever was not told yet.

use std::sync::{OnceLock, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::alert::book::Book;
use crate::alert::ears::Ears;
use crate::alert::message::Message;
use crate::alert::rules::Facts;
use crate::alert::send::Sender;
use crate::alert::store;
use crate::clock::Clock;
use crate::config::{AlertConfig, AlertEvent, AlertKind, Config};
use crate::destination::Destination;
use crate::model::event::{Event, Events, StandingAlert};
use crate::model::words::words;
use crate::status::Status;

/// The longest that one target is told things before the others count as told: shorter than the end of a program waits.
const LONGEST_TARGET: Duration = Duration::from_secs(20);

/// Looks what is the matter, and tells whoever was not told yet. One that tells does not tell twice, so turns wait for each
/// other.
#[derive(Debug)]
pub struct Teller {
    ears: Ears,
    sender: Sender,
    lake: Destination,
    clock: Clock,
    events: Events,
    serves_since: OnceLock<Timestamp>,
    book: Mutex<Option<Book>>,
}

impl Teller {
    /// Tells about `lake`, and `events` of what it told.
    pub fn new(lake: Destination, clock: Clock, events: Events) -> Self {
        let sender = Sender::new(lake.url());
        Self {
            ears: Ears::new(clock.clone()),
            sender,
            lake,
            clock,
            events,
            serves_since: OnceLock::new(),
            book: Mutex::new(None),
        }
    }

    /// Hears events of runs.
    pub fn events(&self) -> Events {
        self.ears.events()
    }

    /// From now on this process starts jobs at their time, and those that were missed.
    pub fn serves(&self) {
        self.serves_since.get_or_init(|| self.clock.now());
    }

    /// Looks at `status`, or at why the lake cannot be looked at, and tells. What cannot be told now is kept for the next
    /// turn, of this process or another.
    pub async fn turn(&self, config: &Config, status: Option<&Status>, destination_problem: Option<&str>) {
        let mut held = self.book.lock().await;
        let targets = &config.alert_targets;
        let mut book = match held.take() {
            Some(book) => book,
            None => self.read(targets).await,
        };
        let before = book.clone();
        let (heard, now) = (self.ears.take(), self.clock.now());
        let facts = Facts {
            status,
            heard: &heard,
            destination: self.lake.url(),
            destination_problem,
            config,
            now,
            serves_since: self.serves_since.get().copied(),
            stands: &|key| before.stands(key),
        };
        book.keep_targets(targets);
        // What only the ledger knows cannot be judged without it.
        let is_of_the_ledger = |event| {
            use AlertEvent as E;
            !matches!(event, E::DestinationTrouble | E::KeyExpiring | E::SchemaDrift | E::KeyUsedElsewhere)
        };
        book.see(facts.conditions(), |condition| status.is_none() && is_of_the_ledger(condition.event), now);
        self.events.tell(&Event::AlertsStand(book.standing().map(standing).collect()));
        self.tell(targets, &mut book).await;
        join_all(targets.iter().filter(|target| completed(target, &heard.completed)).map(|target| self.ping(target)))
            .await;
        if book != before && !targets.is_empty() {
            self.write(&book).await;
        }
        *held = Some(book);
    }

    /// Tells each target what it was not told: targets at once, what one is told in order. One that hangs keeps nobody else
    /// waiting for long, and what was told meanwhile counts.
    async fn tell(&self, targets: &[AlertConfig], book: &mut Book) {
        let told = std::sync::Mutex::new(Vec::new());
        let of_target = |target: &AlertConfig| {
            let (target, due, told) = (target.clone(), book.due(target), &told);
            let telling = async move {
                for message in due {
                    if !self.tell_one(&target, &message).await {
                        // What cannot be told to a target now, nothing else can either.
                        break;
                    }
                    told.lock().unwrap_or_else(PoisonError::into_inner).push((target.name.clone(), message));
                }
            };
            tokio::time::timeout(LONGEST_TARGET, telling)
        };
        for timed in join_all(targets.iter().map(of_target).collect::<Vec<_>>()).await {
            if timed.is_err() {
                tracing::warn!("a target of alerts does not answer, and is tried again later");
            }
        }
        for (target, message) in told.into_inner().unwrap_or_else(PoisonError::into_inner) {
            book.told(&target, &message);
        }
    }

    /// Tells `target` one message; whether that is settled.
    async fn tell_one(&self, target: &AlertConfig, message: &Message) -> bool {
        let sent = self.sender.send(target, message).await;
        self.events.tell(&Event::AlertSent { target: target.name.clone(), ok: sent.is_ok() });
        match sent {
            Ok(()) => {
                tracing::info!(alert = target.name, event = message.event_name(), "told: {}", message.headline());
                true
            }
            Err(error) if error.may_pass() => {
                tracing::warn!(alert = target.name, "cannot be told, and is tried again: {}", words(&error));
                false
            }
            Err(error) => {
                tracing::error!(alert = target.name, "cannot be told: {}", words(&error));
                true
            }
        }
    }

    async fn ping(&self, target: &AlertConfig) {
        let pinged = self.sender.ping(target).await;
        self.events.tell(&Event::AlertSent { target: target.name.clone(), ok: pinged.is_ok() });
        if let Err(error) = pinged {
            tracing::warn!(alert = target.name, "the heartbeat cannot be sent: {}", words(&error));
        }
    }

    /// The book of the lake; an empty one where nobody is told, or it cannot be read.
    async fn read(&self, targets: &[AlertConfig]) -> Book {
        if targets.is_empty() || self.lake.directory().is_some_and(|directory| !directory.exists()) {
            return Book::default();
        }
        store::read(&self.lake).await.unwrap_or_else(|error| {
            tracing::warn!("what was told before cannot be read, and may be told again: {}", words(&error));
            Book::default()
        })
    }

    async fn write(&self, book: &Book) {
        // A lake that is not there yet is not made to remember that it is not there.
        if self.lake.directory().is_some_and(|directory| !directory.exists()) {
            return;
        }
        if let Err(error) = store::write(&self.lake, book).await {
            tracing::warn!("what was told cannot be remembered, and may be told again: {}", words(&error));
        }
    }
}

/// Whether `target` is a heartbeat of a job that completed.
fn completed(target: &AlertConfig, jobs: &std::collections::BTreeSet<String>) -> bool {
    let is_wanted = |job: &String| target.jobs.is_empty() || target.jobs.contains(job);
    target.kind == Some(AlertKind::Heartbeat) && jobs.iter().any(is_wanted)
}

fn standing(condition: &crate::alert::Condition) -> StandingAlert {
    StandingAlert {
        event: condition.event.name(),
        what: condition.what.clone(),
        since: condition.since,
        affected: condition.affected.clone(),
        to_do: condition.to_do.clone(),
    }
}
