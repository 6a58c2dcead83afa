//! What other crates' tests rely on, over HTTP.

mod agreement;
mod children;
mod pages;
mod products;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use catalog::Catalog;
use catalog::model::column::ColumnType;
use catalog::model::scope::{Scope, ScopeKind};
use catalog::model::stream::{DaysKind, Method, Pagination, RowsAt, Stream, WindowEnd};
use catalog::model::window::Window;

use crate::data::stream_shape::is_positional;
use crate::query::parameters::{names, query_pairs};
use crate::{Account, Fault, FaultKind, ProductHolders, Simulator, UndocumentedEnd};

const NOW: &str = "2026-08-20T16:00:00Z";

fn account() -> Account {
    Account { now: Some(NOW.parse().unwrap()), ..Account::default() }
}

async fn simulator(account: Account) -> Simulator {
    Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap()
}

fn days(first: &str, last: &str) -> Window {
    Window::inclusive(first.parse().unwrap(), last.parse().unwrap()).unwrap()
}

fn stream(name: &str) -> Stream {
    Stream::clone(Catalog::embedded().unwrap().get(name).unwrap())
}

#[expect(clippy::disallowed_methods, reason = "the simulator is tested without the product's own client")]
fn plain_client() -> reqwest::Client {
    // With the product in the same build, reqwest has TLS without a provider of its own.
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::new()
}

async fn post(sim: &Simulator, path: &str, body: &Value) -> reqwest::Response {
    plain_client().post(format!("{}{path}", sim.url())).header("x-api-key", sim.key()).json(body).send().await.unwrap()
}

async fn get(sim: &Simulator, path: &str) -> reqwest::Response {
    plain_client().get(format!("{}{path}", sim.url())).header("x-api-key", sim.key()).send().await.unwrap()
}

/// The status and the body of a response.
async fn read(response: reqwest::Response) -> (u16, Value) {
    (response.status().as_u16(), response.json().await.unwrap())
}

/// A body of `visibility_v1` for the first category.
fn visibility_v1(sim: &Simulator, order: &[&str], limit: u64, offset: u64) -> Value {
    let mut body = Value::Object(stream("visibility_v1").body);
    body["category_id"] = json!(sim.scopes(ScopeKind::Category)[0].category.as_ref().unwrap().id);
    body["start_date"] = json!("2026-08-17");
    body["end_date"] = json!("2026-08-20");
    body["order_by"] = order.iter().map(|name| ((*name).to_owned(), json!("asc"))).collect();
    body["pagination"] = json!({ "limit": limit, "offset": offset });
    body
}

/// The dimensions of every row of all offset pages.
async fn offset_pages(sim: &Simulator, order: &[&str]) -> Vec<String> {
    let mut rows = Vec::new();
    loop {
        let body = visibility_v1(sim, order, 40, rows.len() as u64);
        let page: Value = post(sim, "/v1/reports/visibility", &body).await.json().await.unwrap();
        rows.extend(page["data"].as_array().unwrap().iter().map(|row| row["dimensions"].to_string()));
        if rows.len() as u64 >= page["info"]["total_rows"].as_u64().unwrap() {
            return rows;
        }
    }
}

fn fits(value: &Value, data_type: &ColumnType) -> bool {
    match (data_type, value) {
        (_, Value::Null) => true,
        (ColumnType::Utf8 | ColumnType::Date, value) => value.is_string(),
        (ColumnType::Timestamp, value) => value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
        (ColumnType::Int64 | ColumnType::UnixSeconds, value) => value.is_i64(),
        (ColumnType::Float64, value) => value.is_number(),
        (ColumnType::Bool, value) => value.is_boolean(),
        (ColumnType::Json, value) => value.is_object(),
        (ColumnType::List(item), value) => {
            value.as_array().is_some_and(|items| items.iter().all(|one| fits(one, item)))
        }
        (ColumnType::Struct(fields), value) => {
            value.is_object() && fields.iter().all(|(name, inner)| fits(&value[name], inner))
        }
    }
}

