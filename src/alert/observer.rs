//! Observations of this process's runs that the ledger does not have: how they ended, unknown fields, external requests.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::clock::Clock;
use crate::model::event::{Event, EventSink, RunFinished};
use crate::model::outcome::Outcome;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

#[derive(Debug, Clone, Default)]
pub(super) struct RunObservations {
    /// When each job last started in this process.
    pub started: BTreeMap<String, Timestamp>,
    /// The last run of each job that ended in this process.
    pub finished: BTreeMap<String, RunFinished>,
    pub running: BTreeSet<Uuid>,
    /// A run ended since the last call of [`RunObserver::take`].
    pub has_finished: bool,
    /// Since when this process could have started a due job: since it started or reloaded, or since a run ended that others waited
    /// for. None if another program starts the jobs.
    pub idle_since: Option<Timestamp>,
    /// Jobs that completed since the last call of [`RunObserver::take`].
    pub completed: BTreeSet<String>,
    /// Unknown fields by stream and field, with the first time.
    pub drift: BTreeMap<(String, String), Timestamp>,
    /// Streams and scopes that lost access, with the time.
    pub lost: BTreeMap<(String, String), Timestamp>,
    /// External requests: the time, and the count by then since the process started.
    external: VecDeque<(Timestamp, u64)>,
}

impl RunObservations {
    pub fn external_requests_of_the_last_hour(&self, now: Timestamp) -> u64 {
        let before = self.external.iter().rev().find(|(at, _)| now.duration_since(*at) >= HOUR);
        let before = before.map_or(0, |(_, count)| *count);
        self.external.back().map_or(0, |(_, count)| count.saturating_sub(before))
    }

    fn observe(&mut self, event: &Event, now: Timestamp) {
        match event {
            Event::RunStarted { run, job } => {
                self.running.insert(*run);
                self.started.insert(job.clone(), now);
            }
            Event::RunFinished(run) => {
                self.running.remove(&run.run);
                self.has_finished = true;
                self.idle_since = self.idle_since.map(|_| now);
                if run.outcome == Outcome::Complete {
                    self.completed.insert(run.job.clone());
                }
                self.finished.insert(run.job.clone(), (**run).clone());
            }
            Event::SchemaDrift { stream, field, .. } => {
                self.drift.entry((stream.clone(), field.clone())).or_insert(now);
            }
            Event::NotEntitled { slice, had_access: true, .. } => {
                self.lost.entry((slice.stream.name.clone(), slice.scope.to_string())).or_insert(now);
            }
            Event::RateLimitStatus(status) => {
                let known = self.external.back().map_or(0, |(_, count)| *count);
                if status.external_requests > known {
                    self.external.push_back((now, status.external_requests));
                }
                // Keeps the last one older than an hour: the difference to it is the count of the last 60 minutes.
                while self.external.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= HOUR) {
                    self.external.pop_front();
                }
            }
            _ => {}
        }
    }
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct RunObserver {
    observations: Arc<Mutex<RunObservations>>,
    clock: Clock,
}

impl RunObserver {
    pub(super) fn new(clock: Clock) -> Self {
        Self { observations: Arc::default(), clock }
    }

    pub(super) fn events(&self) -> EventSink {
        let observer = self.clone();
        EventSink::new(move |event| observer.observations.lock().observe(event, observer.clock.now()))
    }

    /// The observations so far. `has_finished` and `completed` start over.
    pub(super) fn take(&self) -> RunObservations {
        let mut observations = self.observations.lock();
        let taken = observations.clone();
        observations.completed.clear();
        observations.has_finished = false;
        taken
    }

    /// This process starts jobs itself, by schedules that it just read.
    pub(super) fn start_scheduling(&self) {
        self.observations.lock().idle_since = Some(self.clock.now());
    }

    /// Forgets what belongs to one lake.
    pub(super) fn clear_lake(&self) {
        let mut observations = self.observations.lock();
        observations.finished.clear();
        observations.drift.clear();
        observations.lost.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::RateLimitStatus;

    #[test]
    fn external_requests_are_counted_over_an_hour() {
        let mut observations = RunObservations::default();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut observe = |external_requests, now| {
            let status = RateLimitStatus { external_requests, ..RateLimitStatus::default() };
            observations.observe(&Event::RateLimitStatus(status), at(now));
        };
        observe(10, "2026-03-10T10:00:00Z");
        observe(30, "2026-03-10T10:50:00Z");
        observe(35, "2026-03-10T11:10:00Z");
        assert_eq!(
            observations.external_requests_of_the_last_hour(at("2026-03-10T11:15:00Z")),
            25,
            "the first ten are over"
        );
        assert_eq!(observations.external_requests_of_the_last_hour(at("2026-03-10T13:00:00Z")), 0);
    }
}
