//! Sends messages, each kind of target in its own form.

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

/// Retries of one notification. A target that asks for a longer pause gets the next one when that has passed.
const RETRIES: RetryPolicy = RetryPolicy {
    max_attempts: 3,
    initial_backoff: Duration::from_millis(500),
    max_backoff: Duration::from_secs(5),
    total_time: Some(Duration::from_secs(20)),
    max_retry_after: Duration::from_secs(5),
};

/// Why a message could not be sent. Never holds an address or a secret.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The address or secret is not there.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Nobody answered, or the answer says to try again.
    #[error("{0}")]
    Unreachable(String),
    /// The answer says when to try again.
    #[error("{words}, which asks to wait {} s", wait.as_secs())]
    Busy {
        /// What the answer says.
        words: String,
        /// How long; an hour at most.
        wait: Duration,
    },
    /// What was sent was refused.
    #[error("refused: {0}")]
    Refused(String),
}

impl SendError {
    /// Whether sending the same again may succeed.
    pub fn may_pass(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }

    /// Whether another attempt may succeed within seconds.
    fn retry_decision(&self) -> RetryDecision {
        match self {
            Self::Unreachable(_) => RetryDecision::Backoff,
            Self::Busy { wait, .. } => RetryDecision::After(*wait),
            // Someone must correct the setting first.
            Self::Secret(_) | Self::Refused(_) => RetryDecision::Never,
        }
    }

    /// How long the target asks to be left alone.
    pub fn wait(&self) -> Duration {
        match self {
            Self::Busy { wait, .. } => *wait,
            _ => Duration::ZERO,
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
    /// Made when it is needed: a target that is a command needs none.
    http: OnceLock<Result<http::Http, String>>,
    ca_file: Option<PathBuf>,
    destination: String,
}

impl Sender {
    /// Sends about the lake of `config`.
    pub fn new(config: &Config) -> Self {
        let (ca_file, destination) = (config.api.ca_file.clone(), lake_name(&config.destination));
        Self { http: OnceLock::new(), ca_file, destination }
    }

    fn http(&self) -> Result<&http::Http, SendError> {
        let http = self.http.get_or_init(|| http::Http::new(self.ca_file.as_deref()));
        http.as_ref().map_err(|problem| SendError::Unreachable(format!("no HTTP can be spoken: {problem}")))
    }

    /// Sends `message` to `target`, in a few attempts.
    ///
    /// # Errors
    /// [`SendError`] of the last attempt.
    pub async fn send(&self, target: &AlertConfig, message: &Message) -> Result<(), RetryError<SendError>> {
        RETRIES.run(|| self.attempt(target, message), SendError::retry_decision).await
    }

    /// Sends a message to `target` that says that nothing is the matter, and leaves nothing open there.
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

    /// Asks the address of a heartbeat, in a few attempts.
    ///
    /// # Errors
    /// [`SendError`] of the last attempt.
    pub async fn ping(&self, target: &AlertConfig) -> Result<(), RetryError<SendError>> {
        RETRIES.run(|| self.ask(target), SendError::retry_decision).await
    }

    async fn attempt(&self, target: &AlertConfig, message: &Message) -> Result<(), SendError> {
        let post = match target.kind {
            Some(AlertKind::Webhook) => webhook::post(target, message, &self.destination)?,
            Some(AlertKind::Slack) => slack::post(target, message, &self.destination)?,
            Some(AlertKind::Pagerduty) => pagerduty::post(target, message, &self.destination)?,
            Some(AlertKind::Command) => return command::run(target, message, &self.destination).await,
            // A heartbeat is told nothing.
            Some(AlertKind::Heartbeat) | None => return self.ask(target).await,
        };
        self.http()?.post(post, target.timeout.0).await
    }

    async fn ask(&self, target: &AlertConfig) -> Result<(), SendError> {
        self.http()?.get(target.address()?, target.timeout.0).await
    }
}
