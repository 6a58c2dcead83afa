//! A calendar day as an endpoint counts it.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// A calendar day. A [`DayZone`] decides which instants belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(Date);

/// More days than the calendar has, and within the limits of a `jiff::Span`.
const CALENDAR_DAYS: i64 = 7_304_484;

impl Day {
    /// None when the calendar has no such day.
    pub fn new(year: i16, month: i8, day: i8) -> Option<Self> {
        Date::new(year, month, day).ok().map(Self)
    }

    /// Saturates at the ends of the calendar.
    pub fn plus(self, days: i64) -> Self {
        Self(self.0.saturating_add(days.clamp(-CALENDAR_DAYS, CALENDAR_DAYS).days()))
    }

    pub fn next(self) -> Self {
        self.plus(1)
    }

    /// Days from `earlier` to `self`; negative when `earlier` is later.
    pub fn since(self, earlier: Self) -> i64 {
        i64::from(self.to_epoch_days()) - i64::from(earlier.to_epoch_days())
    }

    /// Days since 1970-01-01, as in Arrow's `Date32`.
    pub fn to_epoch_days(self) -> i32 {
        let epoch = Date::constant(1970, 1, 1);
        self.0.duration_since(epoch).as_hours().div_euclid(24) as i32
    }

    /// Saturates at the ends of the calendar.
    pub fn from_epoch_days(days: i32) -> Self {
        Self(Date::constant(1970, 1, 1)).plus(i64::from(days))
    }

    /// `YYYY-MM`.
    pub fn month(self) -> String {
        format!("{:04}-{:02}", self.0.year(), self.0.month())
    }

    /// `Sun 22 Nov`.
    pub fn short(self) -> String {
        self.0.strftime("%a %-d %b").to_string()
    }

    pub fn from_timestamp(instant: Timestamp, zone: TimeZone) -> Self {
        Self(instant.to_zoned(zone).date())
    }

    pub fn is_first_of_month(self) -> bool {
        self.0.day() == 1
    }

    pub fn first_of_month(self) -> Self {
        Self(self.0.first_of_month())
    }

    /// The Monday on or before it.
    pub fn first_of_week(self) -> Self {
        self.plus(-i64::from(self.0.weekday().to_monday_zero_offset()))
    }

    /// The first day of the next month.
    pub fn next_month(self) -> Self {
        Self(self.0.last_of_month()).next()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl FromStr for Day {
    type Err = String;

    /// Accepts `YYYY-MM-DD` and nothing longer.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("`{text}` is not a day such as `2026-03-01`");
        if text.len() != 10 {
            return Err(expected());
        }
        text.parse().map(Self).map_err(|_| expected())
    }
}

/// Looked up once: a large lake has a million days. The zone data is compiled in, as `tests::eastern_zone_is_known` proves.
static EASTERN: LazyLock<TimeZone> = LazyLock::new(|| TimeZone::get("America/New_York").unwrap_or(TimeZone::UTC));

/// The zone whose midnight ends a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DayZone {
    /// `America/New_York`: reports and answers.
    Eastern,
    /// UTC: bots and referrals, version 2.
    Utc,
}

impl DayZone {
    fn time_zone(self) -> TimeZone {
        match self {
            Self::Utc => TimeZone::UTC,
            Self::Eastern => EASTERN.clone(),
        }
    }

    pub fn today(self, now: Timestamp) -> Day {
        Day(now.to_zoned(self.time_zone()).date())
    }

    /// The last complete day.
    pub fn yesterday(self, now: Timestamp) -> Day {
        self.today(now).plus(-1)
    }

    pub fn start_of(self, day: Day) -> Timestamp {
        day.0.to_zoned(self.time_zone()).map_or(Timestamp::MAX, |zoned| zoned.timestamp())
    }

    /// The IANA name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eastern => "America/New_York",
            Self::Utc => "UTC",
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
    fn eastern_zone_is_known() {
        assert_eq!(DayZone::Eastern.start_of(day("2026-01-15")).to_string(), "2026-01-15T05:00:00Z");
        assert_eq!(DayZone::Eastern.start_of(day("2026-07-15")).to_string(), "2026-07-15T04:00:00Z");
    }

    #[test]
    fn day_has_23_or_25_hours_when_the_clock_changes() {
        let hours = |from: &str| {
            let from = day(from);
            let length = DayZone::Eastern.start_of(from.next()).duration_since(DayZone::Eastern.start_of(from));
            length.as_hours()
        };
        assert_eq!(hours("2026-03-08"), 23);
        assert_eq!(hours("2026-11-01"), 25);
        assert_eq!(hours("2026-11-02"), 24);
    }

    #[test]
    fn epoch_days_round_trip_across_leap_days_and_before_1970() {
        for text in ["1969-12-31", "1970-01-01", "2024-02-29", "2026-03-08", "2026-11-01", "2100-02-28"] {
            assert_eq!(Day::from_epoch_days(day(text).to_epoch_days()), day(text));
        }
        assert_eq!(day("1970-01-02").to_epoch_days(), 1);
        assert_eq!(day("1969-12-31").to_epoch_days(), -1);
    }

    #[test]
    fn days_saturate_at_the_ends_of_the_calendar() {
        let (first, last) = (Day::from_epoch_days(i32::MIN), Day::from_epoch_days(i32::MAX));
        assert_eq!((first.to_string().as_str(), last.to_string().as_str()), ("-009999-01-01", "9999-12-31"));
        assert_eq!((first.plus(i64::MIN), last.plus(i64::MAX)), (first, last));
        assert_eq!((first.plus(i64::MAX), last.plus(i64::MIN)), (last, first));
    }

    #[test]
    fn timestamps_and_short_forms_are_rejected() {
        for text in ["2026-3-1", "2026-02-30", "2026-03-01T00:00:00Z", ""] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
    }
}
