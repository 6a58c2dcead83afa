//! The page: HTML from plain values. The templates escape every name and message from outside.

use std::collections::{BTreeMap, BTreeSet};

use maud::{DOCTYPE, Markup, PreEscaped, html};
use rusqlite::types::Value;

use super::ReportRequest;
use super::chart::{Lines, SIZES, Series};
use super::database::Rows;
use super::error::{ReportError, listed};
use super::figure::{Format, Shape, Shown, Tile};
use super::format::{as_text, direction, number, text, value_text};
use super::section::{Drawn, Group, Section, Sections};
use super::source::Period;
use crate::inline_code::inline_code;
use crate::model::day::{Day, DayZone};
use crate::model::format::{format_count, format_number};

const STYLE: &str = include_str!("page.css");

pub fn page(request: &ReportRequest<'_>, sections: &Sections) -> Result<Markup, ReportError> {
    let Sections { categories, sites, .. } = sections;
    let shown: Vec<&Section> = categories.shown.iter().chain(&sites.shown).collect();
    let doubts = sections.doubts();
    let body = html! {
        header {
            p.kicker { "profound-export report" }
            h1 { "How answer engines see you" }
            @if let Some(period) = categories.period.or(sites.period) {
                @let zone = if categories.period.is_some() { DayZone::Eastern } else { DayZone::Utc };
                p.lead { (span(period)) }
                p.about { "The newest day is " (age(request, period, zone)) "." }
            }
            p.lake { "From the lake " code { (request.lake.url()) } }
            @if !doubts.is_empty() || !sections.unreadable.is_empty() {
                p.doubt { "Some days of this page are missing or in doubt. Each figure names those that concern it; " a href="#coverage" { "all are at the foot" } "." }
            }
        }
        @if shown.len() > 1 {
            nav aria-label="Sections" {
                ul {
                    @for section in &shown { li { a href={ "#" (section.anchor) } { bdi { (section.name) } } (alike(section)) } }
                    li { a href="#coverage" { "Coverage" } }
                }
            }
        }
        main {
            (left_out("categories", "those with the most answers", categories))
            @for section in &categories.shown { (category(section)?) }
            (left_out("sites", "those with the most visits", sites))
            @for section in &sites.shown { (category(section)?) }
            (foot(request, sections, &doubts)?)
        }
    };
    Ok(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Nothing is fetched: style and drawings are in the page.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:";
                title { "How answer engines see you · profound-export" }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    })
}

/// `Sat 31 Oct to Sun 29 Nov 2026, 30 days`.
fn span(period: Period) -> String {
    let Period { first, last } = period;
    let year = |day: Day| day.to_string().chars().take(4).collect::<String>();
    let first_year = if year(first) == year(last) { String::new() } else { format!(" {}", year(first)) };
    let days = u64::try_from(last.since(first) + 1).unwrap_or_default();
    format!("{}{first_year} to {} {}, {}", first.short(), last.short(), year(last), format_count(days, "day"))
}

/// How old the newest day was when the page was made.
fn age(request: &ReportRequest<'_>, period: Period, zone: DayZone) -> String {
    match zone.yesterday(request.now).since(period.last) {
        ..=0 => "the last complete day".to_owned(),
        days => format!("{} before the last complete day", format_count(days.unsigned_abs(), "day")),
    }
}

/// What is not on the page.
fn left_out(what: &str, which: &str, group: &Group) -> Markup {
    let (shown, all) = (group.shown.len(), group.shown.len() + group.left_out.len());
    html! {
        @if group.is_chosen && shown < all {
            p.about { "This page was made for " (shown) " of " (all) " " (what) "." }
        } @else if shown < all {
            p.doubt {
                "This page shows " (shown) " of " (all) " " (what) ", " (which) ". Left out: "
                (inline_code(&listed(&group.left_out))) "."
            }
        }
    }
}

/// What distinguishes it where others are called alike.
fn alike(section: &Section) -> Markup {
    html! { @if let Some(other) = &section.distinction { " " small { (other) } } }
}

fn category(section: &Section) -> Result<Markup, ReportError> {
    Ok(html! {
        section.scope #(section.anchor) {
            h2 { bdi { (section.name) } (alike(section)) }
            @for drawn in &section.figures { (figure(&section.anchor, drawn)?) }
        }
    })
}

