//! The members of `status --output json` are stable.

use std::sync::Arc;

use profound_export::catalog::Catalog;
use profound_export::model::day::DayZone;
use profound_export::simulator::{Account, Fault, FaultKind, Simulator};
use serde_json::{Map, Value, json};

use crate::built::program;
use crate::support::{KEY, account};

const STREAMS: &str = "[[job]]\nname = \"nightly\"\ncron = \"0 2 * * *\"\nstreams = [\"visibility_v2\", \"visibility_v1\", \"models\", \"category_tags\", \"bots_v2\"]\n";

/// The kind of every value: of a list the kinds of its items, of members named by days those of all days.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => json!("null"),
        Value::Bool(_) => json!("bool"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("text"),
        Value::Array(items) => json!([items.iter().map(shape).reduce(joined).unwrap_or_default()]),
        Value::Object(members) => {
            let mut shapes = Map::new();
            for (name, value) in members {
                let is_day = name.len() == 10 && name.as_bytes()[4] == b'-';
                let name = if is_day { "DAY" } else { name.as_str() };
                let shape = shape(value);
                let shape = match shapes.remove(name) {
                    Some(before) => joined(before, shape),
                    None => shape,
                };
                shapes.insert(name.to_owned(), shape);
            }
            shapes.sort_keys();
            Value::Object(shapes)
        }
    }
}

/// The kinds of two values that may be in the same place.
fn joined(one: Value, other: Value) -> Value {
    match (one, other) {
        (one, other) if one == other => one,
        (Value::Object(mut one), Value::Object(other)) => {
            for (name, shape) in other {
                let shape = match one.remove(&name) {
                    Some(before) => joined(before, shape),
                    None => shape,
                };
                one.insert(name, shape);
            }
            one.sort_keys();
            Value::Object(one)
        }
        (Value::Array(one), Value::Array(other)) => {
            json!([one.into_iter().chain(other).filter(|shape| !shape.is_null()).reduce(joined).unwrap_or_default()])
        }
        (Value::String(one), Value::String(other)) => {
            let mut kinds: Vec<&str> = one.split(" or ").chain(other.split(" or ")).collect();
            kinds.sort_unstable();
            kinds.dedup();
            json!(kinds.join(" or "))
        }
        (Value::String(null), shape) | (shape, Value::String(null)) if null == "null" => shape,
        (one, other) => json!([one, other]),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn status_json_has_the_documented_members() {
    let account = Account { now: None, ..account() };
    let simulator = Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("jobs.toml"), STREAMS).unwrap();
    let say = |verb: &[&str]| {
        let ended = program(place.path(), &simulator).args(verb).output().unwrap();
        String::from_utf8(ended.stdout).unwrap()
    };
    let empty: Value = serde_json::from_str(&say(&["status", "--output", "json"])).unwrap();
    assert_eq!((&empty["records"], &empty["coverage"]), (&json!(0), &json!([])));

    let status = FaultKind::Status { code: 403, retry_after: None, reset: None };
    simulator.inject(Fault::from(status).of_stream("visibility_v1"));
    simulator.inject(Fault::from(FaultKind::Html { code: 200 }).of_stream("bots_v2"));
    say(&["run"]);
    say(&["forget", "models", "--yes"]);
    let status: Value = serde_json::from_str(&say(&["status", "--output", "json"])).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&shape(&status)).unwrap());

    // Every state that the documentation names is one of the coverage table.
    let states = ["final", "provisional", "empty", "stale", "suspect", "missing"];
    let scopes = status["coverage"].as_array().unwrap();
    let days = scopes.iter().flat_map(|scope| scope["days"].as_object().unwrap().values());
    let found: Vec<&str> = days.map(|day| day["status"].as_str().unwrap()).collect();
    assert!(found.iter().all(|state| states.contains(state)) && found.contains(&"suspect"), "{found:?}");

    // People see the same as a picture: days by streams.
    let shown = say(&["status", "--days", "7"]);
    assert!(shown.contains("coverage  last 7 days") && shown.contains("suspect: bots_v2"), "{shown}");
    assert!(shown.contains("not entitled: visibility_v1"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lake_without_an_export_is_no_success_and_shows_a_failed_first_run() {
    let account = Account { now: None, categories: 1, ..account() };
    let simulator = Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("jobs.toml"), STREAMS).unwrap();
    let end = |verb: &[&str]| {
        let ended = program(place.path(), &simulator).args(verb).output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stdout).unwrap())
    };
    for verb in ["status", "verify"] {
        let (code, shown) = end(&[verb]);
        assert!(code == Some(1) && shown.starts_with("Nothing is exported yet"), "{verb}: {code:?} {shown}");
    }
    assert!(!place.path().join("lake").exists(), "only a run creates the lake");

    simulator.revoke_key();
    assert_eq!(end(&["run"]).0, Some(77));
    let (code, shown) = end(&["status"]);
    assert_eq!(code, Some(0));
    assert!(shown.starts_with("The API rejected the key in the last run of `nightly`"), "{shown}");
    assert_eq!(end(&["verify"]).0, Some(1));
    assert_eq!(end(&["plan", "--offline"]).0, Some(2));

    simulator.rotate_key(KEY);
    end(&["run"]);
    let (code, shown) = end(&["verify"]);
    assert!(code == Some(0) && shown.contains("all present"), "{code:?} {shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn backfill_before_the_start_owes_no_days_that_no_run_plans() {
    let account = Account { now: None, categories: 1, ..account() };
    let simulator = Simulator::start(Arc::new(Catalog::embedded().unwrap()), account).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    let jobs = "[[job]]\nname = \"nightly\"\ncron = \"0 2 * * *\"\nstreams = [\"factcheck_claims_v2\"]\n";
    std::fs::write(place.path().join("jobs.toml"), jobs).unwrap();
    let say = |verb: &[&str]| {
        let ended = program(place.path(), &simulator).args(verb).output().unwrap();
        String::from_utf8(ended.stdout).unwrap()
    };
    let first = DayZone::Eastern.today(simulator.now()).plus(-58);
    let [from, to] = [first, first.plus(2)].map(|day| day.to_string());
    say(&["run"]);
    say(&["backfill", "nightly", "--from", &from, "--to", &to]);
    say(&["run"]);
    let shown = say(&["status"]);
    assert!(shown.starts_with("Everything due is exported.\n"), "{shown}");
    let json = say(&["status", "--output", "json"]);
    assert!(json.contains(&from), "the backfill is recorded");
}
