//! Collects whole rows into blocks, and keeps the body around them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::api::surrogates::replace_half_surrogates;
use crate::error_text::escape_controls;
use crate::model::block::{Block, Positions};

/// A block is passed on when it reaches this size.
const BLOCK_BYTES: usize = 1024 * 1024;
/// The longest row. The longest `answers` seen are far below.
pub const MAX_ROW_BYTES: usize = 32 * 1024 * 1024;
/// The longest body around the rows.
pub const MAX_ENVELOPE_BYTES: usize = 4 * 1024 * 1024;
/// The deepest nesting of values. The deepest row of the API has six levels.
pub const MAX_DEPTH: usize = 64;
/// The longest run of space, commas and comments without a row.
pub const MAX_BLANK_BYTES: u64 = 4 * 1024 * 1024;

/// Why the bytes of a response do not frame rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// Not JSON, such as the HTML page of a proxy.
    #[error("not JSON: it begins with `{0}`")]
    NotJson(String),
    #[error("the body is truncated")]
    Truncated,
    #[error("data after the end of the JSON")]
    Trailing,
    #[error("{what} is longer than {limit} bytes")]
    TooLong { what: &'static str, limit: u64 },
    #[error("{} s passed without {what}", waited.as_secs())]
    TooSlow { what: &'static str, waited: Duration },
    #[error("values nest deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("the body around the rows is not JSON: {0}")]
    Envelope(String),
    #[error("the body has no member `{0}` with rows")]
    NoRows(String),
    #[error("the response reports an error: {0}")]
    Reported(String),
    #[error("it ended without a summary")]
    NoSummary,
    #[error("it announced {first} rows and later {later}")]
    Contradiction { first: u64, later: u64 },
    /// Its data may be rows, an error or nothing that matters.
    #[error("an event `{event}` has data of an unknown meaning: {data}")]
    UnknownEvent { event: String, data: String },
}

/// The body of one response around its rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResponseEnvelope {
    /// `info` of a body, or the summary of an event stream; null when there was none.
    pub info: Value,
    /// The whole body without its rows; null for event streams and bare arrays.
    pub body: Value,
    /// Headers that announce something about the rows.
    pub headers: Map<String, Value>,
    /// Half surrogates that were replaced in the rows.
    pub replaced: u64,
    /// The only row is an object in place of a list, so the total counts something else.
    pub is_single: bool,
}

impl FramingError {
    /// Whether an event stream arrived as it was sent, but in a form that this version does not know.
    pub fn is_unknown_form(&self) -> bool {
        matches!(self, Self::NoSummary | Self::Contradiction { .. } | Self::UnknownEvent { .. })
    }
}

impl ResponseEnvelope {
    /// The announced total of rows or entities, under the name that the family uses.
    pub fn total(&self) -> Option<u64> {
        if self.is_single { None } else { self.documented_total()?.as_u64() }
    }

    /// The total under one of the names that the vendor documents.
    pub(super) fn documented_total(&self) -> Option<&Value> {
        let of_info = ["total_rows", "total_results"].iter().filter_map(|name| self.info.get(name));
        of_info.chain(self.body.get("totalCount")).find(|total| total.is_u64())
    }

    /// Where the next page starts: a cursor, or the last id of a page with `has_more`.
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
/// Members that the request determines and that rows lack are written into each row as it is collected, so that they reach their
/// columns like any other.
#[derive(Debug, Default)]
pub struct BlockBuilder {
    /// `"name":value` pairs, joined by commas: first those of the request, then the name of the rows.
    members: Vec<u8>,
    /// Length of the pairs of the request.
    request_members_len: usize,
    row_start_state: RowStart,
    json: Vec<u8>,
    rows: usize,
    row_start: usize,
    total_rows: u64,
    /// Half surrogates that were replaced.
    replaced: u64,
    ready: Vec<Block>,
}

/// How far the start of a row has been written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum RowStart {
    /// The members are written, or there are none.
    #[default]
    Done,
    /// The opening brace of the row comes next.
    Brace,
    /// The members are written, and the next byte decides whether a comma follows them.
    Comma,
}

