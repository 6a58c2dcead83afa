//! Cuts rows from a stream of server-sent events as it arrives.
//!
//! The grammar is that of the HTML standard, section "Server-sent events". The API documents no terminal event, so a stream counts
//! as complete only after a clean end of the body, and with the announced total if there is one. An event that this version does
//! not know may have rows or report a failure, so a stream with one proves nothing.

use serde_json::Value;

use crate::api::blocks::{
    BlockBuilder, FramingError, MAX_BLANK_BYTES, MAX_DEPTH, MAX_ENVELOPE_BYTES, MAX_ROW_BYTES, ResponseEnvelope,
    beginning,
};
use crate::api::surrogates::replace_half_surrogates;

/// Cuts rows from a stream of server-sent events.
#[derive(Debug, Default)]
pub struct EventRows {
    /// The part of a line that has arrived.
    line: Vec<u8>,
    /// The last byte was a carriage return, so a line feed belongs to it.
    after_return: bool,
    started: bool,
    event: String,
    data: Vec<u8>,
    has_data: bool,
    summary: Option<Value>,
    /// The total that the summary announced.
    announced: Option<u64>,
    /// Bytes of lines since the last row: comments and unknown events.
    blank: u64,
}

impl EventRows {
    /// Processes the next bytes of the body, cut anywhere.
    ///
    /// # Errors
    /// [`FramingError`], after which the stream must be discarded.
    pub fn push(&mut self, mut bytes: &[u8], blocks: &mut BlockBuilder) -> Result<(), FramingError> {
        while let Some((end, terminator)) = next_line(bytes) {
            let (part, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if std::mem::take(&mut self.after_return) && terminator == b'\n' && part.is_empty() {
                continue;
            }
            self.after_return = terminator == b'\r';
            if self.line.is_empty() {
                self.process_line(part, blocks)?;
            } else {
                self.line.extend_from_slice(part);
                let line = std::mem::take(&mut self.line);
                self.process_line(&line, blocks)?;
                // The buffer is reused for the next line that arrives in parts.
                self.line = line;
                self.line.clear();
            }
        }
        if !bytes.is_empty() {
            self.after_return = false;
            self.line.extend_from_slice(bytes);
        }
        if self.line.len() > MAX_ROW_BYTES {
            return Err(FramingError::TooLong { what: "a line", limit: MAX_ROW_BYTES as u64 });
        }
        Ok(())
    }

    /// The total, once it was announced.
    pub fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// Call it at the end of the body.
    ///
    /// # Errors
    /// [`FramingError::Truncated`] inside an event, [`FramingError::NoSummary`] without a summary.
    pub fn finish(mut self, blocks: &mut BlockBuilder) -> Result<ResponseEnvelope, FramingError> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.process_line(&line, blocks)?;
        }
        if self.has_data {
            // The blank line after the last event may be missing, part of a row may not.
            let whole = serde_json::from_slice::<serde::de::IgnoredAny>(&self.data).is_ok();
            if !whole && self.data != b"[DONE]" {
                return Err(FramingError::Truncated);
            }
            self.dispatch(blocks)?;
        }
        blocks.flush();
        let mut info = self.summary.ok_or(FramingError::NoSummary)?;
        if let Some(members) = info.as_object_mut() {
            // Of the pages: an event stream has all rows, whatever cursor its summary repeats.
            members.remove("next_cursor");
        }
        Ok(ResponseEnvelope { info, ..ResponseEnvelope::default() })
    }

    fn process_line(&mut self, line: &[u8], blocks: &mut BlockBuilder) -> Result<(), FramingError> {
        let is_first = !std::mem::replace(&mut self.started, true);
        let line = line.strip_prefix(b"\xef\xbb\xbf").filter(|_| is_first).unwrap_or(line);
        if is_first && matches!(line.first(), Some(b'<' | b'{' | b'[')) {
            return Err(FramingError::NotJson(beginning(line)));
        }
        self.blank += line.len() as u64 + 1;
        if line.is_empty() {
            self.dispatch(blocks)?;
        } else {
            self.process_field(line)?;
        }
        // A row, or the part of it that has arrived, may be longer.
        if !self.has_data && self.blank > MAX_BLANK_BYTES {
            return Err(FramingError::TooLong { what: "the data between rows", limit: MAX_BLANK_BYTES });
        }
        Ok(())
    }

    fn process_field(&mut self, line: &[u8]) -> Result<(), FramingError> {
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
                if self.data.len() > MAX_ROW_BYTES {
                    return Err(FramingError::TooLong { what: "an event", limit: MAX_ROW_BYTES as u64 });
                }
            }
            // Comments, `id`, `retry` and unknown fields.
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self, blocks: &mut BlockBuilder) -> Result<(), FramingError> {
        let has_data = std::mem::take(&mut self.has_data);
        let result = if has_data && !self.data.is_empty() { self.process_event(blocks) } else { Ok(()) };
        self.event.clear();
        self.data.clear();
        result
    }

    fn process_event(&mut self, blocks: &mut BlockBuilder) -> Result<(), FramingError> {
        if let Some(reported) = only_error(&self.data) {
            return Err(FramingError::Reported(reported));
        }
        match self.event.as_str() {
            "result" | "row" => {
                // The decoder is recursive.
                if is_too_deep(&self.data) {
                    return Err(FramingError::TooDeep);
                }
                blocks.begin_row();
                blocks.push(&self.data)?;
                blocks.end_row();
                self.blank = 0;
            }
            "summary" => {
                if self.data.len() > MAX_ENVELOPE_BYTES {
                    return Err(FramingError::TooLong { what: "the summary", limit: MAX_ENVELOPE_BYTES as u64 });
                }
                replace_half_surrogates(&mut self.data);
                let info: Value =
                    serde_json::from_slice(&self.data).map_err(|error| FramingError::Envelope(error.to_string()))?;
                let envelope = ResponseEnvelope { info, ..ResponseEnvelope::default() };
                if let Some(positions) = envelope.positions() {
                    blocks.bind(positions);
                }
                // A later summary without a total does not take back the total.
                let total = self.compare_total(&envelope)?;
                if total.is_some() || self.announced.is_none() {
                    self.announced = total;
                    self.summary = Some(envelope.info);
                }
            }
            name if reports_failure(name) => return Err(FramingError::Reported(beginning(&self.data))),
            name if !is_harmless(name, &self.data) => return Err(self.unknown_event()),
            _ => {
                // The last event may count the rows once more, or say that some are missing.
                let info = serde_json::from_slice(&self.data).unwrap_or_default();
                let envelope = ResponseEnvelope { info, ..ResponseEnvelope::default() };
                self.compare_total(&envelope)?;
                if envelope.partial().or_else(|| envelope.more(blocks.total_rows())).is_some() {
                    return Err(self.unknown_event());
                }
            }
        }
        Ok(())
    }

    /// The total that `envelope` announces.
    ///
    /// # Errors
    /// [`FramingError::Contradiction`] if it is another one than before.
    fn compare_total(&self, envelope: &ResponseEnvelope) -> Result<Option<u64>, FramingError> {
        match (self.announced, envelope.total()) {
            (Some(first), Some(later)) if first != later => Err(FramingError::Contradiction { first, later }),
            (_, total) => Ok(total),
        }
    }

    fn unknown_event(&self) -> FramingError {
        let event = if self.event.is_empty() { "message" } else { &self.event }.to_owned();
        FramingError::UnknownEvent { event, data: beginning(&self.data) }
    }
}

