//! Windows that are too long for the API are halved, and the rest of the run starts with shorter ones.

use std::collections::BTreeSet;

use profound_export::model::day::Day;
use profound_export::run::Outcome;
use profound_export::simulator::{Account, Fault, FaultKind, ReceivedRequest};

use crate::support::{Export, Place, account, day, of_stream};

const STREAM: &str = "visibility_v2_by_day";

/// A month of one stream, of `categories` categories.
async fn a_month(categories: usize) -> Export {
    let mut export = Export::start(Place::Memory, Account { categories, ..account() }, &[STREAM]).await;
    export.job.start = Some(day("2026-02-07"));
    export
}

/// Category, days and first day of every window that was requested.
fn windows(received: &[ReceivedRequest]) -> BTreeSet<(String, i64, Day)> {
    let text = |request: &ReceivedRequest, name: &str| request.body[name].as_str().unwrap_or_default().to_owned();
    let windows = of_stream(received, STREAM).into_iter().map(|request| {
        let (first, last): (Day, Day) =
            (text(request, "start_date").parse().unwrap(), text(request, "end_date").parse().unwrap());
        (text(request, "category_id"), last.next().since(first), first)
    });
    windows.collect()
}

#[tokio::test]
async fn other_categories_start_with_short_windows_after_long_ones_failed() {
    let too_slow = FaultKind::Status { code: 504, retry_after: Some("0".into()), reset: None };
    for fault in [FaultKind::Truncate { bytes: 500 }, too_slow] {
        let export = a_month(12).await;
        export.simulator.inject(Fault::from(fault.clone()).of_stream(STREAM).longer_than(8));
        let (run, received) = export.run_and_watch().await;

        assert_eq!(run.outcome, Outcome::Complete, "{fault:?}: {} {:?}", run.summary(), run.failed);
        export.assert_equals_simulator(STREAM).await;
        let broken = windows(&received).into_iter().filter(|(_, days, _)| 8 < *days).count();
        // A month and half of it, of the four in flight at once and of one that started before two had ended.
        assert!((4..=10).contains(&broken), "{fault:?}: {broken} windows broke");
    }
}

#[tokio::test]
async fn other_categories_keep_long_windows_if_one_category_fails() {
    let export = a_month(6).await;
    let broken = export.categories()[2].clone();
    export.simulator.inject(Fault::from(FaultKind::Truncate { bytes: 500 }).of_category(&broken).longer_than(1));
    let (run, received) = export.run_and_watch().await;

    assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
    export.assert_equals_simulator(STREAM).await;
    // If the last day has no rows yet, the day after is requested too.
    let others: Vec<_> = windows(&received).into_iter().filter(|(category, ..)| *category != broken).collect();
    assert!(others.iter().all(|(_, days, _)| 31 <= *days), "{others:?}");
}

#[tokio::test]
async fn month_is_never_halved_if_its_response_is_broken() {
    let mut export = Export::start(Place::Memory, account(), &["visibility_v2_month"]).await;
    export.job.start = Some(day("2026-02-01"));
    export.simulator.inject(Fault::from(FaultKind::Truncate { bytes: 100 }).of_stream("visibility_v2_month").times(2));
    let (run, received) = export.run_and_watch().await;

    assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
    export.assert_equals_simulator("visibility_v2_month").await;
    for request in of_stream(&received, "visibility_v2_month") {
        assert_eq!(
            (&request.body["start_date"], &request.body["end_date"]),
            (&"2026-02-01".into(), &"2026-02-28".into())
        );
    }
}
