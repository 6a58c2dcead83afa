//! What follows a failed attempt: another form of the request, or the end of the slice.

use std::sync::Arc;

use crate::api::{ApiError, Transport};
use crate::ledger::Fact;
use crate::model::day::Day;
use crate::model::slice::Slice;
use crate::model::stream::{DaysKind, Fallback};
use crate::model::window::Window;
use crate::run::disposition::{FailureScope, Retry};
use crate::run::error::RunError;
use crate::run::slice::attempt::SliceAttempt;
use crate::run::slice::context::SliceContext;
use crate::run::slice::rejection::{may_reject_days, rejects_grain, rejects_member};

/// Damaged responses in a row before the rest of a slice is left to the next run: a month is halved down to a day, which is
/// requested once more and then page by page.
const MAX_DAMAGED: u32 = 8;
/// The same if the server says that it cannot answer, since each of those was retried several times already. Whole, half and
/// quarter distinguish a window that is too long from an endpoint that is dead.
const MAX_UNANSWERED: u32 = 2;

/// What follows a failed attempt.
pub enum NextStep {
    /// These attempts, the last one first.
    Retry { attempts: Vec<SliceAttempt>, remedy: String },
    /// The account has no access to the stream and scope.
    RecordNotEntitled,
    /// The published file is kept, and the next run retries.
    MarkSuspect,
    /// A later run requests the stream.
    DeferStream,
    /// A person must look at it; the published file is kept.
    Fail,
    /// The run ends.
    EndRun,
}

pub fn next_step(cx: &SliceContext<'_>, attempt: SliceAttempt, error: &RunError, damaged_in_a_row: u32) -> NextStep {
    let disposition = error.disposition();
    match disposition.scope {
        FailureScope::Run => return NextStep::EndRun,
        FailureScope::Stream => return NextStep::DeferStream,
        FailureScope::Slice => {}
    }
    match disposition.retry {
        Retry::Never => NextStep::Fail,
        Retry::OnceEntitled if attempt.is_confirming => NextStep::MarkSuspect,
        Retry::OnceEntitled => NextStep::RecordNotEntitled,
        // One rejection may be a mistake of the moment.
        Retry::Fallback if !attempt.is_retry => {
            retry(SliceAttempt { is_retry: true, ..attempt }, "requesting it once more")
        }
        Retry::Fallback => match fall_back(cx, attempt.clone(), error) {
            // The path of the event stream may reject what that of the pages accepts.
            NextStep::Fail if attempt.transport == Transport::Events => pages(attempt),
            step => step,
        },
        Retry::Smaller => {
            let is_unanswered = matches!(error, RunError::Api(ApiError::ServerError { .. }));
            let limit = if is_unanswered { MAX_UNANSWERED } else { MAX_DAMAGED };
            if damaged_in_a_row > limit { NextStep::MarkSuspect } else { smaller(attempt) }
        }
        Retry::Once if !attempt.is_retry => {
            retry(SliceAttempt { is_retry: true, ..attempt }, "requesting it once more")
        }
        // That the end of one stream is not proven says nothing about the next one.
        Retry::Pages if attempt.transport == Transport::Events && error.is_unconfirmed() => {
            pages(SliceAttempt { is_confirming: true, ..attempt })
        }
        Retry::Pages if attempt.transport == Transport::Events => {
            let fact = Fact::EventsIncomplete { stream: attempt.slice.stream.name.clone() };
            pages(attempt.showing(fact, format!("{error}; pages were requested")))
        }
        Retry::Pages | Retry::Once | Retry::NextRun => NextStep::MarkSuspect,
    }
}

fn retry(attempt: SliceAttempt, remedy: impl Into<String>) -> NextStep {
    NextStep::Retry { attempts: vec![attempt], remedy: remedy.into() }
}

fn pages(attempt: SliceAttempt) -> NextStep {
    retry(SliceAttempt { transport: Transport::Pages, is_retry: false, ..attempt }, "requesting page by page")
}

/// What the catalog declares for a request that the API rejects, once each, if the rejection is about that part of the request.
fn fall_back(cx: &SliceContext<'_>, attempt: SliceAttempt, error: &RunError) -> NextStep {
    let RunError::Api(ApiError::RequestRejected { detail, .. }) = error else {
        return NextStep::Fail;
    };
    match declared_fallback(cx, &attempt, detail) {
        Some(step) => step,
        None if may_reject_days(detail) => without_newest_day(cx, attempt),
        None => NextStep::Fail,
    }
}

