//! A shrunken day or list is published after a second run confirms it, at once, or never, as the job says.

use std::sync::Arc;

use profound_export::config::OnShrink;
use profound_export::run::{Outcome, RunResult};
use profound_export::simulator::{Account, Fault, FaultKind, Simulator};

use crate::support::{Export, Place, account, day, of_stream, on_memory_and_disk};

const STREAM: &str = "visibility_v2_by_day";

/// A lake with rows, and a service that from now on has none.
async fn emptied(place: Place, on_shrink: OnShrink) -> Export {
    let mut export = Export::start(place, account(), &[STREAM]).await;
    // Days that are not final: all of them are re-extracted.
    export.job.start = Some(day("2026-03-08"));
    export.job.on_shrink = on_shrink;
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    answers_with(&export, 0);
    export
}

/// Removes rows and the total together, like a service that recomputes.
fn answers_with(export: &Export, rows: usize) {
    export.simulator.inject(Fault::from(FaultKind::FewerRows { rows }).of_stream(STREAM));
}

async fn rows(export: &Export) -> usize {
    export.all_rows(STREAM).await.len()
}

async fn assert_nothing_is_replaced(export: &Export, run: &RunResult, words: &str) {
    assert_eq!(run.outcome, Outcome::Failed, "{}", run.summary());
    assert!(run.failed[0].1.contains(words), "{:?}", run.failed);
    assert_eq!(export.states(STREAM, &export.categories()[0]).await["2026-03-09"], "suspect");
    assert!(rows(export).await > 0);
}

on_memory_and_disk! {
    async fn shrunken_day_is_replaced_at_once_if_accepted_by_the_job(place) {
        let export = emptied(place, OnShrink::Accept).await;
        let run = export.run().await;
        assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
        assert_eq!(rows(&export).await, 0);
        export.assert_ledger_knows_every_file().await;
    }
}

on_memory_and_disk! {
    async fn shrunken_day_is_reported_and_kept_if_the_job_says_keep(place) {
        let export = emptied(place, OnShrink::Keep).await;
        let before = export.versions(STREAM).await;
        for _ in 0..3 {
            let (run, received) = export.run_and_watch().await;
            assert!(!of_stream(&received, STREAM).is_empty(), "every run requests the day");
            assert_nothing_is_replaced(&export, &run, "`on_shrink = \"keep\"`").await;
            assert_eq!(export.versions(STREAM).await, before);
        }
        // Once the rows are back, the day is like any other.
        export.simulator.clear_faults();
        assert_eq!(export.run().await.outcome, Outcome::Complete);
        export.assert_equals_simulator(STREAM).await;
    }
}

#[tokio::test]
async fn shrunken_day_stays_suspect_if_row_counts_differ() {
    let mut export = Export::start(Place::Memory, Account { categories: 1, ..account() }, &[STREAM]).await;
    export.job.start = Some(day("2026-03-09"));
    assert_eq!(export.job.on_shrink, OnShrink::Confirm);
    export.run().await;
    let before = rows(&export).await;
    assert!(2 < before);
    for left in [1, 0] {
        export.simulator.clear_faults();
        answers_with(&export, left);
        assert_eq!(export.run().await.outcome, Outcome::Failed, "{left} rows");
        assert_eq!(rows(&export).await, before);
    }
    assert_eq!(export.run().await.outcome, Outcome::Complete, "two runs saw the same rows");
    assert_eq!(rows(&export).await, 0);
}

/// The same account, which from now on has `categories` categories.
async fn now_with(export: &mut Export, categories: usize) {
    let account = Account { categories, now: Some(export.simulator.now()), ..account() };
    let simulator = Simulator::start(Arc::new(export.catalog.clone()), account).await.unwrap();
    export.api.base_url = simulator.url().parse().unwrap();
    export.simulator = Arc::new(simulator);
}

on_memory_and_disk! {
    async fn shrunken_category_list_replaces_nothing_until_confirmed(place) {
        for left in place.cases([0, 1]) {
            let many = Account { categories: 4, ..account() };
            let mut export = Export::start(place, many, &["categories", STREAM]).await;
            export.job.start = Some(day("2026-03-08"));
            assert_eq!(export.run().await.outcome, Outcome::Complete);
            let before = export.files().await;
            now_with(&mut export, left).await;
            let run = export.run().await;
            assert_eq!(run.outcome, Outcome::Failed, "{left} categories: {} {:?}", run.summary(), run.error);
            let after = export.files().await;
            for (path, file) in before {
                assert_eq!(after[&path].size, file.size, "{left} categories: {path}");
            }
            // The other categories were not requested, and no row of them is missing.
            now_with(&mut export, 4).await;
            assert_eq!(export.run().await.outcome, Outcome::Complete);
            export.assert_equals_simulator(STREAM).await;
            export.assert_equals_simulator("categories").await;
        }
    }
}

on_memory_and_disk! {
    async fn categories_count_as_gone_only_if_two_runs_agree(place) {
        for left in place.cases([0, 1]) {
            let many = Account { categories: 4, ..account() };
            let mut export = Export::start(place, many, &[STREAM]).await;
            export.job.start = Some(day("2026-03-08"));
            assert_eq!(export.run().await.outcome, Outcome::Complete);
            let gone = |export: &Export| {
                let events = export.take_events();
                events.iter().filter(|event| format!("{event:?}").contains("no longer in the account")).count()
            };
            now_with(&mut export, left).await;
            let run = export.run().await;
            assert_eq!(run.outcome, Outcome::Failed, "{left}: {} {:?}", run.summary(), run.error);
            let missing = format!("not listed: {} known categories (", 4 - left);
            assert!(run.failed[0].1.starts_with(&missing) && run.failed[0].1.ends_with("they count as gone if the next run finds the same"), "{:?}", run.failed);
            assert_eq!(gone(&export), 0);

            // The service recovers and fails once more: two runs in a row must agree.
            now_with(&mut export, 4).await;
            assert_eq!(export.run().await.outcome, Outcome::Complete);
            export.assert_equals_simulator(STREAM).await;
            now_with(&mut export, left).await;
            assert_eq!(export.run().await.outcome, Outcome::Failed);
            assert_eq!(gone(&export), 0);

            // The second run in a row confirms it.
            let run = export.run().await;
            assert_eq!(run.outcome, Outcome::Complete, "{left}: {:?}", run.failed);
            assert_eq!(gone(&export), 1);
            assert_eq!(export.run().await.outcome, Outcome::Complete);
        }
    }
}
