//! From a question to the bytes of its answer, made in chunks while they are sent.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use catalog::model::column::ColumnType;
use catalog::model::stream::{Pagination, RowsAt};

use super::days::Position;
use super::effects::Effects;
use super::endpoint::Endpoint;
use super::fault::FloodForm;
use super::frame::{frame, info};
use super::kin;
use super::question::{Parameters, Question, Rows, Shape};
use super::stuffing::Stuffing;
use super::table::{Row, Table};
use super::world::World;

/// Bytes after which a chunk is sent.
const CHUNK_BYTES: usize = 64 * 1024;

/// Rows between two comments of an event stream.
const ROWS_A_COMMENT: u64 = 500;

/// One answer on its way.
#[derive(Debug)]
pub(super) struct Answer {
    question: Arc<Question>,
    world: Arc<World>,
    template: Vec<Piece>,
    event: bool,
    before: Vec<u8>,
    after: Vec<u8>,
    position: Position,
    /// Rows sent so far.
    sent: u64,
    /// Rows to send.
    rows: u64,
    row: Row,
    /// What is done to rows that are ready.
    edits: Option<Box<Effects>>,
    /// What stands before the first row where it should not.
    stuffing: Option<Stuffing>,
    /// How many rows come before they begin again, and where; they do not without a flood.
    round: Option<(u64, Position)>,
    /// Whether a text is to be no UTF-8.
    invalid_utf8: bool,
    ended: bool,
}

/// A part of every row.
#[derive(Debug)]
enum Piece {
    Text(Vec<u8>),
    Column(usize),
}

impl Answer {
    /// Begins the answer to `question`, with whatever goes wrong in it.
    pub(super) fn new(
        endpoint: &Endpoint,
        parameters: &Parameters,
        question: Arc<Question>,
        world: Arc<World>,
        effects: &Effects,
    ) -> Self {
        let total = question.rows.total();
        let page = |offset: u64| question.limit.unwrap_or(u64::MAX).min(total.saturating_sub(offset));
        let rows = if question.is_pause { 0 } else { page(question.offset) };
        let start = match (effects.repeated_page, question.limit) {
            (true, Some(limit)) => question.offset.saturating_sub(limit),
            _ => question.offset,
        };
        let info = info(endpoint, parameters, &question, &world, rows, effects);
        let (before, after, sent_rows) = match endpoint.event {
            true => {
                let before = format!("event: summary\ndata: {info}\n\n").into_bytes();
                let cut = effects.silent_end.into_iter().chain(effects.error_event).min();
                let error: &[u8] = b"event: error\ndata: {\"detail\":\"query failed\"}\n\n";
                let after = if effects.error_event.is_some() { error } else { b"" };
                (before, after.to_vec(), cut.unwrap_or(u64::MAX).min(rows))
            }
            false => match &question.stream.rows {
                RowsAt::Members { names, column } => {
                    (members(names, column, &question, &world, effects).to_string().into_bytes(), Vec::new(), 0)
                }
                _ => {
                    let (before, after) = frame(&question, &info, rows, &world, effects);
                    (before, after, rows)
                }
            },
        };
        let position = match &question.rows {
            Rows::Table(table) if 0 < sent_rows => table.days().seek(start),
            // Lists are walked by their number alone.
            _ => Position::at(start),
        };
        let template = template(endpoint, &question, effects);
        let round = match effects.flood {
            Some((FloodForm::Rows, _)) if 0 < sent_rows => Some((sent_rows, position)),
            _ => None,
        };
        // A row of less than a hundred bytes is rare.
        let flood = round.and(effects.flood).map(|(_, bytes)| bytes / 100);
        Self {
            question,
            world,
            template,
            event: endpoint.event,
            before,
            after,
            position,
            sent: 0,
            rows: flood.unwrap_or(sent_rows),
            row: Row::default(),
            edits: effects.changes_rows().then(|| Box::new(effects.clone())),
            stuffing: Stuffing::of(effects, endpoint.event),
            round,
            invalid_utf8: effects.invalid_utf8,
            ended: false,
        }
    }

    /// The next bytes, or `None` when all were sent.
    pub(super) fn chunk(&mut self) -> Option<Vec<u8>> {
        if self.ended {
            return None;
        }
        let mut out = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8);
        out.append(&mut self.before);
        if let Some(stuffing) = &mut self.stuffing {
            match stuffing.next(&mut out) {
                true => return Some(out),
                false => self.stuffing = None,
            }
        }
        let question = self.question.clone();
        while self.sent < self.rows && out.len() < CHUNK_BYTES {
            if self.event && self.sent % ROWS_A_COMMENT == ROWS_A_COMMENT - 1 {
                out.extend_from_slice(b": keep-alive\n\n");
            } else if !self.event && 0 < self.sent {
                out.push(b',');
            }
            match &question.rows {
                Rows::List(rows) => {
                    let row = &rows[self.position.row as usize];
                    match &self.edits {
                        None => out.extend_from_slice(row),
                        Some(edits) => out.extend_from_slice(&edited_text(row, &question, edits)),
                    }
                    self.position.row += 1;
                }
                Rows::Table(table) => {
                    table.row(self.position.day, self.position.row, &mut self.row);
                    self.write_row(table, &mut out);
                    self.position = table.days().after(self.position);
                }
            }
            self.sent += 1;
            if let Some((rows, start)) = self.round
                && self.sent.is_multiple_of(rows)
            {
                self.position = start;
            }
        }
        if self.sent == self.rows {
            out.extend_from_slice(&self.after);
            self.ended = true;
        }
        if std::mem::take(&mut self.invalid_utf8)
            && let Some(quote) = out.iter().rposition(|byte| *byte == b'"')
        {
            out.insert(quote, 0xff);
        }
        Some(out)
    }

    fn write_row(&self, table: &Table, out: &mut Vec<u8>) {
        for piece in &self.template {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Column(index) => table.write(*index, &self.row, &self.world, &self.question.place, out),
            }
        }
    }
}

