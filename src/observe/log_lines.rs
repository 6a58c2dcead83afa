//! Events as log lines: one a minute for what goes well, one for each thing that does not. Levels by consequence:
//! `warn` was recovered from, `error` wants someone to act. docs/reference/log-messages.md lists them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::counters::Counters;
use crate::model::event::{Event, EventSink, RunFinished};
use crate::model::slice::Slice;
use crate::observe::run_progress::RunProgress;

/// How often a run that goes well says how far it is.
const EVERY: Duration = Duration::from_secs(60);

/// The run that lines are about, and how far it is.
#[derive(Debug)]
struct Lines {
    run: Option<String>,
    job: Option<String>,
    way: RunProgress,
    told: Instant,
}

/// Hears events and logs them; the end of a run only with `summaries`, where nothing else tells it.
pub fn log_lines(summaries: bool) -> EventSink {
    let now = Instant::now();
    let lines = Arc::new(Mutex::new(Lines { run: None, job: None, way: RunProgress::begin(now), told: now }));
    EventSink::new(move |event| {
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.hear(event, Instant::now());
        if summaries || !matches!(event, Event::RunFinished(_)) {
            lines.log(event);
        }
        if matches!(event, Event::RunFinished(_)) {
            (lines.run, lines.job) = (None, None);
        }
    })
}

impl Lines {
    fn hear(&mut self, event: &Event, now: Instant) {
        self.way.hear(event, now);
        match event {
            Event::RunStarted { run, job } => {
                (self.run, self.job, self.told) = (Some(run.to_string()), Some(job.clone()), now);
            }
            Event::SlicePublished { .. } if EVERY <= now.saturating_duration_since(self.told) => {
                self.told = now;
                let RunProgress { planned: (slices, _), over, requests, rows, .. } = self.way;
                let (job, run) = (&self.job, &self.run);
                let seconds_to_go = self.way.time_left(now).map(|to_go| to_go.as_secs());
                let ahead = self.way.ahead(now);
                tracing::info!(
                    job,
                    run,
                    slices,
                    over,
                    requests,
                    rows,
                    seconds_to_go,
                    "{over} of {slices} slices, {requests} requests, {rows} rows; {ahead}"
                );
            }
            _ => {}
        }
    }

    /// Logs `event` with its parts as fields.
    fn log(&self, event: &Event) {
        let (job, run) = (&self.job, &self.run);
        match event {
            Event::RunStarted { .. } => tracing::debug!(job, run, "begun"),
            Event::RunPlanned { slices, requests, .. } => tracing::info!(job, run, slices, requests, "planned"),
            Event::SliceStarted { slice } => {
                let (stream, scope, window) = parts(slice);
                tracing::debug!(stream, scope, window, job, run, "asking");
            }
            Event::SlicePublished { slice, counters } => {
                let (stream, scope, window) = parts(slice);
                let (rows, files, unchanged) = (counters.rows, counters.files, counters.unchanged);
                let (bytes, requests, seconds) = (counters.bytes, counters.requests, counters.elapsed.as_secs_f64());
                tracing::debug!(
                    stream, scope, window, job, run, rows, files, unchanged, bytes, requests, seconds, "exported"
                );
            }
            Event::SliceRetried { slice, problem, remedy } => {
                let (stream, scope, window) = parts(slice);
                tracing::warn!(stream, scope, window, problem, job, run, "{remedy}");
            }
            Event::SliceFailed { slice, problem } => {
                let (stream, scope, window) = parts(slice);
                tracing::error!(stream, scope, window, problem, job, run, "not exported; what was there stands");
            }
            Event::SliceDeferred { slice, problem } => {
                let (stream, scope, window) = parts(slice);
                tracing::debug!(stream, scope, window, problem, job, run, "left for the next run");
            }
            Event::NotEntitled { slice, detail, had_access: true } => {
                let (stream, scope, _) = parts(slice);
                tracing::error!(stream, scope, detail, job, run, "may not be read any more; what was there stands");
            }
            Event::NotEntitled { slice, detail, had_access: false } => {
                let (stream, scope, _) = parts(slice);
                tracing::info!(stream, scope, detail, job, run, "not entitled; asked again after a day");
            }
            Event::SchemaDrift { stream, field, example } => tracing::warn!(
                stream,
                field,
                example,
                job,
                run,
                "rows hold a member this version does not know; it is kept in `_extra`"
            ),
            // Less than a second is no waiting that anybody would notice.
            Event::RateLimitWait { wait } if 1 <= wait.as_secs() => {
                tracing::info!(seconds = wait.as_secs(), job, run, "waiting for the hour to turn");
            }
            Event::RateLimitWait { .. } => {}
            Event::Notice { message } => tracing::info!(job, run, "{message}"),
            Event::Warning { message } => tracing::warn!(job, run, "{message}"),
            Event::RunFinished(ended) => summary(ended),
            // A request is no event that matters: metrics count them.
            Event::RequestFinished { .. } | Event::RequestRetried { .. } | Event::RateLimitStatus(_) => {}
            // Whoever tells them says so.
            Event::AlertsFiring(_) | Event::NotificationSent { .. } => {}
        }
    }
}

/// The end of a run, with its figures as fields.
fn summary(ended: &RunFinished) {
    let Counters { requests, rows, files, unchanged, bytes, slices, failed, deferred, not_entitled, .. } =
        ended.counters;
    let (job, run, outcome, summary) = (&ended.job, ended.run.to_string(), ended.outcome.to_string(), &ended.summary);
    let (seconds, problem, hint) = (ended.elapsed.as_secs_f64(), &ended.problem, &ended.hint);
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                job,
                run,
                outcome,
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
                "{summary}"
            )
        };
    }
    if ended.outcome.is_failure() {
        line!(error);
    } else {
        line!(info);
    }
}

fn parts(slice: &Slice) -> (&str, String, Option<String>) {
    (&slice.stream.name, slice.scope.names(), slice.window.map(|window| window.to_string()))
}
