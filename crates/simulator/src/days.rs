//! The rows of each day of a window, and the order in which an answer walks them.

use catalog::model::day::Day;

/// One day's rows: how many, and what they are made from.
#[derive(Debug, Clone)]
pub(super) struct DayRows {
    /// The day.
    pub(super) day: Day,
    /// The day as rows tell it.
    pub(super) label: String,
    /// The first second of the day, Unix.
    pub(super) start_second: i64,
    /// The first second of the day after.
    pub(super) next_second: i64,
    /// How many rows.
    pub(super) rows: u64,
    /// What its keys are made from: never changes.
    pub(super) keys: u64,
    /// What its figures are made from: changes when the day is restated.
    pub(super) figures: u64,
}

/// In which order days follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
    /// One row of each day in turn, as when rows are sorted by a figure.
    Interleaved,
}

/// Days with rows, in the order of the answer.
#[derive(Debug, Clone)]
pub(super) struct Days {
    days: Vec<DayRows>,
    /// Rows before each day; one more at the end: all.
    before: Vec<u64>,
    order: Order,
}

/// A place in the walk over all rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    /// Index of the day.
    pub(super) day: usize,
    /// Number of the row in its day.
    pub(super) row: u64,
    /// Days that have a row of this number, when interleaved.
    active: usize,
}

impl Position {
    /// The start of a walk over rows that belong to no day.
    pub(super) fn at(row: u64) -> Self {
        Self { day: 0, row, active: 0 }
    }
}

impl Days {
    pub(super) fn new(mut days: Vec<DayRows>, order: Order) -> Self {
        days.retain(|day| 0 < day.rows);
        match order {
            Order::Ascending => days.sort_by_key(|day| day.day),
            Order::Descending => days.sort_by_key(|day| std::cmp::Reverse(day.day)),
            // The fullest first, so that the days which still have rows are always a prefix.
            Order::Interleaved => days.sort_by_key(|day| std::cmp::Reverse(day.rows)),
        }
        let mut before = vec![0];
        for day in &days {
            before.push(before[before.len() - 1] + day.rows);
        }
        Self { days, before, order }
    }

    /// All rows.
    pub(super) fn total(&self) -> u64 {
        self.before[self.before.len() - 1]
    }

    /// The day at `index`.
    pub(super) fn get(&self, index: usize) -> &DayRows {
        &self.days[index]
    }

    /// Every day that has rows.
    pub(super) fn iter(&self) -> impl Iterator<Item = &DayRows> {
        self.days.iter()
    }

    /// The place of row `offset` of the walk; there must be such a row.
    pub(super) fn seek(&self, offset: u64) -> Position {
        if self.order != Order::Interleaved {
            let day = self.before.partition_point(|before| *before <= offset) - 1;
            return Position { day, row: offset - self.before[day], active: 0 };
        }
        let rows_below = |number: u64| self.days.iter().map(|day| day.rows.min(number)).sum::<u64>();
        let (mut low, mut high) = (0, self.days.first().map_or(0, |day| day.rows));
        while 1 < high - low {
            let middle = low + (high - low) / 2;
            if rows_below(middle) <= offset { low = middle } else { high = middle }
        }
        let day = (offset - rows_below(low)) as usize;
        Position { day, row: low, active: self.active(low) }
    }

    fn active(&self, row: u64) -> usize {
        self.days.partition_point(|day| row < day.rows)
    }

    /// The place after `position`; past the last row it names a day that is not there.
    pub(super) fn after(&self, position: Position) -> Position {
        let Position { day, row, active } = position;
        match self.order {
            Order::Interleaved if day + 1 < active => Position { day: day + 1, ..position },
            Order::Interleaved => {
                let mut active = active;
                while 0 < active && self.days[active - 1].rows <= row + 1 {
                    active -= 1;
                }
                Position { day: 0, row: row + 1, active }
            }
            _ if row + 1 < self.days[day].rows => Position { row: row + 1, ..position },
            _ => Position { day: day + 1, row: 0, active },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(rows: &[u64], order: Order) -> Days {
        let first: Day = "2026-03-01".parse().unwrap();
        let days = rows.iter().enumerate().map(|(index, rows)| DayRows {
            day: first.plus(index as i64),
            label: String::new(),
            start_second: 0,
            next_second: 86_400,
            rows: *rows,
            keys: 0,
            figures: 0,
        });
        Days::new(days.collect(), order)
    }

    #[test]
    fn every_row_is_met_once_from_wherever_a_page_begins() {
        for order in [Order::Ascending, Order::Descending, Order::Interleaved] {
            let days = days(&[3, 0, 7, 1, 7], order);
            let mut position = days.seek(0);
            let mut seen = std::collections::BTreeSet::new();
            for offset in 0..days.total() {
                let sought = days.seek(offset);
                assert_eq!((sought.day, sought.row), (position.day, position.row), "{order:?} at {offset}");
                assert!(seen.insert((days.get(position.day).day, position.row)));
                position = days.after(position);
            }
            assert_eq!(seen.len(), 18);
        }
    }
}
