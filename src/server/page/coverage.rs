//! Coverage: streams as rows, grouped by family, days as columns.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::day_strip::{sign, statuses, strip};
use super::sparkline::rows_per_day;
use super::time::stamp;
use crate::inline_code::inline_code;
use crate::model::day::DayZone;
use crate::model::day_status::DayStatus;
use crate::model::format::{format_count, format_number};
use crate::model::scope::Named;
use crate::server::page_data::{PageData, has_problem};
use crate::status::StreamStatus;

/// Up to this number of streams, every family is open.
const ALL_OPEN: usize = 40;
const MAX_CATEGORIES: usize = 500;
const MAX_EXCEPTIONS: usize = 20;

pub(super) fn coverage(data: &PageData) -> Markup {
    let all = data.streams();
    let streams: Vec<&StreamStatus> = all.iter().filter(|stream| data.filter.matches(stream)).collect();
    html! {
        @if !all.is_empty() || data.category.is_some() {
            section #coverage {
                h2 { "Coverage" }
                (filter(data))
                @if let Some(id) = &data.unknown_category { p { em { "The lake has no category " code { (id) } ": all are shown." } } }
                p #matches role="status" {
                    @if all.is_empty() { "No stream is exported by category." }
                    @else if data.filter.is_active() { (streams.len()) " of " (format_count(all.len() as u64, "stream")) }
                    @else { (format_count(all.len() as u64, "stream")) }
                }
                (legend())
            }
            section #streams aria-label="Streams by day" {
                (axis(data))
                @for (family, streams) in families(&streams) {
                    (family_of(family, &streams, data))
                }
            }
        }
    }
}

fn families<'a>(streams: &[&'a StreamStatus]) -> BTreeMap<&'a str, Vec<&'a StreamStatus>> {
    let mut families: BTreeMap<&str, Vec<&StreamStatus>> = BTreeMap::new();
    for stream in streams {
        families.entry(&stream.family).or_default().push(stream);
    }
    families
}

/// A form, so that it works without the script, which applies it as it changes.
fn filter(data: &PageData) -> Markup {
    let categories = data.status.as_ref().map(|status| status.categories.as_slice()).unwrap_or_default();
    let chosen = data.category.as_ref().map(|(id, _)| id.as_str());
    html! {
        form #filter method="get" action="./" role="search" {
            label { "Stream " input type="search" name="stream" value=(data.filter.search) placeholder="part of a name" autocomplete="off"; }
            label {
                "Show "
                select name="show" {
                    option value="" { "all" }
                    option value="problems" selected[data.filter.only_problems] { "with problems" }
                }
            }
            @if categories.len() > 1 {
                label {
                    "Category "
                    select name="category" {
                        option value="" { "all " (categories.len()) }
                        @for category in categories.iter().take(MAX_CATEGORIES) {
                            option value=(category.id) selected[chosen == Some(category.id.as_str())] {
                                (category.name)
                                @if is_shared(categories, &category.name) { " (" (category.id) ")" }
                            }
                        }
                    }
                }
            }
            button { "Show" }
        }
    }
}

/// Whether several categories, sorted by name, have this one.
fn is_shared(categories: &[Named], name: &str) -> bool {
    let first = categories.partition_point(|category| category.name.as_str() < name);
    categories.get(first + 1).is_some_and(|next| next.name == name)
}

fn legend() -> Markup {
    let meanings = [
        (DayStatus::Final, "final"),
        (DayStatus::Provisional, "provisional, extracted again"),
        (DayStatus::Empty, "empty"),
        (DayStatus::Stale, "stale"),
        (DayStatus::Missing, "missing"),
        (DayStatus::Suspect, "suspect"),
    ];
    html! {
        p.legend {
            @for (status, meaning) in meanings { span { (sign(status)) " " (meaning) } " " }
            span { "line: rows per day" }
        }
    }
}

fn axis(data: &PageData) -> Markup {
    let last = DayZone::Eastern.yesterday(data.now);
    let first = last.plus(1 - i64::from(data.shown_days));
    html! {
        div.row.axis aria-hidden="true" {
            span {} span.ends { span { (first.short()) } span { (last.short()) } } span { "rows per day" } small {} b { "rows" }
        }
    }
}

fn family_of(family: &str, streams: &[&StreamStatus], data: &PageData) -> Markup {
    let is_open =
        data.filter.is_active() || data.streams().len() <= ALL_OPEN || streams.iter().any(|stream| has_problem(stream));
    html! {
        details.family id={ "family-" (family) } open[is_open] {
            summary.row {
                span { (family.replace('_', " ")) }
                @if streams.iter().all(|stream| stream.days.is_empty()) { span.list { "lists" } } @else { (strip(&worst(streams))) }
                span {}
                small { (format_count(streams.len() as u64, "stream")) }
                b { (format_number(streams.iter().map(|stream| stream.rows).sum())) }
            }
            ul.rows { @for stream in streams { (row(stream)) } }
        }
    }
}

/// The most urgent status of each day over several streams.
fn worst(streams: &[&StreamStatus]) -> Vec<Option<DayStatus>> {
    let days = streams.iter().map(|stream| stream.days.len()).max().unwrap_or_default();
    // Streams can have different numbers of days; the newest is always last.
    let of_day = |day: usize| {
        let status = |stream: &&StreamStatus| {
            let at = (day + stream.days.len()).checked_sub(days)?;
            Some(stream.days.get(at)?.as_ref()?.worst)
        };
        streams.iter().filter_map(status).min()
    };
    (0..days).map(of_day).collect()
}

fn row(stream: &StreamStatus) -> Markup {
    let is_not_entitled = stream.scopes == 0 && stream.not_entitled > 0;
    html! {
        li {
            a href={ "stream/" (stream.name) } { (stream.name) }
            @if is_not_entitled {
                span.list { "not entitled" }
            } @else if stream.is_list {
                span.list {
                    (sign(if stream.is_suspect { DayStatus::Suspect } else { DayStatus::Final }))
                    @match stream.extracted_at { Some(at) => { " list, extracted " (stamp(at.to_timestamp())) } None => " list, not extracted yet" }
                }
            } @else {
                (strip(&statuses(&stream.days)))
                (rows_per_day(&stream.days))
            }
            small {
                @match stream.missing_text() {
                    Some(missing) => em { (missing) },
                    None => @if !is_not_entitled { (stream.requested_for) },
                }
            }
            b { (format_number(stream.rows)) }
        }
    }
}

/// Streams that the account may not read.
pub(super) fn not_entitled(data: &PageData) -> Markup {
    let all = data.status.as_ref().map(|status| status.not_entitled.as_slice()).unwrap_or_default();
    html! {
        @if !all.is_empty() {
            section #not-entitled {
                details id="details-not-entitled" {
                    summary { h2 { "Not entitled" } " " span.of { (format_number(all.len() as u64)) } }
                    ul {
                        @for not_entitled in all.iter().take(MAX_EXCEPTIONS) {
                            li {
                                (not_entitled.scope) ": " (not_entitled.streams.join(", ")) " — " (inline_code(&not_entitled.detail))
                                " (" (stamp(not_entitled.at)) ")"
                            }
                        }
                        @if let Some(more) = all.len().checked_sub(MAX_EXCEPTIONS).filter(|more| *more > 0) {
                            li { "and " (format_number(more as u64)) " more" }
                        }
                    }
                }
            }
        }
    }
}
