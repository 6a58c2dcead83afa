//! What a difference means for the export.

use std::sync::Arc;

use super::difference::Change;
use super::sent::sent;
use super::surface::{Operation, OperationName, Surface};
use crate::catalog::Catalog;
use crate::model::column::ColumnType;
use crate::model::stream::{Pagination, RowsAt, Stream, Total};

/// Streams named in a sentence; the rest are counted.
const NAMED: usize = 4;
const UNSTORED: &str = "no stream stores it";

/// What differences mean for the streams of a catalog.
pub struct Meanings<'a> {
    /// The streams.
    pub catalog: &'a Catalog,
    /// What this version knows.
    pub known: &'a Surface,
    /// What the document says.
    pub newer: &'a Surface,
}

impl Meanings<'_> {
    /// The streams that a change concerns, and what it means for them.
    pub fn of(&self, operation: &OperationName, change: &Change) -> (Vec<String>, String) {
        let streams = self.streams_of(operation);
        let asked_by = |streams: &[&Stream], fate: &str| answer(streams, fate, "no stream asks this operation");
        match change {
            Change::NewOperation => answer(&streams, "can read it already", new_operation(operation)),
            Change::VanishedOperation => asked_by(&streams, "would fail"),
            Change::DeprecatedOperation => asked_by(&streams, "will read it for as long as it answers"),
            Change::NewParameter { required: true, .. } => asked_by(&streams, "would be refused without it"),
            Change::NewParameter { .. } => (Vec::new(), "no stream sends it".to_owned()),
            Change::RequiredParameter { .. } if streams.is_empty() => asked_by(&[], ""),
            Change::RequiredParameter { name } => {
                let without: Vec<&Stream> = streams.into_iter().filter(|stream| !sends(stream, name)).collect();
                answer(&without, "would be refused without it", "every request holds it, so nothing changes")
            }
            Change::VanishedParameter { name } | Change::ChangedParameter { name, .. } => {
                let sending: Vec<&Stream> = streams.into_iter().filter(|stream| sends(stream, name)).collect();
                answer(&sending, "may be refused for sending it", "no stream sends it")
            }
            Change::NewValues { values, .. } if values.is_empty() => (Vec::new(), "nothing changes".to_owned()),
            Change::NewValues { .. } => (Vec::new(), "no stream asks for that".to_owned()),
            Change::VanishedValues { name, values } => {
                let asking = self.sending_values(operation, streams, name, values);
                let none = if values.is_empty() { "no stream sends any other" } else { "no stream asks for that" };
                answer(&asking, "would be refused for asking for that", none)
            }
            Change::NewField { name, .. } => self.new_field(operation, &streams, name),
            Change::VanishedField { name } | Change::ChangedField { name, .. } if self.is_of_rows(operation, name) => {
                asked_by(&streams, "would find no rows, or none that they can read")
            }
            Change::VanishedField { name } | Change::ChangedField { name, .. } if is_of_pages(name) => {
                let paging: Vec<&Stream> = streams.into_iter().filter(|stream| !proves_nothing(stream)).collect();
                answer(&paging, "would miss what leads to the next page, or what proves an answer whole", UNSTORED)
            }
            Change::VanishedField { name } => {
                let (holding, column) = self.holding(operation, &streams, name);
                answer(&holding, &format!("will have no value for it in `{column}`"), UNSTORED)
            }
            Change::ChangedField { name, .. } => {
                let (holding, column) = self.holding(operation, &streams, name);
                let fate = format!("would fail where a value does not fit the column `{column}`");
                answer(&holding, &fate, UNSTORED)
            }
            Change::NewFieldValues { name, .. } | Change::VanishedFieldValues { name, .. } => {
                let (holding, column) = self.holding(operation, &streams, name);
                answer(&holding, &format!("will store whatever comes in `{column}`"), UNSTORED)
            }
        }
    }

    /// The streams that ask an operation, page by page or as its events.
    fn streams_of(&self, operation: &OperationName) -> Vec<&Stream> {
        let is = |method: &str, path: &str| {
            OperationName { method: method.to_owned(), path: path.to_owned() }.identity() == operation.identity()
        };
        let asks = |stream: &&Stream| {
            let line = stream.request.to_string();
            let (method, path) = line.split_once(' ').unwrap_or_default();
            is(method, path) || stream.event_stream.as_ref().is_some_and(|path| is("POST", path))
        };
        self.catalog.streams().map(Arc::as_ref).filter(asks).collect()
    }

    /// Whether a member of answers is what rows stand in.
    fn is_of_rows(&self, operation: &OperationName, name: &str) -> bool {
        let holder = name.strip_suffix("[]").unwrap_or(name);
        self.streams_of(operation).iter().any(|stream| match &stream.rows {
            RowsAt::Data | RowsAt::Texts { .. } => ["data", "", "event"].contains(&holder),
            RowsAt::Members { names, .. } => names.iter().any(|name| name == holder),
            RowsAt::Body => false,
        })
    }

    fn new_field(&self, operation: &OperationName, streams: &[&Stream], name: &str) -> (Vec<String>, String) {
        if streams.is_empty() {
            return answer(&[], "", "no stream asks this operation");
        }
        let (mut knowing, mut others) = (Vec::new(), Vec::new());
        for stream in streams {
            match self.place(operation, stream, name) {
                Some(place) if knows(stream, place) => knowing.push(*stream),
                Some(_) => others.push(*stream),
                None => {}
            }
        }
        match others.is_empty() {
            false => answer(&others, "will keep it in `_extra` until the catalog names it", UNSTORED),
            true => answer(&knowing, "can store it in a column already", "no stream stores what is beside its rows"),
        }
    }

    /// The streams with a column that holds a field, and the column.
    fn holding<'s>(&self, operation: &OperationName, streams: &[&'s Stream], name: &str) -> (Vec<&'s Stream>, String) {
        let mut column = String::new();
        let mut holding = Vec::new();
        for stream in streams {
            let Some(place) = self.place(operation, stream, name) else {
                continue;
            };
            let first = match &stream.rows {
                RowsAt::Texts { column } => column.as_str(),
                _ => place.split(['.', '[']).next().unwrap_or(place),
            };
            if stream.column(first).is_some() {
                first.clone_into(&mut column);
                holding.push(*stream);
            }
        }
        (holding, column)
    }

    /// Where a field stands within the rows of a stream; `None` when it stands elsewhere.
    fn place<'n>(&self, operation: &OperationName, stream: &Stream, name: &'n str) -> Option<&'n str> {
        let below = |rows: &str| name.strip_prefix(rows).and_then(|rest| rest.strip_prefix('.'));
        if stream.event_stream.as_ref().is_some_and(|path| *path == operation.path) {
            return below("event");
        }
        match &stream.rows {
            RowsAt::Body => Some(name),
            RowsAt::Members { names, .. } => names.iter().find_map(|member| below(&format!("{member}[]"))),
            RowsAt::Data => {
                let has = |place: &str| self.operations(operation).any(|known| known.answers.contains_key(place));
                let rows = ["data[]", "[]", "data"].into_iter().find(|place| has(place))?;
                below(rows)
            }
            RowsAt::Texts { .. } => ["data[]", "[]"].contains(&name).then_some(name),
        }
    }

    fn operations(&self, name: &OperationName) -> impl Iterator<Item = &Operation> {
        let find = |surface: &'_ Surface| -> Option<OperationName> {
            surface.operations.keys().find(|other| other.identity() == name.identity()).cloned()
        };
        let old = find(self.known).and_then(|name| self.known.operations.get(&name));
        let new = find(self.newer).and_then(|name| self.newer.operations.get(&name));
        old.into_iter().chain(new)
    }

    /// The streams that send one of `values`; with none, those that send a value that is not listed now.
    fn sending_values<'s>(
        &self,
        operation: &OperationName,
        streams: Vec<&'s Stream>,
        name: &str,
        values: &[String],
    ) -> Vec<&'s Stream> {
        let listed = self.operations(operation).last().and_then(|now| now.parameters.get(name));
        let bad = |value: &String| match values.is_empty() {
            true => listed.is_some_and(|now| !now.values.contains(value)),
            false => values.contains(value),
        };
        let asks = |stream: &&Stream| sent(stream).get(name).is_some_and(|values| values.iter().any(bad));
        streams.into_iter().filter(asks).collect()
    }
}

