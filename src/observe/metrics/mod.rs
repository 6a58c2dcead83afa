//! Metrics: what events, the status and the configuration come to in figures, in the text format of Prometheus.
//!
//! They are kept here and not in a crate's registry, because counters of one-shot runs go on from a file: what stands is set
//! as a whole, what is counted is read back, and one format is written.

mod family;
mod memory;
mod samples;
mod textfile;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::clock::Clock;
use crate::config::AlertEvent;
use crate::model::counters::Counters;
use crate::model::event::{Event, EventSink, RateLimitStatus, RetryReason, RunFinished};
use crate::model::outcome::Outcome;
use crate::observe::rate_limit_waits::RateLimitWaits;
use crate::status::{JobStatus, Status};
use family::*;

pub use family::{BUCKETS, FAMILIES, Family, Kind};
pub use samples::{Histogram, Samples};
pub use textfile::{TextfileError, write_textfile};

/// What becomes of slices.
const SLICE_RESULTS: [&str; 4] = ["done", "failed", "left", "not_entitled"];
/// The metrics of the process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    samples: Samples,
    waits: RateLimitWaits,
    /// The last run of each job, as far as it was heard or recorded.
    last: BTreeMap<String, LastRun>,
    /// What the budget told of others the last time.
    foreign: u64,
    /// Jobs that run.
    running: BTreeSet<String>,
}

/// The last run of a job.
#[derive(Debug, Clone, Copy)]
struct LastRun {
    ended_at: Timestamp,
    took: Duration,
    exit_code: u8,
}

