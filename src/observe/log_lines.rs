//! Events as log lines, event first and facts as fields: one a minute while a run goes well, one for each problem. Levels follow
//! the consequence: `warn` was recovered from, `error` needs an operator. docs/reference/log-messages.md lists every message.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::{debug, error, info, warn};

use crate::model::counters::Counters;
use crate::model::event::{Event, EventSink, RunFinished};
use crate::model::slice::Slice;
use crate::observe::run_progress::RunProgress;

const PROGRESS_INTERVAL: Duration = Duration::from_secs(60);

/// The run that lines are about.
#[derive(Debug)]
struct LogContext {
    run: Option<String>,
    job: Option<String>,
    progress: RunProgress,
    progress_logged: Instant,
}

/// A sink that logs events; the end of a run only with `summaries`, for commands that do not print it.
pub fn log_lines(summaries: bool) -> EventSink {
    let now = Instant::now();
    let context = LogContext { run: None, job: None, progress: RunProgress::new(now), progress_logged: now };
    let context = Arc::new(Mutex::new(context));
    EventSink::new(move |event| {
        let mut context = context.lock();
        context.observe(event, Instant::now());
        if let Event::RunFinished(run) = event {
            if summaries {
                log_summary(run);
            }
            (context.run, context.job) = (None, None);
        } else {
            context.log(event);
        }
    })
}

impl LogContext {
    fn observe(&mut self, event: &Event, now: Instant) {
        self.progress.observe(event, now);
        match event {
            Event::RunStarted { run, job } => {
                (self.run, self.job, self.progress_logged) = (Some(run.to_string()), Some(job.clone()), now);
            }
            Event::SlicePublished { .. }
                if now.saturating_duration_since(self.progress_logged) >= PROGRESS_INTERVAL =>
            {
                self.progress_logged = now;
                let RunProgress { planned_slices, finished_slices, finished_requests, rows, .. } = self.progress;
                let (job, run) = (&self.job, &self.run);
                let seconds_left = self.progress.time_left(now).map(|left| left.as_secs());
                let requests_available = self.progress.available_requests();
                info!(
                    job,
                    run,
                    planned_slices,
                    finished_slices,
                    finished_requests,
                    rows,
                    seconds_left,
                    requests_available,
                    "run in progress"
                );
            }
            _ => {}
        }
    }

    fn log(&self, event: &Event) {
        let (job, run) = (&self.job, &self.run);
        match event {
            Event::RunStarted { .. } => debug!(job, run, "run started"),
            Event::RunPlanned { slices, requests, .. } => info!(job, run, slices, requests, "run planned"),
            Event::SliceStarted { slice } => {
                let (stream, scope, window) = fields(slice);
                debug!(stream, scope, window, job, run, "slice started");
            }
            Event::SlicePublished { slice, counters } => {
                let (stream, scope, window) = fields(slice);
                let (rows, files, unchanged) = (counters.rows, counters.files, counters.unchanged);
                let (bytes, requests, seconds) = (counters.bytes, counters.requests, counters.elapsed.as_secs_f64());
                debug!(
                    stream,
                    scope, window, job, run, rows, files, unchanged, bytes, requests, seconds, "slice published"
                );
            }
            Event::SliceRetried { slice, problem, remedy } => {
                let (stream, scope, window) = fields(slice);
                warn!(stream, scope, window, problem, remedy, job, run, "slice failed, retrying");
            }
            Event::SliceFailed { slice, problem } => {
                let (stream, scope, window) = fields(slice);
                error!(stream, scope, window, problem, job, run, "slice failed, published file kept");
            }
            Event::SliceDeferred { slice, problem } => {
                let (stream, scope, window) = fields(slice);
                debug!(stream, scope, window, problem, job, run, "slice deferred to the next run");
            }
            Event::NotEntitled { slice, detail, had_access } => {
                let (stream, scope, _) = fields(slice);
                if *had_access {
                    error!(stream, scope, detail, job, run, "access lost, published files kept");
                } else {
                    info!(stream, scope, detail, job, run, "not entitled");
                }
            }
            Event::SchemaDrift { stream, field, example } => {
                warn!(stream, field, example, job, run, "unknown field, kept in `_extra`");
            }
            // Shorter waits only pace the requests.
            Event::RateLimitWait { wait } if wait.as_secs() >= 1 => {
                info!(seconds = wait.as_secs(), job, run, "rate limit reached, waiting");
            }
            Event::SliceSuspect { slice, problem } => {
                let (stream, scope, window) = fields(slice);
                warn!(stream, scope, window, problem, job, run, "slice suspect, the next run extracts it once more");
            }
            Event::ClockSkew { difference } => {
                warn!(
                    seconds = difference.as_secs(),
                    job, run, "local clock differs from the API's, days follow the API"
                );
            }
            Event::ConcurrentRun => info!(job, run, "another run in progress on this lake, skipping what it exports"),
            Event::DeadlineBeforeReset { wait } => {
                info!(
                    seconds = wait.as_secs(),
                    job, run, "rate limit resets after the deadline, starting no more slices"
                );
            }
            Event::Notice { message } => info!(job, run, detail = %message, "run notice"),
            Event::Warning { message } => warn!(job, run, detail = %message, "run warning"),
            // Metrics count requests; the alert dispatcher logs notifications itself, and publishing its tables as it goes.
            Event::RateLimitWait { .. }
            | Event::RequestFinished { .. }
            | Event::RequestRetried { .. }
            | Event::RateLimitStatus(_)
            | Event::AlertsFiring(_)
            | Event::NotificationSent { .. }
            | Event::TablePublished { .. }
            | Event::TableFailed { .. }
            | Event::RunFinished(_) => {}
        }
    }
}

fn log_summary(finished: &RunFinished) {
    let Counters { requests, rows, files, unchanged, bytes, slices, failed, deferred, not_entitled, .. } =
        finished.counters;
    let (job, run, summary) = (&finished.job, finished.run.to_string(), &finished.summary);
    let (seconds, problem, hint) = (finished.elapsed.as_secs_f64(), &finished.problem, &finished.hint);
    let outcome = finished.outcome.to_string();
    macro_rules! run_finished {
        ($level:ident) => {
            $level!(
                job,
                run,
                outcome,
                summary,
                requests,
                rows,
                files,
                unchanged,
                bytes,
                slices,
                failed,
                deferred,
                not_entitled,
                seconds,
                problem,
                hint,
                "run finished"
            )
        };
    }
    if finished.outcome.is_failure() {
        run_finished!(error);
    } else {
        run_finished!(info);
    }
}

fn fields(slice: &Slice) -> (&str, String, Option<String>) {
    (&slice.stream.name, slice.scope.names(), slice.window.map(|window| window.to_string()))
}
