//! The blocks of one request, page after page.

use std::collections::HashSet;
use std::sync::atomic::AtomicU64;

use crate::api::{ApiError, Client, ResponseEnvelope, SliceRequest, Transport};
use crate::model::block::Block;
use crate::model::proof::Proof;
use crate::model::response_totals::ResponseTotals;
use crate::model::stream::{Cursor, EndpointStatus, PageInfo, Pagination, Total};
use crate::run::error::RunError;

/// Requests every page of `request` and passes its blocks to `accept`. Returns the totals that the API announced; early and
/// without an error if `accept` returns false, whose caller then knows why.
///
/// # Errors
/// [`RunError::Api`], [`RunError::NoEvents`], or [`RunError::TooManyPages`] if the first page shows that more than `page_limit` would
/// follow.
pub async fn request_pages<F: Future<Output = bool>>(
    request: &SliceRequest<'_>,
    client: &Client,
    mut accept: impl FnMut(Block) -> F,
    page_limit: Option<u64>,
    requests: &AtomicU64,
) -> Result<ResponseTotals, RunError> {
    let stream = &request.slice.stream;
    let pagination = &stream.pagination;
    // Of other endpoints the members of a response are not known, and some stop at a number of rows.
    let is_documented = stream.status != EndpointStatus::Undocumented;
    let mut totals = ResponseTotals::new(end_of(pagination, request.transport));
    let mut followed = HashSet::new();
    let mut cursor = None;
    loop {
        let sent = client.send(&request.page(cursor.as_ref()), requests).await;
        let mut response =
            sent.map_err(|error| if is_no_events(request, &error) { RunError::NoEvents(error) } else { error.into() })?;
        let is_event_stream = response.is_event_stream();
        while let Some(ready) = response.next_blocks().await? {
            for block in ready {
                if !accept(block).await {
                    return Ok(totals);
                }
            }
            let (rows, announced) = response.progress();
            if stream.total == Total::Rows && announced.is_some_and(|total| totals.rows + rows > total) {
                // More rows than announced fail the verification, and may have no end.
                totals.add_page(rows, announced);
                return Ok(totals);
            }
        }
        let (ready, envelope, rows) = response.finish()?;
        for block in ready.into_iter().chain([Block::EndOfPage]) {
            if !accept(block).await {
                return Ok(totals);
            }
        }
        let page = PageInfo { offset: totals.rows, rows, total: envelope.total(), next_token: envelope.next_cursor() };
        totals.add_page(rows, page.total);
        totals.replaced += envelope.replaced;
        cursor = if is_event_stream { None } else { pagination.next(&page) };
        let incomplete = || {
            let at_end = || if cursor.is_none() { envelope.more(totals.rows) } else { None };
            let unexplained = || (!is_event_stream && is_unexplained(pagination, &totals, &envelope)).then(no_info);
            envelope.partial().or_else(at_end).or_else(unexplained)
        };
        if is_documented && totals.incomplete.is_none() {
            totals.incomplete = incomplete();
        }
        if is_event_stream {
            totals.end = Proof::StreamEnd;
            return Ok(totals);
        }
        if request.transport == Transport::Events && cursor.is_some() {
            // The path of the event stream answers with a page of which it takes no second one.
            let (what, problem) = (request.slice.to_string(), "a page of JSON instead".to_owned());
            return Err(ApiError::UnknownEvents { what, problem }.into());
        }
        match &cursor {
            None => return Ok(totals),
            Some(Cursor::Token(token)) if !followed.insert(token.clone()) => {
                totals.repeated_cursor = true;
                return Ok(totals);
            }
            Some(_) => {}
        }
        let pages = page.total.zip(pagination.limit()).map(|(total, limit)| total.div_ceil(limit));
        if let (1, Some(limit), Some(pages)) = (totals.pages, page_limit, pages)
            && pages > limit
        {
            return Err(RunError::TooManyPages { slice: request.slice.to_string(), pages, limit });
        }
    }
}

/// Whether a page lacks the member that shows where the pages end: without it neither an empty page nor a missing cursor is one.
fn is_unexplained(pagination: &Pagination, totals: &ResponseTotals, envelope: &ResponseEnvelope) -> bool {
    match pagination {
        Pagination::Cursor { .. } => !envelope.info.is_object(),
        Pagination::Offset { .. } => totals.rows == 0 && !envelope.info.is_object(),
        Pagination::BodyOffset { .. } => totals.rows == 0 && totals.total.is_none(),
        Pagination::Single
        | Pagination::QueryCursor { .. }
        | Pagination::QueryOffset { .. }
        | Pagination::QueryAfter => false,
    }
}

fn no_info() -> String {
    "the body has no `info` or total".to_owned()
}

/// Whether the path of an event stream rejects the request, which says nothing about its pages: they have a path of their own, and no
/// `pagination: null`, which the document leaves open.
fn is_no_events(request: &SliceRequest<'_>, error: &ApiError) -> bool {
    let is_null_sent = request.slice.stream.pagination.is_offset();
    request.transport == Transport::Events
        && match error {
            ApiError::RequestRejected { status: 422, .. } => is_null_sent,
            ApiError::NotEntitled { .. }
            | ApiError::RequestRejected { .. }
            | ApiError::Redirected { .. }
            | ApiError::NotTheApi { .. } => true,
            _ => false,
        }
}

fn end_of(pagination: &Pagination, transport: Transport) -> Proof {
    match (pagination, transport) {
        (_, Transport::Events) => Proof::StreamEnd,
        (Pagination::Single, _) => Proof::Body,
        _ => Proof::CursorEnd,
    }
}