impl Metrics {
    /// Nothing happened yet.
    pub fn new(clock: Clock) -> Self {
        let mut samples = Samples::default();
        samples.set(&BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
        // What can be told apart from the start begins with nothing, so that the first of a kind is seen as an increase.
        RetryReason::ALL.iter().for_each(|reason| samples.add(&RETRIES, &[reason.name()], 0.0));
        SLICE_RESULTS.iter().for_each(|result| samples.add(&SLICES, &[result], 0.0));
        AlertEvent::ALL.iter().for_each(|event| samples.set(&ALERTS_ACTIVE, &[event.name()], 0.0));
        samples.add(&BUDGET_WAITED, &[], 0.0);
        samples.add(&FOREIGN_REQUESTS, &[], 0.0);
        samples.set(&KEY_REJECTED, &[], 0.0);
        Self(Arc::new(Shared { clock, known: Mutex::new(Known { samples, ..Known::default() }) }))
    }

    /// Hears events.
    pub fn events(&self) -> EventSink {
        let metrics = self.clone();
        EventSink::new(move |event| metrics.hear(event))
    }

    /// Takes over what stands.
    pub fn stand(&self, status: &Status) {
        let mut known = self.known();
        known.stand(status);
    }

    /// Says when the key expires, where that is known.
    pub fn key_expires(&self, at: Option<Timestamp>) {
        self.known().samples.set_known(&KEY_EXPIRY, &[], at.map(seconds));
    }

    /// Goes on from what an earlier process wrote into its text file, as if it had been this one.
    pub fn go_on_from(&self, text: &str) {
        self.known().samples.add_all(&Samples::counted(text));
    }

    /// All of them at this moment.
    pub fn samples(&self) -> Samples {
        let known = self.known();
        let mut samples = known.samples.clone();
        let (now, waits) = (Instant::now(), known.waits);
        drop(known);
        samples.set(&BUDGET_WAITING, &[], waits.left(now).as_secs_f64());
        samples.add(&BUDGET_WAITED, &[], waits.total(now).as_secs_f64());
        samples.set_known(&MEMORY, &[], memory::resident_bytes().map(|bytes| bytes as f64));
        samples
    }

    /// All of them in the text format.
    pub fn text(&self) -> String {
        self.samples().text()
    }

    fn hear(&self, event: &Event) {
        self.known().hear(event, Instant::now(), self.0.clock.now());
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Plain figures: a panic elsewhere leaves them usable.
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn hear(&mut self, event: &Event, now: Instant, at: Timestamp) {
        self.waits.hear(event, now);
        match event {
            Event::RunStarted { job, .. } => {
                self.running.insert(job.clone());
                self.samples.set(&JOB_RUNNING, &[job], 1.0);
            }
            Event::RequestFinished { endpoint, status, elapsed, .. } => {
                let code = status.map_or("error".to_owned(), |status| status.to_string());
                self.samples.add(&REQUESTS, &[endpoint, &code], 1.0);
                self.samples.observe(&REQUEST_DURATION, &[endpoint], elapsed.as_secs_f64());
                match status {
                    Some(401) => self.samples.set(&KEY_REJECTED, &[], 1.0),
                    Some(200) => self.samples.set(&KEY_REJECTED, &[], 0.0),
                    _ => {}
                }
            }
            Event::RequestRetried { reason, .. } => self.samples.add(&RETRIES, &[reason.name()], 1.0),
            Event::RateLimitStatus(told) => self.take_budget(*told, at),
            Event::SlicePublished { slice, counters } => self.count_slice(&slice.stream.name, *counters),
            Event::RunFinished(ended) => self.end_run(ended, at),
            Event::AlertsFiring(standing) => {
                for event in AlertEvent::ALL.map(AlertEvent::name) {
                    let count = standing.iter().filter(|alert| alert.event == event).count();
                    self.samples.set(&ALERTS_ACTIVE, &[event], count as f64);
                }
            }
            Event::NotificationSent { target, delivered } => {
                for (result, is_so) in [("sent", *delivered), ("failed", !*delivered)] {
                    self.samples.add(&ALERTS_SENT, &[target, result], f64::from(u8::from(is_so)));
                }
            }
            Event::RateLimitWait { .. }
            | Event::RunPlanned { .. }
            | Event::SliceStarted { .. }
            | Event::SliceRetried { .. }
            | Event::SliceDeferred { .. }
            | Event::SliceFailed { .. }
            | Event::NotEntitled { .. }
            | Event::SchemaDrift { .. }
            | Event::Notice { .. }
            | Event::Warning { .. } => {}
        }
    }

    fn take_budget(&mut self, told: RateLimitStatus, at: Timestamp) {
        let RateLimitStatus { limit, remaining, reserved, own_requests, external_requests, resets_in, .. } = told;
        let samples = &mut self.samples;
        samples.set(&BUDGET_LIMIT, &[], f64::from(limit));
        samples.set_known(&BUDGET_REMAINING, &[], remaining.map(f64::from));
        samples.set(&BUDGET_RESERVED, &[], f64::from(reserved));
        samples.set(&BUDGET_SPENT, &[], f64::from(own_requests));
        let reset = resets_in.and_then(|wait| at.checked_add(wait).ok());
        samples.set_known(&BUDGET_RESET, &[], reset.map(seconds));
        // A client that was made anew begins to count anew.
        let more = external_requests.checked_sub(self.foreign).unwrap_or(external_requests);
        samples.add(&FOREIGN_REQUESTS, &[], more as f64);
        self.foreign = external_requests;
    }

    fn count_slice(&mut self, stream: &str, done: Counters) {
        let samples = &mut self.samples;
        samples.add(&SLICES, &["done"], 1.0);
        samples.add(&ROWS, &[stream], done.rows as f64);
        samples.add(&WRITTEN_BYTES, &[stream], done.bytes as f64);
        samples.add(&FILES, &[stream, "written"], done.files as f64);
        samples.add(&FILES, &[stream, "unchanged"], done.unchanged as f64);
    }

    fn end_run(&mut self, ended: &RunFinished, at: Timestamp) {
        let job = ended.job.as_str();
        self.running.remove(job);
        self.begin_counting(job);
        let samples = &mut self.samples;
        samples.set(&JOB_RUNNING, &[job], 0.0);
        samples.add(&RUNS, &[job, &ended.outcome.to_string()], 1.0);
        samples.add(&SLICES, &["failed"], ended.counters.failed as f64);
        samples.add(&SLICES, &["left"], ended.counters.deferred as f64);
        samples.add(&SLICES, &["not_entitled"], ended.counters.not_entitled as f64);
        if ended.outcome == Outcome::KeyRejected {
            samples.set(&KEY_REJECTED, &[], 1.0);
        }
        if ended.outcome == Outcome::Complete {
            samples.set(&LAST_SUCCESS, &[job], seconds(at));
        }
        self.take_last(job, LastRun { ended_at: at, took: ended.elapsed, exit_code: ended.outcome.exit_code() });
    }

    fn stand(&mut self, status: &Status) {
        for family in [&JOB_RUNNING, &NEXT_RUN, &COVERAGE_LAG, &STREAM_COVERAGE_LAG, &DAYS] {
            self.samples.clear(family);
        }
        // What is configured no more is not shown as if it were late.
        let is_configured = |job: &str| status.jobs.iter().any(|known| known.name == job);
        self.last.retain(|job, _| is_configured(job));
        for family in [&LAST_RUN, &LAST_RUN_DURATION, &LAST_RUN_EXIT_CODE, &LAST_SUCCESS] {
            self.samples.retain(family, |labels| is_configured(&labels[0]));
        }
        for job in &status.jobs {
            self.stand_job(job);
        }
        for stream in &status.streams {
            self.samples.set(&STREAM_COVERAGE_LAG, &[&stream.name], stream.lag_seconds as f64);
        }
        for (day_status, days) in status.days_by_status() {
            self.samples.set(&DAYS, &[&day_status.to_string()], days as f64);
        }
    }

    fn stand_job(&mut self, job: &JobStatus) {
        let name = job.name.as_str();
        self.begin_counting(name);
        let is_running = self.running.contains(name);
        self.samples.set(&JOB_RUNNING, &[name], f64::from(u8::from(is_running)));
        self.samples.set_known(&NEXT_RUN, &[name], job.next_run.map(seconds));
        self.samples.set(&COVERAGE_LAG, &[name], job.lag_seconds as f64);
        if let Some(success) = job.last_success {
            let heard = self.samples.number(&LAST_SUCCESS, &[name]).unwrap_or_default();
            self.samples.set(&LAST_SUCCESS, &[name], heard.max(seconds(success)));
        }
        if let Some(last) = &job.last_run {
            let took = Duration::try_from(last.ended_at.duration_since(last.end.started_at)).unwrap_or_default();
            let exit_code = last.end.outcome.exit_code();
            self.take_last(name, LastRun { ended_at: last.ended_at, took, exit_code });
        }
    }

    /// Shows the last run of `job`, unless a later one is known.
    fn take_last(&mut self, job: &str, run: LastRun) {
        if self.last.get(job).is_some_and(|known| run.ended_at < known.ended_at) {
            return;
        }
        self.last.insert(job.to_owned(), run);
        self.samples.set(&LAST_RUN, &[job], seconds(run.ended_at));
        self.samples.set(&LAST_RUN_DURATION, &[job], run.took.as_secs_f64());
        self.samples.set(&LAST_RUN_EXIT_CODE, &[job], f64::from(run.exit_code));
    }

    fn begin_counting(&mut self, job: &str) {
        Outcome::ALL.iter().for_each(|outcome| self.samples.add(&RUNS, &[job, &outcome.to_string()], 0.0));
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}