/// What is wrong with the rows of one answer.
fn problems(stream: &Stream, rows: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    let mut keys = BTreeSet::new();
    let mut report = |problem: String| found.push(format!("{}: {problem}", stream.name));
    for row in rows {
        if row.as_object().unwrap().len() != stream.columns.len() {
            report(format!("the row {row} has other columns"));
        }
        for column in &stream.columns {
            let value = &row[&column.name];
            let outside = match (column.range, value.as_f64()) {
                (Some([low, high]), Some(number)) => !(low..=high).contains(&number),
                _ => false,
            };
            if outside || !fits(value, &column.data_type) {
                report(format!("{} is {value}", column.name));
            }
        }
        let part = |path: &String| path.split('.').fold(row, |value, name| &value[name]).clone();
        let key: Vec<_> = stream.key.iter().map(part).collect();
        if key.contains(&Value::Null) {
            report(format!("the key {key:?} has a null"));
        }
        if !keys.insert(format!("{key:?}")) {
            report(format!("the key {key:?} occurs twice"));
        }
    }
    found.truncate(3);
    found
}

fn check_rows(stream: &Stream, rows: &[Value]) {
    assert_eq!(problems(stream, rows), Vec::<String>::new());
}

/// Days that these tests request of a stream.
fn some_days(stream: &Stream) -> Option<Window> {
    stream.days.as_ref().map(|counting| match counting.kind {
        DaysKind::Week => days("2026-08-03", "2026-08-09"),
        DaysKind::Month => days("2026-07-01", "2026-07-31"),
        DaysKind::Dated | DaysKind::Window => days("2026-08-17", "2026-08-19"),
    })
}

