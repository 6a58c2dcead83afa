//! What a difference means for the streams.

use std::sync::Arc;

use super::difference::{Change, DifferenceKind};
use super::sent::sent;
use super::surface::{OperationName, Surface, SurfaceMember};
use crate::catalog::Catalog;
use crate::model::column::ColumnType;
use crate::model::stream::{Pagination, RowsAt, Stream, Total};

/// Streams that a sentence names; the rest are counted.
const NAMED: usize = 4;

pub(super) struct Impact<'a> {
    pub catalog: &'a Catalog,
    pub known: &'a Surface,
    pub newer: &'a Surface,
}

impl Impact<'_> {
    /// The streams that `change` affects, and what happens to them.
    pub fn of(&self, change: &Change<'_>) -> (Vec<String>, String) {
        use DifferenceKind as Kind;
        let streams = self.streams_of(change.operation);
        match change.kind {
            Kind::NewOperation if change.operation.may_read() => affected(&streams, "use it already", "not exported"),
            Kind::NewOperation => affected(&streams, "use it already", "may write, so no stream may use it"),
            Kind::RemovedOperation => affected(&streams, "will fail", "no stream uses it"),
            Kind::DeprecatedOperation => affected(&streams, "will fail once it is removed", "no stream uses it"),
            Kind::NewParameter | Kind::RemovedParameter | Kind::ChangedParameter => {
                let rejected: Vec<&Stream> = streams.into_iter().filter(|stream| is_rejected(stream, change)).collect();
                affected(&rejected, "may be rejected", "no stream is affected")
            }
            Kind::NewField => {
                let undeclared = |stream: &&Stream| {
                    self.row_path(change, stream).is_some_and(|path| column_of(stream, path).is_none())
                };
                let keeping: Vec<&Stream> = streams.into_iter().filter(undeclared).collect();
                affected(
                    &keeping,
                    "will store it in `_extra` until the catalog declares it",
                    "already declared, or outside of rows",
                )
            }
            Kind::RemovedField | Kind::ChangedField if self.holds_rows(&streams, change.name) => {
                affected(&streams, "will find no rows that they can decode", "")
            }
            Kind::RemovedField | Kind::ChangedField if is_page_info(change.name) => {
                let paging: Vec<&Stream> = streams.into_iter().filter(|stream| needs_page_info(stream)).collect();
                affected(&paging, "will miss the next page or the proof of completeness", "no stream needs it")
            }
            Kind::RemovedField | Kind::ChangedField => {
                let stores = |stream: &&Stream| self.row_path(change, stream).is_some_and(|path| first(stream, path));
                let storing: Vec<&Stream> = streams.into_iter().filter(stores).collect();
                let types = |member: Option<&SurfaceMember>| member.map(|member| member.types.clone());
                let fate = match change.kind {
                    Kind::RemovedField => "will store null in its column",
                    _ if types(change.old) == types(change.new) => "will store the values they receive",
                    _ => "will fail where a value does not fit its column",
                };
                affected(&storing, fate, "no stream stores it")
            }
        }
    }

    /// The streams that request an operation, by pages or as an event stream.
    fn streams_of(&self, operation: &OperationName) -> Vec<&Stream> {
        let is = |method: &str, path: &str| OperationName::new(method, path).identity() == operation.identity();
        let uses = |stream: &&Stream| {
            let line = stream.request.to_string();
            let (method, path) = line.split_once(' ').unwrap_or_default();
            is(method, path) || stream.event_stream.as_ref().is_some_and(|path| is("POST", path))
        };
        self.catalog.streams().map(Arc::as_ref).filter(uses).collect()
    }

    fn holds_rows(&self, streams: &[&Stream], name: &str) -> bool {
        let holder = name.strip_suffix("[]").unwrap_or(name);
        streams.iter().any(|stream| match &stream.rows {
            RowsAt::Data | RowsAt::Texts { .. } => ["data", "", "event"].contains(&holder),
            RowsAt::Members { names, .. } => names.iter().any(|name| name == holder),
            RowsAt::Body => false,
        })
    }

    /// The path of a response field within a row of `stream`; none where it is outside of rows.
    fn row_path<'n>(&self, change: &Change<'n>, stream: &Stream) -> Option<&'n str> {
        let below = |rows: &str| change.name.strip_prefix(rows).and_then(|rest| rest.strip_prefix('.'));
        if stream.event_stream.as_ref().is_some_and(|path| *path == change.operation.path) {
            return below("event");
        }
        match &stream.rows {
            RowsAt::Body => Some(change.name),
            RowsAt::Members { names, .. } => names.iter().find_map(|member| below(&format!("{member}[]"))),
            RowsAt::Data => {
                let operations = || [self.known, self.newer].into_iter().filter_map(|all| all.find(change.operation));
                let has = |path: &&str| operations().any(|(_, operation)| operation.response.contains_key(*path));
                below(["data[]", "[]", "data"].into_iter().find(has)?)
            }
            RowsAt::Texts { .. } => ["data[]", "[]"].contains(&change.name).then_some(change.name),
        }
    }
}

