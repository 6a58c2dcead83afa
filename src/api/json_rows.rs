//! Cuts rows from the body of a JSON response as it arrives.
//!
//! Accepts a bare array of rows, and an object whose member `data` is one, since the sources disagree about which
//! lists are wrapped; where a stream says so, other members, the whole body, or texts in place of objects. Every byte is
//! looked at once: outside rows only brackets and quotes matter, so the cut is exact and needs no second guess; that a
//! row is JSON is proven by its decoder.

use serde_json::Value;

use crate::api::blocks::{
    BlockBuilder, Envelope, FramingError, MAX_BLANK_BYTES, MAX_DEPTH, MAX_ENVELOPE_BYTES, beginning,
};
use crate::model::stream::RowsAt;

/// The member that holds the rows where a stream does not name others.
const ROWS_MEMBER: &str = "data";
/// The longest name of a member that holds rows.
const NAME_BYTES: usize = 64;

/// Cuts rows from the body of a JSON response.
#[derive(Debug)]
pub struct JsonRows {
    at: RowsAt,
    state: State,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The body without its rows.
    envelope: Vec<u8>,
    /// The last string at depth one, which is the name of a member when a colon follows.
    name: Vec<u8>,
    /// Whether a value of the member `data` comes next.
    rows_next: bool,
    /// The depth inside the array of rows, once it has begun.
    rows_depth: usize,
    /// Whether the row is the only one, with no array around it.
    only_row: bool,
    /// The text of a row that is no object, so far.
    text: Vec<u8>,
    bound: bool,
    /// Whether rows stood where they should, if only none.
    found: bool,
    /// What may come between two rows.
    next: Next,
    /// Bytes between two rows, or behind the end.
    blank: u64,
    /// The total that came before the rows.
    announced: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first byte that is not space.
    Start,
    /// Outside the rows.
    Around,
    /// In the array of rows, between two.
    Between,
    /// In a row.
    Row,
    /// After the end.
    End,
}

/// What may come in the array of rows, between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// At the beginning of the array: the first row, or the end.
    RowOrEnd,
    /// Behind a row: a comma, or the end.
    CommaOrEnd,
    /// Behind a comma: a row.
    Row,
}

impl JsonRows {
    /// Cuts the rows that stand `at` a place.
    pub fn new(at: RowsAt) -> Self {
        Self {
            at,
            state: State::Start,
            depth: 0,
            in_string: false,
            escaped: false,
            envelope: Vec::new(),
            name: Vec::new(),
            rows_next: false,
            rows_depth: 0,
            only_row: false,
            text: Vec::new(),
            bound: false,
            found: false,
            next: Next::RowOrEnd,
            blank: 0,
            announced: None,
        }
    }

