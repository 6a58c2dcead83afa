//! A year of history that fills itself in, night by night, inside the hour.

use profound_export::model::coverage::ScopeCoverage;
use profound_export::model::stream::Tier;

use crate::support::year::year;

#[test]
fn year_of_history_is_there_after_the_nights_it_takes_and_no_hour_is_exceeded() {
    let year = year(20, Tier::Core, "2026-01-02T11:30:00Z".parse().unwrap());

    assert!(year.most_in_an_hour <= 600, "{} requests in an hour", year.most_in_an_hour);
    assert!((1..=3).contains(&year.nights.len()), "{} nights", year.nights.len());
    for night in &year.nights {
        assert!(night.requests <= 24 * 540 + 1, "{night:?}");
        let ratio = night.took.as_secs_f64() / night.planned.as_secs_f64();
        assert!((0.95..=1.05).contains(&ratio), "planned {:?}, took {:?}", night.planned, night.took);
    }
    let dated = year.wanted.streams.iter().filter(|stream| stream.is_dated());
    for stream in dated {
        let days = |coverage: &ScopeCoverage| coverage.days.len();
        let whole = if stream.name.ends_with("_month") { 12 } else { 365 };
        for coverage in year.state.coverage[&stream.name].values() {
            assert!(whole <= days(coverage), "{}: {}", stream.name, days(coverage));
        }
    }
}
