//! From a question to the bytes of its answer, made in chunks while they are sent.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::model::column::ColumnType;
use crate::model::day::Day;
use crate::model::scope::ScopeKind;
use crate::model::stream::{Method, Pagination};

use super::cursor;
use super::days::Position;
use super::effects::Effects;
use super::endpoint::{Endpoint, names};
use super::question::{Parameters, Question, Rows, Shape};
use super::rules::OFFSET_LIMITS;
use super::table::{Row, Table};
use super::world::{World, text};

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
        let rows = page(question.offset);
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
            false => {
                let (before, after) = frame(endpoint, &question, &info, effects);
                (before, after, rows)
            }
        };
        let position = match &question.rows {
            Rows::Table(table) if 0 < sent_rows => table.days().seek(start),
            // Lists are walked by their number alone.
            _ => Position::at(start),
        };
        let template = template(endpoint, &question, effects);
        Self {
            question,
            world,
            template,
            event: endpoint.event,
            before,
            after,
            position,
            sent: 0,
            rows: sent_rows,
            row: Row::default(),
            ended: false,
        }
    }

    /// The next bytes, or `None` when all were sent.
    pub(super) fn chunk(&mut self) -> Option<Vec<u8>> {
        if self.ended {
            return None;
        }
        let mut out = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8);
        if self.sent == 0 {
            out.extend_from_slice(&self.before);
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
                    out.extend_from_slice(&rows[self.position.row as usize]);
                    self.position.row += 1;
                }
                Rows::Table(table) => {
                    table.row(self.position.day, self.position.row, &mut self.row);
                    self.write_row(table, &mut out);
                    self.position = table.days().after(self.position);
                }
            }
            self.sent += 1;
        }
        if self.sent == self.rows {
            out.extend_from_slice(&self.after);
            self.ended = true;
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
                // A text where a number is due, and the other way round.
                let number = matches!(column.data_type, ColumnType::Int64 | ColumnType::Float64);
                text(if number { "\"not a number\"" } else { "{\"unexpected\":[12345]}" }, pieces);
            }
            Some((index, _)) => pieces.push(Piece::Column(index)),
            None => text("null", pieces),
        }
    };
    if endpoint.event {
        let closed = matches!(question.stream.pagination, Pagination::Cursor { .. });
        text(if closed { "event: result\ndata: " } else { "event: row\ndata: " }, &mut pieces);
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
        text(",\"unannounced_field\":{\"level\":1,\"text\":\"new\"}", &mut pieces);
    }
    text(if endpoint.event { "}\n\n" } else { "}" }, &mut pieces);
    pieces
}

/// What stands before and after the rows of a JSON body.
fn frame(endpoint: &Endpoint, question: &Question, info: &Value, effects: &Effects) -> (Vec<u8>, Vec<u8>) {
    let bytes = |text: &str| text.as_bytes().to_vec();
    if question.stream.pagination != Pagination::Single {
        return match effects.data_first {
            true => (bytes("{\"data\":["), format!("],\"info\":{info}}}").into_bytes()),
            false => (format!("{{\"info\":{info},\"data\":[").into_bytes(), bytes("]}")),
        };
    }
    // Which lists are wrapped is a whim of the service, and follows no rule.
    let segment = endpoint.streams[0].request.path.rsplit('/').next().unwrap_or_default();
    let wrapped = ["assets", "personas", "citation-categories", "citation-tags"].contains(&segment);
    let is_post = question.stream.request.method == Method::Post;
    match wrapped || is_post || effects.wrap_lists {
        true => (bytes("{\"data\":["), bytes("]}")),
        false => (bytes("["), bytes("]")),
    }
}

