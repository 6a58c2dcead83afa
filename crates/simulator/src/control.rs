//! `/simulator/...`: the simulator itself, for people and for tests in other languages. No key, no budget, no faults.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use catalog::model::day::Day;
use catalog::model::window::Window;

use super::fault::Fault;
use super::question::parse_query;
use super::server::{members, plain};
use super::state::Shared;
use super::truth;

/// Answers one such request.
pub(super) async fn handle(shared: Arc<Shared>, method: &str, path: &str, query: &str, body: &[u8]) -> Response {
    let answer = match (method, path) {
        ("GET", "/simulator/truth") => tell_truth(shared, query).await,
        ("GET", "/simulator/requests") => {
            let received = shared.state().received.clone();
            Ok(received.iter().map(|one| serde_json::to_value(one).unwrap_or_default()).collect())
        }
        ("GET", "/simulator/faults") => Ok(shared.state().faults.to_json()),
        ("POST", "/simulator/faults") => Fault::from_json(Value::Object(members(body))).map(|fault| {
            let mut state = shared.state();
            state.faults.add(fault);
            state.faults.to_json()
        }),
        ("DELETE", "/simulator/faults") => {
            shared.state().faults.clear();
            Ok(json!([]))
        }
        ("POST", "/simulator/restate") => {
            let day = members(body).get("day").and_then(Value::as_str).unwrap_or_default().parse::<Day>();
            day.map(|day| {
                let mut state = shared.state();
                let revision = state.revisions.entry(day).or_default();
                *revision += 1;
                json!({ "day": day, "revision": revision })
            })
        }
        ("POST", "/simulator/touch") => {
            let asked = members(body);
            let stream = asked.get("stream").and_then(Value::as_str).unwrap_or_default();
            let rows = asked.get("rows").and_then(Value::as_u64).unwrap_or(1);
            match shared.catalog.get(stream) {
                Some(_) => {
                    let at = shared.touch(stream, usize::try_from(rows).unwrap_or(usize::MAX));
                    Ok(json!({ "stream": stream, "rows": rows, "at": at.to_string() }))
                }
                None => Err(format!("there is no stream `{stream}`")),
            }
        }
        ("POST", "/simulator/spend") => match members(body).get("requests").and_then(Value::as_u64) {
            Some(requests) => Ok(json!({ "spent": shared.spend(u32::try_from(requests).unwrap_or(u32::MAX)) })),
            None => Err("`requests` is missing: how many somebody else spends".to_owned()),
        },
        ("POST", "/simulator/key") => match members(body).get("key").and_then(Value::as_str) {
            Some(key) => {
                shared.state().key = Some(key.to_owned());
                Ok(json!({ "key": key }))
            }
            None => Err("`key` is missing: the only one that is accepted from now on".to_owned()),
        },
        _ => return plain(StatusCode::NOT_FOUND, &json!({ "detail": "Not Found" })),
    };
    match answer {
        Ok(answer) => plain(StatusCode::OK, &answer),
        Err(problem) => plain(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "detail": problem })),
    }
}

/// `?stream=NAME&from=DAY&to=DAY`, both days included; without days the whole history.
async fn tell_truth(shared: Arc<Shared>, query: &str) -> Result<Value, String> {
    let parameters = parse_query(query);
    let given = |name: &str| parameters.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
    let name = given("stream").ok_or("`stream` is missing")?;
    let stream = shared.catalog.get(name).cloned().ok_or_else(|| format!("there is no stream `{name}`"))?;
    let window = match (given("from"), given("to").or(given("from"))) {
        (Some(from), Some(to)) => {
            let window = Window::inclusive(from.parse()?, to.parse()?);
            Some(window.ok_or_else(|| format!("`{from}` is after `{to}`"))?)
        }
        _ => None,
    };
    // Millions of rows may have to be made.
    let told = tokio::task::spawn_blocking(move || truth::of_all(&shared, &stream, window)).await;
    told.map_err(|error| error.to_string())
}
