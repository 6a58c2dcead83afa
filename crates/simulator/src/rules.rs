//! The rules of request bodies that break into 422, as the published schema and its readers tell them.

use serde_json::{Map, Value, json};

use catalog::model::scope::{ScopeKind, ScopePart};
use catalog::model::stream::{Method, Pagination, Stream};

use super::axis::Axis;
use super::bind::says;
use super::endpoint::{Endpoint, names};
use super::question::Parameters;
use super::refusal::Refusal;

/// Members that any version 2 report may have beside those of the catalog.
const USUAL_MEMBERS: [&str; 15] = [
    "category_id",
    "start_date",
    "end_date",
    "limit",
    "cursor",
    "max_results",
    "filter",
    "sort",
    "assets",
    "metrics",
    "interval",
    "group_by",
    "comparison_start_date",
    "comparison_end_date",
    "include",
];

/// Rows an offset page may have at most, and rows it has unless told.
pub(super) const OFFSET_LIMITS: (u64, u64) = (50_000, 10_000);

/// Rows a page may have at most, and rows it has unless told, where `limit` and `offset` stand at the top of the body.
pub(super) const BODY_OFFSET_LIMITS: (u64, u64) = (10_000, 10);

/// Rows a list without pages may have at most.
const LIST_LIMIT: u64 = 100;

/// Rows that a page may always be asked for where `limit` and `offset` stand in the query.
pub(super) const QUERY_OFFSET_LEAST: u64 = 200;

/// Rows a cursor page has unless told.
pub(super) const CURSOR_DEFAULT: u64 = 10;

/// Checks everything in a body that does not need the account.
pub(super) fn check(endpoint: &Endpoint, stream: &Stream, parameters: &Parameters) -> Result<(), Refusal> {
    let body = &parameters.body;
    if stream.request.method == Method::Get {
        return Ok(());
    }
    let whole = Value::Object(body.clone());
    let scope = stream.scope;
    let said = |part: &&ScopePart| !says(stream, **part);
    let mut required: Vec<&str> = scope
        .parts()
        .iter()
        .filter(said)
        .filter_map(|part| match part {
            ScopePart::Category => Some("category_id"),
            ScopePart::Asset => Some("asset"),
            ScopePart::Domain => Some("domain"),
            ScopePart::Organization => None,
        })
        .collect();
    if endpoint.takes_days() {
        required.push("start_date");
        if scope != ScopeKind::Domain {
            required.push("end_date");
        }
    }
    if endpoint.is_positional() {
        required.push("metrics");
    }
    if let Some(name) = required.into_iter().find(|name| !body.contains_key(*name)) {
        return Err(Refusal::missing(name, &whole));
    }
    if stream.request.path.starts_with("/v2/") && !matches!(stream.pagination, Pagination::Offset { .. }) {
        check_members(endpoint, body)?;
    }
    match stream.pagination {
        Pagination::Cursor { .. } => check_limit(endpoint, body)?,
        Pagination::Offset { .. } => check_offset(endpoint, body)?,
        Pagination::BodyOffset { .. } => check_body_offset(body, BODY_OFFSET_LIMITS.0)?,
        Pagination::Single => check_body_offset(body, LIST_LIMIT)?,
        Pagination::QueryCursor { .. } | Pagination::QueryOffset { .. } | Pagination::QueryAfter => {}
    }
    check_names(endpoint, body)?;
    check_combinations(endpoint, body)
}

/// Version 2 bodies refuse unknown members.
fn check_members(endpoint: &Endpoint, body: &Map<String, Value>) -> Result<(), Refusal> {
    let parts = [(ScopePart::Asset, "asset"), (ScopePart::Organization, "organization_id")];
    let scope = endpoint.streams[0].scope;
    let known = |name: &str| {
        USUAL_MEMBERS.contains(&name)
            || parts.iter().any(|(part, member)| *member == name && scope.parts().contains(part))
            || endpoint.streams.iter().any(|stream| stream.body.contains_key(name))
    };
    if let Some((name, value)) = body.iter().find(|(name, _)| !known(name)) {
        return Err(Refusal::invalid(&["body", name], "Extra inputs are not permitted", "extra_forbidden", value));
    }
    Ok(())
}

