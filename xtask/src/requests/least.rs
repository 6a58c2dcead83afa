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
    /// Requests in which a whole window is asked for at once wherever rows carry their day.
    pub requests: u64,
    /// The same without event streams, so that every page is one.
    pub pages: u64,
    /// Requests in which each day is asked for by itself.
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
        // A gate without rows saves the request.
        let is_asked = |rows: u64| stream.gate.is_none() || rows > 0;
        let of_day = |day| truth.days.get(&day).copied().unwrap_or_default();
        let days: Vec<u64> = match (&stream.days, window) {
            (Some(days), Some(window)) => {
                days.recorded_days(window).map(of_day).filter(|rows| is_asked(*rows)).collect()
            }
            _ => Some(truth.rows).filter(|rows| is_asked(*rows)).into_iter().collect(),
        };
        let together: &[u64] = match stream.days.as_ref().is_some_and(|days| days.kind == DaysKind::Dated) {
            true if is_asked(truth.rows) => &[truth.rows],
            true => &[],
            false => &days,
        };
        self.rows += truth.rows;
        self.requests += together.iter().map(|rows| answers(stream, *rows)).sum::<u64>();
        self.pages += together.iter().map(|rows| pages(stream, *rows)).sum::<u64>();
        self.day_by_day += days.iter().map(|rows| answers(stream, *rows)).sum::<u64>();
    }
}

/// Answers that hold `rows` rows: one event stream, or as many pages as they fill.
fn answers(stream: &Stream, rows: u64) -> u64 {
    match stream.event_stream {
        Some(_) => 1,
        None => pages(stream, rows),
    }
}

/// Pages that `rows` rows fill; an empty result is one.
fn pages(stream: &Stream, rows: u64) -> u64 {
    stream.pagination.limit().map_or(1, |limit| rows.div_ceil(limit).max(1))
}
