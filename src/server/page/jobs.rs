//! Jobs: last run, next run, lag, and the trend of the last runs.

use std::time::Duration;

use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::sparkline::bars;
use super::time::{between, stamp_in};
use crate::model::format::{format_count, format_duration, format_number};
use crate::model::outcome::Outcome;
use crate::server::page_data::PageData;
use crate::status::JobStatus;

pub(super) fn jobs(data: &PageData) -> Markup {
    let jobs = data.status.as_ref().map(|status| status.jobs.as_slice()).unwrap_or_default();
    html! {
        @if !jobs.is_empty() {
            section #jobs {
                h2 { "Jobs" }
                div.wide tabindex="0" role="region" aria-label="Jobs" {
                    table {
                        thead { tr { th scope="col" { "job" } th scope="col" { "last run" } th scope="col" { "next run" } th scope="col" { "lag" }
                            th scope="col" { "duration" } th scope="col" { "requests" } th scope="col" { "rows" } } }
                        tbody { @for job in jobs { (row(job, data)) } }
                    }
                }
                p.of { "Bars are the last 30 runs, the newest at the right; a mark below a bar is a run that failed." }
            }
        }
    }
}

fn row(job: &JobStatus, data: &PageData) -> Markup {
    let zone = TimeZone::get(&job.timezone).unwrap_or(TimeZone::UTC);
    let is_running = job.running_since.is_some() || data.activity.run.as_ref().is_some_and(|run| run.job == job.name);
    html! {
        tr {
            th scope="row" { (job.name) }
            td data-label="last run" { div {
                @match &job.last_run {
                    Some(run) => {
                        (outcome(run.end.outcome)) @if run.end.backfill { ", backfill" }
                        @if let Some(slices @ 1..) = run.end.deferred() { ", " (format_count(slices, "slice")) " deferred" } @if is_running { ", running now" }
                        br; (stamp_in(run.end.started_at, &zone))
                        " for " (format_duration(between(run.end.started_at, run.ended_at)))
                    }
                    None => { @if is_running { "running now" } @else { "never" } }
                }
                @if let Some(since) = job.killed_since { br; "killed: " (stamp_in(since, &zone)) }
            } }
            td data-label="next run" { div { @match job.next_run { Some(at) => (stamp_in(at, &zone)), None => "manual" } } }
            td data-label="lag" { div {
                @match (&job.worst_stream, job.lag_seconds) {
                    (Some(stream), lag) if lag > 0 => { (age(lag)) " in " a href={ "stream/" (stream) } { (stream) } }
                    _ => "–",
                }
            } }
            @if job.trend.is_empty() {
                td colspan="3" data-label="trend" { div { "–" } }
            } @else {
                td.trend data-label="duration" {
                    (bars(&job.trend, "duration", |run| run.milliseconds, |time| format_duration(Duration::from_millis(time))))
                }
                td.trend data-label="requests" { (bars(&job.trend, "requests", |run| run.requests, format_number)) }
                td.trend data-label="rows" { (bars(&job.trend, "rows", |run| run.rows, format_number)) }
            }
        }
    }
}

/// A duration in its largest unit.
fn age(seconds: u64) -> String {
    match seconds {
        0..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// An outcome with the class that colours it.
pub(super) fn outcome(outcome: Outcome) -> Markup {
    let class = match outcome {
        Outcome::Complete => "good",
        Outcome::Incomplete => "",
        _ => "bad",
    };
    html! { span.outcome.(class) { (outcome.label()) } }
}
