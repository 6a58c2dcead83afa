//! Which columns and days a report's body asks for, in which order.

use serde_json::{Map, Value, json};

use catalog::model::column::{Column, ColumnType};
use catalog::model::day::Day;
use catalog::model::scope::ScopeKind;
use catalog::model::stream::{DaysKind, Pagination, RowsAt, Stream};

use super::days::Order;
use super::endpoint::{Endpoint, dimensions, is_positional, names};
use super::product::Product;
use super::question::is_single;
use super::rules;
use super::table::Conditions;
use super::world::{Place, World};
use super::zone::RowZone;

/// What rows are wanted: the columns of one answer, the scope and the days.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// The stream whose volume applies.
    pub(super) stream: String,
    /// What else than the place and the columns the rows are made from.
    pub(super) kind: String,
    /// The columns wanted, in the order of named rows, each with whether it tells rows apart.
    pub(super) columns: Vec<(Column, bool)>,
    /// The column that says the day.
    pub(super) day_column: Option<String>,
    /// Whose midnight ends a day.
    pub(super) zone: RowZone,
    /// The column that names the zone.
    pub(super) zone_column: Option<String>,
    /// The days asked for.
    pub(super) days: Vec<Day>,
    /// What is asked about.
    pub(super) place: Place,
    /// Whether assets that are not owned are left out.
    pub(super) owned_only: bool,
    /// Whether values stand in positions, where the schema allows hardly any nulls.
    pub(super) positional: bool,
    /// In which order the days come.
    pub(super) order: Order,
    /// How many rows a day has, unless told otherwise.
    pub(super) usual: Usual,
    /// The column that is above zero, or true, on every day with rows.
    pub(super) signal: Option<String>,
    /// Whether all figures are zero, as where there is nothing to count.
    pub(super) zero: bool,
}

impl Asked {
    /// What the column `name` holds in every row, if it is the same in all of them.
    pub(super) fn fixed(&self, name: &str) -> Option<&str> {
        let of_zone = (self.zone_column.as_deref() == Some(name)).then(|| self.zone.name());
        self.place.variables.get(name).map(String::as_str).or(of_zone)
    }
}

/// How many rows a day has, unless the account says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usual {
    /// As many as its grain suggests; now and then none.
    ByGrain,
    /// The same, and never none, because other streams tell that there are some.
    Steady,
    /// Always one.
    One,
    /// A few for each request.
    Few,
}

