//! An incoming webhook of Slack: a text for notifications, and blocks for the channel (Slack's documentation, "Sending
//! messages using incoming webhooks" and "Formatting text for app surfaces").

use reqwest::header::HeaderMap;
use serde_json::json;

use crate::alert::message::{Message, MessageState};
use crate::alert::send::{Post, SendError};
use crate::config::AlertConfig;

/// Characters of a text in a section; Slack rejects longer ones.
const MAX_TEXT: usize = 3000;

pub(super) fn post(target: &AlertConfig, message: &Message, destination: &str) -> Result<Post, SendError> {
    let sign = match message.state {
        MessageState::Firing => "⚠️",
        MessageState::Resolved { .. } => "✅",
        _ => "🔔",
    };
    let headline = format!("{sign} {}", escaped(&message.headline()));
    let section = |text: String| json!({"type": "section", "text": {"type": "mrkdwn", "text": cut(&text)}});
    let mut blocks = vec![section(headline.clone())];
    if matches!(message.state, MessageState::Firing) {
        let condition = &message.condition;
        blocks.push(section(format!(
            "*Impact*  {}\n*What to do*  {}",
            escaped(&condition.impact),
            escaped(&condition.action)
        )));
    }
    let since = message.condition.since;
    let context = format!("profound-export · {} · since {since:.0} · {}", escaped(destination), message.event_name());
    blocks.push(json!({"type": "context", "elements": [{"type": "mrkdwn", "text": cut(&context)}]}));
    let body = json!({"text": cut(&headline), "blocks": blocks});
    Ok(Post { url: target.address()?, headers: HeaderMap::new(), body: body.to_string().into_bytes() })
}

/// Escapes the three characters that have a meaning in Slack's text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn cut(text: &str) -> String {
    match text.chars().count() {
        ..=MAX_TEXT => text.to_owned(),
        _ => text.chars().take(MAX_TEXT - 1).chain(['…']).collect(),
    }
}
