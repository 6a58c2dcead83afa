//! A second run requests the days that are not final, and writes only changed files.

use std::collections::BTreeSet;

use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use profound_export::model::day::Day;
use profound_export::model::event::Event;
use profound_export::model::stream::Tier;
use profound_export::run::Outcome;

use crate::support::{Export, Place, account, day, days, instant, of_stream, on_memory_and_disk};

const STREAMS: [&str; 5] = ["visibility_v2_by_day", "visibility_v1", "bots_v2", "models", "category_topics"];

on_memory_and_disk! {
    async fn second_run_writes_nothing_if_nothing_changed(place) {
        let export = Export::start(place, account(), &STREAMS).await;
        export.run().await;
        let mut before = Vec::new();
        for stream in STREAMS {
            before.push(export.versions(stream).await);
        }

        let run = export.run().await;

        assert_eq!(run.outcome, Outcome::Complete);
        let done = run.totals();
        assert!(done.rows > 0 && done.unchanged > 0, "{}", run.summary());
        assert_eq!((done.files, done.bytes), (0, 0), "{}", run.summary());
        for (stream, before) in STREAMS.iter().zip(before) {
            assert_eq!(export.versions(stream).await, before, "{stream}");
        }
        export.assert_ledger_knows_every_file().await;
    }
}

#[tokio::test]
async fn rows_that_are_published_are_not_encoded() {
    let mut export = Export::start(Place::Memory, account(), &STREAMS).await;
    export.run().await;
    export.spool_bytes = 0;

    let run = export.run().await;

    assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
    assert!(run.totals().unchanged > 0, "{}", run.summary());
    // A file would have found no room.
    export.simulator.restate(day("2026-03-08"));
    let run = export.run().await;
    assert!(run.failed.iter().any(|(_, problem)| problem.contains("spool")), "{:?}", run.failed);
}

on_memory_and_disk! {
    async fn lost_and_cut_files_of_unchanged_rows_are_published_once_more(place) {
        let mut export = Export::start(place, account(), &STREAMS).await;
        export.job.list_snapshots = true;
        export.run().await;
        let (mut before, mut damaged) = (export.files().await, Vec::new());
        export.take_events();
        // No run requests final days.
        let is_due = |path: &&String| !path.contains("day=") || path.contains("day=2026-03-09") || path.contains("day=2026-03-10");
        for (number, path) in before.keys().filter(is_due).enumerate() {
            let (path, bytes) = (Path::from(path.as_str()), export.bytes(path).await);
            let store = export.lake.store();
            match number % 4 {
                0 => store.delete(&path).await.unwrap(),
                1 => drop(store.put(&path, PutPayload::default()).await.unwrap()),
                2 => drop(store.put(&path, bytes.slice(..bytes.len() / 2).into()).await.unwrap()),
                _ => match export.lake.directory() {
                    Some(root) => {
                        let link = root.join(path.as_ref());
                        std::fs::remove_file(&link).unwrap();
                        std::os::unix::fs::symlink(&link, &link).unwrap();
                    }
                    None => continue,
                },
            }
            damaged.push(path.to_string());
        }

        let run = export.run().await;

        assert_eq!(run.outcome, Outcome::Complete);
        let mut after = export.files().await;
        assert_eq!(run.totals().files as usize, damaged.len(), "{}", run.summary());
        for stream in STREAMS {
            export.assert_equals_simulator(stream).await;
        }
        for path in damaged {
            before.remove(&path);
            after.remove(&path);
        }
        assert_eq!(after, before, "a sound file is another version");
        export.assert_ledger_knows_every_file().await;
        let warnings = export.take_events().iter().filter(|event| matches!(event, Event::Warning { message } if message.contains("published once more"))).count();
        assert!(warnings >= STREAMS.len(), "{warnings}");

        assert_eq!(export.run().await.totals().files, 0);
    }
}

on_memory_and_disk! {
    async fn restated_day_replaces_exactly_its_files(place) {
        let export = Export::start(place, account(), &STREAMS).await;
        export.run().await;
        let mut before = Vec::new();
        for stream in STREAMS {
            before.push(export.versions(stream).await);
        }

        export.simulator.restate(day("2026-03-08"));
        let run = export.run().await;

        assert_eq!(run.outcome, Outcome::Complete);
        for (stream, before) in STREAMS.iter().zip(before) {
            let after = export.versions(stream).await;
            assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
            for (path, version) in &after {
                let restated = path.contains("day=2026-03-08");
                assert_eq!(version != &before[path], restated, "{path} is another version");
            }
            export.assert_equals_simulator(stream).await;
        }
        export.assert_ledger_knows_every_file().await;
    }
}

#[tokio::test]
async fn values_moved_to_other_rows_count_as_a_change() {
    // A restatement keeps the keys and changes the figures; a hash that sums rows must still differ.
    let export = Export::start(Place::Memory, account(), &["citations_v1"]).await;
    export.run().await;
    export.simulator.restate(day("2026-03-07"));
    let run = export.run().await;
    assert_eq!(run.totals().files as usize, changed_scopes(&export, "citations_v1", "2026-03-07"));
}

