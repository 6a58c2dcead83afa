//! The first rows of a stream, requested as a run requests them, and every value of it that does not fit its column.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures::future::BoxFuture;

use crate::api::{Client, RequestOptions, SliceRequest, Transport, Variables};
use crate::decode::{Decoder, Drift, TableSchema};
use crate::model::block::{Block, Positions};
use crate::model::slice::Slice;
use crate::run::disposition::Retry;
use crate::run::error::RunError;
use crate::run::settings::RunSettings;
use crate::run::slice::{children_of, json_rows, request_pages};

/// What the first rows of a stream show.
#[derive(Debug, Default)]
pub struct Sample {
    pub rows: usize,
    /// Values that do not fit.
    pub misfits: Vec<String>,
    /// Fields that the catalog does not declare, each with an example.
    pub drift: Drift,
    /// Why pages had to replace the event stream.
    pub no_events: Option<String>,
}

/// Requests the first rows of `slice`, as pages if its event stream cannot be used, and decodes each by itself. A child is requested for the first
/// row of its parent, or for the first parameters; `None` if there are none.
///
/// # Errors
/// [`RunError::Api`] if the page cannot be requested.
pub async fn sample(
    slice: &Slice,
    settings: &RunSettings,
    transport: Transport,
    options: &RequestOptions,
    most_rows: u64,
) -> Result<Option<Sample>, RunError> {
    let mut no_events = None;
    let first = match first_page(slice, settings, options, transport, most_rows).await {
        Err(error) if transport == Transport::Events && error.disposition().retry == Retry::Pages => {
            no_events = Some(error.to_string());
            first_page(slice, settings, options, Transport::Pages, most_rows).await
        }
        first => first,
    };
    Ok(first?.map(|blocks| Sample { no_events, ..decode_rows(slice, &blocks) }))
}

/// The blocks of the first rows.
fn first_page<'a>(
    slice: &'a Slice,
    settings: &'a RunSettings,
    options: &'a RequestOptions,
    transport: Transport,
    most_rows: u64,
) -> BoxFuture<'a, Result<Option<Vec<Block>>, RunError>> {
    Box::pin(async move {
        let stream = &slice.stream;
        let parent = stream.parent.as_ref().and_then(|parent| Some((parent, settings.catalog.get(&parent.stream)?)));
        let variables = match parent {
            Some((parent, stream)) => {
                let above = Slice { stream: Arc::clone(stream), ..slice.clone() };
                let blocks = first_page(&above, settings, options, Transport::Pages, most_rows).await?;
                let blocks = blocks.unwrap_or_default();
                children_of(parent, &json_rows(&above.to_string(), &blocks)?)
                    .into_iter()
                    .next()
                    .map(|child| child.variables)
            }
            None if stream.parameters.is_empty() => Some(Variables::new()),
            None => settings.parameters.get(&stream.name).and_then(|given| given.first().cloned()),
        };
        match variables {
            Some(variables) => {
                let small = slice.with_page_limit(most_rows);
                let request = SliceRequest { slice: &small, transport, options, variables: &variables };
                one_page(&request, &settings.client, most_rows).await.map(Some)
            }
            None => Ok(None),
        }
    })
}

/// A page, or as much of an event stream as has enough rows.
async fn one_page(request: &SliceRequest<'_>, client: &Client, most_rows: u64) -> Result<Vec<Block>, RunError> {
    let (mut blocks, mut rows) = (Vec::new(), 0);
    let is_event_stream = request.transport == Transport::Events;
    let collect = |block: Block| {
        if let Block::Rows { rows: more, .. } = &block {
            rows += *more as u64;
        }
        let is_enough = matches!(block, Block::EndOfPage) || (is_event_stream && rows >= most_rows);
        blocks.push(block);
        std::future::ready(!is_enough)
    };
    request_pages(request, client, collect, None, &AtomicU64::new(0)).await?;
    Ok(blocks)
}

/// Decodes the rows, and counts those that do not fit.
fn decode_rows(slice: &Slice, blocks: &[Block]) -> Sample {
    let names =
        slice.stream.positional_names().map(|(dimensions, metrics)| Arc::new(Positions { dimensions, metrics }));
    let positions = blocks.iter().find_map(|block| match block {
        Block::Positions(positions) => Some(Arc::clone(positions)),
        _ => None,
    });
    let mut found = Sample::default();
    for block in blocks {
        let Block::Rows { json, rows } = block else { continue };
        let mut decoder = Decoder::new(Arc::new(TableSchema::new(&slice.stream))).with_scope(&slice.scope);
        if let Some(names) = positions.as_ref().or(names.as_ref()) {
            decoder.bind(names);
        }
        found.rows += rows;
        match decoder.decode_with_misfits(json, *rows) {
            Ok((_, misfits)) => found.misfits.extend(misfits.into_iter().map(|misfit| misfit.problem.to_string())),
            Err(error) => found.misfits.push(error.to_string()),
        }
        found.drift.extend(decoder.drift().clone());
    }
    found
}
