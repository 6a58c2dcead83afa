//! The minimum of requests for an export, and those of other strategies: computed from the catalog and the data of the simulator.

use profound_export::model::scope::Scope;
use profound_export::model::stream::{DaysKind, Stream};
use profound_export::plan::Wanted;

use crate::support::Export;

/// Requests of an export, and its rows.
#[derive(Debug, Default)]
pub struct Least {
    /// Rows of all streams.
    pub rows: u64,
    /// Requests if a whole window is requested at once wherever rows have their day.
    pub requests: u64,
    /// The same without event streams, so that every page is a request.
    pub pages: u64,
    /// Requests if each day is requested by itself.
    pub day_by_day: u64,
}

impl Least {
    /// For everything that is `wanted` of the account of `export`.
    pub fn of(export: &Export, wanted: &Wanted) -> Self {
        let mut least = Self::default();
        for stream in &wanted.streams {
            for scope in wanted.scopes.get(&stream.scope).into_iter().flatten() {
                least.add(export, stream, scope);
            }
        }
        least
    }

    fn add(&mut self, export: &Export, stream: &Stream, scope: &Scope) {
        let window = export.wanted(stream);
        if stream.is_dated() && window.is_none() {
            return;
        }
        let truth = export.simulator.truth(stream, scope, window);
        let of_day = |day| truth.days.get(&day).copied().unwrap_or_default();
        let days: Vec<u64> = match (&stream.days, window) {
            (Some(days), Some(window)) => days.recorded_days(window).map(of_day).collect(),
            _ => vec![truth.rows],
        };
        // A window of rows that have their day is requested as a whole.
        let is_dated = stream.days.as_ref().is_some_and(|days| days.kind == DaysKind::Dated);
        let windows = if is_dated { vec![truth.rows] } else { days.clone() };
        // A gate without rows saves the request.
        let sum = |windows: &[u64], requests: fn(&Stream, u64) -> u64| {
            let requested = windows.iter().filter(|rows| stream.gate.is_none() || **rows > 0);
            requested.map(|rows| requests(stream, *rows)).sum::<u64>()
        };
        self.rows += truth.rows;
        self.requests += sum(&windows, responses);
        self.pages += sum(&windows, pages);
        self.day_by_day += sum(&days, responses);
    }
}

/// Responses with `rows` rows: one event stream, or as many pages as they fill.
fn responses(stream: &Stream, rows: u64) -> u64 {
    match stream.event_stream {
        Some(_) => 1,
        None => pages(stream, rows),
    }
}

/// Pages that `rows` rows fill; an empty result is one.
fn pages(stream: &Stream, rows: u64) -> u64 {
    stream.pagination.limit().map_or(1, |limit| rows.div_ceil(limit).max(1))
}
