//! Cuts rows from a stream of server-sent events as it arrives.
//!
//! The grammar is that of the HTML standard, section "Server-sent events". The API documents no terminal event, so an
//! end is believed only together with a clean end of the body, and with the announced total where there is one.

use serde_json::Value;

use crate::api::blocks::{
    BlockBuilder, Envelope, FramingError, MAX_BLANK_BYTES, MAX_DEPTH, MAX_ENVELOPE_BYTES, MAX_ROW_BYTES, beginning,
};

/// Cuts rows from a stream of server-sent events.
#[derive(Debug, Default)]
pub struct EventRows {
    /// The part of a line that has come so far.
    line: Vec<u8>,
    /// Whether the last byte was a carriage return, so that a line feed belongs to it.
    after_return: bool,
    started: bool,
    event: String,
    data: Vec<u8>,
    has_data: bool,
    summary: Option<Value>,
    /// The total that the summary announced.
    announced: Option<u64>,
    /// Bytes of lines since the last row: comments, and events that nobody knows.
    blank: u64,
}

impl EventRows {
    /// Takes the next bytes of the body, cut anywhere.
    ///
    /// # Errors
    /// [`FramingError`]; the stream is then useless.
    pub fn push(&mut self, mut bytes: &[u8], blocks: &mut BlockBuilder) -> Result<(), FramingError> {
        while let Some((end, terminator)) = next_line(bytes) {
            let (part, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if std::mem::take(&mut self.after_return) && terminator == b'\n' && part.is_empty() {
                continue;
            }
            self.after_return = terminator == b'\r';
            if self.line.is_empty() {
                self.take_line(part, blocks)?;
            } else {
                self.line.extend_from_slice(part);
                let line = std::mem::take(&mut self.line);
                self.take_line(&line, blocks)?;
                // The buffer is kept for the next line that comes in parts.
                self.line = line;
                self.line.clear();
            }
        }
        if !bytes.is_empty() {
            self.after_return = false;
            self.line.extend_from_slice(bytes);
        }
        match self.line.len() <= MAX_ROW_BYTES {
            true => Ok(()),
            false => Err(FramingError::TooLong { what: "a line", limit: MAX_ROW_BYTES as u64 }),
        }
    }

    /// The total, once it was announced.
    pub fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// The body is over.
    ///
    /// # Errors
    /// [`FramingError::Truncated`] when it ends inside an event, [`FramingError::NoSummary`] when none came.
    pub fn finish(mut self, blocks: &mut BlockBuilder) -> Result<Envelope, FramingError> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.take_line(&line, blocks)?;
        }
        if self.has_data {
            // The blank line behind the last event may be missing; half a row may not.
            let whole = serde_json::from_slice::<serde::de::IgnoredAny>(&self.data).is_ok();
            if !whole && self.data != b"[DONE]" {
                return Err(FramingError::Truncated);
            }
            self.dispatch(blocks)?;
        }
        blocks.flush();
        match self.summary {
            Some(info) => Ok(Envelope { info, body: Value::Null }),
            None => Err(FramingError::NoSummary),
        }
    }

    fn take_line(&mut self, line: &[u8], blocks: &mut BlockBuilder) -> Result<(), FramingError> {
        let line = match self.started {
            true => line,
            false => {
                self.started = true;
                let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
                if matches!(line.first(), Some(b'<' | b'{' | b'[')) {
                    return Err(FramingError::NotJson(beginning(line)));
                }
                line
            }
        };
        self.blank += line.len() as u64 + 1;
        if line.is_empty() {
            self.dispatch(blocks)?;
        } else {
            self.take_field(line)?;
        }
        // A row, or the part of one that has come, may be longer.
        match !self.has_data && MAX_BLANK_BYTES < self.blank {
            true => Err(FramingError::TooLong { what: "what stands between rows", limit: MAX_BLANK_BYTES }),
            false => Ok(()),
        }
    }

    fn take_field(&mut self, line: &[u8]) -> Result<(), FramingError> {
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], line[colon + 1..].strip_prefix(b" ").unwrap_or(&line[colon + 1..])),
            None => (line, &b""[..]),
        };
        match field {
            b"event" => self.event = String::from_utf8_lossy(value).into_owned(),
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
                if MAX_ROW_BYTES < self.data.len() {
                    return Err(FramingError::TooLong { what: "an event", limit: MAX_ROW_BYTES as u64 });
                }
            }
            // Comments, `id`, `retry` and whatever else may come.
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self, blocks: &mut BlockBuilder) -> Result<(), FramingError> {
        let has_data = std::mem::take(&mut self.has_data);
        let result = match has_data && !self.data.is_empty() {
            true => self.take_event(blocks),
            false => Ok(()),
        };
        self.event.clear();
        self.data.clear();
        result
    }

    fn take_event(&mut self, blocks: &mut BlockBuilder) -> Result<(), FramingError> {
        if let Some(reported) = only_detail(&self.data) {
            return Err(FramingError::Reported(reported));
        }
        match self.event.as_str() {
            "result" | "row" => {
                // Whoever decodes it recurses.
                if is_too_deep(&self.data) {
                    return Err(FramingError::TooDeep);
                }
                blocks.begin_row();
                blocks.push(&self.data)?;
                blocks.end_row();
                self.blank = 0;
            }
            "summary" => {
                if MAX_ENVELOPE_BYTES < self.data.len() {
                    return Err(FramingError::TooLong { what: "the summary", limit: MAX_ENVELOPE_BYTES as u64 });
                }
                let info: Value =
                    serde_json::from_slice(&self.data).map_err(|error| FramingError::Envelope(error.to_string()))?;
                let envelope = Envelope { info, body: Value::Null };
                self.announced = envelope.total();
                if let Some(positions) = envelope.positions() {
                    blocks.bind(positions);
                }
                self.summary = Some(envelope.info);
            }
            "error" => return Err(FramingError::Reported(beginning(&self.data))),
            _ => {}
        }
        Ok(())
    }
}

