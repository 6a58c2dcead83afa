//! What a wrong clock recorded is not believed once a better clock is known.

use jiff::{SignedDuration, Timestamp};
use profound_export::clock::Clock;
use profound_export::run::{Outcome, run_job};
use profound_export::simulator::FaultKind;

use crate::support::{Export, account, day, instant, on_memory_and_disk};

const STREAMS: [&str; 4] = ["visibility_v2_by_day", "answers_v1", "factcheck_claims_v2", "models"];

/// A run on a machine whose clock shows `now`, with an API that shows no time at all.
async fn run_with_clock(export: &Export, now: Timestamp) {
    export.simulator.inject(FaultKind::NoDate.into());
    export.simulator.inject(FaultKind::NoRateHeaders.into());
    run_job(&export.settings_at(Clock::starting_at(now)), &export.goal()).await;
    export.simulator.clear_faults();
}

on_memory_and_disk! {
    async fn days_that_a_clock_ahead_recorded_are_extracted_once_they_end(place) {
        let export = Export::start(place, account(), &STREAMS).await;
        assert_eq!(export.run().await.outcome, Outcome::Complete);
        let now = export.simulator.now();
        run_with_clock(&export, now + SignedDuration::from_hours(24 * 27)).await;
        assert!(export.state().await.coverage["answers_v1"].values().all(|scope| scope.days.get(&day("2026-04-01")).is_some()));

        assert_eq!(export.run().await.outcome, Outcome::Complete);
        // Nothing runs before the time that the wrong clock showed.
        export.simulator.set_now(instant("2026-04-20T16:00:00Z"));
        assert_eq!(export.run().await.outcome, Outcome::Complete);
        for stream in STREAMS {
            export.assert_equals_simulator(stream).await;
        }
    }
}

#[tokio::test]
async fn clock_ahead_of_the_rate_limit_reset_is_an_error() {
    let export = Export::start(crate::support::Place::Memory, account(), &STREAMS).await;
    export.simulator.inject(FaultKind::NoDate.into());
    let ahead = Clock::starting_at(export.simulator.now() + SignedDuration::from_hours(24 * 27));
    let run = run_job(&export.settings_at(ahead), &export.goal()).await;
    assert_eq!(run.outcome, Outcome::ConfigMismatch, "{}", run.summary());
    assert!(export.objects().await.is_empty());
}

#[tokio::test]
async fn day_that_has_not_ended_by_a_later_date_is_not_recorded() {
    let export = Export::start(crate::support::Place::Memory, account(), &["visibility_v2_by_day"]).await;
    // The lists of discovery show no time, so the plan includes a day that has not ended.
    for fault in [FaultKind::NoDate, FaultKind::NoRateHeaders] {
        export.simulator.inject(profound_export::simulator::Fault::from(fault).on_path("/v1/org"));
    }
    let ahead = Clock::starting_at(instant("2026-03-11T04:30:00Z"));
    export.simulator.set_now(instant("2026-03-11T00:00:00Z"));
    let run = run_job(&export.settings_at(ahead), &export.goal()).await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    let state = export.state().await;
    let days =
        |day| state.coverage["visibility_v2_by_day"].values().filter(|scope| scope.days.get(&day).is_some()).count();
    assert_eq!((days(day("2026-03-09")), days(day("2026-03-10"))), (export.categories().len(), 0));
}
