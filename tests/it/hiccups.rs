//! A store that sometimes fails causes no second request to the API, and a hanging one leaves no partial file.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use profound_export::destination::Destination;
use profound_export::run::{Outcome, run_job};

use crate::support::stores::{Bad, Vice};
use crate::support::{Export, Place, account, day, of_stream};

const STREAMS: [&str; 3] = ["visibility_v2_by_day", "visibility_v1", "category_topics"];

#[tokio::test]
async fn store_hiccups_cause_no_second_request() {
    let clean = Export::start(Place::Memory, account(), &STREAMS).await;
    let (_, requested) = clean.run_and_watch().await;
    let night = async |seed: u64| {
        let store = Bad::new(Arc::new(InMemory::new()), Vice::Hiccups { seed });
        let lake = Destination::new(store, "memory:///");
        let mut export = Export::start(Place::Memory, account(), &STREAMS).await.on(lake);
        // The probe writes few objects, so most of its attempts would fail.
        export.single_writer = true;
        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete, "seed {seed}: {} {:?} {:?}", run.summary(), run.failed, run.error);
        for stream in STREAMS {
            let (here, there) = (of_stream(&received, stream).len(), of_stream(&requested, stream).len());
            assert_eq!(here, there, "seed {seed}: {stream} was requested twice");
        }
        for stream in STREAMS {
            export.assert_equals_simulator(stream).await;
        }
        export.assert_ledger_knows_every_file().await;
    };
    futures::future::join_all((0..6).map(night)).await;
}

#[tokio::test]
async fn run_stopped_during_a_hanging_write_leaves_no_partial_file() {
    for at in 2.. {
        let mut export = Export::start(Place::Memory, account(), &["visibility_v2_by_day", "category_topics"]).await;
        export.job.start = Some(day("2026-03-08"));
        let store = Arc::clone(export.lake.store());
        let slow = Bad::new(Arc::clone(&store), Vice::Holds { at });
        let lake = Destination::new(Arc::clone(&slow) as Arc<dyn ObjectStore>, "memory:///");
        let good = std::mem::replace(&mut export.lake, lake);
        let (held, goal) = (export.settings(), export.goal());
        export.lake = good;
        let stop = async {
            slow.reached().await;
            held.cancel.cancel();
            slow.release();
        };
        let running = run_job(&held, &goal);
        tokio::pin!(running);
        let (run, is_over) = tokio::select! {
            run = &mut running => (run, true),
            () = stop => (running.await, false),
        };
        // Nothing may be left to request.
        let fine = [Outcome::Complete, Outcome::Incomplete].contains(&run.outcome);
        assert!(fine, "at write {at}: {}", run.summary());
        export.assert_ledger_knows_every_file().await;
        let run = export.run_after_a_minute().await;
        assert_eq!(run.outcome, Outcome::Complete, "after a stop at write {at}: {}", run.summary());
        for stream in ["visibility_v2_by_day", "category_topics"] {
            export.assert_equals_simulator(stream).await;
        }
        if is_over {
            assert!(8 < at, "only {at} writes were held");
            break;
        }
    }
}
