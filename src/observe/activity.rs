//! What the process is activity now, folded from the events of its runs, for whoever looks while it runs.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;
use uuid::Uuid;

use crate::clock::Clock;
use crate::model::counters::Counters;
use crate::model::event::{Event, EventSink, FiringAlert, RateLimitStatus, RunFinished};
use crate::model::outcome::Outcome;
use crate::model::slice::Slice;

/// Lines of trouble that are remembered.
const REMEMBERED: usize = 50;

/// What the process is activity now.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Activity {
    /// The run that is under way.
    pub run: Option<ActiveRun>,
    /// The budget, as the last response told of it.
    pub budget: Option<RateLimitView>,
    /// Until when nothing can be sent.
    pub waits_until: Option<Timestamp>,
    /// What went wrong lately, newest first.
    pub troubles: VecDeque<Problem>,
    /// When the API rejected the key.
    pub key_rejected_at: Option<Timestamp>,
    /// What is the matter, as alerts see it.
    pub alerts: Vec<FiringAlert>,
    /// How the last run of this process ended.
    pub ended: Option<LatestRun>,
}

/// How the last run of this process ended.
#[derive(Debug, Clone, Serialize)]
pub struct LatestRun {
    /// When.
    pub at: Timestamp,
    /// The job.
    pub job: String,
    pub outcome: Outcome,
    /// What stopped it, in words.
    pub problem: Option<String>,
    /// What mends that.
    pub hint: Option<String>,
}

/// A run that is under way.
#[derive(Debug, Clone, Serialize)]
pub struct ActiveRun {
    /// The run.
    pub run: Uuid,
    /// Its job.
    pub job: String,
    /// When it began.
    pub since: Timestamp,
    /// Slices to do; none before the plan is made.
    pub planned: Option<usize>,
    /// Slices that are over, whatever came of them.
    pub over: usize,
    /// Rows so far.
    pub rows: u64,
    /// Requests spent on slices that are over.
    pub requests: u64,
    /// Files written so far.
    pub files: u64,
    /// Slices that someone must look at.
    pub failed: usize,
    /// What is being asked for.
    pub asking: Vec<String>,
}

/// The budget when a response told of it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RateLimitView {
    /// Requests of a period.
    pub limit: u32,
    /// How many of these the API says are left.
    pub remaining: Option<u32>,
    /// How many are kept for others.
    pub reserved: u32,
    /// Own requests of the trailing period.
    pub spent: u32,
    /// Requests by others with the same key that were seen so far.
    pub foreign: u64,
    /// When the period ends.
    pub resets_at: Option<Timestamp>,
    /// When the response came.
    pub at: Timestamp,
}

/// Something that went wrong, in the words of the log.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    /// When.
    pub at: Timestamp,
    /// The job.
    pub job: Option<String>,
    /// The run.
    pub run: Option<Uuid>,
    /// Whether someone must act; else it was recovered from.
    pub is_error: bool,
    /// What.
    pub words: String,
}

/// What the process is activity now; cheap to clone.
#[derive(Debug, Clone)]
pub struct ActivityMonitor(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    activity: Mutex<Activity>,
    clock: Clock,
    changed: watch::Sender<u64>,
}

impl ActivityMonitor {
    /// Nothing yet.
    pub fn new(clock: Clock) -> Self {
        Self(Arc::new(Shared { activity: Mutex::default(), clock, changed: watch::Sender::new(0) }))
    }

    /// Hears events.
    pub fn events(&self) -> EventSink {
        let live = self.clone();
        EventSink::new(move |event| live.hear(event))
    }

    /// What is being done at this moment.
    pub fn activity(&self) -> Activity {
        let mut activity = self.lock().clone();
        activity.waits_until = activity.waits_until.filter(|until| self.0.clock.now() < *until);
        activity
    }