/// No page of version 2 is longer than its endpoint allows.
fn check_limit(endpoint: &Endpoint, body: &Map<String, Value>) -> Result<(), Refusal> {
    let most = endpoint.cursor_limit();
    match body.get("limit") {
        None | Some(Value::Null) => Ok(()),
        Some(limit) => match limit.as_u64() {
            Some(0) | None => {
                Err(Refusal::invalid(&["body", "limit"], "Input should be greater than 0", "greater_than", limit))
            }
            Some(given) if most < given => Err(Refusal::invalid(
                &["body", "limit"],
                &format!("Input should be less than or equal to {most}"),
                "less_than_equal",
                limit,
            )),
            Some(_) => Ok(()),
        },
    }
}

/// Lists of version 1 have `limit` and `offset` at the top of the body, if they have any.
fn check_body_offset(body: &Map<String, Value>, most: u64) -> Result<(), Refusal> {
    let wrong = |name: &str, least: u64, most: u64| {
        let given = body.get(name).filter(|given| !given.is_null())?;
        let fits = given.as_u64().is_some_and(|number| (least..=most).contains(&number));
        let message = format!("Input should be greater than or equal to {least} and less than or equal to {most}");
        (!fits).then(|| Refusal::invalid(&["body", name], &message, "less_than_equal", given))
    };
    match wrong("limit", 1, most).or_else(|| wrong("offset", 0, u64::MAX)) {
        Some(refusal) => Err(refusal),
        None => Ok(()),
    }
}

fn check_offset(endpoint: &Endpoint, body: &Map<String, Value>) -> Result<(), Refusal> {
    let place = |name| ["body", "pagination", name];
    match body.get("pagination") {
        None => Ok(()),
        Some(Value::Null) if endpoint.event => Ok(()),
        Some(Value::Object(pagination)) => {
            let limit = pagination.get("limit").cloned().unwrap_or(json!(OFFSET_LIMITS.1));
            if limit.as_u64().is_none_or(|limit| limit == 0 || OFFSET_LIMITS.0 < limit) {
                let message = "Input should be greater than 0 and less than or equal to 50000";
                return Err(Refusal::invalid(&place("limit"), message, "less_than_equal", &limit));
            }
            let offset = pagination.get("offset").cloned().unwrap_or(json!(0));
            match offset.as_u64() {
                Some(_) => Ok(()),
                None => {
                    let message = "Input should be greater than or equal to 0";
                    Err(Refusal::invalid(&place("offset"), message, "greater_than_equal", &offset))
                }
            }
        }
        Some(other) => {
            let message = "Input should be a valid dictionary or object to extract fields from";
            Err(Refusal::invalid(&["body", "pagination"], message, "model_attributes_type", other))
        }
    }
}

/// Every dimension and metric must be one that is known.
fn check_names(endpoint: &Endpoint, body: &Map<String, Value>) -> Result<(), Refusal> {
    for list in ["dimensions", "group_by"] {
        for name in names(body, list) {
            let known = endpoint.column(&name).is_some()
                || endpoint.is_dimension(&name)
                || Axis::of(&name).is_some()
                || name == "hour";
            // Rows are per asset anyway, so it is no value of `group_by`.
            if !known || (list == "group_by" && name == "asset") {
                let message = format!("Input should be one of the dimensions of this report, not '{name}'");
                return Err(Refusal::invalid(&["body", list], &message, "literal_error", &json!(name)));
            }
        }
    }
    for name in names(body, "metrics") {
        let column = endpoint.column(&name).is_some() && !endpoint.is_dimension(&name);
        if !column && !endpoint.metrics().contains(&name) {
            let metrics: Vec<_> = endpoint.metrics().iter().map(|metric| format!("'{metric}'")).collect();
            let expected = metrics.join(", ");
            return Err(Refusal {
                status: axum::http::StatusCode::UNPROCESSABLE_ENTITY,
                detail: json!([{
                    "loc": ["body", "metrics", 0],
                    "msg": format!("Input should be {expected}"),
                    "type": "literal_error",
                    "input": name,
                    "ctx": { "expected": expected },
                }]),
            });
        }
    }
    let Some(Value::Object(order)) = body.get("order_by") else {
        return Ok(());
    };
    let requested = [names(body, "dimensions"), names(body, "metrics")].concat();
    let of_bots = endpoint.streams[0].scope == ScopeKind::Domain;
    for name in order.keys() {
        let barred = of_bots && !may_order_bots(name);
        if barred || !requested.contains(name) {
            let message = format!("order_by may only name requested dimensions or metrics, not '{name}'");
            return Err(Refusal::invalid(&["body", "order_by", name], &message, "value_error", &json!(name)));
        }
    }
    Ok(())
}