/// Which columns the answer has, which of them tell rows apart, and in which order the days come.
pub(super) fn asked(
    endpoint: &Endpoint,
    stream: &Stream,
    body: &Map<String, Value>,
    place: Place,
    days: Vec<Day>,
    world: &World,
    conditions: &Conditions<'_>,
) -> Asked {
    let own = dimensions(&stream.body);
    let grouped = !own.is_empty() || endpoint.sends("group_by") || endpoint.sends("dimensions");
    let wanted = dimensions(body);
    let metrics = match names(body, "metrics") {
        metrics if metrics.is_empty() => names(&stream.body, "metrics"),
        metrics => metrics,
    };
    let keys: Vec<_> = stream.key.iter().map(|path| path.split('.').next().unwrap_or(path)).collect();
    let mut columns: Vec<(Column, bool)> = Vec::new();
    let own_columns = stream.columns.iter().filter(|column| !column.from_request);
    let as_declared = same_names(&wanted, &own) && !own.is_empty();
    if grouped {
        let known_metrics = endpoint.metrics();
        for column in own_columns {
            let name = &column.name;
            // Beside what is asked for come the entity of the row and what an option adds.
            let grouping = own.contains(name) || endpoint.is_dimension(name);
            if !grouping && !known_metrics.contains(name) && option_is_on(stream, body, name) {
                columns.push((of_entity(column, stream, body), keys.contains(&name.as_str())));
            }
        }
        for name in &wanted {
            // Not every grouping is a member of rows: some bring members of other names.
            let told = !as_declared || stream.column(name).is_some();
            if told && !columns.iter().any(|(column, _)| column.name == *name) {
                // What a grouping adds to the key, the stream of that grouping knows best.
                columns.push((declared(endpoint, name), !as_declared || keys.contains(&name.as_str())));
            }
        }
        for name in &metrics {
            if let Some(column) = endpoint.column(name)
                && !columns.iter().any(|(column, _)| column.name == *name)
            {
                columns.push((column.clone(), false));
            }
        }
        // Rows come in the order of the declaration, as far as it goes.
        let place_of = |name: &str| stream.columns.iter().position(|column| column.name == name);
        columns.sort_by_key(|(column, _)| place_of(&column.name).unwrap_or(usize::MAX));
    } else {
        // All are bound, so that rows stay the same whichever of their columns are wanted.
        let key = |column: &Column| keys.contains(&column.name.as_str());
        columns.extend(own_columns.map(|column| (column.clone(), key(column))));
    }
    if let RowsAt::Members { names, column } = &stream.rows
        && let Some((member, _)) = columns.iter_mut().find(|(known, _)| known.name == *column)
    {
        member.values.clone_from(names);
    }
    let day_column = stream.days.as_ref().map(|days| days.column.clone());
    let carried = stream.days.as_ref().is_some_and(|days| days.kind == DaysKind::Dated);
    let dated = carried && day_column.as_ref().is_some_and(|day| columns.iter().any(|(column, _)| column.name == *day));
    let days = match dated {
        true => of_interval(days, body),
        // Without a date in the rows there is one figure for the whole window.
        false => days.into_iter().take(1).collect(),
    };
    Asked {
        stream: stream.name.clone(),
        kind: stream.query.clone(),
        columns,
        day_column,
        zone: RowZone::of(stream.days.as_ref(), conditions.account),
        zone_column: stream.days.as_ref().and_then(|days| days.zone_column.clone()),
        days,
        usual: usual(stream),
        signal: stream.signal.clone(),
        zero: Product::of(stream, &place, conditions.catalog, conditions.account, world) != Product::Present,
        place,
        // Reports of assets leave competitors out unless told.
        owned_only: endpoint.sends("scope") && body.get("scope").and_then(Value::as_str) != Some("all"),
        positional: is_positional(stream),
        order: order(stream, body, grouped),
    }
}

fn usual(stream: &Stream) -> Usual {
    let told_of = stream.signal.is_some() || stream.gate.is_some() || stream.expects.is_some();
    match (is_single(stream), stream.is_fan_out(), told_of) {
        (true, ..) => Usual::One,
        (false, true, _) => Usual::Few,
        (false, false, true) => Usual::Steady,
        (false, false, false) => Usual::ByGrain,
    }
}

fn same_names(some: &[String], others: &[String]) -> bool {
    some.len() == others.len() && some.iter().all(|name| others.contains(name))
}

/// The column of the row's entity under the name that `body` gives it; any other column as it is.
fn of_entity(column: &Column, stream: &Stream, body: &Map<String, Value>) -> Column {
    let own = stream.body.get("entity").and_then(Value::as_str);
    match body.get("entity").and_then(Value::as_str) {
        Some(entity) if own == Some(column.name.as_str()) => Column { name: entity.to_owned(), ..column.clone() },
        _ => column.clone(),
    }
}

/// Whether `include_<column>` is on, for columns that have such an option.
fn option_is_on(stream: &Stream, body: &Map<String, Value>, name: &str) -> bool {
    let option = format!("include_{name}");
    !stream.body.contains_key(&option) || body.get(&option) == Some(&json!(true))
}

/// The column `name` as any stream of the endpoint declares it, or as its neighbours look.
fn declared(endpoint: &Endpoint, name: &str) -> Column {
    if let Some(column) = endpoint.column(name) {
        return column.clone();
    }
    let named = |field: &str| (field.to_owned(), ColumnType::Utf8);
    let referenced = ColumnType::Struct(vec![named("id"), named("name")]);
    let by_reference = endpoint
        .streams
        .iter()
        .flat_map(|stream| &stream.columns)
        .any(|column| endpoint.is_dimension(&column.name) && column.data_type == referenced);
    let data_type = match (name, by_reference) {
        ("date" | "hour", _) => ColumnType::Date,
        (_, true) => referenced,
        (_, false) => ColumnType::Utf8,
    };
    Column {
        name: name.to_owned(),
        data_type,
        about: String::new(),
        unit: None,
        range: None,
        values: Vec::new(),
        long_text: false,
        from_request: false,
    }
}

