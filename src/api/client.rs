//! Sends the requests of one key.

use std::convert::Infallible;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{RequestBuilder, StatusCode};
use tokio::time::Instant;
use url::Url;

use crate::api::client_key::ClientKey;
use crate::api::error::ApiError;
use crate::api::error_body::ErrorBody;
use crate::api::headers::{latest_server_time, pause_asked, rate_limit_headers, server_time};
use crate::api::key_leak::KeyLeakScanner;
use crate::api::outage::OutageBreaker;
use crate::api::rate_limit::{MAX_WINDOW, RateLimiter, ResponseKind, RunLimits};
use crate::api::request::Request;
use crate::api::response::{BodyDeadline, RequestObserver, Response};
use crate::clock::Clock;
use crate::config::{ApiConfig, ApiKey, Auth};
use crate::error_text::{error_chain, root_cause};
use crate::http::{HttpClientError, MAX_RETRY_AFTER, check_proxies, client_builder, read_roots};
use crate::model::cost::RequestKind;
use crate::model::event::{Event, EventSink, RetryReason};
use crate::model::stream::Method;
use crate::retry::{Attempts, RetryDecision, RetryPolicy};

/// Waits that end this close to each other are reported as one.
const SAME_WAIT: Duration = Duration::from_secs(1);
/// A clock that differs by more than this would mistake days.
const FATAL_SKEW: Duration = Duration::from_secs(12 * 3600);
/// Retries of a request that did not reach the API, or that it could not answer. The run's deadline bounds their time.
const RETRIES: RetryPolicy = RetryPolicy {
    max_attempts: 5,
    initial_backoff: Duration::from_millis(500),
    max_backoff: Duration::from_secs(60),
    total_time: None,
    max_retry_after: MAX_RETRY_AFTER,
};
/// Retries after a 429. More than after other failures: a 429 says when the next attempt can succeed, and another user of the key may
/// be faster then.
const RATE_LIMITED_RETRIES: RetryPolicy = RetryPolicy { max_attempts: 21, ..RETRIES };

#[derive(Debug)]
pub struct ClientSettings<'a> {
    pub config: &'a ApiConfig,
    /// Corrected by the `Date` of the first response.
    pub clock: Clock,
    pub events: EventSink,
}

