//! A store on which a failing write leaves half an object. A torn object is never trusted: it is rewritten, re-extracted, or
//! named and rejected until the ledger is rebuilt.

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

/// A lake whose figures were restated after its run: the next run overwrites published files.
async fn restated(store: &Arc<dyn ObjectStore>) -> Export {
    let small = Account { categories: 1, domains: 1, prompts_per_category: 2, ..account() };
    let mut export = Export::start(Place::Memory, small, &STREAMS).await;
    export.job.start = Some(day("2026-03-08"));
    let export = export.on(Destination::new(Arc::clone(store), "test:///"));
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    export.simulator.restate(day("2026-03-08"));
    export
}

/// Tears each write of a run in turn, and repairs the lake like an operator.
async fn assert_torn_writes_are_not_trusted(dies: bool) {
    let mut rejected = 0;
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
                // A torn record is never replaced, and its number is never reused.
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
            rejected += 1;
            rebuilt(&export).await;
        }
        let next = export.run().await;
        assert_eq!(next.outcome, Outcome::Complete, "torn at write {at}: {} {:?}", next.summary(), next.error);
        for stream in STREAMS {
            export.assert_equals_simulator(stream).await;
        }
        export.assert_ledger_knows_every_file().await;
        let (report, findings) = verified(&export, Depth::Rows, false).await;
        assert!(report.is_fine(), "torn at write {at}: {findings:?}");
        if !torn {
            assert!(6 < at && 2 < rejected, "only {at} writes were torn, {rejected} of them records");
            return;
        }
    }
}

#[tokio::test]
async fn torn_write_is_never_trusted() {
    assert_torn_writes_are_not_trusted(false).await;
}

#[tokio::test]
async fn torn_write_of_a_killed_process_is_never_trusted() {
    assert_torn_writes_are_not_trusted(true).await;
}
