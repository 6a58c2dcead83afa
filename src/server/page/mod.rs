//! The page: HTML rendered from plain values. The templates escape every name and message from outside.

mod coverage;
mod day_strip;
mod jobs;
mod problem_cards;
mod rate_limit;
mod run;
mod runs;
mod sparkline;
mod stream;
mod time;

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{DOCTYPE, Markup, html};

use super::page_data::PageData;
use super::problems::problems;
use super::verdict::{StatusVerdict, Tone};
use crate::inline_code::inline_code;
use crate::status::JobStatus;
use jobs::outcome;
use time::{stamp, stamp_in};

pub(super) use run::{no_such_run, run};
pub(super) use stream::{no_such_stream, stream};

pub(super) const STYLE: &str = include_str!("page.css");
/// Updates an open page. The page is complete without it.
pub(super) const SCRIPT: &str = include_str!("page.js");

/// The page at `/`.
pub(super) fn index(data: &PageData) -> Markup {
    let problems = problems(data);
    let verdict = StatusVerdict::new(data, &problems);
    let title = match verdict.tone {
        Tone::Fresh => "Fresh",
        Tone::Busy => "Running",
        Tone::Trouble => "Problem",
    };
    let body = html! {
        main {
            (headline(&verdict, data))
            (runs::active_run(data))
            (jobs::jobs(data))
            (problem_cards::problem_cards(&problems))
            (rate_limit::rate_limit(data))
            (coverage::coverage(data))
            (runs::runs(data))
            (runs::learned(data))
            (coverage::not_entitled(data))
        }
        (footer(data, ""))
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
                (facts(data))
            }
        }
    }
}

/// Which lake, when the last and the next run are, and which clock the page shows.
fn facts(data: &PageData) -> Markup {
    let jobs = data.status.as_ref().map(|status| status.jobs.as_slice()).unwrap_or_default();
    let last = jobs.iter().filter_map(|job| Some((job, job.last_run.as_ref()?))).max_by_key(|(_, run)| run.ended_at);
    let next = jobs.iter().filter_map(|job| Some((job, job.next_run?))).min_by_key(|(_, at)| *at);
    let zone = |job: &JobStatus| TimeZone::get(&job.timezone).unwrap_or(TimeZone::UTC);
    let zones: BTreeSet<&str> = jobs.iter().map(|job| job.timezone.as_str()).filter(|zone| *zone != "UTC").collect();
    let time = |job: &JobStatus, at: Timestamp| stamp_in(at, &zone(job));
    html! {
        dl.facts {
            div { dt { "lake" } dd { code { (data.destination()) } } }
            @if let Some((job, run)) = last {
                div { dt { "last run" } dd { (job.name) ", " (time(job, run.end.started_at)) " " (outcome(run.end.outcome)) } }
            }
            @if let Some((job, at)) = next { div { dt { "next run" } dd { (job.name) ", " (time(job, at)) } } }
            @if !jobs.is_empty() {
                div { dt { "time zone" } dd {
                    @if zones.is_empty() { "UTC" } @else { "jobs in " (zones.into_iter().collect::<Vec<_>>().join(", ")) "; all other times in UTC" }
                } }
            }
        }
    }
}

fn footer(data: &PageData, root: &str) -> Markup {
    html! {
        footer #footer {
            p {
                "profound-export " (env!("CARGO_PKG_VERSION"))
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
                a href={ (root) "status.json" } { "JSON" }
                @if data.has_metrics { " · " a href={ (root) "metrics" } { "metrics" } }
            }
        }
    }
}

#[cfg(test)]
mod tests;
