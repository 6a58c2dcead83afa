//! Scopes for which the server always fails do not keep other scopes from being requested.

use profound_export::model::event::Event;
use profound_export::run::Outcome;
use profound_export::simulator::{Account, Fault, FaultKind};

use crate::support::{Export, Place, account, of_stream};

const STREAM: &str = "visibility_v2_by_day";

/// HTTP 500 at once, for every request.
fn broken() -> FaultKind {
    FaultKind::Status { code: 500, retry_after: Some("0".into()), reset: None }
}

#[tokio::test]
async fn other_categories_are_extracted_when_some_keep_failing() {
    let mut export = Export::start(Place::Memory, Account { categories: 8, ..account() }, &[STREAM]).await;
    export.api.concurrency = 1;
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    let categories = export.categories();
    let (broken_ones, healthy) = categories.split_at(3);
    for category in broken_ones {
        export.simulator.inject(Fault { category: Some(category.clone()), ..Fault::from(broken()).of_stream(STREAM) });
    }
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Failed, "{}", run.summary());

    // The next run, whatever the order of the first one.
    export.simulator.set_now(export.simulator.now() + jiff::SignedDuration::from_hours(24));
    let run = export.run().await;
    assert_eq!(run.totals().slices as usize, healthy.len(), "{}", run.summary());
    assert_eq!(run.failed.len(), broken_ones.len(), "{:?}", run.failed);

    // Once the server answers, the next run extracts the failed ones too.
    export.simulator.clear_faults();
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    export.assert_equals_simulator(STREAM).await;
}

#[tokio::test]
async fn failing_stream_costs_few_requests_with_many_categories() {
    let mut export = Export::start(Place::Memory, Account { categories: 20, ..account() }, &[STREAM]).await;
    export.api.concurrency = 1;
    export.simulator.inject(Fault::from(broken()).of_stream(STREAM));
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Failed, "{}", run.summary());
    let requested = of_stream(&received, STREAM).len();
    assert!(requested <= 2 * 3 * 5, "{requested} needless requests: two slices, three windows, five attempts");
    // The log names each of them, those behind the open circuit breaker included.
    let is_failure = |event: &Event| matches!(event, Event::SliceFailed { .. });
    assert_eq!(export.take_events().iter().filter(|event| is_failure(event)).count(), run.failed.len());
}

/// One list after the other is damaged on its way, once.
#[tokio::test]
async fn damaged_list_is_neither_another_account_nor_a_shorter_list() {
    for list in ["organizations", "categories", "assets", "domains"] {
        let export = Export::start(Place::Memory, account(), &[STREAM, list]).await;
        assert_eq!(export.run().await.outcome, Outcome::Complete);
        export.simulator.inject(Fault::from(FaultKind::InvalidUtf8).of_stream(list).times(1));
        let run = export.run().await;
        assert_eq!(run.outcome, Outcome::Unavailable, "{list}: {} {:?}", run.summary(), run.error);
        assert_eq!(export.run().await.outcome, Outcome::Complete, "{list}");
        export.assert_equals_simulator(list).await;
    }
}

#[tokio::test]
async fn outage_of_every_report_leaves_most_of_the_hour_unspent() {
    let export = Export::start(Place::Memory, Account { categories: 3, ..account() }, &["core"]).await;
    export.simulator.inject(Fault { path: Some("/reports".into()), ..broken().into() });
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Unavailable, "{}", run.summary());
    let error = run.error.as_ref().unwrap().to_string();
    assert!(error.starts_with("the API is down") && error.contains("HTTP 500"), "{error}");
    assert!(received.len() < 150, "{} of 600 requests an hour", received.len());
    assert!(!run.deferred.is_empty());

    export.simulator.clear_faults();
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    export.assert_equals_simulator(STREAM).await;
}

#[tokio::test]
async fn outage_that_ends_within_the_run_leaves_nothing_out() {
    let export = Export::start(Place::Memory, Account { categories: 3, ..account() }, &["core"]).await;
    export.simulator.inject(Fault { path: Some("/v2/".into()), times: Some(25), ..broken().into() });
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}\n{:?}", run.summary(), run.failed);
    export.assert_equals_simulator(STREAM).await;
}
