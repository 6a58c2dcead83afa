//! What the process does now, accumulated from the events of its runs, for the status page.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;
use uuid::Uuid;

use crate::clock::Clock;
use crate::model::counters::Counters;
use crate::model::event::{Event, EventSink, FiringAlert, RateLimitStatus, RunFinished};
use crate::model::outcome::Outcome;
use crate::model::slice::Slice;

/// Recent problems that are kept.
const MAX_PROBLEMS: usize = 50;

#[derive(Debug, Clone, Default, Serialize)]
pub struct Activity {
    pub run: Option<ActiveRun>,
    pub rate_limit: Option<RateLimitView>,
    /// No request can be sent before.
    pub rate_limited_until: Option<Timestamp>,
    /// Newest first.
    pub problems: VecDeque<Problem>,
    pub key_rejected_at: Option<Timestamp>,
    pub alerts: Vec<FiringAlert>,
    pub latest_run: Option<LatestRun>,
}

/// How the last run of this process ended.
#[derive(Debug, Clone, Serialize)]
pub struct LatestRun {
    pub ended_at: Timestamp,
    pub job: String,
    pub outcome: Outcome,
    /// The error that ended it early.
    pub problem: Option<String>,
    pub hint: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ActiveRun {
    pub run: Uuid,
    pub job: String,
    pub started_at: Timestamp,
    /// None before the plan is made.
    pub planned_slices: Option<usize>,
    pub finished_slices: usize,
    pub rows: u64,
    /// Requests of finished slices.
    pub requests: u64,
    pub files: u64,
    pub failed_slices: usize,
    pub active_slices: Vec<String>,
}

/// The rate limit as of the last response.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RateLimitView {
    pub limit: u32,
    pub remaining: Option<u32>,
    pub reserved: u32,
    pub own_requests: u32,
    pub external_requests: u64,
    pub resets_at: Option<Timestamp>,
    pub observed_at: Timestamp,
}

#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    pub at: Timestamp,
    pub job: Option<String>,
    pub run: Option<Uuid>,
    /// An operator must act; otherwise the run recovered.
    pub is_error: bool,
    /// The stream of a slice that failed.
    pub stream: Option<String>,
    pub message: String,
}

/// Observes events and holds the activity; cheap to clone.
#[derive(Debug, Clone)]
pub struct ActivityMonitor(Arc<MonitorInner>);

#[derive(Debug)]
struct MonitorInner {
    activity: Mutex<Activity>,
    clock: Clock,
    changed: watch::Sender<u64>,
}

impl ActivityMonitor {
    pub fn new(clock: Clock) -> Self {
        Self(Arc::new(MonitorInner { activity: Mutex::default(), clock, changed: watch::Sender::new(0) }))
    }

    pub fn events(&self) -> EventSink {
        let monitor = self.clone();
        EventSink::new(move |event| {
            let inner = &monitor.0;
            inner.activity.lock().observe(event, inner.clock.now());
            inner.changed.send_modify(|count| *count += 1);
        })
    }

    pub fn activity(&self) -> Activity {
        let mut activity = self.0.activity.lock().clone();
        activity.rate_limited_until = activity.rate_limited_until.filter(|until| *until > self.0.clock.now());
        activity
    }

    /// Notified of every change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }
}

impl Activity {
    fn observe(&mut self, event: &Event, now: Timestamp) {
        match event {
            Event::RunStarted { run, job } => self.run = Some(ActiveRun::new(*run, job, now)),
            Event::RunPlanned { slices, .. } => {
                if let Some(run) = &mut self.run {
                    run.planned_slices = Some(*slices);
                }
            }
            Event::SliceStarted { slice } => {
                self.rate_limited_until = None;
                if let Some(run) = &mut self.run {
                    run.active_slices.push(label(slice));
                }
            }
            Event::SlicePublished { slice, counters } => self.finish_slice(slice, *counters),
            Event::SliceRetried { slice, problem, remedy } => {
                self.add_problem(now, false, format!("{slice}: {problem}; {remedy}"));
            }
            Event::SliceDeferred { slice, .. } => self.finish_slice(slice, Counters::default()),
            Event::SliceFailed { slice, problem } => {
                self.finish_slice(slice, Counters::default());
                if let Some(run) = &mut self.run {
                    run.failed_slices += 1;
                }
                self.add_problem(now, true, format!("{slice} failed: {problem}"));
                if let Some(added) = self.problems.front_mut() {
                    added.stream = Some(slice.stream.name.clone());
                }
            }
            Event::NotEntitled { slice, detail, had_access } => {
                self.finish_slice(slice, Counters::default());
                if *had_access {
                    self.add_problem(now, true, format!("{slice}: access lost: {detail}"));
                }
            }
            Event::SchemaDrift { stream, field, .. } => {
                self.add_problem(now, false, format!("{stream}: unknown field `{field}`"));
            }
            Event::SliceSuspect { slice, problem } => {
                self.add_problem(now, false, format!("{slice} is suspect: {problem}"));
            }
            Event::ClockSkew { difference } => {
                self.add_problem(now, false, format!("the local clock differs from the API's by {difference:#}"));
            }
            Event::RateLimitStatus(status) => self.rate_limit = Some(RateLimitView::new(*status, now)),
            Event::RateLimitWait { wait } => self.rate_limited_until = Some(after(now, *wait)),
            Event::Warning { message } => self.add_problem(now, false, message.clone()),
            Event::RunFinished(run) => self.finish_run(run, now),
            Event::AlertsFiring(alerts) => self.alerts.clone_from(alerts),
            Event::RequestFinished { .. }
            | Event::RequestRetried { .. }
            | Event::NotificationSent { .. }
            | Event::ConcurrentRun
            | Event::TablePublished { .. }
            | Event::TableFailed { .. }
            | Event::DeadlineBeforeReset { .. }
            | Event::Notice { .. } => {}
        }
    }

