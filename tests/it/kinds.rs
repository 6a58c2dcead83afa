//! Rows without a date: each day, week or month has its own request and file.

use profound_export::model::proof::Proof;
use profound_export::run::Outcome;
use profound_export::simulator::{Account, UndocumentedEnd};
use serde_json::json;

use crate::support::{Export, Place, account, day, instant, of_stream, on_memory_and_disk};

const CLAIMS: &str = "factcheck_claims_v2";
const CLUSTERS: &str = "accuracy_inaccurate_clusters";

on_memory_and_disk! {
    async fn each_day_is_a_request_and_a_file_re_extracted_once(place) {
        let export = Export::start(place, account(), &[CLAIMS]).await;

        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
        let requested = of_stream(&received, CLAIMS);
        assert_eq!(requested.len(), 4, "a day each of the category that has the product");
        assert!(requested.iter().all(|request| request.body["start_date"] == request.body["end_date"]));
        export.assert_equals_simulator(CLAIMS).await;
        export.assert_ledger_knows_every_file().await;

        // Whatever the lookback, nothing is requested until the first day is seven days old.
        let (run, received) = export.run_and_watch().await;
        assert_eq!((run.outcome, of_stream(&received, CLAIMS).len()), (Outcome::Complete, 0));
        export.simulator.set_now(instant("2026-03-14T16:00:00Z"));
        let (_, received) = export.run_and_watch().await;
        let requested: Vec<_> = of_stream(&received, CLAIMS).iter().map(|request| request.body["start_date"].clone()).collect();
        assert_eq!(requested.len(), 5, "four new days and the first once more: {requested:?}");
        assert!(requested.contains(&json!("2026-03-06")));
        export.assert_equals_simulator(CLAIMS).await;
    }
}

on_memory_and_disk! {
    async fn month_is_requested_after_its_end_into_its_own_table(place) {
        let mut export = Export::start(place, account(), &["visibility_v2_month"]).await;
        export.job.start = Some(day("2026-01-20"));

        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
        let mut requested: Vec<String> = of_stream(&received, "visibility_v2_month")
            .iter()
            .map(|request| format!("{}..{}", request.body["start_date"], request.body["end_date"]))
            .collect();
        requested.sort();
        requested.dedup();
        assert_eq!(requested, [r#""2026-01-01".."2026-01-31""#, r#""2026-02-01".."2026-02-28""#]);
        export.assert_equals_simulator("visibility_v2_month").await;
        export.assert_ledger_knows_every_file().await;
        let files = export.files().await;
        assert!(files.keys().all(|path| path.ends_with("month=2026-01/data.parquet") || path.ends_with("month=2026-02/data.parquet")));

        // February was final when it was extracted on the tenth of March.
        let (_, received) = export.run_and_watch().await;
        assert!(of_stream(&received, "visibility_v2_month").is_empty());
        export.simulator.set_now(instant("2026-04-02T16:00:00Z"));
        let (_, received) = export.run_and_watch().await;
        assert_eq!(of_stream(&received, "visibility_v2_month").len(), 2, "March, of two categories");
        export.simulator.set_now(instant("2026-04-09T16:00:00Z"));
        let (_, received) = export.run_and_watch().await;
        assert_eq!(of_stream(&received, "visibility_v2_month").len(), 2, "March once more, now that it is final");
        export.assert_equals_simulator("visibility_v2_month").await;
    }
}

on_memory_and_disk! {
    async fn week_is_requested_after_its_sunday_under_its_monday(place) {
        let mut export = Export::start(place, account(), &["visibility_v2_week"]).await;
        // A Wednesday: its week is whole, as a month would be.
        export.job.start = Some(day("2026-02-25"));

        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
        let mut requested: Vec<String> = of_stream(&received, "visibility_v2_week")
            .iter()
            .map(|request| format!("{}..{}", request.body["start_date"], request.body["end_date"]))
            .collect();
        requested.sort();
        requested.dedup();
        assert_eq!(requested, [r#""2026-02-23".."2026-03-01""#, r#""2026-03-02".."2026-03-08""#]);
        export.assert_equals_simulator("visibility_v2_week").await;
        export.assert_ledger_knows_every_file().await;
        let files = export.files().await;
        assert!(files.keys().all(|path| path.ends_with("day=2026-02-23/data.parquet") || path.ends_with("day=2026-03-02/data.parquet")));

        // The newest week is provisional until seven days after its Sunday.
        export.simulator.set_now(instant("2026-03-15T16:00:00Z"));
        let (_, received) = export.run_and_watch().await;
        assert!(of_stream(&received, "visibility_v2_week").is_empty());
        export.simulator.set_now(instant("2026-03-16T16:00:00Z"));
        let (_, received) = export.run_and_watch().await;
        assert_eq!(of_stream(&received, "visibility_v2_week").len(), 4, "a new week, and the last once more, of two categories");
        export.assert_equals_simulator("visibility_v2_week").await;
    }
}

/// The requests for clusters of a first and a second run of an account whose `end_date` means what `end` says.
async fn clusters_asked(end: UndocumentedEnd) -> (usize, usize) {
    let account = Account { undocumented_end: end, ..account() };
    let export = Export::start(Place::Memory, account, &[CLUSTERS]).await;
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{end:?}: {}", run.summary());
    export.assert_equals_simulator(CLUSTERS).await;
    let first = of_stream(&received, CLUSTERS).len();
    export.simulator.set_now(instant("2026-03-11T16:00:00Z"));
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{end:?}: {}", run.summary());
    export.assert_equals_simulator(CLUSTERS).await;
    (first, of_stream(&received, CLUSTERS).len())
}

#[tokio::test]
async fn undocumented_meaning_of_end_date_is_learned() {
    assert_eq!(clusters_asked(UndocumentedEnd::Inclusive).await, (4, 1));
    for end in [UndocumentedEnd::Rejected, UndocumentedEnd::Empty] {
        let (first, second) = clusters_asked(end).await;
        // Only slices in flight before the first response are requested needlessly, and one rejection alone proves nothing.
        let most = if end == UndocumentedEnd::Rejected { 12 } else { 8 };
        assert!((5..=most).contains(&first), "{end:?}: {first}");
        assert_eq!(second, 1, "{end:?}: the meaning is recorded");
    }
}

#[tokio::test]
async fn days_of_ads_use_the_zone_of_the_ad_account() {
    let name = "openai_ads_insights_campaign";
    let export = Export::start(Place::Memory, account(), &[name]).await;
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    let requested = of_stream(&received, name)[0];
    assert!(requested.query.contains("2026-03-05") && requested.query.contains("2026-03-10"), "{}", requested.query);
    let scope = export.first_scope(name);
    let rows = export.rows(name, &scope).await;
    assert!(!rows.is_empty() && rows.iter().all(|row| row["timezone"] == "America/Los_Angeles"));
    export.assert_equals_simulator(name).await;
    let state = export.state().await;
    let proofs: Vec<_> = state.scope(name, &scope.key()).unwrap().days.values().map(|state| state.proof).collect();
    assert!(proofs.iter().all(|proof| *proof == Some(Proof::CursorEnd)), "{proofs:?}");
}
