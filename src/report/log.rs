//! Events as log lines. Levels by consequence: `warn` was recovered from, `error` wants someone to act.

use crate::model::event::Event;
use crate::model::slice::Slice;

/// Logs `event` with its parts as fields.
pub fn log_line(event: &Event) {
    match event {
        Event::RunPlanned { job, slices, requests } => {
            tracing::info!(job, slices, requests, "planned {slices} slices, about {requests} requests");
        }
        Event::SliceStarted { slice } => {
            let (stream, scope, window) = parts(slice);
            tracing::debug!(stream, scope, window, "asking");
        }
        Event::SliceDone { slice, done } => {
            let (stream, scope, window) = parts(slice);
            let (rows, files, unchanged) = (done.rows, done.files, done.unchanged);
            let (bytes, requests) = (done.bytes, done.requests);
            tracing::info!(stream, scope, window, rows, files, unchanged, bytes, requests, "exported");
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
            tracing::info!(stream, scope, window, problem, "left for the next run");
        }
        Event::NotEntitled { slice, detail, could_before: true } => {
            let (stream, scope, window) = parts(slice);
            tracing::error!(stream, scope, window, detail, "may not be read any more; what was there stands");
        }
        Event::NotEntitled { slice, detail, could_before: false } => {
            let (stream, scope, window) = parts(slice);
            tracing::info!(stream, scope, window, detail, "not entitled; asked again after a day");
        }
        Event::Drift { stream, member, example } => {
            tracing::warn!(
                stream,
                member,
                example,
                "rows hold a member this version does not know; it is kept in `_extra`"
            );
        }
        Event::Waiting { wait } => {
            tracing::info!(seconds = wait.as_secs(), "waiting for the hour to turn");
        }
        Event::Warning { message } => tracing::warn!("{message}"),
        Event::RunEnded { job, summary, complete: true } => tracing::info!(job, "{summary}"),
        Event::RunEnded { job, summary, complete: false } => tracing::warn!(job, "{summary}"),
    }
}

fn parts(slice: &Slice) -> (&str, String, String) {
    let window = slice.window.map(|window| window.to_string()).unwrap_or_default();
    (&slice.stream.name, slice.scope.to_string(), window)
}
