//! The only HTTP of alerts. It knows no key of the API.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{RequestBuilder, StatusCode};
use url::Url;

use crate::alert::send::{Post, SendError};
use crate::clock::Clock;
use crate::error_text::{error_chain, root_cause};
use crate::http::{MAX_RETRY_AFTER, client_builder, read_roots, retry_after};

/// Sends requests of alerts.
#[derive(Debug, Clone)]
pub(super) struct Http(reqwest::Client);

impl Http {
    /// Trusts what the system trusts, and the certificates of `ca_file`; goes through the proxy of the environment.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self, String> {
        // A file that cannot be used stops every run. That must be told, to whom it can be told without.
        let roots = ca_file.map(read_roots).transpose().unwrap_or_else(|error| {
            tracing::warn!(
                problem = error_chain(&error),
                "cannot read `api.ca_file`, notifications trust the system's roots only"
            );
            None
        });
        let client = client_builder().tls_certs_merge(roots.unwrap_or_default()).build();
        client.map(Self).map_err(|error| root_cause(&error.without_url()))
    }

    pub(super) async fn post(&self, post: Post, timeout: Duration) -> Result<(), SendError> {
        let json = HeaderValue::from_static("application/json");
        let request = self.0.post(post.url).header(CONTENT_TYPE, json).headers(post.headers).body(post.body);
        answered(request, timeout).await
    }

    pub(super) async fn get(&self, url: Url, timeout: Duration) -> Result<(), SendError> {
        answered(self.0.get(url), timeout).await
    }
}

/// Any 2xx is a success. The address may be a secret, so no error shows it.
async fn answered(request: RequestBuilder, timeout: Duration) -> Result<(), SendError> {
    let response = request.timeout(timeout).send().await.map_err(|error| {
        let why = if error.is_timeout() {
            format!("no answer within {} s", timeout.as_secs())
        } else {
            root_cause(&error.without_url())
        };
        SendError::Unreachable(why)
    })?;
    let status = response.status();
    let words = format!("HTTP {}", status.as_u16());
    let asks_to_wait = || retry_after(response.headers(), Clock::system().now()).map(|wait| wait.min(MAX_RETRY_AFTER));
    match status {
        _ if status.is_success() => Ok(()),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => match asks_to_wait() {
            Some(wait) => Err(SendError::Busy { words, wait }),
            None => Err(SendError::Unreachable(words)),
        },
        StatusCode::REQUEST_TIMEOUT => Err(SendError::Unreachable(words)),
        _ if status.is_server_error() => Err(SendError::Unreachable(words)),
        _ => Err(SendError::Refused(words)),
    }
}
