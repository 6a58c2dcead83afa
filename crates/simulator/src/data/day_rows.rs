//! The rows of each day of a window, and the order in which an answer lists them.

use std::cmp::Reverse;

use catalog::model::day::Day;

use super::permutation::Permutation;
use super::tally::Group;

/// One day's rows: how many, and what they are made from.
#[derive(Debug, Clone)]
pub(crate) struct DayRows {
    pub(crate) day: Day,
    /// The first second of the day, Unix.
    pub(crate) start_second: i64,
    /// The first second of the next day, Unix.
    pub(crate) next_second: i64,
    pub(crate) rows: u64,
    /// The seed of its keys, which never change.
    pub(crate) keys: u64,
    /// The seed of its figures, which change when the day is restated.
    pub(crate) figures: u64,
    /// How often the day was restated.
    pub(crate) revision: u64,
    /// How busy it is, in per cent.
    pub(crate) pace: u64,
    /// The rows of a report that counts the answers of the day.
    pub(crate) groups: Vec<Group>,
}

/// In which order days follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DayOrder {
    OldestFirst,
    NewestFirst,
    /// Neighbouring rows are of different days, as when rows are sorted by a figure.
    Interleaved,
}

/// Days that have rows, in the order of the answer.
#[derive(Debug, Clone)]
pub(crate) struct DayTable {
    days: Vec<DayRows>,
    /// The number of the first row of each day, and at the end the number of all rows.
    starts: Vec<u64>,
    places: Permutation,
}

impl DayTable {
    pub(crate) fn new(days: impl IntoIterator<Item = DayRows>, order: DayOrder) -> Self {
        let mut days: Vec<_> = days.into_iter().filter(|day| day.rows > 0).collect();
        days.sort_by_key(|day| day.day);
        if order == DayOrder::NewestFirst {
            days.sort_by_key(|day| Reverse(day.day));
        }
        let mut starts = vec![0];
        for day in &days {
            starts.push(starts[starts.len() - 1] + day.rows);
        }
        let places = Permutation::new(starts[days.len()], u64::from(order == DayOrder::Interleaved));
        Self { days, starts, places }
    }

    pub(crate) fn total(&self) -> u64 {
        self.starts[self.days.len()]
    }

    pub(crate) fn get(&self, index: usize) -> &DayRows {
        &self.days[index]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &DayRows> {
        self.days.iter()
    }

    /// The index of the day that row `offset` of the answer is of, and the row's number in that day. There must be such a
    /// row.
    pub(crate) fn locate(&self, offset: u64) -> (usize, u64) {
        let row = self.places.at(offset);
        let day = self.starts.partition_point(|start| *start <= row) - 1;
        (day, row - self.starts[day])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_listed_once_in_any_order() {
        let first: Day = "2026-03-01".parse().unwrap();
        let day = |(index, rows): (usize, &u64)| DayRows {
            day: first.plus(index as i64),
            start_second: 0,
            next_second: 86_400,
            rows: *rows,
            keys: 0,
            figures: 0,
            revision: 0,
            pace: 100,
            groups: Vec::new(),
        };
        for order in [DayOrder::OldestFirst, DayOrder::NewestFirst, DayOrder::Interleaved] {
            let days = DayTable::new([3, 0, 7, 1, 7].iter().enumerate().map(day), order);
            let found: std::collections::BTreeSet<_> = (0..days.total()).map(|offset| days.locate(offset)).collect();
            assert_eq!(found.len(), 18, "{order:?}");
        }
    }
}
