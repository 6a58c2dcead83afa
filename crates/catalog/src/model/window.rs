//! A range of whole days.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::day::Day;

/// Days `[start, end)`: half-open everywhere in the program, and never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "WindowEnds")]
pub struct Window {
    pub start: Day,
    /// Exclusive.
    pub end: Day,
}

/// A window before it is checked.
#[derive(Deserialize)]
struct WindowEnds {
    start: Day,
    end: Day,
}

impl TryFrom<WindowEnds> for Window {
    type Error = String;

    fn try_from(WindowEnds { start, end }: WindowEnds) -> Result<Self, String> {
        Self::new(start, end).ok_or_else(|| format!("no day between `{start}` and `{end}`"))
    }
}

impl Window {
    /// `None` if it would be empty.
    pub fn new(start: Day, end: Day) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    /// `None` if it would be empty.
    pub fn inclusive(first: Day, last: Day) -> Option<Self> {
        Self::new(first, last.next())
    }

    pub fn from_day(day: Day) -> Self {
        Self { start: day, end: day.next() }
    }

    pub fn last(self) -> Day {
        self.end.plus(-1)
    }

    /// At least one.
    pub fn len_days(self) -> i64 {
        self.end.since(self.start)
    }

    pub fn contains(self, day: Day) -> bool {
        self.start <= day && day < self.end
    }

    /// Oldest first.
    pub fn days(self) -> impl DoubleEndedIterator<Item = Day> {
        (0..self.len_days()).map(move |offset| self.start.plus(offset))
    }

    /// The older and the newer half; `None` for a single day.
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
    fn empty_window_is_rejected() {
        for end in ["2026-03-01", "2026-02-01"] {
            let text = format!(r#"{{"start":"2026-03-01","end":"{end}"}}"#);
            let error = serde_json::from_str::<Window>(&text).unwrap_err().to_string();
            assert!(error.starts_with("no day between `2026-03-01` and"), "{error}");
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
