//! Sends the requests of one key.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::api::blocks::{BlockBuilder, Envelope};
use crate::api::budget::{Budget, Came, Permit};
use crate::api::error::ApiError;
use crate::api::events::EventRows;
use crate::api::headers::{pause_asked, rate_headers, server_time};
use crate::api::json_rows::JsonRows;
use crate::api::patience::Patience;
use crate::api::repeats::{KeyForms, Watch};
use crate::api::request::Request;
use crate::clock::Clock;
use crate::config::{ApiConfig, ApiKey, Auth};
use crate::error_text::{error_chain, root_cause};
use crate::http::{MAX_RETRY_AFTER, RootsError, client_builder, read_roots};
use crate::model::block::Block;
use crate::model::cost::RequestKind;
use crate::model::event::{Event, EventSink, RetryReason};
use crate::model::slice::SliceName;
use crate::model::stream::Method;
use crate::retry::{Attempts, RetryDecision, RetryPolicy};

/// Bytes kept of an error's body.
const DETAIL_BYTES: usize = 2048;
/// A clock that is wrong by more than this would mistake days.
const FATAL_SKEW: Duration = Duration::from_secs(12 * 3600);
/// Retries of a request that the API could not answer, or that did not reach it. The run's deadline bounds their time.
const RETRIES: RetryPolicy = RetryPolicy {
    max_attempts: 5,
    initial_backoff: Duration::from_millis(250),
    max_backoff: Duration::from_secs(60),
    total_time: None,
    max_retry_after: MAX_RETRY_AFTER,
};
/// Retries after a 429. More than of other failures, because a 429 says when the next attempt can succeed, and other users of the
/// key may be faster then.
const RATE_LIMITED_RETRIES: RetryPolicy = RetryPolicy { max_attempts: 21, ..RETRIES };

/// Everything a client is made of.
#[derive(Debug)]
pub struct ClientSettings<'a> {
    /// How the API is reached.
    pub config: &'a ApiConfig,
    /// The clock that the server's `Date` corrects.
    pub clock: Clock,
    /// Hears of requests and of the budget.
    pub events: EventSink,
}

/// What ends the requests of one run.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Waits that would pass it end with [`ApiError::OutOfTime`] or [`ApiError::RetryAfterDeadline`]. What is under way then may
    /// arrive, for as long as a silent server is waited for; after that it ends with [`ApiError::Late`].
    pub deadline: Option<Instant>,
    /// Stops every wait and every response.
    pub cancel: CancellationToken,
}

/// The key, and how often another took its place.
struct HeldKey {
    key: ApiKey,
    changes: u64,
    /// Of this key and those before it.
    forms: KeyForms,
}

