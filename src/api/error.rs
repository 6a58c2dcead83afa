//! Why a request failed, and whether asking again may help.

use std::time::Duration;

use crate::api::blocks::FramingError;
use crate::api::roots::RootsError;
use crate::model::figures::took;

/// Why rows could not be fetched. Each variant says of what, so that one log line stands alone.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// HTTP 401. Fatal for the whole run: nothing more may be sent with this key.
    #[error("the API rejected the key (HTTP 401: {detail})")]
    KeyRejected {
        /// The API's words.
        detail: String,
    },
    /// HTTP 403 or 404: this scope is not part of the account's plan; other slices go on.
    #[error("the account may not read {what} (HTTP {status}: {detail})")]
    NotEntitled {
        /// Stream and scope.
        what: String,
        /// 403 or 404.
        status: u16,
        /// The API's words.
        detail: String,
    },
    /// HTTP 422, or another 4xx: the request is not one the API answers.
    #[error("the API refused the request for {what} (HTTP {status}: {detail})")]
    Refused {
        /// Stream and scope.
        what: String,
        /// The status.
        status: u16,
        /// The API's words.
        detail: String,
    },
    /// A redirect. Never followed, because the key would go with it.
    #[error(
        "the API answered {what} with a redirect to `{location}` (HTTP {status}), which is never followed with the key"
    )]
    Redirected {
        /// Stream and scope.
        what: String,
        /// The status.
        status: u16,
        /// Where to.
        location: String,
    },
    /// The answer holds the key.
    #[error("the answer for {what} repeats the API key, so that nothing of it is kept")]
    Repeats {
        /// Stream and scope.
        what: String,
    },
    /// HTTP 408, 429 or 5xx, after several tries.
    #[error("the API could not answer {what} (HTTP {status}: {detail})")]
    Busy {
        /// Stream and scope.
        what: String,
        /// The status.
        status: u16,
        /// The API's words.
        detail: String,
        /// The server's own figure, when it gave one.
        retry_after: Option<Duration>,
    },
    /// No connection, after several tries.
    #[error("cannot reach the API at {at}: {problem}")]
    Unreachable {
        /// Scheme, host and port.
        at: String,
        /// What the network says.
        problem: String,
    },
    /// Somebody answered, whose certificate comes from none of the roots at hand.
    #[error("the certificate of {at} is not trusted: {problem}")]
    Untrusted {
        /// Scheme, host and port.
        at: String,
        /// What the TLS stack says.
        problem: String,
    },
    /// No client could be made, for want of certificate roots.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The answer began and broke off, or was not what it should be.
    #[error("the answer for {what} broke: {problem}")]
    Broken {
        /// Stream and scope.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// HTTP 408, 429 or 5xx: the next try may go only after the deadline, or many tries met the same wall. Whatever else
    /// there is to ask goes on.
    #[error("the API answered {what} with HTTP {status} and is to be asked again in {}, too late for this run: {detail}", took(*wait))]
    Postponed {
        /// Stream and scope.
        what: String,
        /// The status.
        status: u16,
        /// The API's words.
        detail: String,
        /// How long it asked to wait.
        wait: Duration,
    },
    /// An answer that was under way at the deadline did not arrive soon after it.
    #[error("the answer for {what} had not arrived {} after the deadline", took(*after))]
    Late {
        /// Stream and scope.
        what: String,
        /// For how long it was waited.
        after: Duration,
    },
    /// Nothing may be sent before the deadline.
    #[error("the next request may go in {}, which is after the deadline", took(*wait))]
    OutOfTime {
        /// How long nothing may be sent.
        wait: Duration,
    },
    /// The run is being stopped.
    #[error("stopped")]
    Cancelled,
    /// The local clock is so wrong that days would be mistaken.
    #[error("the local clock differs from the API's by {0}")]
    ClockSkew(String),
}

/// Whether another attempt may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same answer would come again.
    Never,
    /// After the usual pause.
    Backoff,
    /// After the time told.
    After(Duration),
}

impl ApiError {
    /// Whether another attempt may succeed. The retry loop asks nothing else.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Busy { retry_after: Some(told), .. } => Retry::After(*told),
            Self::Busy { .. } | Self::Unreachable { .. } | Self::Broken { .. } => Retry::Backoff,
            _ => Retry::Never,
        }
    }

    /// The same error, where the next try would come too late: in `wait`, after the deadline.
    pub fn too_late(self, wait: Duration) -> Self {
        match self {
            Self::Busy { what, status, detail, .. } => Self::Postponed { what, status, detail, wait },
            _ => Self::OutOfTime { wait },
        }
    }

    /// No connection to the API at `at`, and what was said of it: a certificate that is not trusted stays so.
    pub fn no_connection(at: String, problem: String) -> Self {
        match problem.starts_with("invalid peer certificate") {
            true => Self::Untrusted { at, problem },
            false => Self::Unreachable { at, problem },
        }
    }

    /// An answer that does not frame rows.
    pub fn broken(what: &str, framing: &FramingError) -> Self {
        Self::Broken { what: what.to_owned(), problem: framing.to_string() }
    }
}
