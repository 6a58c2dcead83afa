//! The whole read surface of the API, from a small account that has every product.

use std::collections::BTreeSet;

use profound_export::model::event::Event;
use profound_export::model::stream::Tier;
use profound_export::run::Outcome;
use profound_export::simulator::{Account, ProductHolders};

use crate::support::{Export, Place, account, day};

/// A small account that has every product.
fn holder() -> Account {
    let products = account().products.into_keys().map(|gate| (gate, ProductHolders::All)).collect();
    Account { products, categories: 1, prompts_per_category: 3, ..account() }
}

#[tokio::test]
async fn every_stream_of_a_full_account_is_exported() {
    let mut export = Export::start(Place::Memory, holder(), &["everything"]).await;
    // Two days, and the month before them.
    export.job.start = Some(day("2026-03-08"));

    let run = export.run().await;

    let failed: BTreeSet<String> =
        run.failed.iter().map(|(slice, problem)| format!("{}: {problem}", slice.stream.name)).collect();
    assert_eq!((run.outcome, failed), (Outcome::Complete, BTreeSet::new()), "{}", run.summary());
    let drift: Vec<_> =
        export.take_events().into_iter().filter(|event| matches!(event, Event::SchemaDrift { .. })).collect();
    assert!(drift.is_empty(), "{drift:?}");
    let streams: Vec<_> = export.catalog.tier(Tier::Everything).cloned().collect();
    let mut empty = Vec::new();
    for stream in &streams {
        if export.wanted(stream).is_none() && stream.days.is_some() {
            continue;
        }
        export.assert_equals_simulator(&stream.name).await;
        if export.all_rows(&stream.name).await.is_empty() {
            empty.push(stream.name.clone());
        }
    }
    assert!(empty.is_empty(), "no rows of {empty:?}");
    assert!(run.not_entitled.is_empty() && run.deferred.is_empty());
    export.assert_ledger_knows_every_file().await;
}
