//! What stands around the rows of an answer: envelopes, totals and cursors.

use serde_json::{Map, Value, json};

use catalog::model::day::Day;
use catalog::model::scope::ScopeKind;
use catalog::model::stream::{Pagination, RowsAt, Total};

use super::cursor;
use super::effects::Effects;
use super::endpoint::{Endpoint, names};
use super::page::AFTER_A_PAUSE;
use super::question::{Parameters, Question, Shape, is_single};
use super::rules::OFFSET_LIMITS;
use super::world::{World, text};

/// Where every endpoint of version 2 begins.
const VERSION_2: &str = "/v2/";

/// Pages of more rows than this tell how many rows there are in all.
const SMALL_PAGES: u64 = 200;

/// What stands before and after the rows of a JSON body.
pub(super) fn frame(
    question: &Question,
    info: &Value,
    rows: u64,
    world: &World,
    effects: &Effects,
) -> (Vec<u8>, Vec<u8>) {
    let stream = &question.stream;
    let path = stream.request.path.as_str();
    let around = |before: &str, after: &str| (before.as_bytes().to_vec(), after.as_bytes().to_vec());
    // Of what is empty there is still an object.
    let object = |before: &str, after: &str| match rows {
        0 => around(&format!("{before}{{}}{after}"), ""),
        _ => around(before, after),
    };
    let with_info = |info: &Value| match effects.data_first {
        true => around("{\"data\":[", &format!("],\"info\":{info}}}")),
        false => around(&format!("{{\"info\":{info},\"data\":["), "]}"),
    };
    let total = question.rows.total() + effects.total_shift;
    match &stream.pagination {
        _ if stream.rows == RowsAt::Body => object("", ""),
        Pagination::Single => match (is_single(stream), path.starts_with(VERSION_2)) {
            (true, true) => object(&format!("{{\"info\":{info},\"data\":"), "}"),
            (true, false) => object("{\"data\":", "}"),
            (false, true) => with_info(info),
            (false, false) if path.contains("/shopping/") => with_info(info),
            (false, false) if is_wrapped(path, &stream.rows) || effects.wrap_lists => around("{\"data\":[", "]}"),
            (false, false) => around("[", "]"),
        },
        Pagination::Offset { .. } if path.starts_with("/v1/logs/") => around("[", "]"),
        Pagination::Offset { .. } | Pagination::Cursor { .. } => with_info(info),
        Pagination::BodyOffset { .. } => match (effects.no_total, effects.data_first) {
            (true, _) => around("{\"data\":[", "]}"),
            (false, true) => around("{\"data\":[", &format!("],\"totalCount\":{total}}}")),
            (false, false) => around(&format!("{{\"totalCount\":{total},\"data\":["), "]}"),
        },
        Pagination::QueryOffset { limit } if *limit <= SMALL_PAGES => {
            let pagination = json!({ "limit": question.limit, "offset": question.offset });
            around("{\"data\":[", &format!("],\"pagination\":{pagination}}}"))
        }
        Pagination::QueryOffset { .. } => with_info(info),
        Pagination::QueryCursor { parameter } if parameter == "cursor" => with_info(info),
        Pagination::QueryCursor { .. } => {
            let pagination = json!({ "limit": question.limit, "next_cursor": next_cursor(question, rows, effects) });
            around("{\"data\":[", &format!("],\"pagination\":{pagination}}}"))
        }
        Pagination::QueryAfter => {
            let id = |number: u64| question.rows.text(number, "id", world, &question.place);
            let last = (0 < rows).then(|| question.offset + rows - 1);
            let (first_id, last_id) = match (last, effects.repeated_cursor, question.offset) {
                (None, ..) => (None, None),
                (Some(_), true, 1..) => (id(question.offset), id(question.offset - 1)),
                (Some(last), ..) => (id(question.offset), id(last)),
            };
            let more = effects.repeated_cursor || question.offset + rows < question.rows.total();
            let around_rows = json!({ "count": rows, "first_id": first_id, "last_id": last_id,
                "has_more": 0 < rows && more });
            let tail = around_rows.to_string();
            around("{\"data\":[", &format!("],{}", &tail[1..]))
        }
    }
}

/// Whether a list stands in `data`. Which lists of metadata do is a whim of the service, and follows no rule.
fn is_wrapped(path: &str, rows: &RowsAt) -> bool {
    let segment = path.rsplit('/').next().unwrap_or_default();
    let wrapped = ["assets", "personas", "citation-categories", "citation-tags"].contains(&segment);
    match path.starts_with("/v1/org") {
        // Only the list of all assets is.
        true => wrapped && !path.ends_with("}/assets"),
        false => !matches!(rows, RowsAt::Texts { .. }),
    }
}