/// How each row is written: text, and columns between.
fn template(endpoint: &Endpoint, question: &Question, effects: &Effects) -> Vec<Piece> {
    let Rows::Table(table) = &question.rows else {
        return Vec::new();
    };
    let mut pieces = Vec::new();
    let text = |text: &str, pieces: &mut Vec<Piece>| match pieces.last_mut() {
        Some(Piece::Text(last)) => last.extend_from_slice(text.as_bytes()),
        _ => pieces.push(Piece::Text(text.as_bytes().to_vec())),
    };
    let column = |name: &str, pieces: &mut Vec<Piece>| {
        let found = table.columns().enumerate().find(|(_, column)| column.name == *name);
        match found {
            Some((_, column)) if effects.wrong_types.contains(&column.name) => {
                text(&wrong_value(&column.data_type).to_string(), pieces);
            }
            Some((index, _)) => pieces.push(Piece::Column(index)),
            None => text("null", pieces),
        }
    };
    if endpoint.event {
        let closed = matches!(question.stream.pagination, Pagination::Cursor { .. });
        text(if closed { "event: result\ndata: " } else { "event: row\ndata: " }, &mut pieces);
    }
    if let RowsAt::Texts { column: name } = &question.stream.rows {
        column(name, &mut pieces);
        return pieces;
    }
    text("{", &mut pieces);
    match &question.shape {
        Shape::Named => {
            let is_shown = |name: &String| question.shown.as_ref().is_none_or(|shown| shown.contains(name));
            let is_there = |name: &String| is_shown(name) && !effects.lacking.contains(name);
            let names: Vec<_> = table.columns().map(|column| column.name.clone()).filter(is_there).collect();
            for (index, name) in names.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                text(&format!("{comma}{}:", json!(name)), &mut pieces);
                column(name, &mut pieces);
            }
        }
        Shape::Positional { dimensions, metrics } => {
            for (label, list) in [("\"dimensions\":[", dimensions), ("],\"metrics\":[", metrics)] {
                text(label, &mut pieces);
                for (index, name) in list.iter().enumerate() {
                    if 0 < index {
                        text(",", &mut pieces);
                    }
                    column(name, &mut pieces);
                }
            }
            text("]", &mut pieces);
        }
    }
    if effects.extra_field {
        let said = json!({ "level": 1, "text": effects.extra_text.as_deref().unwrap_or("new") });
        text(&format!(",\"unannounced_field\":{said}"), &mut pieces);
    }
    text(if endpoint.event { "}\n\n" } else { "}" }, &mut pieces);
    pieces
}

/// A body of several arrays, each with the rows that the column `column` sorts into it.
fn members(names: &[String], column: &str, question: &Question, world: &World, effects: &Effects) -> Value {
    let mut arrays: Map<String, Value> = names.iter().map(|name| (name.clone(), json!([]))).collect();
    for mut row in kin::rows(&question.stream, &question.rows, &question.place, world) {
        let member = row.shift_remove(column);
        if let Some(Value::Array(rows)) = member.as_ref().and_then(Value::as_str).and_then(|name| arrays.get_mut(name))
        {
            edit(&mut row, question, effects);
            rows.push(Value::Object(row));
        }
    }
    Value::Object(arrays)
}

/// The text of a row with what goes wrong in it.
fn edited_text(row: &[u8], question: &Question, effects: &Effects) -> Vec<u8> {
    match serde_json::from_slice(row) {
        Ok(Value::Object(mut row)) => {
            edit(&mut row, question, effects);
            Value::Object(row).to_string().into_bytes()
        }
        _ => row.to_vec(),
    }
}

/// What goes wrong in a row that is ready.
fn edit(row: &mut Map<String, Value>, question: &Question, effects: &Effects) {
    for name in &effects.lacking {
        row.shift_remove(name);
    }
    for name in &effects.wrong_types {
        if let Some((value, column)) = row.get_mut(name).zip(question.stream.column(name)) {
            *value = wrong_value(&column.data_type);
        }
    }
    if effects.extra_field {
        let text = effects.extra_text.as_deref().unwrap_or("new");
        row.insert("unannounced_field".into(), json!({ "level": 1, "text": text }));
    }
}

/// A text where a number is due, and the other way round.
fn wrong_value(data_type: &ColumnType) -> Value {
    match data_type {
        ColumnType::Int64 | ColumnType::Float64 => json!("not a number"),
        _ => json!({ "unexpected": [12345] }),
    }
}
