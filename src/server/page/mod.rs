//! The page: HTML made here, at once, from values. Everything that others named or said is escaped by the templates.

mod coverage;
mod day_strip;
mod inline_code;
mod jobs;
mod rate_limit;
mod runs;
mod stream;
mod time;

use std::sync::Arc;

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};

use super::verdict::{Tone, Verdict};
use crate::config::Config;
use crate::error_text::as_sentence;
use crate::model::day::DayZone;
use crate::observe::Activity;
use crate::status::{Status, StreamStatus};
use inline_code::inline_code;
use time::stamp;

pub(super) use stream::{no_such_stream, stream};

/// The style of every page.
pub(super) const STYLE: &str = include_str!("page.css");
/// What keeps an open page true. Everything can be read without it.
pub(super) const SCRIPT: &str = include_str!("page.js");
/// Days before its end from which on the key's end is said at the top.
const EXPIRY_DAYS: i64 = 14;

/// Everything that a page shows.
#[derive(Debug)]
pub(super) struct PageData {
    /// What stands; none before the ledger was read.
    pub status: Option<Arc<Status>>,
    /// What is being done.
    pub doing: Activity,
    /// What is configured.
    pub config: Arc<Config>,
    /// Why the lake could not be read the last time.
    pub trouble: Option<String>,
    /// The time.
    pub now: Timestamp,
    /// Days of coverage.
    pub shown_days: u16,
    /// Whether there is anything under `/metrics`.
    pub has_metrics: bool,
    /// The category that is shown alone, and the streams as they stand for it.
    pub category: Option<(String, Vec<StreamStatus>)>,
}

impl PageData {
    /// What stands on top.
    pub fn verdict(&self) -> Verdict {
        Verdict::of(self.status.as_deref(), &self.doing, self.trouble.as_deref(), self.now)
    }

    /// The streams that are shown.
    pub fn streams(&self) -> &[StreamStatus] {
        match (&self.category, &self.status) {
            (Some((_, streams)), _) => streams,
            (None, Some(status)) => &status.streams,
            (None, None) => &[],
        }
    }

    /// Where the files go, without whatever could be a secret in an address.
    pub fn destination(&self) -> String {
        let url = self.config.destination.url.trim();
        let Some((scheme, rest)) = url.split_once("://") else {
            return url.to_owned();
        };
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = authority.rsplit('@').next().unwrap_or_default();
        format!("{scheme}://{host}/{path}").trim_end_matches('/').to_owned()
    }
}

/// The page at `/`.
pub(super) fn index(data: &PageData) -> Markup {
    let verdict = data.verdict();
    let title = match verdict.tone {
        Tone::Fresh => "Fresh",
        Tone::Busy => "Under way",
        Tone::Trouble => "Look here",
    };
    let body = html! {
        main {
            (headline(&verdict, data))
            (alerts(data))
            (runs::under_way(data))
            (coverage::coverage(data))
            (rate_limit::rate_limit(data))
            (jobs::jobs(data))
            (runs::runs(data))
            (runs::troubles(data))
        }
        (footer(data))
    };
    document(&format!("{title} · profound-export"), "", &body)
}

fn document(title: &str, root: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="icon" href="data:,";
                link rel="stylesheet" href={ (root) "page.css" };
                script src={ (root) "page.js" } defer {}
            }
            body { (body) }
        }
    }
}

fn headline(verdict: &Verdict, data: &PageData) -> Markup {
    let (class, sign) = match verdict.tone {
        Tone::Fresh => ("fresh", "✓"),
        Tone::Busy => ("busy", "…"),
        Tone::Trouble => ("trouble", "!"),
    };
    html! {
        header #headline class=(class) {
            span.sign aria-hidden="true" { (sign) }
            div {
                h1 { (inline_code(&verdict.sentence)) }
                @if let Some(next) = &verdict.next { p.next { (inline_code(next)) } }
                @if let Some(words) = expiry(data, EXPIRY_DAYS) { p.next { (words) } }
            }
        }
    }
}

/// That the key ends, where it does so within `days`.
fn expiry(data: &PageData, days: i64) -> Option<String> {
    let expires = data.config.api.key_expires?;
    let left = expires.since(DayZone::Utc.today(data.now));
    let words = match left {
        ..0 => format!("The key expired on {expires}: make a new one under Settings → API Keys."),
        0 => "The key expires today: make a new one under Settings → API Keys.".to_owned(),
        1 => format!("The key expires tomorrow ({expires}): make a new one under Settings → API Keys."),
        _ => format!("The key expires in {left} days ({expires}): make a new one under Settings → API Keys."),
    };
    (left <= days).then_some(words)
}

fn alerts(data: &PageData) -> Markup {
    html! {
        @if !data.doing.alerts.is_empty() {
            section #alerts {
                h2 { "Alerts" }
                ul.plain {
                    @for alert in &data.doing.alerts {
                        li.alert {
                            strong { (inline_code(&alert.what)) }
                            " since " (stamp(alert.since))
                            ": " (inline_code(&alert.affected)) ". " (inline_code(&as_sentence(&alert.to_do)))
                        }
                    }
                }
            }
        }
    }
}

fn footer(data: &PageData) -> Markup {
    html! {
        footer #footer {
            p {
                "profound-export " (env!("CARGO_PKG_VERSION")) " to " code { (data.destination()) }
                @if let Some(expires) = data.config.api.key_expires { " · key expires " (expires) }
            }
            p {
                @if let Some(status) = &data.status {
                    "ledger read " (stamp(status.at)) ", " (crate::model::format::format_count(status.records, "record")) " · "
                }
                "page made " (stamp(data.now))
                " · " span #live { "reload for what is newer" }
            }
            p {
                a href="status.json" { "JSON" }
                @if data.has_metrics { " · " a href="metrics" { "metrics" } }
            }
        }
    }
}

#[cfg(test)]
mod tests;