/// Sends the requests of one key, within its budget.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    auth: Auth,
    key: Mutex<HeldKey>,
    idle_timeout: Duration,
    budget: Budget,
    clock: Clock,
    corrected: OnceLock<jiff::SignedDuration>,
    requests: AtomicU64,
    limits: Mutex<Limits>,
    events: EventSink,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Client").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Client {
    /// A client that sends with `key`.
    ///
    /// # Errors
    /// [`ApiError::Roots`] when `api.ca_file` cannot be used, or there are no certificate roots at all.
    pub fn new(settings: ClientSettings<'_>, key: ApiKey) -> Result<Self, ApiError> {
        let ClientSettings { config, clock, events } = settings;
        let roots = config.ca_file.as_deref().map(read_roots).transpose()?.unwrap_or_default();
        let http = client_builder().tls_certs_merge(roots).connect_timeout(config.connect_timeout.0).build().map_err(
            |error| match &config.ca_file {
                Some(path) => RootsError::Invalid { path: path.clone(), problem: root_cause(&error) },
                None => RootsError::Missing { problem: root_cause(&error) },
            },
        )?;
        let forms = KeyForms::of(key.expose(), &KeyForms::default());
        Ok(Self {
            http,
            base: config.base_url.clone(),
            auth: config.auth,
            key: Mutex::new(HeldKey { key, changes: 0, forms }),
            idle_timeout: config.idle_timeout.0,
            budget: Budget::new(config.reserve_requests),
            clock,
            corrected: OnceLock::new(),
            requests: AtomicU64::new(0),
            limits: Mutex::new(Limits::default()),
            events,
        })
    }

    /// The requests that may still be sent.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Requests sent so far, retries included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// By how much the local clock was wrong, once a response has told.
    pub fn clock_error(&self) -> Option<jiff::SignedDuration> {
        self.corrected.get().copied()
    }

    /// Puts the requests that follow under `limits`.
    pub fn set_limits(&self, limits: Limits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    fn limits(&self) -> Limits {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where the key came from, for messages.
    pub fn key_origin(&self) -> String {
        self.held_key().key.origin()
    }

    /// Waits until a request of `kind` could be sent; whether there was anything to wait for.
    ///
    /// # Errors
    /// [`ApiError::OutOfTime`], [`ApiError::Cancelled`].
    pub async fn ready(&self, kind: RequestKind) -> Result<bool, ApiError> {
        let Limits { deadline, cancel } = self.limits();
        self.budget.ready(kind, deadline, &cancel).await
    }

    /// Sends `request` until it is answered with rows, or with an error that asking again would not change. Every
    /// attempt is counted in `spent`.
    ///
    /// # Errors
    /// [`ApiError`], after the tries and waits that its kind deserves.
    pub async fn send(&self, request: &Request, spent: &AtomicU64) -> Result<Response, ApiError> {
        let (mut failures, mut rate_limited) = (RETRIES.start(), RATE_LIMITED_RETRIES.start());
        let (mut key_changed, mut sent_with) = (false, 0);
        loop {
            let error = match self.attempt(request, spent, &mut sent_with).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let (decision, reason) = match &error {
                ApiError::KeyRejected { .. } if !key_changed && self.has_another_key(sent_with) => {
                    key_changed = true;
                    continue;
                }
                ApiError::KeyRejected { .. } => {
                    // At once, and not only when the run hears of it: nothing more may be sent with this key.
                    self.limits().cancel.cancel();
                    return Err(error);
                }
                ApiError::RateLimited { retry_after, .. } => {
                    let attempts = rate_limited.attempts();
                    let Some(pause) = rate_limited.next_pause(RetryDecision::after(*retry_after)) else {
                        return Err(error.with_attempts(attempts));
                    };
                    // All requests of the key wait, and the next attempt with them.
                    self.budget.block(pause);
                    self.tell_repeated(request, RetryReason::RateLimited);
                    continue;
                }
                ApiError::ServerError { retry_after, .. } => (RetryDecision::after(*retry_after), RetryReason::Server),
                ApiError::Unreachable { .. } | ApiError::Broken { .. } => {
                    (RetryDecision::Backoff, RetryReason::Connection)
                }
                _ => return Err(error),
            };
            let attempts = failures.attempts();
            let Some(pause) = failures.next_pause(decision) else {
                return Err(error.with_attempts(attempts));
            };
            let Limits { deadline, cancel } = self.limits();
            if deadline.is_some_and(|deadline| deadline < Instant::now() + pause) {
                return Err(match error {
                    ApiError::ServerError { what, status, detail, .. } => {
                        ApiError::RetryAfterDeadline { what, status, detail, wait: pause, attempts }
                    }
                    _ => ApiError::OutOfTime { wait: pause },
                });
            }
            tracing::debug!(%error, ?pause, attempts = attempts.count(), "request failed, retrying");
            self.tell_repeated(request, reason);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = cancel.cancelled() => return Err(ApiError::Cancelled),
            }
        }
    }

    /// Sends `request` once. `sent_with` then says after how many changes of the key.
    async fn attempt(&self, request: &Request, spent: &AtomicU64, sent_with: &mut u64) -> Result<Response, ApiError> {
        let Limits { deadline, cancel } = self.limits();
        let what = &request.what;
        let arrival = Arrival { last: deadline.map(|deadline| deadline + self.idle_timeout), after: self.idle_timeout };
        arrival.check(what)?;
        let mut permit = self.budget.permit(request.kind(), deadline, &cancel).await?;
        let mut account = RequestAccount::begin(request, &self.events);
        self.requests.fetch_add(1, Ordering::Relaxed);
        spent.fetch_add(1, Ordering::Relaxed);
        let sending = tokio::time::timeout(self.idle_timeout, self.build(request, sent_with).send());
        let answered = tokio::select! {
            answered = sending => answered,
            late = arrival.over(what) => return Err(late),
            () = cancel.cancelled() => return Err(ApiError::Cancelled),
        };
        let broken = |problem: String| ApiError::broken(what, problem);
        let response = answered
            .map_err(|_| broken(format!("no answer within {} s", self.idle_timeout.as_secs())))?
            .map_err(|error| match error.is_connect() {
                true => ApiError::no_connection(self.base.origin().ascii_serialization(), root_cause(&error)),
                false => broken(error_chain(&error.without_url())),
            })?;
        let now = self.take_time(&response)?;
        let status = response.status();
        account.status = Some(status.as_u16());
        let came = match status {
            StatusCode::OK => Came::Rows,
            StatusCode::TOO_MANY_REQUESTS => Came::Wall,
            _ => Came::Refusal,
        };
        permit.answer(rate_headers(response.headers(), now), came);
        self.events.emit(&Event::RateLimitStatus(self.budget.told()));
        if status == StatusCode::OK {
            let until = Until { arrival, idle: self.idle_timeout, cancel };
            let watch = Watch::new(self.key_forms());
            return Ok(Response::new(response, request, until, watch, permit, account));
        }
        let retry_after = pause_asked(response.headers(), now, status);
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(origin_of);
        let location = location.map(|location| self.key_forms().mask(&location));
        let detail = self.detail(response).await;
        let (what, status) = (what.clone(), status.as_u16());
        Err(match status {
            401 => ApiError::KeyRejected { detail },
            403 | 404 => ApiError::NotEntitled { what, status, detail },
            300..=399 => ApiError::Redirected { what, status, location: location.unwrap_or_default() },
            429 => ApiError::RateLimited { what, detail, retry_after, attempts: Attempts::ONE },
            408 | 500..=599 => ApiError::ServerError { what, status, detail, retry_after, attempts: Attempts::ONE },
            // Another 2xx does not answer a read either.
            _ => ApiError::RequestRejected { what, status, detail },
        })
    }

    fn tell_repeated(&self, request: &Request, reason: RetryReason) {
        self.events.emit(&Event::RequestRetried { endpoint: request.endpoint.clone(), reason });
    }

    fn build(&self, request: &Request, sent_with: &mut u64) -> reqwest::RequestBuilder {
        let mut url = self.base.clone();
        let prefix = url.path().trim_end_matches('/').to_owned();
        url.set_path("");
        // The path is percent-encoded already, so it is not set through `set_path`, which would do it again.
        let mut text = format!("{}{prefix}{}", url.as_str().trim_end_matches('/'), request.path);
        if !request.query.is_empty() {
            text.push('?');
            text.push_str(&request.query);
        }
        let builder = match request.method {
            Method::Get => self.http.get(text),
            Method::Post => self.http.post(text),
        };
        let accept = if request.events { "text/event-stream" } else { "application/json" };
        let builder = match &request.body {
            Some(body) => builder.json(body),
            None => builder,
        };
        let builder = builder.header(ACCEPT, accept);
        let held = self.held_key();
        *sent_with = held.changes;
        let secret = held.key.expose();
        match self.auth {
            Auth::Header => builder.header("X-API-Key", sensitive(secret)),
            Auth::Bearer => builder.bearer_auth(secret),
            Auth::Query => builder.query(&[("api_key", secret)]),
        }
    }

    /// The server's time, by which the clock is corrected once.
    fn take_time(&self, response: &reqwest::Response) -> Result<jiff::Timestamp, ApiError> {
        let Some(server) = server_time(response.headers()) else {
            return Ok(self.clock.now());
        };
        let wrong_by = *self.corrected.get_or_init(|| self.clock.correct(server));
        match FATAL_SKEW < wrong_by.unsigned_abs() {
            true => Err(ApiError::ClockSkew(format!("{wrong_by:#}"))),
            false => Ok(server),
        }
    }

    /// The API's words in an error's body: `detail` as text or list, or the beginning of whatever came.
    async fn detail(&self, mut response: reqwest::Response) -> String {
        let forms = self.key_forms();
        // So much more that no key is cut in two.
        let most = DETAIL_BYTES + forms.longest();
        let mut body = Vec::new();
        while body.len() < most {
            match tokio::time::timeout(self.idle_timeout.min(Duration::from_secs(10)), response.chunk()).await {
                Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
                _ => break,
            }
        }
        body.truncate(most);
        let words = match serde_json::from_slice::<Value>(&body).ok().and_then(|body| body.get("detail").cloned()) {
            Some(Value::String(words)) => words,
            Some(Value::Array(problems)) => problems.iter().map(problem_words).collect::<Vec<_>>().join("; "),
            Some(other) => other.to_string(),
            None => String::from_utf8_lossy(&body).split_whitespace().collect::<Vec<_>>().join(" "),
        };
        // A server may repeat what it was sent.
        let mut words = forms.mask(&words);
        words.truncate(words.floor_char_boundary(DETAIL_BYTES));
        words
    }

    fn key_forms(&self) -> KeyForms {
        self.held_key().forms.clone()
    }

    /// Looks whether another key stands where this one came from, and sends with it from now on; whether there was one. A
    /// key that cannot be read again stays: it may still work.
    pub fn take_changed_key(&self) -> bool {
        let sent_with = self.held_key().changes;
        self.has_another_key(sent_with)
    }

    fn held_key(&self) -> MutexGuard<'_, HeldKey> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is another key than the one after `sent_with` changes: of several requests that were rejected
    /// together, the first reads the file again, and the others find its key here.
    fn has_another_key(&self, sent_with: u64) -> bool {
        let mut held = self.held_key();
        if held.changes != sent_with {
            return true;
        }
        match held.key.reread() {
            Ok(Some(other)) => {
                let forms = KeyForms::of(other.expose(), &held.forms);
                *held = HeldKey { key: other, changes: sent_with + 1, forms };
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(%error, "the key cannot be read again");
                false
            }
        }
    }
}

