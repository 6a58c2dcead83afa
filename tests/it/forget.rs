//! Forgotten days are deleted, stay deleted, and are never requested.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use profound_export::clock::Clock;
use profound_export::destination::Destination;
use profound_export::ledger::{Ledger, State};
use profound_export::maintain::{Depth, FindingKind, files_to_delete, forget};
use profound_export::model::forgotten::Erasure;
use profound_export::model::scope::ScopePart;
use profound_export::plan::WantedDays;
use profound_export::run::{Outcome, RunError, run_job};

use crate::support::{Export, Place, account, day, days, instant, of_stream, on_memory_and_disk};
use crate::verify::verified;

const REPORT: &str = "visibility_v2_by_day";
const STREAMS: [&str; 3] = [REPORT, "models", "category_topics"];

async fn ledger(export: &Export) -> Ledger {
    Ledger::open(export.lake.clone(), Clock::starting_at(export.simulator.now())).await.unwrap()
}

async fn forgotten(export: &Export, stream: &str, erasure: &Erasure) -> u64 {
    export.a_minute_later();
    let erasures = [(stream.to_owned(), erasure.clone())];
    let expected = files_to_delete(&export.lake, &erasures).await.unwrap();
    let deleted = forget(&export.lake, &mut ledger(export).await, &erasures).await.unwrap();
    assert_eq!(deleted, expected, "the reported files are the deleted ones");
    deleted.values().map(|erased| erased.files).sum()
}

/// The findings of `verify`, by path.
async fn found(export: &Export) -> BTreeMap<String, FindingKind> {
    verified(export, Depth::Rows, true).await.1.into_iter().map(|finding| (finding.path, finding.kind)).collect()
}

fn of_category(id: &str) -> Erasure {
    Erasure { scope: BTreeMap::from([(ScopePart::Category, id.to_owned())]), window: None }
}

fn middle() -> Erasure {
    Erasure { window: Some(days("2026-03-07", "2026-03-08")), ..Erasure::default() }
}

/// The requested days of a stream.
fn asked_days(received: &[profound_export::simulator::ReceivedRequest]) -> BTreeSet<String> {
    let mut requested = BTreeSet::new();
    for request in of_stream(received, REPORT) {
        let (first, last) = (request.body["start_date"].as_str().unwrap(), request.body["end_date"].as_str().unwrap());
        requested.extend(days(&first[..10], &last[..10]).days().map(|day| day.to_string()));
    }
    requested
}

on_memory_and_disk! {
    async fn forgotten_days_are_deleted_and_never_requested(place) {
        let mut export = Export::start(place, account(), &STREAMS).await;
        export.run().await;
        let before = export.files().await;
        assert!(forgotten(&export, REPORT, &middle()).await > 0);
        let gone: BTreeSet<String> = before.keys().filter(|path| !path.contains("models")).filter(|path| path.contains("2026-03-07") || path.contains("2026-03-08")).cloned().collect();
        let after = export.files().await;
        assert!(!gone.is_empty() && gone.iter().all(|path| !after.contains_key(path)));
        assert_eq!(after.len() + gone.len(), before.len());

        // An earlier start, and days that are due on both sides.
        export.job.start = Some(day("2026-03-04"));
        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
        let requested = asked_days(&received);
        assert!(requested.contains("2026-03-05") && requested.contains("2026-03-09"), "{requested:?}");
        assert!(!requested.contains("2026-03-07") && !requested.contains("2026-03-08"), "{requested:?}");
        export.assert_ledger_knows_every_file().await;
        assert!(found(&export).await.is_empty());
        let category = &export.categories()[0];
        let states = export.states(REPORT, category).await;
        assert!(states.contains_key("2026-03-06") && !states.contains_key("2026-03-07"), "{states:?}");
    }
}

