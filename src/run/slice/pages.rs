//! The blocks of one request, page after page.

use std::collections::HashSet;
use std::sync::atomic::AtomicU64;

use crate::api::{Client, SliceRequest, Transport};
use crate::model::block::Block;
use crate::model::proof::Proof;
use crate::model::response_totals::ResponseTotals;
use crate::model::stream::{Cursor, PageInfo, Pagination, Total};
use crate::run::error::RunError;

/// Requests every page of `request` and passes its blocks to `accept`. Returns the totals that the API announced; early and
/// without an error if `accept` returns false, whose caller then knows why.
///
/// # Errors
/// [`RunError::Api`], or [`RunError::TooManyPages`] if the first page shows that more than `page_limit` would follow.
pub async fn request_pages<F: Future<Output = bool>>(
    request: &SliceRequest<'_>,
    client: &Client,
    mut accept: impl FnMut(Block) -> F,
    page_limit: Option<u64>,
    requests: &AtomicU64,
) -> Result<ResponseTotals, RunError> {
    let pagination = &request.slice.stream.pagination;
    let mut totals = ResponseTotals::new(end_of(pagination, request.transport));
    let mut followed = HashSet::new();
    let mut cursor = None;
    loop {
        let mut response = client.send(&request.page(cursor.as_ref()), requests).await?;
        let is_event_stream = response.is_event_stream();
        while let Some(ready) = response.next_blocks().await? {
            for block in ready {
                if !accept(block).await {
                    return Ok(totals);
                }
            }
            let (rows, announced) = response.progress();
            if request.slice.stream.total == Total::Rows && announced.is_some_and(|total| totals.rows + rows > total) {
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
        if is_event_stream {
            // One response has all rows, whatever cursor its summary shows.
            totals.end = Proof::StreamEnd;
            return Ok(totals);
        }
        cursor = pagination.next(&page);
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

fn end_of(pagination: &Pagination, transport: Transport) -> Proof {
    match (pagination, transport) {
        (_, Transport::Events) => Proof::StreamEnd,
        (Pagination::Single, _) => Proof::Body,
        _ => Proof::CursorEnd,
    }
}
