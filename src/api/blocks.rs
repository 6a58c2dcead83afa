//! Collects whole rows into blocks, and remembers what came around them.

use serde_json::Value;
use std::sync::Arc;

use crate::model::block::{Block, Positions};

/// A block is handed on when it reaches this.
const BLOCK_BYTES: usize = 1024 * 1024;
/// A single row may be this long; the longest answers seen are far below.
pub const MAX_ROW_BYTES: usize = 32 * 1024 * 1024;
/// What may stand around the rows of a body.
pub const MAX_ENVELOPE_BYTES: usize = 4 * 1024 * 1024;
/// Values may nest this deep; the deepest row of the API has six levels.
pub const MAX_DEPTH: usize = 64;

/// Why the bytes of a response do not frame rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// Something else than JSON came, such as the HTML page of a proxy.
    #[error("not JSON: it begins with `{0}`")]
    NotJson(String),
    /// Brackets or quotes do not close.
    #[error("the body ends in the middle")]
    Truncated,
    /// Something follows the end of the body.
    #[error("something follows the end of the JSON")]
    Trailing,
    /// A limit on what may be held in memory.
    #[error("{what} is longer than {limit} bytes")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A limit on nesting.
    #[error("values nest deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// What stands around the rows cannot be read.
    #[error("what stands around the rows is not JSON: {0}")]
    Envelope(String),
    /// An event stream reported an error.
    #[error("the event stream reported: {0}")]
    Reported(String),
    /// An event stream ended without its first event.
    #[error("the event stream ended without a summary")]
    NoSummary,
}

/// What stood around the rows of one response: `info` of a body, or the summary of an event stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Envelope {
    /// The object, or null.
    pub info: Value,
}

impl Envelope {
    /// The announced total, whatever the family calls it.
    pub fn total(&self) -> Option<u64> {
        ["total_rows", "total_results"].iter().find_map(|name| self.info.get(name)?.as_u64())
    }

    /// Where the next page starts.
    pub fn next_cursor(&self) -> Option<String> {
        self.info.get("next_cursor")?.as_str().filter(|cursor| !cursor.is_empty()).map(str::to_owned)
    }

    /// The names that bind positional rows.
    pub fn positions(&self) -> Option<Positions> {
        let query = self.info.get("query")?;
        let names = |key: &str| -> Option<Vec<String>> {
            query.get(key)?.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
        };
        Some(Positions { dimensions: names("dimensions")?, metrics: names("metrics")? })
    }
}

/// Collects rows into blocks.
#[derive(Debug, Default)]
pub struct BlockBuilder {
    json: Vec<u8>,
    rows: usize,
    row_start: usize,
    total_rows: u64,
    ready: Vec<Block>,
}

impl BlockBuilder {
    /// Starts a row.
    pub fn begin_row(&mut self) {
        self.json.push(if self.json.is_empty() { b'[' } else { b',' });
        self.row_start = self.json.len();
    }

    /// Adds bytes to the row.
    ///
    /// # Errors
    /// [`FramingError::TooLong`] when the row passes its limit.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), FramingError> {
        self.json.extend_from_slice(bytes);
        match self.json.len() - self.row_start <= MAX_ROW_BYTES {
            true => Ok(()),
            false => Err(FramingError::TooLong { what: "a row", limit: MAX_ROW_BYTES }),
        }
    }

    /// Ends the row.
    pub fn end_row(&mut self) {
        self.rows += 1;
        self.total_rows += 1;
        if BLOCK_BYTES <= self.json.len() {
            self.flush();
        }
    }

    /// Hands on what has been collected.
    pub fn flush(&mut self) {
        if 0 < self.rows {
            self.json.push(b']');
            let json = std::mem::replace(&mut self.json, Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 8));
            self.ready.push(Block::Rows { json, rows: std::mem::take(&mut self.rows) });
        }
    }

    /// Hands on the names that bind the rows that follow, or those before when they came first.
    pub fn bind(&mut self, positions: Positions) {
        self.flush();
        self.ready.push(Block::Positions(Arc::new(positions)));
    }

    /// Rows of the response so far.
    pub fn total_rows(&self) -> u64 {
        self.total_rows
    }

    /// What is ready, in order.
    pub fn take_ready(&mut self) -> Vec<Block> {
        std::mem::take(&mut self.ready)
    }
}

/// The first characters of a body, for an error.
pub fn beginning(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
