//! The automatic backfill of a year, in daily runs, within the rate limit.

use std::ops::RangeInclusive;
use std::time::Duration;

use profound_export::model::coverage::ScopeCoverage;
use profound_export::model::stream::{DaysKind, Tier};

use crate::support::is_long_test;
use crate::support::year::year;

#[test]
fn year_is_backfilled_as_forecast_within_the_rate_limit() {
    assert_year_is_backfilled(40, Duration::ZERO, 2..=4);
}

#[test]
fn year_of_many_categories_is_as_forecast_from_mid_window() {
    let (categories, runs) = if is_long_test() { (200, 16..=24) } else { (80, 3..=7) };
    assert_year_is_backfilled(categories, Duration::from_secs(1800), runs);
}

fn assert_year_is_backfilled(categories: usize, into_the_window: Duration, runs: RangeInclusive<usize>) {
    let year = year(categories, Tier::Core, "2026-01-02T11:30:00Z".parse().unwrap(), into_the_window);

    assert!(year.max_requests_per_hour <= 600, "{} requests in an hour", year.max_requests_per_hour);
    assert!(runs.contains(&year.runs.len()), "{} runs", year.runs.len());
    for run in &year.runs {
        assert!(run.requests <= 24 * 540 + 1, "{run:?}");
        let ratio = run.elapsed.as_secs_f64() / run.planned.as_secs_f64();
        assert!((0.95..=1.05).contains(&ratio), "planned {:?}, actual {:?}", run.planned, run.elapsed);
    }
    // The first forecast names the run in which the backfill completes.
    let forecast = year.runs[0].backfill_complete.unwrap().as_hours() as f64 / 24.0;
    let actual = (year.runs.len() - 1) as f64;
    assert!((actual - forecast).abs() <= 1.0, "forecast: {forecast} days after the first run, actual: {actual}");
    let dated = year.wanted.streams.iter().filter(|stream| stream.is_dated());
    for stream in dated {
        let days = |coverage: &ScopeCoverage| coverage.days.len();
        let whole = match stream.days.as_ref().map(|days| days.kind) {
            Some(DaysKind::Week) => 52,
            Some(DaysKind::Month) => 12,
            _ => 365,
        };
        for coverage in year.state.coverage[&stream.name].values() {
            assert!(whole <= days(coverage), "{}: {}", stream.name, days(coverage));
        }
    }
}
