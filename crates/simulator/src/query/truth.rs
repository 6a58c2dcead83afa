//! What a stream holds, computed by the generator and not over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::model::day::Day;
use catalog::model::stream::Stream;
use catalog::model::window::Window;
use serde::Serialize;
use serde_json::{Value, json};

use crate::data::dataset::Dataset;
use crate::data::generated::GeneratedRows;
use crate::data::objects::Subject;
use crate::data::rows::Rows;
use crate::data::tally::ONE;

use super::fan_out::{RequestRows, request_rows};

/// The totals of one stream, scope and window.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Truth {
    pub rows: u64,
    /// Rows of each day that has any.
    pub days: BTreeMap<Day, u64>,
    /// The sum of each numeric column without nulls. Summed exactly and rounded once, so rows may come in any order.
    pub sums: BTreeMap<String, f64>,
    /// How many values of each numeric column are null.
    pub nulls: BTreeMap<String, u64>,
}

impl Truth {
    /// The truth of `subject`, in `window` or in the whole history.
    pub(crate) fn new(stream: &Arc<Stream>, subject: &Subject, window: Option<Window>, dataset: &Dataset) -> Self {
        let mut truth = Self::default();
        let mut sums: BTreeMap<String, i128> = BTreeMap::new();
        for request in requests(stream, subject, window, dataset) {
            truth.rows += request.rows.total();
            match (&request.rows, request.day) {
                (Rows::Generated(rows), day) => truth.add_generated(rows, day, &mut sums),
                (Rows::List(rows), Some(day)) if !rows.is_empty() => {
                    *truth.days.entry(day).or_default() += rows.len() as u64;
                }
                (Rows::List(_), _) => {}
            }
        }
        truth.sums = sums.into_iter().map(|(name, sum)| (name, sum as f64 / ONE as f64)).collect();
        truth
    }

    /// Adds the rows of one request, of `day` where rows do not carry one. `sums` are in millionths.
    fn add_generated(&mut self, rows: &GeneratedRows, day: Option<Day>, sums: &mut BTreeMap<String, i128>) {
        let columns: Vec<_> = rows.columns().enumerate().filter(|(index, _)| rows.is_numeric(*index)).collect();
        let mut found = vec![(0, 0); columns.len()];
        for (index, of_day) in rows.days.iter().enumerate() {
            *self.days.entry(day.unwrap_or(of_day.day)).or_default() += of_day.rows;
            for row in (0..of_day.rows).map(|number| rows.row(index, number)) {
                for ((column, _), (sum, nulls)) in columns.iter().zip(&mut found) {
                    match rows.value(*column, &row).as_f64() {
                        Some(value) => *sum += (value * ONE as f64).round() as i128,
                        None => *nulls += 1,
                    }
                }
            }
        }
        for ((_, column), (sum, nulls)) in columns.into_iter().zip(found) {
            *sums.entry(column.name.clone()).or_default() += sum;
            *self.nulls.entry(column.name.clone()).or_default() += nulls;
        }
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

/// The requests with which `stream` is read for `subject`, with their rows.
pub(crate) fn requests(
    stream: &Arc<Stream>,
    subject: &Subject,
    window: Option<Window>,
    dataset: &Dataset,
) -> Vec<RequestRows> {
    let history = || Window::inclusive(dataset.first_day, stream.days.as_ref()?.zone.today(dataset.now));
    let days: Vec<Day> = window.or_else(history).map(|window| window.days().collect()).unwrap_or_default();
    request_rows(stream, subject, &days, dataset)
}

/// The truth of every scope of a stream, and of all together.
pub(crate) fn truth_of_scopes(stream: &Arc<Stream>, window: Option<Window>, dataset: &Dataset) -> Value {
    let mut total = Truth::default();
    let mut scopes = Vec::new();
    for scope in dataset.objects.scopes(stream.scope, true) {
        let subject = Subject { scope: scope.clone(), ..Subject::default() };
        let truth = Truth::new(stream, &subject, window, dataset);
        total.add(&truth);
        let mut described = json!(truth);
        (described["scope"], described["key"]) = (json!(scope), json!(scope.key()));
        scopes.push(described);
    }
    json!({ "stream": stream.name, "scopes": scopes, "total": total })
}
