//! One planned slice, from the first request to its record.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::api::ApiError;
use crate::error_text::error_chain;
use crate::ledger::Entry;
use crate::model::counters::Counters;
use crate::model::event::{Event, RetryReason};
use crate::model::slice::Slice;
use crate::run::context::RunContext;
use crate::run::discover::Fetched;
use crate::run::disposition::Retry;
use crate::run::error::RunError;
use crate::run::gates::Gate;
use crate::run::lengths::Tried;
use crate::run::publish::{publish, publish_nothing};
use crate::run::read::{Piece, read};
use crate::run::remedy::{Remedy, remedy};

/// What came of a planned slice.
#[derive(Debug, Default)]
pub struct Processed {
    /// What was published, a stream and its figures each.
    pub done: Vec<(String, Counters)>,
    /// What someone must look at.
    pub failed: Vec<(Slice, String)>,
    /// What is left for the next run.
    pub left: Vec<Slice>,
    /// What the account may not read.
    pub not_entitled: Vec<Slice>,
    /// What stops the whole run.
    pub fatal: Option<RunError>,
}

/// Reads, verifies, publishes and records `slice`. `fetched` is what discovery has read of it already.
pub async fn process(cx: &RunContext<'_>, slice: Slice, fetched: Option<Fetched>) -> Processed {
    let mut processed = Processed::default();
    let _reading = cx.is_waited_for(&slice.stream).then(|| cx.signals.begin(&slice));
    cx.wait_for_others(&slice).await;
    let mut damaged_in_a_row = 0;
    let first = Piece {
        transport: cx.transport(&slice.stream),
        facts: cx.facts(&slice.stream),
        stands_in_for: None,
        again: false,
        events_lack: false,
        fetched,
        slice,
    };
    let mut pieces = vec![first];
    let mut tried = Tried::default();
    while let Some(mut piece) = pieces.pop() {
        if !cx.may_begin() || processed.fatal.is_some() {
            processed.left.push(piece.slice);
            continue;
        }
        if let Some(halves) = piece.halves().filter(|_| tried.is_too_long(&piece.slice, &cx.lengths)) {
            pieces.extend(halves);
            continue;
        }
        match is_settled_in_turn(cx, &piece, &mut processed).await {
            Ok(false) => {}
            Ok(true) => continue,
            Err(error) => {
                processed.left.push(piece.slice);
                processed.fatal = Some(error);
                continue;
            }
        }
        if cx.outages.is_postponed(&piece.slice.stream.name) {
            processed.left.push(piece.slice);
            continue;
        }
        if let Some(problem) = cx.outages.gave_up(&piece.slice.stream.name) {
            processed.failed.push((piece.slice, problem));
            continue;
        }
        cx.settings.events.emit(&Event::SliceStarted { slice: piece.slice.clone() });
        let spent = AtomicU64::new(0);
        let began = std::time::Instant::now();
        let result = match read(cx, &mut piece, &spent).await {
            Ok(reading) => publish(cx, &piece, reading, spent.load(Ordering::Relaxed)).await,
            Err(error) => Err(error),
        };
        let error = match result {
            Ok(mut done) => {
                done.done.elapsed = began.elapsed();
                damaged_in_a_row = 0;
                cx.outages.came(&piece.slice.stream.name);
                if !piece.again && piece.transport == cx.transport(&piece.slice.stream) {
                    tried.came(&piece.slice);
                }
                cx.settings.events.emit(&Event::SlicePublished { slice: piece.slice.clone(), counters: done.done });
                processed.done.push((piece.slice.stream.name.clone(), done.done));
                if let Some(problem) = &done.suspect {
                    let message = format!("{} is suspect: {problem}; the next run reads it again", piece.slice);
                    cx.settings.events.emit(&Event::Warning { message });
                }
                processed.failed.extend(done.suspect.map(|problem| (piece.slice, problem)));
                continue;
            }
            Err(error) => error,
        };
        let is_damage = error.disposition().retry == Retry::Smaller;
        if is_damage {
            damaged_in_a_row += 1;
            tried.broke(&piece.slice);
        }
        let endpoint = piece.transport.endpoint(&piece.slice.stream).to_owned();
        match remedy(cx, piece, &error, damaged_in_a_row) {
            Remedy::Again { pieces: again, words: remedy } => {
                let slice = again.last().map(|piece: &Piece| piece.slice.clone());
                if is_damage {
                    cx.settings.events.emit(&Event::RequestRetried { endpoint, reason: RetryReason::Damaged });
                }
                if let Some(slice) = slice {
                    cx.settings.events.emit(&Event::SliceRetried { slice, problem: error_chain(&error), remedy });
                }
                pieces.extend(again);
            }
            Remedy::NotEntitled(slice) => {
                if let Err(error) = not_entitled(cx, &slice, &error, &mut processed).await {
                    processed.fatal = Some(error);
                }
            }
            Remedy::Suspect(slice) => {
                leave(cx, &slice, &error, true, &mut processed);
                if let RunError::Api(ApiError::ServerError { status, .. }) = &error {
                    cx.outages.could_not(&slice.stream.name, *status);
                    // The rest would only be refused in the same way, at the cost of requests.
                    processed.left.extend(pieces.drain(..).map(|rest| rest.slice));
                }
                let entry = cx.suspect(&slice, &error_chain(&error), Vec::new());
                processed.fatal = cx.committer.commit(vec![entry], u64::MAX).await.err().map(RunError::from);
            }
            Remedy::Later(slice) => {
                leave(cx, &slice, &error, false, &mut processed);
                cx.outages.postpone(&slice.stream.name);
                processed.left.extend(pieces.drain(..).map(|rest| rest.slice));
            }
            Remedy::Fail(slice) => leave(cx, &slice, &error, true, &mut processed),
            Remedy::Stop(slice) => {
                leave(cx, &slice, &error, false, &mut processed);
                processed.fatal = Some(error);
            }
        }
    }
    tried.tell(&cx.lengths);
    processed
}