/// `info` of a body, or the data of `summary`.
pub(super) fn info(
    endpoint: &Endpoint,
    parameters: &Parameters,
    question: &Question,
    world: &World,
    rows: u64,
    effects: &Effects,
) -> Value {
    let body = &parameters.body;
    let all = question.rows.total();
    let total = effects.total_shift
        + match question.stream.total {
            Total::Rows | Total::AtLeast => all,
            // Entities, of which each has some rows.
            Total::Unrelated => all.div_ceil(3),
        };
    let total_name = match question.stream.pagination {
        Pagination::Cursor { .. } => "total_results",
        _ => "total_rows",
    };
    let mut info = Map::new();
    info.insert(total_name.into(), json!(total));
    match question.stream.pagination {
        Pagination::Single if question.stream.request.path.starts_with(VERSION_2) => {
            info.shift_remove(total_name);
            info.insert("total_results".into(), json!(total));
            info.insert("count".into(), json!(rows));
            info.insert("next_cursor".into(), Value::Null);
            info.extend(echo(endpoint, body, question, world));
        }
        Pagination::QueryOffset { .. } => {
            let pagination = json!({ "limit": question.limit, "offset": question.offset });
            let mut query: Map<String, Value> =
                endpoint.variables.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            query.insert("pagination".into(), pagination);
            info.insert("query".into(), Value::Object(query));
        }
        Pagination::Single | Pagination::BodyOffset { .. } | Pagination::QueryAfter => {}
        Pagination::QueryCursor { .. } => {
            info.insert("limit".into(), json!(question.limit));
            info.insert("next_cursor".into(), next_cursor(question, rows, effects));
        }
        Pagination::Offset { .. } if endpoint.is_positional() => {
            info.insert("query".into(), if effects.null_query { Value::Null } else { query(body, question) });
        }
        Pagination::Offset { .. } => {
            info.insert("query".into(), named_query(endpoint, body));
        }
        Pagination::Cursor { .. } => {
            info.insert("count".into(), json!(rows));
            let next = if endpoint.event { Value::Null } else { next_cursor(question, rows, effects) };
            info.insert("next_cursor".into(), next);
            info.extend(echo(endpoint, body, question, world));
        }
    }
    if effects.no_total {
        info.remove(total_name);
    }
    Value::Object(info)
}

fn next_cursor(question: &Question, rows: u64, effects: &Effects) -> Value {
    let read = question.offset + rows;
    if effects.repeated_cursor {
        return json!(cursor::token(question.fingerprint, question.offset));
    }
    match (question.is_pause, 0 < rows && read < question.rows.total()) {
        (true, _) => json!(cursor::token(question.fingerprint, question.offset | AFTER_A_PAUSE)),
        (false, true) => json!(cursor::token(question.fingerprint, read)),
        (false, false) => Value::Null,
    }
}

/// `info.query` of version 1: the query as the service understood it. Its lists bind positional values.
fn query(body: &Map<String, Value>, question: &Question) -> Value {
    let (dimensions, metrics) = match &question.shape {
        Shape::Positional { dimensions, metrics } => (dimensions.clone(), metrics.clone()),
        Shape::Named => {
            let sorted = |name| {
                let mut names = names(body, name);
                names.sort();
                names
            };
            (sorted("dimensions"), sorted("metrics"))
        }
    };
    let default = json!({ "limit": OFFSET_LIMITS.1, "offset": 0 });
    json!({
        "date_interval": body.get("date_interval").cloned().unwrap_or(json!("day")),
        "dimensions": dimensions,
        "metrics": metrics,
        "order_by": body.get("order_by").cloned().unwrap_or(json!({})),
        "filters": body.get("filters").cloned().unwrap_or(json!([])),
        "pagination": body.get("pagination").cloned().unwrap_or(default),
    })
}

/// `info.query` where rows are named: the body as it came.
fn named_query(endpoint: &Endpoint, body: &Map<String, Value>) -> Value {
    match endpoint.sends("metrics") {
        true => Value::Object(body.clone()),
        false => Value::Null,
    }
}

/// What version 2 repeats of the request.
fn echo(endpoint: &Endpoint, body: &Map<String, Value>, question: &Question, world: &World) -> Map<String, Value> {
    let mut told = Map::new();
    let path = question.stream.request.path.as_str();
    let models: Vec<_> = world.models.iter().map(|model| text(model, "name")).collect();
    told.insert("models".into(), json!(models));
    if let Some((first, last)) = question.window {
        let given = |name: &str, day: Day| body.get(name).cloned().unwrap_or(json!(day));
        told.insert("start_date".into(), given("start_date", first));
        told.insert("end_date".into(), given("end_date", last));
    }
    told.insert("filter".into(), body.get("filter").cloned().unwrap_or(Value::Null));
    if endpoint.sends("scope") {
        told.insert("scope".into(), body.get("scope").cloned().unwrap_or(json!("owned")));
        told.insert("asset_filter".into(), body.get("assets").cloned().unwrap_or(Value::Null));
    }
    if endpoint.sends("metrics") {
        let metrics = match names(body, "metrics") {
            metrics if metrics.is_empty() => endpoint.metrics(),
            metrics => metrics,
        };
        told.insert("metrics".into(), json!(metrics));
        told.insert("analysis_types".into(), json!(["visibility"]));
        told.insert("coverage_note".into(), json!("Only runs with data are counted."));
    }
    if endpoint.sends("include") {
        let own = question.stream.body.get("include").cloned().unwrap_or_default();
        told.insert("include".into(), body.get("include").filter(|given| !given.is_null()).cloned().unwrap_or(own));
    }
    if path.contains("/factcheck") || (endpoint.sends("group_by") && !endpoint.sends("metrics")) {
        told.insert("group_by".into(), json!(names(body, "group_by")));
    }
    for name in ["category_id", "limit", "cursor", "interval", "attribution", "include_merchants", "source_types"] {
        if let Some(value) = body.get(name) {
            told.insert(name.into(), value.clone());
        }
    }
    if path.contains("/social/") {
        told.entry("source_types").or_insert(json!(["video", "short", "channel", "playlist"]));
    }
    if path.ends_with("/shopping/merchants") {
        let view = names(body, "group_by").into_iter().find(|group| group != "date");
        told.insert("view".into(), json!(view.unwrap_or_else(|| "distribution".to_owned())));
        let figures = question.stream.columns.iter().filter(|column| column.unit.is_some());
        told.insert("metrics".into(), figures.map(|column| json!(column.name)).collect());
    }
    if question.stream.scope == ScopeKind::CategoryAsset {
        told.insert("asset".into(), body.get("asset").cloned().unwrap_or_default());
        for name in ["comparison_start_date", "comparison_end_date"] {
            told.insert(name.into(), body.get(name).cloned().unwrap_or_default());
        }
    }
    told
}
