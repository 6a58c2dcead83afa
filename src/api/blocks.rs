//! Collects whole rows into blocks, and remembers what came around them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::model::block::{Block, Positions};

/// A block is handed on when it reaches this.
const BLOCK_BYTES: usize = 1024 * 1024;
/// A single row may be this long; the longest answers seen are far below.
pub const MAX_ROW_BYTES: usize = 32 * 1024 * 1024;
/// What may stand around the rows of a body.
pub const MAX_ENVELOPE_BYTES: usize = 4 * 1024 * 1024;
/// Values may nest this deep; the deepest row of the API has six levels.
pub const MAX_DEPTH: usize = 64;
/// Space, commas and comments that may come in a row without a row between them.
pub const MAX_BLANK_BYTES: u64 = 4 * 1024 * 1024;

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
        limit: u64,
    },
    /// A limit on time.
    #[error("{} s passed without {what}", waited.as_secs())]
    TooSlow {
        /// What did not come.
        what: &'static str,
        /// How long it was waited for.
        waited: Duration,
    },
    /// A limit on nesting.
    #[error("values nest deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// What stands around the rows cannot be read.
    #[error("what stands around the rows is not JSON: {0}")]
    Envelope(String),
    /// Nothing stood where rows should.
    #[error("the body has no member `{0}` that holds rows")]
    NoRows(String),
    /// An event stream reported an error.
    #[error("the event stream reported: {0}")]
    Reported(String),
    /// An event stream ended without its first event.
    #[error("the event stream ended without a summary")]
    NoSummary,
}

/// What stood around the rows of one response.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Envelope {
    /// `info` of a body, or the summary of an event stream; null when there was none.
    pub info: Value,
    /// The whole body without its rows; null for event streams and bare arrays.
    pub body: Value,
}

impl Envelope {
    /// The announced total, whatever the family calls it.
    pub fn total(&self) -> Option<u64> {
        let told = || ["total_rows", "total_results"].iter().find_map(|name| self.info.get(name)?.as_u64());
        told().or_else(|| self.body.get("totalCount")?.as_u64())
    }

    /// Where the next page starts: a cursor, or the last id of a page that is not the last.
    pub fn next_cursor(&self) -> Option<String> {
        let places = [&self.info, &self.body["pagination"], &self.body];
        let cursor = places.iter().find_map(|place| place.get("next_cursor")?.as_str());
        let more = self.body.get("has_more").and_then(Value::as_bool) == Some(true);
        let last = || self.body.get("last_id").and_then(Value::as_str).filter(|_| more);
        cursor.or_else(last).filter(|cursor| !cursor.is_empty()).map(str::to_owned)
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
///
/// Members that the request knows and the rows do not say are written into each row as it is collected, so that they
/// reach their columns like any other.
#[derive(Debug, Default)]
pub struct BlockBuilder {
    /// `"name":value` pairs, joined by commas: first those of the request, then what the rows are named.
    members: Vec<u8>,
    /// How many bytes of them are those of the request.
    of_request: usize,
    /// The beginning of a row whose first byte has not come yet, or whose members have not been written.
    opening: Opening,
    json: Vec<u8>,
    rows: usize,
    row_start: usize,
    total_rows: u64,
    ready: Vec<Block>,
}

/// How far the beginning of a row has been written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Opening {
    /// The members stand, or there are none.
    #[default]
    Done,
    /// The row's opening brace comes next.
    Brace,
    /// The members stand, and whether a comma must follow them is not known yet.
    Comma,
}

impl BlockBuilder {
    /// A builder that adds `members` to every row that is an object.
    pub fn with_members(members: &[(String, Value)]) -> Self {
        let pairs = members.iter().map(|(name, value)| format!("{}:{value}", Value::from(name.as_str())));
        let members = pairs.collect::<Vec<_>>().join(",").into_bytes();
        Self { of_request: members.len(), members, ..Self::default() }
    }

    /// Adds `"column":"name"` to every row that follows, in place of the name before.
    pub fn name_rows(&mut self, column: &str, name: &str) {
        self.members.truncate(self.of_request);
        if !self.members.is_empty() {
            self.members.push(b',');
        }
        self.members.extend_from_slice(format!("{}:{}", Value::from(column), Value::from(name)).as_bytes());
    }

    /// Starts a row.
    pub fn begin_row(&mut self) {
        self.json.push(if self.json.is_empty() { b'[' } else { b',' });
        self.row_start = self.json.len();
        self.opening = if self.members.is_empty() { Opening::Done } else { Opening::Brace };
    }

    /// Adds a whole row that is an object of one member, beside those of the request.
    ///
    /// # Errors
    /// [`FramingError::TooLong`] when the row passes its limit.
    pub fn push_single(&mut self, name: &str, value: &[u8]) -> Result<(), FramingError> {
        self.begin_row();
        self.push(b"{")?;
        self.push(Value::from(name).to_string().as_bytes())?;
        self.push(b":")?;
        self.push(value)?;
        self.push(b"}")?;
        self.end_row();
        Ok(())
    }

    /// Adds bytes to the row.
    ///
    /// # Errors
    /// [`FramingError::TooLong`] when the row passes its limit.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), FramingError> {
        let bytes = match self.opening {
            Opening::Done => bytes,
            Opening::Brace | Opening::Comma => self.open(bytes),
        };
        self.json.extend_from_slice(bytes);
        match self.json.len() - self.row_start <= MAX_ROW_BYTES {
            true => Ok(()),
            false => Err(FramingError::TooLong { what: "a row", limit: MAX_ROW_BYTES as u64 }),
        }
    }

    /// Writes the members behind the opening brace; returns what is left of `bytes`.
    fn open<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        if self.opening == Opening::Brace {
            match bytes.split_first() {
                Some((b'{', rest)) => {
                    self.json.push(b'{');
                    self.json.extend_from_slice(&self.members);
                    self.opening = Opening::Comma;
                    bytes = rest;
                }
                // Not an object: its decoder refuses it in words.
                Some(_) => self.opening = Opening::Done,
                None => {}
            }
        }
        let blank = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if self.opening == Opening::Comma
            && let Some(next) = bytes.get(blank)
        {
            if *next != b'}' {
                self.json.push(b',');
            }
            self.opening = Opening::Done;
        }
        bytes
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
            let json = match BLOCK_BYTES <= self.json.len() {
                true => std::mem::replace(&mut self.json, Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 8)),
                // The room stays here: many small blocks may wait at once.
                false => {
                    let json = self.json.clone();
                    self.json.clear();
                    json
                }
            };
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
