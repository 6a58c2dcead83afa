//! The fewest requests that bring an export, and those of a program that asks day by day: computed from the catalog and
//! from what the simulator holds.

use std::collections::BTreeMap;

use profound_export::model::day::Day;
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
        self.rows += truth.rows;
        // What a gate rules out, nobody who knows it asks for.
        let gated = stream.gate.is_some();
        let (Some(days), Some(window)) = (&stream.days, window) else {
            let requests = if gated && truth.rows == 0 { 0 } else { answers(stream, truth.rows) };
            self.requests += requests;
            self.day_by_day += requests;
            return;
        };
        let marks = days.marks(window).filter(|day| !gated || truth.days.contains_key(day));
        let day_by_day: u64 = marks.map(|day| answers(stream, rows_of(&truth.days, day))).sum();
        self.day_by_day += day_by_day;
        self.requests += match days.kind {
            DaysKind::Dated if gated && truth.rows == 0 => 0,
            DaysKind::Dated => answers(stream, truth.rows),
            DaysKind::Window | DaysKind::Month => day_by_day,
        };
    }
}

fn rows_of(days: &BTreeMap<Day, u64>, day: Day) -> u64 {
    days.get(&day).copied().unwrap_or_default()
}

/// Answers that hold `rows` rows: one event stream, or as many pages as they fill.
fn answers(stream: &Stream, rows: u64) -> u64 {
    match (&stream.event_stream, stream.pagination.limit()) {
        (None, Some(limit)) => rows.div_ceil(limit).max(1),
        (Some(_), _) | (None, None) => 1,
    }
}
