//! One planned slice: extract, decode, write, verify, publish, commit.

mod account_facts;
mod admission;
mod attempt;
mod breaker;
mod children;
mod commit;
mod context;
mod decode;
mod end_date;
mod extract;
mod gates;
mod in_progress;
mod ledger_view;
mod lost_columns;
mod pages;
mod parent_cache;
mod parents;
mod prefetch;
mod publish;
mod rejection;
mod reopen;
mod retry;
mod run_to_completion;
mod snapshot;
mod source;
mod window_sizing;

pub use account_facts::AccountFacts;
pub use admission::SliceAdmission;
pub use breaker::CircuitBreaker;
use breaker::Deferral;
pub use context::{SliceContext, SliceOptions};
pub use in_progress::InProgress;
pub use ledger_view::LedgerView;
pub use pages::request_pages;
pub use parent_cache::ParentCache;
pub use parents::{ancestors_of, children_of};
pub use prefetch::{Prefetched, json_rows, prefetch, value_at};
pub use rejection::{rejects_grain, rejects_member};
pub use window_sizing::WindowLimits;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::api::{ApiError, Transport};
use crate::error_text::error_chain;
use crate::ledger::Entry;
use crate::model::counters::Counters;
use crate::model::event::{Event, RetryReason};
use crate::model::slice::Slice;
use crate::run::disposition::Retry;
use crate::run::error::RunError;
use attempt::SliceAttempt;
use extract::extract;
use gates::{Gate, gate};
use publish::{PublishedSlice, publish, publish_nothing};
use retry::{NextStep, next_step};
use window_sizing::WindowSizing;

/// What happened to a planned slice and its parts.
#[derive(Debug, Default)]
pub struct SliceReport {
    /// The stream of each published part, and its counters.
    pub published: Vec<(String, Counters)>,
    /// What a person must look at, and why.
    pub failed: Vec<(Slice, String)>,
    pub deferred: Vec<Slice>,
    pub not_entitled: Vec<Slice>,
    /// The failure that ends the run.
    pub fatal: Option<RunError>,
}

/// Runs a planned slice from its first request to its ledger record. `prefetched` is what discovery has requested of it.
pub async fn run_slice(cx: &SliceContext<'_>, slice: Slice, prefetched: Option<Prefetched>) -> SliceReport {
    let _in_progress = cx.has_dependents(&slice.stream).then(|| cx.in_progress.start(&slice));
    cx.wait_for_dependencies(&slice).await;
    let mut run = SliceRun {
        cx,
        report: SliceReport::default(),
        attempts: vec![SliceAttempt::new(cx, slice, prefetched)],
        sizing: WindowSizing::default(),
        damaged_in_a_row: 0,
    };
    while let Some(attempt) = run.attempts.pop() {
        if let Err(error) = run.attempt(attempt).await {
            run.report.fatal.get_or_insert(error);
        }
    }
    run.sizing.share(&cx.limits);
    run.report
}

/// A slice in progress.
struct SliceRun<'a> {
    cx: &'a SliceContext<'a>,
    report: SliceReport,
    /// What is still to be requested, the next one last.
    attempts: Vec<SliceAttempt>,
    sizing: WindowSizing,
    damaged_in_a_row: u32,
}

