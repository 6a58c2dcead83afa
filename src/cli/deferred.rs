//! Slices that a run deferred, by stream.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::day::Day;
use crate::model::format::{format_count, format_number};
use crate::model::slice::Slice;

/// Further streams share one line.
const MAX_LISTED: usize = 10;

/// The deferred slices of a stream.
#[derive(Debug, Default, Serialize)]
pub struct DeferredSlices {
    slices: u64,
    /// Zero for lists.
    days: u64,
    oldest: Option<Day>,
}

/// One line for each of the streams with most deferred slices, and one for the others.
pub fn deferred_lines(slices: &[Slice]) -> Vec<String> {
    let mut streams: Vec<(&str, DeferredSlices)> = deferred_by_stream(slices).into_iter().collect();
    streams.sort_by_key(|(_, deferred)| std::cmp::Reverse(deferred.slices));
    let others = streams.split_off(MAX_LISTED.min(streams.len()));
    let mut lines: Vec<String> =
        streams.iter().map(|(stream, deferred)| format!("{stream}: {}", deferred.describe())).collect();
    if !others.is_empty() {
        let slices: u64 = others.iter().map(|(_, deferred)| deferred.slices).sum();
        let streams = format_count(others.len() as u64, "other stream");
        lines.push(format!("{streams}: {}", format_count(slices, "slice")));
    }
    lines
}

pub fn deferred_by_stream(slices: &[Slice]) -> BTreeMap<&str, DeferredSlices> {
    let mut streams: BTreeMap<&str, DeferredSlices> = BTreeMap::new();
    for slice in slices {
        let deferred = streams.entry(&slice.stream.name).or_default();
        deferred.slices += 1;
        if let Some(window) = slice.window {
            deferred.days += window.len_days().unsigned_abs();
            deferred.oldest = Some(deferred.oldest.map_or(window.start, |oldest| oldest.min(window.start)));
        }
    }
    streams
}

impl DeferredSlices {
    fn describe(&self) -> String {
        let slices = format_count(self.slices, "slice");
        match self.oldest {
            Some(oldest) if self.days > 1 => format!("{slices}, {} days from {oldest} on", format_number(self.days)),
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
    fn streams_with_most_slices_come_first() {
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
