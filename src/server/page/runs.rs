//! Runs: the active one, and the last ones with their slices, requests, waits and problems.

use std::time::Duration;

use maud::{Markup, html};

use super::jobs::outcome;
use super::problem_cards::folded;
use super::time::{between, clock, stamp};
use crate::inline_code::inline_code;
use crate::ledger::{LearnedFact, RunSummary};
use crate::model::format::{format_bytes, format_count, format_duration, format_number};
use crate::observe::Problem;
use crate::server::page_data::PageData;
use crate::server::status_json::MAX_RUNS;

const MAX_SLICES: usize = 4;
/// Warnings of one run, and of the time between runs.
const MAX_WARNINGS: usize = 10;
const MAX_LEARNED: usize = 10;
/// Of one logged message.
const MAX_CHARACTERS: usize = 500;

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
            p { a href={ "run/" (run.run) } { "slices so far" } }
            (warnings("running-log", data.activity.problems.iter().filter(|problem| problem.run == Some(run.run))))
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
                h2 { "Runs" }
                ul.plain { @for run in runs.iter().take(MAX_RUNS) { li { (run_details(run, data)) } } }
            }
        }
        (warnings_between_runs(data))
    }
}

fn run_details(run: &RunSummary, data: &PageData) -> Markup {
    let end = &run.end;
    html! {
        details.run id={ "run-" (end.run) "-" (run.number) } {
            summary {
                (outcome(end.outcome)) " "
                span.when { (stamp(end.started_at)) } " "
                span.job { (end.job) @if end.backfill { ", backfill" } } " "
                span.figures {
                    (format_count(end.counters.requests, "request")) " · " (format_count(end.counters.rows, "row")) " · "
                    (format_duration(between(end.started_at, run.ended_at)))
                }
            }
            div.inside {
                (figures_of(run, data))
                p { a href={ "run/" (end.run) } { "slices of this run" } }
            }
        }
    }
}

/// What a run did, waited for, and could not do.
pub(super) fn figures_of(run: &RunSummary, data: &PageData) -> Markup {
    let end = &run.end;
    let counters = end.counters;
    // The ledger has a run's errors; its warnings are known only in the process that ran it.
    let logged = data.activity.problems.iter().filter(|problem| problem.run == Some(end.run) && !problem.is_error);
    html! {
        dl {
            div { dt { "slices" } dd {
                (format_number(counters.slices)) " published"
                @if counters.failed > 0 { ", " (format_number(counters.failed)) " failed" }
                @if counters.not_entitled > 0 { ", " (format_number(counters.not_entitled)) " not entitled" }
                ", " (format_number(counters.deferred)) " deferred to the next run"
                @if end.backfill_remaining > 0 { " (" (format_number(end.backfill_remaining)) " of them backfill)" }
            } }
            div { dt { "files" } dd {
                (format_number(counters.files)) " written" @if counters.files > 0 { " (" (format_bytes(counters.bytes)) ")" }
                ", " (format_number(counters.unchanged)) " unchanged"
            } }
            div { dt { "requests" } dd { (format_number(counters.requests)) } }
            div { dt { "waited" } dd {
                @if end.waited_seconds == 0 { "not at all" } @else { (format_duration(Duration::from_secs(end.waited_seconds))) " for the rate limit" }
            } }
            @if let Some(hint) = &end.hint { div { dt { "help" } dd { (inline_code(hint)) } } }
        }
        (folded(&format!("errors-{}-{}", end.run, run.number), &end.problems))
        (warnings(&format!("log-{}-{}", end.run, run.number), logged))
    }
}

/// Logged messages of one run, or of none.
fn warnings<'a>(id: &str, problems: impl Iterator<Item = &'a Problem>) -> Markup {
    let problems: Vec<&Problem> = problems.take(MAX_WARNINGS).collect();
    html! {
        @if !problems.is_empty() {
            details.folded id=(id) {
                summary { (format_count(problems.len() as u64, "logged warning")) }
                ul {
                    @for problem in problems {
                        li {
                            (clock(problem.at)) " " @if problem.is_error { "failed: " } @else { "recovered: " }
                            (inline_code(&problem.message.chars().take(MAX_CHARACTERS).collect::<String>()))
                        }
                    }
                }
            }
        }
    }
}

/// Warnings of this process that belong to no run.
fn warnings_between_runs(data: &PageData) -> Markup {
    let between = || data.activity.problems.iter().filter(|problem| problem.run.is_none());
    html! {
        @if between().next().is_some() { section #log { h2 { "Log" } (warnings("log-between", between())) } }
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
                ul.plain { @for difference in differences.iter().take(MAX_LEARNED) { li { (inline_code(difference)) } } }
            }
        }
    }
}
