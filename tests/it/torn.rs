//! A store on which a write that fails leaves half of what it should have written, as no store should. What is half is never
//! believed: it is written again, read again, or named and refused until the ledger is made again.

use std::sync::Arc;

use jiff::SignedDuration;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use profound_export::clock::Clock;
use profound_export::destination::Destination;
use profound_export::ledger::{Ledger, LedgerError};
use profound_export::maintain::Depth;
use profound_export::run::{Outcome, RunError};
use profound_export::simulator::Account;

use crate::rebuild::rebuilt;
use crate::support::stores::{Bad, Vice};
use crate::support::{Export, Place, account, day};
use crate::verify::verified;

const STREAMS: [&str; 3] = ["visibility_v2_by_day", "models", "bots_v2"];

/// A lake that a run has written, of figures that were restated since: the next run writes over files that stand.
async fn restated(store: &Arc<dyn ObjectStore>) -> Export {
    let small = Account { categories: 1, domains: 1, prompts_per_category: 2, ..account() };
    let mut export = Export::start(Place::Memory, small, &STREAMS).await;
    export.job.start = Some(day("2026-03-08"));
    let export = export.on(Destination::new(Arc::clone(store), "test:///"));
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    export.simulator.restate(day("2026-03-08"));
    export
}

/// Tears each write of a run in turn, and mends the lake as an operator would.
async fn assert_nothing_half_is_believed(dies: bool) {
    let mut refused = 0;
    for at in 0.. {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let mut export = restated(&store).await;
        let bad = Bad::new(Arc::clone(&store), Vice::Tears { at, dies });
        let lake = Destination::new(Arc::clone(&bad) as Arc<dyn ObjectStore>, "test:///");
        let good = std::mem::replace(&mut export.lake, lake);
        let (torn, run) = tokio::select! {
            biased;
            // The process dies only with a torn write.
            () = bad.reached(), if dies => (true, None),
            run = export.run() => (at < bad.writes(), Some(run)),
        };
        export.lake = good;
        if let Some(run) = &run {
            let is_fine = match (run.outcome, &run.error) {
                (Outcome::Complete, _) => true,
                // A record that is half stands for ever, and nobody takes it for another.
                (Outcome::ConfigMismatch, Some(RunError::Ledger(LedgerError::Unreadable { .. }))) => true,
                (Outcome::ConfigMismatch, Some(RunError::SharedLedger(error))) => {
                    matches!(**error, LedgerError::Unreadable { .. })
                }
                _ => false,
            };
            assert!(is_fine, "torn at write {at}: {} {:?}", run.summary(), run.error);
        }
        // A run that was killed counts as such after ten minutes.
        export.simulator.set_now(export.simulator.now() + SignedDuration::from_mins(15));
        let clock = Clock::starting_at(export.simulator.now());
        if let Err(error) = Ledger::open(export.lake.clone(), clock).await {
            assert!(
                matches!(error, LedgerError::Unreadable { .. }) && error.hint().contains("ledger rebuild"),
                "{error}"
            );
            refused += 1;
            rebuilt(&export).await;
        }
        let mended = export.run().await;
        assert_eq!(mended.outcome, Outcome::Complete, "torn at write {at}: {} {:?}", mended.summary(), mended.error);
        for stream in STREAMS {
            export.assert_equals_simulator(stream).await;
        }
        export.assert_ledger_knows_every_file().await;
        let (told, findings) = verified(&export, Depth::Rows, false).await;
        assert!(told.is_fine(), "torn at write {at}: {findings:?}");
        if !torn {
            assert!(6 < at && 2 < refused, "only {at} writes were torn, {refused} of them records");
            return;
        }
    }
}

#[tokio::test]
async fn nothing_half_is_believed_when_a_write_is_torn() {
    assert_nothing_half_is_believed(false).await;
}

#[tokio::test]
async fn nothing_half_is_believed_when_the_process_dies_with_a_torn_write() {
    assert_nothing_half_is_believed(true).await;
}
