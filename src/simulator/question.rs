//! From a request to the rows it asks for.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::model::column::{Column, ColumnType};
use crate::model::day::{Day, DayZone};
use crate::model::scope::ScopeKind;
use crate::model::stream::{Pagination, Stream, WindowEnd};

use super::axis::{Axis, invented, told};
use super::cursor;
use super::days::Order;
use super::endpoint::{Endpoint, dimensions, names};
use super::hash::mix;
use super::refusal::Refusal;
use super::rules::{self, CURSOR_DEFAULT, OFFSET_LIMITS};
use super::table::{Asked, Conditions, Table};
use super::words;
use super::world::{Entry, Place, World, object, reference, text};
use super::write::encoded;

/// A request understood: which rows, how they are written, and which of them this page holds.
#[derive(Debug)]
pub(super) struct Question {
    /// The stream it is most like.
    pub(super) stream: Arc<Stream>,
    /// What it is about.
    pub(super) place: Place,
    /// All rows it asks for.
    pub(super) rows: Rows,
    /// How a row is written.
    pub(super) shape: Shape,
    /// The first row of this page.
    pub(super) offset: u64,
    /// Rows of this page at most; `None` is all.
    pub(super) limit: Option<u64>,
    /// What cursors of this request are bound to.
    pub(super) fingerprint: u64,
    /// The columns that are written; `None` is all.
    pub(super) shown: Option<Vec<String>>,
    /// The first and the last day, for reports.
    pub(super) window: Option<(Day, Day)>,
}

/// Rows of a list are ready, rows of a report are made on the way.
#[derive(Debug)]
pub(super) enum Rows {
    /// JSON objects.
    List(Vec<Box<[u8]>>),
    /// Rows yet to be made.
    Table(Box<Table>),
}

/// How a row is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// An object of named values.
    Named,
    /// `dimensions` and `metrics`, by position.
    Positional { dimensions: Vec<String>, metrics: Vec<String> },
}

impl Rows {
    pub(super) fn total(&self) -> u64 {
        match self {
            Self::List(rows) => rows.len() as u64,
            Self::Table(table) => table.total(),
        }
    }
}

/// The parameters of a request, wherever they stood.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    pub(super) body: Map<String, Value>,
    /// Names and values, decoded, without the key.
    pub(super) query: Vec<(String, String)>,
}

