//! One request of the API and its response.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::data::dataset::Dataset;
use crate::data::objects::text;
use crate::data::rows::Rows;
use crate::query::endpoint::Endpoint;
use crate::query::error_response::ErrorResponse;
use crate::query::parameters::{Parameters, member, parse_query};
use crate::query::resolve::{ResolvedRequest, requested_days};

use super::active_faults::{AppliedFaults, FaultTarget, last_fault};
use super::fault::{AnnouncedAt, DetailForm, FaultKind, GatewayForm, KeyLocation, ResetForm};
use super::rate_limit::WindowStatus;
use super::response_body::ResponseBody;
use super::state::{ReceivedRequest, SimulatorState};
use super::transfer::transfer;

/// The longest request body that is read.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Answers one request of the API.
pub(crate) async fn handle(State(server): State<Arc<SimulatorState>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MAX_BODY_BYTES).await.unwrap_or_default();
    let raw_query = parts.uri.query().unwrap_or_default();
    let without_key: Vec<_> = raw_query.split('&').filter(|pair| !pair.starts_with("api_key=")).collect();
    let query = without_key.join("&");
    let parsed: Value = serde_json::from_slice(&body).unwrap_or_default();
    let dataset = server.dataset();
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let endpoint = Endpoint::find(&dataset.catalog, method, path);
    let parameters = Parameters { body: parsed.as_object().cloned().unwrap_or_default(), query: parse_query(&query) };
    let stream = endpoint.as_ref().map(|endpoint| endpoint.nearest(&parameters).name.clone());
    let is_event_stream = endpoint.as_ref().is_some_and(|endpoint| endpoint.is_event_stream);
    let received = ReceivedRequest {
        at: dataset.now,
        since_start: server.started.elapsed(),
        method: method.to_owned(),
        path: path.to_owned(),
        query,
        body: parsed,
        stream,
        cost: if is_event_stream { dataset.account.event_cost } else { 1 },
        status: 0,
    };
    let number = {
        let received_requests = &mut server.live.lock().received;
        received_requests.push(received.clone());
        received_requests.len() - 1
    };
    let key = sent_key(&parts.headers, raw_query);
    let response = match Exchange::begin(&server, &received, endpoint.as_ref(), &parameters, &dataset, key) {
        Err(response) => *response,
        Ok(exchange) => match endpoint {
            Some(endpoint) => exchange.answer(endpoint, parameters, dataset),
            None => exchange.error(&ErrorResponse::new(StatusCode::NOT_FOUND, "Not Found")),
        },
    };
    server.live.lock().received[number].status = response.status().as_u16();
    response
}

/// The key of a request, from any place where the API accepts it.
fn sent_key(headers: &HeaderMap, query: &str) -> Option<String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = || header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let in_query = || parse_query(query).into_iter().find(|(name, _)| name == "api_key").map(|(_, key)| key);
    header("x-api-key").or_else(bearer).map(str::to_owned).or_else(in_query)
}

/// One request of the API that was counted, with what decides about its response.
#[derive(Debug, Clone)]
struct Exchange {
    now: Timestamp,
    window: WindowStatus,
    faults: AppliedFaults,
}

