//! The paths.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde::Deserialize;
use uuid::Uuid;

use super::ServerState;
use super::events::events;
use super::guard::guard;
use super::page;
use super::page_data::{PageData, StreamFilter};
use super::status_json::StatusJson;
use crate::error_text::error_chain;
use crate::status::{Status, StreamDetails, StreamStatus};

pub(super) fn router(server: Arc<ServerState>) -> Router {
    let mut router = Router::new()
        .route("/", get(index))
        .route("/status.json", get(status_json))
        .route("/events", get(events))
        .route("/stream/{name}", get(stream))
        .route("/days/{name}", get(days))
        .route("/run/{id}", get(run))
        .route("/page.css", get(|| async { ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], page::STYLE) }))
        .route("/page.js", get(|| async { ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], page::SCRIPT) }))
        // The server runs in the same task as the jobs, so a response proves that the event loop is alive.
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz));
    if server.metrics.is_some() {
        router = router.route("/metrics", get(metrics));
    }
    router
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found\n") })
        .layer(middleware::from_fn_with_state(Arc::clone(&server), guard))
        .with_state(server)
}

#[derive(Debug, Default, Deserialize)]
struct PageQuery {
    /// Id of the only category to show.
    #[serde(default)]
    category: String,
    /// A part of the names of the streams to show.
    #[serde(default)]
    stream: String,
    /// `problems` for the streams that have some.
    #[serde(default)]
    show: String,
}

impl ServerState {
    fn status(&self) -> Option<Arc<Status>> {
        self.cache.subscribe().borrow().clone()
    }

    pub(super) fn data(&self, status: Option<Arc<Status>>) -> PageData {
        PageData {
            status,
            activity: self.live.activity(),
            config: self.cache.config(),
            read_error: self.cache.error(),
            now: self.clock.now(),
            shown_days: self.cache.shown_days(),
            has_metrics: self.metrics.is_some(),
            unknown_category: None,
            category: None,
            filter: StreamFilter::default(),
        }
    }

    /// The streams of the requested category, if the lake has it.
    async fn of_category(&self, status: Option<&Status>, query: &PageQuery) -> Option<(String, Vec<StreamStatus>)> {
        let named = status?.categories.iter().find(|category| category.id == query.category)?;
        let (id, shown_days) = (named.id.clone(), self.cache.shown_days());
        let streams = self.cache.with_state(move |state, config, now| {
            (Status::streams_of_category(state, config, now, shown_days, &id), id)
        });
        let (streams, id) = streams.await;
        Some((id, streams))
    }
}

async fn index(State(server): State<Arc<ServerState>>, Query(query): Query<PageQuery>) -> Response {
    let status = server.status();
    let category = server.of_category(status.as_deref(), &query).await;
    let filter = StreamFilter { search: query.stream.trim().to_lowercase(), only_problems: query.show == "problems" };
    let is_unknown = status.is_some() && category.is_none() && !query.category.is_empty();
    let unknown_category = Some(query.category).filter(|_| is_unknown);
    let data = PageData { unknown_category, category, filter, ..server.data(status) };
    Html(page::index(&data).into_string()).into_response()
}

async fn status_json(State(server): State<Arc<ServerState>>) -> Response {
    Json(StatusJson::new(&server.data(server.status()))).into_response()
}

async fn stream(State(server): State<Arc<ServerState>>, Path(name): Path<String>) -> Response {
    let (wanted, shown_days) = (name.clone(), server.cache.shown_days());
    let details =
        server.cache.with_state(move |state, config, now| StreamDetails::of(state, config, now, shown_days, &wanted));
    match details.await {
        Some(details) => Html(page::stream(&server.data(server.status()), &details).into_string()).into_response(),
        None => {
            let page = page::no_such_stream(&name).into_string();
            (StatusCode::NOT_FOUND, Html(page)).into_response()
        }
    }
}

async fn run(State(server): State<Arc<ServerState>>, Path(id): Path<String>) -> Response {
    let Ok(run_id) = id.parse::<Uuid>() else {
        return (StatusCode::NOT_FOUND, Html(page::no_such_run(&id).into_string())).into_response();
    };
    match server.cache.run_details(run_id).await {
        Ok(Some(details)) => Html(page::run(&server.data(server.status()), &details).into_string()).into_response(),
        Ok(None) => (StatusCode::NOT_FOUND, Html(page::no_such_run(&id).into_string())).into_response(),
        Err(error) => {
            let problem = format!("the records of this run cannot be read: {}\n", error_chain(&error));
            (StatusCode::SERVICE_UNAVAILABLE, problem).into_response()
        }
    }
}

async fn days(
    State(server): State<Arc<ServerState>>,
    Path(name): Path<String>,
    Query(query): Query<PageQuery>,
) -> Response {
    let status = server.status();
    let of_category = server.of_category(status.as_deref(), &query).await;
    let all = status.as_ref().map(|status| status.streams.as_slice()).unwrap_or_default();
    let streams = of_category.as_ref().map_or(all, |(_, streams)| streams);
    match streams.iter().find(|stream| stream.name == name) {
        Some(stream) => Json(&stream.days).into_response(),
        None => (StatusCode::NOT_FOUND, "no such stream\n").into_response(),
    }
}

/// Ready means that configuration and ledger were read.
async fn readyz(State(server): State<Arc<ServerState>>) -> Response {
    match (server.status(), server.cache.error()) {
        (Some(_), _) => "ok\n".into_response(),
        (None, error) => {
            let reason = error.map_or_else(|| "reading the ledger".to_owned(), |error| error.chain);
            (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response()
        }
    }
}

async fn metrics(State(server): State<Arc<ServerState>>) -> Response {
    let text = server.metrics.as_ref().map(|text| text()).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}
