//! One small page of a stream, and every value of it that does not fit its column.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures::future::BoxFuture;
use serde_json::Value;

use crate::api::{Client, RequestOptions, SliceRequest, Transport, Variables};
use crate::decode::{Decoder, Drift, TableSchema};
use crate::model::block::{Block, Positions};
use crate::model::slice::Slice;
use crate::run::error::RunError;
use crate::run::settings::RunSettings;
use crate::run::slice::{children_of, json_rows, request_pages};

/// What a small page of a stream shows.
#[derive(Debug, Default)]
pub struct Sample {
    pub rows: usize,
    /// Values that do not fit.
    pub misfits: Vec<String>,
    /// Fields that the catalog does not declare, each with an example.
    pub drift: Drift,
}

/// Requests one small page of `slice`, and decodes each row by itself. A child is requested for the first row of its parent, or
/// for the first parameters; `None` if there are none.
///
/// # Errors
/// [`RunError::Api`] if the page cannot be requested.
pub async fn sample(
    slice: &Slice,
    settings: &RunSettings,
    options: &RequestOptions,
    most_rows: u64,
) -> Result<Option<Sample>, RunError> {
    let Some(blocks) = first_page(slice, settings, options, most_rows).await? else {
        return Ok(None);
    };
    Ok(Some(decode_rows(slice, &blocks)))
}

/// The blocks of one small page.
fn first_page<'a>(
    slice: &'a Slice,
    settings: &'a RunSettings,
    options: &'a RequestOptions,
    most_rows: u64,
) -> BoxFuture<'a, Result<Option<Vec<Block>>, RunError>> {
    Box::pin(async move {
        let stream = &slice.stream;
        let parent = stream.parent.as_ref().and_then(|parent| Some((parent, settings.catalog.get(&parent.stream)?)));
        let variables = match parent {
            Some((parent, stream)) => {
                let above = Slice { stream: Arc::clone(stream), ..slice.clone() };
                let blocks = first_page(&above, settings, options, most_rows).await?.unwrap_or_default();
                children_of(parent, &json_rows(&blocks)).into_iter().next().map(|child| child.variables)
            }
            None if stream.parameters.is_empty() => Some(Variables::new()),
            None => settings.parameters.get(&stream.name).and_then(|given| given.first().cloned()),
        };
        match variables {
            Some(variables) => one_page(slice, &settings.client, options, &variables, most_rows).await.map(Some),
            None => Ok(None),
        }
    })
}

async fn one_page(
    slice: &Slice,
    client: &Client,
    options: &RequestOptions,
    variables: &Variables,
    most_rows: u64,
) -> Result<Vec<Block>, RunError> {
    let small = slice.with_page_limit(most_rows);
    let request = SliceRequest { slice: &small, transport: Transport::Pages, options, variables };
    let mut blocks = Vec::new();
    let collect = |block| {
        blocks.push(block);
        std::future::ready(!matches!(blocks.last(), Some(Block::EndOfPage)))
    };
    request_pages(&request, client, collect, None, &AtomicU64::new(0)).await?;
    Ok(blocks)
}

/// Decodes every row of a page by itself.
fn decode_rows(slice: &Slice, blocks: &[Block]) -> Sample {
    let schema = Arc::new(TableSchema::new(&slice.stream));
    let names =
        slice.stream.positional_names().map(|(dimensions, metrics)| Arc::new(Positions { dimensions, metrics }));
    let positions = blocks.iter().find_map(|block| match block {
        Block::Positions(positions) => Some(Arc::clone(positions)),
        _ => None,
    });
    let mut found = Sample::default();
    for block in blocks {
        let Block::Rows { json, .. } = block else {
            continue;
        };
        for row in serde_json::from_slice::<Vec<Value>>(json).unwrap_or_default() {
            let mut decoder = Decoder::new(Arc::clone(&schema)).with_scope(&slice.scope);
            if let Some(names) = positions.as_ref().or(names.as_ref()) {
                decoder.bind(names);
            }
            found.rows += 1;
            if let Err(misfit) = decoder.decode(Value::Array(vec![row]).to_string().as_bytes(), 1) {
                found.misfits.push(misfit.to_string());
            }
            found.drift.extend(decoder.drift().clone());
        }
    }
    found
}
