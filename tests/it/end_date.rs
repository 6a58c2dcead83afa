//! Days that a window's end may have cost are extracted once more.

use profound_export::run::Outcome;
use profound_export::simulator::{Account, Fault, FaultKind, Simulator, UndocumentedEnd};
use std::sync::Arc;

use crate::support::{Export, Place, account, instant, of_stream, on_memory_and_disk};

on_memory_and_disk! {
    async fn rejected_window_costs_only_its_newest_day(place) {
        let export = Export::start(place, account(), &["visibility_v2_by_day"]).await;
        // Every window that includes the newest day.
        let detail = profound_export::simulator::DetailForm::List;
        export.simulator.inject(Fault::from(FaultKind::Unprocessable { detail }).longer_than(3));
        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete, "{:?}", run.failed);
        export.assert_equals_simulator("visibility_v2_by_day").await;
        let categories = export.categories().len();
        assert_eq!(of_stream(&received, "visibility_v2_by_day").len(), 4 * categories, "twice, then in two parts");
    }
}

#[tokio::test]
async fn days_are_reopened_if_the_meaning_of_end_date_changes() {
    let start = |end| Account { undocumented_end: end, ..account() };
    let mut export =
        Export::start(Place::Memory, start(UndocumentedEnd::Inclusive), &["accuracy_inaccurate_clusters"]).await;
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    let exclusive = Account { now: Some(instant("2026-03-18T16:00:00Z")), ..start(UndocumentedEnd::Rejected) };
    let simulator = Simulator::start(Arc::new(export.catalog.clone()), exclusive).await.unwrap();
    export.api.base_url = simulator.url().parse().unwrap();
    export.simulator = Arc::new(simulator);
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Incomplete, "{}", run.summary());
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    export.assert_equals_simulator("accuracy_inaccurate_clusters").await;
}