impl SliceRun<'_> {
    /// Makes one attempt, unless it need not or must not be made.
    ///
    /// # Errors
    /// What ends the run.
    async fn attempt(&mut self, mut attempt: SliceAttempt) -> Result<(), RunError> {
        let (cx, stream) = (self.cx, attempt.slice.stream.name.clone());
        if cx.account.transport(&attempt.slice.stream) == Transport::Pages {
            // The run may have learned since that the event stream cannot be used.
            attempt.transport = Transport::Pages;
        }
        if !cx.admission.accepts_slices() || self.report.fatal.is_some() {
            self.report.deferred.push(attempt.slice);
            return Ok(());
        }
        if self.sizing.is_too_long(&attempt.slice, &cx.limits)
            && let Some(halves) = attempt.halves()
        {
            self.attempts.extend(halves);
            return Ok(());
        }
        match self.is_settled_in_turn(&attempt).await {
            Ok(false) => {}
            Ok(true) => return Ok(()),
            Err(error) => {
                self.report.deferred.push(attempt.slice);
                return Err(error);
            }
        }
        if cx.breaker.is_deferred(&stream) {
            self.report.deferred.push(attempt.slice);
            return Ok(());
        }
        if let Some(problem) = cx.breaker.is_open(&stream) {
            self.fail_with(&attempt.slice, problem);
            return Ok(());
        }
        cx.settings.events.emit(&Event::SliceStarted { slice: attempt.slice.clone() });
        let (requests, started) = (AtomicU64::new(0), std::time::Instant::now());
        // Before the first request: whatever other processes commit from now on may be newer. Discovery, and children of a parent,
        // may have requested its rows at any time since the ledger was opened.
        let is_requested_before = attempt.prefetched.is_some() || cx.is_parent(&attempt.slice.stream);
        let based_on = if is_requested_before { 0 } else { cx.ledger.number().await };
        let published = match extract(cx, &mut attempt, &requests).await {
            Ok(extraction) => publish(cx, &attempt.slice, extraction, requests.load(Ordering::Relaxed), based_on).await,
            Err(error) => Err(error),
        };
        match published {
            Ok(PublishedSlice { counters, suspect, has_conflict, reopened }) => {
                let counters = Counters { elapsed: started.elapsed(), ..counters };
                let conflicting = has_conflict.then(|| attempt.clone());
                self.record_success(attempt, counters, suspect);
                for slice in reopened {
                    let problem = "its family reads `end_date` otherwise than assumed before".to_owned();
                    cx.settings.events.emit(&Event::SliceDeferred { slice: slice.clone(), problem });
                    self.report.deferred.push(slice);
                }
                if let Some(attempt) = conflicting {
                    self.record_conflict(attempt);
                }
                Ok(())
            }
            Err(error) => self.record_failure(attempt, error).await,
        }
    }

    fn record_success(&mut self, attempt: SliceAttempt, counters: Counters, suspect: Option<String>) {
        let replaces_events = attempt.replaces_events();
        let (cx, slice) = (self.cx, attempt.slice);
        self.damaged_in_a_row = 0;
        cx.breaker.record_success(&slice.stream.name);
        if !attempt.is_retry && !replaces_events && attempt.transport == cx.account.transport(&slice.stream) {
            self.sizing.record_success(&slice);
        }
        self.publish_event(&slice, counters);
        if let Some(problem) = suspect {
            cx.settings.events.emit(&Event::SliceSuspect { slice: slice.clone(), problem: problem.clone() });
            self.report.failed.push((slice, problem));
        }
    }

    /// Another process committed days of the slice during the attempt. They are stale, and are extracted once more.
    fn record_conflict(&mut self, attempt: SliceAttempt) {
        let (events, slice) = (&self.cx.settings.events, attempt.slice.clone());
        let problem = "another process exported some of its days at the same time".to_owned();
        if attempt.had_conflict {
            events.emit(&Event::SliceDeferred { slice: slice.clone(), problem });
            self.report.deferred.push(slice);
        } else {
            events.emit(&Event::SliceRetried { slice, problem, remedy: "requesting its days once more".to_owned() });
            self.attempts.push(SliceAttempt { had_conflict: true, ..attempt });
        }
    }

    fn publish_event(&mut self, slice: &Slice, counters: Counters) {
        self.cx.settings.events.emit(&Event::SlicePublished { slice: slice.clone(), counters });
        self.report.published.push((slice.stream.name.clone(), counters));
    }

    /// # Errors
    /// What ends the run.
    async fn record_failure(&mut self, attempt: SliceAttempt, error: RunError) -> Result<(), RunError> {
        let (cx, slice) = (self.cx, attempt.slice.clone());
        let is_damaged = error.disposition().retry == Retry::Smaller;
        if is_damaged {
            self.damaged_in_a_row += 1;
            self.sizing.record_failure(&slice);
        }
        let lacks_newest_day = attempt.lacks_newest_day;
        let endpoint = attempt.transport.endpoint(&slice.stream).to_owned();
        match next_step(cx, attempt, &error, self.damaged_in_a_row) {
            NextStep::Retry { attempts, remedy } => {
                if is_damaged {
                    cx.settings.events.emit(&Event::RequestRetried { endpoint, reason: RetryReason::Damaged });
                }
                // To confirm an event stream is ordinary, and nothing to warn of.
                if !error.is_unconfirmed() {
                    let slice = attempts.last().map_or(slice, |attempt| attempt.slice.clone());
                    cx.settings.events.emit(&Event::SliceRetried { slice, problem: error_chain(&error), remedy });
                }
                self.attempts.extend(attempts);
            }
            NextStep::RecordNotEntitled => {
                let detail = match error {
                    RunError::Api(ApiError::NotEntitled { status, detail, .. }) => format!("HTTP {status}: {detail}"),
                    other => other.to_string(),
                };
                self.record_not_entitled(&slice, detail).await?;
            }
            NextStep::MarkSuspect => {
                self.fail(&slice, &error);
                if let RunError::Api(ApiError::ServerError { status, .. } | ApiError::NotTheApi { status, .. }) = &error
                {
                    cx.breaker.record_failure(&slice.stream.name, *status);
                    // The rest would fail in the same way, at the cost of requests.
                    self.defer_rest();
                }
                let suspect = cx.ledger.suspect_entry(&slice, &error_chain(&error), Vec::new());
                cx.ledger.commit(vec![suspect], None).await?;
            }
            NextStep::DeferStream => {
                self.defer(&slice, &error);
                let is_outage = matches!(error, RunError::Api(ApiError::Outage { .. }));
                let deferral = if is_outage { Deferral::Outage } else { Deferral::NextRun };
                cx.breaker.defer(&slice.stream.name, deferral);
                self.defer_rest();
            }
            NextStep::Fail => {
                // The other days are rejected, too, so the newest one was not the reason.
                if lacks_newest_day {
                    self.attempts.pop();
                }
                self.fail(&slice, &error);
            }
            NextStep::EndRun => {
                self.defer(&slice, &error);
                return Err(error);
            }
        }
        Ok(())
    }

    fn fail(&mut self, slice: &Slice, error: &RunError) {
        let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        self.fail_with(slice, error_chain(error) + &hint);
    }

    fn fail_with(&mut self, slice: &Slice, problem: String) {
        self.cx.settings.events.emit(&Event::SliceFailed { slice: slice.clone(), problem: problem.clone() });
        self.report.failed.push((slice.clone(), problem));
    }

    /// What ends a run is reported at its end, with its hint.
    fn defer(&mut self, slice: &Slice, error: &RunError) {
        let problem = error_chain(error);
        self.cx.settings.events.emit(&Event::SliceDeferred { slice: slice.clone(), problem });
        self.report.deferred.push(slice.clone());
    }

    fn defer_rest(&mut self) {
        self.report.deferred.extend(self.attempts.drain(..).map(|attempt| attempt.slice));
    }

    /// Waits for the rate limit, then checks [`Self::is_settled`] once more: another run may have extracted the slice meanwhile.
    async fn is_settled_in_turn(&mut self, attempt: &SliceAttempt) -> Result<bool, RunError> {
        let (cx, slice) = (self.cx, &attempt.slice);
        if self.is_settled(slice).await? {
            return Ok(true);
        }
        // Rows that are prefetched, or kept from the published file, may need no request.
        if attempt.prefetched.is_some() || cx.is_parent(&slice.stream) || slice.stream.is_fan_out() {
            return Ok(false);
        }
        match cx.settings.client.ready(attempt.transport.kind()).await {
            Ok(true) => cx.ledger.is_done_elsewhere(slice).await,
            // The request itself gets the same answer, if one is needed.
            Ok(false) | Err(ApiError::OutOfTime { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a slice needs no request: another process has extracted it, the account has no access to other days of it, or
    /// its gate says that it has no rows, which is then recorded.
    async fn is_settled(&mut self, slice: &Slice) -> Result<bool, RunError> {
        let cx = self.cx;
        if cx.account.is_not_entitled(slice) || cx.ledger.is_done_elsewhere(slice).await? {
            return Ok(true);
        }
        match gate(&cx.ledger, &cx.settings.catalog, slice, cx.now()).await {
            Gate::Open => Ok(false),
            Gate::Closed => {
                publish_nothing(cx, slice).await?;
                self.publish_event(slice, Counters { slices: 1, ..Counters::default() });
                Ok(true)
            }
            Gate::NotEntitled(detail) => {
                self.record_not_entitled(slice, detail).await?;
                Ok(true)
            }
        }
    }

    async fn record_not_entitled(&mut self, slice: &Slice, detail: String) -> Result<(), RunError> {
        let cx = self.cx;
        cx.account.record_not_entitled(slice);
        let before = cx.ledger.coverage(slice).await;
        let had_access = before.is_some_and(|before| before.had_rows() && before.not_entitled.is_none());
        // All streams behind one gate are reported once, unless access was lost, which a person must see.
        if had_access || cx.account.first_report(slice.scope.key().to_string(), &detail) {
            cx.settings.events.emit(&Event::NotEntitled { slice: slice.clone(), detail: detail.clone(), had_access });
        }
        if had_access {
            self.report.failed.push((slice.clone(), format!("the account has lost access ({detail})")));
        } else {
            self.report.not_entitled.push(slice.clone());
        }
        let (stream, scope) = (slice.stream.name.clone(), slice.scope.clone());
        cx.ledger.commit(vec![Entry::NotEntitled { run: cx.ledger.run_id, stream, scope, detail }], None).await
    }
}
