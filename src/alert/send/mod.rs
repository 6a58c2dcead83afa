//! Sends messages, each kind of target in its own form.

mod command;
mod http;
mod pagerduty;
mod slack;
mod webhook;

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use reqwest::header::HeaderMap;
use url::Url;

use crate::alert::message::Message;
use crate::config::{AlertConfig, AlertKind, AlertSecretError};

/// Attempts at one message in a row.
const ATTEMPTS: usize = 3;
/// Before the second of these; the third waits twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Why a message could not be sent. Never holds an address or a secret.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The address or secret is not there.
    #[error(transparent)]
    Secret(#[from] AlertSecretError),
    /// Nobody answered, or the answer says to try again.
    #[error("{0}")]
    Unreachable(String),
    /// What was sent was refused.
    #[error("refused: {0}")]
    Refused(String),
}

impl SendError {
    /// Whether sending the same again may succeed.
    pub fn may_pass(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// A request of a target.
struct Post {
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Sends messages about one lake.
#[derive(Debug, Clone)]
pub struct Sender {
    http: http::Http,
    destination: String,
}

impl Sender {
    /// Sends about the lake at `destination`.
    pub fn new(destination: &str) -> Self {
        Self { http: http::Http::default(), destination: destination.to_owned() }
    }

    /// Sends `message` to `target`, in a few attempts.
    ///
    /// # Errors
    /// [`SendError`] of the last attempt.
    pub async fn send(&self, target: &AlertConfig, message: &Message) -> Result<(), SendError> {
        let mut pauses = ExponentialBuilder::default().with_min_delay(FIRST_PAUSE).with_max_times(ATTEMPTS - 1).build();
        loop {
            let error = match self.attempt(target, message).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match pauses.next().filter(|_| error.may_pass()) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    async fn attempt(&self, target: &AlertConfig, message: &Message) -> Result<(), SendError> {
        let timeout = target.timeout.0;
        let post = match target.kind {
            Some(AlertKind::Webhook) => webhook::post(target, message, &self.destination)?,
            Some(AlertKind::Slack) => slack::post(target, message, &self.destination)?,
            Some(AlertKind::Pagerduty) => pagerduty::post(target, message, &self.destination)?,
            Some(AlertKind::Command) => return command::run(target, message, &self.destination).await,
            // A heartbeat is told nothing.
            Some(AlertKind::Heartbeat) | None => return self.ping(target).await,
        };
        self.http.post(post, timeout).await
    }

    /// Asks the address of a heartbeat.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn ping(&self, target: &AlertConfig) -> Result<(), SendError> {
        self.http.get(target.address()?, target.timeout.0).await
    }
}