/// Whether the API may reject requests of `stream` after a change of a parameter.
fn is_rejected(stream: &Stream, change: &Change<'_>) -> bool {
    let sent = sent(stream);
    match (sent.get(change.name), change.old, change.new) {
        (None, old, Some(new)) => new.required && !old.is_some_and(|old| old.required),
        (Some(_), Some(_), None) => true,
        (Some(values), Some(old), Some(new)) => {
            let is_unlisted = |value: &String| !new.values.is_empty() && !new.values.contains(value);
            old.types != new.types || values.iter().any(is_unlisted)
        }
        _ => false,
    }
}

/// Whether a response field leads to the next page, or announces how many rows there are.
fn is_page_info(name: &str) -> bool {
    let (place, last) = name.rsplit_once('.').unwrap_or(("", name));
    let fields = ["next_cursor", "total_rows", "total_results", "totalCount", "has_more", "last_id"];
    ["", "info", "pagination", "summary"].contains(&place) && fields.contains(&last)
        || ["info", "pagination"].contains(&name)
}

fn needs_page_info(stream: &Stream) -> bool {
    stream.pagination != Pagination::Single || stream.total == Total::Rows
}

/// Whether `stream` has a column for the first step of a path within its rows.
fn first(stream: &Stream, path: &str) -> bool {
    match &stream.rows {
        RowsAt::Texts { .. } => true,
        _ => stream.column(path.split(['.', '[']).next().unwrap_or(path)).is_some(),
    }
}

/// The type declared for a path within rows: a column, or a field within one.
fn column_of<'a>(stream: &'a Stream, path: &str) -> Option<&'a ColumnType> {
    let mut steps = path.split(['.', '[']);
    let mut at = &stream.column(steps.next()?)?.data_type;
    for step in steps {
        at = match at {
            ColumnType::Json => return Some(at),
            ColumnType::List(items) if step == "]" => items,
            ColumnType::Struct(fields) => &fields.iter().find(|(field, _)| field == step)?.1,
            _ => return None,
        };
    }
    Some(at)
}

/// The names of `streams` and what happens to them, or what holds when there are none.
fn affected(streams: &[&Stream], fate: &str, none: &str) -> (Vec<String>, String) {
    let names: Vec<String> = streams.iter().map(|stream| stream.name.clone()).collect();
    let mut listed: Vec<String> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    if names.len() > NAMED {
        listed.push(format!("{} more", names.len() - NAMED));
    }
    let text = match listed.split_last() {
        None => none.to_owned(),
        Some((last, [])) => format!("{last} {fate}"),
        Some((last, others)) => format!("{} and {last} {fate}", others.join(", ")),
    };
    (names, text)
}
