//! How an endpoint counts days.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::day::{Day, DayZone};
use crate::model::window::Window;

/// How an endpoint counts days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Days {
    /// How rows and days belong together.
    #[serde(default)]
    pub kind: DaysKind,
    /// Whose midnight.
    pub zone: DayZone,
    /// Whether `end_date` is the last day or the day after, as documented.
    pub end: WindowEnd,
    /// Days after its end during which the service still revises a day or a month.
    pub lookback: u16,
    /// The column that says a row's day where rows carry one: a date, or an instant whose day counts.
    #[serde(default = "default_day_column")]
    pub column: String,
    /// The column that names the IANA zone in which the instant's day counts, where rows say it; else `zone` counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_column: Option<String>,
    /// Days asked beyond both ends of a window, because the endpoint counts its days otherwise than the rows.
    #[serde(default)]
    pub margin: u16,
    /// Whether the request has `start_date` and `end_date`; a query has `{first}` and `{last}` instead.
    #[serde(default = "default_sent")]
    pub sent: bool,
}

fn default_day_column() -> String {
    "date".to_owned()
}

fn default_sent() -> bool {
    true
}

/// How rows and days belong together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DaysKind {
    /// Rows carry their day: any number of days in one request.
    #[default]
    Dated,
    /// Rows carry no date and tell of the days asked for: one request a day.
    Window,
    /// Rows carry no date and tell of one calendar month: one request a month, after it has ended. Such a month is known
    /// by its first day.
    Month,
}

impl DaysKind {
    /// Whether every request is about exactly one day or month.
    pub fn is_single(self) -> bool {
        self != Self::Dated
    }

    /// Whether something is recorded under `day`: every day, or the first of a month.
    fn is_recorded(self, day: Day) -> bool {
        self != Self::Month || day.is_first_of_month()
    }
}

impl Days {
    /// Days of `kind` in `zone` that end with their last day and are never revised.
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

    /// The days that `day` stands for: itself, or the month that begins with it.
    pub fn span(&self, day: Day) -> Window {
        match self.kind {
            DaysKind::Dated | DaysKind::Window => Window::from_day(day),
            DaysKind::Month => Window { start: day, end: day.next_month() },
        }
    }

    /// When the service no longer revises `day`, or the month that begins with it.
    pub fn final_at(&self, day: Day, lookback_days: u16) -> Timestamp {
        self.zone.start_of(self.span(day).end.plus(i64::from(lookback_days)))
    }

    /// What is over at `now`, beginning with what `from` is part of: days, or the first days of months.
    pub fn complete(&self, from: Day, now: Timestamp) -> impl DoubleEndedIterator<Item = Day> + use<> {
        let today = self.zone.today(now);
        let (start, end) = match self.kind {
            DaysKind::Dated | DaysKind::Window => (from, today),
            DaysKind::Month => (from.first_of_month(), today.first_of_month()),
        };
        let kind = self.kind;
        Window::new(start, end).into_iter().flat_map(Window::days).filter(move |day| kind.is_recorded(*day))
    }

    /// The days under which `window` is recorded: each of them, or the first of each month.
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
    /// Nobody says: tried as the last day, and as the day after where that is refused or brings nothing although
    /// something is expected.
    Undocumented,
}
