//! A run of whole days.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::day::Day;

/// Days `[start, end)`: half-open everywhere in the program, and never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Ends")]
pub struct Window {
    /// The first day.
    pub start: Day,
    /// The day after the last.
    pub end: Day,
}

/// What a record says of a window.
#[derive(Deserialize)]
struct Ends {
    start: Day,
    end: Day,
}

impl TryFrom<Ends> for Window {
    type Error = String;

    fn try_from(Ends { start, end }: Ends) -> Result<Self, String> {
        Self::new(start, end).ok_or_else(|| format!("no day lies between `{start}` and `{end}`"))
    }
}

impl Window {
    /// The days from `start` up to but not including `end`, or `None` when there are none.
    pub fn new(start: Day, end: Day) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    /// The days from `first` through `last`, or `None` when there are none.
    pub fn inclusive(first: Day, last: Day) -> Option<Self> {
        Self::new(first, last.next())
    }

    /// One day.
    pub fn from_day(day: Day) -> Self {
        Self { start: day, end: day.next() }
    }

    /// The last day.
    pub fn last(self) -> Day {
        self.end.plus(-1)
    }

    /// How many days, at least one.
    pub fn len_days(self) -> i64 {
        self.end.since(self.start)
    }

    /// Whether `day` is one of them.
    pub fn contains(self, day: Day) -> bool {
        self.start <= day && day < self.end
    }

    /// Every day, oldest first.
    pub fn days(self) -> impl DoubleEndedIterator<Item = Day> {
        (0..self.len_days()).map(move |offset| self.start.plus(offset))
    }

    /// The older and the newer half, or `None` when it is a single day.
    pub fn halves(self) -> Option<(Self, Self)> {
        let middle = self.start.plus(self.len_days() / 2);
        Some((Self::new(self.start, middle)?, Self::new(middle, self.end)?))
    }
}

impl fmt::Display for Window {
    /// `2026-03-01`, or `2026-03-01..2026-03-04` with both ends included.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.len_days() {
            1 => write!(out, "{}", self.start),
            _ => write!(out, "{}..{}", self.start, self.last()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn window_is_never_empty() {
        assert_eq!(Window::new(day("2026-03-01"), day("2026-03-01")), None);
        assert_eq!(Window::inclusive(day("2026-03-02"), day("2026-03-01")), None);
    }

    #[test]
    fn window_without_a_day_is_not_read() {
        for end in ["2026-03-01", "2026-02-01"] {
            let text = format!(r#"{{"start":"2026-03-01","end":"{end}"}}"#);
            let refused = serde_json::from_str::<Window>(&text).unwrap_err().to_string();
            assert!(refused.starts_with("no day lies between `2026-03-01` and"), "{refused}");
        }
        let text = r#"{"start":"2026-03-01","end":"2026-03-02"}"#;
        let window: Window = serde_json::from_str(text).unwrap();
        assert_eq!(
            (window, serde_json::to_string(&window).unwrap().as_str()),
            (Window::from_day(day("2026-03-01")), text)
        );
    }

    #[test]
    fn halves_cover_the_window_once() {
        let window = Window::inclusive(day("2026-02-27"), day("2026-03-03")).unwrap();
        let (older, newer) = window.halves().unwrap();
        let days: Vec<_> = older.days().chain(newer.days()).collect();
        assert_eq!(days, window.days().collect::<Vec<_>>());
        assert_eq!(Window::from_day(day("2026-03-01")).halves(), None);
    }
}
