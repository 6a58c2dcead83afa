//! Runs: the one that is under way, the last ones, and what went wrong.

use maud::{Markup, html};

use super::PageData;
use super::inline_code::inline_code;
use super::jobs::outcome;
use super::time::{between, clock, stamp};
use crate::ledger::RunSummary;
use crate::model::format::{format_bytes, format_count, format_duration, format_number};
use crate::server::status_json::RUNS;

/// Slices that are named while they are asked for.
const ASKING: usize = 4;
/// Problems of a run.
const PROBLEMS: usize = 5;
/// Lines of trouble.
const TROUBLES: usize = 10;

/// The run that is under way.
pub(super) fn under_way(data: &PageData) -> Markup {
    let Some(run) = &data.doing.run else {
        return html! {};
    };
    html! {
        section #running {
            h2 { "Running: " (run.job) }
            @match run.planned {
                Some(planned) => {
                    progress max=(planned.max(1)) value=(run.over) aria-label="slices" {}
                    p { b { (format_number(run.over as u64)) } " of " (format_number(planned as u64)) " slices" (figures(data)) }
                }
                None => { progress aria-label="planning" {} p { "Finding out what is due" (figures(data)) } }
            }
            @if !run.asking.is_empty() {
                p.of {
                    "asking for " (run.asking.iter().take(ASKING).cloned().collect::<Vec<_>>().join(", "))
                    @if ASKING < run.asking.len() { " and " (run.asking.len() - ASKING) " more" }
                }
            }
        }
    }
}

fn figures(data: &PageData) -> Markup {
    let Some(run) = &data.doing.run else {
        return html! {};
    };
    html! {
        " · " (format_count(run.requests, "request")) " · " (format_count(run.rows, "row")) " · " (format_count(run.files, "file"))
        @if 0 < run.failed { " · " strong { (format_number(run.failed as u64)) " failed" } }
        " · since " (clock(run.since)) " (" (format_duration(between(run.since, data.now))) ")"
    }
}

/// The last runs, each to be opened.
pub(super) fn runs(data: &PageData) -> Markup {
    let runs = data.status.as_ref().map(|status| status.runs.as_slice()).unwrap_or_default();
    html! {
        @if !runs.is_empty() {
            section #runs {
                h2 { "Last runs" }
                ul.plain { @for run in runs.iter().take(RUNS) { li { (one(run, data)) } } }
            }
        }
    }
}

fn one(run: &RunSummary, data: &PageData) -> Markup {
    let end = &run.end;
    // What was recovered from is known only while the process lives that did it.
    let lived = data.doing.troubles.iter().filter(|trouble| trouble.run == Some(end.run) && !trouble.is_error);
    html! {
        details.run id={ "run-" (end.run) "-" (run.number) } {
            summary {
                (outcome(end.outcome)) " "
                span.when { (stamp(end.started_at)) } " "
                span.job { (end.job) @if end.backfill { ", backfill" } } " "
                span.figures {
                    (format_count(end.counters.requests, "request")) " · " (format_count(end.counters.rows, "row")) " · "
                    (format_count(end.counters.files, "file")) @if 0 < end.counters.files { " (" (format_bytes(end.counters.bytes)) ")" }
                    " · " (format_duration(between(end.started_at, run.ended_at)))
                }
            }
            div.inside {
                p {
                    (format_count(end.counters.slices, "slice")) " published, " (format_number(end.counters.failed)) " failed, " (format_number(end.counters.deferred)) " deferred to a later run"
                    @if 0 < end.backfill_remaining { " (" (format_number(end.backfill_remaining)) " of them history)" }
                    ", " (format_count(end.counters.unchanged, "file")) " unchanged."
                }
                @if !end.problems.is_empty() {
                    ul {
                        @for problem in end.problems.iter().take(PROBLEMS) { li { (inline_code(problem)) } }
                        @if PROBLEMS < end.problems.len() { li { "and more: the log has them all" } }
                    }
                }
                @if let Some(hint) = &end.hint { p { "help: " (inline_code(hint)) } }
                @for trouble in lived.take(TROUBLES) { p.of { (clock(trouble.at)) " " (inline_code(&trouble.words)) } }
                p.of { "run " code { (end.run) } }
            }
        }
    }
}

/// What went wrong lately in this process, in the words of the log.
pub(super) fn troubles(data: &PageData) -> Markup {
    let troubles = &data.doing.troubles;
    html! {
        @if !troubles.is_empty() {
            section #troubles {
                h2 { "Went wrong lately" }
                ul.plain {
                    @for trouble in troubles.iter().take(TROUBLES) {
                        li {
                            span.outcome.bad { @if trouble.is_error { "failed" } @else { "recovered" } } " "
                            (clock(trouble.at)) " "
                            @if let Some(job) = &trouble.job { (job) ": " }
                            (inline_code(&trouble.words.chars().take(500).collect::<String>()))
                        }
                    }
                }
            }
        }
    }
}
