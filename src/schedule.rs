//! A cron expression and a zone -> when a job runs next.
//!
//! Each time is computed anew in the real zone, so that summer time moves nothing. Where the clock jumps forward, a
//! time that does not exist runs once, at the first that does. Where it goes back, a fixed time runs once, the first
//! time it comes; an interval such as `*/15 * * * *` runs through both hours. Where both day fields are given, either is
//! enough, as cron has always had it.

use croner::Cron;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::cron;
use crate::model::periods::Periods;

/// Why an expression or a zone is no schedule: what is wrong, and what to write instead.
pub use crate::config::cron::CronError as ScheduleError;

/// How many runs [`Schedule::periods`] looks at.
const RUNS_LOOKED_AT: usize = 1000;

/// When a job runs.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

impl Schedule {
    /// The schedule of `cron`, five fields or six with seconds first, on the clock of the IANA zone `zone`.
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

    /// The runs after `now`, in order.
    pub fn upcoming(&self, now: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        std::iter::successors(self.next_after(now), |last| self.next_after(*last))
    }

    /// The times between the next thousand runs, on a clock that never changes; none where it runs once.
    ///
    /// An estimate: a gap that comes more rarely is not seen, nor is the hour that is missing on one day of the year.
    pub fn periods(&self, now: Timestamp) -> Option<Periods> {
        let unchanging = Self { cron: self.cron.clone(), zone: TimeZone::UTC };
        let runs: Vec<Timestamp> = unchanging.upcoming(now).take(RUNS_LOOKED_AT).collect();
        let gaps = || runs.windows(2).map(|pair| pair[1].duration_since(pair[0]));
        let count = i32::try_from(gaps().count()).ok()?;
        let all = runs.last()?.duration_since(*runs.first()?);
        Some(Periods { shortest: gaps().min()?, average: all.checked_div(count)?, longest: gaps().max()? })
    }

    /// The zone whose clock is meant.
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
    fn six_fields_begin_with_seconds() {
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
    fn time_that_the_clock_jumps_over_runs_once_at_the_first_valid_instant() {
        assert_eq!(
            runs("30 2 * * *", "2026-03-07T12:00:00Z", 3),
            ["03-08 03:00:00 EDT", "03-09 02:30:00 EDT", "03-10 02:30:00 EDT"]
        );
    }

    #[test]
    fn time_that_comes_twice_runs_once() {
        assert_eq!(
            runs("30 1 * * *", "2026-10-31T12:00:00Z", 3),
            ["11-01 01:30:00 EDT", "11-02 01:30:00 EST", "11-03 01:30:00 EST"]
        );
    }

    #[test]
    fn interval_runs_through_both_hours_when_the_clock_goes_back() {
        let schedule = Schedule::new("*/15 * * * *", "America/New_York").unwrap();
        let runs: Vec<Timestamp> = schedule.upcoming(at("2026-11-01T04:00:00Z")).take(16).collect();
        assert_eq!(runs[0], at("2026-11-01T04:15:00Z"));
        assert!(runs.windows(2).all(|pair| pair[1].duration_since(pair[0]).as_mins() == 15), "{runs:?}");
    }

    #[test]
    fn interval_leaves_out_the_hour_that_the_clock_jumps_over() {
        assert_eq!(
            runs("*/30 * * * *", "2026-03-08T06:00:00Z", 3),
            ["03-08 01:30:00 EST", "03-08 03:00:00 EDT", "03-08 03:30:00 EDT"]
        );
    }

    #[test]
    fn daily_run_keeps_its_hour_across_both_changes() {
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
    fn wrong_expression_and_zone_say_what_to_write() {
        let error = Schedule::new("0 25 * * *", "UTC").unwrap_err();
        assert_eq!(error.to_string(), "`25` is not an hour");
        assert!(error.instead.starts_with("write 0 to 23"), "{}", error.instead);
        let error = Schedule::new("0 6 * * *", "America/NewYork").unwrap_err();
        assert_eq!(error.instead, "did you mean `America/New_York`?");
    }
}