/// Whether a member of answers says where the next page is, or how many rows there are.
fn is_of_pages(name: &str) -> bool {
    let (place, last) = name.rsplit_once('.').unwrap_or(("", name));
    let told = ["next_cursor", "total_rows", "total_results", "totalCount", "has_more", "last_id"];
    ["", "info", "pagination", "summary"].contains(&place) && told.contains(&last)
        || ["info", "pagination"].contains(&name)
}

/// Whether neither pages nor proof of a stream depend on what stands beside its rows.
fn proves_nothing(stream: &Stream) -> bool {
    stream.pagination == Pagination::Single && stream.total != Total::Rows
}

fn new_operation(operation: &OperationName) -> &'static str {
    match operation.may_read() {
        true => "nothing of it is exported until a stream asks it",
        false => "it may write, so it is not asked unless it is known to read",
    }
}

fn sends(stream: &Stream, name: &str) -> bool {
    sent(stream).contains_key(name)
}

/// Whether a stream has a column, and within it a field, for what stands at `place` of its rows.
fn knows(stream: &Stream, place: &str) -> bool {
    let end = place.find(['.', '[']).unwrap_or(place.len());
    let (first, mut rest) = place.split_at(end);
    let Some(column) = stream.column(first) else {
        return false;
    };
    let mut at = &column.data_type;
    while !rest.is_empty() {
        at = match at {
            ColumnType::Json => return true,
            ColumnType::List(items) => {
                let Some(after) = rest.strip_prefix("[]") else { return false };
                rest = after;
                items
            }
            ColumnType::Struct(fields) => {
                let name = rest.trim_start_matches('.');
                let end = name.find(['.', '[']).unwrap_or(name.len());
                let Some((_, field)) = fields.iter().find(|(field, _)| *field == name[..end]) else { return false };
                rest = &name[end..];
                field
            }
            _ => return false,
        };
    }
    true
}

/// The streams and their fate, or what is so when there are none.
fn answer(streams: &[&Stream], fate: &str, none: &str) -> (Vec<String>, String) {
    let streams: Vec<String> = streams.iter().map(|stream| stream.name.clone()).collect();
    let words = match streams.is_empty() {
        true => none.to_owned(),
        false => format!("{} {fate}", named(&streams)),
    };
    (streams, words)
}

/// The first few by name, and how many more.
fn named(streams: &[String]) -> String {
    let mut listed: Vec<String> = streams.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    let rest = streams.len().saturating_sub(NAMED);
    if rest != 0 {
        listed.push(format!("{rest} more"));
    }
    match listed.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => listed.concat(),
    }
}
