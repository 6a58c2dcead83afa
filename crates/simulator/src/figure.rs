//! The figures of rows: in range, mostly small, with the least and the greatest among them.

use super::hash::mix;
use super::table::Row;
use super::write::{Number, ONE};

/// How a figure is made.
#[derive(Debug)]
pub(super) enum Figure {
    /// A whole number from the first to the last.
    Whole(i64, i64),
    /// A fraction from the first to the last, in millionths.
    Fraction(i64, i64),
    /// What is left of a hundred by the column with this salt.
    RestOfHundred { of: u64 },
    /// The number of the row, from one.
    Rank,
    /// Visits, where the bot is of a kind that counts.
    Visits { axis: usize, counts: Vec<bool>, of: u64 },
}

impl Figure {
    /// The figure of `row`; `number` is random, and the column's own.
    pub(super) fn value(&self, number: u64, row: &Row) -> Number {
        match self {
            Self::Rank => Number::Integer(row.number as i64 + 1),
            Self::Whole(low, high) => Number::Integer(whole(number, *low, *high)),
            Self::Fraction(low, high) => {
                Number::Millionths { value: fraction(number, *low, *high), form: number >> 40 }
            }
            Self::RestOfHundred { of } => {
                let value = 100 * ONE - fraction(mix(row.figures ^ of), 0, 100 * ONE);
                Number::Millionths { value, form: number >> 40 }
            }
            Self::Visits { axis, counts, of } => {
                let counted = counts.get(row.digits[*axis] as usize).copied().unwrap_or(true);
                Number::Integer(if counted { whole(mix(row.figures ^ of), 1, 400) } else { 0 })
            }
        }
    }
}

/// Mostly small, often the least, now and then the greatest.
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
        2 if low == 0 && 100 < high => ((number >> 8) % 99) as i64 + 1,
        // Most figures have few digits.
        3..=16 => low + ((number >> 8) % (width / 1000).max(1)) as i64 * 1000.min(width as i64),
        _ => low + ((number >> 8) % width) as i64,
    }
}
