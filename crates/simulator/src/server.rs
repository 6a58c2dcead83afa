//! Requests in, responses out.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::budget::Allowance;
use super::clock::http_date;
use super::control;
use super::effects::{Effects, Faults, Target};
use super::endpoint::Endpoint;
use super::fault::{DetailForm, KeyPlace, ResetForm};
use super::gzip::Gzip;
use super::question::{Parameters, days_asked, parse_query, understand};
use super::refusal::Refusal;
use super::state::{Received, Shared};
use super::world::text;

/// The longest body of a request that is read.
const BODY_BYTES: usize = 1024 * 1024;

/// How long what was sent has to leave before a connection breaks.
const BEFORE_THE_BREAK: Duration = Duration::from_millis(20);

/// Answers one request, whatever it is.
pub(super) async fn handle(Extract(shared): Extract<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let raw_query = parts.uri.query().unwrap_or_default();
    let body = axum::body::to_bytes(body, BODY_BYTES).await.unwrap_or_default();
    if path.starts_with("/simulator/") {
        return control::handle(shared, parts.method.as_str(), &path, raw_query, &body).await;
    }
    let without_key: Vec<_> = raw_query.split('&').filter(|pair| !pair.starts_with("api_key=")).collect();
    let parsed: Option<Value> = serde_json::from_slice(&body).ok();
    let endpoint = Endpoint::find(&shared.catalog, parts.method.as_str(), &path);
    let parameters = Parameters {
        body: parsed.as_ref().and_then(Value::as_object).cloned().unwrap_or_default(),
        query: parse_query(&without_key.join("&")),
    };
    let readable = body.is_empty() || matches!(parsed, Some(Value::Object(_)));
    let stream = endpoint.as_ref().map(|endpoint| endpoint.nearest(&parameters).name.clone());
    let cost = match &endpoint {
        Some(endpoint) if endpoint.event => shared.account.event_cost,
        _ => 1,
    };
    let (number, now) = {
        let mut state = shared.state();
        let now = state.clock.now();
        state.received.push(Received {
            at: now,
            since_start: shared.started.elapsed(),
            method: parts.method.to_string(),
            path: path.clone(),
            query: without_key.join("&"),
            body: parsed.unwrap_or_default(),
            stream: stream.clone(),
            cost,
            status: 0,
        });
        (state.received.len() - 1, now)
    };
    let key = given_key(&parts.headers, raw_query);
    let answered = Answered { shared: &shared, now, cost, stream: stream.as_deref().unwrap_or_default(), path: &path };
    let response = answered.answer(endpoint, parameters, key.as_deref(), readable);
    if let Some(received) = shared.state().received.get_mut(number) {
        received.status = response.status().as_u16();
    }
    response
}

/// The key, from wherever it may stand.
fn given_key(headers: &HeaderMap, query: &str) -> Option<String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(key) = header("x-api-key") {
        return Some(key.to_owned());
    }
    if let Some(token) = header("authorization").and_then(|value| value.strip_prefix("Bearer ")) {
        return Some(token.to_owned());
    }
    parse_query(query).into_iter().find(|(name, _)| name == "api_key").map(|(_, key)| key)
}

/// One request of the API, on its way to an answer.
struct Answered<'a> {
    shared: &'a Arc<Shared>,
    now: Timestamp,
    cost: u32,
    stream: &'a str,
    path: &'a str,
}

