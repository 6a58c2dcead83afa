//! `/simulator/...`: the simulator itself, for people and for tests in other languages. These requests need no key, count
//! as none, and no fault applies to them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use catalog::model::day::Day;
use catalog::model::window::Window;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::query::truth::truth_of_scopes;

use super::fault::Fault;
use super::state::SimulatorState;

type Server = State<Arc<SimulatorState>>;

/// A JSON answer, or 422 with a problem.
type Answer = Result<Json<Value>, (StatusCode, Json<Value>)>;

/// The control endpoints.
pub(crate) fn router() -> Router<Arc<SimulatorState>> {
    Router::new()
        .route("/simulator/truth", get(truth))
        .route("/simulator/requests", get(requests))
        .route("/simulator/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/simulator/restate", post(restate))
        .route("/simulator/spend", post(spend))
        .route("/simulator/key", post(replace_key))
}

fn problem(text: String) -> (StatusCode, Json<Value>) {
    (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "detail": text })))
}

/// Both days are included; without days the whole history counts.
#[derive(Deserialize)]
struct TruthQuery {
    stream: String,
    from: Option<Day>,
    to: Option<Day>,
}

async fn truth(State(server): Server, Query(query): Query<TruthQuery>) -> Answer {
    let dataset = server.dataset();
    let unknown = || problem(format!("there is no stream `{}`", query.stream));
    let stream = dataset.catalog.get(&query.stream).cloned().ok_or_else(unknown)?;
    let window = match (query.from, query.to.or(query.from)) {
        (Some(from), Some(to)) => {
            Some(Window::inclusive(from, to).ok_or_else(|| problem(format!("`{from}` is after `{to}`")))?)
        }
        _ => None,
    };
    // Millions of rows may have to be made.
    let truth = tokio::task::spawn_blocking(move || truth_of_scopes(&stream, window, &dataset)).await;
    truth.map(Json).map_err(|error| problem(error.to_string()))
}

async fn requests(State(server): Server) -> Json<Value> {
    Json(json!(server.live.lock().received))
}

async fn faults(State(server): Server) -> Json<Value> {
    Json(server.live.lock().faults.to_json())
}

async fn add_fault(State(server): Server, Json(fault): Json<Value>) -> Answer {
    let fault = Fault::from_json(fault).map_err(problem)?;
    server.live.lock().faults.add(fault);
    Ok(faults(State(server)).await)
}

async fn clear_faults(State(server): Server) -> Json<Value> {
    server.live.lock().faults.clear();
    faults(State(server)).await
}

#[derive(Deserialize)]
struct Restate {
    day: Day,
}

async fn restate(State(server): Server, Json(Restate { day }): Json<Restate>) -> Json<Value> {
    let mut live = server.live.lock();
    let revision = live.dataset.revisions.entry(day).or_default();
    *revision += 1;
    Json(json!({ "day": day, "revision": revision }))
}

#[derive(Deserialize)]
struct Spend {
    requests: u32,
}

async fn spend(State(server): Server, Json(Spend { requests }): Json<Spend>) -> Json<Value> {
    Json(json!({ "spent": server.live.lock().spend(requests) }))
}

#[derive(Deserialize)]
struct ReplaceKey {
    key: String,
}

async fn replace_key(State(server): Server, Json(ReplaceKey { key }): Json<ReplaceKey>) -> Json<Value> {
    server.live.lock().replace_key(&key);
    Json(json!({ "key": key }))
}
