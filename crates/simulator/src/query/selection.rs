//! Which columns and days a report's body selects, in which order.

use std::sync::Arc;

use catalog::model::column::{Column, ColumnType};
use catalog::model::day::Day;
use catalog::model::stream::{DaysKind, Pagination, RowsAt, Stream};
use serde_json::{Map, Value};

use crate::data::dataset::Dataset;
use crate::data::day_rows::DayOrder;
use crate::data::generated::GeneratedRows;
use crate::data::lists::{METADATA_PATH, list_objects, list_rows};
use crate::data::objects::{Object, Subject, text};
use crate::data::products::ProductState;
use crate::data::row_spec::{RowSpec, RowVolume, SpecColumn};
use crate::data::row_zone::RowZone;
use crate::data::rows::Rows;
use crate::data::stream_shape::{is_single, sends_days};

use super::endpoint::Endpoint;
use super::parameters::{Parameters, dimensions, member, names, parse_query};
use super::validation::can_order_by;

/// All rows of one request.
pub(crate) fn select_rows(
    endpoint: &Endpoint,
    stream: &Arc<Stream>,
    parameters: &Parameters,
    subject: &Subject,
    days: &[Day],
    dataset: &Dataset,
) -> Rows {
    if dataset.product(stream, subject) == ProductState::Absent && !is_single(stream) {
        return Rows::List(Vec::new());
    }
    if stream.is_dated() {
        let spec = select(endpoint, stream, &parameters.body, subject, days, dataset);
        return Rows::Generated(Box::new(GeneratedRows::new(&spec, dataset)));
    }
    let objects = filter_list(list_objects(stream, subject, dataset), stream, parameters);
    Rows::List(list_rows(objects, stream, dataset))
}

/// All rows of one request as `stream` makes it.
pub(crate) fn stream_rows(stream: &Arc<Stream>, subject: &Subject, days: &[Day], dataset: &Dataset) -> Rows {
    if dataset.product(stream, subject) == ProductState::Absent {
        return Rows::List(Vec::new());
    }
    let parameters = Parameters { body: stream.body.clone(), query: parse_query(&stream.query) };
    select_rows(&Endpoint::from_stream(stream.clone()), stream, &parameters, subject, days, dataset)
}

fn select(
    endpoint: &Endpoint,
    stream: &Arc<Stream>,
    body: &Map<String, Value>,
    subject: &Subject,
    days: &[Day],
    dataset: &Dataset,
) -> RowSpec {
    let is_grouped = !dimensions(&stream.body).is_empty() || endpoint.sends("group_by") || endpoint.sends("dimensions");
    let mut columns = if is_grouped { grouped_columns(endpoint, stream, body) } else { own_columns(stream) };
    if let RowsAt::Members { names, column } = &stream.rows
        && let Some(member) = columns.iter_mut().find(|known| known.column.name == *column)
    {
        member.column.values.clone_from(names);
    }
    if endpoint.is_event_stream && endpoint.is_positional() && dataset.account.named_events {
        columns.iter_mut().for_each(|selected| name_reference(&mut selected.column));
    }
    let has_day = stream.days.as_ref().is_some_and(|days| {
        days.kind == DaysKind::Dated && columns.iter().any(|selected| selected.column.name == days.column)
    });
    let days = if sends_days(stream) { days } else { std::slice::from_ref(&dataset.first_day) };
    RowSpec {
        stream: stream.clone(),
        columns,
        zone: RowZone::new(stream.days.as_ref(), &dataset.account),
        days: days.to_vec(),
        is_one_figure: !has_day,
        volume: volume(stream),
        zero: dataset.product(stream, subject) != ProductState::Present,
        subject: subject.clone(),
        // Reports of assets leave competitors out by default.
        owned_only: endpoint.sends("scope") && member(body, "scope") != Some("all"),
        order: order(stream, body, is_grouped),
    }
}

fn key_columns(stream: &Stream) -> Vec<&str> {
    stream.key.iter().map(|path| path.split('.').next().unwrap_or(path)).collect()
}

/// All columns of the stream, so that rows stay the same whichever of their columns are written.
fn own_columns(stream: &Stream) -> Vec<SpecColumn> {
    let keys = key_columns(stream);
    let columns = stream.columns.iter().filter(|column| !column.from_request);
    let select = |column: &Column| SpecColumn { is_key: keys.contains(&column.name.as_str()), column: column.clone() };
    columns.map(select).collect()
}

