//! `spool.max_bytes` bounds the spool of all slices, and fails no slice that fits alone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use profound_export::run::{Outcome, RunResult};
use profound_export::simulator::{Account, FaultKind};

use crate::support::{Export, Place, account};

/// The maximum bytes in the spool during a run of `export`, polled all the time, and how the run ended.
async fn most_in_spool(export: &Export) -> (u64, RunResult) {
    fn bytes_below(directory: &std::path::Path) -> u64 {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let bytes = |entry: std::fs::DirEntry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => bytes_below(&entry.path()),
            _ => entry.metadata().map_or(0, |metadata| metadata.len()),
        };
        entries.map(bytes).sum()
    }
    let (spool, is_over) = (export.settings().destinations.spool_dir, AtomicBool::new(false));
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut most = 0;
            while !is_over.load(Ordering::Relaxed) {
                most = bytes_below(&spool).max(most);
                std::thread::yield_now();
            }
            most
        });
        let run = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(export.run()));
        is_over.store(true, Ordering::Relaxed);
        (looking.join().unwrap(), run)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn slices_wait_for_spool_space_and_none_fails() {
    let roomy = async |spool_bytes| {
        // Files that are mostly rows: the size of footers is not known in advance.
        let many = Account { categories: 8, answer_bytes: 20_000, ..account() };
        let mut export = Export::start(Place::Memory, many, &["answers_v2"]).await;
        export.api.concurrency = 8;
        export.spool_bytes = spool_bytes;
        // So slow that all are in the spool at once.
        export.simulator.inject(FaultKind::Drip { bytes: 65_536, milliseconds: 20 }.into());
        export
    };
    let export = roomy(u64::MAX).await;
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    let mut slices: BTreeMap<String, u64> = BTreeMap::new();
    for (path, file) in export.files().await {
        *slices.entry(path.split("/day=").next().unwrap().to_owned()).or_default() += file.size;
    }
    // Half is for the oldest slice; the others share the other half.
    let room = 2 * slices.values().max().unwrap();
    let together: u64 = slices.values().sum();
    assert!(room < together, "{room} of {together} are enough for all at once");

    let export = roomy(room).await;
    let (most, run) = most_in_spool(&export).await;
    assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
    assert!(most <= room, "{most} bytes in a spool of {room}");
    export.assert_equals_simulator("answers_v2").await;

    let export = roomy(room / 8).await;
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Failed, "{}", run.summary());
    assert!(run.failed.iter().all(|(_, problem)| problem.contains("spool")), "{:?}", run.failed);
    assert!(export.files().await.is_empty());
}
