//! A window is published completely or not at all.

use std::time::Duration;

use profound_export::config::Period;
use profound_export::model::scope::Scope;
use profound_export::run::Outcome;
use profound_export::simulator::{Account, Fault, FaultKind};

use crate::support::{Export, Place, account, day, instant, of_stream, on_memory_and_disk};

/// Faults of a response that began well.
fn damages() -> Vec<FaultKind> {
    vec![
        FaultKind::Truncate { bytes: 3000 },
        FaultKind::SilentEnd { rows: 5 },
        FaultKind::ErrorEvent { rows: 5, name: None },
        FaultKind::Html { code: 200 },
        FaultKind::Stall { bytes: 3000 },
    ]
}

/// Whether only event streams can have the fault.
fn is_of_events(fault: &FaultKind) -> bool {
    matches!(fault, FaultKind::SilentEnd { .. } | FaultKind::ErrorEvent { .. })
}

/// An exporter of event streams with a short idle timeout.
async fn impatient(place: Place, streams: &[&str]) -> Export {
    let mut export = Export::start(place, account(), streams).await;
    export.api.idle_timeout = Period(Duration::from_millis(400));
    export
}

on_memory_and_disk! {
    async fn window_is_not_published_if_its_response_always_breaks(place) {
        for fault in place.cases(damages().into_iter().filter(|fault| !is_of_events(fault))) {
            let export = impatient(place, &["visibility_v2", "models"]).await;
            export.simulator.inject(Fault::from(fault.clone()).of_stream("visibility_v2"));
            let run = export.run().await;

            assert_eq!(run.outcome, Outcome::Failed, "{fault:?}: {}", run.summary());
            assert!(run.streams.keys().all(|stream| stream == "models"), "{fault:?}: {:?}", run.streams);
            assert!(export.versions("visibility_v2").await.is_empty(), "{fault:?} published a file");
            export.assert_equals_simulator("models").await;
            let states = export.states("visibility_v2", &export.categories()[0]).await;
            assert!(!states.is_empty() && states.values().all(|state| state == "suspect"), "{fault:?}: {states:?}");

            // No row is lost: the next run extracts the window.
            export.simulator.clear_faults();
            assert_eq!(export.run().await.outcome, Outcome::Complete);
            export.assert_equals_simulator("visibility_v2").await;
            export.assert_ledger_knows_every_file().await;
        }
    }
}

on_memory_and_disk! {
    async fn window_is_published_if_its_response_broke_once(place) {
        for fault in place.cases(damages()) {
            let export = impatient(place, &["visibility_v2", "visibility_v1"]).await;
            export.simulator.inject(Fault::from(fault.clone()).of_stream("visibility").times(1));
            let run = export.run().await;

            assert_eq!(run.outcome, Outcome::Complete, "{fault:?}: {} {:?}", run.summary(), run.failed);
            export.assert_equals_simulator("visibility_v2").await;
            export.assert_equals_simulator("visibility_v1").await;
            export.assert_ledger_knows_every_file().await;
        }
    }
}

on_memory_and_disk! {
    async fn published_file_is_kept_if_a_later_response_breaks(place) {
        let export = impatient(place, &["visibility_v2"]).await;
        export.run().await;
        let before = export.versions("visibility_v2").await;
        export.simulator.restate(day("2026-03-09"));
        export.simulator.inject(Fault::from(FaultKind::Truncate { bytes: 900 }).of_stream("visibility_v2"));

        assert_eq!(export.run().await.outcome, Outcome::Failed);
        assert_eq!(export.versions("visibility_v2").await, before);
        export.assert_ledger_knows_every_file().await;

        export.simulator.clear_faults();
        assert_eq!(export.run().await.outcome, Outcome::Complete);
        export.assert_equals_simulator("visibility_v2").await;
    }
}

/// A slice of several pages.
async fn paged(place: Place) -> Export {
    let mut export = Export::start(place, account(), &["visibility_v2"]).await;
    export.api.event_streams = false;
    export.job.start = Some(day("2026-03-09"));
    export.job.categories = vec![export.categories()[0].clone()];
    export
}

async fn assert_first_category_is_whole(export: &Export) {
    let stream = export.stream("visibility_v2");
    let scope: Scope = export.first_scope("visibility_v2");
    export.assert_rows_are_simulated(stream, &scope, export.wanted(stream)).await;
}

on_memory_and_disk! {
    async fn contradictory_pages_are_not_published(place) {
        for fault in place.cases([FaultKind::ChangingTotal, FaultKind::RepeatedCursor, FaultKind::RepeatedPage]) {
            let export = paged(place).await;
            export.simulator.inject(Fault::from(fault.clone()).of_stream("visibility_v2").after(1));
            let run = export.run().await;

            assert_eq!(run.outcome, Outcome::Failed, "{fault:?}: {}", run.summary());
            assert!(run.failed[0].1.contains("is not proven complete"), "{fault:?}: {:?}", run.failed);
            assert!(export.versions("visibility_v2").await.is_empty(), "{fault:?} published a file");

            export.simulator.clear_faults();
            assert_eq!(export.run().await.outcome, Outcome::Complete);
            assert_first_category_is_whole(&export).await;
        }
    }
}

