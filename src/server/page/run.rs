//! The page of one run: its figures, then its slices by stream.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::jobs::outcome;
use super::runs::figures_of;
use super::time::{clock, stamp};
use super::{document, footer};
use crate::inline_code::inline_code;
use crate::model::format::{format_count, format_number};
use crate::server::page_data::PageData;
use crate::status::{RunDetails, RunSlice, SliceResult};

/// Slices that the page lists.
const MAX_SLICES: usize = 1_000;

pub(in crate::server) fn run(data: &PageData, details: &RunDetails) -> Markup {
    let ended = data.status.iter().flat_map(|status| &status.runs).find(|run| run.end.run == details.run);
    let mut streams: BTreeMap<&str, Vec<&RunSlice>> = BTreeMap::new();
    for slice in details.slices.iter().take(MAX_SLICES) {
        streams.entry(&slice.stream).or_default().push(slice);
    }
    let omitted = details.slices.len().saturating_sub(MAX_SLICES);
    let body = html! {
        main {
            p { a href="../" { "← status" } }
            @match ended {
                Some(run) => {
                    h1 { "Run of " (run.end.job) @if run.end.backfill { ", backfill" } }
                    p { (outcome(run.end.outcome)) " " (stamp(run.end.started_at)) " to " (stamp(run.ended_at)) }
                    (figures_of(run, data))
                }
                None => { h1 { "Run in progress" } p { "It has no end in the ledger yet." } }
            }
            p.of { "run " code { (details.run) } }
            section #slices {
                h2 { "Slices" }
                @if details.omitted_records > 0 {
                    p { "Only the last records are shown: " (format_count(details.omitted_records, "earlier record")) " of the ledger may have more." }
                }
                @if streams.is_empty() { p { "This run recorded no slices." } }
                @for (name, slices) in streams { (stream(name, &slices)) }
                @if omitted > 0 { p { "and " (format_count(omitted as u64, "more slice")) } }
            }
        }
        (footer(data, "../"))
    };
    document("run · profound-export", "../", &body)
}

fn stream(name: &str, slices: &[&RunSlice]) -> Markup {
    let sum = |part: fn(&SliceResult) -> u64| slices.iter().map(|slice| part(&slice.result)).sum::<u64>();
    let rows = sum(|result| if let SliceResult::Published { rows, .. } = result { *rows } else { 0 });
    let requests = sum(|result| if let SliceResult::Published { requests, .. } = result { *requests } else { 0 });
    let unpublished = sum(|result| u64::from(!matches!(result, SliceResult::Published { .. })));
    html! {
        details.family id={ "slices-" (name) } open[unpublished > 0] {
            summary.row {
                span { (name) }
                span.list { (format_count(slices.len() as u64, "slice")) ", " (format_count(requests, "request")) }
                span {}
                small { @if unpublished > 0 { em { (format_number(unpublished)) " not published" } } }
                b { (format_count(rows, "row")) }
            }
            div.wide tabindex="0" role="region" aria-label={ "Slices of " (name) } {
                table {
                    thead { tr { th scope="col" { "recorded" } th scope="col" { "scope" } th scope="col" { "days" }
                        th.n scope="col" { "requests" } th.n scope="col" { "rows" } th scope="col" { "result" } } }
                    tbody { @for slice in slices { (row(slice)) } }
                }
            }
        }
    }
}

fn row(slice: &RunSlice) -> Markup {
    html! {
        tr {
            td { (clock(slice.at)) }
            th.scope scope="row" { @if slice.scope.is_empty() { "the account" } @else { (slice.scope) } }
            td { @match slice.window { Some(window) => (window), None => "list" } }
            @match &slice.result {
                SliceResult::Published { rows, requests, files, proof } => {
                    td.n { (format_number(*requests)) } td.n { (format_number(*rows)) }
                    td { "published, " (format_count(*files, "file")) " written, proof: " (proof.name().replace('_', " ")) }
                }
                SliceResult::Suspect { problem } => { td {} td {} td.text { span.outcome.bad { "suspect" } " " (inline_code(problem)) } }
                SliceResult::NotEntitled { detail } => { td {} td {} td.text { "not entitled: " (inline_code(detail)) } }
            }
        }
    }
}

/// The page for a run that the ledger does not have.
pub(in crate::server) fn no_such_run(run: &str) -> Markup {
    let body = html! {
        main {
            p { a href="../" { "← status" } }
            h1 { "Run not found" }
            p { "The ledger has no run " code { (run) } ", or no longer keeps it." }
        }
    };
    document("no such run · profound-export", "../", &body)
}
