//! A year of history that fills itself in, night by night, inside the hour.

use std::ops::RangeInclusive;
use std::time::Duration;

use profound_export::model::coverage::ScopeCoverage;
use profound_export::model::stream::Tier;

use crate::support::year::year;

#[test]
fn year_of_history_is_there_after_the_nights_it_takes_and_no_hour_is_exceeded() {
    assert_year_comes(40, Duration::ZERO, 2..=4);
}

#[test]
fn year_of_two_hundred_categories_comes_as_foretold_when_it_begins_in_the_middle_of_an_hour() {
    assert_year_comes(200, Duration::from_secs(1800), 8..=16);
}

fn assert_year_comes(categories: usize, into_the_hour: Duration, nights: RangeInclusive<usize>) {
    let year = year(categories, Tier::Core, "2026-01-02T11:30:00Z".parse().unwrap(), into_the_hour);

    assert!(year.most_in_an_hour <= 600, "{} requests in an hour", year.most_in_an_hour);
    assert!(nights.contains(&year.nights.len()), "{} nights", year.nights.len());
    for night in &year.nights {
        assert!(night.requests <= 24 * 540 + 1, "{night:?}");
        let ratio = night.took.as_secs_f64() / night.planned.as_secs_f64();
        assert!((0.95..=1.05).contains(&ratio), "planned {:?}, took {:?}", night.planned, night.took);
    }
    // The first plan foretold the night in which the last day of history came.
    let told = year.nights[0].history_there.unwrap().as_hours() as f64 / 24.0;
    let took = (year.nights.len() - 1) as f64;
    assert!((took - told).abs() <= 1.0, "told {told} nights after the first, took {took}");
    let dated = year.wanted.streams.iter().filter(|stream| stream.is_dated());
    for stream in dated {
        let days = |coverage: &ScopeCoverage| coverage.days.len();
        let whole = if stream.name.ends_with("_month") { 12 } else { 365 };
        for coverage in year.state.coverage[&stream.name].values() {
            assert!(whole <= days(coverage), "{}: {}", stream.name, days(coverage));
        }
    }
}
