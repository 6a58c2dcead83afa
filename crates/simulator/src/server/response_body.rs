//! From a resolved request to the bytes of its response, made in chunks while they are sent.

use catalog::model::column::ColumnType;
use catalog::model::stream::{Pagination, RowsAt};
use serde_json::{Value, json};

use crate::data::objects::{Object, object};
use crate::query::resolve::{ResolvedRequest, RowShape};

use super::active_faults::{AppliedFaults, last_fault};
use super::envelope::BodyEnvelope;
use super::fault::{FaultKind, KeyLocation};
use super::oversized_body::{OversizedBody, flood_rows};

/// Bytes after which a chunk is sent.
const CHUNK_BYTES: usize = 64 * 1024;

/// Rows between two comments of an event stream.
const ROWS_PER_COMMENT: u64 = 500;

/// In a `String`, which cannot hold half of a surrogate pair, this character marks where the row is written with one.
const HALF_SURROGATE: char = '\u{e000}';

/// A text that begins with this character is written without its quotes.
const BARE: char = '\u{e001}';

/// The body of one response.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    request: ResolvedRequest,
    before: Vec<u8>,
    after: Vec<u8>,
    /// The number of the first row.
    start: u64,
    /// Rows of the page.
    page_rows: u64,
    /// Rows to send: those of the page, over and over in a flood.
    rows: u64,
    sent: u64,
    /// What comes before and after each row.
    row_frame: (String, &'static str),
    faults: AppliedFaults,
    oversized: Option<OversizedBody>,
    /// Whether a text must still get a byte that is not UTF-8.
    lacks_invalid_byte: bool,
    is_ended: bool,
}

impl ResponseBody {
    pub(crate) fn new(request: ResolvedRequest, faults: &AppliedFaults) -> Self {
        let page = request.page;
        let remaining = if page.is_pause { 0 } else { request.rows.total().saturating_sub(page.offset) };
        let rows = page.limit.map_or(remaining, |limit| limit.min(remaining));
        let is_event_stream = request.endpoint.is_event_stream;
        let envelope = BodyEnvelope { request: &request, rows, faults };
        let error_event =
            last_fault!(faults, FaultKind::ErrorEvent { rows, name } => (*rows, name.as_deref().unwrap_or("error")));
        let default_page = last_fault!(faults, FaultKind::DefaultPage { rows } => *rows);
        let silent_end = last_fault!(faults, FaultKind::SilentEnd { rows } => *rows);
        let repeated = last_fault!(faults, FaultKind::RepeatedEvents { rows } => *rows);
        let (before, after, page_rows) = match &request.stream.rows {
            _ if is_event_stream => {
                let cut = silent_end.into_iter().chain(error_event.map(|(rows, _)| rows)).chain(default_page).min();
                let after =
                    error_event.map(|(_, name)| format!("event: {name}\ndata: {{\"reason\":\"query failed\"}}\n\n"));
                let before = if faults.has(&FaultKind::NoSummary) {
                    ": no summary\n\n".to_owned()
                } else {
                    format!("event: summary\ndata: {}\n\n", envelope.info())
                };
                (before, after.unwrap_or_default(), cut.map_or(rows, |cut| cut.min(rows)))
            }
            RowsAt::Members { names, column } => {
                (members(names, column, &request, faults).to_string(), String::new(), 0)
            }
            _ => {
                let (before, after) = envelope.around_rows();
                (before, after, rows)
            }
        };
        let renamed = last_fault!(faults, FaultKind::RenamedEvents { name } => name.as_str());
        let start = match page.limit {
            Some(limit) if faults.has(&FaultKind::RepeatedPage) => page.offset.saturating_sub(limit),
            _ => page.offset,
        };
        Self {
            before: before.into_bytes(),
            after: after.into_bytes(),
            start,
            page_rows,
            rows: flood_rows(faults)
                .or(repeated.map(|more| page_rows + more))
                .or(last_fault!(faults, FaultKind::ShortList { rows } => page_rows.min(*rows)))
                .filter(|_| page_rows > 0)
                .unwrap_or(page_rows),
            sent: 0,
            row_frame: match (&request.stream.pagination, renamed) {
                _ if !is_event_stream => (String::new(), ""),
                (_, Some("")) => ("data: ".to_owned(), "\n\n"),
                (_, Some(name)) => (format!("event: {name}\ndata: "), "\n\n"),
                (Pagination::Cursor { .. }, None) => ("event: result\ndata: ".to_owned(), "\n\n"),
                _ => ("event: row\ndata: ".to_owned(), "\n\n"),
            },
            faults: faults.clone(),
            oversized: OversizedBody::new(faults, is_event_stream),
            lacks_invalid_byte: faults.has(&FaultKind::InvalidUtf8),
            is_ended: false,
            request,
        }
    }

