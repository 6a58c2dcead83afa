//! Sends messages in the format of each kind of target.

mod command;
mod http;
mod pagerduty;
mod slack;
mod webhook;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use url::Url;

use crate::alert::message::{Message, MessageState};
use crate::alert::store::lake_name;
use crate::config::{AlertConfig, AlertKind, Config, SecretError};
use crate::retry::{RetryDecision, RetryError, RetryPolicy};

/// Retries of one notification. A target that asks for a longer pause is retried by a later evaluation.
const RETRIES: RetryPolicy = RetryPolicy {
    max_attempts: 3,
    initial_backoff: Duration::from_millis(500),
    max_backoff: Duration::from_secs(5),
    total_time: Some(Duration::from_secs(20)),
    max_retry_after: Duration::from_secs(5),
};
/// Pause after a rejection: an operator must correct the target first.
const REJECTED_PAUSE: Duration = Duration::from_secs(3600);

/// Why a message could not be sent. Never contains an address or a secret.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The address or secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// No response, or one that a retry may change.
    #[error("{0}")]
    Unreachable(String),
    /// The target asked for a pause, of at most an hour.
    #[error("{response}, retry after {} s", pause.as_secs())]
    Busy { response: String, pause: Duration },
    #[error("rejected: {0}")]
    Rejected(String),
}

impl SendError {
    pub fn is_rejected(&self) -> bool {
        matches!(self, Self::Rejected(_))
    }

    /// Whether another attempt may succeed within seconds.
    fn retry_decision(&self) -> RetryDecision {
        match self {
            Self::Unreachable(_) => RetryDecision::Backoff,
            Self::Busy { pause, .. } => RetryDecision::After(*pause),
            // An operator must correct the setting first.
            Self::Secret(_) | Self::Rejected(_) => RetryDecision::Never,
        }
    }

    /// How long to send nothing to the target.
    pub fn pause(&self) -> Duration {
        match self {
            Self::Busy { pause, .. } => *pause,
            Self::Rejected(_) => REJECTED_PAUSE,
            Self::Secret(_) | Self::Unreachable(_) => Duration::ZERO,
        }
    }
}

/// A request of a target.
struct Post {
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Sends messages about one lake.
#[derive(Debug)]
pub struct Sender {
    /// Created on first use: commands need none.
    http: OnceLock<Result<http::Http, String>>,
    ca_file: Option<PathBuf>,
    destination: String,
}

impl Sender {
    pub fn new(config: &Config) -> Self {
        let (ca_file, destination) = (config.api.ca_file.clone(), lake_name(&config.destination));
        Self { http: OnceLock::new(), ca_file, destination }
    }

    fn http(&self) -> Result<&http::Http, SendError> {
        let http = self.http.get_or_init(|| http::Http::new(self.ca_file.as_deref()));
        http.as_ref().map_err(|problem| SendError::Unreachable(format!("no HTTP client: {problem}")))
    }

    /// Sends `message` to `target`, with retries.
    ///
    /// # Errors
    /// [`SendError`] of the last attempt.
    pub async fn send(&self, target: &AlertConfig, message: &Message) -> Result<(), RetryError<SendError>> {
        RETRIES.run(|| self.attempt(target, message), SendError::retry_decision).await
    }

    /// Sends a test message to `target`, and resolves it if the target would keep it open.
    ///
    /// # Errors
    /// [`SendError`] of the last attempt.
    pub async fn test(&self, target: &AlertConfig, now: Timestamp) -> Result<(), RetryError<SendError>> {
        let message = Message::test(now);
        self.send(target, &message).await?;
        match target.kind {
            // It pages someone until it is resolved.
            Some(AlertKind::Pagerduty) => {
                self.send(target, &Message { state: MessageState::TestResolved { at: now }, ..message }).await
            }
            _ => Ok(()),
        }
    }

    async fn attempt(&self, target: &AlertConfig, message: &Message) -> Result<(), SendError> {
        let post = match target.kind {
            Some(AlertKind::Webhook) => webhook::post(target, message, &self.destination)?,
            Some(AlertKind::Slack) => slack::post(target, message, &self.destination)?,
            Some(AlertKind::Pagerduty) => pagerduty::post(target, message, &self.destination)?,
            Some(AlertKind::Command) => return command::run(target, message, &self.destination).await,
            // A heartbeat has no content.
            Some(AlertKind::Heartbeat) | None => return self.http()?.get(target.address()?, target.timeout.0).await,
        };
        self.http()?.post(post, target.timeout.0).await
    }
}
