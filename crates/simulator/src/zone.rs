//! Whose midnight the rows of an answer count by.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use catalog::model::day::{Day, DayZone};
use catalog::model::stream::Days;

use super::account::Account;

/// Whose midnight ends a day.
#[derive(Debug, Clone)]
pub(super) enum RowZone {
    /// That of the endpoint.
    Endpoint(DayZone),
    /// That of the rows, which name it.
    Named { zone: TimeZone, name: String },
}

impl RowZone {
    /// The zone of the rows of a stream that counts `days`.
    pub(super) fn of(days: Option<&Days>, account: &Account) -> Self {
        let named = days.filter(|days| days.zone_column.is_some()).and_then(|_| {
            let zone = TimeZone::get(&account.ads_zone).ok()?;
            Some(Self::Named { zone, name: account.ads_zone.clone() })
        });
        named.unwrap_or_else(|| Self::Endpoint(days.map_or(DayZone::Utc, |days| days.zone)))
    }

    /// Today at `now`.
    pub(super) fn today(&self, now: Timestamp) -> Day {
        match self {
            Self::Endpoint(zone) => zone.today(now),
            Self::Named { zone, .. } => {
                let date = zone.to_datetime(now).date();
                Day::new(date.year(), date.month(), date.day()).unwrap_or_else(|| DayZone::Utc.today(now))
            }
        }
    }

    /// The first instant of `day`.
    pub(super) fn start_of(&self, day: Day) -> Timestamp {
        match self {
            Self::Endpoint(zone) => zone.start_of(day),
            Self::Named { zone, .. } => {
                let date = day.to_string().parse::<jiff::civil::Date>();
                let start = date.ok().and_then(|date| date.to_zoned(zone.clone()).ok());
                start.map_or_else(|| DayZone::Utc.start_of(day), |start| start.timestamp())
            }
        }
    }

    /// What rows call it.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Endpoint(zone) => zone.name(),
            Self::Named { name, .. } => name,
        }
    }
}
