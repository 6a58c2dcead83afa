//! The rules for request bodies that the API answers with 422, from the vendor's document and its readers.

use std::fmt::Debug;
use std::ops::RangeBounds;

use axum::http::StatusCode;
use catalog::model::scope::{ScopeKind, ScopePart};
use catalog::model::stream::{Method, Pagination, Stream};
use serde_json::{Map, Value, json};

use super::endpoint::{Endpoint, entity};
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
    check_names(endpoint, body)?;
    check_combinations(endpoint, body)
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
            let expected = metrics.iter().map(|metric| format!("'{metric}'")).collect::<Vec<_>>().join(", ");
            let context = json!({ "expected": expected });
            let mut detail = json!([{ "loc": ["body", "metrics", 0], "type": "literal_error", "input": name }]);
            detail[0]["msg"] = json!(format!("Input should be {expected}"));
            detail[0]["ctx"] = context;
            return Err(ErrorResponse { status: StatusCode::UNPROCESSABLE_ENTITY, detail });
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

/// What a report's body selects, as combination rules see it.
struct ReportQuery<'a> {
    body: &'a Map<String, Value>,
    groups: Vec<String>,
    metrics: Vec<String>,
}

impl ReportQuery<'_> {
    fn groups_by(&self, name: &str) -> bool {
        self.groups.iter().any(|group| group == name)
    }

    fn has_metric(&self, name: &str) -> bool {
        self.metrics.iter().any(|metric| metric == name)
    }

    /// How many groupings there are besides `names`.
    fn groups_besides(&self, names: &[&str]) -> usize {
        self.groups.iter().filter(|group| !names.contains(&group.as_str())).count()
    }

    /// Whether the groupings, in any order, are one of `allowed`.
    fn groups_are_among(&self, allowed: &[&[&str]]) -> bool {
        allowed.iter().any(|names| names.len() == self.groups.len() && self.groups_besides(names) == 0)
    }

    fn entity(&self) -> &str {
        entity(self.body, &self.groups)
    }
}

/// A combination that a report does not support: its path, the message, and what breaks the rule.
type CombinationRule = (&'static str, &'static str, fn(&ReportQuery<'_>) -> bool);

const COMBINATION_RULES: [CombinationRule; 13] = [
    ("sentiment", "Unsupported group_by combination; use at most two dimensions besides date.", |query| {
        query.groups_besides(&["date"]) > 2
    }),
    ("sentiment", "occurrence and include_cited_websites need group_by theme or claim.", |query| {
        let needs_theme =
            query.has_metric("occurrence") || query.body.get("include_cited_websites") == Some(&json!(true));
        needs_theme && !query.groups_by("theme") && !query.groups_by("claim")
    }),
    (
        "citations",
        "Unsupported group_by combination; use one dimension (or topic + model), optionally with date.",
        |query| {
            let dimensions = query.groups_besides(&["date", "page"]);
            dimensions > 1 && !(dimensions == 2 && query.groups_by("topic") && query.groups_by("model"))
        },
    ),
    ("citations", "scope applies to entity=domain only.", |query| {
        query.entity() != "domain" && query.body.get("scope").is_some_and(|scope| scope != "all")
    }),
    ("citations", "first_cited_at is available for entity=page only.", |query| {
        query.entity() != "page" && query.has_metric("first_cited_at")
    }),
    ("factcheck", "Unsupported group_by combination; use at most two dimensions, or citation alone.", |query| {
        query.groups.len() > if query.groups_by("citation") { 1 } else { 2 }
    }),
    ("factcheck", "Extra inputs are not permitted", |query| {
        ["metrics", "interval", "scope"].iter().any(|name| query.body.contains_key(*name))
    }),
    ("factcheck/claims", "citation_sources is available without group_by only.", |query| {
        !query.groups.is_empty() && names(query.body, "include").iter().any(|name| name == "citation_sources")
    }),
    ("social/youtube/channels", "Unsupported group_by combination.", |query| {
        !query.groups_are_among(&[
            &["channel"],
            &["video_category"],
            &["source_type"],
            &["channel", "video_category"],
            &["channel", "source_type"],
            &["channel", "model"],
        ])
    }),
    ("shopping/merchants", "group_by takes one of date, brand and product.", |query| {
        !query.groups_are_among(&[&[], &["date"], &["brand"], &["product"]])
    }),
    ("query-fanouts", "group_by query requires prompt.", |query| {
        query.groups_by("query") && !query.groups_by("prompt")
    }),
    ("query-fanouts", "share requires group_by query.", |query| query.has_metric("share") && !query.groups_by("query")),
    ("query-fanouts", "query_variations cannot be combined with group_by query.", |query| {
        query.has_metric("query_variations") && query.groups_by("query")
    }),
];

/// Which dimensions and metrics a report supports together.
fn check_combinations(endpoint: &Endpoint, body: &Map<String, Value>) -> Result<(), ErrorResponse> {
    let report = endpoint.path().strip_prefix("/v2/reports/");
    let query = ReportQuery { body, groups: names(body, "group_by"), metrics: names(body, "metrics") };
    let broken = COMBINATION_RULES.iter().find(|(path, _, is_broken)| report == Some(*path) && is_broken(&query));
    broken.map_or(Ok(()), |(_, message, _)| Err(ErrorResponse::unsupported(message)))
}