on_memory_and_disk! {
    async fn forgotten_category_is_deleted_and_others_are_kept(place) {
        let export = Export::start(place, account(), &STREAMS).await;
        export.run().await;
        let [one, other] = <[String; 2]>::try_from(export.categories()).unwrap();
        for stream in [REPORT, "category_topics"] {
            assert!(forgotten(&export, stream, &of_category(&one)).await > 0, "{stream}");
        }
        export.simulator.set_now(instant("2026-03-14T16:00:00Z"));
        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
        let requested: Vec<_> = of_stream(&received, REPORT).into_iter().chain(of_stream(&received, "category_topics")).collect();
        assert!(!requested.is_empty());
        for request in requested {
            let text = format!("{} {} {}", request.path, request.query, request.body);
            assert!(text.contains(&other) && !text.contains(&one), "{text}");
        }
        let files = export.files().await;
        assert!(files.keys().all(|path| !path.contains(&one)));
        if let Some(root) = export.lake.directory() {
            assert!(!root.join(REPORT).join(format!("category={one}")).exists(), "an empty directory shows its id");
        }
        assert!(files.keys().any(|path| path.contains(&other)));
        assert!(export.coverage().await.iter().all(|row| row["category_id"] != one.as_str() || row["stream"] == "models"));
        assert!(found(&export).await.is_empty());
    }
}

#[tokio::test]
async fn copies_and_empty_directories_of_killed_runs_are_erased() {
    let export = Export::start(Place::Disk, account(), &STREAMS).await;
    export.run().await;
    let root = export.lake.directory().unwrap().to_owned();
    let [one, other] = <[String; 2]>::try_from(export.categories()).unwrap();
    let file = |id: &str| root.join(format!("{REPORT}/category={id}/day=2026-03-08/data.parquet"));
    let staging = root.join("_profound_export/staging");
    let leave_copies = || {
        std::fs::create_dir_all(&staging).unwrap();
        std::fs::copy(root.join("models/data.parquet"), staging.join("another")).unwrap();
        std::fs::copy(file(&other), staging.join("whole")).unwrap();
        std::fs::copy(file(&other), staging.join("half#1")).unwrap();
        std::fs::create_dir_all(root.join(format!("{REPORT}/category={other}/day=2026-03-30"))).unwrap();
    };
    leave_copies();
    assert_eq!(found(&export).await.into_values().collect::<BTreeSet<_>>(), [FindingKind::Unsettled].into());
    assert!(forgotten(&export, REPORT, &of_category(&other)).await > 0);
    assert_eq!(std::fs::read_dir(&staging).unwrap().count(), 0);
    assert!(!root.join(format!("{REPORT}/category={other}")).exists() && file(&one).exists());
    assert!(found(&export).await.is_empty());

    // A run that was killed while `forget` deleted.
    std::fs::copy(file(&one), staging.join("copy#2")).unwrap();
    let copies = std::fs::read(file(&one)).unwrap();
    forgotten(&export, REPORT, &of_category(&one)).await;
    std::fs::write(staging.join("copy#2"), copies).unwrap();
    std::fs::create_dir_all(file(&one).parent().unwrap()).unwrap();
    let kinds = found(&export).await;
    let directory = format!("{REPORT}/category={one}");
    assert_eq!(kinds.get("_profound_export/staging/copy#2"), Some(&FindingKind::Forgotten), "{kinds:?}");
    assert_eq!(kinds.get(&directory), Some(&FindingKind::Forgotten), "{kinds:?}");
    forgotten(&export, REPORT, &of_category(&one)).await;
    assert!(found(&export).await.is_empty());
}

on_memory_and_disk! {
    async fn backfill_skips_forgotten_days_and_rejects_only_those(place) {
        let export = Export::start(place, account(), &[REPORT]).await;
        export.run().await;
        forgotten(&export, REPORT, &middle()).await;
        let mut goal = export.goal();
        goal.days = Some(WantedDays::Only { window: days("2026-03-07", "2026-03-08"), force: true });
        let result = run_job(&export.settings(), &goal).await;
        assert_eq!(result.outcome, Outcome::ConfigMismatch);
        assert!(matches!(result.error, Some(RunError::ConfigMismatch { .. })));

        export.a_minute_later();
        goal.days = Some(WantedDays::Only { window: days("2026-03-06", "2026-03-09"), force: true });
        let before = export.simulator.requests().len();
        let result = run_job(&export.settings(), &goal).await;
        assert_eq!(result.outcome, Outcome::Complete, "{}", result.summary());
        let requested = asked_days(&export.simulator.requests()[before..]);
        assert_eq!(requested, BTreeSet::from(["2026-03-06".to_owned(), "2026-03-09".to_owned()]));
        export.assert_ledger_knows_every_file().await;
    }
}

