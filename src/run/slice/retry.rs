//! What follows a failed attempt: another form of the request, or the end of the slice.

use std::sync::Arc;

use crate::api::{ApiError, Transport};
use crate::catalog::Catalog;
use crate::model::slice::Slice;
use crate::model::stream::Fallback;
use crate::run::disposition::{FailureScope, Retry};
use crate::run::error::RunError;
use crate::run::slice::attempt::SliceAttempt;
use crate::run::slice::context::SliceContext;

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
        Retry::OnceEntitled => NextStep::RecordNotEntitled,
        Retry::Fallback => fall_back(cx, attempt),
        Retry::Smaller => {
            let is_unanswered = matches!(error, RunError::Api(ApiError::ServerError { .. }));
            let limit = if is_unanswered { MAX_UNANSWERED } else { MAX_DAMAGED };
            if damaged_in_a_row > limit { NextStep::MarkSuspect } else { smaller(attempt) }
        }
        Retry::Once if !attempt.is_retry => {
            retry(SliceAttempt { is_retry: true, ..attempt }, "requesting it once more")
        }
        Retry::Pages => retry(
            SliceAttempt { transport: Transport::Pages, events_incomplete: true, ..attempt },
            "requesting page by page",
        ),
        Retry::Once | Retry::NextRun => NextStep::MarkSuspect,
    }
}

fn retry(attempt: SliceAttempt, remedy: impl Into<String>) -> NextStep {
    NextStep::Retry { attempts: vec![attempt], remedy: remedy.into() }
}

/// What the catalog declares for a request that the API rejects, once each.
fn fall_back(cx: &SliceContext<'_>, attempt: SliceAttempt) -> NextStep {
    let catalog: &Catalog = &cx.settings.catalog;
    match attempt.slice.stream.on_422.clone() {
        Some(Fallback::Without(member)) if !attempt.options.without.contains(&member) => {
            let remedy = format!("requesting without `{member}`");
            let mut options = attempt.options.clone();
            options.without.insert(member);
            retry(SliceAttempt { options, ..attempt }, remedy)
        }
        Some(Fallback::Stream(name)) => match catalog.get(&name) {
            Some(stream) => {
                let fallback_for = Some(attempt.slice.stream.name.clone());
                let slice = Slice { stream: Arc::clone(stream), ..attempt.slice };
                let options = cx.account.request_options(stream);
                retry(SliceAttempt { slice, options, fallback_for, ..attempt }, format!("requesting `{name}` instead"))
            }
            None => NextStep::Fail,
        },
        _ => NextStep::Fail,
    }
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
        Transport::Events => {
            retry(SliceAttempt { transport: Transport::Pages, is_retry: false, ..attempt }, "requesting page by page")
        }
        Transport::Pages => NextStep::MarkSuspect,
    }
}
