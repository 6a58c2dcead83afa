//! A store that fails now and then costs the API nothing.

use std::sync::Arc;

use object_store::memory::InMemory;
use profound_export::destination::Destination;
use profound_export::run::Outcome;

use crate::support::stores::{Bad, Vice};
use crate::support::{Export, Place, account, of_stream};

const STREAMS: [&str; 3] = ["visibility_v2_by_day", "visibility_v1", "category_topics"];

#[tokio::test]
async fn nothing_is_asked_twice_when_the_store_has_hiccups() {
    let clean = Export::start(Place::Memory, account(), &STREAMS).await;
    let (_, asked) = clean.run_and_watch().await;
    let night = async |seed: u64| {
        let store = Bad::new(Arc::new(InMemory::new()), Vice::Hiccups { seed });
        let lake = Destination::of(store, "memory:///");
        let mut export = Export::start(Place::Memory, account(), &STREAMS).await.on(lake);
        // The probe must not take a lost answer for an overwrite.
        export.single_writer = true;
        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete, "seed {seed}: {} {:?} {:?}", run.summary(), run.failed, run.error);
        for stream in STREAMS {
            let (here, there) = (of_stream(&received, stream).len(), of_stream(&asked, stream).len());
            assert_eq!(here, there, "seed {seed}: {stream} was asked again");
        }
        for stream in STREAMS {
            export.assert_equals_simulator(stream).await;
        }
        export.assert_ledger_knows_every_file().await;
    };
    futures::future::join_all((0..6).map(night)).await;
}
