//! From a resolved request to the bytes of its response, made in chunks while they are sent.

use catalog::model::column::ColumnType;
use catalog::model::stream::{Pagination, RowsAt, Stream};
use serde_json::{Value, json};

use crate::data::figure::RowSeed;
use crate::data::generated::GeneratedRows;
use crate::data::objects::Object;
use crate::data::rows::Rows;
use crate::query::resolve::{ResolvedRequest, RowShape};

use super::active_faults::{AppliedFaults, last_fault};
use super::envelope::Envelope;
use super::fault::{FaultKind, KeyLocation};
use super::oversized_body::{OversizedBody, flood_rows};

/// Bytes after which a chunk is sent.
const CHUNK_BYTES: usize = 64 * 1024;

/// Rows between two comments of an event stream.
const ROWS_PER_COMMENT: u64 = 500;

/// The body of one response.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    request: ResolvedRequest,
    template: Vec<TemplatePart>,
    before: Vec<u8>,
    after: Vec<u8>,
    /// The number of the first row.
    start: u64,
    /// Rows of the page.
    page_rows: u64,
    /// Rows to send: those of the page, over and over in a flood.
    rows: u64,
    sent: u64,
    row: RowSeed,
    /// How rows of lists are changed.
    edits: Option<RowEdits>,
    oversized: Option<OversizedBody>,
    /// Whether a text must still get a byte that is not UTF-8.
    lacks_invalid_byte: bool,
    is_ended: bool,
}

/// A part of every generated row.
#[derive(Debug)]
enum TemplatePart {
    Text(Vec<u8>),
    Column(usize),
}

/// How faults change rows.
#[derive(Debug)]
struct RowEdits {
    missing: Vec<String>,
    wrong_types: Vec<String>,
    /// The value of a member that the catalog does not declare.
    extra: Option<Value>,
}

impl ResponseBody {
    pub(crate) fn new(request: ResolvedRequest, faults: &AppliedFaults) -> Self {
        let page = request.page;
        let remaining = if page.is_pause { 0 } else { request.rows.total().saturating_sub(page.offset) };
        let rows = page.limit.map_or(remaining, |limit| limit.min(remaining));
        let is_event_stream = request.endpoint.is_event_stream;
        let edits = RowEdits::new(faults);
        let envelope = Envelope { request: &request, rows, faults };
        let error_event = last_fault!(faults, FaultKind::ErrorEvent { rows } => *rows);
        let silent_end = last_fault!(faults, FaultKind::SilentEnd { rows } => *rows);
        let (before, after, page_rows) = match &request.stream.rows {
            _ if is_event_stream => {
                let cut = silent_end.into_iter().chain(error_event).min();
                let after = error_event.map_or("", |_| "event: error\ndata: {\"detail\":\"query failed\"}\n\n");
                let before = format!("event: summary\ndata: {}\n\n", envelope.info());
                (before, after.to_owned(), cut.map_or(rows, |cut| cut.min(rows)))
            }
            RowsAt::Members { names, column } => {
                (members(names, column, &request, &edits).to_string(), String::new(), 0)
            }
            _ => {
                let (before, after) = envelope.around_rows();
                (before, after, rows)
            }
        };
        let start = match page.limit {
            Some(limit) if faults.has(&FaultKind::RepeatedPage) => page.offset.saturating_sub(limit),
            _ => page.offset,
        };
        let template = match &request.rows {
            Rows::Generated(rows) => row_template(&request, rows, &edits),
            Rows::List(_) => Vec::new(),
        };
        Self {
            template,
            before: before.into_bytes(),
            after: after.into_bytes(),
            start,
            page_rows,
            rows: flood_rows(faults).filter(|_| page_rows > 0).unwrap_or(page_rows),
            sent: 0,
            row: RowSeed::default(),
            edits: (!edits.is_empty()).then_some(edits),
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
        match &self.request.rows {
            Rows::List(rows) => {
                let text = &rows[offset as usize];
                match (&self.edits, serde_json::from_slice(text)) {
                    (Some(edits), Ok(Value::Object(mut row))) => {
                        edits.apply(&mut row, &self.request.stream);
                        out.extend_from_slice(Value::Object(row).to_string().as_bytes());
                    }
                    _ => out.extend_from_slice(text),
                }
            }
            Rows::Generated(rows) => {
                rows.seek(offset, &mut self.row);
                for part in &self.template {
                    match part {
                        TemplatePart::Text(text) => out.extend_from_slice(text),
                        TemplatePart::Column(index) => rows.write(*index, &self.row, out),
                    }
                }
            }
        }
    }
}

/// How each generated row is written: text, and columns in between.
fn row_template(request: &ResolvedRequest, rows: &GeneratedRows, edits: &RowEdits) -> Vec<TemplatePart> {
    let mut template = Template { parts: Vec::new(), rows, edits };
    let is_event_stream = request.endpoint.is_event_stream;
    if is_event_stream {
        let is_v2_report = matches!(request.stream.pagination, Pagination::Cursor { .. });
        template.text(if is_v2_report { "event: result\ndata: " } else { "event: row\ndata: " });
    }
    if let RowsAt::Texts { column } = &request.stream.rows {
        template.column(column);
        return template.parts;
    }
    template.text("{");
    match &request.shape {
        RowShape::Named => {
            let is_written = |name: &&str| {
                let is_included = request.included.as_ref().is_none_or(|names| names.iter().any(|one| one == name));
                is_included && !edits.missing.iter().any(|one| one == name)
            };
            let names = rows.columns().map(|column| column.name.as_str()).filter(is_written);
            for (index, name) in names.enumerate() {
                template.text(&format!("{}{}:", if index == 0 { "" } else { "," }, json!(name)));
                template.column(name);
            }
        }
        RowShape::Positional { dimensions, metrics } => {
            for (label, names) in [("\"dimensions\":[", dimensions), ("],\"metrics\":[", metrics)] {
                template.text(label);
                for (index, name) in names.iter().enumerate() {
                    template.text(if index == 0 { "" } else { "," });
                    template.column(name);
                }
            }
            template.text("]");
        }
    }
    if let Some(extra) = &edits.extra {
        template.text(&format!(",\"unknown_field\":{extra}"));
    }
    template.text(if is_event_stream { "}\n\n" } else { "}" });
    template.parts
}

struct Template<'a> {
    parts: Vec<TemplatePart>,
    rows: &'a GeneratedRows,
    edits: &'a RowEdits,
}

