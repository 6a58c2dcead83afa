//! The meaning of a table changes only on purpose, and then day by day.

use std::collections::BTreeSet;

use profound_export::model::column::Protect;
use profound_export::plan::WantedDays;
use profound_export::run::{Outcome, RunResult, run_job};
use serde_json::json;

use crate::ledger::altered;
use crate::support::{Export, Place, account, day, days, of_stream, on_memory_and_disk};
use crate::verify::verified;

const STREAM: &str = "visibility_v2_by_day";

/// A forced backfill of the days from `first` to `last`.
async fn forced(export: &Export, first: &str, last: &str) -> RunResult {
    let goal = profound_export::run::RunRequest {
        days: Some(WantedDays::Only { window: days(first, last), force: true }),
        ..export.goal()
    };
    export.a_minute_later();
    run_job(&export.settings(), &goal).await
}

/// Days whose files have a column, of all scopes.
async fn days_with(export: &Export, column: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in export.files().await.into_keys().filter(|path| path.starts_with(&format!("{STREAM}/"))) {
        if export.table(&path).await.columns.iter().any(|name| name == column) {
            found.insert(path.split("day=").nth(1).unwrap()[..10].to_owned());
        }
    }
    found
}

on_memory_and_disk! {
    async fn forced_backfill_changes_the_meaning_and_every_day_follows(place) {
        let mut export = Export::start(place, account(), &[STREAM, "models"]).await;
        assert_eq!(export.run().await.outcome, Outcome::Complete);
        let all: BTreeSet<String> = ["06", "07", "08", "09"].map(|date| format!("2026-03-{date}")).into();
        assert_eq!(days_with(&export, "share_of_voice").await, all);

        export.catalog = altered(&export.catalog, STREAM, |stream| {
            stream.columns.retain(|column| column.name != "share_of_voice");
            let metrics = stream.body.get_mut("metrics").unwrap().as_array_mut().unwrap();
            metrics.retain(|metric| *metric != "share_of_voice");
        });
        let refused = export.run().await;
        assert_eq!(refused.outcome, Outcome::ConfigMismatch);
        let error = refused.error.unwrap();
        assert!(error.to_string().contains("column `share_of_voice` was removed"), "{error}");
        assert!(error.hint().unwrap().contains("--force"), "{:?}", error.hint());

        // The backfill replaces its own days; the others are stale and reported as such.
        let run = forced(&export, "2026-03-08", "2026-03-09").await;
        assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
        assert_eq!(days_with(&export, "share_of_voice").await, ["2026-03-06", "2026-03-07"].map(String::from).into());
        assert_eq!(export.states(STREAM, &export.categories()[0]).await["2026-03-06"], "stale");
        let (report, findings) = verified(&export, profound_export::maintain::Depth::Rows, false).await;
        assert!(report.is_fine(), "{findings:?}");

        // Every later run uses the new meaning and re-extracts the other days, even final ones.
        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.error);
        assert!(of_stream(&received, STREAM).iter().all(|request| request.body["start_date"] == "2026-03-06"));
        assert!(days_with(&export, "share_of_voice").await.is_empty());
        assert_eq!(export.states(STREAM, &export.categories()[0]).await["2026-03-06"], "final");
        export.assert_equals_simulator(STREAM).await;
        export.assert_ledger_knows_every_file().await;
    }
}

#[tokio::test]
async fn days_of_another_meaning_do_not_count_as_shrunken() {
    let mut export = Export::start(Place::Memory, account(), &["visibility_v2"]).await;
    export.job.start = Some(day("2026-03-08"));
    export.run().await;
    let before = export.all_rows("visibility_v2").await.len();
    // One row for each day and asset, without topic and platform.
    export.catalog = altered(&export.catalog, "visibility_v2", |stream| {
        stream.body.insert("group_by".into(), json!(["date"]));
        stream.key = vec!["date".into(), "asset.name".into()];
    });
    let run = forced(&export, "2026-03-08", "2026-03-09").await;
    assert_eq!(run.outcome, Outcome::Complete, "{} {:?} {:?}", run.summary(), run.failed, run.error);
    let after = export.all_rows("visibility_v2").await.len();
    assert!(after * 2 < before, "{after} of {before} rows");
    export.assert_ledger_knows_every_file().await;
}

#[tokio::test]
async fn newly_dropped_column_is_rejected_until_days_are_rewritten() {
    let mut export = Export::start(Place::Memory, account(), &[STREAM]).await;
    export.run().await;
    export.catalog = altered(&export.catalog, STREAM, |stream| {
        stream.protect = [("asset".to_owned(), Protect::Drop)].into();
    });
    let refused = export.run().await;
    assert_eq!(refused.outcome, Outcome::ConfigMismatch);
    assert!(refused.error.unwrap().to_string().contains("`asset` was unprotected and is now to be dropped"));
    let before = export.all_rows(STREAM).await;
    assert!(before.iter().any(|row| !row["asset"].is_null()));
    assert_eq!(forced(&export, "2026-03-06", "2026-03-09").await.outcome, Outcome::Complete);
    let after = export.all_rows(STREAM).await;
    assert!(after.len() == before.len() && after.iter().all(|row| row["asset"].is_null()));
}

#[tokio::test]
async fn force_does_not_move_a_table_to_other_paths() {
    let mut export = Export::start(Place::Memory, account(), &["category_topics", "models"]).await;
    export.job.list_snapshots = true;
    export.run().await;
    let before = export.objects().await;
    let whole = export.catalog.clone();
    export.catalog = altered(&whole, "category_topics", |stream| {
        stream.columns.pop();
    });
    let run = forced(&export, "2026-03-08", "2026-03-09").await;
    assert_eq!(run.outcome, Outcome::ConfigMismatch);
    assert!(run.error.unwrap().to_string().contains("`category_topics_history`"));
    export.catalog = altered(&whole, "models", |stream| {
        stream.scope = profound_export::model::scope::ScopeKind::Organization;
    });
    let run = forced(&export, "2026-03-08", "2026-03-09").await;
    assert_eq!(run.outcome, Outcome::ConfigMismatch);
    assert!(run.error.unwrap().to_string().contains("would have other paths"));
    assert_eq!(export.objects().await, before);
}