on_memory_and_disk! {
    async fn window_is_not_published_if_its_last_page_fails(place) {
        let pages = {
            let export = paged(Place::Memory).await;
            let (_, received) = export.run_and_watch().await;
            of_stream(&received, "visibility_v2").len() as u64
        };
        assert!(2 < pages, "the slice has several pages");
        let busy = FaultKind::Status { code: 503, retry_after: Some("0".into()), reset: None };
        for fault in place.cases([busy, FaultKind::Truncate { bytes: 500 }, FaultKind::Html { code: 200 }]) {
            let export = paged(place).await;
            export.simulator.inject(Fault::from(fault.clone()).of_stream("visibility_v2").after(pages - 1));
            let run = export.run().await;

            assert_eq!(run.outcome, Outcome::Failed, "{fault:?}: {}", run.summary());
            assert!(export.versions("visibility_v2").await.is_empty(), "{fault:?} published a file");

            export.simulator.clear_faults();
            assert_eq!(export.run().await.outcome, Outcome::Complete);
            assert_first_category_is_whole(&export).await;
        }
    }
}

#[tokio::test]
async fn pagination_continues_after_one_page_is_retried() {
    let export = paged(Place::Memory).await;
    let busy = FaultKind::Status { code: 503, retry_after: Some("0".into()), reset: None };
    export.simulator.inject(Fault::from(busy).of_stream("visibility_v2").after(1).times(2));
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete);
    assert_first_category_is_whole(&export).await;
    let first_pages = of_stream(&received, "visibility_v2").iter().filter(|page| page.body["cursor"].is_null()).count();
    assert_eq!(first_pages, 1, "the pagination restarted");
}

#[tokio::test]
async fn pages_are_used_if_event_streams_always_break() {
    for fault in damages().into_iter().filter(is_of_events) {
        let export = Export::start(Place::Memory, account(), &["visibility_v2_by_day"]).await;
        export.simulator.inject(fault.clone().into());
        let run = export.run().await;
        assert_eq!(run.outcome, Outcome::Complete, "{fault:?}: {}", run.summary());
        export.assert_equals_simulator("visibility_v2_by_day").await;
    }
}

on_memory_and_disk! {
    async fn shrunken_day_is_replaced_if_a_second_run_confirms_it(place) {
        // A wrong clock may extract today as a complete day; the API cuts today off, so the day would shrink.
        // Here a fault removes rows and the total together, like a service that recomputes.
        let export = Export::start(place, account(), &["visibility_v2_by_day"]).await;
        export.run().await;
        let before = export.versions("visibility_v2_by_day").await;

        let remove_rows = || {
            export.simulator.inject(Fault::from(FaultKind::FewerRows { rows: 0 }).of_stream("visibility_v2_by_day"));
        };
        remove_rows();
        let run = export.run().await;
        assert_eq!(run.outcome, Outcome::Failed, "{}", run.summary());
        assert!(run.failed[0].1.contains("replaced if the next run finds the same"), "{:?}", run.failed);
        assert_eq!(export.versions("visibility_v2_by_day").await, before);
        let category = &export.categories()[0];
        assert_eq!(export.states("visibility_v2_by_day", category).await["2026-03-09"], "suspect");

        // The day that became empty gets a file of no rows, so that no reader finds the old one.
        let run = export.run().await;
        assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
        let scope = export.first_scope("visibility_v2_by_day");
        let path = export.layout().data_path("visibility_v2_by_day", &scope, Some(day("2026-03-09"))).to_string();
        let table = export.table(&path).await;
        assert!(table.rows.is_empty());
        assert!(table.columns.contains(&"visibility_score".to_owned()));
        assert_eq!(table.footer["profound_export.rows"], "0");
        export.assert_ledger_knows_every_file().await;
    }
}

#[tokio::test]
async fn spool_is_empty_after_a_run() {
    let export = impatient(Place::Memory, &["visibility_v2", "models"]).await;
    export.simulator.inject(Fault::from(FaultKind::Truncate { bytes: 3000 }).of_stream("visibility_v2"));
    export.run().await;
    let settings = export.settings();
    let left: Vec<_> = std::fs::read_dir(&settings.destinations.spool_dir).unwrap().flatten().collect();
    assert!(left.iter().all(|entry| entry.file_name() == "lock"), "{left:?}");
}

#[tokio::test]
async fn today_is_never_published() {
    let account = Account { now: Some(instant("2026-03-10T23:59:00Z")), ..account() };
    let export = Export::start(Place::Memory, account, &["visibility_v2_by_day", "bots_v2"]).await;
    export.run().await;
    let files = export.files().await;
    assert!(files.keys().all(|path| !path.contains("day=2026-03-10")), "{files:?}");
}