impl Exchange {
    /// Counts a request: against the rate limit even if the key is wrong, against faults only if it would be answered.
    fn begin(
        server: &SimulatorState,
        received: &ReceivedRequest,
        endpoint: Option<&Endpoint>,
        parameters: &Parameters,
        dataset: &Dataset,
        key: Option<String>,
    ) -> Result<Self, Box<Response>> {
        let days = endpoint.and_then(|endpoint| requested_days(endpoint, parameters, dataset));
        let mut live = server.live.lock();
        let window = live.window.take(dataset.now, received.cost);
        let mut exchange = Self { now: dataset.now, window, faults: AppliedFaults::default() };
        let Some(key) = key else {
            let detail = "API Key missing in query parameters or headers";
            return Err(Box::new(exchange.error(&ErrorResponse::new(StatusCode::UNAUTHORIZED, detail))));
        };
        if key != live.key || live.is_key_revoked {
            return Err(Box::new(exchange.key_rejected()));
        }
        if !window.is_granted {
            let error = ErrorResponse::new(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests");
            let seconds = (window.reset - exchange.now.as_second()).max(1);
            return Err(Box::new(with_header(exchange.error(&error), "retry-after", &seconds.to_string())));
        }
        if let Some(endpoint) = endpoint {
            exchange.faults = live.faults.apply(&FaultTarget {
                stream: received.stream.as_deref().unwrap_or_default(),
                path: &received.path,
                category: category(endpoint, parameters, dataset),
                days,
                is_event_stream: endpoint.is_event_stream,
                body: &received.body,
            });
            let encoded: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
            exchange.faults.sent_key = format!("{key} {encoded}");
            live.is_key_revoked |= exchange.faults.has(&FaultKind::RevokeKey);
        }
        match exchange.faults.kinds.iter().rev().find_map(|kind| exchange.fault_response(kind)) {
            Some(response) => Err(Box::new(response)),
            None => Ok(exchange),
        }
    }

    /// The rows that the request asks for.
    fn answer(&self, endpoint: Endpoint, parameters: Parameters, dataset: Dataset) -> Response {
        let content_type =
            if endpoint.is_event_stream { "text/event-stream; charset=utf-8" } else { "application/json" };
        match ResolvedRequest::new(endpoint, parameters, dataset) {
            Err(error) => self.error(&error),
            Ok(mut request) => {
                if let Some(rows) = last_fault!(self.faults, FaultKind::FewerRows { rows } => *rows) {
                    request.rows = Rows::List(request.rows.oldest_first().into_iter().take(rows).collect());
                }
                let body = transfer(ResponseBody::new(request, &self.faults), &self.faults);
                let response = self.respond(StatusCode::OK, content_type, body);
                let is_compressed = last_fault!(self.faults, FaultKind::Gzip { .. } => ()).is_some();
                if is_compressed { with_header(response, "content-encoding", "gzip") } else { response }
            }
        }
    }

    /// The response to a request with a fault of `kind`, if that fault leaves no rows at all.
    fn fault_response(&self, kind: &FaultKind) -> Option<Response> {
        let status = |code: u16| StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let sent_key = &self.faults.sent_key;
        Some(match kind {
            FaultKind::RevokeKey => self.key_rejected(),
            FaultKind::Unprocessable { detail: DetailForm::Text } => {
                self.error(&ErrorResponse::unsupported("Unsupported combination of parameters."))
            }
            FaultKind::Unprocessable { detail: DetailForm::List } => {
                self.error(&ErrorResponse::invalid(&["body"], "Value error, unsupported", "value_error", &json!({})))
            }
            FaultKind::RejectMember { member, .. } => {
                let place = ["body", member.split('.').next().unwrap_or_default()];
                let entry = member.rsplit('.').next().unwrap_or_default();
                let message = format!("Value error, '{entry}' is not available");
                self.error(&ErrorResponse::invalid(&place, &message, "value_error", &json!(entry)))
            }
            FaultKind::Html { code } => {
                let page =
                    "<html><head><title>Just a moment...</title></head><body>Checking your browser</body></html>";
                self.respond(status(*code), "text/html; charset=utf-8", Body::from(page))
            }
            FaultKind::Gateway { code, form } => self.gateway(status(*code), *form),
            FaultKind::RepeatKey { at: KeyLocation::Error } => {
                self.error(&ErrorResponse::new(StatusCode::BAD_REQUEST, &format!("not with the key {sent_key}")))
            }
            FaultKind::RepeatKey { at: KeyLocation::Page } => {
                self.respond(StatusCode::OK, "text/html", Body::from(format!("<html>{sent_key}</html>")))
            }
            FaultKind::RepeatKey { at: KeyLocation::Redirect } => {
                let key = sent_key.split(' ').next().unwrap_or_default();
                self.redirect(&format!("http://{key}.example/?api_key={key}"))
            }
            FaultKind::Redirect { to } => self.redirect(to),
            FaultKind::Status { code, retry_after, reset } => {
                self.status_response(status(*code), retry_after.as_deref(), *reset)
            }
            _ => return None,
        })
    }

    fn gateway(&self, status: StatusCode, form: GatewayForm) -> Response {
        let detail = r#"{"detail":"Access denied"}"#;
        let (content_type, body) = match form {
            GatewayForm::Text => ("text/plain", "RBAC: access denied"),
            GatewayForm::Empty => ("application/json", ""),
            GatewayForm::Message => ("application/json", r#"{"message":"Forbidden"}"#),
            GatewayForm::Problem => ("application/problem+json", detail),
            GatewayForm::Login => ("application/json", detail),
        };
        let response = self.respond(status, content_type, Body::from(body));
        match form {
            GatewayForm::Login => with_header(response, "www-authenticate", "Basic realm=\"proxy\""),
            _ => response,
        }
    }

    fn status_response(&self, status: StatusCode, retry_after: Option<&str>, reset: Option<i64>) -> Response {
        let mut exchange = self.clone();
        if let Some(reset) = reset {
            (exchange.window.remaining, exchange.window.reset) = (0, self.now.as_second().saturating_add(reset));
        }
        // The edge in front of the API answers 502 with a page of HTML.
        let response = if status == StatusCode::BAD_GATEWAY {
            exchange.respond(status, "text/html", Body::from("<html><body>502 Bad Gateway</body></html>"))
        } else {
            exchange.error(&ErrorResponse::new(status, status.canonical_reason().unwrap_or("Error")))
        };
        let Some(retry_after) = retry_after else { return response };
        let date = retry_after
            .strip_prefix("date:")
            .and_then(|seconds| seconds.parse().ok())
            .map(|seconds| http_date(self.now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(self.now)));
        with_header(response, "retry-after", date.as_deref().unwrap_or(retry_after))
    }

    fn redirect(&self, to: &str) -> Response {
        let error = ErrorResponse::new(StatusCode::TEMPORARY_REDIRECT, "Temporary Redirect");
        with_header(self.error(&error), "location", to)
    }

    fn key_rejected(&self) -> Response {
        self.error(&ErrorResponse::new(StatusCode::UNAUTHORIZED, "Invalid API key"))
    }

    fn error(&self, error: &ErrorResponse) -> Response {
        let body = json!({ "detail": error.detail }).to_string();
        self.respond(error.status, "application/json", Body::from(body))
    }

    /// A response with the headers of the API.
    fn respond(&self, status: StatusCode, content_type: &'static str, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let mut set = |name: &str, value: &str| {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
                response.headers_mut().insert(name, value);
            }
        };
        set("content-type", content_type);
        // The HTTP library would add the date of the machine if there were no header at all.
        let has_date = !self.faults.has(&FaultKind::NoDate);
        set("date", &if has_date { http_date(self.now) } else { "unknown".to_owned() });
        if self.faults.has(&FaultKind::RepeatKey { at: KeyLocation::Headers }) {
            for name in ["x-request-id", "retry-after", "etag", "server", "set-cookie"] {
                set(name, &self.faults.sent_key);
            }
        }
        for (name, value) in self.faults.announced(AnnouncedAt::Header) {
            set(&name, value.as_str().unwrap_or(&value.to_string()));
        }
        if self.faults.has(&FaultKind::NoRateHeaders) {
            return response;
        }
        set("x-ratelimit-limit", &self.window.limit.to_string());
        set("x-ratelimit-remaining", &self.window.remaining.to_string());
        let (now, reset) = (self.now.as_second(), Timestamp::from_second(self.window.reset).unwrap_or_default());
        match last_fault!(self.faults, FaultKind::ResetHeader { form } => *form) {
            None => set("x-ratelimit-reset", &self.window.reset.to_string()),
            Some(ResetForm::Seconds) => set("x-ratelimit-reset", &(self.window.reset - now).to_string()),
            Some(ResetForm::HttpDate) => set("x-ratelimit-reset", &http_date(reset)),
            Some(ResetForm::IsoDate) => set("x-ratelimit-reset", &reset.to_string()),
            Some(ResetForm::Absent) => {}
        }
        response
    }
}

/// The id and the name of the category that a request is about.
fn category(endpoint: &Endpoint, parameters: &Parameters, dataset: &Dataset) -> Option<[String; 2]> {
    let in_path = endpoint.variables.get("category_id").map(String::as_str);
    let in_body = || member(&parameters.body, "category_id");
    let id = in_path.or_else(in_body).or_else(|| parameters.query_value("category_id"))?;
    let category = dataset.objects.categories.iter().find(|category| category.object["id"] == id)?;
    Some([id.to_owned(), text(&category.object, "name")])
}

fn with_header(mut response: Response, name: &'static str, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// `instant` as HTTP headers write it.
fn http_date(instant: Timestamp) -> String {
    instant.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