fn figure(anchor: &str, drawn: &Drawn) -> Result<Markup, ReportError> {
    let figure = drawn.figure;
    let id = format!("{anchor}-{}", figure.id);
    let subject = drawn.rows.as_ref().ok().zip(figure.subject).and_then(|(rows, column)| only(rows, column));
    let shown = match (&drawn.rows, &figure.shape) {
        (Err(reason), _) => html! { p.nothing { (inline_code(reason)) } },
        (Ok(rows), Shape::Tiles(tiles)) => self::tiles(rows, tiles),
        (Ok(rows), Shape::Lines { name, value, format }) => lines(&id, drawn, rows, (name, value), *format)?,
        (Ok(rows), Shape::Table(columns)) => {
            let hidden = subject.as_ref().and(figure.subject);
            table(rows, columns.iter().filter(|column| Some(column.column) != hidden), figure.title)
        }
    };
    Ok(html! {
        figure #(id) data-figure=(figure.id) {
            figcaption {
                h3 { (figure.title) @if let Some(subject) = &subject { ": " bdi { (subject) } } }
                p.about { (inline_code(figure.about)) }
            }
            (shown)
            @if let (Ok(rows), Some(total)) = (&drawn.rows, figure.total) { (of_all(rows, figure, total)) }
            @for doubt in &drawn.doubts { p.doubt { "In doubt, " (doubt) "." } }
            details.sql {
                summary { "SQL, from " (drawn.streams.join(", ")) }
                pre { code data-sql=(figure.id) { (drawn.sql.trim_end()) } }
            }
        }
    })
}

/// The only text of a column.
fn only(rows: &Rows, column: &str) -> Option<String> {
    let texts: BTreeSet<&str> = rows.column(column).filter_map(as_text).collect();
    match texts.into_iter().collect::<Vec<_>>().as_slice() {
        [text] => Some((*text).to_owned()),
        _ => None,
    }
}

/// How many are shown, if some are not.
fn of_all(rows: &Rows, figure: &super::figure::Figure, what: &str) -> Markup {
    let total = rows.column("total").find_map(number).unwrap_or_default() as u64;
    let shown = match figure.shape {
        Shape::Lines { name, .. } => rows.column(name).map(as_text).collect::<BTreeSet<_>>().len(),
        _ => rows.rows.len(),
    };
    html! { @if (shown as u64) < total { p.about { "The first " (shown) " of " (format_number(total)) " " (what) "." } } }
}

fn tiles(rows: &Rows, tiles: &[Tile]) -> Markup {
    let first = |column: &str| rows.column(column).next().cloned().unwrap_or(Value::Null);
    let text_of = |column: &str, format: Format| text(format, &first(column)).unwrap_or_default();
    let before = text(Format::Day, &first("date_before"));
    html! {
        p.subject {
            strong { bdi { (text_of("asset", Format::Text)) } }
            " on " (text_of("date", Format::Day))
            ", number " span data-column="place" data-format="count" { (text_of("place", Format::Count)) }
            " of " span data-column="assets" data-format="count" { (text_of("assets", Format::Count)) }
            " by share of voice"
        }
        dl.tiles {
            @for tile in tiles {
                div {
                    dt { (tile.label) }
                    dd.large data-column=(tile.value.column) data-format=(tile.value.format.name()) {
                        (text(tile.value.format, &first(tile.value.column)).unwrap_or_else(|| "–".into()))
                    }
                    @if let (Some(shown), Some(before)) = (&tile.change, &before) {
                        dd.small {
                            span data-column=(shown.column) data-format=(shown.format.name()) { (cell(shown, &first(shown.column))) }
                            @if shown.format == Format::SharePoints { " points" } " since " (before)
                        }
                    }
                }
            }
        }
    }
}