/// `info` of a body, or the data of `summary`.
fn info(
    endpoint: &Endpoint,
    parameters: &Parameters,
    question: &Question,
    world: &World,
    rows: u64,
    effects: &Effects,
) -> Value {
    let body = &parameters.body;
    let total = question.rows.total() + effects.total_shift;
    let total_name = match question.stream.pagination {
        Pagination::Cursor { .. } => "total_results",
        _ => "total_rows",
    };
    let mut info = Map::new();
    info.insert(total_name.into(), json!(total));
    match question.stream.pagination {
        Pagination::Single => {}
        Pagination::BodyOffset { .. } | Pagination::QueryOffset { .. } | Pagination::QueryAfter => {}
        Pagination::QueryCursor { .. } => {
            info.insert("limit".into(), json!(question.limit));
            info.insert("next_cursor".into(), next_cursor(question, rows, effects));
        }
        Pagination::Offset { .. } if endpoint.is_positional() => {
            info.insert("query".into(), if effects.null_query { Value::Null } else { query(body, question) });
        }
        Pagination::Offset { .. } => {}
        Pagination::Cursor { .. } => {
            info.insert("count".into(), json!(rows));
            let next = if endpoint.event { Value::Null } else { next_cursor(question, rows, effects) };
            info.insert("next_cursor".into(), next);
            info.extend(echo(endpoint, body, question, world));
        }
    }
    if effects.no_total {
        info.remove(total_name);
    }
    Value::Object(info)
}

fn next_cursor(question: &Question, rows: u64, effects: &Effects) -> Value {
    let read = question.offset + rows;
    if effects.repeated_cursor {
        return json!(cursor::token(question.fingerprint, question.offset));
    }
    match 0 < rows && read < question.rows.total() {
        true => json!(cursor::token(question.fingerprint, read)),
        false => Value::Null,
    }
}

/// `info.query` of version 1: the query as the service understood it. Its lists bind positional values.
fn query(body: &Map<String, Value>, question: &Question) -> Value {
    let (dimensions, metrics) = match &question.shape {
        Shape::Positional { dimensions, metrics } => (dimensions.clone(), metrics.clone()),
        Shape::Named => {
            let sorted = |name| {
                let mut names = names(body, name);
                names.sort();
                names
            };
            (sorted("dimensions"), sorted("metrics"))
        }
    };
    let default = json!({ "limit": OFFSET_LIMITS.1, "offset": 0 });
    json!({
        "date_interval": body.get("date_interval").cloned().unwrap_or(json!("day")),
        "dimensions": dimensions,
        "metrics": metrics,
        "order_by": body.get("order_by").cloned().unwrap_or(json!({})),
        "filters": body.get("filters").cloned().unwrap_or(json!([])),
        "pagination": body.get("pagination").cloned().unwrap_or(default),
    })
}

/// What version 2 repeats of the request.
fn echo(endpoint: &Endpoint, body: &Map<String, Value>, question: &Question, world: &World) -> Map<String, Value> {
    let mut told = Map::new();
    let models: Vec<_> = world.models.iter().map(|model| text(model, "name")).collect();
    told.insert("models".into(), json!(models));
    if let Some((first, last)) = question.window {
        let given = |name: &str, day: Day| body.get(name).cloned().unwrap_or(json!(day));
        told.insert("start_date".into(), given("start_date", first));
        told.insert("end_date".into(), given("end_date", last));
    }
    told.insert("filter".into(), body.get("filter").cloned().unwrap_or(Value::Null));
    if endpoint.sends("scope") {
        told.insert("scope".into(), body.get("scope").cloned().unwrap_or(json!("owned")));
        told.insert("asset_filter".into(), body.get("assets").cloned().unwrap_or(Value::Null));
    }
    if endpoint.sends("metrics") {
        let metrics = match names(body, "metrics") {
            metrics if metrics.is_empty() => endpoint.metrics(),
            metrics => metrics,
        };
        told.insert("metrics".into(), json!(metrics));
        told.insert("analysis_types".into(), json!(["visibility"]));
        told.insert("coverage_note".into(), json!("Only runs with data are counted."));
    }
    if endpoint.sends("include") {
        let own = question.stream.body.get("include").cloned().unwrap_or_default();
        told.insert("include".into(), body.get("include").filter(|given| !given.is_null()).cloned().unwrap_or(own));
    }
    if question.stream.scope == ScopeKind::CategoryAsset {
        told.insert("asset".into(), body.get("asset").cloned().unwrap_or_default());
        for name in ["comparison_start_date", "comparison_end_date"] {
            told.insert(name.into(), body.get(name).cloned().unwrap_or_default());
        }
    }
    told
}
