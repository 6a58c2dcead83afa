//! How an endpoint counts days.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::day::{Day, DayZone};
use crate::model::window::Window;

/// How an endpoint counts days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Days {
    #[serde(default)]
    pub kind: DaysKind,
    pub zone: DayZone,
    pub end: WindowEnd,
    /// How many days after its end the API still restates a day, week or month.
    pub lookback: u16,
    /// The column with a row's day, if rows have one: a date, or a timestamp.
    #[serde(default = "default_day_column")]
    pub column: String,
    /// The column with the IANA zone of the timestamp; without it, `zone` applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_column: Option<String>,
    /// Days requested beyond both ends of a window, because the endpoint and its rows count days differently.
    #[serde(default)]
    pub margin: u16,
    /// Whether the body has `start_date` and `end_date`; a query has `{first}` and `{last}` instead.
    #[serde(default = "default_sent")]
    pub sent: bool,
}

fn default_day_column() -> String {
    "date".to_owned()
}

fn default_sent() -> bool {
    true
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DaysKind {
    /// Rows have a day: any number of days in one request.
    #[default]
    Dated,
    /// Rows have no date and cover the requested days: one request a day.
    Window,
    /// Rows have no date and cover one week from Monday to Sunday: one request a week, after its end. Recorded under its
    /// Monday.
    Week,
    /// Rows have no date and cover one calendar month: one request a month, after its end. Recorded under its first day.
    Month,
}

impl DaysKind {
    /// Whether every request covers exactly one day, week or month.
    pub fn is_single(self) -> bool {
        self != Self::Dated
    }

    /// Whether every request covers several days, which are recorded under the first.
    pub fn is_period(self) -> bool {
        matches!(self, Self::Week | Self::Month)
    }

    /// The day itself, or the first one of its week or month.
    pub fn first_of(self, day: Day) -> Day {
        match self {
            Self::Dated | Self::Window => day,
            Self::Week => day.first_of_week(),
            Self::Month => day.first_of_month(),
        }
    }

    /// Every day, or the first day of each week or month.
    fn is_recorded(self, day: Day) -> bool {
        self.first_of(day) == day
    }
}

impl Days {
    /// An inclusive end, and no lookback.
    pub fn new(kind: DaysKind, zone: DayZone) -> Self {
        Self {
            kind,
            zone,
            end: WindowEnd::Inclusive,
            lookback: 0,
            column: default_day_column(),
            zone_column: None,
            margin: 0,
            sent: true,
        }
    }

    /// The day, or the week or month that starts with it.
    pub fn span(&self, day: Day) -> Window {
        match self.kind {
            DaysKind::Dated | DaysKind::Window => Window::from_day(day),
            DaysKind::Week => Window { start: day, end: day.plus(7) },
            DaysKind::Month => Window { start: day, end: day.next_month() },
        }
    }

    /// When the API stops restating `day`, or the week or month that starts with it.
    pub fn final_at(&self, day: Day, lookback_days: u16) -> Timestamp {
        self.zone.start_of(self.span(day).end.plus(i64::from(lookback_days)))
    }

    /// The days, or first days of weeks or months, from `from` that are over at `now`.
    pub fn complete(&self, from: Day, now: Timestamp) -> impl DoubleEndedIterator<Item = Day> + use<> {
        let kind = self.kind;
        Window::new(kind.first_of(from), kind.first_of(self.zone.today(now)))
            .into_iter()
            .flat_map(Window::days)
            .filter(move |day| kind.is_recorded(*day))
    }

    /// The days under which `window` is recorded: every day, or the first day of each week or month.
    pub fn recorded_days(&self, window: Window) -> impl DoubleEndedIterator<Item = Day> + use<> {
        let kind = self.kind;
        window.days().filter(move |day| kind.is_recorded(*day))
    }
}

/// Whether an endpoint's `end_date` is itself part of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowEnd {
    /// `end_date` is the last day.
    Inclusive,
    /// `end_date` is the day after the last.
    Exclusive,
    /// Undocumented: tried as the last day; as the day after if that is rejected, or returns nothing although rows are
    /// expected.
    Undocumented,
}