/// The scopes that have rows on a day.
fn changed_scopes(export: &Export, stream: &str, text: &str) -> usize {
    let stream = export.stream(stream);
    let has_rows = |scope: &_| export.simulator.truth(stream, scope, Some(days(text, text))).rows > 0;
    export.simulator.scopes(stream.scope).iter().filter(|scope| has_rows(scope)).count()
}

on_memory_and_disk! {
    async fn days_are_not_requested_after_their_lookback(place) {
        let export = Export::start(place, account(), &["visibility_v2_by_day", "bots_v2", "models"]).await;
        export.run().await;

        // The sixth was final when it was extracted on the tenth; the seventh was not.
        export.simulator.set_now(instant("2026-03-12T16:00:00Z"));
        let (_, received) = export.run_and_watch().await;
        for request in of_stream(&received, "visibility_v2_by_day") {
            assert_eq!((request.body["start_date"].clone(), request.body["end_date"].clone()), ("2026-03-07".into(), "2026-03-11".into()));
        }

        // Days up to the eighth were final when they were extracted on the twelfth.
        export.simulator.set_now(instant("2026-03-13T16:00:00Z"));
        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete);
        let requested = of_stream(&received, "visibility_v2_by_day");
        assert_eq!(requested.len(), export.categories().len());
        for request in requested {
            assert_eq!((request.body["start_date"].clone(), request.body["end_date"].clone()), ("2026-03-09".into(), "2026-03-12".into()));
        }
        for request in of_stream(&received, "bots_v2") {
            assert_eq!((request.body["start_date"].clone(), request.body["end_date"].clone()), ("2026-03-09".into(), "2026-03-13".into()));
        }
        export.assert_equals_simulator("visibility_v2_by_day").await;
        export.assert_equals_simulator("bots_v2").await;
        let category = &export.categories()[0];
        let states = export.states("visibility_v2_by_day", category).await;
        assert_eq!(states["2026-03-08"], "final");
        assert_eq!(states["2026-03-09"], "final");
        assert_eq!(states["2026-03-10"], "provisional");
    }
}

#[tokio::test]
async fn final_days_are_not_requested() {
    let mut export = Export::start(Place::Memory, account(), &["visibility_v2_by_day", "models"]).await;
    export.job.lookback = Some(profound_export::config::WholeDays(0));
    export.run().await;
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete);
    assert!(of_stream(&received, "visibility_v2_by_day").is_empty());
    let lists: BTreeSet<&str> = received.iter().filter_map(|request| request.stream.as_deref()).collect();
    assert_eq!(lists, ["assets", "categories", "domains", "models", "organizations"].into());
}

on_memory_and_disk! {
    async fn missed_days_are_extracted_after_missed_runs(place) {
        let export = Export::start(place, account(), &["visibility_v2_by_day", "visibility_v1"]).await;
        export.run().await;
        export.simulator.set_now(instant("2026-03-25T16:00:00Z"));
        let run = export.run().await;
        assert_eq!(run.outcome, Outcome::Complete);
        export.assert_equals_simulator("visibility_v2_by_day").await;
        export.assert_equals_simulator("visibility_v1").await;
        let states = export.states("visibility_v2_by_day", &export.categories()[0]).await;
        assert!(states.values().all(|state| state != "missing"), "{states:?}");
    }
}

#[tokio::test]
async fn first_day_is_kept_when_the_job_has_no_start() {
    let mut export = Export::start(Place::Memory, account(), &["visibility_v2_by_day"]).await;
    export.job.start = None;
    export.run().await;
    let start = day("2026-03-10").plus(-30);
    assert_eq!(export.state().await.starts["nightly"], start);
    export.simulator.set_now(instant("2026-03-20T16:00:00Z"));
    export.run().await;
    assert_eq!(export.state().await.starts["nightly"], start);
    let scope = export.first_scope("visibility_v2_by_day");
    let first: Option<Day> = export.days("visibility_v2_by_day", &scope).await.into_iter().next();
    assert_eq!(first, Some(start));
}

#[tokio::test]
async fn earlier_days_are_backfilled_when_a_job_widens_its_range() {
    let mut export = Export::start(Place::Memory, account(), &["visibility_v2_by_day"]).await;
    export.run().await;
    export.job.start = Some(day("2026-01-20"));
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Complete);
    export.assert_equals_simulator("visibility_v2_by_day").await;
}

#[tokio::test]
async fn new_stream_is_backfilled_when_a_job_adds_it() {
    let mut export = Export::start(Place::Memory, account(), &["visibility_v2_by_day"]).await;
    export.run().await;
    assert_eq!(export.stream("answers_v2").tier, Some(Tier::Minimal));
    export.job.streams.push("answers_v2".into());
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    export.assert_equals_simulator("answers_v2").await;
}