impl Answered<'_> {
    fn answer(
        &self,
        endpoint: Option<Endpoint>,
        parameters: Parameters,
        key: Option<&str>,
        readable: bool,
    ) -> Response {
        let snapshot = self.shared.snapshot();
        let days =
            endpoint.as_ref().and_then(|endpoint| days_asked(endpoint, &parameters, &snapshot.conditions(self.shared)));
        let (allowance, effects) = {
            let mut state = self.shared.state();
            let refusal = match key {
                None => Some(Refusal::key_missing()),
                Some(key) if state.key.as_deref() != Some(key) => Some(Refusal::key_invalid()),
                Some(_) => None,
            };
            let allowance = state.budget.take(self.now, self.cost);
            if let Some(refusal) = refusal {
                return self.refuse(&refusal, allowance, &Effects::default());
            }
            if !allowance.granted {
                let mut response = self.refuse(
                    &Refusal::new(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests"),
                    allowance,
                    &Effects::default(),
                );
                let wait = (allowance.reset - self.now.as_second()).max(1);
                set(&mut response, "retry-after", &wait.to_string());
                return response;
            }
            let effects = match &endpoint {
                Some(endpoint) => self.befall(&mut state.faults, endpoint, &parameters, days),
                None => Effects::default(),
            };
            if effects.revoke_key {
                state.key = None;
            }
            let repeated = effects.repeat_key.and(key).map(repeated);
            (allowance, Effects { extra_text: repeated, ..effects })
        };
        if let Some(response) = self.fail(allowance, &effects) {
            return response;
        }
        let Some(endpoint) = endpoint else {
            return self.refuse(&Refusal::new(StatusCode::NOT_FOUND, "Not Found"), allowance, &effects);
        };
        if !readable {
            let refusal = Refusal::invalid(&["body"], "JSON decode error", "json_invalid", &json!({}));
            return self.refuse(&refusal, allowance, &effects);
        }
        let world = self.shared.world.clone();
        match understand(&endpoint, &parameters, &world, &snapshot.conditions(self.shared)) {
            Err(refusal) => self.refuse(&refusal, allowance, &effects),
            Ok(question) => {
                let answer = Answer::new(&endpoint, &parameters, Arc::new(question), world, &effects);
                let kind = if endpoint.event { "text/event-stream; charset=utf-8" } else { "application/json" };
                let mut response = self.respond(StatusCode::OK, kind, sending(answer, &effects), allowance, &effects);
                if effects.gzip.is_some() {
                    set(&mut response, "content-encoding", "gzip");
                }
                response
            }
        }
    }

    fn befall(&self, faults: &mut Faults, endpoint: &Endpoint, parameters: &Parameters, days: Option<i64>) -> Effects {
        let in_path = endpoint.variables.get("category_id").map(String::as_str);
        let in_body = || parameters.body.get("category_id").and_then(Value::as_str);
        let id = in_path.or_else(in_body).or_else(|| parameters.query_value("category_id"));
        let category = id.and_then(|id| {
            let found = self.shared.world.categories.iter().find(|category| category.entry["id"] == id)?;
            Some((id, text(&found.entry, "name")))
        });
        let category = category.as_ref().map(|(id, name)| (*id, name.as_str()));
        let mut effects =
            faults.befall(&Target { stream: self.stream, path: self.path, category, days, event: endpoint.event });
        effects.wrap_lists = self.shared.account.wrap_lists;
        effects
    }

    /// The answer of a fault that leaves no data at all.
    fn fail(&self, allowance: Allowance, effects: &Effects) -> Option<Response> {
        if effects.revoke_key {
            return Some(self.refuse(&Refusal::key_invalid(), allowance, effects));
        }
        if let Some(form) = effects.unprocessable {
            let refusal = match form {
                DetailForm::Text => Refusal::unsupported("Unsupported combination of parameters."),
                DetailForm::List => Refusal::invalid(&["body"], "Value error, unsupported", "value_error", &json!({})),
            };
            return Some(self.refuse(&refusal, allowance, effects));
        }
        if let Some(code) = effects.html {
            let page = "<html><head><title>Just a moment...</title></head><body>Checking your browser</body></html>";
            let status = StatusCode::from_u16(code).unwrap_or(StatusCode::OK);
            return Some(self.respond(status, "text/html; charset=utf-8", Body::from(page), allowance, effects));
        }
        let repeated = effects.extra_text.as_deref().unwrap_or_default();
        match effects.repeat_key {
            Some(KeyPlace::Error) => {
                let refusal = Refusal::new(StatusCode::BAD_REQUEST, &format!("not with the key {repeated}"));
                return Some(self.refuse(&refusal, allowance, effects));
            }
            Some(KeyPlace::Page) => {
                let page = Body::from(format!("<html>{repeated}</html>"));
                return Some(self.respond(StatusCode::OK, "text/html", page, allowance, effects));
            }
            Some(KeyPlace::Redirect) => {
                let refusal = Refusal::new(StatusCode::TEMPORARY_REDIRECT, "Temporary Redirect");
                let mut response = self.refuse(&refusal, allowance, effects);
                let host = repeated.split(' ').next().unwrap_or_default();
                set(&mut response, "location", &format!("http://{host}.example/?api_key={host}"));
                return Some(response);
            }
            Some(KeyPlace::Headers | KeyPlace::Rows) | None => {}
        }
        if let Some(to) = &effects.redirect {
            let refusal = Refusal::new(StatusCode::TEMPORARY_REDIRECT, "Temporary Redirect");
            let mut response = self.refuse(&refusal, allowance, effects);
            set(&mut response, "location", to);
            return Some(response);
        }
        let (code, retry_after, reset) = effects.status.as_ref()?;
        let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let allowance = match reset {
            Some(reset) => Allowance { remaining: 0, reset: self.now.as_second() + reset, ..allowance },
            None => allowance,
        };
        let reason = match status {
            StatusCode::TOO_MANY_REQUESTS => "Too Many Requests",
            status => status.canonical_reason().unwrap_or("Error"),
        };
        let mut response = match status {
            // Faults of the edge come as a page of HTML.
            StatusCode::BAD_GATEWAY => {
                let page = Body::from("<html><body>502 Bad Gateway</body></html>");
                self.respond(status, "text/html", page, allowance, effects)
            }
            status => self.refuse(&Refusal::new(status, reason), allowance, effects),
        };
        if let Some(wait) = retry_after {
            let wait = match wait.strip_prefix("date:").and_then(|seconds| seconds.parse().ok()) {
                Some(seconds) => {
                    let then = self.now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(self.now);
                    http_date(then)
                }
                None => wait.clone(),
            };
            set(&mut response, "retry-after", &wait);
        }
        Some(response)
    }

    fn refuse(&self, refusal: &Refusal, allowance: Allowance, effects: &Effects) -> Response {
        let body = json!({ "detail": refusal.detail }).to_string();
        self.respond(refusal.status, "application/json", Body::from(body), allowance, effects)
    }

    fn respond(
        &self,
        status: StatusCode,
        kind: &'static str,
        body: Body,
        allowance: Allowance,
        effects: &Effects,
    ) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        set(&mut response, "date", &http_date(self.now));
        if let (Some(KeyPlace::Headers), Some(repeated)) = (effects.repeat_key, &effects.extra_text) {
            for name in ["x-request-id", "retry-after", "etag", "server", "set-cookie"] {
                set(&mut response, name, repeated);
            }
        }
        if !effects.no_rate_headers {
            let limit = effects.limit_header.unwrap_or(u64::from(allowance.limit));
            set(&mut response, "x-ratelimit-limit", &limit.to_string());
            set(&mut response, "x-ratelimit-remaining", &allowance.remaining.to_string());
            let reset = match effects.reset_form {
                None => Some(allowance.reset.to_string()),
                Some(ResetForm::Seconds) => Some((allowance.reset - self.now.as_second()).to_string()),
                Some(ResetForm::HttpDate) => Timestamp::from_second(allowance.reset).ok().map(http_date),
                Some(ResetForm::IsoDate) => Timestamp::from_second(allowance.reset).ok().map(|reset| reset.to_string()),
                Some(ResetForm::Absent) => None,
            };
            if let Some(reset) = reset {
                set(&mut response, "x-ratelimit-reset", &reset);
            }
        }
        response
    }
}

