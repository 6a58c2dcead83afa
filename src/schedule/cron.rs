//! A cron expression and a time zone give the next run.
//!
//! Each run is computed in the real zone and not by adding a period, so daylight saving moves nothing. A time that the clock
//! jumps over runs once, at the first valid instant after it. A fixed time in the repeated hour runs once, the first time; an
//! interval such as `*/15 * * * *` runs through both hours. If both day fields are given, either is enough, as in every cron.

use croner::Cron;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::cron;
use crate::model::periods::Periods;

/// An invalid expression or zone: what is wrong, and what to write instead.
pub use crate::config::InvalidValue as ScheduleError;

/// How many runs [`Schedule::periods`] samples.
const SAMPLED_RUNS: usize = 1000;

/// When a job runs.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

impl Schedule {
    /// `cron` has five fields, or six with seconds first; `zone` is an IANA name.
    ///
    /// # Errors
    /// What is wrong with either, and what to write instead.
    pub fn new(cron: &str, zone: &str) -> Result<Self, ScheduleError> {
        Ok(Self { cron: cron::parse(cron)?, zone: cron::zone(zone)? })
    }

    /// The first run after `now`, never `now` itself; none only at the end of the calendar.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let next = self.cron.find_next_occurrence(&now.to_zoned(self.zone.clone()), false).ok()?;
        Some(next.timestamp())
    }

    pub fn upcoming(&self, now: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        std::iter::successors(self.next_after(now), |last| self.next_after(*last))
    }

    /// The periods between the next thousand runs on a clock without daylight saving; none if the schedule has one run.
    ///
    /// An estimate: it misses a gap that is rarer than a thousand runs, and the hour that one day of the year lacks.
    pub fn periods(&self, now: Timestamp) -> Option<Periods> {
        let in_utc = Self { cron: self.cron.clone(), zone: TimeZone::UTC };
        let runs: Vec<Timestamp> = in_utc.upcoming(now).take(SAMPLED_RUNS).collect();
        let gaps = || runs.windows(2).map(|pair| pair[1].duration_since(pair[0]));
        let count = i32::try_from(gaps().count()).ok()?;
        let span = runs.last()?.duration_since(*runs.first()?);
        Some(Periods { shortest: gaps().min()?, average: span.checked_div(count)?, longest: gaps().max()? })
    }

    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The first `count` runs after `now` in New York, as the clock there shows them.
    fn runs(cron: &str, now: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::new(cron, "America/New_York").unwrap();
        let shown = |run: Timestamp| run.to_zoned(schedule.zone.clone()).strftime("%m-%d %H:%M:%S %Z").to_string();
        schedule.upcoming(at(now)).take(count).map(shown).collect()
    }

    #[test]
    fn five_fields_run_on_the_minute() {
        assert_eq!(runs("30 6 * * *", "2026-11-23T12:00:00Z", 2), ["11-24 06:30:00 EST", "11-25 06:30:00 EST"]);
    }

    #[test]
    fn six_fields_start_with_seconds() {
        assert_eq!(
            runs("*/20 30 6 * * *", "2026-11-23T12:00:00Z", 4),
            ["11-24 06:30:00 EST", "11-24 06:30:20 EST", "11-24 06:30:40 EST", "11-25 06:30:00 EST"]
        );
    }

    #[test]
    fn next_run_is_never_now() {
        let schedule = Schedule::new("* * * * * *", "UTC").unwrap();
        assert_eq!(schedule.next_after(at("2026-11-23T12:00:00Z")), Some(at("2026-11-23T12:00:01Z")));
        assert_eq!(schedule.next_after(at("2026-11-23T12:00:00.7Z")), Some(at("2026-11-23T12:00:01Z")));
    }

    #[test]
    fn skipped_time_runs_once_at_the_first_valid_instant() {
        assert_eq!(
            runs("30 2 * * *", "2026-03-07T12:00:00Z", 3),
            ["03-08 03:00:00 EDT", "03-09 02:30:00 EDT", "03-10 02:30:00 EDT"]
        );
    }

    #[test]
    fn repeated_time_runs_once() {
        assert_eq!(
            runs("30 1 * * *", "2026-10-31T12:00:00Z", 3),
            ["11-01 01:30:00 EDT", "11-02 01:30:00 EST", "11-03 01:30:00 EST"]
        );
    }

    #[test]
    fn interval_runs_through_both_repeated_hours() {
        let schedule = Schedule::new("*/15 * * * *", "America/New_York").unwrap();
        let runs: Vec<Timestamp> = schedule.upcoming(at("2026-11-01T04:00:00Z")).take(16).collect();
        assert_eq!(runs[0], at("2026-11-01T04:15:00Z"));
        assert!(runs.windows(2).all(|pair| pair[1].duration_since(pair[0]).as_mins() == 15), "{runs:?}");
    }

    #[test]
    fn interval_skips_the_missing_hour() {
        assert_eq!(
            runs("*/30 * * * *", "2026-03-08T06:00:00Z", 3),
            ["03-08 01:30:00 EST", "03-08 03:00:00 EDT", "03-08 03:30:00 EDT"]
        );
    }

    #[test]
    fn daily_run_keeps_its_hour_across_daylight_saving() {
        for (now, zones) in [("2026-03-07T00:00:00Z", ["EST", "EDT"]), ("2026-10-31T00:00:00Z", ["EDT", "EST"])] {
            let runs = runs("0 19 * * *", now, 4);
            assert!(runs.iter().all(|run| run.contains("19:00:00")), "{runs:?}");
            assert!(zones.iter().all(|zone| runs.iter().any(|run| run.ends_with(zone))), "{runs:?}");
        }
    }

    #[test]
    fn either_day_field_is_enough_when_both_are_given() {
        // The first of the month, and every Monday: 2026-12-01 is a Tuesday.
        assert_eq!(
            runs("0 6 1 * MON", "2026-11-24T12:00:00Z", 3),
            ["11-30 06:00:00 EST", "12-01 06:00:00 EST", "12-07 06:00:00 EST"]
        );
    }

    #[test]
    fn periods_are_the_gaps_between_runs() {
        let hours = |cron: &str| {
            let schedule = Schedule::new(cron, "America/New_York").unwrap();
            let Periods { shortest, average, longest } = schedule.periods(at("2026-06-01T00:00:00Z")).unwrap();
            [shortest, average, longest].map(|period| period.as_secs_f64() / 3600.0)
        };
        assert_eq!(hours("0 */4 * * *"), [4.0, 4.0, 4.0]);
        assert_eq!(hours("0 6 * * *"), [24.0, 24.0, 24.0]);
        assert_eq!(hours("0 6,8,20 * * *"), [2.0, 8.0, 12.0]);
        assert_eq!(hours("0 6 * * 1"), [168.0, 168.0, 168.0]);
        let [shortest, average, longest] = hours("*/15 9-17 * * 1-5");
        assert!(shortest == 0.25 && shortest < average && average < longest && longest == 63.25);
    }

    #[test]
    fn invalid_expression_and_zone_name_the_remedy() {
        let error = Schedule::new("0 25 * * *", "UTC").unwrap_err();
        assert_eq!(error.to_string(), "`25` is not an hour");
        assert!(error.instead.starts_with("write 0 to 23"), "{}", error.instead);
        let error = Schedule::new("0 6 * * *", "America/NewYork").unwrap_err();
        assert_eq!(error.instead, "did you mean `America/New_York`?");
    }
}