fn lines(
    id: &str,
    drawn: &Drawn,
    rows: &Rows,
    (name, value): (&str, &str),
    format: Format,
) -> Result<Markup, ReportError> {
    let mut series: Vec<Series> = Vec::new();
    let mut days: BTreeMap<Day, BTreeMap<usize, f64>> = BTreeMap::new();
    for ((name, day), value) in rows.column(name).zip(rows.column("date")).zip(rows.column(value)) {
        let (Ok(day), Some(value)) = (as_text(day).unwrap_or_default().parse::<Day>(), number(value)) else { continue };
        let name = text(Format::Text, name).unwrap_or_else(|| "(no name)".into());
        let index = series.iter().position(|series| series.name == name).unwrap_or_else(|| {
            series.push(Series { name, points: Vec::new() });
            series.len() - 1
        });
        series[index].points.push((day, value));
        days.entry(day).or_default().insert(index, value);
    }
    let doubtful = drawn.doubts.iter().flat_map(|doubt| doubt.days.iter().copied()).collect();
    let chart = Lines { format, period: drawn.period, series, doubtful };
    let described = format!("{id}-text");
    let mut drawings = String::new();
    for size in SIZES {
        drawings.push_str(&chart.svg(size, drawn.figure.title, &described)?);
    }
    Ok(html! {
        (PreEscaped(drawings))
        p.spoken #(described) { @for series in &chart.series { (spoken(series, format)) " " } }
        details {
            summary { "Figures of this chart" }
            div.scroll {
                table data-lines=(drawn.figure.id) {
                    caption.spoken { (drawn.figure.title) }
                    thead { tr { th scope="col" { "Day" } @for series in &chart.series { th.n scope="col" { bdi { (series.name) } } } } }
                    tbody {
                        @for (day, values) in &days {
                            tr {
                                th scope="row" { time datetime=(day) { (day.short()) } }
                                @for index in 0..chart.series.len() {
                                    td.n { @match values.get(&index) { Some(value) => (value_text(format, *value)), None => "–" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    })
}

/// A line in words.
fn spoken(series: &Series, format: Format) -> String {
    let (Some((first, start)), Some((last, end))) = (series.points.first(), series.points.last()) else {
        return String::new();
    };
    let values = || series.points.iter().map(|(_, value)| *value);
    let (low, high) = (values().fold(*start, f64::min), values().fold(*start, f64::max));
    let shown = |value| value_text(format, value);
    format!(
        "{}: {} on {}, {} on {}; lowest {}, highest {}.",
        series.name,
        shown(*start),
        first.short(),
        shown(*end),
        last.short(),
        shown(low),
        shown(high)
    )
}

fn table<'a>(rows: &Rows, columns: impl Iterator<Item = &'a Shown> + Clone, title: &str) -> Markup {
    let largest: BTreeMap<&str, f64> = columns
        .clone()
        .filter(|column| column.bar)
        .map(|column| {
            let largest = rows.column(column.column).filter_map(number).fold(0.0, f64::max);
            let whole = match column.format {
                Format::Percent => 100.0,
                Format::Share => 1.0,
                _ => largest,
            };
            (column.column, whole)
        })
        .collect();
    let class = |column: &Shown| match (column.bar, column.format.is_number()) {
        (true, _) => "n bar",
        (false, true) => "n",
        (false, false) => "t",
    };
    let index = |column: &Shown| rows.columns.iter().position(|name| name == column.column);
    html! {
        div.scroll {
            table {
                caption.spoken { (title) }
                thead {
                    tr {
                        @for column in columns.clone() {
                            th scope="col" class=(class(column)) data-column=(column.column) data-format=(column.format.name()) { (column.heading) }
                        }
                    }
                }
                tbody {
                    @for row in &rows.rows {
                        tr {
                            @for column in columns.clone() {
                                @let value = index(column).and_then(|index| row.get(index)).unwrap_or(&Value::Null);
                                td class=(class(column)) {
                                    (cell(column, value))
                                    @if let (Some(whole), Some(value)) = (largest.get(column.column), number(value)) {
                                        i style=(format!("--w:{:.0}%", 100.0 * value / whole.max(f64::MIN_POSITIVE))) aria-hidden="true" {}
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A value; changes have an arrow, so that they are seen without colour.
fn cell(shown: &Shown, value: &Value) -> Markup {
    let Some(text) = text(shown.format, value) else {
        return html! { span.none { (shown.none) } };
    };
    if !shown.format.is_change() {
        return match shown.format {
            Format::Text => html! { bdi { (text) } },
            _ => html! { b { (text) } },
        };
    }
    let class = match direction(shown.format, number(value).unwrap_or_default()) {
        0 => "same",
        1 => "good",
        _ => "bad",
    };
    let arrow = match text.chars().next() {
        Some('+') => "▲",
        Some('−') => "▼",
        _ => "",
    };
    html! { b class=(class) { span.arrow aria-hidden="true" { (arrow) } (text) } }
}

fn foot(request: &ReportRequest<'_>, sections: &Sections, doubts: &[String]) -> Result<Markup, ReportError> {
    /// Lines of a list before its end is only counted.
    const LISTED: usize = 20;
    let ages = [("answers", &sections.categories, DayZone::Eastern), ("visits", &sections.sites, DayZone::Utc)];
    let unreadable: Vec<String> = sections.unreadable.iter().map(ToString::to_string).collect();
    let list = |lines: &[String]| {
        html! {
            ul {
                @for line in lines.iter().take(LISTED) { li { (line) } }
                @if lines.len() > LISTED { li { "and " (lines.len() - LISTED) " more" } }
            }
        }
    };
    Ok(html! {
        section #coverage {
            h2 { "Coverage" }
            @for (what, group, zone) in ages {
                @if let Some(period) = group.period {
                    p { "Newest day of " (what) ": " strong { (period.last.short()) " (" (period.last) ")" } ", " (age(request, period, zone)) "." }
                }
            }
            @if !doubts.is_empty() {
                h3 { "Days in doubt" }
                p.about { "Figures leave out missing and unreadable days; for suspect and stale days they show the file that was published before. The next run extracts missing, suspect and stale days." }
                (list(doubts))
            }
            @if !unreadable.is_empty() {
                h3 { "Files that could not be read" }
                p.about { "Their rows are in no figure. " code { "profound-export verify" } " marks them, and the next run writes them." }
                (list(&unreadable))
            }
            (figure("foot", &sections.coverage)?)
        }
        footer {
            p {
                "Made " (request.now.strftime("%-d %B %Y, %H:%M UTC").to_string()) " by profound-export " (env!("CARGO_PKG_VERSION"))
                " from ledger record " (format_number(request.record)) ". No request was sent to the API."
            }
            p {
                "Days of answers are days in New York, days of visits are days in UTC. Shares come from the API for each day and are never averaged."
            }
            p {
                "To run the SQL, make the views once: " code { "profound-export ddl --target duckdb --set 'destination.url=" (request.lake.url()) "' | duckdb lake.duckdb" }
            }
        }
    })
}
