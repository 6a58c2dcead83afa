//! What runs of this process told that the ledger does not: how they ended, what drifted, who else used the key.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::clock::Clock;
use crate::model::event::{Event, EventSink, RunFinished};
use crate::model::outcome::Outcome;

/// How long back requests of others are counted.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// What was heard so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard {
    /// When each job last began in this process.
    pub began: BTreeMap<String, Timestamp>,
    /// The last run of each job that ended in this process.
    pub ended: BTreeMap<String, RunFinished>,
    /// Runs of this process that have not ended.
    pub running: BTreeSet<Uuid>,
    /// Whether a run ended since somebody asked.
    pub has_ended: bool,
    /// Since when this process could have begun what was due: since it began or read other schedules, or since the last run
    /// ended that others waited for. None where another program begins jobs.
    pub free_since: Option<Timestamp>,
    /// Jobs that ended complete since somebody asked.
    pub completed: BTreeSet<String>,
    /// Streams and members that this version does not know, with an example each.
    pub drift: BTreeMap<(String, String), Timestamp>,
    /// Streams and scopes that may not be read any more, with the API's words.
    pub lost: BTreeMap<(String, String), (Timestamp, String)>,
    /// Requests of others with the key: when, and how many by then since the process began.
    foreign: VecDeque<(Timestamp, u64)>,
}

impl Heard {
    /// Requests of others within the last hour.
    pub fn foreign_within_an_hour(&self, now: Timestamp) -> u64 {
        let before = self.foreign.iter().rev().find(|(at, _)| HOUR <= now.duration_since(*at)).map_or(0, |(_, by)| *by);
        self.foreign.back().map_or(0, |(_, by)| by.saturating_sub(before))
    }

    fn hear(&mut self, event: &Event, now: Timestamp) {
        match event {
            Event::RunStarted { run, job } => {
                self.running.insert(*run);
                self.began.insert(job.clone(), now);
            }
            Event::RunFinished(ended) => {
                self.running.remove(&ended.run);
                self.has_ended = true;
                self.free_since = self.free_since.map(|_| now);
                if ended.outcome == Outcome::Complete {
                    self.completed.insert(ended.job.clone());
                }
                self.ended.insert(ended.job.clone(), (**ended).clone());
            }
            Event::SchemaDrift { stream, field, .. } => {
                self.drift.entry((stream.clone(), field.clone())).or_insert(now);
            }
            Event::NotEntitled { slice, detail, had_access: true } => {
                let key = (slice.stream.name.clone(), slice.scope.to_string());
                self.lost.entry(key).or_insert_with(|| (now, detail.clone()));
            }
            Event::RateLimitStatus(told) if self.foreign.back().map_or(0, |(_, by)| *by) < told.external_requests => {
                self.foreign.push_back((now, told.external_requests));
                // One older than an hour is kept: it says from where the last hour counts.
                while self.foreign.get(1).is_some_and(|(at, _)| HOUR <= now.duration_since(*at)) {
                    self.foreign.pop_front();
                }
            }
            _ => {}
        }
    }
}

/// Hears events for whoever asks later. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Ears {
    heard: Arc<Mutex<Heard>>,
    clock: Clock,
}

impl Ears {
    pub(super) fn new(clock: Clock) -> Self {
        Self { heard: Arc::default(), clock }
    }

    pub(super) fn events(&self) -> EventSink {
        let ears = self.clone();
        EventSink::new(move |event| {
            let now = ears.clock.now();
            ears.heard().hear(event, now);
        })
    }

    /// What was heard so far; that a run ended, and which jobs completed, is told once.
    pub(super) fn take(&self) -> Heard {
        let mut heard = self.heard();
        let told = heard.clone();
        heard.completed.clear();
        heard.has_ended = false;
        told
    }

    /// This process begins jobs itself, from now on by the schedules that were read now.
    pub(super) fn begin_jobs(&self) {
        self.heard().free_since = Some(self.clock.now());
    }

    /// Forgets what belongs to one lake.
    pub(super) fn forget_lake(&self) {
        let mut heard = self.heard();
        heard.ended.clear();
        heard.drift.clear();
        heard.lost.clear();
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::RateLimitStatus;

    #[test]
    fn requests_of_others_are_counted_over_an_hour() {
        let mut heard = Heard::default();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut tell = |foreign, now| {
            let told = RateLimitStatus { external_requests: foreign, ..RateLimitStatus::default() };
            heard.hear(&Event::RateLimitStatus(told), at(now));
        };
        tell(10, "2026-03-10T10:00:00Z");
        tell(30, "2026-03-10T10:50:00Z");
        tell(35, "2026-03-10T11:10:00Z");
        assert_eq!(heard.foreign_within_an_hour(at("2026-03-10T11:15:00Z")), 25, "the first ten are over");
        assert_eq!(heard.foreign_within_an_hour(at("2026-03-10T13:00:00Z")), 0);
    }
}
