//! The ledger matches the files after kills and concurrent writes, and rejects other accounts and layouts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::SignedDuration;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use profound_export::catalog::Catalog;
use profound_export::clock::Clock;
use profound_export::config::Partition;
use profound_export::destination::{Destination, OWN_DIRECTORY};
use profound_export::ledger::{DayEntry, Entry, Fact, FileChange, Ledger, SliceEntry};
use profound_export::model::event::Event;
use profound_export::model::proof::Proof;
use profound_export::model::scope::{Named, Scope};
use profound_export::model::stream::Stream;
use profound_export::run::{Outcome, run_job};
use profound_export::simulator::Account;
use serde_json::json;
use tokio::sync::Notify;

use crate::support::stores::{Bad, Vice};
use crate::support::{Export, Place, account, day, days, instant, of_stream, on_memory_and_disk};

const STREAMS: [&str; 4] = ["visibility_v2_by_day", "bots_v2", "models", "category_topics"];

async fn assert_as_after_a_clean_run(export: &Export) {
    for stream in STREAMS {
        export.assert_equals_simulator(stream).await;
    }
    export.assert_ledger_knows_every_file().await;
    assert!(export.state().await.open_runs.len() <= 1, "runs that never ended pile up");
}

/// Kills a run when it reports its `number`-th published slice.
async fn run_and_die(export: &Export, number: usize) {
    let (published, die) = (AtomicUsize::new(0), Arc::new(Notify::new()));
    let died = Arc::clone(&die);
    export.listen(move |event| {
        if matches!(event, Event::SlicePublished { .. }) && published.fetch_add(1, Ordering::Relaxed) + 1 == number {
            die.notify_one();
        }
    });
    tokio::select! {
        _ = export.run() => panic!("the run was over before it died"),
        () = died.notified() => {}
    }
    export.listen(|_| {});
}

on_memory_and_disk! {
    async fn rows_equal_a_clean_run_after_a_kill_midway(place) {
        let export = Export::start(place, account(), &STREAMS).await;
        run_and_die(&export, 2).await;
        let state = export.state().await;
        let open = state.open_runs.values().next().expect("the ledger knows the run began");
        assert!(!open.planned.is_empty());

        let run = export.run().await;
        assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
        assert_as_after_a_clean_run(&export).await;
    }
}

on_memory_and_disk! {
    async fn final_days_planned_by_a_killed_run_are_re_extracted(place) {
        let mut export = Export::start(place, account(), &["visibility_v2_by_day", "models"]).await;
        export.run().await;
        // All days are final on the twentieth, but for the last three; a forced backfill of all of them dies.
        export.simulator.set_now(instant("2026-03-20T16:00:00Z"));
        export.run().await;
        let window = export.wanted(export.stream("visibility_v2_by_day")).unwrap();
        let mut goal = export.goal();
        goal.days = Some(profound_export::plan::WantedDays::Only { window, force: true });
        export.a_minute_later();
        let die = Arc::new(Notify::new());
        let died = Arc::clone(&die);
        export.listen(move |event| if matches!(event, Event::SliceStarted { .. }) { die.notify_one() });
        let settings = export.settings();
        tokio::select! {
            _ = run_job(&settings, &goal) => panic!("the run was over before it died"),
            () = died.notified() => {}
        }
        export.listen(|_| {});
        export.api.concurrency = 1;

        // Its last record is old enough for it to count as killed.
        export.simulator.set_now(export.simulator.now() + SignedDuration::from_mins(11));
        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
        let first_days = of_stream(&received, "visibility_v2_by_day").iter().filter(|request| request.body["start_date"] == "2026-03-06").count();
        assert!(first_days > 0, "days that the killed run may have overwritten were trusted");
        export.assert_equals_simulator("visibility_v2_by_day").await;
        export.assert_ledger_knows_every_file().await;

        // After their re-extraction they are final.
        let (_, received) = export.run_and_watch().await;
        assert!(of_stream(&received, "visibility_v2_by_day").iter().all(|request| request.body["start_date"] != "2026-03-06"));
    }
}

