//! The only HTTP of alerts. It knows no key of the API.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{RequestBuilder, StatusCode};
use url::Url;

use crate::alert::send::{Post, SendError};

/// Sends requests of alerts. The client is made when the first is sent: who has no alerts needs no roots either.
#[derive(Debug, Clone, Default)]
pub(super) struct Http(Arc<OnceLock<reqwest::Client>>);

impl Http {
    fn client(&self) -> Result<&reqwest::Client, SendError> {
        if let Some(client) = self.0.get() {
            return Ok(client);
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "alerts go to other hosts, outside the budget and without the key"
        )]
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("profound-export/", env!("CARGO_PKG_VERSION")))
            .build();
        let client = client.map_err(|error| SendError::Unreachable(last_cause(&error.without_url())))?;
        Ok(self.0.get_or_init(|| client))
    }

    pub(super) async fn post(&self, post: Post, timeout: Duration) -> Result<(), SendError> {
        let json = HeaderValue::from_static("application/json");
        answered(
            self.client()?.post(post.url).header(CONTENT_TYPE, json).headers(post.headers).body(post.body),
            timeout,
        )
        .await
    }

    pub(super) async fn get(&self, url: Url, timeout: Duration) -> Result<(), SendError> {
        answered(self.client()?.get(url), timeout).await
    }
}

/// Any 2xx is a success. The address may be a secret, so no error shows it.
async fn answered(request: RequestBuilder, timeout: Duration) -> Result<(), SendError> {
    let response = request.timeout(timeout).send().await.map_err(|error| {
        let why = match error.is_timeout() {
            true => format!("no answer within {} s", timeout.as_secs()),
            false => last_cause(&error.without_url()),
        };
        SendError::Unreachable(why)
    })?;
    let status = response.status();
    let words = format!("HTTP {}", status.as_u16());
    match status {
        _ if status.is_success() => Ok(()),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Err(SendError::Unreachable(words)),
        _ if status.is_server_error() => Err(SendError::Unreachable(words)),
        _ => Err(SendError::Refused(words)),
    }
}

fn last_cause(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map(ToString::to_string).unwrap_or_default()
}