#[tokio::test]
async fn every_stream_has_typed_rows_with_unique_keys() {
    let sim = simulator(account()).await;
    let mut found = Vec::new();
    for stream in Catalog::embedded().unwrap().streams().filter(|stream| stream.parameters.is_empty()) {
        let window = some_days(stream);
        let mut total = 0;
        for scope in sim.scopes(stream.scope) {
            let rows = sim.rows(stream, &scope, window);
            if stream.days.as_ref().is_some_and(|counting| counting.kind.is_single()) {
                // The key distinguishes rows of one day, not those of several.
                for day in window.into_iter().flat_map(Window::days) {
                    found.extend(problems(stream, &sim.rows(stream, &scope, Some(Window::from_day(day)))));
                }
            } else {
                found.extend(problems(stream, &rows));
            }
            assert_eq!(sim.truth(stream, &scope, window).rows, rows.len() as u64, "{}", stream.name);
            total += rows.len();
        }
        if total == 0 {
            found.push(format!("{} is empty", stream.name));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// `template` with the values of `variables`.
fn filled(template: &str, variables: &BTreeMap<String, String>) -> String {
    variables.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// The response to the request of `stream` over `window` with `variables`.
async fn ask(
    sim: &Simulator,
    stream: &Stream,
    scope: &Scope,
    window: Option<Window>,
    variables: &BTreeMap<String, String>,
) -> reqwest::Response {
    let mut variables = variables.clone();
    for (part, named) in scope.parts() {
        variables.insert(format!("{}_id", part.path_key()), named.id.clone());
        variables.insert(format!("{}_name", part.path_key()), named.name.clone());
    }
    let mut body = Value::Object(stream.body.clone());
    if let Some(window) = window {
        let end = stream.days.as_ref().map(|counting| counting.end);
        let last = if end == Some(WindowEnd::Exclusive) { window.end } else { window.last() };
        variables.extend([("first".to_owned(), window.start.to_string()), ("last".to_owned(), last.to_string())]);
        if stream.days.as_ref().is_some_and(|counting| counting.sent) {
            body["start_date"] = json!(window.start);
            body["end_date"] = json!(last);
        }
    }
    let encoded = |(name, value): (&String, &String)| {
        (name.clone(), url::form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>().replace('+', "%20"))
    };
    let steps = variables.iter().map(encoded).collect();
    let pairs = query_pairs(&stream.query).map(|(name, value)| (name, filled(value, &variables)));
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let url = format!("{}{}?{query}", sim.url(), filled(&stream.request.path, &steps));
    let request = match stream.request.method {
        Method::Get => plain_client().get(url),
        Method::Post => {
            let mut body: Value = serde_json::from_str(&escaped_fill(&body.to_string(), &variables)).unwrap();
            for (name, value) in [
                ("category_id", scope.category.as_ref().map(|named| &named.id)),
                ("asset", scope.asset.as_ref().map(|named| &named.name)),
                ("domain", scope.domain.as_ref().map(|named| &named.name)),
                ("organization_id", scope.organization.as_ref().map(|named| &named.id)),
            ] {
                let part = name.trim_end_matches("_id");
                let taken =
                    stream.uses_variable(&format!("{part}_name")) || stream.uses_variable(&format!("{part}_id"));
                if let Some(value) = value.filter(|_| !taken) {
                    body[name] = json!(value);
                }
            }
            match &stream.pagination {
                Pagination::Offset { limit } => body["pagination"] = json!({ "limit": limit, "offset": 0 }),
                Pagination::Cursor { limit } | Pagination::BodyOffset { limit } => body["limit"] = json!(limit),
                _ => {}
            }
            plain_client().post(url).json(&body)
        }
    };
    request.header("x-api-key", sim.key()).send().await.unwrap()
}

fn escaped_fill(text: &str, variables: &BTreeMap<String, String>) -> String {
    let escaped = |value: &String| {
        let text = json!(value).to_string();
        text[1..text.len() - 1].to_owned()
    };
    filled(text, &variables.iter().map(|(name, value)| (name.clone(), escaped(value))).collect())
}

/// The rows of a body; positional rows are left as they are.
fn rows_of(stream: &Stream, answer: Value) -> Vec<Value> {
    match &stream.rows {
        RowsAt::Body => vec![answer],
        RowsAt::Members { names, column } => {
            let mut rows = Vec::new();
            for name in names {
                for mut row in answer[name].as_array().unwrap().clone() {
                    row[column] = json!(name);
                    rows.push(row);
                }
            }
            rows
        }
        at => {
            let data = if answer.is_array() { answer } else { answer["data"].clone() };
            let rows = match data {
                Value::Array(rows) => rows,
                row => vec![row],
            };
            match at {
                RowsAt::Texts { column } => rows.into_iter().map(|text| json!({ column: text })).collect(),
                _ => rows,
            }
        }
    }
}

#[tokio::test]
async fn every_stream_answers_its_request_with_the_generated_rows() {
    let sim = simulator(Account { requests_per_period: 1_000_000, ..account() }).await;
    let mut found = Vec::new();
    for stream in Catalog::embedded().unwrap().streams() {
        let scope = &sim.scopes(stream.scope)[0];
        let mut window = some_days(stream);
        let given: BTreeMap<_, _> =
            stream.parameters.iter().map(|name| (name.clone(), format!("some \"{name}\" & more"))).collect();
        let variables = if given.is_empty() {
            let (day, variables) = sim.requests_for(stream, scope, window).remove(0);
            window = match (day, &stream.days) {
                (Some(day), Some(counting)) => Some(counting.span(day)),
                _ => window,
            };
            variables
        } else {
            // Without a date in the rows there is one answer for all days.
            if stream.days.as_ref().is_some_and(|counting| counting.kind == DaysKind::Window) {
                window = window.map(|window| Window::from_day(window.start));
            }
            given
        };
        let answer = ask(&sim, stream, scope, window, &variables).await;
        let status = answer.status();
        let text = answer.text().await.unwrap();
        if status != 200 {
            found.push(format!("{}: {status} {text}", stream.name));
            continue;
        }
        let rows = rows_of(stream, serde_json::from_str(&text).unwrap());
        let mut expected = sim.rows_with(stream, scope, window, variables.clone());
        if stream.parent.is_some() {
            let of_request = |row: &Value| {
                variables.iter().all(|(name, value)| stream.column(name).is_none() || row[name] == *value)
            };
            expected.retain(of_request);
        }
        for row in &mut expected {
            for column in stream.columns.iter().filter(|column| column.from_request) {
                row.as_object_mut().unwrap().shift_remove(&column.name);
            }
        }
        // Reports have more rows than a page.
        let all = matches!(stream.pagination, Pagination::Cursor { .. }) || rows.len() == expected.len();
        let same = is_positional(stream) || rows.iter().all(|row| expected.contains(row));
        if rows.is_empty() || !all || !same {
            found.push(format!("{}: {} rows instead of {}", stream.name, rows.len(), expected.len()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test]
async fn unknown_stream_is_answered_from_its_declaration() {
    let declared: Stream = toml::from_str(
        r#"
        name = "podcasts"
        about = "One row per day and podcast."
        request = "POST /v3/reports/podcasts"
        pagination = { cursor = { limit = 50 } }
        scope = "category"
        days = { zone = "eastern", end = "inclusive", lookback = 3 }
        body = { group_by = ["date", "podcast"], metrics = ["listeners"] }
        key = ["date", "podcast.id", "kind", "episode"]
        columns = [
          { name = "date", type = "date", about = "day" },
          { name = "podcast", type = "struct<id: utf8, name: utf8>", about = "podcast" },
          { name = "kind", type = "utf8", about = "kind", values = ["audio", "video"] },
          { name = "episode", type = "int64", about = "episode" },
          { name = "listeners", type = "float64", about = "listeners", unit = "share", range = [-1, 1] },
          { name = "chapters", type = "list<struct<title: utf8, at: timestamp>>", about = "chapters" },
        ]
        "#,
    )
    .unwrap();
    let account = Account { rows_per_day: BTreeMap::from([("podcasts".into(), 1000)]), ..account() };
    let sim = Simulator::start(Arc::new(Catalog::new(vec![declared.clone()]).unwrap()), account).await.unwrap();
    let scope = &sim.scopes(ScopeKind::Category)[0];
    let rows = sim.rows(&declared, scope, Some(days("2026-08-18", "2026-08-19")));
    assert_eq!(rows.len(), 2000);
    check_rows(&declared, &rows);
    let mut body = Value::Object(declared.body.clone());
    body["category_id"] = json!(scope.category.as_ref().unwrap().id);
    body["start_date"] = json!("2026-08-18");
    body["end_date"] = json!("2026-08-19");
    let page: Value = post(&sim, "/v3/reports/podcasts", &body).await.json().await.unwrap();
    assert_eq!(page["info"]["total_results"], 2000);
    assert_eq!(page["data"].as_array().unwrap().len(), 10);
}

#[tokio::test]
async fn offset_pages_hold_every_row_once_only_if_the_order_is_total() {
    let sim = simulator(account()).await;
    let dimensions = names(&stream("visibility_v1").body, "dimensions");
    let total: Vec<_> = dimensions.iter().map(String::as_str).collect();
    let rows = offset_pages(&sim, &total).await;
    assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), rows.len());
    let rows = offset_pages(&sim, &["date"]).await;
    assert!(rows.iter().collect::<BTreeSet<_>>().len() < rows.len());
}

#[tokio::test]
async fn restated_day_has_other_figures_and_the_same_keys() {
    let sim = simulator(account()).await;
    let (stream, window) = (stream("visibility_v2"), days("2026-08-17", "2026-08-18"));
    let scope = &sim.scopes(ScopeKind::Category)[0];
    let before = sim.rows(&stream, scope, Some(window));
    sim.restate(window.start);
    let after = sim.rows(&stream, scope, Some(window));
    let keys =
        |rows: &[Value]| -> Vec<_> { rows.iter().map(|row| (row["prompt"].clone(), row["model"].clone())).collect() };
    assert_eq!(keys(&before), keys(&after));
    let changed = before.iter().zip(&after).filter(|(one, other)| one != other);
    assert!(changed.clone().all(|(row, _)| row["date"] == "2026-08-17"));
    assert!(changed.count() > 100);
}

#[tokio::test]
async fn today_has_the_rows_of_its_hours_and_tomorrow_has_none() {
    let account = Account { rows_per_day: BTreeMap::from([("visibility_v2".into(), 240)]), ..account() };
    let sim = simulator(account).await;
    let scope = &sim.scopes(ScopeKind::Category)[0];
    let truth = sim.truth(&stream("visibility_v2"), scope, Some(days("2026-08-19", "2026-08-21")));
    // Noon in New York.
    assert_eq!(truth.days.values().copied().collect::<Vec<_>>(), [240, 120]);
}

#[tokio::test]
async fn rate_limit_is_announced_until_it_ends_in_429() {
    let sim = simulator(Account { requests_per_period: 2, ..account() }).await;
    let body = visibility_v1(&sim, &["date"], 1, 0);
    for left in ["1", "0"] {
        let response = post(&sim, "/v1/reports/visibility", &body).await;
        assert_eq!(response.headers()["x-ratelimit-remaining"], left);
    }
    let throttled = post(&sim, "/v1/reports/visibility", &body).await;
    assert_eq!(throttled.status(), 429);
    let seconds: i64 = throttled.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3590..=3600).contains(&seconds), "{seconds}");
    sim.set_now("2026-08-20T17:00:00Z".parse().unwrap());
    assert_eq!(post(&sim, "/v1/reports/visibility", &body).await.status(), 200);
    let answered: Vec<_> = sim.requests().iter().map(|request| request.status).collect();
    assert_eq!(answered, [200, 200, 429, 200]);
}

#[tokio::test]
async fn revoked_key_is_rejected_and_rotated_key_is_accepted() {
    let sim = simulator(account()).await;
    let body = visibility_v1(&sim, &["date"], 1, 0);
    sim.inject(Fault::from(FaultKind::RevokeKey).after(1));
    assert_eq!(post(&sim, "/v1/reports/visibility", &body).await.status(), 200);
    assert_eq!(post(&sim, "/v1/reports/visibility", &body).await.status(), 401);
    sim.clear_faults();
    assert_eq!(post(&sim, "/v1/reports/visibility", &body).await.status(), 401);
    sim.rotate_key("new-key");
    assert_eq!(sim.key(), "new-key");
    assert_eq!(post(&sim, "/v1/reports/visibility", &body).await.status(), 200);
}

#[tokio::test]
async fn truncated_body_is_an_error_and_silent_end_is_not() {
    let sim = simulator(account()).await;
    let mut body = visibility_v1(&sim, &["date"], 1, 0);
    body["pagination"] = Value::Null;
    sim.inject("truncate:bytes=1000,times=1".parse().unwrap());
    assert!(post(&sim, "/v1/reports/visibility/stream", &body).await.text().await.is_err());
    sim.inject("silent_end:rows=3".parse().unwrap());
    let text = post(&sim, "/v1/reports/visibility/stream", &body).await.text().await.unwrap();
    assert_eq!(text.matches("event: row\n").count(), 3);
    assert!(text.starts_with("event: summary\n"));
}

#[tokio::test]
async fn key_is_replaced_over_http() {
    let sim = simulator(account()).await;
    let client = plain_client();
    let url = format!("{}/simulator/key", sim.url());
    let status = async |body: Value| client.post(&url).json(&body).send().await.unwrap().status();
    assert_eq!(status(json!({})).await, 422);
    assert_eq!(status(json!({ "key": "another" })).await, 200);
    let asked = async |key: &str| {
        let request = client.get(format!("{}/v1/org/categories", sim.url())).header("X-API-Key", key);
        request.send().await.unwrap().status()
    };
    assert_eq!(asked(&account().key).await, 401);
    assert_eq!(asked("another").await, 200);
}

#[tokio::test]
async fn server_stops_when_it_is_dropped() {
    let sim = simulator(account()).await;
    let url = format!("{}/simulator/faults", sim.url());
    let client = plain_client();
    assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
    drop(sim);
    assert!(client.get(&url).send().await.is_err());
}

#[tokio::test]
async fn scopes_are_distinct_and_belong_to_the_account() {
    let sim = simulator(account()).await;
    let assets = sim.scopes(ScopeKind::CategoryAsset);
    assert_eq!(assets.len(), 4);
    let domains = sim.scopes(ScopeKind::Domain);
    assert_eq!(domains[0].domain, domains[1].domain);
    assert_ne!(domains[0].key(), domains[1].key());
    let unknown = Scope { category: domains[0].organization.clone(), ..Scope::default() };
    assert_eq!(sim.truth(&stream("visibility_v2"), &unknown, None).rows, 0);
}
