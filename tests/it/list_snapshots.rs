//! Lists keep a daily snapshot in a table of their own, and their current copy as it is.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use profound_export::layout::Layout;
use profound_export::run::Outcome;
use serde_json::Value;

use crate::support::{Export, account, day, on_memory_and_disk};

const STREAMS: [&str; 4] = ["prompts", "models", "assets", "visibility_v2_by_day"];

async fn with_history(place: crate::support::Place) -> Export {
    let mut export = Export::start(place, account(), &STREAMS).await;
    export.job.list_snapshots = true;
    export
}

/// The rows of a snapshot, without the column of its day and the footer.
async fn snapshot(export: &Export, stream: &str, date: &str) -> Option<Vec<Value>> {
    let mut rows = Vec::new();
    let scope = export.first_scope(stream);
    let layout: Layout = export.layout();
    let path = layout.data_path(&format!("{stream}_history"), &scope, Some(day(date))).to_string();
    if !export.files().await.contains_key(&path) {
        return None;
    }
    let table = export.table(&path).await;
    assert_eq!(table.footer["profound_export.stream"], format!("{stream}_history"));
    assert_eq!(table.footer["profound_export.rows"], table.rows.len().to_string());
    for mut row in table.rows {
        assert_eq!(row.as_object_mut().unwrap().shift_remove("snapshot_date").unwrap(), date);
        rows.push(row);
    }
    Some(rows)
}

on_memory_and_disk! {
    async fn every_list_has_a_current_copy_and_a_daily_snapshot(place) {
        let export = with_history(place).await;
        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
        for stream in ["prompts", "models", "assets"] {
            export.assert_equals_simulator(stream).await;
            let current = export.rows(stream, &export.first_scope(stream)).await;
            assert_eq!(snapshot(&export, stream, "2026-03-10").await.unwrap(), current, "{stream}");
            // Extracted once, written to both.
            let requested = received.iter().filter(|request| request.stream.as_deref() == Some(stream));
            let cursors: BTreeSet<String> = requested.map(|request| format!("{} {}", request.path, request.query)).collect();
            assert!(!cursors.is_empty());
        }
        export.assert_ledger_knows_every_file().await;
        assert!(export.files().await.keys().all(|path| !path.starts_with("visibility_v2_by_day_history")));

        let layout = export.layout();
        let path = layout.data_path("prompts_history", &export.first_scope("prompts"), Some(day("2026-03-10")));
        let columns = export.table(path.as_ref()).await.columns;
        assert_eq!(columns[..3], ["category_id", "category_name", "snapshot_date"]);
    }
}

on_memory_and_disk! {
    async fn snapshot_is_written_once_a_day(place) {
        let export = with_history(place).await;
        export.run().await;
        let first = export.versions("models_history").await;
        assert_eq!(export.run().await.outcome, Outcome::Complete);
        assert_eq!(export.versions("models_history").await, first);

        export.simulator.set_now(export.simulator.now() + SignedDuration::from_hours(48));
        assert_eq!(export.run().await.outcome, Outcome::Complete);
        let later = export.versions("models_history").await;
        assert_eq!(later.len(), 2, "the list did not change, but its snapshot is written: {later:?}");
        assert!(first.iter().all(|(path, version)| later.get(path) == Some(version)));
        assert_eq!(snapshot(&export, "models", "2026-03-11").await, None);

        // The day between has no snapshot and is not missing.
        let coverage = export.coverage().await;
        let states: Vec<(String, String)> = coverage
            .iter()
            .filter(|row| row["stream"] == "models_history")
            .map(|row| (row["day"].as_str().unwrap().to_owned(), row["status"].as_str().unwrap().to_owned()))
            .collect();
        let expected = [("2026-03-10", "final"), ("2026-03-12", "provisional")];
        assert_eq!(states, expected.map(|(day, state)| (day.to_owned(), state.to_owned())));
        export.assert_ledger_knows_every_file().await;
    }
}

#[tokio::test]
async fn snapshots_are_written_only_if_the_job_enables_them() {
    let export = Export::start(crate::support::Place::Memory, account(), &STREAMS).await;
    export.run().await;
    assert!(export.files().await.keys().all(|path| !path.contains("_history")));
}