/// Kills a run at each of its writes in turn, before or after it is done, and lets another run follow.
async fn assert_any_write_may_be_the_last(store: impl Fn() -> Arc<dyn ObjectStore>, done: bool) {
    for at in 0.. {
        let store = store();
        let small = Account { categories: 1, domains: 1, prompts_per_category: 2, ..account() };
        let mut export = Export::start(Place::Memory, small, &["visibility_v2_by_day", "models", "bots_v2"]).await;
        export.job.start = Some(day("2026-03-08"));
        let mut export = export.on(Destination::new(Arc::clone(&store), "test:///"));
        // A clean run first, then changed figures, so that the dying run overwrites published files.
        export.run().await;
        export.simulator.restate(day("2026-03-08"));
        let bad = Bad::new(Arc::clone(&store), Vice::Kills { at, done });
        let good =
            std::mem::replace(&mut export.lake, Destination::new(Arc::clone(&bad) as Arc<dyn ObjectStore>, "test:///"));
        let over = tokio::select! {
            run = export.run() => {
                assert_eq!(run.outcome, Outcome::Complete);
                true
            }
            () = bad.reached() => false,
        };
        export.lake = good;
        // So much later that the next run does not resume the killed one, but re-extracts restated days.
        export.simulator.set_now(export.simulator.now() + SignedDuration::from_hours(12));
        export.simulator.restate(day("2026-03-09"));
        let run = export.run().await;
        assert_eq!(run.outcome, Outcome::Complete, "after death at write {at}: {}", run.summary());
        for stream in ["visibility_v2_by_day", "models", "bots_v2"] {
            export.assert_equals_simulator(stream).await;
        }
        export.assert_ledger_knows_every_file().await;
        if over {
            assert!(5 < at, "only {at} writes were tried");
            return;
        }
    }
}

#[tokio::test]
async fn rows_equal_a_clean_run_after_a_kill_before_a_write_in_memory() {
    assert_any_write_may_be_the_last(|| Arc::new(InMemory::new()), false).await;
}

#[tokio::test]
async fn rows_equal_a_clean_run_after_a_kill_after_a_write_in_memory() {
    assert_any_write_may_be_the_last(|| Arc::new(InMemory::new()), true).await;
}

#[tokio::test]
async fn rows_equal_a_clean_run_after_a_kill_after_a_write_on_disk() {
    let scratch = tempfile::tempdir().unwrap();
    let next = AtomicUsize::new(0);
    let store = || {
        let root = scratch.path().join(next.fetch_add(1, Ordering::Relaxed).to_string());
        std::fs::create_dir(&root).unwrap();
        Arc::new(LocalFileSystem::new_with_prefix(root).unwrap()) as Arc<dyn ObjectStore>
    };
    assert_any_write_may_be_the_last(store, true).await;
}

#[tokio::test]
async fn record_is_written_once_if_its_write_response_is_lost() {
    for at in 0..12 {
        let export = Export::start(Place::Memory, account(), &["models", "visibility_v2_by_day"]).await;
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let bad = Bad::new(Arc::clone(&store), Vice::LosesAnswer { at });
        let mut export = export.on(Destination::new(bad, "test:///"));
        let run = export.run().await;
        export.lake = Destination::new(store, "test:///");
        let state = export.state().await;
        let seen: Vec<_> = state.runs.iter().filter(|ended| ended.end.run == run.run_id).collect();
        assert!(seen.len() <= 1, "write {at}: the end of the run is recorded {} times", seen.len());
        // A lost response for a record is no failure; for a file it may be one, and the next run retries it.
        let run = export.run().await;
        assert_eq!(run.outcome, Outcome::Complete, "write {at}: {}", run.summary());
        export.assert_equals_simulator("visibility_v2_by_day").await;
        export.assert_ledger_knows_every_file().await;
    }
}

on_memory_and_disk! {
    async fn lake_converges_when_two_runs_write_at_once(place) {
        let export = Export::start(place, account(), &STREAMS).await;
        let (one, other) = (export.settings(), export.settings());
        let goal = export.goal();
        let (one, other) = tokio::join!(run_job(&one, &goal), run_job(&other, &goal));
        for run in [&one, &other] {
            assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.error);
        }
        // Days that both wrote are stale until the next run re-extracts them.
        export.a_minute_later();
        assert_eq!(export.run().await.outcome, Outcome::Complete);
        assert_as_after_a_clean_run(&export).await;
        let state = export.state().await;
        assert_eq!(state.open_runs.len(), 0);
        let days = state.coverage.values().flat_map(|scopes| scopes.values()).flat_map(|scope| scope.days.values().chain(&scope.whole));
        assert!(days.into_iter().all(|state| !state.stale), "a day is still stale");
    }
}