/// A key as it was sent, and as it stands in an address.
fn repeated(key: &str) -> String {
    let encoded: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
    format!("{key} {encoded}")
}

fn set(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// An answer's bytes on their way, and what goes wrong with them.
struct Sending {
    answer: Answer,
    /// Made and not yet sent.
    pending: Bytes,
    sent: u64,
    gzip: Option<Gzip>,
    truncate: Option<u64>,
    stall: Option<u64>,
    drip: Option<(usize, u64)>,
    broken: bool,
}

fn sending(answer: Answer, effects: &Effects) -> Body {
    let sending = Sending {
        answer,
        pending: Bytes::new(),
        sent: 0,
        gzip: effects.gzip.map(Gzip::new),
        truncate: effects.truncate,
        stall: effects.stall,
        drip: effects.drip,
        broken: false,
    };
    Body::from_stream(futures::stream::unfold(sending, |mut sending| async move {
        let piece = sending.next().await?;
        Some((piece, sending))
    }))
}

impl Sending {
    async fn next(&mut self) -> Option<Result<Bytes, io::Error>> {
        if self.broken {
            return None;
        }
        while self.pending.is_empty() {
            let chunk = self.answer.chunk();
            self.pending = match &mut self.gzip {
                None => Bytes::from(chunk?),
                Some(gzip) => match gzip.take(chunk.as_deref()) {
                    Ok(bytes) => Bytes::from(bytes?),
                    Err(error) => return Some(Err(error)),
                },
            };
        }
        let mut length = self.pending.len();
        if let Some((bytes, milliseconds)) = self.drip {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            length = length.min(bytes);
        }
        let until = |limit: u64| usize::try_from(limit - self.sent.min(limit)).unwrap_or(usize::MAX);
        if let Some(limit) = self.truncate {
            length = length.min(until(limit));
            if length == 0 {
                tokio::time::sleep(BEFORE_THE_BREAK).await;
                self.broken = true;
                return Some(Err(io::Error::new(io::ErrorKind::ConnectionReset, "the simulator broke the connection")));
            }
        }
        if let Some(limit) = self.stall {
            length = length.min(until(limit));
            if length == 0 {
                std::future::pending::<()>().await;
            }
        }
        self.sent += length as u64;
        Some(Ok(self.pending.split_to(length)))
    }
}

/// A JSON response without the headers of the API.
pub(super) fn plain(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The members of a JSON body, or none.
pub(super) fn members(body: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(body).unwrap_or_default()
}
