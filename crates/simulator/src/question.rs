//! From a request to the rows it asks for.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use catalog::model::column::{Column, ColumnType};
use catalog::model::day::Day;
use catalog::model::scope::ScopeKind;
use catalog::model::stream::{DaysKind, Pagination, RowsAt, Stream, WindowEnd};
use catalog::model::window::Window;

use super::account::UndocumentedEnd;
use super::asked::{asked, included, leaves_ties, name_references};
use super::bind::{Variables, bound};
use super::cursor;
use super::endpoint::{Endpoint, dimensions, names};
use super::kin;
use super::lists::list;
use super::page::{Page, page};
use super::product::Product;
use super::refusal::Refusal;
use super::rules;
use super::table::{Conditions, Row, Table};
use super::world::{Entry, Place, World};

/// Parameters of the query that take a cursor.
const CURSORS: [&str; 2] = ["cursor", "next_cursor"];

/// Days of one answer at most.
const MOST_DAYS: usize = 4000;

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
    /// Whether this page has no rows although more follow.
    pub(super) is_pause: bool,
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

    /// What row `number` of the walk holds in the column `name`, where that is a text.
    pub(super) fn text(&self, number: u64, name: &str, world: &World, place: &Place) -> Option<String> {
        let value = match self {
            Self::List(rows) => {
                let row: Value = serde_json::from_slice(rows.get(usize::try_from(number).ok()?)?).ok()?;
                row.get(name)?.clone()
            }
            Self::Table(table) => {
                let (index, _) = table.columns().enumerate().find(|(_, column)| column.name == name)?;
                let position = (number < table.total()).then(|| table.days().seek(number))?;
                let (mut row, mut text) = (Row::default(), Vec::new());
                table.row(position.day, position.row, &mut row);
                table.write(index, &row, world, place, &mut text);
                serde_json::from_slice(&text).ok()?
            }
        };
        value.as_str().map(str::to_owned)
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
    pub(super) fn query_value(&self, name: &str) -> Option<&str> {
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
    let stream = endpoint.nearest(parameters).clone();
    rules::check(endpoint, &stream, parameters)?;
    let variables = bound(&stream, &endpoint.variables, parameters)?;
    let place = place_of(&stream, &variables, world)?;
    let fingerprint = fingerprint(endpoint, parameters, world.seed);
    let window = window(&stream, &variables, body, conditions)?;
    let days = match window {
        Some((first, last)) => {
            // Other days have no rows, and a window may well be a thousand years long.
            let today = stream.days.as_ref().map_or(last, |days| days.zone.today(conditions.now));
            let known = Window::inclusive(first.max(conditions.first_day), last.min(today));
            // What always answers with one row does so for any day.
            let known = known.or_else(|| Window::inclusive(first, last).filter(|_| is_single(&stream)));
            known.map(|window| window.days().take(MOST_DAYS).collect()).unwrap_or_default()
        }
        None => Vec::new(),
    };
    // Of no days there is nothing, whoever asks.
    let known = stream.parent.is_some() && !(stream.is_dated() && days.is_empty());
    let place = match known {
        true => kin::known(&stream, &place, &days, world, conditions).ok_or_else(|| Refusal::not_found("Resource"))?,
        false => place,
    };
    let mut shape = shape(endpoint, body, conditions);
    let product = Product::of(&stream, &place, conditions.catalog, conditions.account, world);
    let mut rows = if product == Product::Absent && !is_single(&stream) {
        Rows::List(Vec::new())
    } else if stream.is_dated() {
        let days = if kin::tells_days(&stream) { days } else { vec![conditions.first_day] };
        let mut asked = asked(endpoint, &stream, body, place.clone(), days, world, conditions);
        if shape == Shape::Named && endpoint.event && endpoint.is_positional() {
            name_references(&mut asked);
        }
        Rows::Table(Box::new(Table::new(&asked, world, conditions)))
    } else {
        shape = Shape::Named;
        Rows::List(list(&stream, &place, parameters, world, conditions))
    };
    let Page { offset, limit, is_pause } = page(endpoint, &stream, parameters, fingerprint, &rows, world, &place)?;
    if let (Rows::Table(table), Some(limit)) = (&mut rows, limit)
        && !endpoint.event
        && leaves_ties(&stream, body)
    {
        table.turn(offset / limit.max(1) * 7);
    }
    let shown = included(&stream, body);
    Ok(Question { stream, place, rows, shape, offset, limit, is_pause, fingerprint, shown, window })
}

/// The rows of one request as its stream makes it, whole.
pub(super) fn slice(
    stream: &Arc<Stream>,
    place: &Place,
    days: &[Day],
    world: &World,
    conditions: &Conditions<'_>,
) -> Rows {
    if Product::of(stream, place, conditions.catalog, conditions.account, world) == Product::Absent {
        return Rows::List(Vec::new());
    }
    let endpoint = Endpoint::of(stream.clone());
    if !stream.is_dated() {
        let parameters = Parameters { body: stream.body.clone(), query: parse_query(&stream.query) };
        return Rows::List(list(stream, place, &parameters, world, conditions));
    }
    let days = if kin::tells_days(stream) { days.to_vec() } else { vec![conditions.first_day] };
    let asked = asked(&endpoint, stream, &stream.body, place.clone(), days, world, conditions);
    Rows::Table(Box::new(Table::new(&asked, world, conditions)))
}

/// Whether every request of `stream` has exactly one row: nothing in its key could tell two of them apart.
pub(super) fn is_single(stream: &Stream) -> bool {
    let variables = asked_variables(stream);
    let tells_apart = |path: &String| {
        let name = path.split('.').next().unwrap_or(path);
        let column = stream.column(name);
        let of_request = variables.contains(name) || column.is_some_and(|column| column.from_request);
        let figure =
            |column: &Column| matches!(column.data_type, ColumnType::Int64 | ColumnType::Float64 | ColumnType::Bool);
        !of_request && !column.is_some_and(figure)
    };
    let dated = stream.days.as_ref().filter(|days| days.kind == DaysKind::Dated);
    let carried = dated.is_some_and(|days| stream.column(&days.column).is_some());
    stream.rows == RowsAt::Body
        || (stream.pagination == Pagination::Single
            && stream.rows == RowsAt::Data
            && !carried
            && !stream.key.iter().any(tells_apart))
}

/// The variables that tell requests of one place from each other.
pub(super) fn asked_variables(stream: &Stream) -> BTreeSet<&str> {
    let parent = stream.parent.iter();
    let of_parent = parent.flat_map(|parent| {
        let of_variants = parent.variants.iter().flat_map(|variant| variant.set.keys());
        parent.bind.keys().chain(of_variants)
    });
    of_parent.chain(&stream.parameters).map(String::as_str).collect()
}

/// What cursors are bound to: path variables, query and body, all but the cursor.
fn fingerprint(endpoint: &Endpoint, parameters: &Parameters, seed: u64) -> u64 {
    let query: Vec<_> = parameters.query.iter().filter(|(name, _)| !CURSORS.contains(&name.as_str())).collect();
    let whole = json!({ "body": parameters.body, "query": query, "path": endpoint.variables,
        "endpoint": endpoint.streams[0].request.path });
    cursor::fingerprint(seed, &whole)
}

fn place_of(stream: &Stream, variables: &Variables, world: &World) -> Result<Place, Refusal> {
    let given = |name: &str| variables.get(name).map(String::as_str);
    let mut place = Place::default();
    if let Some(id) = given("category_id") {
        let found = world.categories.iter().position(|category| category.entry["id"] == id);
        place.category = Some(found.ok_or_else(|| Refusal::not_found("Category"))?);
    }
    // A key that reads one organization need not name it.
    let organization = match given("organization_id") {
        Some(id) => world.organization(id).ok_or_else(|| Refusal::not_found("Organization"))?,
        None => 0,
    };
    place.organization = (stream.scope == ScopeKind::Organization).then_some(organization);
    if stream.scope == ScopeKind::Domain {
        let host = given("domain_name").or_else(|| given("domain_id")).unwrap_or_default();
        let found = world.domain(host, given("organization_id"));
        place.domain = Some(found.ok_or_else(|| Refusal::not_found("Domain"))?);
    }
    if stream.scope == ScopeKind::CategoryAsset {
        let is_wanted = |asset: &Entry| {
            given("asset_id").is_none_or(|id| asset["id"] == id)
                && given("asset_name").is_none_or(|name| asset["name"] == name || asset["id"] == name)
        };
        let categories = world.categories.iter().enumerate();
        let mut places = categories
            .filter(|(index, _)| place.category.is_none_or(|wanted| wanted == *index))
            .filter_map(|(index, category)| Some((index, category.assets.iter().position(is_wanted)?)));
        let (category, asset) = places.next().ok_or_else(|| Refusal::not_found("Asset"))?;
        (place.category, place.asset) = (Some(category), Some(asset));
    }
    let own = asked_variables(stream);
    place.variables = variables
        .iter()
        .filter(|(name, _)| own.contains(name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Ok(place)
}

/// How many days are asked for, of streams that have days and requests that can be understood.
pub(super) fn days_asked(endpoint: &Endpoint, parameters: &Parameters, conditions: &Conditions<'_>) -> Option<i64> {
    let stream = endpoint.nearest(parameters);
    let variables = bound(stream, &endpoint.variables, parameters).ok()?;
    let (first, last) = window(stream, &variables, &parameters.body, conditions).ok()??;
    Some(last.next().since(first))
}

/// The first and the last day asked for, of streams that have days.
fn window(
    stream: &Stream,
    variables: &Variables,
    body: &Map<String, Value>,
    conditions: &Conditions<'_>,
) -> Result<Option<(Day, Day)>, Refusal> {
    let Some(days) = &stream.days else {
        return Ok(None);
    };
    if !kin::tells_days(stream) {
        return Ok(Some((conditions.first_day, conditions.first_day)));
    }
    let closed = matches!(stream.pagination, Pagination::Cursor { .. });
    let day = |name: &str, variable: &str| -> Result<Option<Day>, Refusal> {
        let in_body = body.get(name).filter(|value| !value.is_null());
        let value = match (variables.get(variable), in_body) {
            (Some(text), _) => json!(text),
            (None, Some(value)) => value.clone(),
            (None, None) => return Ok(None),
        };
        let text = value.as_str().unwrap_or_default();
        // Version 1 takes times too; whole days are all that is simulated.
        let text = if closed { text } else { text.get(..10).unwrap_or(text) };
        let wrong =
            |_| Refusal::invalid(&["body", name], "Input should be a date as YYYY-MM-DD", "date_parsing", &value);
        text.parse().map(Some).map_err(wrong)
    };
    let today = days.zone.today(conditions.now);
    let start = day("start_date", "first")?.unwrap_or(today);
    let undocumented = conditions.account.undocumented_end;
    let exclusive = match days.end {
        WindowEnd::Exclusive => true,
        WindowEnd::Inclusive => stream.request.path.starts_with("/v2/") && !conditions.account.inclusive_v2,
        WindowEnd::Undocumented => undocumented != UndocumentedEnd::Inclusive,
    };
    let last = match (day("end_date", "last")?, exclusive) {
        // Bots and referrals go on until now.
        (None, _) => today,
        (Some(end), true) => end.plus(-1),
        (Some(end), false) => end,
    };
    let empty = closed || (days.end == WindowEnd::Undocumented && undocumented == UndocumentedEnd::Empty);
    if last < start && !(empty && exclusive && last.next() == start) {
        return Err(Refusal::unsupported("start_date must be before end_date"));
    }
    Ok(Some((start, last)))
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