/// The columns that are written; `None` is all. Those that `include` may name are left out unless it does: version 2
/// has a list, version 1 an object of switches.
pub(super) fn included(stream: &Stream, body: &Map<String, Value>) -> Option<Vec<String>> {
    let (optional, switches) = match stream.body.get("include")? {
        Value::Array(_) => (names(&stream.body, "include"), false),
        Value::Object(switches) => (switches.keys().cloned().collect(), true),
        _ => return None,
    };
    // Version 2 leaves the longest one out unless named, version 1 leaves ids out.
    let usual = |name: &&String| if switches { !name.ends_with("_id") } else { *name != "citation_details" };
    let given: Vec<String> = match body.get("include") {
        Some(Value::Array(_)) => names(body, "include"),
        Some(Value::Object(switches)) => {
            switches.iter().filter(|(_, on)| **on == json!(true)).map(|(name, _)| name.clone()).collect()
        }
        _ => optional.iter().filter(usual).cloned().collect(),
    };
    let written = stream.columns.iter().map(|column| &column.name);
    Some(written.filter(|name| given.contains(name) || !optional.contains(name)).cloned().collect())
}

/// The first days of each week or month, where those are asked for.
fn of_interval(days: Vec<Day>, body: &Map<String, Value>) -> Vec<Day> {
    let interval = body.get("interval").or_else(|| body.get("date_interval")).and_then(Value::as_str);
    let first = |day: &Day| match interval {
        // 1970-01-05 was a Monday.
        Some("week") => (day.to_epoch_days() - 4).rem_euclid(7) == 0,
        Some("month") => day.to_string().ends_with("-01"),
        _ => true,
    };
    days.into_iter().filter(first).collect()
}

fn order(stream: &Stream, body: &Map<String, Value>, grouped: bool) -> Order {
    let Some(day_column) = stream.days.as_ref().map(|days| days.column.as_str()) else {
        return Order::Ascending;
    };
    match stream.pagination {
        Pagination::Offset { .. } if grouped => {
            let first = body.get("order_by").and_then(Value::as_object).and_then(|order| order.iter().next());
            match first {
                Some((name, direction)) if name == day_column && direction == "desc" => Order::Descending,
                Some((name, _)) if name == day_column => Order::Ascending,
                // Sorted by something else first, or by a figure as is the default.
                _ => Order::Interleaved,
            }
        }
        _ if grouped => Order::Interleaved,
        // Answers come newest first.
        _ => Order::Descending,
    }
}

/// Whether `order_by` leaves out a dimension that it could name, so that its order is not total.
pub(super) fn leaves_ties(stream: &Stream, body: &Map<String, Value>) -> bool {
    if !matches!(stream.pagination, Pagination::Offset { .. }) {
        return false;
    }
    let order = body.get("order_by").and_then(Value::as_object);
    dimensions(body).iter().any(|name| {
        let may = stream.scope != ScopeKind::Domain || rules::may_order_bots(name);
        may && !order.is_some_and(|order| order.contains_key(name))
    })
}

/// Rows of version 1 event streams name their objects by reference, as the published examples show.
pub(super) fn name_references(asked: &mut Asked) {
    for (column, _) in &mut asked.columns {
        let is_object = matches!(column.name.as_str(), "model" | "topic" | "region" | "persona" | "prompt");
        if is_object && column.data_type == ColumnType::Utf8 {
            let named = |field: &str| (field.to_owned(), ColumnType::Utf8);
            column.data_type = ColumnType::Struct(vec![named("id"), named("name")]);
        }
    }
}
