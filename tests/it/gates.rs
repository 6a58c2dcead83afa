//! A gate that reports no data saves the requests of its streams, and never hides rows.

use std::collections::BTreeMap;

use profound_export::model::proof::Proof;
use profound_export::run::Outcome;
use profound_export::simulator::{Account, ProductHolders};

use crate::support::{Export, Place, account, instant, of_stream, on_memory_and_disk};

fn with(gate: &str, holders: ProductHolders) -> Account {
    let products = BTreeMap::from([(gate.to_owned(), holders)]);
    Account { products, ..account() }
}

const FACTCHECK: &str = "accuracy_factcheck_setup_status";
const SHOPPING: &str = "shopping_trigger_rate_v2";

on_memory_and_disk! {
    async fn category_without_factcheck_is_not_entitled_or_requested(place) {
        let streams = ["factcheck_scores_v2_by_model", "factcheck_claims_v2", "accuracy_inaccurate_clusters"];
        let export = Export::start(place, with(FACTCHECK, ProductHolders::First), &streams).await;

        let (run, received) = export.run_and_watch().await;

        assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
        let without = export.categories()[1].clone();
        for stream in streams {
            let of_without = of_stream(&received, stream).into_iter().filter(|request| request.body["category_id"] == without);
            assert_eq!(of_without.count(), 0, "{stream} is requested for a category without the product");
            assert_eq!(export.states(stream, &without).await.values().collect::<Vec<_>>(), ["not_entitled"]);
            export.assert_equals_simulator(stream).await;
        }
        assert_eq!(of_stream(&received, FACTCHECK).len(), 2, "one request a category");
        assert!(run.not_entitled.iter().all(|slice| slice.scope.category.as_ref().unwrap().id == without));
    }
}

on_memory_and_disk! {
    async fn days_a_gate_calls_empty_are_recorded_with_its_proof(place) {
        let streams = [SHOPPING, "shopping_brands_v2", "shopping_merchants_v2_by_brand"];
        let export = Export::start(place, with(SHOPPING, ProductHolders::First), &streams).await;

        let (run, received) = export.run_and_watch().await;

        assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
        let scopes = export.simulator.scopes(export.stream(SHOPPING).scope);
        for stream in &streams[1..] {
            let requested = of_stream(&received, stream);
            assert!(!requested.is_empty());
            assert!(requested.iter().all(|request| request.body["category_id"] == export.categories()[0]), "{stream}");
            export.assert_equals_simulator(stream).await;
            let state = export.state().await;
            let days = &state.scope(stream, &scopes[1].key()).unwrap().days;
            assert_eq!(days.len(), 4, "{stream}");
            assert!(days.values().all(|day| day.proof == Some(Proof::Gate) && day.rows == 0 && !day.file), "{days:?}");
        }
        export.assert_ledger_knows_every_file().await;
    }
}

#[tokio::test]
async fn gate_is_added_unless_excluded_by_name() {
    let brought = Export::start(Place::Memory, with(SHOPPING, ProductHolders::None), &["shopping_brands_v2"]).await;
    let (run, received) = brought.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    assert_eq!((of_stream(&received, SHOPPING).len(), of_stream(&received, "shopping_brands_v2").len()), (2, 0));

    let left_out = ["shopping_brands_v2", "!shopping_trigger_rate_v2"];
    let alone = Export::start(Place::Memory, with(SHOPPING, ProductHolders::None), &left_out).await;
    let (run, received) = alone.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    assert_eq!(of_stream(&received, SHOPPING).len(), 0);
    assert!(!of_stream(&received, "shopping_brands_v2").is_empty());
}

#[tokio::test]
async fn product_set_up_later_is_backfilled() {
    let streams = ["factcheck_scores_v2_by_model"];
    let mut export = Export::start(Place::Memory, with(FACTCHECK, ProductHolders::None), &streams).await;
    let run = export.run().await;
    assert_eq!((run.outcome, run.not_entitled.len()), (Outcome::Complete, 2));

    // The same account, some days later and with FactCheck.
    let catalog = std::sync::Arc::new(export.catalog.clone());
    let later = with(FACTCHECK, ProductHolders::All);
    let simulator = profound_export::simulator::Simulator::start(catalog, later).await.unwrap();
    export.api.base_url = simulator.url().parse().unwrap();
    export.simulator = std::sync::Arc::new(simulator);
    export.simulator.set_now(instant("2026-03-12T16:00:00Z"));
    let run = export.run().await;
    assert_eq!((run.outcome, run.not_entitled.len()), (Outcome::Complete, 0), "{}", run.summary());
    export.assert_equals_simulator(streams[0]).await;
}
