//! What a stream holds, told by the generator and not over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use catalog::model::day::Day;
use catalog::model::scope::Scope;
use catalog::model::stream::Stream;
use catalog::model::window::Window;

use super::bind::Variables;
use super::kin::{Part, named, parts};
use super::question::Rows;
use super::state::Shared;
use super::table::Row;
use super::world::Place;
use super::write::{Number, ONE};

/// What the rows of one stream, scope and window come to.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Truth {
    /// How many rows.
    pub rows: u64,
    /// How many rows of each day that has any.
    pub days: BTreeMap<Day, u64>,
    /// The sum of each numeric column, nulls left out. Added up exactly and rounded once, so rows may come in any order.
    pub sums: BTreeMap<String, f64>,
    /// How many values of each numeric column are null.
    pub nulls: BTreeMap<String, u64>,
}

impl Truth {
    /// The truth of `place`, over `window` or the whole history.
    pub(super) fn of(shared: &Shared, stream: &Arc<Stream>, place: &Place, window: Option<Window>) -> Self {
        let mut truth = Self::default();
        let mut sums: BTreeMap<String, (i128, u64)> = BTreeMap::new();
        for part in parts_of(shared, stream, place, window) {
            truth.rows += part.rows.total();
            let table = match (&part.rows, part.day) {
                (Rows::Table(table), _) => table,
                (Rows::List(rows), Some(day)) if !rows.is_empty() => {
                    *truth.days.entry(day).or_default() += rows.len() as u64;
                    continue;
                }
                (Rows::List(_), _) => continue,
            };
            let mut row = Row::default();
            let names: Vec<_> = table.columns().map(|column| column.name.clone()).collect();
            let numeric: Vec<_> = (0..names.len()).filter(|index| table.is_numeric(*index)).collect();
            let mut found: Vec<(i128, u64)> = vec![(0, 0); names.len()];
            for (index, day) in table.days().iter().enumerate() {
                *truth.days.entry(part.day.unwrap_or(day.day)).or_default() += day.rows;
                for number in 0..day.rows {
                    table.row(index, number, &mut row);
                    for column in &numeric {
                        let (sum, nulls) = &mut found[*column];
                        match table.number(*column, &row) {
                            Some(Number::Integer(value)) => *sum += i128::from(value) * i128::from(ONE),
                            Some(Number::Millionths { value, .. }) => *sum += i128::from(value),
                            Some(Number::Null) | None => *nulls += 1,
                        }
                    }
                }
            }
            for column in numeric {
                let (sum, nulls) = sums.entry(names[column].clone()).or_default();
                *sum += found[column].0;
                *nulls += found[column].1;
            }
        }
        for (name, (sum, nulls)) in sums {
            truth.sums.insert(name.clone(), sum as f64 / ONE as f64);
            truth.nulls.insert(name, nulls);
        }
        truth
    }

    /// Adds the truth of another scope or window.
    pub fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        for (day, rows) in &other.days {
            *self.days.entry(*day).or_default() += rows;
        }
        for (column, sum) in &other.sums {
            *self.sums.entry(column.clone()).or_default() += sum;
        }
        for (column, nulls) in &other.nulls {
            *self.nulls.entry(column.clone()).or_default() += nulls;
        }
    }
}

/// Every row as an object of named values, oldest day first where rows have days.
pub(super) fn named_rows(shared: &Shared, stream: &Arc<Stream>, place: &Place, window: Option<Window>) -> Vec<Value> {
    let parts = parts_of(shared, stream, place, window);
    parts.iter().flat_map(|part| named(stream, part, &shared.world)).map(Value::Object).collect()
}

/// The variables of every request that brings about what `stream` holds for `place`.
pub(super) fn variables(
    shared: &Shared,
    stream: &Arc<Stream>,
    place: &Place,
    window: Option<Window>,
) -> Vec<(Option<Day>, Variables)> {
    let parts = parts_of(shared, stream, place, window);
    parts.into_iter().map(|part| (part.day, part.place.variables)).collect()
}

fn parts_of(shared: &Shared, stream: &Arc<Stream>, place: &Place, window: Option<Window>) -> Vec<Part> {
    let snapshot = shared.snapshot();
    let days: Vec<Day> = match (window, &stream.days) {
        (Some(window), _) => window.days().collect(),
        (None, Some(days)) => {
            let whole = Window::inclusive(shared.first_day, days.zone.today(snapshot.now));
            whole.map(|window| window.days().collect()).unwrap_or_default()
        }
        (None, None) => Vec::new(),
    };
    parts(stream, place, &days, &shared.world, &snapshot.conditions(shared))
}

/// The truth of every scope of a stream, and of all together.
pub(super) fn of_all(shared: &Shared, stream: &Arc<Stream>, window: Option<Window>) -> Value {
    #[derive(Serialize)]
    struct OfScope {
        scope: Scope,
        key: String,
        #[serde(flatten)]
        truth: Truth,
    }
    let mut total = Truth::default();
    let scopes = shared.world.places(stream.scope).into_iter().map(|place| {
        let truth = Truth::of(shared, stream, &place, window);
        total.add(&truth);
        let scope = shared.world.scope(&place);
        OfScope { key: scope.key().to_string(), scope, truth }
    });
    let scopes: Vec<_> = scopes.collect();
    serde_json::json!({ "stream": stream.name, "scopes": scopes, "total": total })
}
