//! Rows that are requested into memory: lists that name objects, parents, and the requests of a fan-out.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::api::{ApiError, Client, SliceRequest};
use crate::decode::with_nulls;
use crate::model::block::Block;
use crate::model::response_totals::ResponseTotals;
use crate::model::slice::Slice;
use crate::model::stream::WindowEnd;
use crate::run::error::RunError;
use crate::run::slice::pages::request_pages;
use crate::write::proof_of;

/// Bytes of rows that are held in memory; the largest account known has far less.
pub const MAX_PREFETCHED_BYTES: usize = 256 * 1024 * 1024;

/// The rows of a slice in memory, before anything is written.
#[derive(Debug, Clone)]
pub struct Prefetched {
    pub blocks: Vec<Block>,
    pub totals: ResponseTotals,
    pub requests: u64,
    /// How `end_date` was known to be read when the rows were requested.
    pub window_end: Option<WindowEnd>,
}

/// Requests all pages of `request` into memory.
///
/// # Errors
/// [`RunError::Api`], also if the rows exceed [`MAX_PREFETCHED_BYTES`].
pub async fn prefetch(
    request: &SliceRequest<'_>,
    client: &Client,
    requests: &AtomicU64,
) -> Result<Prefetched, RunError> {
    let before = requests.load(Ordering::Relaxed);
    let (mut blocks, mut bytes) = (Vec::new(), 0);
    let collect = |block: Block| {
        bytes += block.bytes();
        blocks.push(block);
        std::future::ready(bytes <= MAX_PREFETCHED_BYTES)
    };
    let totals = request_pages(request, client, collect, None, requests).await?;
    if bytes > MAX_PREFETCHED_BYTES {
        return Err(too_long(request.slice));
    }
    let requests = requests.load(Ordering::Relaxed) - before;
    Ok(Prefetched { blocks, totals, requests, window_end: request.options.window_end })
}

/// Requests all pages of `request` into memory, and compares the rows with what the API announced.
///
/// # Errors
/// Those of [`prefetch`], or [`RunError::Unproven`].
pub async fn prefetch_verified(
    request: &SliceRequest<'_>,
    client: &Client,
    requests: &AtomicU64,
) -> Result<Prefetched, RunError> {
    let prefetched = prefetch(request, client, requests).await?;
    let SliceRequest { slice, transport, .. } = *request;
    let unproven = |doubt| RunError::Unproven { slice: slice.to_string(), doubt, transport };
    proof_of(&prefetched.totals, &slice.stream, None).map_err(unproven)?;
    Ok(prefetched)
}

/// The error for rows that exceed [`MAX_PREFETCHED_BYTES`].
pub fn too_long(slice: &Slice) -> RunError {
    let problem = format!("the list is longer than {MAX_PREFETCHED_BYTES} bytes");
    ApiError::broken(slice.to_string(), problem).into()
}

/// Every row of the list `what`, as JSON. A word such as `NaN` is null here, and named when the list itself is decoded.
///
/// # Errors
/// [`ApiError::Broken`] if rows are not JSON: without them the list would look shorter than it is.
pub fn json_rows(what: &str, blocks: &[Block]) -> Result<Vec<Value>, ApiError> {
    let mut rows: Vec<Value> = Vec::new();
    for block in blocks {
        let Block::Rows { json, .. } = block else { continue };
        let parsed = serde_json::from_slice::<Vec<Value>>(json).or_else(|error| {
            let text = std::str::from_utf8(json).ok().and_then(with_nulls);
            text.map_or(Err(error), |text| serde_json::from_str(&text))
        });
        rows.extend(parsed.map_err(|error| ApiError::broken(what, format!("its rows are not JSON: {error}")))?);
    }
    Ok(rows)
}

/// The value at a dotted path.
pub fn value_at<'a>(row: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(row, |value, step| value.get(step))
}