/// Sends the requests of one key within its rate limit. Every attempt waits for the rate limiter, retries included.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    auth: Auth,
    key: ClientKey,
    idle_timeout: Duration,
    rate_limiter: RateLimiter,
    clock: Clock,
    clock_skew: OnceLock<jiff::SignedDuration>,
    requests: AtomicU64,
    limits: Mutex<RunLimits>,
    outage: OutageBreaker,
    events: EventSink,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Client").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Client {
    /// # Errors
    /// [`ApiError::Client`] if `api.ca_file` or a proxy variable cannot be used, or if there are no certificate roots at all.
    pub fn new(settings: ClientSettings<'_>, key: ApiKey) -> Result<Self, ApiError> {
        let ClientSettings { config, clock, events } = settings;
        check_proxies()?;
        let roots = config.ca_file.as_deref().map(read_roots).transpose()?.unwrap_or_default();
        // No gzip of reqwest's: `BodyDecoder` decodes it.
        let http = client_builder().tls_certs_merge(roots).connect_timeout(config.connect_timeout.0).build().map_err(
            |error| match &config.ca_file {
                Some(path) => HttpClientError::Invalid { path: path.clone(), problem: root_cause(&error) },
                None => HttpClientError::Missing { problem: root_cause(&error) },
            },
        )?;
        Ok(Self {
            http,
            base: config.base_url.clone(),
            auth: config.auth,
            key: ClientKey::new(key),
            idle_timeout: config.idle_timeout.0,
            rate_limiter: RateLimiter::new(config.reserve_requests),
            clock,
            clock_skew: OnceLock::new(),
            requests: AtomicU64::new(0),
            limits: Mutex::default(),
            outage: OutageBreaker::default(),
            events,
        })
    }

    pub fn rate_limiter(&self) -> &RateLimiter {
        &self.rate_limiter
    }

    /// Requests sent so far, retries included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// By how much the local clock was wrong, once a response has shown it.
    pub fn clock_skew(&self) -> Option<jiff::SignedDuration> {
        self.clock_skew.get().copied()
    }

    /// [`ApiError::Outage`] if several endpoints in a row have not answered, and none since.
    pub fn outage(&self) -> Option<ApiError> {
        self.outage.outage()
    }

    /// Lets each endpoint be requested once more in spite of [`Self::outage`]; the first answer ends it.
    pub fn probe_again(&self) {
        self.outage.probe_again();
    }

    /// Sets the limits of the requests that follow.
    pub fn set_limits(&self, limits: RunLimits) {
        *self.limits.lock() = limits;
    }

    fn limits(&self) -> RunLimits {
        self.limits.lock().clone()
    }

    /// Where the key came from, for messages.
    pub fn key_origin(&self) -> String {
        self.key.origin()
    }

    /// Reads the key again from where it came from. Returns whether it changed. A key that cannot be read stays in use: it may
    /// still work.
    pub fn reload_key(&self) -> bool {
        self.key.reload(self.key.version())
    }

    /// Waits until a request of `kind` could be sent. Returns whether it had to wait.
    ///
    /// # Errors
    /// [`ApiError::OutOfTime`], [`ApiError::Cancelled`].
    pub async fn ready(&self, kind: RequestKind) -> Result<bool, ApiError> {
        self.rate_limiter.ready(kind, &self.limits()).await
    }

    /// Does `work`, and reports its waits for the rate limit: one for each reset, however many requests wait for it.
    pub async fn report_waits<T>(&self, work: impl Future<Output = T>) -> T {
        // Before the first request, and a wait in progress counts: `changed` reports only what follows.
        let mut waiting = self.rate_limiter.waiting_until();
        let reporting = async {
            let mut reported = Instant::now();
            loop {
                let until = *waiting.borrow_and_update();
                if let Some(until) = until.filter(|until| *until > reported + SAME_WAIT) {
                    reported = until;
                    let wait = until.saturating_duration_since(Instant::now());
                    self.events.emit(&Event::RateLimitWait { wait });
                }
                if waiting.changed().await.is_err() {
                    break;
                }
            }
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            done = work => done,
            never = reporting => match never {},
        }
    }

    /// Sends `request`, retries it as [`RetryPolicy`] allows, and returns the response that has rows. Every attempt counts in
    /// `requests`.
    ///
    /// This loop decides which responses are worth another attempt of the same HTTP request. What an error means for the run is
    /// decided by `RunError::disposition`, in the layer above.
    ///
    /// # Errors
    /// The [`ApiError`] of the last attempt.
    pub async fn send(&self, request: &Request, requests: &AtomicU64) -> Result<Response, ApiError> {
        let (mut failures, mut rate_limited) = (RETRIES.start(), RATE_LIMITED_RETRIES.start());
        let (mut key_reloaded, mut key_version) = (false, 0);
        loop {
            let probe = self.outage.admit(&request.endpoint).await?;
            let answer = self.attempt(request, requests, &mut key_version).await;
            drop(probe);
            let error = match answer {
                Ok(response) => {
                    self.outage.record_answer();
                    return Ok(response);
                }
                Err(error) => error,
            };
            match &error {
                ApiError::ServerError { .. } | ApiError::Broken { .. } | ApiError::NotTheApi { .. } => {
                    self.outage.record_failure(&request.endpoint, &error);
                    if let Some(outage) = self.outage() {
                        return Err(outage);
                    }
                }
                ApiError::NotEntitled { .. } | ApiError::RequestRejected { .. } => self.outage.record_answer(),
                _ => {}
            }
            let (decision, reason) = match &error {
                ApiError::KeyRejected { .. } if !key_reloaded && self.key.reload(key_version) => {
                    key_reloaded = true;
                    continue;
                }
                ApiError::KeyRejected { .. } => {
                    // Here and not in the run, which learns of it later: meanwhile other requests would go on with this key.
                    self.limits().cancel.cancel();
                    return Err(error);
                }
                ApiError::RateLimited { retry_after, .. } => {
                    let attempts = rate_limited.attempts();
                    let Some(pause) = rate_limited.next_pause(RetryDecision::after(*retry_after)) else {
                        return Err(error.with_attempts(attempts));
                    };
                    // All requests of the key wait, and this one with them.
                    self.rate_limiter.block(pause);
                    self.emit_retried(request, RetryReason::RateLimited);
                    continue;
                }
                ApiError::ServerError { retry_after, .. } => (RetryDecision::after(*retry_after), RetryReason::Server),
                ApiError::Unreachable { .. } | ApiError::Broken { .. } | ApiError::NotTheApi { .. } => {
                    (RetryDecision::Backoff, RetryReason::Connection)
                }
                _ => return Err(error),
            };
            let attempts = failures.attempts();
            let Some(pause) = failures.next_pause(decision) else {
                return Err(error.with_attempts(attempts));
            };
            let RunLimits { deadline, cancel } = self.limits();
            if deadline.is_some_and(|deadline| Instant::now() + pause > deadline) {
                return Err(match error {
                    ApiError::ServerError { what, status, detail, .. } => {
                        ApiError::RetryAfterDeadline { what, status, detail, wait: pause, attempts }
                    }
                    _ => ApiError::OutOfTime { wait: pause },
                });
            }
            tracing::debug!(%error, ?pause, attempts = attempts.count(), "request failed, retrying");
            self.emit_retried(request, reason);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = cancel.cancelled() => return Err(ApiError::Cancelled),
            }
        }
    }

    /// Sends `request` once. `key_version` becomes the version of the key it was sent with.
    async fn attempt(
        &self,
        request: &Request,
        requests: &AtomicU64,
        key_version: &mut u64,
    ) -> Result<Response, ApiError> {
        let limits = self.limits();
        let what = &request.what;
        let body_deadline = BodyDeadline::new(limits.deadline, self.idle_timeout);
        body_deadline.check(what)?;
        let mut permit = self.rate_limiter.reserve(request.kind(), &limits).await?;
        let mut observer = RequestObserver::start(request, &self.events);
        self.requests.fetch_add(1, Ordering::Relaxed);
        requests.fetch_add(1, Ordering::Relaxed);
        let sending = tokio::time::timeout(self.idle_timeout, self.build(request, key_version).send());
        let response = tokio::select! {
            response = sending => response,
            late = body_deadline.passed(what) => return Err(late),
            () = limits.cancel.cancelled() => return Err(ApiError::Cancelled),
        };
        let response = response
            .map_err(|_| ApiError::broken(what, format!("no response within {} s", self.idle_timeout.as_secs())))?
            .map_err(|error| {
                if error.is_connect() {
                    ApiError::no_connection(self.base.origin().ascii_serialization(), root_cause(&error))
                } else {
                    ApiError::broken(what, error_chain(&error.without_url()))
                }
            })?;
        let now = self.correct_clock(&response)?;
        let status = response.status();
        observer.status = Some(status.as_u16());
        let kind = match status {
            StatusCode::OK => ResponseKind::Ok,
            StatusCode::TOO_MANY_REQUESTS => ResponseKind::RateLimited,
            _ => ResponseKind::Error,
        };
        permit.record_response(rate_limit_headers(response.headers(), now), kind);
        self.events.emit(&Event::RateLimitStatus(self.rate_limiter.status()));
        let content_type =
            response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        // A captive portal answers every request with its page.
        let is_page = content_type.trim_start().starts_with("text/html");
        if kind == ResponseKind::Ok && !is_page {
            let scanner = KeyLeakScanner::new(self.key.forms());
            return Response::new(response, request, body_deadline, limits.cancel, scanner, permit, observer);
        }
        Err(self.error(what.clone(), response, now).await)
    }

    /// The error that `response` means for `what`.
    async fn error(&self, what: String, response: reqwest::Response, now: jiff::Timestamp) -> ApiError {
        let retry_after = pause_asked(response.headers(), now, response.status());
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(origin_of);
        let status = response.status().as_u16();
        let forms = self.key.forms();
        let ErrorBody { detail, is_of_api, content_type } = ErrorBody::read(response, self.idle_timeout, &forms).await;
        match status {
            // A proxy's 401, 403, 404 or 422 says nothing about the key, the account or the request.
            200 | 400..=407 | 409..=428 | 430..=499 | 501 | 511 if !is_of_api => {
                let host = self.base.host_str().unwrap_or_default().to_owned();
                ApiError::NotTheApi { what, host, status, content_type, start: detail, attempts: Attempts::ONE }
            }
            401 => ApiError::KeyRejected { detail },
            403 | 404 => ApiError::NotEntitled { what, status, detail },
            300..=399 => {
                let location = location.map(|location| forms.mask(&location)).unwrap_or_default();
                ApiError::Redirected { what, status, location }
            }
            429 => ApiError::RateLimited { what, detail, retry_after, attempts: Attempts::ONE },
            // Never implemented for this request, however often it is sent.
            501 => ApiError::RequestRejected { what, status, detail },
            408 | 500..=599 => ApiError::ServerError { what, status, detail, retry_after, attempts: Attempts::ONE },
            // Another 2xx does not answer a read either.
            _ => ApiError::RequestRejected { what, status, detail },
        }
    }

    fn emit_retried(&self, request: &Request, reason: RetryReason) {
        self.events.emit(&Event::RequestRetried { endpoint: request.endpoint.clone(), reason });
    }

    fn build(&self, request: &Request, key_version: &mut u64) -> RequestBuilder {
        // As text, because `Url::set_path` would encode the path once more.
        let prefix = self.base.path().trim_end_matches('/');
        let origin = &self.base[..url::Position::BeforePath];
        let mut address = format!("{origin}{prefix}{}", request.path);
        if !request.query.is_empty() {
            address.push('?');
            address.push_str(&request.query);
        }
        let builder = match request.method {
            Method::Get => self.http.get(address),
            Method::Post => self.http.post(address),
        };
        let builder = match &request.body {
            Some(body) => builder.json(body),
            None => builder,
        };
        let accept = if request.events { "text/event-stream" } else { "application/json" };
        let builder = builder.header(ACCEPT, accept).header(ACCEPT_ENCODING, "gzip, zstd");
        let (builder, version) = self.key.with_current(|key| match self.auth {
            Auth::Header => builder.header("X-API-Key", sensitive(key)),
            Auth::Bearer => builder.bearer_auth(key),
            Auth::Query => builder.query(&[("api_key", key)]),
        });
        *key_version = version;
        builder
    }

    /// Corrects the clock by the first response. Returns the time of the server, or of the clock if `response` has none.
    fn correct_clock(&self, response: &reqwest::Response) -> Result<jiff::Timestamp, ApiError> {
        let now = self.clock.now();
        // Without a date, a reset that is long past shows that this clock is ahead.
        let is_past =
            |latest: &jiff::Timestamp| now.duration_since(*latest).unsigned_abs() > MAX_WINDOW && *latest < now;
        let latest = || latest_server_time(response.headers()).filter(is_past);
        let Some(server) = server_time(response.headers()).or_else(latest) else {
            return Ok(now);
        };
        let skew = *self.clock_skew.get_or_init(|| self.clock.correct(server));
        if skew.unsigned_abs() > FATAL_SKEW {
            return Err(ApiError::ClockSkew(format!("{skew:#}")));
        }
        Ok(server)
    }
}

fn sensitive(secret: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(secret).unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// Scheme and host of a redirect. Its query may hold secrets.
fn origin_of(location: &str) -> String {
    Url::parse(location).map_or_else(|_| "another path".to_owned(), |url| url.origin().ascii_serialization())
}
