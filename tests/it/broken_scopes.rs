//! Scopes that the server cannot answer do not keep it from being asked for the others.

use profound_export::run::Outcome;
use profound_export::simulator::{Account, Fault, FaultKind};

use crate::support::{Export, Place, account, of_stream};

const STREAM: &str = "visibility_v2_by_day";

/// HTTP 500 at once, however often it is asked.
fn broken() -> FaultKind {
    FaultKind::Status { code: 500, retry_after: Some("0".into()), reset: None }
}

#[tokio::test]
async fn other_categories_are_read_every_night_when_the_server_cannot_answer_for_some() {
    let mut export = Export::start(Place::Memory, Account { categories: 8, ..account() }, &[STREAM]).await;
    export.api.concurrency = 1;
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    let categories = export.categories();
    let (broken_ones, healthy) = categories.split_at(3);
    for category in broken_ones {
        export.simulator.inject(Fault { category: Some(category.clone()), ..Fault::from(broken()).of_stream(STREAM) });
    }
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Failed, "{}", run.summary());

    // The night after, whatever order the first one had.
    export.simulator.set_now(export.simulator.now() + jiff::SignedDuration::from_hours(24));
    let run = export.run().await;
    assert_eq!(run.totals().slices as usize, healthy.len(), "{}", run.summary());
    assert_eq!(run.failed.len(), broken_ones.len(), "{:?}", run.failed);

    // And none of the broken ones is forgotten once the server can answer.
    export.simulator.clear_faults();
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    export.assert_equals_simulator(STREAM).await;
}

#[tokio::test]
async fn dead_stream_costs_few_requests_whatever_the_number_of_categories() {
    let mut export = Export::start(Place::Memory, Account { categories: 20, ..account() }, &[STREAM]).await;
    export.api.concurrency = 1;
    export.simulator.inject(Fault::from(broken()).of_stream(STREAM));
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Failed, "{}", run.summary());
    let asked = of_stream(&received, STREAM).len();
    assert!(asked <= 2 * 3 * 5, "{asked} requests for nothing: two slices, three windows, five attempts");
}