    /// Changes whenever anything does.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    fn hear(&self, event: &Event) {
        self.lock().hear(event, self.0.clock.now());
        self.0.changed.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Activity> {
        // Plain facts: a panic elsewhere leaves them usable.
        self.0.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Activity {
    fn hear(&mut self, event: &Event, now: Timestamp) {
        match event {
            Event::RunStarted { run, job } => self.run = Some(ActiveRun::begin(*run, job, now)),
            Event::RunPlanned { slices, .. } => {
                if let Some(run) = &mut self.run {
                    run.planned = Some(*slices);
                }
            }
            Event::SliceStarted { slice } => {
                self.waits_until = None;
                if let Some(run) = &mut self.run {
                    run.asking.push(words_of(slice));
                }
            }
            Event::SlicePublished { slice, counters } => self.end_slice(slice, Some(*counters)),
            Event::SliceRetried { slice, problem, remedy } => {
                self.trouble(now, false, format!("{slice}: {problem}; {remedy}"));
            }
            Event::SliceDeferred { slice, .. } => self.end_slice(slice, None),
            Event::SliceFailed { slice, problem } => {
                self.end_slice(slice, None);
                if let Some(run) = &mut self.run {
                    run.failed += 1;
                }
                self.trouble(now, true, format!("{slice} is not exported: {problem}"));
            }
            Event::NotEntitled { slice, detail, had_access } => {
                self.end_slice(slice, None);
                if *had_access {
                    self.trouble(now, true, format!("{slice} may not be read any more: {detail}"));
                }
            }
            Event::SchemaDrift { stream, field, .. } => {
                self.trouble(now, false, format!("rows of {stream} hold `{field}`, which this version does not know"));
            }
            Event::RateLimitStatus(told) => self.budget = Some(RateLimitView::at(*told, now)),
            Event::RateLimitWait { wait } => self.waits_until = Some(later(now, *wait)),
            Event::Warning { message } => self.trouble(now, false, message.clone()),
            Event::RunFinished(ended) => self.end_run(ended, now),
            Event::AlertsFiring(alerts) => self.alerts.clone_from(alerts),
            Event::RequestFinished { .. }
            | Event::RequestRetried { .. }
            | Event::NotificationSent { .. }
            | Event::Notice { .. } => {}
        }
    }

    fn end_slice(&mut self, slice: &Slice, done: Option<Counters>) {
        let Some(run) = &mut self.run else {
            return;
        };
        let words = words_of(slice);
        if let Some(index) = run.asking.iter().position(|asking| *asking == words) {
            run.asking.swap_remove(index);
        }
        run.over += 1;
        // A slice that was split counts once a piece, so the end moves with it.
        run.planned = run.planned.map(|planned| planned.max(run.over));
        let done = done.unwrap_or_default();
        run.rows += done.rows;
        run.requests += done.requests;
        run.files += done.files;
    }

    fn end_run(&mut self, ended: &RunFinished, now: Timestamp) {
        if let Some(problem) = ended.problem.as_ref().filter(|_| ended.outcome != Outcome::Incomplete) {
            self.trouble(now, true, problem.clone());
        }
        self.key_rejected_at = (ended.outcome == Outcome::KeyRejected).then_some(now);
        self.ended = Some(LatestRun {
            at: now,
            job: ended.job.clone(),
            outcome: ended.outcome,
            problem: ended.problem.clone(),
            hint: ended.hint.clone(),
        });
        self.run = None;
        self.waits_until = None;
    }

    fn trouble(&mut self, at: Timestamp, is_error: bool, words: String) {
        let (job, run) = self.run.as_ref().map(|run| (run.job.clone(), run.run)).unzip();
        self.troubles.push_front(Problem { at, job, run, is_error, words });
        self.troubles.truncate(REMEMBERED);
    }
}

impl ActiveRun {
    fn begin(run: Uuid, job: &str, since: Timestamp) -> Self {
        Self {
            run,
            job: job.to_owned(),
            since,
            planned: None,
            over: 0,
            rows: 0,
            requests: 0,
            files: 0,
            failed: 0,
            asking: Vec::new(),
        }
    }
}

impl RateLimitView {
    fn at(told: RateLimitStatus, at: Timestamp) -> Self {
        let RateLimitStatus {
            limit,
            remaining,
            reserved,
            own_requests: spent,
            external_requests: foreign,
            resets_in,
            ..
        } = told;
        Self { limit, remaining, reserved, spent, foreign, resets_at: resets_in.map(|wait| later(at, wait)), at }
    }
}

fn words_of(slice: &Slice) -> String {
    format!("{} of {}", slice.stream.name, slice.scope.names())
}

/// A wait too long for the calendar has no end.
fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_does_is_known_while_it_does_it_and_its_end_leaves_why_it_failed() {
        let live = ActivityMonitor::new(Clock::starting_at("2026-03-10T16:00:00Z".parse().unwrap()));
        let (events, changes) = (live.events(), live.changes());
        let run = Uuid::now_v7();
        events.emit(&Event::RunStarted { run, job: "nightly".into() });
        events.emit(&Event::RunPlanned { job: "nightly".into(), slices: 3, requests: 3 });
        events.emit(&Event::RateLimitWait { wait: Duration::from_secs(60) });
        let activity = live.activity();
        assert!(activity.waits_until.is_some() && changes.has_changed().unwrap());
        assert_eq!(activity.run.map(|run| (run.job, run.planned)), Some(("nightly".to_owned(), Some(3))));

        events.emit(&Event::RunFinished(Box::new(RunFinished {
            run,
            job: "nightly".into(),
            outcome: Outcome::KeyRejected,
            summary: String::new(),
            problem: Some("the API rejected the key (HTTP 401)".into()),
            hint: None,
            is_destination_error: false,
            started_at: "2026-03-10T16:00:00Z".parse().unwrap(),
            elapsed: Duration::ZERO,
            counters: Counters::default(),
        })));
        let activity = live.activity();
        assert!(activity.run.is_none() && activity.waits_until.is_none() && activity.key_rejected_at.is_some());
        assert_eq!(activity.troubles[0].words, "the API rejected the key (HTTP 401)");
        assert_eq!(activity.troubles[0].job.as_deref(), Some("nightly"));
    }
}
