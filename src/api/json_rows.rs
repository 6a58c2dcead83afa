//! Cuts rows from the body of a JSON response as it arrives.
//!
//! Accepts a bare array of rows, and an object whose member `data` is one, since the vendor's documents disagree about which lists
//! are wrapped. If a stream says so, rows are other members, the whole body, or texts in place of objects.
//!
//! Each byte is read once. Outside rows only brackets and quotes matter, so the cut is exact; whether a row is JSON is left to its
//! decoder.

use serde_json::Value;

use crate::api::blocks::{
    BlockBuilder, FramingError, MAX_BLANK_BYTES, MAX_DEPTH, MAX_ENVELOPE_BYTES, ResponseEnvelope, beginning,
};
use crate::api::surrogates::replace_half_surrogates;
use crate::model::stream::RowsAt;

/// The member that holds the rows, unless a stream names others.
const ROWS_MEMBER: &str = "data";
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// The longest name of a member that holds rows.
const NAME_BYTES: usize = 64;

/// Cuts rows from the body of a JSON response.
#[derive(Debug, Default)]
pub struct JsonRows {
    at: RowsAt,
    state: BodyState,
    /// Bytes of a byte order mark, which some proxies add.
    mark: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The body without its rows.
    envelope: Vec<u8>,
    /// The last string at depth one: the name of a member if a colon follows.
    name: Vec<u8>,
    /// The value of a member that holds rows comes next.
    rows_next: bool,
    /// The depth inside the array of rows, once it has started.
    rows_depth: usize,
    /// The row is the only one, without an array around it.
    only_row: bool,
    /// The part of a text row that has arrived.
    text: Vec<u8>,
    has_positions: bool,
    /// The body has a place for rows, even if it is empty.
    has_rows_member: bool,
    /// The rows are one object without an array around it.
    is_single: bool,
    /// What may follow between two rows.
    next: Next,
    /// Bytes between two rows, or after the end.
    blank: u64,
    /// The total, if it came before the rows.
    announced: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum BodyState {
    /// Before the first byte other than space.
    #[default]
    Start,
    /// Outside the rows.
    Around,
    /// In the array of rows, between two rows.
    Between,
    /// In a row.
    Row,
    /// After the end.
    End,
}

/// What may follow in the array of rows, between two rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Next {
    /// At the start of the array: the first row, or the end.
    #[default]
    RowOrEnd,
    /// After a row: a comma, or the end.
    CommaOrEnd,
    /// After a comma: a row.
    Row,
}

impl JsonRows {
    pub fn new(at: RowsAt) -> Self {
        Self { at, ..Self::default() }
    }