on_memory_and_disk! {
    async fn day_is_stale_if_two_wrote_it_before_either_recorded_it(place) {
        let scratch = tempfile::tempdir().unwrap();
        let lake = place.destination(&scratch);
        let clock = Clock::starting_at(instant("2026-03-10T16:00:00Z"));
        let mut one = Ledger::open(lake.clone(), clock.clone()).await.unwrap();
        let mut other = Ledger::open(lake.clone(), clock.clone()).await.unwrap();
        let scope = Scope { category: Some(Named { id: "c1".into(), name: "Tea".into() }), ..Scope::default() };
        let wrote = |file: FileChange| {
            let wrote = |day| DayEntry { day: Some(day), rows: 1, hash: 1.into(), file, bytes: 9, etag: None, signal: None };
            Entry::Slice(SliceEntry {
                run: uuid::Uuid::now_v7(),
                stream: "visibility_v2".into(),
                fingerprint: "f".into(),
                scope: scope.clone(),
                window: Some(days("2026-03-08", "2026-03-09")),
                proof: Proof::Total,
                total: Some(2),
                rows: 2,
                outside_rows: 0,
                requests: 1,
                extracted_at: clock.now(),
                days: days("2026-03-08", "2026-03-09").days().map(wrote).collect(),
            })
        };

        // Both have written their files; one records them, and the other reads that record before it adds its own.
        one.append(vec![wrote(FileChange::Published)], Some(0)).await.unwrap();
        other.refresh().await.unwrap();
        other.append(vec![wrote(FileChange::Published)], Some(0)).await.unwrap();
        let stale = |ledger: &Ledger| {
            let coverage = ledger.state().scope("visibility_v2", &scope.key()).unwrap();
            coverage.days.values().filter(|state| state.stale).count()
        };
        assert_eq!(stale(&other), 2);

        // A later run sees the records of earlier ones.
        let mut third = Ledger::open(lake.clone(), clock.clone()).await.unwrap();
        assert_eq!(stale(&third), 2);
        let known = third.state().number;
        third.append(vec![wrote(FileChange::Published)], Some(known)).await.unwrap();
        assert_eq!(stale(&third), 0);
        other.refresh().await.unwrap();
        let known = other.state().number;
        other.append(vec![wrote(FileChange::Unchanged)], Some(known)).await.unwrap();
        assert_eq!(stale(&other), 0);
    }
}

#[tokio::test]
async fn work_of_another_process_is_skipped_and_conflicts_resolved() {
    let mut export = Export::start(Place::Memory, account(), &STREAMS).await;
    export.api.concurrency = 1;
    let store = Arc::clone(export.lake.store());
    let slow = Bad::new(Arc::clone(&store), Vice::Holds { at: 3 });
    let lake =
        std::mem::replace(&mut export.lake, Destination::new(Arc::clone(&slow) as Arc<dyn ObjectStore>, "test:///"));
    let held = export.settings();
    export.lake = lake;
    let goal = export.goal();
    let meanwhile = async {
        // The probe and the first record are written; the first file waits while another process does everything.
        slow.reached().await;
        let quick = export.run_after_a_minute().await;
        slow.release();
        quick
    };
    let (slow_run, quick_run) = tokio::join!(run_job(&held, &goal), meanwhile);
    assert_eq!((slow_run.outcome, quick_run.outcome), (Outcome::Complete, Outcome::Complete));
    assert_eq!(slow_run.totals().slices, 1, "{}", slow_run.summary());
    assert!(quick_run.totals().slices > 1);

    assert_eq!(export.run_after_a_minute().await.outcome, Outcome::Complete);
    assert_as_after_a_clean_run(&export).await;
}

on_memory_and_disk! {
    async fn lake_of_another_account_is_rejected(place) {
        let export = Export::start(place, account(), &STREAMS).await;
        export.run().await;
        let before = export.objects().await;
        let other = Export::start(place, Account { seed: 99, ..account() }, &STREAMS).await.on(export.lake.clone());
        let run = other.run().await;
        assert_eq!(run.outcome, Outcome::ConfigMismatch);
        assert!(run.error.unwrap().to_string().contains("belongs to another account"));
        assert_eq!(other.objects().await, before, "a rejected run wrote an object");
    }
}

#[tokio::test]
async fn organization_added_to_the_key_is_accepted_and_recorded() {
    let export = Export::start(Place::Memory, Account { organizations: 1, ..account() }, &["models"]).await;
    export.run().await;
    assert_eq!(export.state().await.organizations.len(), 1);
    let more = Export::start(Place::Memory, Account { organizations: 2, ..account() }, &["models"])
        .await
        .on(export.lake.clone());
    assert_eq!(more.run().await.outcome, Outcome::Complete);
    assert_eq!(more.state().await.organizations.len(), 2);
}

