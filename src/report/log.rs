//! Events as log lines: one a minute for what goes well, one for each thing that does not. Levels by consequence:
//! `warn` was recovered from, `error` wants someone to act.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::event::{Event, Events};
use crate::model::slice::Slice;

/// How often a run that goes well says how far it is.
const EVERY: Duration = Duration::from_secs(60);

/// How far the run is.
#[derive(Debug)]
struct Far {
    planned: usize,
    done: usize,
    requests: u64,
    rows: u64,
    told: Instant,
}

/// Hears events and logs them; the end of a run only with `summaries`, where nothing else tells it.
pub fn log_lines(summaries: bool) -> Events {
    let far = Arc::new(Mutex::new(Far { planned: 0, done: 0, requests: 0, rows: 0, told: Instant::now() }));
    Events::to(move |event| {
        let mut far = far.lock().unwrap_or_else(PoisonError::into_inner);
        far.count(event);
        if summaries || !matches!(event, Event::RunEnded(_)) {
            log_line(event);
        }
    })
}

impl Far {
    fn count(&mut self, event: &Event) {
        match event {
            Event::RunPlanned { slices, .. } => {
                *self = Self { planned: *slices, done: 0, requests: 0, rows: 0, told: Instant::now() };
            }
            Event::SliceDone { done, .. } => {
                self.done += 1;
                self.requests += done.requests;
                self.rows += done.rows;
                if EVERY <= self.told.elapsed() {
                    self.told = Instant::now();
                    let Self { planned, done, requests, rows, .. } = self;
                    tracing::info!("{done} of {planned} slices, {requests} requests, {rows} rows");
                }
            }
            _ => {}
        }
    }
}

/// Logs `event` with its parts as fields.
fn log_line(event: &Event) {
    match event {
        Event::RunPlanned { job, slices, requests } => {
            tracing::info!(job, slices, requests, "planned");
        }
        Event::SliceStarted { slice } => {
            let (stream, scope, window) = parts(slice);
            tracing::debug!(stream, scope, window, "asking");
        }
        Event::SliceDone { slice, done } => {
            let (stream, scope, window) = parts(slice);
            let (rows, files, unchanged) = (done.rows, done.files, done.unchanged);
            let (bytes, requests) = (done.bytes, done.requests);
            tracing::debug!(stream, scope, window, rows, files, unchanged, bytes, requests, "exported");
        }
        Event::SliceRetried { slice, problem, remedy } => {
            let (stream, scope, window) = parts(slice);
            tracing::warn!(stream, scope, window, problem, "{remedy}");
        }
        Event::SliceLeft { slice, problem, failed: true } => {
            let (stream, scope, window) = parts(slice);
            tracing::error!(stream, scope, window, problem, "not exported; what was there stands");
        }
        Event::SliceLeft { slice, problem, failed: false } => {
            let (stream, scope, window) = parts(slice);
            tracing::debug!(stream, scope, window, problem, "left for the next run");
        }
        Event::NotEntitled { slice, detail, could_before: true } => {
            let (stream, scope, _) = parts(slice);
            tracing::error!(stream, scope, detail, "may not be read any more; what was there stands");
        }
        Event::NotEntitled { slice, detail, could_before: false } => {
            let (stream, scope, _) = parts(slice);
            tracing::info!(stream, scope, detail, "not entitled; asked again after a day");
        }
        Event::Drift { stream, member, example } => {
            tracing::warn!(
                stream,
                member,
                example,
                "rows hold a member this version does not know; it is kept in `_extra`"
            );
        }
        Event::Waiting { wait } => tracing::info!(seconds = wait.as_secs(), "waiting for the hour to turn"),
        Event::News { message } => tracing::info!("{message}"),
        Event::Warning { message } => tracing::warn!("{message}"),
        Event::RunEnded(ended) => tracing::info!(job = ended.job, outcome = ended.outcome, "{}", ended.summary),
        Event::RunStarted { run, job } => tracing::debug!(job, %run, "begun"),
        // A request is no event that matters: metrics count them.
        Event::RequestEnded { .. } | Event::RequestRepeated { .. } | Event::BudgetTold(_) => {}
        // Whoever tells them says so.
        Event::AlertsStand(_) | Event::AlertSent { .. } => {}
    }
}

fn parts(slice: &Slice) -> (&str, String, Option<String>) {
    (&slice.stream.name, slice.scope.names(), slice.window.map(|window| window.to_string()))
}
