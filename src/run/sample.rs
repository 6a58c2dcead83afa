//! One small page of a stream, and every value of it that would not fit its column.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde_json::Value;
use tokio::sync::mpsc;

use crate::api::{Asked, Client, RequestFacts, Transport, Variables};
use crate::decode::{Decoder, Drift, TableSchema};
use crate::model::block::{Block, Positions};
use crate::model::slice::Slice;
use crate::run::error::RunError;
use crate::run::extract::extract;

/// What a small page of a stream showed.
#[derive(Debug, Default)]
pub struct Sample {
    /// Rows looked at.
    pub rows: usize,
    /// Values that would not fit, in words.
    pub misfits: Vec<String>,
    /// Members the catalog does not know, each with an example.
    pub drift: Drift,
}

/// Reads one small page of `slice`, and decodes each row by itself.
///
/// # Errors
/// [`RunError::Api`] when the page cannot be read.
pub async fn sample(slice: &Slice, client: &Client, facts: &RequestFacts, most_rows: u64) -> Result<Sample, RunError> {
    let small = slice.with_pages_of(most_rows);
    let asked = Asked { slice: &small, transport: Transport::Pages, facts, variables: &Variables::new() };
    let (sender, mut receiver) = mpsc::channel(2);
    let spent = AtomicU64::new(0);
    let collecting = async {
        let mut blocks = Vec::new();
        // One page is enough: whoever stops taking blocks stops the extraction.
        while let Some(block) = receiver.recv().await {
            if matches!(block, Block::EndOfPage) {
                break;
            }
            blocks.push(block);
        }
        receiver.close();
        blocks
    };
    let (told, blocks) = tokio::join!(extract(&asked, client, sender, None, &spent), collecting);
    told?;
    let schema = Arc::new(TableSchema::of(&slice.stream));
    let names =
        slice.stream.positional_names().map(|(dimensions, metrics)| Arc::new(Positions { dimensions, metrics }));
    let positions = blocks.iter().find_map(|block| match block {
        Block::Positions(positions) => Some(Arc::clone(positions)),
        _ => None,
    });
    let mut found = Sample::default();
    for block in &blocks {
        let Block::Rows { json, .. } = block else {
            continue;
        };
        for row in serde_json::from_slice::<Vec<Value>>(json).unwrap_or_default() {
            let mut decoder = Decoder::new(Arc::clone(&schema));
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
    Ok(found)
}