on_memory_and_disk! {
    async fn second_forget_completes_a_killed_one(place) {
        let export = Export::start(place, account(), &STREAMS).await;
        export.run().await;
        let path = export.layout().data_path(REPORT, &export.first_scope(REPORT), Some(day("2026-03-07"))).to_string();
        let bytes = export.bytes(&path).await;
        forgotten(&export, REPORT, &middle()).await;
        // As if it had been killed before its last file, or a run had written it meanwhile.
        export.lake.store().put(&Path::from(path.as_str()), PutPayload::from_bytes(bytes)).await.unwrap();
        assert_eq!(found(&export).await, BTreeMap::from([(path.clone(), FindingKind::Forgotten)]));

        let number = export.state().await.number;
        assert_eq!(forgotten(&export, REPORT, &middle()).await, 1);
        assert_eq!(export.state().await.number, number, "it is recorded once");
        assert!(found(&export).await.is_empty());
    }
}

on_memory_and_disk! {
    async fn day_forgotten_during_its_extraction_is_not_published(place) {
        let export = Export::start(place, account(), &[REPORT]).await;
        export.run().await;
        export.simulator.set_now(instant("2026-03-12T16:00:00Z"));
        // Another process forgets the table between the plan and the first slice.
        let (lake, now) = (export.lake.clone(), export.simulator.now());
        let done = std::sync::Mutex::new(false);
        export.listen(move |event| {
            let mut done = done.lock().unwrap();
            if matches!(event, profound_export::model::event::Event::SliceStarted { .. }) && !*done {
                *done = true;
                let lake = lake.clone();
                let erase = move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    runtime.block_on(async {
                        let mut ledger = Ledger::open(lake.clone(), Clock::starting_at(now)).await.unwrap();
                        forget(&lake, &mut ledger, &[(REPORT.to_owned(), Erasure::default())]).await.unwrap();
                    });
                };
                std::thread::spawn(erase).join().unwrap();
            }
        });
        export.run().await;
        export.listen(|_| {});
        assert!(export.files().await.keys().all(|path| !path.starts_with(REPORT)), "{:?}", export.files().await.keys());
        assert!(!export.state().await.coverage.contains_key(REPORT));
    }
}

#[tokio::test]
async fn checkpoint_keeps_forgotten_days_and_old_versions_reject_it() {
    let export = Export::start(Place::Memory, account(), &[REPORT]).await;
    export.run().await;
    forgotten(&export, REPORT, &middle()).await;
    let state = export.state().await;
    assert_eq!(State::from_checkpoint(state.to_checkpoint().await.unwrap()).unwrap(), state);
    let record = format!("_profound_export/ledger/000000/{:09}.json", state.number);
    let record: serde_json::Value = serde_json::from_slice(&export.bytes(&record).await).unwrap();
    assert_eq!(record["format"], 2);
    assert_eq!(record["entries"][0]["kind"], "forgotten");
    // Later records have the usual format.
    export.run().await;
    let record = format!("_profound_export/ledger/000000/{:09}.json", state.number + 1);
    let record: serde_json::Value = serde_json::from_slice(&export.bytes(&record).await).unwrap();
    assert_eq!(record["format"], 1);
}

/// A store whose deletes never end, as if the process was killed at the first.
#[tokio::test]
async fn forget_is_recorded_before_the_first_delete() {
    use crate::support::stores::{Bad, Vice};
    let export = Export::start(Place::Memory, account(), &[REPORT]).await;
    export.run().await;
    let inner: Arc<dyn ObjectStore> = Arc::clone(export.lake.store());
    let files = export.files().await.len();
    // Its only write is the record, which is complete when the process dies.
    let bad = Bad::new(inner, Vice::Kills { at: 0, done: true });
    let lake = Destination::new(Arc::clone(&bad) as Arc<dyn ObjectStore>, "test:///");
    let mut dying = Ledger::open(lake.clone(), Clock::starting_at(export.simulator.now())).await.unwrap();
    let erasures = [(REPORT.to_owned(), Erasure::default())];
    tokio::select! {
        _ = forget(&lake, &mut dying, &erasures) => panic!("it was over before it died"),
        () = bad.reached() => {}
    }
    assert_eq!(export.files().await.len(), files, "nothing is deleted yet");
    assert!(found(&export).await.values().all(|kind| *kind == FindingKind::Forgotten));
    let run = export.run().await;
    assert_eq!((run.outcome, run.totals().slices), (Outcome::Complete, 0), "{}", run.summary());
    assert_eq!(forgotten(&export, REPORT, &Erasure::default()).await, files as u64);
    assert!(export.files().await.is_empty() && found(&export).await.is_empty());
}