    /// Takes the next bytes of the body, cut anywhere.
    ///
    /// # Errors
    /// [`FramingError`]; the body is then useless.
    pub fn push(&mut self, bytes: &[u8], blocks: &mut BlockBuilder) -> Result<(), FramingError> {
        // Where the bytes begin that belong to the row, or to the envelope, and are not copied yet.
        let mut start = 0;
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            if self.in_string {
                at = self.skip_string(bytes, at);
                continue;
            }
            match (self.state, byte) {
                (State::Start, b'\n' | b'\r' | b'\t' | b' ') => {}
                (State::Start, b'[') => {
                    self.depth = 1;
                    self.begin_rows(&bytes[start..=at], blocks)?;
                    start = at + 1;
                }
                (State::Start, b'{') if self.at == RowsAt::Body => {
                    start = at;
                    self.depth = 1;
                    self.begin_only_row(blocks);
                }
                (State::Start, b'{') => {
                    self.depth = 1;
                    self.state = State::Around;
                }
                (State::Start, _) => return Err(FramingError::NotJson(beginning(&bytes[at..]))),
                (State::End, b'\n' | b'\r' | b'\t' | b' ') => self.blank += 1,
                (State::End, _) => return Err(FramingError::Trailing),
                (State::Around, b'[') if self.rows_next && self.depth == 1 => {
                    self.depth += 1;
                    self.begin_rows(&bytes[start..=at], blocks)?;
                    start = at + 1;
                }
                (State::Around, b'{') if self.rows_next && self.depth == 1 && self.at == RowsAt::Data => {
                    // One object in place of a list is a list of one; a null stands for it around.
                    self.keep(&bytes[start..at])?;
                    self.keep(b"null")?;
                    start = at;
                    self.rows_next = false;
                    self.depth = 2;
                    self.begin_only_row(blocks);
                }
                (State::Around, b':') => self.rows_next = self.depth == 1 && self.holds_rows(),
                (State::Around, b'\n' | b'\r' | b'\t' | b' ') => {}
                (State::Around, _) => {
                    self.rows_next = false;
                    self.bracket(byte)?;
                    if self.depth == 0 {
                        self.state = State::End;
                    }
                }
                (State::Between, b'\n' | b'\r' | b'\t' | b' ') => self.blank += 1,
                (State::Between, b',') if self.next == Next::CommaOrEnd => self.next = Next::Row,
                (State::Between, b']') if self.next != Next::Row => {
                    start = at;
                    self.depth -= 1;
                    self.state = if self.depth == 0 { State::End } else { State::Around };
                }
                (State::Between, b',' | b']') => return Err(no_row("a row is missing")),
                (State::Between, _) if self.next == Next::CommaOrEnd => {
                    return Err(no_row("a comma is missing between two rows"));
                }
                (State::Between, _) => {
                    start = at;
                    self.begin_row(blocks);
                    self.bracket(byte)?;
                }
                // A row that is not an object ends with the comma or the bracket behind it; its decoder will refuse it.
                (State::Row, b',' | b']') if self.depth == self.rows_depth && !self.only_row => {
                    self.add_to_row(&bytes[start..at], blocks)?;
                    self.end_row(blocks)?;
                    continue;
                }
                (State::Row, _) => {
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
        if MAX_BLANK_BYTES < self.blank {
            return Err(FramingError::TooLong { what: "the space between rows", limit: MAX_BLANK_BYTES });
        }
        match self.state {
            State::Row => self.add_to_row(&bytes[start..], blocks),
            State::Between => Ok(()),
            _ => self.keep(&bytes[start..]),
        }
    }

    /// The body is over.
    ///
    /// # Errors
    /// [`FramingError::Truncated`] when it ends in the middle, [`FramingError::Envelope`] when what stood around the
    /// rows is not JSON.
    pub fn finish(self, blocks: &mut BlockBuilder) -> Result<Envelope, FramingError> {
        if self.state != State::End {
            return Err(FramingError::Truncated);
        }
        let envelope = match self.envelope.trim_ascii().is_empty() {
            true => Envelope::default(),
            false => info_of(&self.envelope)?,
        };
        if !self.found && !self.members().any(|name| envelope.body.get(name).is_some_and(Value::is_null)) {
            return Err(FramingError::NoRows(self.members().collect::<Vec<_>>().join("`, `")));
        }
        if !self.bound
            && let Some(positions) = envelope.positions()
        {
            blocks.bind(positions);
        }
        blocks.flush();
        Ok(envelope)
    }

    /// The total, where it came before the rows.
    pub fn announced(&self) -> Option<u64> {
        self.announced
    }

    fn begin_rows(&mut self, before: &[u8], blocks: &mut BlockBuilder) -> Result<(), FramingError> {
        self.keep(before)?;
        if let (RowsAt::Members { column, .. }, true) = (&self.at, 1 < self.depth) {
            blocks.name_rows(column, &String::from_utf8_lossy(&self.name));
        }
        self.found = true;
        self.rows_next = false;
        self.rows_depth = self.depth;
        self.state = State::Between;
        self.next = Next::RowOrEnd;
        // When `info` stands before `data`, rows can be bound as they come.
        let so_far = match self.depth {
            1 => return Ok(()),
            _ => [&self.envelope[..], b"]}"].concat(),
        };
        let envelope = info_of(&so_far)?;
        self.announced = envelope.total();
        if let Some(positions) = envelope.positions() {
            blocks.bind(positions);
            self.bound = true;
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

    /// Whether the member whose name has just come holds rows.
    fn holds_rows(&self) -> bool {
        self.members().any(|name| self.name == name.as_bytes())
    }

    fn begin_only_row(&mut self, blocks: &mut BlockBuilder) {
        self.only_row = true;
        self.found = true;
        self.rows_depth = self.depth - 1;
        self.state = State::Row;
        blocks.begin_row();
    }

    fn begin_row(&mut self, blocks: &mut BlockBuilder) {
        self.state = State::Row;
        self.blank = 0;
        if !matches!(self.at, RowsAt::Texts { .. }) {
            blocks.begin_row();
        }
    }

    fn add_to_row(&mut self, bytes: &[u8], blocks: &mut BlockBuilder) -> Result<(), FramingError> {
        match &self.at {
            RowsAt::Texts { .. } => {
                self.text.extend_from_slice(bytes);
                match self.text.len() <= MAX_ENVELOPE_BYTES {
                    true => Ok(()),
                    false => Err(FramingError::TooLong { what: "a text", limit: MAX_ENVELOPE_BYTES as u64 }),
                }
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
            (false, _) => State::Between,
            (true, 0) => State::End,
            (true, _) => State::Around,
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
        match self.depth <= MAX_DEPTH {
            true => Ok(()),
            false => Err(FramingError::TooDeep),
        }
    }

    /// Goes on behind the string's closing quote, or to the end of the bytes.
    fn skip_string(&mut self, bytes: &[u8], mut at: usize) -> usize {
        if self.escaped {
            self.escaped = false;
            return at + 1;
        }
        let from = at;
        at += memchr::memchr2(b'"', b'\\', &bytes[at..]).unwrap_or(bytes.len() - at);
        if self.state == State::Around && self.depth == 1 && self.name.len() <= NAME_BYTES {
            let room = NAME_BYTES + 1 - self.name.len();
            // With the backslash, so that a name with something escaped in it is not taken for one without.
            let end = bytes.len().min(at + usize::from(bytes.get(at) == Some(&b'\\')));
            self.name.extend(bytes[from..end].iter().take(room));
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
        match self.envelope.len() <= MAX_ENVELOPE_BYTES {
            true => Ok(()),
            false => {
                Err(FramingError::TooLong { what: "what stands around the rows", limit: MAX_ENVELOPE_BYTES as u64 })
            }
        }
    }
}

/// The array of rows is no JSON.
fn no_row(what: &str) -> FramingError {
    FramingError::Envelope(what.to_owned())
}

fn info_of(envelope: &[u8]) -> Result<Envelope, FramingError> {
    let body: Value = serde_json::from_slice(envelope).map_err(|error| FramingError::Envelope(error.to_string()))?;
    Ok(Envelope { info: body.get("info").cloned().unwrap_or_default(), body })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::block::Block;

    /// The rows and the envelope of `body`, fed in pieces of `size` bytes.
    fn cut(body: &str, size: usize) -> Result<(Vec<Value>, Envelope, Vec<&'static str>), FramingError> {
        cut_at(RowsAt::Data, &[], body, size)
    }

    /// The same of rows that stand `at` a place, with `members` added to each.
    fn cut_at(
        at: RowsAt,
        members: &[(String, Value)],
        body: &str,
        size: usize,
    ) -> Result<(Vec<Value>, Envelope, Vec<&'static str>), FramingError> {
        let (mut rows, mut blocks) = (JsonRows::new(at), BlockBuilder::with_members(members));
        for piece in body.as_bytes().chunks(size) {
            rows.push(piece, &mut blocks)?;
        }
        let envelope = rows.finish(&mut blocks)?;
        let (mut found, mut order) = (Vec::new(), Vec::new());
        for block in blocks.take_ready() {
            match block {
                Block::Rows { json, rows } => {
                    let parsed: Vec<Value> = serde_json::from_slice(&json).unwrap();
                    assert_eq!(parsed.len(), rows);
                    found.extend(parsed);
                    order.push("rows");
                }
                Block::Positions(_) => order.push("positions"),
                Block::EndOfPage => order.push("end"),
            }
        }
        Ok((found, envelope, order))
    }

    const INFO: &str = r#"{"total_rows": 3, "next_cursor": "c2", "query": {"dimensions": ["a\"]}"], "metrics": []}}"#;
    const ROWS: &str = r#"[ {"data": [1, {"x": "]},\\\""}]} , {"y": "\\"},{} ]"#;

    #[test]
    fn rows_are_the_same_however_the_bytes_are_cut() {
        let expected: Vec<Value> = serde_json::from_str(ROWS).unwrap();
        let bodies = [
            ROWS.to_owned(),
            format!("{{\"data\": {ROWS}}}"),
            format!("\n{{\"info\": {INFO}, \"data\" : {ROWS} }} \n"),
            format!("{{\"data\":{ROWS},\"info\":{INFO}}}"),
            format!("{{\"other\": {{\"data\": [7]}}, \"text\": \"data\", \"data\":{ROWS}}}"),
        ];
        for body in bodies {
            for size in (1..body.len()).chain([body.len() + 1]) {
                let (rows, envelope, _) = cut(&body, size).unwrap();
                assert_eq!(rows, expected, "{body} by {size}");
                assert!(envelope.total().is_none_or(|total| total == 3));
            }
        }
    }

    #[test]
    fn names_come_before_rows_when_info_does() {
        let before = cut(&format!("{{\"info\":{INFO},\"data\":{ROWS}}}"), 7).unwrap();
        assert_eq!(before.2, ["positions", "rows"]);
        assert_eq!(before.1.next_cursor().as_deref(), Some("c2"));
        let after = cut(&format!("{{\"data\":{ROWS},\"info\":{INFO}}}"), 7).unwrap();
        assert_eq!(after.2, ["rows", "positions"]);
    }

    /// The rows that `body` has at a place, however it is cut; each is told its `id`.
    fn rows_at(at: &RowsAt, body: &str) -> Vec<Value> {
        let members = [("id".to_owned(), json!("x\"y"))];
        let whole = cut_at(at.clone(), &members, body, body.len() + 1).unwrap().0;
        for size in 1..body.len() {
            assert_eq!(cut_at(at.clone(), &members, body, size).unwrap().0, whole, "{body} by {size}");
        }
        whole
    }

    #[test]
    fn rows_are_found_wherever_a_stream_says_they_stand() {
        let id = "x\"y";
        let body = RowsAt::Body;
        assert_eq!(
            rows_at(&body, r#" { "a": {"b": [1]}, "data": [2] } "#),
            [json!({"id": id, "a": {"b": [1]}, "data": [2]})]
        );
        assert_eq!(rows_at(&body, "{ }"), [json!({"id": id})]);
        let data = RowsAt::Data;
        assert_eq!(rows_at(&data, r#"{"info": {}, "data" : { "a": "}" }, "b": [3]}"#), [json!({"id": id, "a": "}"})]);
        assert_eq!(
            rows_at(&data, r#"[{},{ },{"c":1}]"#),
            [json!({"id": id}), json!({"id": id}), json!({"id": id, "c": 1})]
        );
        let names = ["platform", "prompt"].map(str::to_owned).to_vec();
        let members = RowsAt::Members { names, column: "part".into() };
        assert_eq!(
            rows_at(&members, r#"{"platform": [{"a": 1}, {}], "other": [{}], "prompt": [{"b": "platform"}]}"#),
            [
                json!({"id": id, "part": "platform", "a": 1}),
                json!({"id": id, "part": "platform"}),
                json!({"id": id, "part": "prompt", "b": "platform"}),
            ]
        );
        let texts = RowsAt::Texts { column: "topic".into() };
        for body in [r#"[ "a,]" , "b" ]"#, r#"{"data":["a,]","b"]}"#] {
            assert_eq!(rows_at(&texts, body), [json!({"id": id, "topic": "a,]"}), json!({"id": id, "topic": "b"})]);
        }
        assert!(rows_at(&texts, "[]").is_empty());
    }

    #[test]
    fn member_is_not_mistaken_for_the_rows_when_its_name_has_something_escaped() {
        for size in 1..30 {
            let (rows, ..) = cut(r#"{"data\"": [1], "\ndata": [2], "data": [{}]}"#, size).unwrap();
            assert_eq!(rows, [json!({})], "{size}");
        }
    }

    #[test]
    fn rows_that_no_comma_or_more_than_one_stands_between_are_no_json() {
        for body in ["[{}{}]", "[{},,{}]", "[,{}]", "[{},]", "[,]", r#"{"data":[{} {}]}"#, r#"{"data":[{}],"b":[,]}"#] {
            for size in 1..=body.len() {
                assert!(matches!(cut(body, size), Err(FramingError::Envelope(_))), "{body} by {size}");
            }
        }
    }

    #[test]
    fn body_without_its_rows_is_refused_by_name() {
        let refused = cut(r#"{"detail": "maintenance", "rows": []}"#, 9).unwrap_err();
        assert_eq!(refused, FramingError::NoRows("data".into()));
    }

    #[test]
    fn end_of_a_walk_is_told_by_whatever_the_family_has() {
        let envelope = |body: &str| cut(body, 5).unwrap().1;
        assert_eq!(envelope(r#"{"data": [], "totalCount": 7}"#).total(), Some(7));
        let documents = envelope(r#"{"data": [], "pagination": {"next_cursor": "p2"}}"#);
        assert_eq!(documents.next_cursor().as_deref(), Some("p2"));
        let more = envelope(r#"{"data": [{}], "has_more": true, "last_id": "i9"}"#);
        assert_eq!(more.next_cursor().as_deref(), Some("i9"));
        let last = envelope(r#"{"data": [{}], "has_more": false, "last_id": "i9"}"#);
        assert_eq!(last.next_cursor(), None);
    }

    #[test]
    fn empty_lists_have_no_rows() {
        for body in ["[]", r#"{"data": []}"#, r#"{"data":null,"info":{}}"#] {
            assert!(cut(body, 1).unwrap().0.is_empty(), "{body}");
        }
    }

    #[test]
    fn body_that_is_cut_anywhere_is_truncated() {
        let body = format!("{{\"info\":{INFO},\"data\":{ROWS}}}");
        for end in 0..body.len() {
            assert_eq!(cut(&body[..end], 5).unwrap_err(), FramingError::Truncated, "{end}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused_at_once() {
        assert_eq!(cut("<html> <p>502</p>", 99).unwrap_err(), FramingError::NotJson("<html> <p>502</p>".into()));
        assert_eq!(cut("[] []", 1).unwrap_err(), FramingError::Trailing);
        assert_eq!(cut(&"[".repeat(MAX_DEPTH + 1), 8).unwrap_err(), FramingError::TooDeep);
        let long = format!("{{\"x\":\"{}\"}}", "y".repeat(MAX_ENVELOPE_BYTES));
        assert!(matches!(cut(&long, 65_536).unwrap_err(), FramingError::TooLong { .. }));
    }
}
