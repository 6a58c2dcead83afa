//! The HTTP client of alerts. It does not have the API's key.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{RequestBuilder, StatusCode};
use url::Url;

use crate::alert::send::{Post, SendError};
use crate::clock::Clock;
use crate::error_text::{error_chain, root_cause};
use crate::http::{MAX_RETRY_AFTER, check_proxies, client_builder, read_roots, retry_after};

#[derive(Debug, Clone)]
pub(super) struct Http(reqwest::Client);

impl Http {
    /// Trusts the roots of the system and those of `ca_file`; uses the proxy of the environment.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self, String> {
        // An unusable file ends every run. Targets that need no private root must still be notified.
        let roots = ca_file.map(read_roots).transpose().unwrap_or_else(|error| {
            tracing::warn!(
                problem = error_chain(&error),
                "cannot read `api.ca_file`, notifications trust the system's roots only"
            );
            None
        });
        check_proxies().map_err(|error| error.to_string())?;
        let client = client_builder().tls_certs_merge(roots.unwrap_or_default()).build();
        client.map(Self).map_err(|error| root_cause(&error.without_url()))
    }

    pub(super) async fn post(&self, post: Post, timeout: Duration) -> Result<(), SendError> {
        let json = HeaderValue::from_static("application/json");
        let request = self.0.post(post.url).header(CONTENT_TYPE, json).headers(post.headers).body(post.body);
        send(request, timeout).await
    }

    pub(super) async fn get(&self, url: Url, timeout: Duration) -> Result<(), SendError> {
        send(self.0.get(url), timeout).await
    }
}

/// Any 2xx is a success. The address may be a secret, so errors omit it.
async fn send(request: RequestBuilder, timeout: Duration) -> Result<(), SendError> {
    let response = request.timeout(timeout).send().await.map_err(|error| {
        let why = if error.is_timeout() {
            format!("no response within {} s", timeout.as_secs())
        } else {
            root_cause(&error.without_url())
        };
        SendError::Unreachable(why)
    })?;
    let status = response.status();
    let response_status = format!("HTTP {}", status.as_u16());
    let asked_pause = || retry_after(response.headers(), Clock::system().now()).map(|wait| wait.min(MAX_RETRY_AFTER));
    match status {
        _ if status.is_success() => Ok(()),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => match asked_pause() {
            Some(pause) => Err(SendError::Busy { response: response_status, pause }),
            None => Err(SendError::Unreachable(response_status)),
        },
        StatusCode::REQUEST_TIMEOUT => Err(SendError::Unreachable(response_status)),
        _ if status.is_server_error() => Err(SendError::Unreachable(response_status)),
        _ => Err(SendError::Rejected(response_status)),
    }
}
