//! The time zone in which the rows of an answer count their days.

use catalog::model::day::{Day, DayZone};
use catalog::model::stream::Days;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::account::Account;

/// The time zone in which rows count their days, with the name that rows give it.
#[derive(Debug, Clone)]
pub(crate) struct RowZone {
    zone: TimeZone,
    pub(crate) name: String,
}

impl RowZone {
    /// The zone of the rows of a stream that counts `days`: that of ads where rows name their zone, otherwise that of the
    /// endpoint.
    pub(crate) fn new(days: Option<&Days>, account: &Account) -> Self {
        let endpoint = days.map_or(DayZone::Utc, |days| days.zone).name();
        let is_named = days.is_some_and(|days| days.zone_column.is_some());
        let name = if is_named { &account.ads_zone } else { endpoint };
        Self { zone: TimeZone::get(name).unwrap_or(TimeZone::UTC), name: name.to_owned() }
    }

    pub(crate) fn today(&self, now: Timestamp) -> Day {
        Day::from_timestamp(now, self.zone.clone())
    }

    /// The first instant of `day`.
    pub(crate) fn start_of(&self, day: Day) -> Timestamp {
        let start = day.to_string().parse::<Date>().and_then(|date| date.to_zoned(self.zone.clone()));
        start.map_or_else(|_| DayZone::Utc.start_of(day), |start| start.timestamp())
    }
}
