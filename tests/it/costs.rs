//! Request costs are learned, recorded and counted.

use std::time::Duration;

use profound_export::ledger::Fact;
use profound_export::model::cost::{RequestCosts, RequestKind};
use profound_export::run::Outcome;
use profound_export::simulator::Account;

use crate::support::{Export, Place, account, max_cost_within};

const EVENTS: [&str; 3] = ["visibility_v2_by_day", "visibility_v1", "answers_v2"];
const PERIOD: Duration = Duration::from_secs(2);

async fn costly(concurrency: usize) -> Export {
    let account = Account { requests_per_period: 30, period: PERIOD, event_cost: 3, categories: 6, ..account() };
    let mut export = Export::start(Place::Memory, account, &EVENTS).await;
    export.api.reserve_requests = 0;
    export.api.concurrency = concurrency;
    export
}

#[tokio::test]
async fn learned_cost_of_event_streams_is_used_by_the_next_run() {
    for concurrency in [1, 4] {
        let export = costly(concurrency).await;
        let run = export.run().await;
        assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
        let costs = export.state().await.facts.costs();
        assert_eq!(costs.cost(RequestKind::Page), 1);
        // With other requests always in flight, no cost may be learned.
        let learned = costs.cost(RequestKind::Events);
        assert!(learned == 3 || (concurrency > 1 && learned == 1), "{concurrency} at once: {learned}");

        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
        if learned == 1 {
            continue;
        }
        assert!(received.iter().all(|request| request.status == 200), "{concurrency} at once: the limit was hit");
        let most = max_cost_within(&received, PERIOD);
        assert!(most <= 30, "{concurrency} at once: {most} of 30");
        assert!(30 < received.iter().map(|request| request.cost).sum::<u32>(), "one period is enough");
    }
}

#[tokio::test]
async fn default_costs_are_not_recorded() {
    let mut export = Export::start(Place::Memory, account(), &EVENTS).await;
    export.api.concurrency = 1;
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    let facts = export.state().await.facts;
    assert!(!facts.iter().any(|learned| matches!(learned.fact, Fact::RequestCost { .. })), "{facts:?}");
}

#[tokio::test]
async fn lower_cost_is_noticed() {
    let export = costly(1).await;
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    let cheap = Account { event_cost: 1, categories: 6, ..account() };
    let mut cheap = Export::start(Place::Memory, cheap, &EVENTS).await.on(export.lake.clone());
    cheap.api.concurrency = 1;
    // Another simulator of the same seed is the same account.
    assert_eq!(cheap.run_after_a_minute().await.outcome, Outcome::Complete);
    assert_eq!(cheap.state().await.facts.costs(), RequestCosts::default());
}
