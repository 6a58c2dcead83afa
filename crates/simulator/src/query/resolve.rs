//! From a request to the rows it asks for.

use std::sync::Arc;

use catalog::model::day::Day;
use catalog::model::scope::Scope;
use catalog::model::stream::{Pagination, Stream, WindowEnd};
use catalog::model::window::Window;
use serde_json::{Map, Value, json};

use crate::data::account::{Account, UndocumentedEnd};
use crate::data::dataset::Dataset;
use crate::data::objects::{AccountObjects, Subject, Variables};
use crate::data::rows::Rows;
use crate::data::stream_shape::{self, is_single, sends_days};

use super::cursor;
use super::endpoint::Endpoint;
use super::error_response::ErrorResponse;
use super::fan_out::find_request;
use super::page::PageRange;
use super::parameters::{Parameters, dimensions, names};
use super::selection::{included, leaves_ties, select_rows};
use super::template::request_variables;
use super::validation::validate;

/// Parameters of the query string that take a cursor.
const CURSORS: [&str; 2] = ["cursor", "next_cursor"];

/// Days of one answer at most.
const MAX_DAYS: usize = 4000;

/// A request with its meaning: which rows it selects, how they are written, and which of them this page holds.
#[derive(Debug)]
pub(crate) struct ResolvedRequest {
    pub(crate) endpoint: Endpoint,
    pub(crate) parameters: Parameters,
    pub(crate) dataset: Dataset,
    /// The stream whose request is most like this one.
    pub(crate) stream: Arc<Stream>,
    /// All rows that the request selects.
    pub(crate) rows: Rows,
    pub(crate) shape: RowShape,
    pub(crate) page: PageRange,
    /// What its cursors are bound to.
    pub(crate) fingerprint: u64,
    /// The columns that are written; `None` is all.
    pub(crate) included: Option<Vec<String>>,
    /// The first and the last day, for reports.
    pub(crate) window: Option<(Day, Day)>,
}

/// How a row is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RowShape {
    /// An object of named values.
    Named,
    /// `dimensions` and `metrics`, by position.
    Positional { dimensions: Vec<String>, metrics: Vec<String> },
}

impl ResolvedRequest {
    /// # Errors
    /// The API's error response if the request is invalid or names an object that the account does not have.
    pub(crate) fn new(endpoint: Endpoint, parameters: Parameters, dataset: Dataset) -> Result<Self, ErrorResponse> {
        let body = &parameters.body;
        let stream = endpoint.nearest(&parameters).clone();
        validate(&endpoint, &stream, &parameters)?;
        let variables = request_variables(&stream, &endpoint.variables, &parameters)?;
        let subject = find_subject(&stream, &variables, &dataset.objects)?;
        let fingerprint = fingerprint(&endpoint, &parameters, dataset.objects.seed);
        let window = window(&stream, &variables, body, &dataset)?;
        let days = window.map(|window| days_with_rows(&stream, window, &dataset)).unwrap_or_default();
        // A window without days has no rows, whichever row of a parent the request names.
        let is_child = stream.parent.is_some() && !(stream.is_dated() && days.is_empty());
        let subject = if is_child {
            find_request(&stream, &subject, &days, &dataset).ok_or_else(|| ErrorResponse::not_found("resource"))?
        } else {
            subject
        };
        let mut rows = select_rows(&endpoint, &stream, &parameters, &subject, &days, &dataset);
        let page = PageRange::new(&endpoint, &stream, &parameters, fingerprint, &rows)?;
        if let (Rows::Generated(rows), Some(limit)) = (&mut rows, page.limit)
            && !endpoint.is_event_stream
            && leaves_ties(&stream, body)
        {
            rows.rotate(page.offset / limit.max(1) * 7);
        }
        let shape = shape(&endpoint, body, &dataset.account);
        let included = included(&stream, body);
        Ok(Self { endpoint, parameters, dataset, stream, rows, shape, page, fingerprint, included, window })
    }
}

/// How many days a request is about, if it is about days and valid.
pub(crate) fn requested_days(endpoint: &Endpoint, parameters: &Parameters, dataset: &Dataset) -> Option<i64> {
    let stream = endpoint.nearest(parameters);
    let variables = request_variables(stream, &endpoint.variables, parameters).ok()?;
    let (first, last) = window(stream, &variables, &parameters.body, dataset).ok()??;
    Some(last.next().since(first))
}