    /// Processes the next bytes of the body, cut anywhere.
    ///
    /// # Errors
    /// [`FramingError`], after which the body must be discarded.
    pub fn push(&mut self, bytes: &[u8], blocks: &mut BlockBuilder) -> Result<(), FramingError> {
        // The first byte of the row or envelope that is not copied yet.
        let mut start = 0;
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            if self.in_string {
                at = self.skip_string(bytes, at);
                continue;
            }
            match (self.state, byte) {
                (BodyState::Start, b'\n' | b'\r' | b'\t' | b' ') => {}
                (BodyState::Start, _) if BYTE_ORDER_MARK.get(self.mark) == Some(&byte) => {
                    self.mark += 1;
                    start = at + 1;
                }
                (BodyState::Start, b'[') => {
                    self.depth = 1;
                    self.begin_rows(&bytes[start..=at], blocks)?;
                    start = at + 1;
                }
                (BodyState::Start, b'{') if self.at == RowsAt::Body => {
                    start = at;
                    self.depth = 1;
                    self.begin_only_row(blocks);
                }
                (BodyState::Start, b'{') => {
                    self.depth = 1;
                    self.state = BodyState::Around;
                }
                (BodyState::Start, _) => return Err(FramingError::NotJson(beginning(&bytes[at..]))),
                (BodyState::End, b'\n' | b'\r' | b'\t' | b' ') => self.blank += 1,
                (BodyState::End, _) => return Err(FramingError::Trailing),
                (BodyState::Around, b'[') if self.rows_next && self.depth == 1 => {
                    self.depth += 1;
                    self.begin_rows(&bytes[start..=at], blocks)?;
                    start = at + 1;
                }
                (BodyState::Around, b'{') if self.rows_next && self.depth == 1 && self.at == RowsAt::Data => {
                    // One object in place of a list is a list of one. The envelope keeps a null in its place.
                    self.keep(&bytes[start..at])?;
                    self.keep(b"null")?;
                    start = at;
                    self.rows_next = false;
                    self.depth = 2;
                    self.begin_only_row(blocks);
                }
                (BodyState::Around, b':') => self.rows_next = self.depth == 1 && self.holds_rows(),
                (BodyState::Around, b'\n' | b'\r' | b'\t' | b' ') => {}
                (BodyState::Around, _) => {
                    self.rows_next = false;
                    self.bracket(byte)?;
                    if self.depth == 0 {
                        self.state = BodyState::End;
                    }
                }
                (BodyState::Between, b'\n' | b'\r' | b'\t' | b' ') => self.blank += 1,
                (BodyState::Between, b',') if self.next == Next::CommaOrEnd => self.next = Next::Row,
                (BodyState::Between, b']') if self.next != Next::Row => {
                    start = at;
                    self.depth -= 1;
                    self.state = if self.depth == 0 { BodyState::End } else { BodyState::Around };
                }
                (BodyState::Between, b',' | b']') => return Err(invalid_array("a row is missing")),
                (BodyState::Between, _) if self.next == Next::CommaOrEnd => {
                    return Err(invalid_array("a comma is missing between two rows"));
                }
                (BodyState::Between, _) => {
                    start = at;
                    self.begin_row(blocks);
                    self.bracket(byte)?;
                }
                // A row that is not an object ends before the next comma or bracket. Its decoder rejects it.
                (BodyState::Row, b',' | b']') if self.depth == self.rows_depth && !self.only_row => {
                    self.add_to_row(&bytes[start..at], blocks)?;
                    self.end_row(blocks)?;
                    continue;
                }
                (BodyState::Row, _) => {
                    self.bracket(byte)?;
                    if self.depth == self.rows_depth && matches!(byte, b'}' | b']') {
                        self.add_to_row(&bytes[start..=at], blocks)?;
                        self.end_row(blocks)?;
                        start = at + 1;
                    }
                }
            }
            at += 1;
        }
        if self.blank > MAX_BLANK_BYTES {
            return Err(FramingError::TooLong { what: "the space between rows", limit: MAX_BLANK_BYTES });
        }
        match self.state {
            BodyState::Row => self.add_to_row(&bytes[start..], blocks),
            BodyState::Between => Ok(()),
            _ => self.keep(&bytes[start..]),
        }
    }

    /// Call it at the end of the body.
    ///
    /// # Errors
    /// [`FramingError::Truncated`], [`FramingError::NoRows`], or [`FramingError::Envelope`] if the body around the rows is not JSON.
    pub fn finish(self, blocks: &mut BlockBuilder) -> Result<ResponseEnvelope, FramingError> {
        if self.state != BodyState::End {
            return Err(FramingError::Truncated);
        }
        let mut envelope = if self.envelope.trim_ascii().is_empty() {
            ResponseEnvelope::default()
        } else {
            parse_envelope(&self.envelope)?
        };
        envelope.is_single = self.is_single;
        // Rows next to an error are a part of the result. A `message` alone may be a remark about all of it.
        let names: &[&str] =
            if blocks.total_rows() == 0 { &["error", "errors", "detail", "message"] } else { &["error", "errors"] };
        if let Some(error) = reported_error(&envelope.body, names) {
            return Err(FramingError::Reported(error));
        }
        // Null in the place of rows proves that there are none only if the total says so, too.
        let is_null = self.members().any(|name| envelope.body.get(name).is_some_and(Value::is_null));
        let is_empty = is_null && envelope.total() == Some(0);
        if !self.has_rows_member && !is_empty {
            return Err(FramingError::NoRows(self.members().collect::<Vec<_>>().join("`, `")));
        }
        if !self.has_positions
            && let Some(positions) = envelope.positions()
        {
            blocks.bind(positions);
        }
        blocks.flush();
        Ok(envelope)
    }

    /// The total, if it came before the rows.
    pub fn announced(&self) -> Option<u64> {
        self.announced
    }

    fn begin_rows(&mut self, before: &[u8], blocks: &mut BlockBuilder) -> Result<(), FramingError> {
        self.keep(before)?;
        if let (RowsAt::Members { column, .. }, true) = (&self.at, self.depth > 1) {
            blocks.name_rows(column, &String::from_utf8_lossy(&self.name));
        }
        self.has_rows_member = true;
        self.rows_next = false;
        self.rows_depth = self.depth;
        self.state = BodyState::Between;
        self.next = Next::RowOrEnd;
        if self.depth == 1 {
            return Ok(());
        }
        // If `info` comes before `data`, rows can be bound as they arrive.
        let envelope = parse_envelope(&[&self.envelope[..], b"]}"].concat())?;
        self.announced = envelope.total();
        if let Some(positions) = envelope.positions() {
            blocks.bind(positions);
            self.has_positions = true;
        }
        Ok(())
    }

    /// The members that may hold rows.
    fn members(&self) -> impl Iterator<Item = &str> {
        let (usual, named): (Option<&str>, &[String]) = match &self.at {
            RowsAt::Data | RowsAt::Texts { .. } => (Some(ROWS_MEMBER), &[]),
            RowsAt::Members { names, .. } => (None, names),
            RowsAt::Body => (None, &[]),
        };
        usual.into_iter().chain(named.iter().map(String::as_str))
    }

    /// Whether the member whose name just ended holds rows.
    fn holds_rows(&self) -> bool {
        self.members().any(|name| self.name == name.as_bytes())
    }

    fn begin_only_row(&mut self, blocks: &mut BlockBuilder) {
        self.only_row = true;
        self.is_single = true;
        self.has_rows_member = true;
        self.rows_depth = self.depth - 1;
        self.state = BodyState::Row;
        blocks.begin_row();
    }

    fn begin_row(&mut self, blocks: &mut BlockBuilder) {
        self.state = BodyState::Row;
        self.blank = 0;
        if !matches!(self.at, RowsAt::Texts { .. }) {
            blocks.begin_row();
        }
    }

    fn add_to_row(&mut self, bytes: &[u8], blocks: &mut BlockBuilder) -> Result<(), FramingError> {
        match &self.at {
            RowsAt::Texts { .. } => {
                self.text.extend_from_slice(bytes);
                if self.text.len() > MAX_ENVELOPE_BYTES {
                    return Err(FramingError::TooLong { what: "a text", limit: MAX_ENVELOPE_BYTES as u64 });
                }
                Ok(())
            }
            RowsAt::Data | RowsAt::Body | RowsAt::Members { .. } => blocks.push(bytes),
        }
    }

    fn end_row(&mut self, blocks: &mut BlockBuilder) -> Result<(), FramingError> {
        self.next = Next::CommaOrEnd;
        match &self.at {
            RowsAt::Texts { column } => {
                blocks.push_single(column, self.text.trim_ascii())?;
                self.text.clear();
            }
            _ => blocks.end_row(),
        }
        self.state = match (std::mem::take(&mut self.only_row), self.depth) {
            (false, _) => BodyState::Between,
            (true, 0) => BodyState::End,
            (true, _) => BodyState::Around,
        };
        Ok(())
    }

    fn bracket(&mut self, byte: u8) -> Result<(), FramingError> {
        match byte {
            b'"' => {
                self.in_string = true;
                self.name.clear();
            }
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        if self.depth > MAX_DEPTH {
            return Err(FramingError::TooDeep);
        }
        Ok(())
    }

    /// Returns the position after the closing quote, or the end of the bytes.
    fn skip_string(&mut self, bytes: &[u8], mut at: usize) -> usize {
        if self.escaped {
            self.escaped = false;
            return at + 1;
        }
        let from = at;
        at += memchr::memchr2(b'"', b'\\', &bytes[at..]).unwrap_or(bytes.len() - at);
        if self.state == BodyState::Around && self.depth == 1 && self.name.len() <= NAME_BYTES {
            let free = NAME_BYTES + 1 - self.name.len();
            // The backslash is kept, so that an escaped name is not mistaken for a plain one.
            let end = bytes.len().min(at + usize::from(bytes.get(at) == Some(&b'\\')));
            self.name.extend(bytes[from..end].iter().take(free));
        }
        match bytes.get(at) {
            None => at,
            Some(b'\\') => {
                self.escaped = true;
                at + 1
            }
            Some(_) => {
                self.in_string = false;
                at + 1
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), FramingError> {
        self.envelope.extend_from_slice(bytes);
        if self.envelope.len() > MAX_ENVELOPE_BYTES {
            return Err(FramingError::TooLong { what: "the body around the rows", limit: MAX_ENVELOPE_BYTES as u64 });
        }
        Ok(())
    }
}

fn invalid_array(problem: &str) -> FramingError {
    FramingError::Envelope(problem.to_owned())
}

/// The error in a body with status 200, under one of `names`.
fn reported_error(body: &Value, names: &[&str]) -> Option<String> {
    names.iter().filter_map(|name| body.get(name)).find_map(|error| match error {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) => (!text.is_empty()).then(|| text.clone()),
        Value::Array(problems) if problems.is_empty() => None,
        other => Some(other.to_string()),
    })
}

fn parse_envelope(envelope: &[u8]) -> Result<ResponseEnvelope, FramingError> {
    let mut envelope = envelope.to_vec();
    replace_half_surrogates(&mut envelope);
    let body: Value = serde_json::from_slice(&envelope).map_err(|error| FramingError::Envelope(error.to_string()))?;
    Ok(ResponseEnvelope { info: body.get("info").cloned().unwrap_or_default(), body, ..ResponseEnvelope::default() })
}

#[cfg(test)]
mod tests;