    /// The next bytes, or `None` after the last.
    pub(crate) fn next_chunk(&mut self) -> Option<Vec<u8>> {
        if self.is_ended {
            return None;
        }
        let mut out = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8);
        out.append(&mut self.before);
        if let Some(oversized) = &mut self.oversized {
            if oversized.write_next(&mut out) {
                return Some(out);
            }
            self.oversized = None;
        }
        while self.sent < self.rows && out.len() < CHUNK_BYTES {
            self.write_row(&mut out);
            self.sent += 1;
        }
        if self.sent == self.rows {
            out.append(&mut self.after);
            self.is_ended = true;
        }
        if std::mem::take(&mut self.lacks_invalid_byte)
            && let Some(quote) = out.iter().rposition(|byte| *byte == b'"')
        {
            out.insert(quote, 0xff);
        }
        Some(out)
    }

    fn write_row(&mut self, out: &mut Vec<u8>) {
        if !self.request.endpoint.is_event_stream {
            if self.sent > 0 {
                out.push(b',');
            }
        } else if self.sent % ROWS_PER_COMMENT == ROWS_PER_COMMENT - 1 {
            out.extend_from_slice(b": keep-alive\n\n");
        }
        let offset = self.start + self.sent % self.page_rows;
        let row = written_row(self.request.rows.get(offset), &self.request, &self.faults);
        out.extend_from_slice(self.row_frame.0.as_bytes());
        // Some servers escape everything but ASCII, as Python's `json` does by default.
        write_json(&row, offset % 3 == 2, out);
        out.extend_from_slice(self.row_frame.1.as_bytes());
    }
}

/// Writes the JSON text of `value`. With `ascii` everything but ASCII is escaped.
fn write_json(value: &Value, ascii: bool, out: &mut Vec<u8>) {
    let mut text = value.to_string();
    if text.contains(HALF_SURROGATE) {
        text = text.replace(HALF_SURROGATE, "\\ud83d");
    }
    while let Some((before, (bare, after))) =
        text.split_once(&format!("\"{BARE}")).and_then(|(before, rest)| Some((before, rest.split_once('"')?)))
    {
        text = format!("{before}{bare}{after}");
    }
    if !ascii || text.is_ascii() {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => out.push(byte),
            // Beyond the basic plane two escapes make one character.
            _ => out.extend_from_slice(format!("\\u{unit:04x}").as_bytes()),
        }
    }
}

/// A body of several arrays, each with the rows that the column `column` assigns to it.
fn members(names: &[String], column: &str, request: &ResolvedRequest, faults: &AppliedFaults) -> Value {
    let mut arrays: Object = names.iter().map(|name| (name.clone(), json!([]))).collect();
    for mut row in request.rows.oldest_first() {
        let member = row.shift_remove(column);
        let array = member.as_ref().and_then(Value::as_str).and_then(|name| arrays.get_mut(name));
        if let Some(Value::Array(rows)) = array {
            rows.push(written_row(row, request, faults));
        }
    }
    Value::Object(arrays)
}

/// A row as it is written: with what goes wrong in it, in the shape of the request.
fn written_row(mut row: Object, request: &ResolvedRequest, faults: &AppliedFaults) -> Value {
    let stream = &request.stream;
    for kind in &faults.kinds {
        if let FaultKind::MissingField { column } = kind
            && request.shape == RowShape::Named
        {
            row.shift_remove(column);
        } else if let FaultKind::HalfSurrogate { column } = kind
            && let Some(Value::String(text)) = row.get_mut(column)
        {
            text.push(HALF_SURROGATE);
        } else if let FaultKind::BadValue { column, value: bad, day } = kind
            && day.as_ref().is_none_or(|day| is_of_day(&row, request, day))
            && let Some(value) = row.get_mut(column)
        {
            // A number is written as given, however long it is.
            let json = serde_json::from_str(bad).ok().filter(|json: &Value| !json.is_number());
            *value = json.unwrap_or_else(|| json!(format!("{BARE}{bad}")));
        } else if let FaultKind::WrongType { column } = kind
            && let Some((value, column)) = row.get_mut(column).zip(stream.column(column))
        {
            *value = wrong_value(&column.data_type);
        }
    }
    if let RowsAt::Texts { column } = &stream.rows {
        return row.shift_remove(column).unwrap_or_default();
    }
    if let RowShape::Positional { dimensions, metrics } = &request.shape {
        let values = |names: &[String]| names.iter().map(|name| row.get(name).cloned()).collect::<Vec<_>>();
        row = object(json!({ "dimensions": values(dimensions), "metrics": values(metrics) }));
    } else if let Some(included) = &request.included {
        row.retain(|name, _| included.contains(name));
    }
    let extra = last_fault!(faults, FaultKind::ExtraField => "new");
    let sent_key = last_fault!(faults, FaultKind::RepeatKey { at: KeyLocation::Rows } => faults.sent_key.as_str());
    if let Some(text) = sent_key.or(extra) {
        row.insert("unknown_field".into(), json!({ "level": 1, "text": text }));
    }
    Value::Object(row)
}

fn is_of_day(row: &Object, request: &ResolvedRequest, day: &str) -> bool {
    let column = request.stream.days.as_ref().map(|days| days.column.as_str());
    column.and_then(|column| row.get(column)?.as_str()).is_some_and(|text| text.starts_with(day))
}

/// A text in place of a number, and an object in place of anything else.
fn wrong_value(data_type: &ColumnType) -> Value {
    match data_type {
        ColumnType::Int64 | ColumnType::Float64 => json!("not a number"),
        _ => json!({ "unexpected": [12345] }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_text_parses_as_the_same_text() {
        let text = json!("🍵 \"é\"\u{2028}\n");
        let mut escaped = Vec::new();
        write_json(&text, true, &mut escaped);
        assert!(escaped.is_ascii());
        assert_eq!(serde_json::from_slice::<Value>(&escaped).unwrap(), text);
    }
}
