//! No request too many: limits, waits and deadlines.

use std::time::Duration;

use profound_export::model::event::Event;
use profound_export::run::Outcome;
use profound_export::simulator::{Account, Fault, FaultKind, Received};

use crate::support::{Export, Place, account, instant, of_stream};

const STREAMS: [&str; 4] = ["visibility_v2_by_day", "visibility_v1", "answers_v2", "category_topics"];

fn told_to_wait(seconds: &str) -> FaultKind {
    FaultKind::Status { code: 429, retry_after: Some(seconds.into()), reset: None }
}

/// Seconds from each rejected request to the next one received after those that were under way with it.
fn shortest_wait(received: &[Received], concurrency: usize) -> Option<f64> {
    let waits =
        received.iter().enumerate().filter(|(_, request)| request.status == 429).filter_map(|(index, request)| {
            let next = received.get(index + concurrency)?;
            Some(next.since_start.as_secs_f64() - request.since_start.as_secs_f64())
        });
    waits.min_by(f64::total_cmp)
}

#[tokio::test]
async fn nothing_is_sent_while_one_was_told_to_wait() {
    for told in ["1", "date:1"] {
        let mut export = Export::start(Place::Memory, account(), &STREAMS).await;
        export.api.concurrency = 1;
        export.simulator.inject(Fault::from(told_to_wait(told)).after(6).times(1));
        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
        let wait = shortest_wait(&received, 1).unwrap();
        // A date has whole seconds, and the moment of the answer may be anywhere within one.
        let least = if told == "1" { 0.99 } else { 0.0 };
        assert!(least <= wait && wait < 5.0, "waited {wait} s");
        assert!(export.take_heard().iter().any(|event| matches!(event, Event::Waiting { .. })), "a silent wait");
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
async fn limit_of_a_period_is_never_passed_and_the_run_completes() {
    let account = Account { requests_per_period: 8, period: Duration::from_secs(2), ..account() };
    let mut export = Export::start(Place::Memory, account, &STREAMS).await;
    export.api.reserve_requests = 0;
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    assert!(8 < received.len(), "one period is enough for {} requests", received.len());
    assert!(received.iter().all(|request| request.status == 200), "the limit was hit");
    // Nor in any stretch of time as long as a period, wherever it begins.
    let times: Vec<f64> = received.iter().map(|request| request.since_start.as_secs_f64()).collect();
    for window in times.windows(9) {
        assert!(1.9 < window[8] - window[0], "9 requests within {} s", window[8] - window[0]);
    }
    for stream in STREAMS {
        export.assert_equals_simulator(stream).await;
    }
}

#[tokio::test]
async fn reserve_is_left_for_others() {
    let account = Account { requests_per_period: 20, ..account() };
    let mut export = Export::start(Place::Memory, account, &STREAMS).await;
    export.api.reserve_requests = 12;
    export.time = Some(Duration::from_secs(60));
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Incomplete, "{}", run.summary());
    assert!(received.len() <= 8, "{} of 20 requests were used", received.len());
}

#[tokio::test]
async fn run_ends_at_once_when_its_deadline_comes_before_the_next_request() {
    let account = Account { requests_per_period: 8, ..account() };
    let mut export = Export::start(Place::Memory, account, &STREAMS).await;
    export.api.reserve_requests = 0;
    export.time = Some(Duration::from_secs(600));
    let (run, received) = export.run_and_watch().await;

    assert_eq!(run.outcome, Outcome::Incomplete, "{}", run.summary());
    assert!(run.took < Duration::from_secs(30), "it waited for {:?}", run.took);
    assert!(!run.left.is_empty() && received.len() <= 8);
    assert!(0 < run.totals().slices, "nothing was exported at all");
    export.assert_ledger_knows_every_file().await;
    assert_eq!(export.state().await.runs.back().unwrap().end.outcome, "incomplete");

    // Each next hour goes on, and asks nothing twice that could wait.
    let mut runs = 1;
    for hour in 17..24 {
        export.simulator.set_now(instant(&format!("2026-03-10T{hour}:30:00Z")));
        let run = export.run().await;
        runs += 1;
        if run.outcome == Outcome::Complete {
            break;
        }
        assert_eq!(run.outcome, Outcome::Incomplete, "{}", run.summary());
    }
    assert!(1 < runs);
    for stream in ["visibility_v2_by_day", "category_topics", "answers_v2"] {
        export.assert_equals_simulator(stream).await;
    }
}

#[tokio::test]
async fn run_is_incomplete_at_once_when_it_is_told_to_wait_past_its_deadline() {
    let mut export = Export::start(Place::Memory, account(), &STREAMS).await;
    export.time = Some(Duration::from_secs(20));
    export.simulator.inject(Fault::from(told_to_wait("600")).of_stream("answers_v2"));
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Incomplete, "{}", run.summary());
    assert!(run.took < Duration::from_secs(15), "it waited for {:?}", run.took);
    export.assert_ledger_knows_every_file().await;

    export.simulator.clear_faults();
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    for stream in STREAMS {
        export.assert_equals_simulator(stream).await;
    }
}