impl Parameters {
    fn query_value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

/// Names and values of a query string, decoded.
pub(super) fn parse_query(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// Understands a request, or says why it cannot be answered.
pub(super) fn understand(
    endpoint: &Endpoint,
    parameters: &Parameters,
    world: &World,
    conditions: &Conditions<'_>,
) -> Result<Question, Refusal> {
    let body = &parameters.body;
    rules::check(endpoint, body)?;
    let stream = endpoint.nearest(body).clone();
    let place = place_of(endpoint, &stream, body, world)?;
    let fingerprint = fingerprint(endpoint, parameters, world.seed);
    let (offset, limit) = page(endpoint, &stream, parameters, fingerprint)?;
    if !stream.is_dated() {
        let entries = listed(&stream, &place, world);
        let entries = chosen(entries, &stream, parameters);
        let row = |(index, entry): (usize, &Entry)| list_row(entry, &stream.columns, index);
        let rows = Rows::List(entries.iter().enumerate().map(row).collect());
        let (shape, shown, window) = (Shape::Named, None, None);
        return Ok(Question { stream, place, rows, shape, offset, limit, fingerprint, shown, window });
    }
    let (first, last) = window(&stream, body, conditions)?;
    let days: Vec<_> = (0..=last.since(first)).map(|days| first.plus(days)).collect();
    let mut asked = asked(endpoint, &stream, body, place.clone(), days);
    let shape = shape(endpoint, body, conditions);
    if shape == Shape::Named && endpoint.event && endpoint.is_positional() {
        name_references(&mut asked);
    }
    let mut table = Table::new(&asked, world, conditions);
    if let Some(limit) = limit.filter(|_| !endpoint.event && leaves_ties(&stream, body)) {
        table.turn(offset / limit.max(1) * 7);
    }
    let rows = Rows::Table(Box::new(table));
    let shown = included(&stream, body);
    Ok(Question { stream, place, rows, shape, offset, limit, fingerprint, shown, window: Some((first, last)) })
}

/// The rows of one slice as its stream asks for them, whole.
pub(super) fn slice(
    stream: &Arc<Stream>,
    place: &Place,
    days: &[Day],
    world: &World,
    conditions: &Conditions<'_>,
) -> Rows {
    let endpoint = Endpoint::of(stream.clone());
    if !stream.is_dated() {
        let parameters = Parameters { body: Map::new(), query: parse_query(&stream.query) };
        let entries = chosen(listed(stream, place, world), stream, &parameters);
        return Rows::List(
            entries.iter().enumerate().map(|(index, entry)| list_row(entry, &stream.columns, index)).collect(),
        );
    }
    let asked = asked(&endpoint, stream, &stream.body, place.clone(), days.to_vec());
    Rows::Table(Box::new(Table::new(&asked, world, conditions)))
}

/// What cursors are bound to: path variables, query and body, all but the cursor.
fn fingerprint(endpoint: &Endpoint, parameters: &Parameters, seed: u64) -> u64 {
    let query: Vec<_> = parameters.query.iter().filter(|(name, _)| name != "cursor").collect();
    let whole = json!({ "body": parameters.body, "query": query, "path": endpoint.variables,
        "endpoint": endpoint.streams[0].request.path });
    cursor::fingerprint(seed, &whole)
}

fn place_of(endpoint: &Endpoint, stream: &Stream, body: &Map<String, Value>, world: &World) -> Result<Place, Refusal> {
    let mut place = Place::default();
    let given = |name: &str| {
        let in_path = endpoint.variables.get(name).map(String::as_str);
        in_path.or_else(|| body.get(name).and_then(Value::as_str))
    };
    if let Some(id) = given("category_id") {
        let found = world.categories.iter().position(|category| category.entry["id"] == id);
        place.category = Some(found.ok_or_else(|| Refusal::not_found("Category"))?);
    }
    if let Some(id) = given("organization_id")
        && !world.organizations.iter().any(|organization| organization["id"] == id)
    {
        return Err(Refusal::not_found("Organization"));
    }
    if stream.scope == ScopeKind::Domain {
        let host = given("domain").unwrap_or_default();
        let found = world.domain(host, given("organization_id"));
        place.domain = Some(found.ok_or_else(|| Refusal::not_found("Domain"))?);
    }
    if stream.scope == ScopeKind::CategoryAsset {
        let wanted = given("asset").or_else(|| given("asset_id")).unwrap_or_default();
        let assets = world.category(&place).map(|category| category.assets.as_slice()).unwrap_or_default();
        let found = assets.iter().position(|asset| asset["name"] == wanted || asset["id"] == wanted);
        place.asset = Some(found.ok_or_else(|| Refusal::not_found("Asset"))?);
    }
    Ok(place)
}

/// Where the page begins, and how many rows it may hold.
fn page(
    endpoint: &Endpoint,
    stream: &Stream,
    parameters: &Parameters,
    fingerprint: u64,
) -> Result<(u64, Option<u64>), Refusal> {
    let body = &parameters.body;
    let at = |token: Option<&str>| match token {
        None => Ok(0),
        Some(token) => cursor::offset(fingerprint, token).ok_or_else(|| Refusal::unsupported("Invalid cursor")),
    };
    match stream.pagination {
        Pagination::Single => Ok((0, None)),
        Pagination::Offset { .. } => match body.get("pagination") {
            Some(Value::Null) => Ok((0, None)),
            None if endpoint.event => Ok((0, None)),
            pagination => {
                let number = |name| pagination.and_then(|pagination| pagination.get(name)).and_then(Value::as_u64);
                Ok((number("offset").unwrap_or(0), Some(number("limit").unwrap_or(OFFSET_LIMITS.1))))
            }
        },
        Pagination::Cursor { .. } if endpoint.event => Ok((0, body.get("max_results").and_then(Value::as_u64))),
        Pagination::Cursor { .. } => {
            let limit = body.get("limit").and_then(Value::as_u64).unwrap_or(CURSOR_DEFAULT);
            Ok((at(body.get("cursor").and_then(Value::as_str))?, Some(limit)))
        }
        Pagination::QueryCursor => {
            let given = parameters.query_value("limit").map(str::parse::<u64>);
            let limit = match given {
                None => 10_000,
                Some(Ok(limit)) if (1..=10_000).contains(&limit) => limit,
                Some(_) => {
                    let message = "Input should be greater than 0 and less than or equal to 10000";
                    let input = json!(parameters.query_value("limit"));
                    return Err(Refusal::invalid(&["query", "limit"], message, "less_than_equal", &input));
                }
            };
            Ok((at(parameters.query_value("cursor"))?, Some(limit)))
        }
    }
}

/// The first and the last day asked for.
fn window(stream: &Stream, body: &Map<String, Value>, conditions: &Conditions<'_>) -> Result<(Day, Day), Refusal> {
    let Some(days) = &stream.days else {
        return Ok((conditions.first_day, conditions.first_day));
    };
    let closed = matches!(stream.pagination, Pagination::Cursor { .. });
    let day = |name: &str| -> Result<Option<Day>, Refusal> {
        let Some(value) = body.get(name).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let text = value.as_str().unwrap_or_default();
        // Version 1 takes times too; whole days are all that is simulated.
        let text = if closed { text } else { text.get(..10).unwrap_or(text) };
        let wrong =
            |_| Refusal::invalid(&["body", name], "Input should be a date as YYYY-MM-DD", "date_parsing", value);
        text.parse().map(Some).map_err(wrong)
    };
    let today = days.zone.today(conditions.now);
    let start = day("start_date")?.unwrap_or(today);
    let exclusive = days.end == WindowEnd::Exclusive || !conditions.account.inclusive_v2;
    let last = match (day("end_date")?, exclusive) {
        // Bots and referrals go on until now.
        (None, _) => today,
        (Some(end), true) => end.plus(-1),
        (Some(end), false) => end,
    };
    if last < start && !(closed && exclusive && last.next() == start) {
        return Err(Refusal::unsupported("start_date must be before end_date"));
    }
    Ok((start, last))
}

/// Which columns the answer has, which of them tell rows apart, and in which order the days come.
fn asked(endpoint: &Endpoint, stream: &Arc<Stream>, body: &Map<String, Value>, place: Place, days: Vec<Day>) -> Asked {
    let own = dimensions(&stream.body);
    let grouped = !own.is_empty() || endpoint.sends("group_by") || endpoint.sends("dimensions");
    let wanted = dimensions(body);
    let metrics = match names(body, "metrics") {
        metrics if metrics.is_empty() => names(&stream.body, "metrics"),
        metrics => metrics,
    };
    let keys: Vec<_> = stream.key.iter().map(|path| path.split('.').next().unwrap_or(path)).collect();
    let mut columns: Vec<(Column, bool)> = Vec::new();
    if grouped {
        let known_metrics = endpoint.metrics();
        for column in &stream.columns {
            let name = &column.name;
            // Beside what is asked for come the entity of the row and what an option adds.
            let grouping = own.contains(name) || endpoint.is_dimension(name);
            if !grouping && !known_metrics.contains(name) && option_is_on(stream, body, name) {
                columns.push((of_entity(column, stream, body), keys.contains(&name.as_str())));
            }
        }
        for name in &wanted {
            if !columns.iter().any(|(column, _)| column.name == *name) {
                columns.push((declared(endpoint, name), true));
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
        columns.extend(stream.columns.iter().map(|column| (column.clone(), key(column))));
    }
    let day_column = stream.days.as_ref().map(|days| days.column.clone());
    let dated = day_column.as_ref().is_some_and(|day| columns.iter().any(|(column, _)| column.name == *day));
    let days = match dated || !grouped {
        true => of_interval(days, body),
        // Without a date in the rows there is one figure for the whole window.
        false => days.into_iter().take(1).collect(),
    };
    Asked {
        stream: stream.name.clone(),
        columns,
        day_column,
        zone: stream.days.as_ref().map_or(DayZone::Utc, |days| days.zone),
        days,
        place,
        // Reports of assets leave competitors out unless told.
        owned_only: endpoint.sends("scope") && body.get("scope").and_then(Value::as_str) != Some("all"),
        positional: stream.positional_names().is_some(),
        order: order(stream, body, grouped),
    }
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
    }
}

/// The columns that `include` names; `None` is all. Version 2 has a list, version 1 an object of switches.
fn included(stream: &Stream, body: &Map<String, Value>) -> Option<Vec<String>> {
    match body.get("include") {
        Some(Value::Array(_)) => Some(names(body, "include")),
        Some(Value::Object(switches)) => {
            let on = switches.iter().filter(|(_, on)| **on == json!(true));
            Some(on.map(|(name, _)| name.clone()).collect())
        }
        _ => match stream.body.get("include") {
            // Version 2 leaves the longest one out unless named, version 1 leaves ids out.
            Some(Value::Array(_)) => {
                Some(names(&stream.body, "include").into_iter().filter(|name| name != "citation_details").collect())
            }
            Some(Value::Object(switches)) => {
                Some(switches.keys().filter(|name| !name.ends_with("_id")).cloned().collect())
            }
            _ => None,
        },
    }
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
fn leaves_ties(stream: &Stream, body: &Map<String, Value>) -> bool {
    if !matches!(stream.pagination, Pagination::Offset { .. }) {
        return false;
    }
    let order = body.get("order_by").and_then(Value::as_object);
    dimensions(body).iter().any(|name| {
        let may = stream.scope != ScopeKind::Domain || rules::may_order_bots(name);
        may && !order.is_some_and(|order| order.contains_key(name))
    })
}

fn shape(endpoint: &Endpoint, body: &Map<String, Value>, conditions: &Conditions<'_>) -> Shape {
    if !endpoint.is_positional() || (endpoint.event && conditions.account.named_events) {
        return Shape::Named;
    }
    let in_order = |mut names: Vec<String>| {
        names.sort();
        names.dedup();
        if conditions.account.reverse_positions {
            names.reverse();
        }
        names
    };
    Shape::Positional { dimensions: in_order(dimensions(body)), metrics: in_order(names(body, "metrics")) }
}

/// Rows of version 1 event streams name their objects by reference, as the published examples show.
fn name_references(asked: &mut Asked) {
    for (column, _) in &mut asked.columns {
        let is_object = matches!(column.name.as_str(), "model" | "topic" | "region" | "persona" | "prompt");
        if is_object && column.data_type == ColumnType::Utf8 {
            let named = |field: &str| (field.to_owned(), ColumnType::Utf8);
            column.data_type = ColumnType::Struct(vec![named("id"), named("name")]);
        }
    }
}

/// The objects of a list.
fn listed(stream: &Stream, place: &Place, world: &World) -> Vec<Entry> {
    let with = |entry: &Entry, category: &Entry, owner: usize| {
        let mut entry = entry.clone();
        entry.insert("category".into(), Value::Object(category.clone()));
        entry.insert("organization".into(), reference(&world.organizations[owner]));
        entry
    };
    // Objects of a category repeat for every organization that owns it.
    let of_all = |objects: fn(&super::world::Category) -> &Vec<Entry>| -> Vec<Entry> {
        let mut rows = Vec::new();
        for category in &world.categories {
            for owner in &category.owners {
                rows.extend(objects(category).iter().map(|entry| with(entry, &category.entry, *owner)));
            }
        }
        rows
    };
    let segment = stream.request.path.rsplit('/').next().unwrap_or_default();
    match (segment, world.category(place)) {
        ("org", _) => world.organizations.clone(),
        ("regions", _) => world.regions.clone(),
        ("models", _) => world.models.clone(),
        ("domains", _) => world.domains.clone(),
        ("assets", None) => of_all(|category| &category.assets),
        ("personas", None) => of_all(|category| &category.personas),
        ("categories", _) => {
            let rows = world.categories.iter().flat_map(|category| {
                category.owners.iter().map(|owner| with(&category.entry, &category.entry, *owner))
            });
            rows.collect()
        }
        ("assets", Some(category)) => category.assets.clone(),
        ("personas", Some(category)) => category.personas.clone(),
        ("topics", Some(category)) => category.topics.clone(),
        ("tags", Some(category)) => category.tags.clone(),
        ("prompts", Some(category)) => category.prompts.clone(),
        ("citation-categories", _) => {
            words::CITATION_CATEGORIES.iter().map(|name| object(json!({ "id": name, "name": name }))).collect()
        }
        // A list that no vocabulary knows: a few objects, told apart by their key.
        _ => (0..5)
            .map(|index| {
                let mut entry = Entry::new();
                for column in &stream.columns {
                    let of_key = stream.key.contains(&column.name);
                    let value = match of_key {
                        true => {
                            let axis = Axis::Other(Box::new(column.clone()));
                            told(&axis.entry(world, place, index), &column.name, &column.data_type, &[], index)
                        }
                        false => invented(&column.name, &column.data_type, &column.values, mix(index)),
                    };
                    entry.insert(column.name.clone(), value);
                }
                entry
            })
            .collect(),
    }
}

/// The entries that the query asks for, in its order.
fn chosen(mut entries: Vec<Entry>, stream: &Stream, parameters: &Parameters) -> Vec<Entry> {
    let given = |name: &str| -> Vec<&str> {
        let values = parameters.query.iter().filter(|(given, _)| given == name);
        values.flat_map(|(_, value)| value.split(',')).collect()
    };
    let organizations = given("organization_ids");
    if !organizations.is_empty() {
        entries.retain(|entry| {
            let owner = entry.get("organization").and_then(|owner| owner["id"].as_str());
            owner.is_none_or(|id| organizations.contains(&id))
        });
    }
    if stream.pagination == Pagination::QueryCursor {
        let status = match given("status") {
            given if given.is_empty() => vec!["active"],
            given => given,
        };
        entries.retain(|entry| !entry.contains_key("status") || status.contains(&text(entry, "status").as_str()));
        if given("order_dir") != ["asc"] {
            entries.reverse();
        }
    }
    entries
}

fn list_row(entry: &Entry, columns: &[Column], index: usize) -> Box<[u8]> {
    let value = |column: &Column| told(entry, &column.name, &column.data_type, &column.values, mix(index as u64));
    let row: Map<String, Value> = columns.iter().map(|column| (column.name.clone(), value(column))).collect();
    encoded(&Value::Object(row), index % 3 == 2)
}
