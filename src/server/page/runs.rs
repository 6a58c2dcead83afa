//! Runs: the active one, the last ones, and recent problems.

use maud::{Markup, html};

use super::PageData;
use super::inline_code::inline_code;
use super::jobs::outcome;
use super::time::{between, clock, stamp};
use crate::ledger::{LearnedFact, RunSummary};
use crate::model::format::{format_bytes, format_count, format_duration, format_number};
use crate::server::status_json::MAX_RUNS;

const MAX_SLICES: usize = 4;
/// Of one run.
const MAX_RUN_PROBLEMS: usize = 5;
/// Of all runs.
const MAX_PROBLEMS: usize = 10;

pub(super) fn active_run(data: &PageData) -> Markup {
    let Some(run) = &data.activity.run else {
        return html! {};
    };
    html! {
        section #running {
            h2 { "Running: " (run.job) }
            @match run.planned_slices {
                Some(planned) => {
                    progress max=(planned.max(1)) value=(run.finished_slices) aria-label="slices" {}
                    p { b { (format_number(run.finished_slices as u64)) } " of " (format_number(planned as u64)) " slices" (figures(data)) }
                }
                None => { progress aria-label="planning" {} p { "Planning" (figures(data)) } }
            }
            @if !run.active_slices.is_empty() {
                p.of {
                    "requesting " (run.active_slices.iter().take(MAX_SLICES).cloned().collect::<Vec<_>>().join(", "))
                    @if run.active_slices.len() > MAX_SLICES { " and " (run.active_slices.len() - MAX_SLICES) " more" }
                }
            }
        }
    }
}

fn figures(data: &PageData) -> Markup {
    let Some(run) = &data.activity.run else {
        return html! {};
    };
    html! {
        " · " (format_count(run.requests, "request")) " · " (format_count(run.rows, "row")) " · " (format_count(run.files, "file"))
        @if run.failed_slices > 0 { " · " strong { (format_number(run.failed_slices as u64)) " failed" } }
        " · since " (clock(run.started_at)) " (" (format_duration(between(run.started_at, data.now))) ")"
    }
}

pub(super) fn runs(data: &PageData) -> Markup {
    let runs = data.status.as_ref().map(|status| status.runs.as_slice()).unwrap_or_default();
    html! {
        @if !runs.is_empty() {
            section #runs {
                h2 { "Last runs" }
                ul.plain { @for run in runs.iter().take(MAX_RUNS) { li { (run_details(run, data)) } } }
            }
        }
    }
}

fn run_details(run: &RunSummary, data: &PageData) -> Markup {
    let end = &run.end;
    // The ledger has a run's errors; its warnings are known only in the process that ran it.
    let warnings = data.activity.problems.iter().filter(|problem| problem.run == Some(end.run) && !problem.is_error);
    html! {
        details.run id={ "run-" (end.run) "-" (run.number) } {
            summary {
                (outcome(end.outcome)) " "
                span.when { (stamp(end.started_at)) } " "
                span.job { (end.job) @if end.backfill { ", backfill" } } " "
                span.figures {
                    (format_count(end.counters.requests, "request")) " · " (format_count(end.counters.rows, "row")) " · "
                    (format_count(end.counters.files, "file")) @if end.counters.files > 0 { " (" (format_bytes(end.counters.bytes)) ")" }
                    " · " (format_duration(between(end.started_at, run.ended_at)))
                }
            }
            div.inside {
                p {
                    (format_count(end.counters.slices, "slice")) " published, " (format_number(end.counters.deferred)) " deferred to the next run"
                    @if end.backfill_remaining > 0 { " (" (format_number(end.backfill_remaining)) " of them backfill)" }
                    ", " (format_count(end.counters.unchanged, "file")) " unchanged."
                }
                @if !end.problems.is_empty() {
                    ul {
                        @for problem in end.problems.iter().take(MAX_RUN_PROBLEMS) { li { (inline_code(problem)) } }
                        @if end.problems.len() > MAX_RUN_PROBLEMS { li { "more in the log" } }
                    }
                }
                @if let Some(hint) = &end.hint { p { "help: " (inline_code(hint)) } }
                @for problem in warnings.take(MAX_PROBLEMS) { p.of { (clock(problem.at)) " " (inline_code(&problem.message)) } }
                p.of { "run " code { (end.run) } }
            }
        }
    }
}

/// How requests differ from what the catalog declares, because of what the API did.
pub(super) fn learned(data: &PageData) -> Markup {
    let learned = data.status.iter().flat_map(|status| &status.learned);
    let differences: Vec<String> = learned.filter_map(LearnedFact::difference_since).collect();
    html! {
        @if !differences.is_empty() {
            section #learned {
                h2 { "Learned from the API" }
                ul.plain { @for difference in differences.iter().take(MAX_PROBLEMS) { li { (inline_code(difference)) } } }
            }
        }
    }
}

/// Recent problems of this process, as logged.
pub(super) fn problems(data: &PageData) -> Markup {
    let problems = &data.activity.problems;
    html! {
        @if !problems.is_empty() {
            section #problems {
                h2 { "Recent problems" }
                ul.plain {
                    @for problem in problems.iter().take(MAX_PROBLEMS) {
                        li {
                            span.outcome.bad { @if problem.is_error { "failed" } @else { "recovered" } } " "
                            (clock(problem.at)) " "
                            @if let Some(job) = &problem.job { (job) ": " }
                            (inline_code(&problem.message.chars().take(500).collect::<String>()))
                        }
                    }
                }
            }
        }
    }
}