/// Whether `order_by` of bots and referrals may name `name`.
pub(super) fn may_order_bots(name: &str) -> bool {
    name != "bot_name" && name != "bot_provider"
}

/// Groupings of YouTube channels.
const YOUTUBE_GROUPINGS: [&[&str]; 6] = [
    &["channel"],
    &["video_category"],
    &["source_type"],
    &["channel", "video_category"],
    &["channel", "source_type"],
    &["channel", "model"],
];

/// Groupings of shopping merchants, each of which is a view with metrics of its own.
const MERCHANT_VIEWS: [&[&str]; 4] = [&[], &["date"], &["brand"], &["product"]];

/// Whether `groups`, in any order, is one of `allowed`.
fn among(groups: &[String], allowed: &[&[&str]]) -> bool {
    allowed.iter().any(|one| one.len() == groups.len() && groups.iter().all(|group| one.contains(&group.as_str())))
}

/// Which dimensions and metrics go together, by report.
fn check_combinations(endpoint: &Endpoint, body: &Map<String, Value>) -> Result<(), Refusal> {
    let groups = names(body, "group_by");
    let metrics = names(body, "metrics");
    let grouped = |name: &str| groups.iter().any(|group| group == name);
    let asked = |name: &str| metrics.iter().any(|metric| metric == name);
    let others: Vec<_> = groups.iter().filter(|group| *group != "date").collect();
    let path = endpoint.streams[0].request.path.as_str();
    if path == "/v2/reports/sentiment" {
        if 2 < others.len() {
            return Err(Refusal::unsupported(
                "Unsupported group_by combination; use at most two dimensions besides date.",
            ));
        }
        let by_theme = grouped("theme") || grouped("claim");
        if !by_theme && (asked("occurrence") || body.get("include_cited_websites") == Some(&json!(true))) {
            return Err(Refusal::unsupported("occurrence and include_cited_websites need group_by theme or claim."));
        }
    }
    if path == "/v2/reports/citations" {
        let legacy = grouped("page");
        let others: Vec<_> = others.into_iter().filter(|group| *group != "page").collect();
        let topic_and_model = others.len() == 2 && grouped("topic") && grouped("model");
        if 1 < others.len() && !topic_and_model {
            return Err(Refusal::unsupported(
                "Unsupported group_by combination; use one dimension (or topic + model), optionally with date.",
            ));
        }
        let entity = match (body.get("entity").and_then(Value::as_str), legacy) {
            (Some(entity), _) => entity,
            (None, true) => "page",
            (None, false) => "domain",
        };
        if entity != "domain" && body.get("scope").is_some_and(|scope| scope != "all") {
            return Err(Refusal::unsupported("scope applies to entity=domain only."));
        }
        if entity != "page" && asked("first_cited_at") {
            return Err(Refusal::unsupported("first_cited_at is available for entity=page only."));
        }
    }
    if path == "/v2/reports/factcheck" {
        if 2 < groups.len() || (grouped("citation") && 1 < groups.len()) {
            return Err(Refusal::unsupported(
                "Unsupported group_by combination; use at most two dimensions, date included, or citation alone.",
            ));
        }
        if let Some(name) = ["metrics", "interval", "scope"].into_iter().find(|name| body.contains_key(*name)) {
            let message = "Extra inputs are not permitted";
            return Err(Refusal::invalid(&["body", name], message, "extra_forbidden", &body[name]));
        }
    }
    let includes = names(body, "include");
    if path == "/v2/reports/factcheck/claims"
        && !groups.is_empty()
        && includes.iter().any(|one| one == "citation_sources")
    {
        return Err(Refusal::unsupported("citation_sources is available without group_by only."));
    }
    if path == "/v2/reports/social/youtube/channels" && !among(&groups, &YOUTUBE_GROUPINGS) {
        return Err(Refusal::unsupported("Unsupported group_by combination."));
    }
    if path == "/v2/reports/shopping/merchants" && !among(&groups, &MERCHANT_VIEWS) {
        return Err(Refusal::unsupported("group_by takes one of date, brand and product."));
    }
    if path == "/v2/reports/query-fanouts" {
        if grouped("query") && !grouped("prompt") {
            return Err(Refusal::unsupported("group_by query requires prompt."));
        }
        if asked("share") && !grouped("query") {
            return Err(Refusal::unsupported("share requires group_by query."));
        }
        if asked("query_variations") && grouped("query") {
            return Err(Refusal::unsupported("query_variations cannot be combined with group_by query."));
        }
    }
    Ok(())
}
