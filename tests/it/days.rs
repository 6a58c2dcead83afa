//! Days are those of the family's zone, also where a day has 23 or 25 hours.

use profound_export::catalog::Catalog;
use profound_export::model::day::DayZone;
use profound_export::model::event::Event;
use profound_export::model::stream::Stream;
use profound_export::run::Outcome;
use profound_export::simulator::{Fault, FaultKind};

use crate::support::{Export, Place, account, day, days, instant, on_memory_and_disk};

const STREAMS: [&str; 6] =
    ["visibility_v2_by_day", "visibility_v1", "answers_v1", "answers_v2", "bots_v2", "referrals_v2"];

/// Exports four days around a change of the clocks and compares every day.
async fn assert_days_are_whole(now: &str, first: &str, last: &str) {
    let account = profound_export::simulator::Account { now: Some(instant(now)), ..account() };
    let mut export = Export::start(Place::Memory, account, &STREAMS).await;
    export.job.start = Some(day(first));
    let run = export.run().await;
    assert!(run.error.is_none() && run.failed.is_empty(), "{} {:?}", run.summary(), run.failed);
    assert_eq!(run.totals().outside_rows, 0, "rows were dropped as outside the window");
    for name in STREAMS {
        let stream = export.stream(name);
        assert_eq!(export.wanted(stream), Some(days(first, last)), "{name}");
        export.assert_equals_simulator(name).await;
        for scope in export.simulator.scopes(stream.scope) {
            for one in days(first, last).days() {
                let expected = export.simulator.truth(stream, &scope, Some(days(&one.to_string(), &one.to_string())));
                let path = export.layout().data_path(name, &scope, Some(one)).to_string();
                match expected.rows {
                    0 => assert!(!export.files().await.contains_key(&path), "{path}"),
                    rows => assert_eq!(export.table(&path).await.rows.len() as u64, rows, "{path}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn days_are_complete_when_the_clocks_go_forward() {
    assert_days_are_whole("2026-03-10T16:00:00Z", "2026-03-06", "2026-03-09").await;
}

#[tokio::test]
async fn days_are_complete_when_the_clocks_go_back() {
    assert_days_are_whole("2026-11-03T17:00:00Z", "2026-10-30", "2026-11-02").await;
}

#[tokio::test]
async fn yesterday_differs_by_family_when_it_is_evening_in_new_york() {
    // 21:30 of the ninth in New York, 01:30 of the tenth in UTC.
    let account = profound_export::simulator::Account { now: Some(instant("2026-03-10T01:30:00Z")), ..account() };
    let export = Export::start(Place::Memory, account, &["visibility_v2_by_day", "bots_v2"]).await;
    export.run().await;
    let last_days = async |stream: &str| {
        let scope = export.first_scope(stream);
        export.days(stream, &scope).await.into_iter().next_back().unwrap()
    };
    assert_eq!(last_days("visibility_v2_by_day").await, day("2026-03-08"));
    assert_eq!(last_days("bots_v2").await, day("2026-03-09"));
}

#[tokio::test]
async fn day_is_not_final_an_hour_before_its_lookback_ends() {
    // Bots have three days: the fifth, a UTC day, is final at the end of the eighth in UTC.
    let account = profound_export::simulator::Account { now: Some(instant("2026-03-08T23:00:00Z")), ..account() };
    let mut export = Export::start(Place::Memory, account, &["bots_v2", "visibility_v2_by_day"]).await;
    export.job.start = Some(day("2026-03-05"));
    export.run().await;
    let fifth = async |stream: &str| {
        let rows = export.coverage().await;
        rows.iter().find(|row| row["stream"] == stream && row["day"] == "2026-03-05").unwrap()["status"].clone()
    };
    assert_eq!(fifth("bots_v2").await, "provisional");

    // The clocks went forward on the eighth: its end in New York is at 04:00 of the ninth in UTC, not at 05:00.
    export.simulator.set_now(instant("2026-03-09T03:58:00Z"));
    export.run().await;
    assert_eq!(fifth("visibility_v2_by_day").await, "provisional");
    assert_eq!(fifth("bots_v2").await, "final");
    export.simulator.set_now(instant("2026-03-09T04:00:30Z"));
    export.run().await;
    assert_eq!(fifth("visibility_v2_by_day").await, "final");
}

#[tokio::test]
async fn window_with_rows_of_other_days_is_suspect() {
    let embedded = Catalog::embedded().unwrap();
    let mut other = Stream::clone(embedded.get("answers_v1").unwrap());
    other.days.as_mut().unwrap().zone = DayZone::Utc;
    let catalog = embedded.with_streams(vec![other]).unwrap();
    let mut export = Export::start_with(Place::Memory, account(), catalog, &["answers_v1"]).await;
    export.catalog = embedded;
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Failed, "{}", run.summary());
    assert!(
        run.failed.iter().all(|(_, problem)| problem.contains("are of other days than requested")),
        "{:?}",
        run.failed
    );
    let is_warning = |event: &&Event| matches!(event, Event::Warning { message } if message.contains("other days"));
    assert_eq!(export.take_events().iter().filter(is_warning).count(), 1);
}

on_memory_and_disk! {
    async fn window_with_dates_of_other_days_is_suspect(place) {
        for (stream, other, outcome) in [
            ("visibility_v2_by_day", "2026-03-05", Outcome::Failed),
            ("visibility_v2_by_day", "2026-03-10", Outcome::Failed),
            ("visibility_v2_by_day", "2025-03-08", Outcome::Failed),
            ("visibility_v1", "2026-03-05", Outcome::Failed),
            ("visibility_v1", "2026-03-11", Outcome::Failed),
            // Its window ends with the day after the last, which may count.
            ("visibility_v1", "2026-03-10", Outcome::Complete),
        ] {
            for event_streams in [true, false] {
                let mut export = Export::start(place, account(), &[stream]).await;
                export.api.event_streams = event_streams;
                let (value, day) = (format!("\"{other}\""), Some("2026-03-08".to_owned()));
                export.simulator.inject(Fault::from(FaultKind::BadValue { column: "date".into(), value, day }));
                let run = export.run().await;
                assert_eq!(run.outcome, outcome, "{stream} {other}: {} {:?}", run.summary(), run.failed);
                if outcome == Outcome::Failed {
                    let problem = &run.failed[0].1;
                    assert!(problem.contains("are of other days than requested") && problem.contains(other), "{problem}");
                    let states = export.states(stream, &export.categories()[0]).await;
                    assert_eq!(states["2026-03-08"], "suspect", "{states:?}");
                }
                export.simulator.clear_faults();
                assert_eq!(export.run().await.outcome, Outcome::Complete, "{stream} {other}");
                if outcome == Outcome::Failed {
                    export.assert_equals_simulator(stream).await;
                }
            }
        }
    }
}
