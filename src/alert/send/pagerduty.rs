//! The Events API v2 of PagerDuty: `trigger` and `resolve` with one `dedup_key` (PagerDuty's documentation, "Send an alert
//! event").

use reqwest::header::HeaderMap;
use secrecy::ExposeSecret;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::alert::message::{Message, MessageState};
use crate::alert::send::{Post, SendError};
use crate::config::{AlertConfig, AlertEvent};

/// Characters of a summary; PagerDuty rejects longer ones.
const MAX_SUMMARY: usize = 1024;

pub(super) fn post(target: &AlertConfig, message: &Message, destination: &str) -> Result<Post, SendError> {
    let secret = target.secret()?;
    let action = match message.state {
        MessageState::Resolved { .. } | MessageState::TestResolved { .. } => "resolve",
        _ => "trigger",
    };
    let summary: String = format!("profound-export: {}", message.headline()).chars().take(MAX_SUMMARY).collect();
    let mut body = json!({
        "routing_key": secret.as_ref().map(|secret| secret.expose_secret()),
        "event_action": action,
        "dedup_key": dedup_key(message, destination),
        "client": "profound-export",
        "payload": {
            "summary": summary,
            "source": destination,
            "severity": severity(message),
            "timestamp": message.condition.since,
            "class": message.event_name(),
            "custom_details": message.to_json(destination),
        },
    });
    if let Some(job) = &message.condition.job {
        body["payload"]["component"] = json!(job);
    }
    Ok(Post { url: target.address()?, headers: HeaderMap::new(), body: body.to_string().into_bytes() })
}

/// Stays the same while a condition of a lake fires, whichever process notifies. At most 255 characters.
fn dedup_key(message: &Message, destination: &str) -> String {
    let digest = Sha256::digest(format!("{destination}\n{}", message.key));
    let digest = const_hex::encode(&digest[..16]);
    format!("profound-export/{}/{digest}", message.event_name())
}

fn severity(message: &Message) -> &'static str {
    match (message.state, message.condition.event) {
        (MessageState::Test | MessageState::TestResolved { .. }, _) => "info",
        (_, AlertEvent::KeyRejected | AlertEvent::DestinationTrouble) => "critical",
        (_, AlertEvent::JobFailed | AlertEvent::JobOverdue | AlertEvent::IncompleteTooLong) => "error",
        (_, AlertEvent::SchemaDrift) => "info",
        _ => "warning",
    }
}
