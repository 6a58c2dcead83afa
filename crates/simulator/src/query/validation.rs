//! The rules for request bodies that the API answers with 422, from the vendor's document and its readers.

use std::fmt::Debug;
use std::ops::RangeBounds;

use catalog::model::scope::{ScopeKind, ScopePart};
use catalog::model::stream::{Method, Pagination, Stream};
use serde_json::{Map, Value, json};

use super::endpoint::Endpoint;
use super::error_response::ErrorResponse;
use super::parameters::{Parameters, names};
use super::template::has_scope_variable;

/// Members that any version 2 report may have besides those of the catalog.
const USUAL_MEMBERS: &str = "category_id start_date end_date limit cursor max_results filter sort assets metrics interval \
                             group_by comparison_start_date comparison_end_date include";

/// Rows an offset page may have at most, where `limit` is in `pagination`.
const OFFSET_LIMIT: u64 = 50_000;

/// Rows a page may have at most, where `limit` and `offset` are at the top of the body.
const BODY_OFFSET_LIMIT: u64 = 10_000;

/// Rows a list without pages may have at most.
const LIST_LIMIT: u64 = 100;

/// Checks everything in a body that does not depend on the account.
///
/// # Errors
/// The API's error response to the first problem.
pub(crate) fn validate(endpoint: &Endpoint, stream: &Stream, parameters: &Parameters) -> Result<(), ErrorResponse> {
    let body = &parameters.body;
    if stream.request.method == Method::Get {
        return Ok(());
    }
    if let Some(name) = required_members(endpoint, stream).into_iter().find(|name| !body.contains_key(*name)) {
        return Err(ErrorResponse::missing(&["body", name], &json!(body)));
    }
    let top = |name: &'static str| (["body", name], body.get(name));
    match stream.pagination {
        Pagination::Offset { .. } => check_pagination(endpoint, body)?,
        _ if endpoint.path().starts_with("/v2/") => check_members(endpoint, body)?,
        _ => {}
    }
    let most = match stream.pagination {
        Pagination::Cursor { .. } => endpoint.cursor_limit(),
        Pagination::BodyOffset { .. } => BODY_OFFSET_LIMIT,
        _ => LIST_LIMIT,
    };
    if let Pagination::Cursor { .. } | Pagination::BodyOffset { .. } | Pagination::Single = stream.pagination {
        check_number(&top("limit").0, top("limit").1, 1..=most)?;
        check_number(&top("offset").0, top("offset").1, 0..)?;
    }
    check_names(endpoint, body)
}

fn required_members(endpoint: &Endpoint, stream: &Stream) -> Vec<&'static str> {
    let parts = stream.scope.parts().iter().filter(|part| !has_scope_variable(stream, **part));
    let of_scope = parts.filter_map(|part| match part {
        ScopePart::Category => Some("category_id"),
        ScopePart::Asset => Some("asset"),
        ScopePart::Domain => Some("domain"),
        ScopePart::Organization => None,
    });
    let has_days = endpoint.sends_days();
    let start = has_days.then_some("start_date");
    let end = (has_days && stream.scope != ScopeKind::Domain).then_some("end_date");
    of_scope.chain(start).chain(end).chain(endpoint.is_positional().then_some("metrics")).collect()
}

/// Version 2 rejects unknown members.
fn check_members(endpoint: &Endpoint, body: &Map<String, Value>) -> Result<(), ErrorResponse> {
    let parts = endpoint.streams[0].scope.parts();
    let is_known = |name: &str| match name {
        "asset" => parts.contains(&ScopePart::Asset),
        "organization_id" => parts.contains(&ScopePart::Organization),
        _ => USUAL_MEMBERS.split(' ').any(|usual| usual == name) || endpoint.sends(name),
    };
    match body.iter().find(|(name, _)| !is_known(name)) {
        Some((name, value)) => {
            Err(ErrorResponse::invalid(&["body", name], "Extra inputs are not permitted", "extra_forbidden", value))
        }
        None => Ok(()),
    }
}

/// Checks that a number, if it is given, is within `range`.
pub(crate) fn check_number(
    place: &[&str],
    given: Option<&Value>,
    range: impl RangeBounds<u64> + Debug,
) -> Result<(), ErrorResponse> {
    match given.filter(|given| !given.is_null()) {
        Some(given) if !given.as_u64().is_some_and(|number| range.contains(&number)) => {
            let message = format!("Input should be an integer in {range:?}");
            Err(ErrorResponse::invalid(place, &message, "less_than_equal", given))
        }
        _ => Ok(()),
    }
}

fn check_pagination(endpoint: &Endpoint, body: &Map<String, Value>) -> Result<(), ErrorResponse> {
    let place = |name| ["body", "pagination", name];
    match body.get("pagination") {
        None => Ok(()),
        Some(Value::Null) if endpoint.is_event_stream => Ok(()),
        Some(Value::Object(pagination)) => {
            check_number(&place("limit"), pagination.get("limit"), 1..=OFFSET_LIMIT)?;
            check_number(&place("offset"), pagination.get("offset"), 0..)
        }
        Some(other) => {
            let message = "Input should be a valid dictionary or object to extract fields from";
            Err(ErrorResponse::invalid(&["body", "pagination"], message, "model_attributes_type", other))
        }
    }
}

/// Every dimension and metric must be known, and `order_by` may only name those that are requested.
fn check_names(endpoint: &Endpoint, body: &Map<String, Value>) -> Result<(), ErrorResponse> {
    let unknown = |list: &str, message: String, name: &str| {
        Err(ErrorResponse::invalid(&["body", list], &message, "literal_error", &json!(name)))
    };
    for list in ["dimensions", "group_by"] {
        for name in names(body, list) {
            let is_known = endpoint.column(&name).is_some() || endpoint.is_dimension(&name);
            // Rows are per asset anyway, so it is no value of `group_by`.
            if !is_known || (list == "group_by" && name == "asset") {
                return unknown(list, format!("Input should be a dimension of this report, not '{name}'"), &name);
            }
        }
    }
    let metrics = endpoint.metrics();
    for name in names(body, "metrics") {
        let is_column = endpoint.column(&name).is_some() && !endpoint.is_dimension(&name);
        if !is_column && !metrics.contains(&name) {
            return unknown("metrics", format!("Input should be one of {metrics:?}"), &name);
        }
    }
    let order = body.get("order_by").and_then(Value::as_object);
    let requested = [names(body, "dimensions"), names(body, "metrics")].concat();
    for name in order.into_iter().flat_map(Map::keys) {
        if !can_order_by(endpoint.streams[0].scope, name) || !requested.contains(name) {
            let message = format!("order_by may only name requested dimensions or metrics, not '{name}'");
            return Err(ErrorResponse::invalid(&["body", "order_by", name], &message, "value_error", &json!(name)));
        }
    }
    Ok(())
}

/// Whether `order_by` of a report may name `name`: those on bots do not sort by the bot.
pub(crate) fn can_order_by(scope: ScopeKind, name: &str) -> bool {
    scope != ScopeKind::Domain || (name != "bot_name" && name != "bot_provider")
}
