//! The generic webhook: the JSON of a message, signed if there is a secret.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use sha2::Sha256;

use crate::alert::message::Message;
use crate::alert::send::{Post, SendError};
use crate::config::AlertConfig;

const SENT_AT: HeaderName = HeaderName::from_static("x-profound-export-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("x-profound-export-signature");

pub(super) fn post(target: &AlertConfig, message: &Message, destination: &str) -> Result<Post, SendError> {
    let body = message.to_json(destination).to_string().into_bytes();
    let mut headers = HeaderMap::new();
    if let Some(secret) = target.secret()? {
        // The time is signed too, so that an intercepted message cannot be replayed later.
        let sent_at = now().as_second().to_string();
        let signature = format!("sha256={}", signature(secret.expose_secret().as_bytes(), &sent_at, &body));
        for (name, text) in [(SENT_AT, sent_at), (SIGNATURE, signature)] {
            // Digits and letters are header values.
            headers.extend(HeaderValue::from_str(&text).ok().map(|value| (name, value)));
        }
    }
    Ok(Post { url: target.address()?, headers, body })
}

/// HMAC-SHA256 of the time, a full stop and the body, in hexadecimal.
pub(super) fn signature(secret: &[u8], sent_at: &str, body: &[u8]) -> String {
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(secret) else {
        unreachable!("HMAC takes keys of any length");
    };
    mac.update(sent_at.as_bytes());
    mac.update(b".");
    mac.update(body);
    const_hex::encode(mac.finalize().into_bytes())
}

/// The receiver compares it with its own clock, so it is the system's, which no test moves.
fn now() -> Timestamp {
    crate::clock::Clock::system().now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_equals_that_of_another_implementation() {
        // `printf '1790000000.{}' | openssl dgst -sha256 -hmac secret`
        assert_eq!(
            signature(b"secret", "1790000000", b"{}"),
            "d0cadd434460d4af55e7ab90d79c1802591d7001a77c9e06471d0e3ec8cc85ae"
        );
    }
}
