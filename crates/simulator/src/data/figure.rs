//! The figures of rows: in range, mostly small, with the least and the greatest among them.

use super::json_text::{Number, ONE};
use super::seeded::mix;

/// How a figure is made.
#[derive(Debug)]
pub(crate) enum Figure {
    /// A whole number from the first to the last.
    Whole(i64, i64),
    /// A fraction from the first to the last, in millionths.
    Fraction(i64, i64),
    /// A hundred less the column with this salt.
    RestOfHundred { column: u64 },
    /// The number of the row, from one.
    Rank,
    /// Visits, where `counts` says that bots of this kind count. All columns of visits share the salt `column`.
    Visits { dimension: usize, counts: Vec<bool>, column: u64 },
}

/// One row before it is written: what its columns are made from.
#[derive(Debug, Default)]
pub(crate) struct RowSeed {
    /// The index of its day.
    pub(crate) day: usize,
    /// The number of the row in its day.
    pub(crate) number: u64,
    /// The number of its object in each dimension.
    pub(crate) digits: Vec<u64>,
    /// The number of its execution, or of the row where executions are no dimension.
    pub(crate) subject: u64,
    /// The seed of its figures.
    pub(crate) figures: u64,
}

impl Figure {
    /// The figure of `row`; `number` is random, and the column's own.
    pub(crate) fn value(&self, number: u64, row: &RowSeed) -> Number {
        let is_float = (number >> 40) % 2 == 1;
        match self {
            Self::Rank => Number::Integer(row.number as i64 + 1),
            Self::Whole(low, high) => Number::Integer(whole(number, *low, *high)),
            Self::Fraction(low, high) => Number::Millionths { value: fraction(number, *low, *high), is_float },
            Self::RestOfHundred { column } => {
                let value = 100 * ONE - fraction(mix(row.figures ^ column), 0, 100 * ONE);
                Number::Millionths { value, is_float }
            }
            Self::Visits { dimension, counts, column } => {
                let is_counted = counts.get(row.digits[*dimension] as usize).copied().unwrap_or(true);
                Number::Integer(if is_counted { whole(mix(row.figures ^ column), 1, 400) } else { 0 })
            }
        }
    }
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