impl BlockBuilder {
    /// A builder that adds `members` to every row that is an object.
    pub fn with_members(members: &[(String, Value)]) -> Self {
        let pairs = members.iter().map(|(name, value)| format!("{}:{value}", Value::from(name.as_str())));
        let members = pairs.collect::<Vec<_>>().join(",").into_bytes();
        Self { request_members_len: members.len(), members, ..Self::default() }
    }

    /// Adds `"column":"name"` to every following row, in place of an earlier name.
    pub fn name_rows(&mut self, column: &str, name: &str) {
        self.members.truncate(self.request_members_len);
        if !self.members.is_empty() {
            self.members.push(b',');
        }
        self.members.extend_from_slice(format!("{}:{}", Value::from(column), Value::from(name)).as_bytes());
    }

    pub fn begin_row(&mut self) {
        self.json.push(if self.json.is_empty() { b'[' } else { b',' });
        self.row_start = self.json.len();
        self.row_start_state = if self.members.is_empty() { RowStart::Done } else { RowStart::Brace };
    }

    /// Adds a whole row: an object of one member, and those of the request.
    ///
    /// # Errors
    /// [`FramingError::TooLong`] if the row exceeds its limit.
    pub fn push_single(&mut self, name: &str, value: &[u8]) -> Result<(), FramingError> {
        self.begin_row();
        self.push(&[b"{", Value::from(name).to_string().as_bytes(), b":", value, b"}"].concat())?;
        self.end_row();
        Ok(())
    }

    /// Adds bytes to the current row.
    ///
    /// # Errors
    /// [`FramingError::TooLong`] if the row exceeds its limit.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), FramingError> {
        let bytes = match self.row_start_state {
            RowStart::Done => bytes,
            RowStart::Brace | RowStart::Comma => self.write_members(bytes),
        };
        self.json.extend_from_slice(bytes);
        if self.json.len() - self.row_start > MAX_ROW_BYTES {
            return Err(FramingError::TooLong { what: "a row", limit: MAX_ROW_BYTES as u64 });
        }
        Ok(())
    }

    /// Writes the members after the opening brace. Returns the rest of `bytes`.
    fn write_members<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        if self.row_start_state == RowStart::Brace {
            match bytes.split_first() {
                Some((b'{', rest)) => {
                    self.json.push(b'{');
                    self.json.extend_from_slice(&self.members);
                    self.row_start_state = RowStart::Comma;
                    bytes = rest;
                }
                // Not an object: the decoder rejects it with a message.
                Some(_) => self.row_start_state = RowStart::Done,
                None => {}
            }
        }
        let blank = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if self.row_start_state == RowStart::Comma
            && let Some(next) = bytes.get(blank)
        {
            if *next != b'}' {
                self.json.push(b',');
            }
            self.row_start_state = RowStart::Done;
        }
        bytes
    }

    pub fn end_row(&mut self) {
        self.rows += 1;
        self.total_rows += 1;
        if self.json.len() >= BLOCK_BYTES {
            self.flush();
        }
    }

    /// Passes on the rows collected so far.
    pub fn flush(&mut self) {
        if self.rows > 0 {
            self.json.push(b']');
            self.replaced += replace_half_surrogates(&mut self.json);
            let json = if self.json.len() >= BLOCK_BYTES {
                std::mem::replace(&mut self.json, Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 8))
            } else {
                // A copy without spare capacity: many small blocks may wait at once.
                let json = self.json.clone();
                self.json.clear();
                json
            };
            self.ready.push(Block::Rows { json, rows: std::mem::take(&mut self.rows) });
        }
    }

    /// Passes on the names that bind the following rows, or the previous ones if those came first.
    pub fn bind(&mut self, positions: Positions) {
        self.flush();
        self.ready.push(Block::Positions(Arc::new(positions)));
    }

    /// Rows of the response so far.
    pub fn total_rows(&self) -> u64 {
        self.total_rows
    }

    /// Half surrogates that were replaced by U+FFFD.
    pub fn replaced(&self) -> u64 {
        self.replaced
    }

    /// The blocks that are ready, in order.
    pub fn take_ready(&mut self) -> Vec<Block> {
        std::mem::take(&mut self.ready)
    }
}

/// The first characters of a body, for a message.
pub fn beginning(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]);
    escape_controls(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}
