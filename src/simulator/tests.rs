//! What tests of other layers rely on, over HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::model::column::ColumnType;
use crate::model::scope::{Scope, ScopeKind};
use crate::model::stream::Stream;
use crate::model::window::Window;

use super::{Account, Fault, FaultKind, Simulator};

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
    reqwest::Client::new()
}

async fn post(sim: &Simulator, path: &str, body: &Value) -> reqwest::Response {
    plain_client().post(format!("{}{path}", sim.url())).header("x-api-key", sim.key()).json(body).send().await.unwrap()
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

/// The dimensions of every row of a walk by offsets.
async fn walk(sim: &Simulator, order: &[&str]) -> Vec<String> {
    let mut rows = Vec::new();
    loop {
        let body = visibility_v1(sim, order, 40, rows.len() as u64);
        let page: Value = post(sim, "/v1/reports/visibility", &body).await.json().await.unwrap();
        rows.extend(page["data"].as_array().unwrap().iter().map(|row| row["dimensions"].to_string()));
        if page["info"]["total_rows"].as_u64().unwrap() <= rows.len() as u64 {
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

fn check_rows(stream: &Stream, rows: &[Value]) {
    let mut keys = BTreeSet::new();
    for row in rows {
        assert_eq!(row.as_object().unwrap().len(), stream.columns.len(), "{}", stream.name);
        for column in &stream.columns {
            let value = &row[&column.name];
            assert!(fits(value, &column.data_type), "{}: {} is {value}", stream.name, column.name);
            if let (Some([low, high]), Some(number)) = (column.range, value.as_f64()) {
                assert!(low <= number && number <= high, "{}: {} is {number}", stream.name, column.name);
            }
        }
        let part = |path: &String| path.split('.').fold(row, |value, name| &value[name]).clone();
        let key: Vec<_> = stream.key.iter().map(part).collect();
        assert!(!key.contains(&Value::Null), "{}: the key {key:?} has a null", stream.name);
        assert!(keys.insert(format!("{key:?}")), "{}: the key {key:?} stands twice", stream.name);
    }
}

#[tokio::test]
async fn every_stream_has_rows_of_its_types_with_keys_that_are_unique() {
    let sim = simulator(account()).await;
    for stream in Catalog::embedded().unwrap().streams() {
        let window = stream.is_dated().then(|| days("2026-08-17", "2026-08-19"));
        let mut total = 0;
        for scope in sim.scopes(stream.scope) {
            let rows = sim.rows(stream, &scope, window);
            check_rows(stream, &rows);
            assert_eq!(sim.truth(stream, &scope, window).rows, rows.len() as u64);
            total += rows.len();
        }
        assert!(0 < total, "{} is empty", stream.name);
    }
}

#[tokio::test]
async fn stream_that_nobody_foresaw_is_answered_from_its_declaration() {
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
    let sim = Simulator::start(Arc::new(Catalog::of(vec![declared.clone()]).unwrap()), account).await.unwrap();
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
async fn offsets_walk_every_row_once_only_when_the_order_is_total() {
    let sim = simulator(account()).await;
    let dimensions = super::endpoint::names(&stream("visibility_v1").body, "dimensions");
    let total: Vec<_> = dimensions.iter().map(String::as_str).collect();
    let rows = walk(&sim, &total).await;
    assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), rows.len());
    let rows = walk(&sim, &["date"]).await;
    assert!(rows.iter().collect::<BTreeSet<_>>().len() < rows.len());
}

#[tokio::test]
async fn figures_of_a_day_change_when_it_is_restated_and_its_rows_stay() {
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
    assert!(100 < changed.count());
}

#[tokio::test]
async fn today_has_only_the_rows_of_its_hours_and_tomorrow_has_none() {
    let account = Account { rows_per_day: BTreeMap::from([("visibility_v2".into(), 240)]), ..account() };
    let sim = simulator(account).await;
    let scope = &sim.scopes(ScopeKind::Category)[0];
    let truth = sim.truth(&stream("visibility_v2"), scope, Some(days("2026-08-19", "2026-08-21")));
    // Noon in New York.
    assert_eq!(truth.days.values().copied().collect::<Vec<_>>(), [240, 120]);
}

#[tokio::test]
async fn budget_is_told_in_every_answer_and_ends_in_429() {
    let sim = simulator(Account { requests_per_period: 2, ..account() }).await;
    let body = visibility_v1(&sim, &["date"], 1, 0);
    for left in ["1", "0"] {
        let response = post(&sim, "/v1/reports/visibility", &body).await;
        assert_eq!(response.headers()["x-ratelimit-remaining"], left);
    }
    let refused = post(&sim, "/v1/reports/visibility", &body).await;
    assert_eq!(refused.status(), 429);
    let seconds: i64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3590..=3600).contains(&seconds), "{seconds}");
    sim.set_now("2026-08-20T17:00:00Z".parse().unwrap());
    assert_eq!(post(&sim, "/v1/reports/visibility", &body).await.status(), 200);
    let answered: Vec<_> = sim.requests().iter().map(|request| request.status).collect();
    assert_eq!(answered, [200, 200, 429, 200]);
}

#[tokio::test]
async fn key_is_rejected_when_revoked_and_another_is_accepted_when_rotated() {
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
async fn body_breaks_off_when_it_is_truncated_and_ends_cleanly_when_rows_are_kept_back() {
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
async fn server_is_gone_when_it_is_dropped() {
    let sim = simulator(account()).await;
    let url = format!("{}/simulator/faults", sim.url());
    let client = plain_client();
    assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
    drop(sim);
    assert!(client.get(&url).send().await.is_err());
}

#[tokio::test]
async fn scopes_are_unlike_each_other_and_known_by_the_account() {
    let sim = simulator(account()).await;
    let assets = sim.scopes(ScopeKind::CategoryAsset);
    assert_eq!(assets.len(), 4);
    let domains = sim.scopes(ScopeKind::Domain);
    assert_eq!(domains[0].domain, domains[1].domain);
    assert_ne!(domains[0].key(), domains[1].key());
    let unknown = Scope { category: domains[0].organization.clone(), ..Scope::default() };
    assert_eq!(sim.truth(&stream("visibility_v2"), &unknown, None).rows, 0);
}