    fn finish_slice(&mut self, slice: &Slice, counters: Counters) {
        let Some(run) = &mut self.run else {
            return;
        };
        let label = label(slice);
        if let Some(index) = run.active_slices.iter().position(|active| *active == label) {
            run.active_slices.swap_remove(index);
        }
        run.finished_slices += 1;
        // A slice that was split finishes once for each part.
        run.planned_slices = run.planned_slices.map(|planned| planned.max(run.finished_slices));
        run.rows += counters.rows;
        run.requests += counters.requests;
        run.files += counters.files;
    }

    fn finish_run(&mut self, run: &RunFinished, now: Timestamp) {
        if let Some(problem) = run.problem.as_ref().filter(|_| run.outcome != Outcome::Incomplete) {
            self.add_problem(now, true, problem.clone());
        }
        self.key_rejected_at = (run.outcome == Outcome::KeyRejected).then_some(now);
        self.latest_run = Some(LatestRun {
            ended_at: now,
            job: run.job.clone(),
            outcome: run.outcome,
            problem: run.problem.clone(),
            hint: run.hint.clone(),
        });
        self.run = None;
        self.rate_limited_until = None;
    }

    fn add_problem(&mut self, at: Timestamp, is_error: bool, message: String) {
        let (job, run) = self.run.as_ref().map(|run| (run.job.clone(), run.run)).unzip();
        self.problems.push_front(Problem { at, job, run, is_error, stream: None, message });
        self.problems.truncate(MAX_PROBLEMS);
    }
}

impl ActiveRun {
    fn new(run: Uuid, job: &str, started_at: Timestamp) -> Self {
        Self {
            run,
            job: job.to_owned(),
            started_at,
            planned_slices: None,
            finished_slices: 0,
            rows: 0,
            requests: 0,
            files: 0,
            failed_slices: 0,
            active_slices: Vec::new(),
        }
    }
}

impl RateLimitView {
    fn new(status: RateLimitStatus, observed_at: Timestamp) -> Self {
        let RateLimitStatus { limit, remaining, reserved, own_requests, external_requests, resets_in, .. } = status;
        let resets_at = resets_in.map(|wait| after(observed_at, wait));
        Self { limit, remaining, reserved, own_requests, external_requests, resets_at, observed_at }
    }
}

fn label(slice: &Slice) -> String {
    format!("{} of {}", slice.stream.name, slice.scope.names())
}

fn after(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activity_follows_a_run_and_keeps_why_it_failed() {
        let monitor = ActivityMonitor::new(Clock::starting_at("2026-03-10T16:00:00Z".parse().unwrap()));
        let (events, changes) = (monitor.events(), monitor.changes());
        let run = Uuid::now_v7();
        events.emit(&Event::RunStarted { run, job: "nightly".into() });
        events.emit(&Event::RunPlanned { job: "nightly".into(), slices: 3, requests: 3 });
        events.emit(&Event::RateLimitWait { wait: Duration::from_secs(60) });
        let activity = monitor.activity();
        assert!(activity.rate_limited_until.is_some() && changes.has_changed().unwrap());
        assert_eq!(activity.run.map(|run| (run.job, run.planned_slices)), Some(("nightly".to_owned(), Some(3))));

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
        let activity = monitor.activity();
        assert!(activity.run.is_none() && activity.rate_limited_until.is_none() && activity.key_rejected_at.is_some());
        assert_eq!(activity.problems[0].message, "the API rejected the key (HTTP 401)");
        assert_eq!(activity.problems[0].job.as_deref(), Some("nightly"));
    }
}
