//! The blocks of one slice, page after page, and what the API told.

use std::collections::HashSet;
use std::sync::atomic::AtomicU64;

use tokio::sync::mpsc::Sender;

use crate::api::{Client, SliceRequest, Transport};
use crate::model::block::Block;
use crate::model::proof::Proof;
use crate::model::response_totals::ResponseTotals;
use crate::model::stream::{Cursor, PageInfo, Pagination, Total};
use crate::run::error::RunError;

/// Sends every block of what is `asked` to `blocks`; returns what the API told about it.
///
/// Stops early, without an error, when nobody takes the blocks any more: whoever stopped taking them knows why.
///
/// # Errors
/// [`RunError::Api`], or [`RunError::TooManyPages`] when the first page shows that more than `most_pages` would follow.
pub async fn extract(
    asked: &SliceRequest<'_>,
    client: &Client,
    blocks: Sender<Block>,
    most_pages: Option<u64>,
    spent: &AtomicU64,
) -> Result<ResponseTotals, RunError> {
    let pagination = &asked.slice.stream.pagination;
    let mut told = ResponseTotals::new(end_of(pagination, asked.transport));
    let mut followed = HashSet::new();
    let mut cursor = None;
    loop {
        let mut response = client.send(&asked.page(cursor.as_ref()), spent).await?;
        let events = response.is_event_stream();
        while let Some(ready) = response.next_blocks().await? {
            for block in ready {
                if blocks.send(block).await.is_err() {
                    return Ok(told);
                }
            }
            let (rows, announced) = response.progress();
            if asked.slice.stream.total == Total::Rows && announced.is_some_and(|total| total < told.rows + rows) {
                // Whatever follows, it is not what was announced, and may have no end.
                told.add_page(rows, announced);
                return Ok(told);
            }
        }
        let (ready, envelope, rows) = response.finish()?;
        for block in ready.into_iter().chain([Block::EndOfPage]) {
            if blocks.send(block).await.is_err() {
                return Ok(told);
            }
        }
        let page = PageInfo { offset: told.rows, rows, total: envelope.total(), next_token: envelope.next_cursor() };
        told.add_page(rows, page.total);
        if events {
            // One response holds everything, whatever cursor its summary shows.
            told.end = Proof::StreamEnd;
            return Ok(told);
        }
        cursor = pagination.next(&page);
        match &cursor {
            None => return Ok(told),
            Some(Cursor::Token(token)) if !followed.insert(token.clone()) => {
                told.repeated_cursor = true;
                return Ok(told);
            }
            Some(_) => {}
        }
        if let (1, Some(most), Some(pages)) = (told.pages, most_pages, pages_of(pagination, page.total))
            && most < pages
        {
            return Err(RunError::TooManyPages { slice: asked.slice.to_string(), pages, limit: most });
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

fn pages_of(pagination: &Pagination, total: Option<u64>) -> Option<u64> {
    Some(total?.div_ceil(pagination.limit()?))
}
