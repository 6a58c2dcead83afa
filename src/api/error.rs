//! Why rows could not be fetched.

use std::time::Duration;

use crate::http::HttpClientError;
use crate::model::format::format_duration;
use crate::retry::Attempts;

/// Why rows could not be fetched. Each variant names what was requested (`what`: stream, scope and variables), so that its log
/// line needs no context; `detail` is the API's own message, without the key.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// HTTP 401: nothing more may be sent with this key.
    #[error("the API rejected the key (HTTP 401: {detail})")]
    KeyRejected { detail: String },
    /// HTTP 403 or 404: this scope is not part of the account's plan.
    #[error("the account is not entitled to {what} (HTTP {status}: {detail})")]
    NotEntitled { what: String, status: u16, detail: String },
    /// HTTP 422 or another 4xx: the API does not answer such a request.
    #[error("the API rejected the request for {what} (HTTP {status}: {detail})")]
    RequestRejected { what: String, status: u16, detail: String },
    /// A proxy, a CDN or a portal answered instead of the API, after every retry. Never evidence about the key, the account or the
    /// request.
    #[error(
        "`{host}` answered the request for {what} with {content_type} that is not the API's (HTTP {status}{attempts}: {start})"
    )]
    NotTheApi { what: String, host: String, status: u16, content_type: String, start: String, attempts: Attempts },
    /// A redirect, which is never followed: the key would go with it.
    #[error("the API redirected the request for {what} to `{location}` (HTTP {status}); redirects are not followed")]
    Redirected { what: String, status: u16, location: String },
    /// The response contains the key, so nothing of it is kept.
    #[error("the response for {what} contains the API key and was discarded")]
    KeyLeaked { what: String },
    /// HTTP 408 or 5xx, after every retry.
    #[error("the API could not answer {what} (HTTP {status}{attempts}: {detail})")]
    ServerError { what: String, status: u16, detail: String, retry_after: Option<Duration>, attempts: Attempts },
    /// HTTP 429, after every retry. Other requests can still succeed.
    #[error("the API rate limited the request for {what} (HTTP 429{attempts}: {detail})")]
    RateLimited { what: String, detail: String, retry_after: Option<Duration>, attempts: Attempts },
    /// HTTP 408 or 5xx, and the next attempt would begin after the deadline. Other requests can still succeed.
    #[error("the API could not answer {what} (HTTP {status}{attempts}: {detail}), and the next attempt, in {}, is after the deadline", format_duration(*wait))]
    RetryAfterDeadline { what: String, status: u16, detail: String, wait: Duration, attempts: Attempts },
    /// Several endpoints in a row did not answer: other requests would fail likewise, so nothing is retried.
    #[error("the API is down, {attempts} requests failed in a row: {last}")]
    Outage { attempts: u32, last: String, retry_after: Option<Duration> },
    /// No connection, after every retry.
    #[error("cannot reach the API at {at}{attempts}: {problem}")]
    Unreachable { at: String, problem: String, attempts: Attempts },
    /// The server at this address has a certificate that no known root signed.
    #[error("the certificate of {at} is not trusted: {problem}")]
    Untrusted { at: String, problem: String },
    /// The client cannot be made.
    #[error(transparent)]
    Client(#[from] HttpClientError),
    /// The response is incomplete or malformed.
    #[error("the response for {what} is broken{attempts}: {problem}")]
    Broken { what: String, problem: String, attempts: Attempts },
    /// The event stream has a form that this version does not know. Pages have another one.
    #[error("the event stream for {what} has an unknown form: {problem}")]
    UnknownEvents { what: String, problem: String },
    /// A response in progress at the deadline did not end soon after it.
    #[error("the response for {what} was incomplete {} after the deadline", format_duration(*after))]
    Late { what: String, after: Duration },
    /// No request may be sent before the deadline.
    #[error("the next request may be sent in {}, which is after the deadline", format_duration(*wait))]
    OutOfTime { wait: Duration },
    #[error("stopped")]
    Cancelled,
    /// The local clock is so wrong that days would be mistaken.
    #[error("the local clock differs from the API's by {0}")]
    ClockSkew(String),
}

impl ApiError {
    /// The response for `what` is broken.
    pub fn broken(what: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Broken { what: what.into(), problem: problem.into(), attempts: Attempts::ONE }
    }

    /// No connection to the API at `at`. An untrusted certificate is a setting to change and not an outage, so it is not retried.
    pub(super) fn no_connection(at: String, problem: String) -> Self {
        if problem.starts_with("invalid peer certificate") {
            Self::Untrusted { at, problem }
        } else {
            Self::Unreachable { at, problem, attempts: Attempts::ONE }
        }
    }

    /// The same error after several attempts.
    pub(super) fn with_attempts(mut self, made: Attempts) -> Self {
        if let Self::ServerError { attempts, .. }
        | Self::RateLimited { attempts, .. }
        | Self::RetryAfterDeadline { attempts, .. }
        | Self::NotTheApi { attempts, .. }
        | Self::Unreachable { attempts, .. }
        | Self::Broken { attempts, .. } = &mut self
        {
            *attempts = made;
        }
        self
    }
}
