//! The page: HTML rendered from plain values. The templates escape every name and message from outside.

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

use super::verdict::{StatusVerdict, Tone};
use crate::config::Config;
use crate::error_text::as_sentence;
use crate::model::day::DayZone;
use crate::observe::Activity;
use crate::status::{Status, StreamStatus};
use inline_code::inline_code;
use time::stamp;

pub(super) use stream::{no_such_stream, stream};

pub(super) const STYLE: &str = include_str!("page.css");
/// Updates an open page. The page is complete without it.
pub(super) const SCRIPT: &str = include_str!("page.js");
/// From this many days before it, the headline names the key's expiry.
const EXPIRY_DAYS: i64 = 14;

/// Everything that the page shows.
#[derive(Debug)]
pub(super) struct PageData {
    /// `None` before the ledger was first read.
    pub status: Option<Arc<Status>>,
    pub activity: Activity,
    pub config: Arc<Config>,
    /// Why the last read of the lake failed.
    pub read_error: Option<String>,
    pub now: Timestamp,
    pub shown_days: u16,
    /// Whether `/metrics` is served.
    pub has_metrics: bool,
    /// Id of the only category to show, with its streams.
    pub category: Option<(String, Vec<StreamStatus>)>,
}

impl PageData {
    pub fn verdict(&self) -> StatusVerdict {
        StatusVerdict::new(self.status.as_deref(), &self.activity, self.read_error.as_deref(), self.now)
    }

    /// The streams to show: those of the chosen category, or all.
    pub fn streams(&self) -> &[StreamStatus] {
        match (&self.category, &self.status) {
            (Some((_, streams)), _) => streams,
            (None, Some(status)) => &status.streams,
            (None, None) => &[],
        }
    }

    /// The destination without credentials or query, which can hold secrets.
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
        Tone::Busy => "Running",
        Tone::Trouble => "Problem",
    };
    let body = html! {
        main {
            (headline(&verdict, data))
            (alerts(data))
            (runs::active_run(data))
            (coverage::coverage(data))
            (rate_limit::rate_limit(data))
            (jobs::jobs(data))
            (runs::runs(data))
            (runs::problems(data))
            (runs::learned(data))
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

fn headline(verdict: &StatusVerdict, data: &PageData) -> Markup {
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
                @if let Some(expiry) = expiry(data, EXPIRY_DAYS) { p.next { (expiry) } }
            }
        }
    }
}

/// The key's expiry, if it is at most `days` away.
fn expiry(data: &PageData, days: i64) -> Option<String> {
    let expires = data.config.api.key_expires?;
    let left = expires.since(DayZone::Utc.today(data.now));
    let text = match left {
        ..0 => format!("The key expired on {expires}: create a new one under Settings → API Keys."),
        0 => "The key expires today: create a new one under Settings → API Keys.".to_owned(),
        1 => format!("The key expires tomorrow ({expires}): create a new one under Settings → API Keys."),
        _ => format!("The key expires in {left} days ({expires}): create a new one under Settings → API Keys."),
    };
    (left <= days).then_some(text)
}

fn alerts(data: &PageData) -> Markup {
    html! {
        @if !data.activity.alerts.is_empty() {
            section #alerts {
                h2 { "Alerts" }
                ul.plain {
                    @for alert in &data.activity.alerts {
                        li.alert {
                            strong { (inline_code(&alert.summary)) }
                            " since " (stamp(alert.since))
                            ": " (inline_code(&alert.impact)) ". " (inline_code(&as_sentence(&alert.action)))
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
                "page rendered " (stamp(data.now))
                " · " span #live { "reload to update" }
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