/// Whether values nest deeper than [`MAX_DEPTH`]. Few rows have as many brackets at all, so few are looked through.
fn is_too_deep(data: &[u8]) -> bool {
    if memchr::memchr2_iter(b'[', b'{', data).nth(MAX_DEPTH).is_none() {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in data {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => depth += 1,
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if MAX_DEPTH < depth {
            return true;
        }
    }
    false
}

/// Where the next line ends, and with which byte.
fn next_line(bytes: &[u8]) -> Option<(usize, u8)> {
    memchr::memchr2(b'\n', b'\r', bytes).map(|end| (end, bytes[end]))
}

/// The error in an event whose data holds nothing but `detail`.
fn only_detail(data: &[u8]) -> Option<String> {
    // Rows never begin so; parsing each to find out would cost as much as decoding it.
    let start = data.iter().position(|byte| !byte.is_ascii_whitespace() && *byte != b'{')?;
    if !data[start..].starts_with(b"\"detail\"") {
        return None;
    }
    let object: serde_json::Map<String, Value> = serde_json::from_slice(data).ok()?;
    let detail = object.get("detail")?;
    (object.len() == 1).then(|| detail.as_str().map_or_else(|| detail.to_string(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nests_too_deep_is_too_deep() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(!is_too_deep(nested(MAX_DEPTH).as_bytes()));
        assert!(is_too_deep(nested(MAX_DEPTH + 1).as_bytes()));
        assert!(!is_too_deep(format!("[{}0]", "[],".repeat(1000)).as_bytes()));
        assert!(!is_too_deep(format!(r#"{{"text": "\"{}"}}"#, "[".repeat(1000)).as_bytes()));
    }
    use crate::model::block::Block;

    fn cut(body: &str, size: usize) -> Result<(Vec<Value>, Envelope), FramingError> {
        let (mut events, mut blocks) = (EventRows::default(), BlockBuilder::default());
        for piece in body.as_bytes().chunks(size) {
            events.push(piece, &mut blocks)?;
        }
        let envelope = events.finish(&mut blocks)?;
        let mut rows = Vec::new();
        for block in blocks.take_ready() {
            if let Block::Rows { json, .. } = block {
                rows.extend(serde_json::from_slice::<Vec<Value>>(&json).unwrap());
            }
        }
        Ok((rows, envelope))
    }

    const STREAM: &str = concat!(
        ": comment\nretry: 3000\n\nid: 1\nevent: summary\ndata: {\"total_results\": 2}\n\n",
        "event: result\ndata: {\"a\":\ndata:  1}\n\nevent: heartbeat\ndata: \n\nevent:row\ndata:{\"a\":\"x: y\"}\n\n",
        "event: news\ndata: {\"b\": 2}\n\nevent: done\ndata: [DONE]\n\n",
    );

    #[test]
    fn rows_are_the_same_however_the_bytes_are_cut_and_lines_end() {
        let expected = [serde_json::json!({"a": 1}), serde_json::json!({"a": "x: y"})];
        for body in
            [STREAM.to_owned(), STREAM.replace('\n', "\r\n"), STREAM.replace('\n', "\r"), format!("\u{feff}{STREAM}")]
        {
            for size in 1..=body.len() {
                let (rows, envelope) = cut(&body, size).unwrap();
                assert_eq!(rows, expected, "{size}");
                assert_eq!(envelope.total(), Some(2));
            }
        }
    }

    #[test]
    fn blocks_that_summaries_cut_short_take_little_more_room_than_they_hold() {
        let body = "event: summary\ndata: {\"query\":{\"dimensions\":[],\"metrics\":[]}}\n\nevent: row\ndata: {}\n\n"
            .repeat(100);
        let (mut events, mut blocks) = (EventRows::default(), BlockBuilder::default());
        events.push(body.as_bytes(), &mut blocks).unwrap();
        events.finish(&mut blocks).unwrap();
        let room = blocks.take_ready().into_iter().map(|block| match block {
            Block::Rows { json, .. } => json.capacity(),
            _ => 0,
        });
        assert!(room.sum::<usize>() <= 2 * body.len());
    }

    #[test]
    fn errors_in_the_stream_end_it() {
        let summary = "event: summary\ndata: {}\n\n";
        for event in
            ["event: error\ndata: {\"detail\":\"query failed\"}\n\n", "data: {\"detail\": \"query failed\"}\n\n"]
        {
            let refused = cut(&format!("{summary}{event}"), 9).unwrap_err();
            assert_eq!(refused, FramingError::Reported("query failed".into()), "{event}");
        }
        let kept = cut(&format!("{summary}event: row\ndata: {{\"detail\":\"x\",\"a\":1}}\n\n"), 9).unwrap();
        assert_eq!(kept.0.len(), 1);
    }

    #[test]
    fn stream_without_summary_or_with_half_a_row_is_not_whole() {
        assert_eq!(cut("event: row\ndata: {}\n\n", 4).unwrap_err(), FramingError::NoSummary);
        assert_eq!(cut("", 4).unwrap_err(), FramingError::NoSummary);
        let half = "event: summary\ndata: {}\n\nevent: row\ndata: {\"a\": ";
        assert_eq!(cut(half, 4).unwrap_err(), FramingError::Truncated);
        let unended = "event: summary\ndata: {}\n\nevent: row\ndata: {\"a\": 1}";
        assert_eq!(cut(unended, 4).unwrap().0.len(), 1);
    }

    #[test]
    fn comments_without_an_end_are_refused_whether_or_not_a_blank_line_follows() {
        let comments = ": still here\n".repeat(MAX_BLANK_BYTES as usize / 13 + 2);
        assert!(matches!(cut(&comments, 65_536).unwrap_err(), FramingError::TooLong { .. }));
        let (mut events, mut blocks) = (EventRows::default(), BlockBuilder::default());
        let endless = comments.as_bytes().chunks(65_536).find_map(|piece| events.push(piece, &mut blocks).err());
        assert!(matches!(endless, Some(FramingError::TooLong { .. })), "told while they come, not at the end");
    }

    #[test]
    fn page_of_a_proxy_is_not_an_event_stream() {
        assert!(matches!(cut("<html>\n<body>502</body>\n", 4).unwrap_err(), FramingError::NotJson(_)));
    }
}
