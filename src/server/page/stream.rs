//! The page of one stream: scopes, then days.

use maud::{Markup, html};

use super::day_strip::{class, sign, statuses, strip};
use super::sparkline::rows_per_day;
use super::time::stamp;
use super::{document, footer};
use crate::inline_code::inline_code;
use crate::model::format::{format_count, format_number};
use crate::server::page_data::PageData;
use crate::status::{DayCell, ScopeDetails, StreamDetails};

const MAX_SCOPES: usize = 200;

pub(in crate::server) fn stream(data: &PageData, details: &StreamDetails) -> Markup {
    let StreamDetails { about, all, scopes } = details;
    let body = html! {
        main {
            p { a href="../" { "← status" } }
            header { div {
                h1 { (all.name) }
                p.next { (about) }
                p {
                    (all.requested_for) ", " (format_count(all.rows, "row"))
                    @if let Some(at) = all.extracted_at { ", extracted " (stamp(at.to_timestamp())) }
                    @if all.not_entitled > 0 { ", " (format_count(all.not_entitled, "scope")) " not entitled" }
                    @match all.missing_since {
                        Some(day) => { ". " strong { "Missing since " (day.short()) "." } }
                        None => ".",
                    }
                }
            } }
            section #scopes {
                h2 { "By scope" }
                ul.rows {
                    @for scope in scopes.iter().take(MAX_SCOPES) { (row(scope, scopes)) }
                    @if scopes.len() > MAX_SCOPES {
                        li { "and " (format_number((scopes.len() - MAX_SCOPES) as u64)) " more in " code { "profound-export status --output json" } }
                    }
                }
            }
            @if !all.days.is_empty() { (days(&all.days)) }
        }
        (footer(data, "../"))
    };
    document(&format!("{} · profound-export", all.name), "../", &body)
}

fn row(scope: &ScopeDetails, all: &[ScopeDetails]) -> Markup {
    let status = &scope.status;
    let is_unique = all.iter().filter(|other| other.scope == scope.scope).count() == 1;
    html! {
        li {
            span title=(scope.key) { (scope.scope) @if !is_unique { " (" (scope.key) ")" } }
            @if let Some(not_entitled) = &scope.not_entitled {
                span.list { "not entitled: " (inline_code(&not_entitled.detail)) " (" (stamp(not_entitled.at)) ")" }
            } @else if status.is_list {
                span.list { @match status.extracted_at { Some(at) => { "extracted " (stamp(at.to_timestamp())) } None => "not extracted yet" } }
            } @else {
                (strip(&statuses(&status.days)))
                (rows_per_day(&status.days))
            }
            small { @if let Some(day) = status.missing_since { em { "missing since " (day.short()) } } }
            b { (format_number(status.rows)) }
        }
    }
}

fn days(days: &[Option<DayCell>]) -> Markup {
    html! {
        section #days {
            h2 { "Day by day" }
            div.wide tabindex="0" role="region" aria-label="Days" {
                table {
                    thead { tr { th scope="col" { "day" } th scope="col" { "status" } th.n scope="col" { "rows" }
                        th scope="col" { "extracted" } th scope="col" { "proof" } th scope="col" { "scopes" } } }
                    tbody {
                        @for cell in days.iter().rev().flatten() {
                            tr {
                                th scope="row" { (cell.day) }
                                td.(class(cell.worst)) { (sign(cell.worst)) " " (cell.worst) @if let Some(problem) = &cell.problem { ": " (inline_code(problem)) } }
                                td.n { (format_number(cell.rows)) }
                                td { @if let Some(at) = cell.extracted_at { (stamp(at.to_timestamp())) } }
                                td { (cell.proofs.iter().map(|proof| proof.name().replace('_', " ")).collect::<Vec<_>>().join(", ")) }
                                td { (cell.scopes.iter().map(|(status, count)| format!("{count} {status}")).collect::<Vec<_>>().join(", ")) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The page for a stream that the ledger does not have.
pub(in crate::server) fn no_such_stream(name: &str) -> Markup {
    let body = html! {
        main {
            p { a href="../" { "← status" } }
            h1 { "Stream " code { (name) } " not found" }
            p { "It was never exported to this lake, or no such stream exists." }
        }
    };
    document("no such stream · profound-export", "../", &body)
}
