//! The figures of rows: in range, mostly small, with the least and the greatest among them.

use catalog::model::column::ColumnType;
use serde_json::{Value, json};

use super::answers::Answer;
use super::seeded::mix;
use super::tally::{Measure, ONE, Tally};

/// How a figure is made. Fractions are whole millionths, so that sums over a table are exact in any order.
#[derive(Debug)]
pub(crate) enum Figure {
    /// A whole number from the first to the last.
    Whole(i64, i64),
    /// The same, and more on busy days than on quiet ones.
    Paced(i64, i64),
    /// A fraction from the first to the last, in millionths.
    Fraction(i64, i64),
    /// The number of the row, from one.
    Rank,
    /// What follows from what was counted.
    Measured(Measure, ColumnType),
    /// Visits, where `counts` says that bots of this kind count. All columns of visits share the salt `column`.
    Visits { dimension: usize, counts: Vec<bool>, column: u64 },
}

/// What the columns of one row are made from.
#[derive(Debug)]
pub(crate) struct RowSeed {
    /// The index of its day.
    pub(crate) day: usize,
    /// How busy the day is, in per cent.
    pub(crate) pace: u64,
    /// The number of the row in its day.
    pub(crate) number: u64,
    /// The number of its object in each dimension.
    pub(crate) digits: Vec<u64>,
    /// The number of its execution, or of the row where executions are no dimension.
    pub(crate) subject: u64,
    /// The seed of its figures.
    pub(crate) figures: u64,
    /// What was counted, in reports on answers.
    pub(crate) tally: Tally,
    /// The answer that the row is, where it is one.
    pub(crate) answer: Option<Answer>,
}

impl Figure {
    /// The figure of `row`; `number` is random, and the column's own.
    pub(crate) fn value(&self, number: u64, row: &RowSeed) -> Value {
        let is_float = (number >> 40) % 2 == 1;
        match self {
            Self::Rank => json!(row.number + 1),
            Self::Whole(low, high) => json!(whole(number, *low, *high)),
            Self::Paced(low, high) => json!(paced(whole(number, *low, *high), row)),
            Self::Measured(measure, data_type) => measure(&row.tally).map_or(Value::Null, |value| {
                if *data_type == ColumnType::Int64 { json!(value / ONE) } else { millionths(value, is_float) }
            }),
            Self::Fraction(low, high) => millionths(fraction(number, *low, *high), is_float),
            Self::Visits { dimension, counts, column } => {
                let is_counted = counts.get(row.digits[*dimension] as usize).copied().unwrap_or(true);
                json!(if is_counted { paced(whole(mix(row.figures ^ column), 1, 400), row).max(1) } else { 0 })
            }
        }
    }
}

/// Quiet days have less of everything.
fn paced(number: i64, row: &RowSeed) -> i64 {
    number * row.pace as i64 / 100
}

/// A fraction in one of the forms of the API: `0`, `0.0`, `1`, `0.25` and `5e-6` all occur.
fn millionths(value: i64, is_float: bool) -> Value {
    if value % ONE == 0 && !is_float { json!(value / ONE) } else { json!(value as f64 / ONE as f64) }
}

/// Mostly small, often the least, sometimes the greatest.
fn whole(number: u64, low: i64, high: i64) -> i64 {
    let width = high.saturating_sub(low).max(0) as u64 + 1;
    match number % 16 {
        0 => low,
        1 => high,
        2..=9 => low + ((number >> 8) % width.min(20)) as i64,
        _ => low + ((number >> 8) % width) as i64,
    }
}

fn fraction(number: u64, low: i64, high: i64) -> i64 {
    let width = high.saturating_sub(low).max(1) as u64;
    match number % 32 {
        0 => low,
        1 => high,
        2 if low == 0 && high > 100 => ((number >> 8) % 99) as i64 + 1,
        // Most figures have few digits.
        3..=16 => low + ((number >> 8) % (width / 1000).max(1)) as i64 * 1000.min(width as i64),
        _ => low + ((number >> 8) % width) as i64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_have_every_form_of_the_api() {
        let form = |value, is_float| millionths(value, is_float).to_string();
        assert_eq!([form(0, false), form(0, true), form(ONE, false), form(ONE, true)], ["0", "0.0", "1", "1.0"]);
        assert_eq!([form(250_000, true), form(5, false), form(-1_000_001, false)], ["0.25", "5e-6", "-1.000001"]);
    }
}
