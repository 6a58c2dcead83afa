//! Jobs: last run, its outcome and duration, next run, lag.

use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::PageData;
use super::time::{between, stamp_in};
use crate::model::format::format_duration;
use crate::model::outcome::Outcome;
use crate::status::JobStatus;

pub(super) fn jobs(data: &PageData) -> Markup {
    let jobs = data.status.as_ref().map(|status| status.jobs.as_slice()).unwrap_or_default();
    html! {
        @if !jobs.is_empty() {
            section #jobs {
                h2 { "Jobs" }
                div.wide tabindex="0" role="region" aria-label="Jobs" {
                    table {
                        thead { tr { th scope="col" { "job" } th scope="col" { "last run" } th scope="col" { "result" }
                            th.n scope="col" { "duration" } th scope="col" { "next run" } th scope="col" { "lag" } } }
                        tbody { @for job in jobs { (row(job, data)) } }
                    }
                }
            }
        }
    }
}

fn row(job: &JobStatus, data: &PageData) -> Markup {
    let zone = TimeZone::get(&job.timezone).unwrap_or(TimeZone::UTC);
    let is_running = data.activity.run.as_ref().is_some_and(|run| run.job == job.name);
    html! {
        tr {
            th scope="row" { (job.name) }
            @match &job.last_run {
                Some(run) => {
                    td data-label="last run" { (stamp_in(run.end.started_at, &zone)) }
                    td data-label="result" { (outcome(run.end.outcome)) @if is_running { ", running now" } }
                    td.n data-label="duration" { (format_duration(between(run.end.started_at, run.ended_at))) }
                }
                None => {
                    td data-label="last run" { "never" }
                    td data-label="result" { @if is_running { "running now" } @else { "–" } }
                    td.n data-label="duration" { "–" }
                }
            }
            td data-label="next run" { @match job.next_run { Some(at) => (stamp_in(at, &zone)), None => "manual" } }
            td data-label="lag" {
                @match (&job.worst_stream, job.lag_seconds) {
                    (Some(stream), lag) if lag > 0 => { (age(lag)) " in " a href={ "stream/" (stream) } { (stream) } }
                    _ => "–",
                }
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