/// Whether an event of this name says that the query failed: the vendor documents no name for it.
fn reports_failure(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["error", "exception", "fail", "fatal", "abort", "cancel", "timeout"].iter().any(|part| name.contains(part))
}

/// Whether an event keeps the connection open or says that it ends.
fn is_harmless(name: &str, data: &[u8]) -> bool {
    const NAMES: [&str; 10] =
        ["ping", "heartbeat", "keepalive", "keep-alive", "keep_alive", "done", "end", "complete", "completed", "close"];
    const TEXTS: [&[u8]; 4] = [b"[DONE]", b"null", b"{}", b"[]"];
    NAMES.iter().any(|harmless| name.eq_ignore_ascii_case(harmless)) || TEXTS.contains(&data.trim_ascii())
}

/// Whether values nest deeper than [`MAX_DEPTH`]. Few rows have that many brackets, so few are scanned.
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
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

/// The end of the next line, and the byte that ends it.
fn next_line(bytes: &[u8]) -> Option<(usize, u8)> {
    memchr::memchr2(b'\n', b'\r', bytes).map(|end| (end, bytes[end]))
}

/// The error in an event whose data has no other member than one that reports an error.
fn only_error(data: &[u8]) -> Option<String> {
    const NAMES: [&str; 5] = ["detail", "error", "errors", "message", "exception"];
    // Few rows begin like this. Parsing every row to find out would cost as much as decoding it.
    let start = data.iter().position(|byte| !byte.is_ascii_whitespace() && *byte != b'{')?;
    let first = data[start..].strip_prefix(b"\"")?;
    let name =
        NAMES.iter().find(|name| first.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"\"")))?;
    let object: serde_json::Map<String, Value> = serde_json::from_slice(data).ok()?;
    let reported = object.get(*name)?;
    (object.len() == 1).then(|| reported.as_str().map_or_else(|| reported.to_string(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::block::Block;

    #[test]
    fn only_brackets_outside_strings_count_as_nesting() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(!is_too_deep(nested(MAX_DEPTH).as_bytes()));
        assert!(is_too_deep(nested(MAX_DEPTH + 1).as_bytes()));
        assert!(!is_too_deep(format!("[{}0]", "[],".repeat(1000)).as_bytes()));
        assert!(!is_too_deep(format!(r#"{{"text": "\"{}"}}"#, "[".repeat(1000)).as_bytes()));
    }
    fn cut(body: &str, size: usize) -> Result<(Vec<Value>, ResponseEnvelope), FramingError> {
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
        "event: ping\ndata: {\"b\": 2}\n\nevent: done\ndata: [DONE]\n\n",
    );

    #[test]
    fn rows_do_not_depend_on_chunks_or_line_ends() {
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
    fn small_blocks_have_no_spare_capacity() {
        let body = "event: summary\ndata: {\"query\":{\"dimensions\":[],\"metrics\":[]}}\n\nevent: row\ndata: {}\n\n"
            .repeat(100);
        let (mut events, mut blocks) = (EventRows::default(), BlockBuilder::default());
        events.push(body.as_bytes(), &mut blocks).unwrap();
        events.finish(&mut blocks).unwrap();
        let capacity = blocks.take_ready().into_iter().map(|block| match block {
            Block::Rows { json, .. } => json.capacity(),
            _ => 0,
        });
        assert!(capacity.sum::<usize>() <= 2 * body.len());
    }

    #[test]
    fn error_event_ends_the_stream() {
        let summary = "event: summary\ndata: {}\n\n";
        for event in [
            "event: error\ndata: {\"detail\":\"query failed\"}\n\n",
            "event: QueryException\ndata: query failed\n\n",
            "event: row\ndata: {\"error\":\"query failed\"}\n\n",
            "data: {\"detail\": \"query failed\"}\n\n",
        ] {
            let error = cut(&format!("{summary}{event}"), 9).unwrap_err();
            assert_eq!(error, FramingError::Reported("query failed".into()), "{event}");
        }
        let kept = cut(&format!("{summary}event: row\ndata: {{\"detail\":\"x\",\"a\":1}}\n\n"), 9).unwrap();
        assert_eq!(kept.0.len(), 1);
    }

    #[test]
    fn unknown_event_with_data_ends_the_stream() {
        let summary = "event: summary\ndata: {}\n\n";
        for (name, event) in [
            ("message", "data: {\"a\": 1}\n\n"),
            ("item", "event: item\ndata: {\"a\": 1}\n\n"),
            ("Row", "event: Row\ndata: [{\"a\": 1}]\n\n"),
            ("news", "event: news\ndata: text\n\n"),
        ] {
            match cut(&format!("{summary}{event}"), 9).unwrap_err() {
                FramingError::UnknownEvent { event, .. } => assert_eq!(event, name),
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn later_summary_does_not_take_back_the_total() {
        let body = "event: summary\ndata: {\"total_rows\": 2}\n\nevent: summary\ndata: {}\n\n";
        assert_eq!(cut(body, 9).unwrap().1.total(), Some(2));
    }

    #[test]
    fn second_total_must_be_the_first() {
        let summary = "event: summary\ndata: {\"total_rows\": 2}\n\nevent: row\ndata: {}\n\n";
        for second in [
            "event: summary\ndata: {\"total_rows\": 1}\n\n",
            "event: summary\ndata: {\"total_results\": 3}\n\n",
            "event: done\ndata: {\"total_rows\": 3}\n\n",
        ] {
            let error = cut(&format!("{summary}{second}"), 9).unwrap_err();
            assert!(matches!(error, FramingError::Contradiction { first: 2, .. }), "{second} {error}");
            assert!(error.is_unknown_form(), "pages decide");
        }
        for end in ["{\"total\": 3}", "{\"has_more\": true}", "{\"status\": \"error\"}", "{\"success\": false}"] {
            let error = cut(&format!("{summary}event: end\ndata: {end}\n\n"), 9).unwrap_err();
            assert!(matches!(error, FramingError::UnknownEvent { .. }), "{end} {error}");
        }
        for same in ["event: summary\ndata: {\"total_rows\": 2}\n\n", "event: done\ndata: {\"rows\": 1}\n\n"] {
            assert_eq!(cut(&format!("{summary}{same}"), 9).unwrap().1.total(), Some(2), "{same}");
        }
    }

    #[test]
    fn stream_without_summary_or_with_a_partial_row_is_rejected() {
        assert_eq!(cut("event: row\ndata: {}\n\n", 4).unwrap_err(), FramingError::NoSummary);
        assert_eq!(cut("", 4).unwrap_err(), FramingError::NoSummary);
        let half = "event: summary\ndata: {}\n\nevent: row\ndata: {\"a\": ";
        assert_eq!(cut(half, 4).unwrap_err(), FramingError::Truncated);
        let unended = "event: summary\ndata: {}\n\nevent: row\ndata: {\"a\": 1}";
        assert_eq!(cut(unended, 4).unwrap().0.len(), 1);
    }

    #[test]
    fn endless_comments_are_rejected_with_and_without_blank_lines() {
        let comments = ": still here\n".repeat(MAX_BLANK_BYTES as usize / 13 + 2);
        assert!(matches!(cut(&comments, 65_536).unwrap_err(), FramingError::TooLong { .. }));
        let (mut events, mut blocks) = (EventRows::default(), BlockBuilder::default());
        let endless = comments.as_bytes().chunks(65_536).find_map(|piece| events.push(piece, &mut blocks).err());
        assert!(matches!(endless, Some(FramingError::TooLong { .. })), "rejected as they arrive, not at the end");
    }

    #[test]
    fn html_page_of_a_proxy_is_rejected() {
        assert!(matches!(cut("<html>\n<body>502</body>\n", 4).unwrap_err(), FramingError::NotJson(_)));
    }
}
