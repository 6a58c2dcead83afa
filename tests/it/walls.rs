//! Told to wait: 429 in every form, heard by all and obeyed once.

use std::time::Duration;

use profound_export::model::event::Event;
use profound_export::run::Outcome;
use profound_export::simulator::{Account, Fault, FaultKind, ReceivedRequest};

use crate::support::{Export, Place, account, of_stream};

const STREAMS: [&str; 4] = ["visibility_v2_by_day", "visibility_v1", "answers_v2", "category_topics"];

fn told_to_wait(seconds: &str) -> FaultKind {
    FaultKind::Status { code: 429, retry_after: Some(seconds.into()), reset: None }
}

/// Seconds from each rejected request to the next one received after those that were under way with it.
fn shortest_wait(received: &[ReceivedRequest], concurrency: usize) -> Option<f64> {
    let waits =
        received.iter().enumerate().filter(|(_, request)| request.status == 429).filter_map(|(index, request)| {
            let next = received.get(index + concurrency)?;
            Some(next.since_start.as_secs_f64() - request.since_start.as_secs_f64())
        });
    waits.min_by(f64::total_cmp)
}

#[tokio::test]
async fn waits_are_as_told_and_never_absurd() {
    // What is told, and the least and the most seconds that are then waited. The period, and so any reset, is 2 s long.
    let cases = [
        (Some("1"), 0.99, 3.0),
        (Some("1.5"), 1.49, 3.5),
        // A date has whole seconds, and the moment of the answer may be anywhere within one.
        (Some("date:2"), 1.0, 4.0),
        (None, 0.0, 3.5),
        (Some("-5"), 0.0, 3.5),
        (Some("soon"), 0.0, 3.5),
        (Some("1000000000"), 0.0, 3.5),
        (Some("date:-3600"), 0.0, 3.0),
        (Some("0"), 0.0, 3.0),
    ];
    let case = async |(told, least, most): (Option<&str>, f64, f64)| {
        let account = Account { period: Duration::from_secs(2), ..account() };
        let mut export = Export::start(Place::Memory, account, &STREAMS).await;
        export.api.concurrency = 1;
        let wall = FaultKind::Status { code: 429, retry_after: told.map(str::to_owned), reset: None };
        export.simulator.inject(Fault::from(wall).after(6).times(1));
        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete, "{told:?}: {}", run.summary());
        let wait = shortest_wait(&received, 1).unwrap();
        assert!(least <= wait && wait < most, "{told:?}: waited {wait} s");
        let visible = export.take_events().iter().any(|event| matches!(event, Event::RateLimitWait { .. }));
        assert!(visible || wait < 1.1, "{told:?}: a silent wait of {wait} s");
        assert_eq!(received.iter().filter(|request| request.status == 429).count(), 1);
    };
    futures::future::join_all(cases.map(case)).await;
}

#[tokio::test]
async fn parallel_requests_do_not_each_discover_the_wall() {
    // No header tells the limit, so the wall is met in every period; the wait is told in whole seconds.
    let account = Account { requests_per_period: 12, period: Duration::from_secs(2), categories: 10, ..account() };
    let export = Export::start(Place::Memory, account, &STREAMS).await;
    export.simulator.inject(FaultKind::NoRateHeaders.into());
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    let walls: Vec<f64> = received
        .iter()
        .filter(|request| request.status == 429)
        .map(|request| request.since_start.as_secs_f64())
        .collect();
    assert!(!walls.is_empty(), "{} requests and no wall", received.len());
    // Those that were under way together meet it together; nobody else does before the wait is over.
    for met in &walls {
        let together = walls.iter().filter(|other| (*met..met + 0.9).contains(*other)).count();
        assert!(together <= export.api.concurrency, "{walls:?}");
    }
    // After a wait one goes first and alone.
    let mut waits = walls.windows(2).filter(|pair| 0.9 < pair[1] - pair[0]);
    assert!(waits.all(|pair| walls.iter().filter(|other| (pair[1]..pair[1] + 0.9).contains(*other)).count() <= 4));
    for stream in STREAMS {
        export.assert_equals_simulator(stream).await;
    }
}

#[tokio::test]
async fn requests_under_way_stop_too_when_one_was_told_to_wait() {
    let export = Export::start(Place::Memory, account(), &STREAMS).await;
    export.simulator.inject(Fault::from(told_to_wait("1")).of_stream("v").after(1).times(1));
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    let rejected = received.iter().find(|request| request.status == 429).unwrap().since_start;
    let sent_meanwhile = received.iter().filter(|request| {
        rejected < request.since_start && request.since_start < rejected + Duration::from_millis(950)
    });
    assert!(sent_meanwhile.count() < export.api.concurrency, "{received:?}");
}

#[tokio::test]
async fn walls_burn_no_requests_when_the_wait_is_told_once() {
    let mut export = Export::start(Place::Memory, account(), &["visibility_v2_by_day"]).await;
    export.api.concurrency = 1;
    export.simulator.inject(Fault::from(told_to_wait("0")).of_stream("visibility").times(6));
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "429 is no failure of the slice: {}", run.summary());
    assert_eq!(of_stream(&received, "visibility_v2_by_day").len(), 6 + export.categories().len());
    export.assert_equals_simulator("visibility_v2_by_day").await;
}

#[tokio::test]
async fn run_is_incomplete_at_once_when_it_is_told_to_wait_past_its_deadline() {
    let mut export = Export::start(Place::Memory, account(), &STREAMS).await;
    export.time = Some(Duration::from_secs(20));
    export.simulator.inject(Fault::from(told_to_wait("600")).of_stream("answers_v2"));
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Incomplete, "{}", run.summary());
    assert!(run.elapsed < Duration::from_secs(15), "it waited for {:?}", run.elapsed);
    export.assert_ledger_knows_every_file().await;

    export.simulator.clear_faults();
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    for stream in STREAMS {
        export.assert_equals_simulator(stream).await;
    }
}