/// When an answer that is under way at the deadline is waited for no longer.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    last: Option<Instant>,
    /// How long that is after the deadline.
    after: Duration,
}

impl Arrival {
    fn late(self, what: &str) -> ApiError {
        ApiError::Late { what: what.to_owned(), after: self.after }
    }

    fn check(self, what: &str) -> Result<(), ApiError> {
        match self.last.is_some_and(|last| last <= Instant::now()) {
            true => Err(self.late(what)),
            false => Ok(()),
        }
    }

    /// Never ends without a deadline.
    async fn over(self, what: &str) -> ApiError {
        match self.last {
            Some(last) => tokio::time::sleep_until(last).await,
            None => std::future::pending().await,
        }
        self.late(what)
    }
}

/// What ends the wait for a body.
#[derive(Debug)]
struct Until {
    arrival: Arrival,
    idle: Duration,
    cancel: CancellationToken,
}

/// One problem of a 422: where and what.
fn problem_words(problem: &Value) -> String {
    let place = problem.get("loc").and_then(Value::as_array).map(|steps| {
        steps
            .iter()
            .map(|step| step.as_str().map_or_else(|| step.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(".")
    });
    let message = problem.get("msg").and_then(Value::as_str).map_or_else(|| problem.to_string(), str::to_owned);
    place.map_or(message.clone(), |place| format!("{place}: {message}"))
}

fn sensitive(secret: &str) -> reqwest::header::HeaderValue {
    let mut value = reqwest::header::HeaderValue::from_str(secret)
        .unwrap_or_else(|_| reqwest::header::HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// Scheme and host of a redirect: its query may hold what must not be shown.
fn origin_of(location: &str) -> String {
    Url::parse(location).map_or_else(|_| "another path".to_owned(), |url| url.origin().ascii_serialization())
}

/// One attempt, told of when it is over.
#[derive(Debug)]
struct RequestAccount {
    endpoint: String,
    slice: SliceName,
    status: Option<u16>,
    began: Instant,
    events: EventSink,
}

impl RequestAccount {
    fn begin(request: &Request, events: &EventSink) -> Self {
        let (endpoint, slice) = (request.endpoint.clone(), request.slice.clone());
        Self { endpoint, slice, status: None, began: Instant::now(), events: events.clone() }
    }
}

impl Drop for RequestAccount {
    fn drop(&mut self) {
        let (endpoint, slice) = (std::mem::take(&mut self.endpoint), std::mem::take(&mut self.slice));
        self.events.emit(&Event::RequestFinished {
            endpoint,
            slice,
            status: self.status,
            elapsed: self.began.elapsed(),
        });
    }
}

/// The rows of one response, as they arrive.
#[derive(Debug)]
pub struct Response {
    http: reqwest::Response,
    framer: Option<Framer>,
    blocks: BlockBuilder,
    what: String,
    until: Until,
    patience: Patience,
    watch: Watch,
    // In flight until the body is over.
    _permit: Permit,
    _account: RequestAccount,
}

#[derive(Debug)]
enum Framer {
    Json(JsonRows),
    Events(EventRows),
}

impl Response {
    fn new(
        http: reqwest::Response,
        request: &Request,
        until: Until,
        watch: Watch,
        permit: Permit,
        account: RequestAccount,
    ) -> Self {
        let content_type = http.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let events = content_type.starts_with("text/event-stream");
        let framer = match events {
            true => Framer::Events(EventRows::default()),
            false => Framer::Json(JsonRows::at(request.rows.clone())),
        };
        Self {
            framer: Some(framer),
            http,
            blocks: BlockBuilder::with_members(&request.members),
            what: request.what.clone(),
            patience: Patience::new(until.idle, request.most_bytes),
            until,
            watch,
            _permit: permit,
            _account: account,
        }
    }

    /// Whether one response of many rows came, which ends without a cursor.
    pub fn is_event_stream(&self) -> bool {
        matches!(self.framer, Some(Framer::Events(_)))
    }

    /// Whole rows so far, and the total that was announced before them, if one was.
    pub fn progress(&self) -> (u64, Option<u64>) {
        let announced = match &self.framer {
            Some(Framer::Json(rows)) => rows.announced(),
            Some(Framer::Events(events)) => events.announced(),
            None => None,
        };
        (self.blocks.total_rows(), announced)
    }

    /// The blocks that the next bytes complete, possibly none; `None` when the body is over.
    ///
    /// # Errors
    /// [`ApiError::Broken`] when the body breaks off or is not what it should be, [`ApiError::KeyLeaked`], [`ApiError::Late`], [`ApiError::Cancelled`].
    pub async fn next_blocks(&mut self) -> Result<Option<Vec<Block>>, ApiError> {
        let Until { arrival, idle, cancel } = &self.until;
        let began = Instant::now();
        let reading = tokio::time::timeout(*idle, self.http.chunk());
        let read = tokio::select! {
            read = reading => read,
            late = arrival.over(&self.what) => return Err(late),
            () = cancel.cancelled() => return Err(ApiError::Cancelled),
        };
        let broken = |problem: String| ApiError::broken(&self.what, problem);
        let chunk = read
            .map_err(|_| broken(format!("nothing came for {} s", self.until.idle.as_secs())))?
            .map_err(|error| broken(error_chain(&error.without_url())))?;
        let waited = began.elapsed();
        let (Some(chunk), Some(framer)) = (chunk, &mut self.framer) else {
            return Ok(None);
        };
        if self.watch.hears(&chunk) {
            return Err(ApiError::KeyLeaked { what: self.what.clone() });
        }
        let pushed = match framer {
            Framer::Json(rows) => rows.push(&chunk, &mut self.blocks),
            Framer::Events(events) => events.push(&chunk, &mut self.blocks),
        };
        let heard = pushed.and_then(|()| self.patience.hear(chunk.len(), self.blocks.total_rows(), waited));
        heard.map_err(|framing| ApiError::framing(&self.what, &framing))?;
        Ok(Some(self.blocks.take_ready()))
    }

    /// The last blocks, what stood around the rows, and how many rows there were. Call it once the body is over.
    ///
    /// # Errors
    /// [`ApiError::Broken`] when the body ended in the middle.
    pub fn finish(mut self) -> Result<(Vec<Block>, Envelope, u64), ApiError> {
        let finished = match self.framer.take() {
            Some(Framer::Json(rows)) => rows.finish(&mut self.blocks),
            Some(Framer::Events(events)) => events.finish(&mut self.blocks),
            None => Ok(Envelope::default()),
        };
        let envelope = finished.map_err(|framing| ApiError::framing(&self.what, &framing))?;
        let rows = self.blocks.total_rows();
        Ok((self.blocks.take_ready(), envelope, rows))
    }
}