on_memory_and_disk! {
    async fn other_layout_is_rejected(place) {
        let mut export = Export::start(place, account(), &STREAMS).await;
        export.run().await;
        let before = export.objects().await;
        export.partition = Partition::Month;
        let run = export.run().await;
        assert_eq!(run.outcome, Outcome::ConfigMismatch);
        assert!(run.error.unwrap().to_string().contains("partition `day`"));
        assert_eq!(export.objects().await, before);
    }
}

/// The catalog with one stream altered.
pub fn altered(catalog: &Catalog, name: &str, alter: impl Fn(&mut Stream)) -> Catalog {
    let mut streams: Vec<Stream> = catalog.streams().map(|stream| Stream::clone(stream)).collect();
    streams.iter_mut().filter(|stream| stream.name == name).for_each(alter);
    Catalog::new(streams).unwrap()
}

type Change = fn(&mut Stream);

on_memory_and_disk! {
    async fn changed_table_meaning_is_rejected(place) {
        let name = "visibility_v2_by_day";
        let changes: [(&str, Change); 3] = [
            ("was float64", |stream| stream.columns[2].data_type = "utf8".parse().unwrap()),
            ("request, grain, scope or key differs", |stream| {
                stream.body.insert("scope".into(), json!("owned"));
            }),
            ("was removed", |stream| {
                stream.columns.pop();
            }),
        ];
        for (words, change) in changes {
            let mut export = Export::start(place, account(), &STREAMS).await;
            export.run().await;
            let before = export.objects().await;
            export.catalog = altered(&export.catalog, name, change);
            let run = export.run().await;
            assert_eq!(run.outcome, Outcome::ConfigMismatch, "{words}");
            let error = run.error.unwrap();
            assert!(error.to_string().contains(name) && error.to_string().contains(words), "{error}");
            assert!(error.hint().is_some());
            assert_eq!(export.objects().await, before);

            // Without that stream the other streams are exported.
            export.job.streams.push(format!("!{name}"));
            assert_eq!(export.run().await.outcome, Outcome::Complete);
        }
    }
}

#[tokio::test]
async fn column_may_be_added_to_a_table() {
    let mut export = Export::start(Place::Memory, account(), &["visibility_v2_by_day"]).await;
    let whole = export.catalog.clone();
    export.catalog = altered(&whole, "visibility_v2_by_day", |stream| {
        stream.columns.pop();
    });
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    export.catalog = whole;
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    let stream = export.stream("visibility_v2_by_day");
    assert_eq!(export.state().await.tables[&stream.name].columns.len(), stream.columns.len());
}

#[tokio::test]
async fn overwriting_store_is_rejected_unless_single_writer() {
    let export = Export::start(Place::Memory, account(), &["models"]).await;
    let store: Arc<dyn ObjectStore> = Bad::new(Arc::new(InMemory::new()), Vice::Overwrites);
    let mut export = export.on(Destination::new(store, "test:///"));
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Unavailable);
    let error = run.error.unwrap();
    assert!(error.to_string().contains("overwrites") && error.hint().unwrap().contains("single_writer"), "{error}");
    assert!(export.objects().await.is_empty(), "{:?}", export.objects().await);

    export.single_writer = true;
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    export.assert_equals_simulator("models").await;

    // No probe has passed since, so it is still rejected.
    export.single_writer = false;
    assert_eq!(export.run().await.outcome, Outcome::Unavailable);
}

#[tokio::test]
async fn store_is_probed_once() {
    let export = Export::start(Place::Memory, account(), &["models"]).await;
    export.run().await;
    assert!(export.state().await.facts.contains(&Fact::CreateIfAbsent));
    let probes = export.objects().await.keys().filter(|path| path.contains("/probe/")).count();
    assert_eq!(probes, 0, "the probe is removed");
}

#[tokio::test]
async fn replay_reads_a_checkpoint_and_the_records_after_it() {
    let export = Export::start(Place::Memory, account(), &["models"]).await;
    for _ in 0..10 {
        assert_eq!(export.run().await.outcome, Outcome::Complete);
    }
    let objects = export.objects().await;
    let below =
        |folder: &str| objects.keys().filter(|path| path.starts_with(&format!("{OWN_DIRECTORY}/{folder}/"))).count();
    assert!(1 <= below("checkpoints"), "{objects:?}");
    let with = export.state().await;
    for path in objects.keys().filter(|path| path.contains("/checkpoints/")) {
        object_store::ObjectStoreExt::delete(export.lake.store().as_ref(), &path.as_str().into()).await.unwrap();
    }
    assert_eq!(export.state().await, with, "a checkpoint equals the replay of its records");
    assert_eq!(with.number as usize, below("ledger"));
}