/// The days of a window that have rows: a window may be a thousand years long.
fn days_with_rows(stream: &Stream, (first, last): (Day, Day), dataset: &Dataset) -> Vec<Day> {
    let today = stream.days.as_ref().map_or(last, |days| days.zone.today(dataset.now));
    let known = Window::inclusive(first.max(dataset.first_day), last.min(today));
    // A stream that always answers with one row does so for any day.
    let known = known.or_else(|| Window::inclusive(first, last).filter(|_| is_single(stream)));
    known.map(|window| window.days().take(MAX_DAYS).collect()).unwrap_or_default()
}

/// The hash of path variables, query and body, except the cursor.
fn fingerprint(endpoint: &Endpoint, parameters: &Parameters, seed: u64) -> u64 {
    let query: Vec<_> = parameters.query.iter().filter(|(name, _)| !CURSORS.contains(&name.as_str())).collect();
    let request = json!({ "body": parameters.body, "query": query, "path": endpoint.variables,
        "endpoint": endpoint.path() });
    cursor::fingerprint(seed, &request)
}

/// What a request is about: the first scope that fits its variables, since a key of one organization need not name it.
fn find_subject(stream: &Stream, variables: &Variables, objects: &AccountObjects) -> Result<Subject, ErrorResponse> {
    let is_meant = |scope: &Scope| {
        scope.parts().all(|(part, named)| {
            let fits = |what| {
                let given = variables.get(&format!("{}_{what}", part.path_key()));
                given.is_none_or(|given| *given == named.id || *given == named.name)
            };
            fits("id") && fits("name")
        })
    };
    let scope = objects.scopes(stream.scope, false).into_iter().find(is_meant);
    let what = stream.scope.parts().last().map_or("", |part| part.path_key());
    let scope = scope.ok_or_else(|| ErrorResponse::not_found(what))?;
    let own = stream_shape::request_variables(stream);
    let is_own = |(name, _): &(&String, &String)| own.contains(name.as_str());
    let variables = variables.iter().filter(is_own).map(|(name, value)| (name.clone(), value.clone())).collect();
    Ok(Subject { scope, variables, changed: None })
}

/// The first and the last day of a request, for streams that have days.
fn window(
    stream: &Stream,
    variables: &Variables,
    body: &Map<String, Value>,
    dataset: &Dataset,
) -> Result<Option<(Day, Day)>, ErrorResponse> {
    let Some(days) = &stream.days else { return Ok(None) };
    if !sends_days(stream) {
        return Ok(Some((dataset.first_day, dataset.first_day)));
    }
    let is_v2_report = matches!(stream.pagination, Pagination::Cursor { .. });
    let day = |name: &str, variable: &str| -> Result<Option<Day>, ErrorResponse> {
        let in_body = body.get(name).filter(|value| !value.is_null());
        let Some(value) = variables.get(variable).map(|text| json!(text)).or(in_body.cloned()) else {
            return Ok(None);
        };
        let text = value.as_str().unwrap_or_default();
        // Version 1 takes times too; only whole days are simulated.
        let text = if is_v2_report { text } else { text.get(..10).unwrap_or(text) };
        let message = "Input should be a date as YYYY-MM-DD";
        text.parse().map(Some).map_err(|_| ErrorResponse::invalid(&["body", name], message, "date_parsing", &value))
    };
    let today = days.zone.today(dataset.now);
    let start = day("start_date", "first")?.unwrap_or(today);
    let undocumented = dataset.account.undocumented_end;
    let is_exclusive = match days.end {
        WindowEnd::Exclusive => true,
        WindowEnd::Inclusive => stream.request.path.starts_with("/v2/") && !dataset.account.inclusive_v2,
        WindowEnd::Undocumented => undocumented != UndocumentedEnd::Inclusive,
    };
    // Reports on bots and referrals end now by default.
    let last = day("end_date", "last")?.map_or(today, |end| if is_exclusive { end.plus(-1) } else { end });
    let may_be_empty = is_v2_report || (days.end == WindowEnd::Undocumented && undocumented == UndocumentedEnd::Empty);
    if last < start && !(may_be_empty && is_exclusive && last.next() == start) {
        return Err(ErrorResponse::unsupported("start_date must be before end_date"));
    }
    Ok(Some((start, last)))
}

fn shape(endpoint: &Endpoint, body: &Map<String, Value>, account: &Account) -> RowShape {
    if !endpoint.is_positional() || (endpoint.is_event_stream && account.named_events) {
        return RowShape::Named;
    }
    let in_order = |mut names: Vec<String>| {
        names.sort();
        names.dedup();
        if account.reverse_positions {
            names.reverse();
        }
        names
    };
    RowShape::Positional { dimensions: in_order(dimensions(body)), metrics: in_order(names(body, "metrics")) }
}
