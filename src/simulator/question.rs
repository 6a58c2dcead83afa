//! From a request to the rows it asks for.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::model::day::Day;
use crate::model::scope::ScopeKind;
use crate::model::stream::{Pagination, Stream, WindowEnd};
use crate::model::window::Window;

use super::asked::{asked, included, leaves_ties, name_references};
use super::cursor;
use super::endpoint::{Endpoint, dimensions, names};
use super::lists::list;
use super::refusal::Refusal;
use super::rules::{self, CURSOR_DEFAULT, OFFSET_LIMITS};
use super::table::{Conditions, Table};
use super::world::{Place, World};

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
        let rows = Rows::List(list(&stream, &place, parameters, world));
        let (shape, shown, window) = (Shape::Named, None, None);
        return Ok(Question { stream, place, rows, shape, offset, limit, fingerprint, shown, window });
    }
    let (first, last) = window(&stream, body, conditions)?;
    // Other days have no rows, and a window may well be a thousand years long.
    let today = stream.days.as_ref().map_or(last, |days| days.zone.today(conditions.now));
    let known = Window::inclusive(first.max(conditions.first_day), last.min(today));
    let days = known.map(|window| window.days().collect()).unwrap_or_default();
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
        return Rows::List(list(stream, place, &parameters, world));
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
        Pagination::Single
        | Pagination::BodyOffset { .. }
        | Pagination::QueryOffset { .. }
        | Pagination::QueryAfter => Ok((0, None)),
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
        Pagination::QueryCursor { .. } => {
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
