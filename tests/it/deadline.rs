//! A deadline bounds a run: slices in flight are published, the others are deferred to the next run.

use std::collections::BTreeSet;
use std::time::Duration;

use profound_export::api::ApiError;
use profound_export::model::event::Event;
use profound_export::run::{Outcome, RunError};
use profound_export::simulator::{Account, Fault, FaultKind};

use crate::support::{Export, Place, account, day, of_stream};

const STREAMS: [&str; 3] = ["visibility_v2_by_day", "visibility_v1", "answers_v2"];

/// Slices that started since the last call.
fn begun(export: &Export) -> BTreeSet<String> {
    let begun = export.take_events().into_iter().filter_map(|event| match event {
        Event::SliceStarted { slice } => Some(slice.to_string()),
        _ => None,
    });
    begun.collect()
}

#[tokio::test]
async fn next_run_extracts_exactly_the_deferred_slices() {
    let mut export = Export::start(Place::Memory, account(), &STREAMS).await;
    export.api.concurrency = 1;
    export.time = Some(Duration::from_secs(3));
    // Discovery is quick, and each slice takes a second.
    let slow = FaultKind::Drip { bytes: usize::MAX, milliseconds: 1000 };
    for stream in STREAMS {
        export.simulator.inject(Fault::from(slow.clone()).of_stream(stream));
    }
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Incomplete, "{}", run.summary());
    assert!(matches!(run.error, Some(RunError::DeadlinePassed)), "{:?}", run.error);
    assert!(run.elapsed < Duration::from_secs(20), "{}", run.summary());
    let left: BTreeSet<String> = run.deferred.iter().map(ToString::to_string).collect();
    assert!(!left.is_empty() && run.totals().slices > 0, "{}", run.summary());
    assert!(begun(&export).is_disjoint(&left));
    export.assert_ledger_knows_every_file().await;
    assert_eq!(export.state().await.runs.back().unwrap().end.counters.deferred, left.len() as u64);

    export.simulator.clear_faults();
    export.time = None;
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    assert_eq!(begun(&export), left);
    for stream in STREAMS {
        export.assert_equals_simulator(stream).await;
    }
    // A run after a complete one re-extracts every day that is not final.
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    assert!(left.len() < begun(&export).len());
}

#[tokio::test]
async fn throttled_stream_is_deferred_and_others_are_exported() {
    let mut export = Export::start(Place::Memory, Account { categories: 6, ..account() }, &STREAMS).await;
    export.time = Some(Duration::from_secs(20));
    let busy = FaultKind::Status { code: 503, retry_after: Some("600".into()), reset: None };
    export.simulator.inject(Fault::from(busy).of_stream("answers_v2"));
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Incomplete, "{}", run.summary());
    assert!(run.error.is_none() && run.failed.is_empty(), "{}", run.summary());
    assert!(run.elapsed < Duration::from_secs(15), "it waited for {:?}", run.elapsed);
    assert_eq!(run.deferred.len(), 6, "{:?}", run.deferred);
    assert!(run.deferred.iter().all(|slice| slice.stream.name == "answers_v2"), "{:?}", run.deferred);
    let requested = of_stream(&received, "answers_v2").len();
    assert!(requested <= export.api.concurrency, "throttled requests are not repeated: {requested} requests");
    for stream in ["visibility_v2_by_day", "visibility_v1"] {
        export.assert_equals_simulator(stream).await;
    }

    export.simulator.clear_faults();
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    export.assert_equals_simulator("answers_v2").await;
}

#[tokio::test]
async fn response_in_flight_is_bounded_after_the_deadline() {
    let mut export = Export::start(Place::Disk, account(), &["answers_v2"]).await;
    export.time = Some(Duration::from_secs(1));
    export.api.idle_timeout.0 = Duration::from_secs(1);
    // The response is never silent and never ends.
    export.simulator.inject(Fault::from(FaultKind::Drip { bytes: 1, milliseconds: 50 }).of_stream("answers_v2"));
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Incomplete, "{}", run.summary());
    assert!(matches!(run.error, Some(RunError::Api(ApiError::Late { .. }))), "{:?}", run.error);
    assert!(run.elapsed < Duration::from_secs(10), "it ran for {:?}", run.elapsed);
    assert_eq!(run.deferred.len(), 2, "{:?}", run.deferred);
    assert_eq!(export.all_rows("answers_v2").await.len(), 0);

    export.simulator.clear_faults();
    export.time = None;
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    export.assert_equals_simulator("answers_v2").await;
}

#[tokio::test]
async fn deferred_backfill_is_reported_separately() {
    let few = Account { requests_per_period: 20, ..account() };
    let mut export = Export::start(Place::Memory, few, &["visibility_v2_by_day"]).await;
    export.api.reserve_requests = 0;
    export.time = Some(Duration::from_secs(60));
    export.job.start = Some(day("2025-03-10"));
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Incomplete, "{}", run.summary());
    // The newest month of both categories is exported; deferred days are older.
    let left = run.deferred.len() as u64;
    assert!(left > 0 && run.backfill_remaining == left, "{} of {left}", run.backfill_remaining);
    assert!(
        run.summary().ends_with(&format!("{left} slices deferred to the next run (backfill)")),
        "{}",
        run.summary()
    );
    let end = export.state().await.runs.back().unwrap().end.clone();
    assert_eq!((end.counters.deferred, end.backfill_remaining), (left, left));
}
