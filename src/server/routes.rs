//! What is answered under which path.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde::Deserialize;

use super::ServerState;
use super::events::events;
use super::guard::guard;
use super::page::{self, PageData};
use super::status_json::{StatusJson, days_json};
use crate::status::{Status, StreamDetails, StreamStatus};

/// Everything that is served.
pub(super) fn router(shared: Arc<ServerState>) -> Router {
    let mut router = Router::new()
        .route("/", get(index))
        .route("/status.json", get(status_json))
        .route("/events", get(events))
        .route("/stream/{name}", get(stream))
        .route("/days/{name}", get(days))
        .route("/page.css", get(|| async { ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], page::STYLE) }))
        .route("/page.js", get(|| async { ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], page::SCRIPT) }))
        // The server is polled together with everything else of the process, so an answer proves that the loop lives.
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz));
    if shared.metrics.is_some() {
        router = router.route("/metrics", get(metrics));
    }
    router
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is nothing here\n") })
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), guard))
        .with_state(shared)
}

/// What a page may be asked for.
#[derive(Debug, Default, Deserialize)]
struct PageQuery {
    /// The id of the category that is shown alone.
    #[serde(default)]
    category: String,
}

impl ServerState {
    fn status(&self) -> Option<Arc<Status>> {
        self.cache.subscribe().borrow().clone()
    }

    fn data(&self, status: Option<Arc<Status>>) -> PageData {
        PageData {
            status,
            doing: self.live.activity(),
            config: self.cache.config(),
            trouble: self.cache.error(),
            now: self.clock.now(),
            shown_days: self.cache.shown_days(),
            has_metrics: self.metrics.is_some(),
            category: None,
        }
    }

    /// The streams of one category alone, where one is asked for that is known.
    async fn of_category(&self, status: Option<&Status>, asked: &PageQuery) -> Option<(String, Vec<StreamStatus>)> {
        let named = status?.categories.iter().find(|category| category.id == asked.category)?;
        let (id, shown_days) = (named.id.clone(), self.cache.shown_days());
        let looking = self.cache.with_state(move |state, config, now| {
            (Status::streams_of_category(state, config, now, shown_days, &id), id)
        });
        let (streams, id) = looking.await;
        Some((id, streams))
    }
}

async fn index(State(shared): State<Arc<ServerState>>, Query(asked): Query<PageQuery>) -> Response {
    let status = shared.status();
    let category = shared.of_category(status.as_deref(), &asked).await;
    let data = PageData { category, ..shared.data(status) };
    Html(page::index(&data).into_string()).into_response()
}

async fn status_json(State(shared): State<Arc<ServerState>>) -> Response {
    Json(StatusJson::of(&shared.data(shared.status()))).into_response()
}

async fn stream(State(shared): State<Arc<ServerState>>, Path(name): Path<String>) -> Response {
    let (asked, shown_days) = (name.clone(), shared.cache.shown_days());
    let details =
        shared.cache.with_state(move |state, config, now| StreamDetails::of(state, config, now, shown_days, &asked));
    match details.await {
        Some(details) => Html(page::stream(&shared.data(shared.status()), &details).into_string()).into_response(),
        None => {
            let page = page::no_such_stream(&name).into_string();
            (StatusCode::NOT_FOUND, Html(page)).into_response()
        }
    }
}

async fn days(
    State(shared): State<Arc<ServerState>>,
    Path(name): Path<String>,
    Query(asked): Query<PageQuery>,
) -> Response {
    let status = shared.status();
    let of_category = shared.of_category(status.as_deref(), &asked).await;
    let all = status.as_ref().map(|status| status.streams.as_slice()).unwrap_or_default();
    let streams = of_category.as_ref().map_or(all, |(_, streams)| streams);
    match streams.iter().find(|stream| stream.name == name) {
        Some(stream) => Json(days_json(stream)).into_response(),
        None => (StatusCode::NOT_FOUND, "there is no such stream\n").into_response(),
    }
}

/// Ready is who has read its configuration, without which nothing is served, and the ledger.
async fn readyz(State(shared): State<Arc<ServerState>>) -> Response {
    match (shared.status(), shared.cache.error()) {
        (Some(_), _) => "ok\n".into_response(),
        (None, trouble) => {
            let words = trouble.unwrap_or_else(|| "the ledger is being read".to_owned());
            (StatusCode::SERVICE_UNAVAILABLE, format!("{words}\n")).into_response()
        }
    }
}

async fn metrics(State(shared): State<Arc<ServerState>>) -> Response {
    let text = shared.metrics.as_ref().map(|text| text()).unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
