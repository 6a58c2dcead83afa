//! HTTP 429 in every form: all requests pause, and one pause is enough.

use std::time::Duration;

use profound_export::model::event::Event;
use profound_export::run::Outcome;
use profound_export::simulator::{Account, Fault, FaultKind, ReceivedRequest};

use crate::support::{Export, Place, account, of_stream};

const STREAMS: [&str; 4] = ["visibility_v2_by_day", "visibility_v1", "answers_v2", "category_topics"];

fn rate_limited(seconds: &str) -> FaultKind {
    FaultKind::Status { code: 429, retry_after: Some(seconds.into()), reset: None }
}

/// Seconds from each rate limited request to the next one, not counting those that were in flight with it.
fn shortest_wait(received: &[ReceivedRequest], concurrency: usize) -> Option<f64> {
    let waits =
        received.iter().enumerate().filter(|(_, request)| request.status == 429).filter_map(|(index, request)| {
            let next = received.get(index + concurrency)?;
            Some(next.since_start.as_secs_f64() - request.since_start.as_secs_f64())
        });
    waits.min_by(f64::total_cmp)
}

#[tokio::test]
async fn retry_after_is_respected_within_reason() {
    // The header, and the min and max seconds of the pause. The window, and so any reset, is 2 s long.
    let cases = [
        (Some("1"), 0.99, 3.0),
        (Some("1.5"), 1.49, 3.5),
        // A date has whole seconds, and the response may arrive at any moment within one.
        (Some("date:2"), 1.0, 4.0),
        (None, 0.0, 3.5),
        (Some("-5"), 0.0, 3.5),
        (Some("soon"), 0.0, 3.5),
        (Some("1000000000"), 0.0, 3.5),
        (Some("date:-3600"), 0.0, 3.0),
        (Some("0"), 0.0, 3.0),
    ];
    let case = async |(header, min, max): (Option<&str>, f64, f64)| {
        let account = Account { period: Duration::from_secs(2), ..account() };
        let mut export = Export::start(Place::Memory, account, &STREAMS).await;
        export.api.concurrency = 1;
        let fault = FaultKind::Status { code: 429, retry_after: header.map(str::to_owned), reset: None };
        export.simulator.inject(Fault::from(fault).after(6).times(1));
        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete, "{header:?}: {}", run.summary());
        let wait = shortest_wait(&received, 1).unwrap();
        assert!(min <= wait && wait < max, "{header:?}: waited {wait} s");
        let visible = export.take_events().iter().any(|event| matches!(event, Event::RateLimitWait { .. }));
        assert!(visible || wait < 1.1, "{header:?}: a silent wait of {wait} s");
        assert_eq!(received.iter().filter(|request| request.status == 429).count(), 1);
    };
    futures::future::join_all(cases.map(case)).await;
}

#[tokio::test]
async fn parallel_requests_do_not_each_run_into_the_limit() {
    // No header announces the limit, so every window ends with a 429. `Retry-After` has whole seconds.
    let account = Account { requests_per_period: 12, period: Duration::from_secs(2), categories: 10, ..account() };
    let export = Export::start(Place::Memory, account, &STREAMS).await;
    export.simulator.inject(FaultKind::NoRateHeaders.into());
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    let rate_limited_at: Vec<f64> = received
        .iter()
        .filter(|request| request.status == 429)
        .map(|request| request.since_start.as_secs_f64())
        .collect();
    assert!(!rate_limited_at.is_empty(), "{} requests and no 429", received.len());
    // Requests in flight together are rate limited together, and no other request before the pause is over.
    for met in &rate_limited_at {
        let together = rate_limited_at.iter().filter(|other| (*met..met + 0.9).contains(*other)).count();
        assert!(together <= export.api.concurrency, "{rate_limited_at:?}");
    }
    // After a pause one request goes first and alone.
    let mut waits = rate_limited_at.windows(2).filter(|pair| pair[1] - pair[0] > 0.9);
    assert!(
        waits.all(|pair| rate_limited_at.iter().filter(|other| (pair[1]..pair[1] + 0.9).contains(*other)).count() <= 4)
    );
    for stream in STREAMS {
        export.assert_equals_simulator(stream).await;
    }
}

#[tokio::test]
async fn requests_that_wait_are_paused_by_a_429() {
    let export = Export::start(Place::Memory, account(), &STREAMS).await;
    export.simulator.inject(Fault::from(rate_limited("1")).of_stream("v").after(1).times(1));
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    let rejected = received.iter().find(|request| request.status == 429).unwrap().since_start;
    let sent_meanwhile = received.iter().filter(|request| {
        rejected < request.since_start && request.since_start < rejected + Duration::from_millis(950)
    });
    assert!(sent_meanwhile.count() < export.api.concurrency, "{received:?}");
}

#[tokio::test]
async fn one_429_with_retry_after_costs_one_request() {
    let mut export = Export::start(Place::Memory, account(), &["visibility_v2_by_day"]).await;
    export.api.concurrency = 1;
    export.simulator.inject(Fault::from(rate_limited("0")).of_stream("visibility").times(6));
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "429 is no failure of the slice: {}", run.summary());
    assert_eq!(of_stream(&received, "visibility_v2_by_day").len(), 6 + export.categories().len());
    export.assert_equals_simulator("visibility_v2_by_day").await;
}

#[tokio::test]
async fn run_is_incomplete_at_once_if_the_pause_passes_its_deadline() {
    let mut export = Export::start(Place::Memory, account(), &STREAMS).await;
    export.time = Some(Duration::from_secs(20));
    export.simulator.inject(Fault::from(rate_limited("600")).of_stream("answers_v2"));
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
