//! What runs leave for the next one, by stream.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::model::day::Day;
use crate::model::format::{format_count, format_number};
use crate::model::slice::Slice;

/// Streams that are told one by one; what the others leave is told in one line.
const TOLD: usize = 10;

/// What is left of one stream.
#[derive(Debug, Default)]
struct Left {
    slices: u64,
    /// Days of all slices together; none for lists.
    days: u64,
    oldest: Option<Day>,
}

/// A line for each of the streams that leave most, and one for the others.
pub fn deferred_lines(slices: &[Slice]) -> Vec<String> {
    let mut streams: Vec<(&str, Left)> = by_stream(slices).into_iter().collect();
    streams.sort_by_key(|(_, left)| std::cmp::Reverse(left.slices));
    let others = streams.split_off(TOLD.min(streams.len()));
    let mut lines: Vec<String> = streams.iter().map(|(stream, left)| format!("{stream}: {}", left.words())).collect();
    if !others.is_empty() {
        let slices: u64 = others.iter().map(|(_, left)| left.slices).sum();
        let streams = format_count(others.len() as u64, "other stream");
        lines.push(format!("{streams}: {}", format_count(slices, "slice")));
    }
    lines
}

/// The same for programs, all streams.
pub fn deferred_json(slices: &[Slice]) -> Value {
    let streams: Map<String, Value> = by_stream(slices)
        .into_iter()
        .map(|(stream, left)| {
            let told = json!({ "slices": left.slices, "days": left.days, "oldest": left.oldest });
            (stream.to_owned(), told)
        })
        .collect();
    Value::Object(streams)
}

fn by_stream(slices: &[Slice]) -> BTreeMap<&str, Left> {
    let mut streams: BTreeMap<&str, Left> = BTreeMap::new();
    for slice in slices {
        let left = streams.entry(&slice.stream.name).or_default();
        left.slices += 1;
        if let Some(window) = slice.window {
            left.days += window.len_days().unsigned_abs();
            left.oldest = Some(left.oldest.map_or(window.start, |oldest| oldest.min(window.start)));
        }
    }
    streams
}

impl Left {
    fn words(&self) -> String {
        let slices = format_count(self.slices, "slice");
        match self.oldest {
            Some(oldest) if 1 < self.days => format!("{slices}, {} days from {oldest} on", format_number(self.days)),
            Some(day) => format!("{slices}, {day}"),
            None => slices,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::catalog::Catalog;
    use crate::model::scope::Scope;
    use crate::model::window::Window;

    #[test]
    fn slices_are_told_by_stream_and_the_most_first() {
        let catalog = Catalog::embedded().unwrap();
        let slice = |name: &str, window| Slice {
            stream: Arc::clone(catalog.get(name).unwrap()),
            scope: Scope::default(),
            window,
        };
        let days = |first: &str, last: &str| Window::inclusive(first.parse().unwrap(), last.parse().unwrap());
        let slices = [
            slice("models", None),
            slice("visibility_v2", days("2026-03-01", "2026-03-31")),
            slice("visibility_v2", days("2026-02-01", "2026-02-28")),
            slice("bots_v2", days("2026-03-09", "2026-03-09")),
        ];
        assert_eq!(
            deferred_lines(&slices),
            ["visibility_v2: 2 slices, 59 days from 2026-02-01 on", "bots_v2: 1 slice, 2026-03-09", "models: 1 slice"]
        );
        let many: Vec<Slice> = catalog.streams().take(12).map(|stream| slice(&stream.name, None)).collect();
        assert_eq!(deferred_lines(&many).last().unwrap(), "2 other streams: 2 slices");
    }
}
