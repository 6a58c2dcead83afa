//! Small charts in SVG: rows of a stream per day as a line, and the runs of a job as bars. Coordinates are integers and each chart is one
//! path, or two, so that hundreds fit on a page. Each has a title in words.

use maud::{Markup, html};

use crate::model::format::{format_count, format_number};
use crate::status::{DayCell, TrendPoint};

/// Height of a chart in SVG units.
const HEIGHT: u64 = 16;
/// Bars of a chart.
const RUNS: usize = 30;

/// Rows per day, oldest first, each day one unit wide, as in the strip next to it. A day without an extraction is a gap, not zero.
pub(super) fn rows_per_day(days: &[Option<DayCell>]) -> Markup {
    let rows = |cell: &Option<DayCell>| cell.as_ref().filter(|cell| cell.extracted_at.is_some()).map(|cell| cell.rows);
    let known: Vec<Option<u64>> = days.iter().map(rows).collect();
    html! {
        svg.line viewBox=(format!("0 0 {} {HEIGHT}", days.len().max(1))) preserveAspectRatio="none" role="img" {
            title { (rows_in_words(days, &known)) }
            path d=(line(&known)) {}
        }
    }
}

fn line(values: &[Option<u64>]) -> String {
    let most = values.iter().flatten().max().copied().unwrap_or_default();
    let (mut path, mut before) = (String::new(), None);
    for (x, value) in values.iter().enumerate() {
        let Some(value) = value else {
            before = None;
            continue;
        };
        let y = HEIGHT as i64 - 1 - scaled(*value, most, HEIGHT - 2) as i64;
        match before {
            // A line without length is a dot: a day between two gaps is seen, too.
            None => path.push_str(&format!("M{x} {y}h0")),
            Some(before) if before == y => path.push_str("h1"),
            // A minus separates numbers, too.
            Some(before) if before > y => path.push_str(&format!("l1{}", y - before)),
            Some(before) => path.push_str(&format!("l1 {}", y - before)),
        }
        before = Some(y);
    }
    path
}

/// `value` of `most`, on a scale up to `height`. What is more than nothing is at least 1.
fn scaled(value: u64, most: u64, height: u64) -> u64 {
    let share = u128::from(value) * u128::from(height) / u128::from(most.max(1));
    u64::try_from(share).unwrap_or(height).max(u64::from(value > 0))
}

fn rows_in_words(days: &[Option<DayCell>], known: &[Option<u64>]) -> String {
    let mut sorted: Vec<u64> = known.iter().flatten().copied().collect();
    sorted.sort_unstable();
    let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else {
        return "no rows per day known".to_owned();
    };
    let newest = days.iter().zip(known).rev().find_map(|(day, rows)| Some((day.as_ref()?.day, (*rows)?)));
    let newest = newest.map(|(day, rows)| format!(", {}: {}", day.short(), format_number(rows))).unwrap_or_default();
    let [least, median, most] = [*least, sorted[sorted.len() / 2], *most].map(format_number);
    format!("rows per day: median {median}, {least} to {most}{newest}")
}

/// One bar a run, newest at the right. A run that failed has a mark below its bar, since it may have no bar.
pub(super) fn bars(
    runs: &[TrendPoint],
    what: &str,
    value: impl Fn(&TrendPoint) -> u64,
    text: impl Fn(u64) -> String,
) -> Markup {
    let values: Vec<u64> = runs.iter().map(value).collect();
    let most = values.iter().max().copied().unwrap_or_default();
    let at = |index: usize| 2 * (RUNS.saturating_sub(runs.len()) + index) + 1;
    let (mut tall, mut failed) = (String::new(), String::new());
    for (index, (run, value)) in runs.iter().zip(&values).enumerate() {
        tall.push_str(&format!("M{} {HEIGHT}V{}", at(index), HEIGHT - scaled(*value, most, HEIGHT)));
        if run.outcome.is_failure() {
            failed.push_str(&format!("M{} {}v3", at(index), HEIGHT + 1));
        }
    }
    let failures = runs.iter().filter(|run| run.outcome.is_failure()).count();
    let newest = values.last().copied().map(&text).unwrap_or_default();
    html! {
        div { svg.bars viewBox=(format!("0 0 {} {}", 2 * RUNS, HEIGHT + 4)) preserveAspectRatio="none" role="img" {
            title {
                (what) " of the last " (format_count(runs.len() as u64, "run")) ": last " (newest) ", most " (text(most))
                @if failures > 0 { ", " (failures) " failed" }
            }
            path d=(tall) {}
            @if !failed.is_empty() { path.failed d=(failed) {} }
        } " " span { (newest) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_has_a_gap_where_nothing_was_extracted() {
        let values = [Some(100), Some(100), Some(50), Some(100), None, Some(0), None, Some(1)];
        assert_eq!(line(&values), "M0 1h0h1l1 7l1-7M5 15h0M7 14h0");
        assert_eq!(line(&[None, None]), "");
        assert_eq!(line(&[Some(u64::MAX), Some(u64::MAX / 2)]), "M0 1h0l1 8", "no overflow");
    }
}