/// The API may reject a window because its newest day is not ready: that day alone then fails.
fn without_newest_day(cx: &SliceContext<'_>, attempt: SliceAttempt) -> NextStep {
    let days = attempt.slice.stream.days.as_ref().filter(|days| days.kind == DaysKind::Dated);
    let is_newest = |day: Day| days.is_some_and(|days| day >= days.zone.yesterday(cx.now()));
    let older = attempt.slice.window.and_then(|window| Window::new(window.start, window.last()));
    match older.filter(|older| is_newest(older.end)) {
        Some(older) => {
            let part = |window| SliceAttempt {
                slice: attempt.slice.with_window(window),
                is_retry: true,
                prefetched: None,
                ..attempt.clone()
            };
            let newest = part(Window::from_day(older.end));
            let attempts = vec![newest, SliceAttempt { lacks_newest_day: true, ..part(older) }];
            NextStep::Retry { attempts, remedy: "requesting its newest day by itself".into() }
        }
        None => NextStep::Fail,
    }
}

fn declared_fallback(cx: &SliceContext<'_>, attempt: &SliceAttempt, detail: &str) -> Option<NextStep> {
    let attempt = attempt.clone();
    let stream = Arc::clone(&attempt.slice.stream);
    let seen = |what: String| format!("HTTP 422 twice for {what} ({detail})");
    let name = stream.name.clone();
    let (member, limit) = match &stream.on_422 {
        Some(Fallback::Stream(coarser)) => {
            let coarser = cx.settings.catalog.get(coarser).filter(|coarser| rejects_grain(detail, &stream, coarser))?;
            let fact = Fact::Fallback { stream: name, fallback: Some(coarser.name.clone()) };
            let slice = Slice { stream: Arc::clone(coarser), ..attempt.slice.clone() };
            let options = cx.account.request_options(coarser);
            let remedy = format!("requesting `{}` instead", coarser.name);
            let attempt = SliceAttempt { slice, options, is_retry: false, ..attempt };
            return Some(retry(attempt.showing(fact, seen(format!("the grain of `{}`", stream.name))), remedy));
        }
        Some(Fallback::Without(member)) => (member, None),
        Some(Fallback::SmallPages { limit, without }) => (without, Some(*limit)),
        None => return None,
    };
    if attempt.options.without.contains(member) || !rejects_member(detail, &stream, member) {
        return None;
    }
    let mut options = attempt.options.clone();
    if let (Some(limit), None) = (limit, options.page_limit) {
        options.page_limit = Some(limit);
        let fact = Fact::PageLimit { stream: name, limit: Some(limit) };
        let attempt = SliceAttempt { options, transport: Transport::Pages, is_retry: false, ..attempt };
        let remedy = format!("requesting pages of {limit} rows");
        return Some(retry(attempt.showing(fact, seen(format!("`{member}` on larger pages"))), remedy));
    }
    options.without.insert(member.clone());
    options.page_limit = None;
    let fact = Fact::RejectedMember { stream: name, member: Some(member.clone()) };
    let attempt = SliceAttempt { options, transport: cx.account.transport(&stream), is_retry: false, ..attempt };
    let shows = attempt.shows.iter().filter(|(fact, _)| !matches!(fact, Fact::PageLimit { .. })).cloned().collect();
    let attempt = SliceAttempt { shows, ..attempt };
    Some(retry(attempt.showing(fact, seen(format!("`{member}`"))), format!("requesting without `{member}`")))
}

/// What is tried after a damaged response: half the window, the same once more, pages in place of an event stream.
fn smaller(attempt: SliceAttempt) -> NextStep {
    if let Some(halves) = attempt.halves() {
        return NextStep::Retry { attempts: halves.into(), remedy: "requesting half the window".into() };
    }
    if !attempt.is_retry {
        return retry(SliceAttempt { is_retry: true, ..attempt }, "requesting it once more");
    }
    match attempt.transport {
        Transport::Events => pages(attempt),
        Transport::Pages => NextStep::MarkSuspect,
    }
}