/// The columns of a grouped report: those that are always there, the groupings and the metrics.
fn grouped_columns(endpoint: &Endpoint, stream: &Stream, body: &Map<String, Value>) -> Vec<SpecColumn> {
    let (own, wanted) = (dimensions(&stream.body), dimensions(body));
    let keys = key_columns(stream);
    let is_key = |name: &str| keys.contains(&name);
    let is_as_declared = !own.is_empty() && own.len() == wanted.len() && own.iter().all(|name| wanted.contains(name));
    let known_metrics = endpoint.metrics();
    let mut columns: Vec<SpecColumn> = Vec::new();
    for column in stream.columns.iter().filter(|column| !column.from_request) {
        let name = &column.name;
        // The entity of the row, and what options add.
        let is_grouping = own.contains(name) || endpoint.is_dimension(name);
        if !is_grouping && !known_metrics.contains(name) && is_option_on(stream, body, name) {
            columns.push(SpecColumn { column: column.clone(), is_key: is_key(name) });
        }
    }
    let mut add = |column: Column, is_key: bool| {
        if !columns.iter().any(|known| known.column.name == column.name) {
            columns.push(SpecColumn { column, is_key });
        }
    };
    for name in &wanted {
        // Not every grouping is a member of rows: some add members of other names.
        let column = if is_as_declared { stream.column(name) } else { endpoint.column(name) };
        // What a grouping adds to the key, the stream of that grouping knows best.
        column.into_iter().for_each(|column| add(column.clone(), !is_as_declared || is_key(name)));
    }
    let metrics = names(body, "metrics");
    let metrics = if metrics.is_empty() { names(&stream.body, "metrics") } else { metrics };
    for column in metrics.iter().filter_map(|name| endpoint.column(name)) {
        add(column.clone(), false);
    }
    // Rows come in the order of the declaration, as far as it goes.
    let place = |name: &str| stream.columns.iter().position(|column| column.name == name);
    columns.sort_by_key(|selected| place(&selected.column.name).unwrap_or(stream.columns.len()));
    columns
}

fn volume(stream: &Stream) -> RowVolume {
    let is_relied_on = stream.signal.is_some() || stream.gate.is_some() || stream.expects.is_some();
    match (is_single(stream), stream.is_fan_out(), is_relied_on) {
        (true, ..) => RowVolume::One,
        (false, true, _) => RowVolume::Few,
        (false, false, true) => RowVolume::Steady,
        (false, false, false) => RowVolume::ByGrain,
    }
}

/// Whether `include_<column>` is on, for columns that have such an option.
fn is_option_on(stream: &Stream, body: &Map<String, Value>, name: &str) -> bool {
    let option = format!("include_{name}");
    !stream.body.contains_key(&option) || body.get(&option).is_some_and(|on| on == true)
}

/// Rows of version 1 event streams name their objects by reference, as the published examples show.
fn name_reference(column: &mut Column) {
    let is_object = matches!(column.name.as_str(), "model" | "topic" | "region" | "persona" | "prompt");
    if is_object && column.data_type == ColumnType::Utf8 {
        column.data_type = ColumnType::Struct(["id", "name"].map(|field| (field.to_owned(), ColumnType::Utf8)).into());
    }
}

/// The columns that are written; `None` is all. Those that `include` may name are left out unless it does: version 2
/// has a list, version 1 an object of switches.
pub(crate) fn included(stream: &Stream, body: &Map<String, Value>) -> Option<Vec<String>> {
    // Version 1 leaves ids out by default, version 2 the longest column.
    let (optional, is_usual): (Vec<String>, fn(&str) -> bool) = match stream.body.get("include")? {
        Value::Array(_) => (names(&stream.body, "include"), |name| name != "citation_details"),
        Value::Object(switches) => (switches.keys().cloned().collect(), |name| !name.ends_with("_id")),
        _ => return None,
    };
    let is_included = |name: &String| match body.get("include") {
        Some(Value::Array(given)) => given.iter().any(|one| one == name),
        Some(Value::Object(switches)) => switches.get(name).is_some_and(|switch| switch == true),
        _ => is_usual(name),
    };
    let written = stream.columns.iter().map(|column| &column.name);
    Some(written.filter(|name| !optional.contains(name) || is_included(name)).cloned().collect())
}

fn order(stream: &Stream, body: &Map<String, Value>, is_grouped: bool) -> DayOrder {
    let Some(days) = &stream.days else { return DayOrder::OldestFirst };
    let first = body.get("order_by").and_then(Value::as_object).and_then(|order| order.iter().next());
    match (&stream.pagination, first) {
        // Answers come newest first.
        _ if !is_grouped => DayOrder::NewestFirst,
        (Pagination::Offset { .. }, Some((name, direction))) if *name == days.column => {
            if direction == "desc" {
                DayOrder::NewestFirst
            } else {
                DayOrder::OldestFirst
            }
        }
        // Sorted by something else first, or by a figure as is the default.
        _ => DayOrder::Interleaved,
    }
}

/// Whether `order_by` leaves out a dimension that it could name, so that rows may be equal in its order.
pub(crate) fn leaves_ties(stream: &Stream, body: &Map<String, Value>) -> bool {
    let order = body.get("order_by").and_then(Value::as_object);
    let is_open =
        |name: &String| can_order_by(stream.scope, name) && !order.is_some_and(|order| order.contains_key(name));
    matches!(stream.pagination, Pagination::Offset { .. }) && dimensions(body).iter().any(is_open)
}

/// The objects of a list that the query string selects, in its order.
fn filter_list(mut objects: Vec<Object>, stream: &Stream, parameters: &Parameters) -> Vec<Object> {
    let given = |name: &str| -> Vec<&str> {
        let values = parameters.query.iter().filter(|(given, _)| given == name);
        values.flat_map(|(_, value)| value.split(',')).collect()
    };
    if matches!(stream.pagination, Pagination::QueryCursor { .. }) && stream.request.path.starts_with(METADATA_PATH) {
        let given_status = given("status");
        let status = if given_status.is_empty() { vec!["active"] } else { given_status };
        objects.retain(|object| !object.contains_key("status") || status.contains(&text(object, "status").as_str()));
        if given("order_dir") != ["asc"] {
            objects.reverse();
        }
    }
    objects
}