impl Template<'_> {
    fn text(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(TemplatePart::Text(last)) => last.extend_from_slice(text.as_bytes()),
            _ => self.parts.push(TemplatePart::Text(text.as_bytes().to_vec())),
        }
    }

    fn column(&mut self, name: &str) {
        match self.rows.columns().enumerate().find(|(_, column)| column.name == name) {
            Some((_, column)) if self.edits.wrong_types.contains(&column.name) => {
                self.text(&wrong_value(&column.data_type).to_string());
            }
            Some((index, _)) => self.parts.push(TemplatePart::Column(index)),
            None => self.text("null"),
        }
    }
}

/// A body of several arrays, each with the rows that the column `column` assigns to it.
fn members(names: &[String], column: &str, request: &ResolvedRequest, edits: &RowEdits) -> Value {
    let mut arrays: Object = names.iter().map(|name| (name.clone(), json!([]))).collect();
    for mut row in request.rows.objects(&request.stream) {
        let member = row.shift_remove(column);
        let array = member.as_ref().and_then(Value::as_str).and_then(|name| arrays.get_mut(name));
        if let Some(Value::Array(rows)) = array {
            edits.apply(&mut row, &request.stream);
            rows.push(Value::Object(row));
        }
    }
    Value::Object(arrays)
}

impl RowEdits {
    fn new(faults: &AppliedFaults) -> Self {
        let (mut missing, mut wrong_types, mut extra) = (Vec::new(), Vec::new(), None);
        for kind in &faults.kinds {
            match kind {
                FaultKind::MissingField { column } => missing.push(column.clone()),
                FaultKind::WrongType { column } => wrong_types.push(column.clone()),
                FaultKind::ExtraField => extra = Some("new"),
                FaultKind::RepeatKey { at: KeyLocation::Rows } => extra = Some(&faults.sent_key),
                _ => {}
            }
        }
        Self { missing, wrong_types, extra: extra.map(|text| json!({ "level": 1, "text": text })) }
    }

    fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.wrong_types.is_empty() && self.extra.is_none()
    }

    fn apply(&self, row: &mut Object, stream: &Stream) {
        for name in &self.missing {
            row.shift_remove(name);
        }
        for name in &self.wrong_types {
            if let Some((value, column)) = row.get_mut(name).zip(stream.column(name)) {
                *value = wrong_value(&column.data_type);
            }
        }
        if let Some(extra) = &self.extra {
            row.insert("unknown_field".into(), extra.clone());
        }
    }
}

/// A text in place of a number, and an object in place of anything else.
fn wrong_value(data_type: &ColumnType) -> Value {
    match data_type {
        ColumnType::Int64 | ColumnType::Float64 => json!("not a number"),
        _ => json!({ "unexpected": [12345] }),
    }
}
