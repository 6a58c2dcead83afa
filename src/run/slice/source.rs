//! Where the rows of an attempt come from, and the one way to stream them to its decoder.

use std::sync::atomic::{AtomicU64, Ordering};

use arrow_schema::SchemaRef;
use tokio::sync::mpsc::Sender;

use crate::api::{RequestOptions, SliceRequest, Transport, Variables};
use crate::model::response_totals::ResponseTotals;
use crate::run::disposition::FailureScope;
use crate::run::error::RunError;
use crate::run::slice::attempt::SliceAttempt;
use crate::run::slice::children::{ChildResults, PendingRequests, request_children};
use crate::run::slice::context::SliceContext;
use crate::run::slice::decode::RowInput;
use crate::run::slice::pages::request_pages;
use crate::run::slice::parents::{children, parent_rows};
use crate::run::slice::prefetch::Prefetched;

/// Pages that one day of the window may cost, where an event stream broke and pages replace it.
const MAX_PAGES_PER_DAY: u64 = 20;

/// Where the rows of an attempt come from.
pub enum RowSource {
    /// They were requested before: by discovery, or as the parents of another stream.
    Prefetched(Prefetched),
    /// One event stream, or one walk of pages.
    Request { page_limit: Option<u64> },
    /// One request for each row of the parent.
    FanOut(PendingRequests),
}

/// What the API announced about the rows that were streamed.
pub struct Streamed {
    pub totals: ResponseTotals,
    /// What is missing although everything else succeeded.
    pub incomplete: Option<String>,
}

impl RowSource {
    /// The source of the rows of `attempt`. `file_schema` is that of its files.
    ///
    /// # Errors
    /// Why parents or the published file cannot be read.
    pub async fn open(
        cx: &SliceContext<'_>,
        attempt: &SliceAttempt,
        prefetched: Option<Prefetched>,
        file_schema: &SchemaRef,
    ) -> Result<Self, RunError> {
        let slice = &attempt.slice;
        if let Some(prefetched) = prefetched {
            return Ok(Self::Prefetched(prefetched));
        }
        if !attempt.is_retry && cx.is_parent(&slice.stream) {
            match parent_rows(cx, slice).await.map(|parent| parent.prefetched.lock().take()) {
                Ok(Some(prefetched)) => return Ok(Self::Prefetched(prefetched)),
                Ok(None) => {}
                // Some of its own requests failed. Those that succeed are worth having.
                Err(error) if slice.stream.is_fan_out() && error.disposition().scope < FailureScope::Run => {}
                Err(error) => return Err(error),
            }
        }
        match children(cx, slice).await? {
            Some(children) => Ok(Self::FanOut(PendingRequests::new(cx, slice, children, file_schema).await?)),
            None => Ok(Self::Request { page_limit: page_limit(cx, attempt) }),
        }
    }

    /// Sends all rows to `rows`. Returns early, without an error, if the receiver is dropped: the receiver has the cause.
    ///
    /// # Errors
    /// The failure of a request that leaves nothing to publish.
    pub async fn stream(
        self,
        cx: &SliceContext<'_>,
        attempt: &SliceAttempt,
        options: &RequestOptions,
        rows: Sender<RowInput>,
        requests: &AtomicU64,
    ) -> Result<Streamed, RunError> {
        match self {
            Self::Prefetched(prefetched) => {
                requests.fetch_add(prefetched.requests, Ordering::Relaxed);
                send_all(&rows, prefetched.blocks.into_iter().map(RowInput::Block)).await;
                Ok(Streamed { totals: prefetched.totals, incomplete: None })
            }
            Self::Request { page_limit } => {
                let (slice, variables) = (&attempt.slice, &Variables::new());
                let request = SliceRequest { slice, transport: attempt.transport, options, variables };
                let rows = &rows;
                let send = |block| async move { rows.send(RowInput::Block(block)).await.is_ok() };
                let totals = request_pages(&request, &cx.settings.client, send, page_limit, requests).await?;
                Ok(Streamed { totals, incomplete: None })
            }
            Self::FanOut(mut pending) => {
                let kept = pending.unchanged_rows();
                let has_kept = kept.iter().any(|batch| batch.num_rows() > 0);
                send_all(&rows, kept.into_iter().map(RowInput::Published)).await;
                let children = std::mem::take(&mut pending.children);
                let ChildResults { totals, incomplete, failed } =
                    request_children(cx, attempt, options, children, has_kept, &rows, requests).await?;
                send_all(&rows, pending.rows_of(&failed).into_iter().map(RowInput::Published)).await;
                Ok(Streamed { totals, incomplete })
            }
        }
    }
}

async fn send_all(rows: &Sender<RowInput>, inputs: impl Iterator<Item = RowInput>) {
    for input in inputs {
        if rows.send(input).await.is_err() {
            break;
        }
    }
}

/// How many pages replace an event stream that broke. Where pages are the only form that can be used, or the chosen one, there is no
/// limit.
fn page_limit(cx: &SliceContext<'_>, attempt: &SliceAttempt) -> Option<u64> {
    let stream = &attempt.slice.stream;
    let is_chosen = !cx.settings.event_streams && stream.pagination.is_offset();
    let is_learned = cx.settings.event_streams && cx.account.transport(stream) == Transport::Pages;
    let is_only = stream.event_stream.is_none() || is_learned || attempt.replaces_events();
    if attempt.transport == Transport::Events || attempt.options.page_limit.is_some() || is_only || is_chosen {
        return None;
    }
    let days = attempt.slice.window.map_or(1, |window| window.len_days().unsigned_abs());
    Some(MAX_PAGES_PER_DAY * days)
}