fn leave(cx: &RunContext<'_>, slice: &Slice, error: &RunError, failed: bool, processed: &mut Processed) {
    let mut problem = error_chain(error);
    // What stops a run is told at its end, with what mends it.
    if let Some(hint) = error.hint().filter(|_| failed) {
        problem.push_str(&format!("; {hint}"));
    }
    if failed {
        cx.settings.events.emit(&Event::SliceFailed { slice: slice.clone(), problem: problem.clone() });
        processed.failed.push((slice.clone(), problem));
    } else {
        cx.settings.events.emit(&Event::SliceDeferred { slice: slice.clone(), problem });
        processed.left.push(slice.clone());
    }
}

/// The same as [`is_settled`], when its turn to be asked has come: where that took a while, others may have read it.
async fn is_settled_in_turn(cx: &RunContext<'_>, piece: &Piece, processed: &mut Processed) -> Result<bool, RunError> {
    if is_settled(cx, &piece.slice, processed).await? {
        return Ok(true);
    }
    let stream = &piece.slice.stream;
    // What was fetched, or is taken from elsewhere, may need no request of its own.
    if piece.fetched.is_some() || cx.is_parent(stream) || stream.is_fan_out() {
        return Ok(false);
    }
    match cx.settings.client.ready(piece.transport.kind()).await {
        Ok(true) => cx.is_done_elsewhere(&piece.slice).await,
        // The request itself is told the same, if one is needed.
        Ok(false) | Err(ApiError::OutOfTime { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether a slice need not be asked: another process has read it, the API has refused other days of it, or another
/// stream tells that there is nothing, which is recorded then.
async fn is_settled(cx: &RunContext<'_>, slice: &Slice, processed: &mut Processed) -> Result<bool, RunError> {
    if cx.is_refused(slice) || cx.is_done_elsewhere(slice).await? {
        return Ok(true);
    }
    match cx.gate(slice).await {
        Gate::Open => Ok(false),
        Gate::Nothing => {
            publish_nothing(cx, slice).await?;
            let done = Counters { slices: 1, ..Counters::default() };
            cx.settings.events.emit(&Event::SlicePublished { slice: slice.clone(), counters: done });
            processed.done.push((slice.stream.name.clone(), done));
            Ok(true)
        }
        Gate::NotEntitled(detail) => {
            record_not_entitled(cx, slice, detail, processed).await?;
            Ok(true)
        }
    }
}

async fn not_entitled(
    cx: &RunContext<'_>,
    slice: &Slice,
    error: &RunError,
    processed: &mut Processed,
) -> Result<(), RunError> {
    let detail = match error {
        RunError::Api(ApiError::NotEntitled { status, detail, .. }) => format!("HTTP {status}: {detail}"),
        other => other.to_string(),
    };
    record_not_entitled(cx, slice, detail, processed).await
}

async fn record_not_entitled(
    cx: &RunContext<'_>,
    slice: &Slice,
    detail: String,
    processed: &mut Processed,
) -> Result<(), RunError> {
    cx.refuse(slice);
    let before = cx.coverage_of(slice).await;
    let had_access = before.is_some_and(|before| before.had_rows() && before.not_entitled.is_none());
    // What is behind one gate is told once, unless it is news that someone must hear.
    if had_access || cx.is_news(&slice.scope, &detail) {
        cx.settings.events.emit(&Event::NotEntitled { slice: slice.clone(), detail: detail.clone(), had_access });
    }
    let (stream, scope) = (slice.stream.name.clone(), slice.scope.clone());
    match had_access {
        true => processed.failed.push((slice.clone(), format!("may not be read any more ({detail})"))),
        false => processed.not_entitled.push(slice.clone()),
    }
    let entry = Entry::NotEntitled { run: cx.run_id, stream, scope, detail };
    Ok(cx.committer.commit(vec![entry], u64::MAX).await?)
}
