//! Every destination behaves the same: memory, disk, and the real store that `PROFOUND_TEST_STORE` names, if any.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use profound_export::clock::Clock;
use profound_export::config::DestinationConfig;
use profound_export::destination::{Destination, DestinationError, OWN_DIRECTORY, Published};
use profound_export::ledger::{Entry, Fact, LearnedFact, Ledger};
use profound_export::run::Outcome;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::stores::{Bad, Vice};
use crate::support::{Export, Place, account, instant, real_store};

/// More than two parts of a multipart upload.
const LARGE_BYTES: usize = 17 * 1024 * 1024;

/// Runs a promise on every kind of destination, as a test each.
macro_rules! on_every_destination {
    (async fn $name:ident($lake:ident) $body:block) => {
        mod $name {
            use super::*;

            async fn promise($lake: Destination) $body

            #[tokio::test]
            async fn on_memory() {
                promise(Place::Memory.destination(&tempfile::tempdir().unwrap())).await;
            }

            #[tokio::test]
            async fn on_disk() {
                let scratch = tempfile::tempdir().unwrap();
                promise(Place::Disk.destination(&scratch)).await;
            }

            #[tokio::test]
            async fn on_a_real_store() {
                match real_store() {
                    Some(lake) => promise(lake).await,
                    None => eprintln!("skipped: PROFOUND_TEST_STORE names no store"),
                }
            }
        }
    };
}

fn path(text: &str) -> Path {
    Path::from(text)
}

async fn text(lake: &Destination, at: &str) -> Option<String> {
    lake.read(&path(at)).await.unwrap().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

async fn names(lake: &Destination, prefix: &str, after: Option<&str>) -> Vec<String> {
    let after = after.map(path);
    let mut names: Vec<String> =
        lake.list(&path(prefix), after.as_ref()).await.unwrap().iter().map(ToString::to_string).collect();
    names.sort();
    names
}

fn file(directory: &tempfile::TempDir, bytes: &[u8]) -> std::path::PathBuf {
    let path = directory.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Publishes the file at `from` as it is now.
async fn publish(lake: &Destination, from: &FilePath, at: &Path) -> Result<Published, DestinationError> {
    let sha256 = Sha256::digest(std::fs::read(from).unwrap()).into();
    lake.publish(from, &sha256, at).await
}

on_every_destination! {
    async fn object_is_created_once_and_kept(lake) {
        let at = path("_profound_export/ledger/000000/000000001.json");
        assert!(lake.create(&at, Bytes::from_static(b"first")).await.unwrap());
        assert!(!lake.create(&at, Bytes::from_static(b"second")).await.unwrap());
        assert_eq!(text(&lake, at.as_ref()).await.as_deref(), Some("first"));
    }
}

on_every_destination! {
    async fn one_of_many_creates_at_once_wins(lake) {
        let at = path("_profound_export/ledger/000000/000000001.json");
        let create = |number: usize| lake.create(&at, Bytes::from(number.to_string()));
        let created = futures::future::join_all((0..16).map(create)).await;
        let winners: Vec<usize> = (0..16).filter(|number| matches!(created[*number], Ok(true))).collect();
        assert_eq!(winners.len(), 1, "{created:?}");
        assert_eq!(text(&lake, at.as_ref()).await, Some(winners[0].to_string()));
    }
}

on_every_destination! {
    async fn overwrite_replaces_an_object(lake) {
        for words in ["first", "second, and longer", ""] {
            lake.overwrite(&path("coverage.parquet"), Bytes::from(words)).await.unwrap();
            assert_eq!(text(&lake, "coverage.parquet").await.as_deref(), Some(words));
        }
        assert_eq!(names(&lake, OWN_DIRECTORY, None).await, Vec::<String>::new(), "staging is not empty");
    }
}

on_every_destination! {
    async fn missing_object_is_none_and_its_list_is_empty(lake) {
        assert_eq!(text(&lake, "a/b/c").await, None);
        assert_eq!(names(&lake, "a", None).await, Vec::<String>::new());
    }
}

on_every_destination! {
    async fn list_has_the_objects_below_a_prefix_and_after_a_name(lake) {
        for name in ["ledger/1", "ledger/2", "ledger/deep/3", "ledgers/4"] {
            lake.create(&path(name), Bytes::from_static(b"x")).await.unwrap();
        }
        assert_eq!(names(&lake, "ledger", None).await, ["ledger/1", "ledger/2", "ledger/deep/3"]);
        assert_eq!(names(&lake, "ledger", Some("ledger/1")).await, ["ledger/2", "ledger/deep/3"]);
    }
}

on_every_destination! {
    async fn published_file_is_whole_and_has_a_version_of_its_own(lake) {
        let scratch = tempfile::tempdir().unwrap();
        let at = path("visibility_v2/category=c1/day=2026-03-01/data.parquet");
        let mut etags = Vec::new();
        for bytes in [b"first".to_vec(), vec![7; LARGE_BYTES], Vec::new(), b"last".to_vec()] {
            let published = publish(&lake, &file(&scratch, &bytes), &at).await.unwrap();
            let head = lake.store().head(&at).await.unwrap();
            assert_eq!((published.bytes, head.size), (bytes.len() as u64, bytes.len() as u64));
            assert_eq!(published.etag, head.e_tag);
            assert!(lake.read(&at).await.unwrap().unwrap() == bytes, "the stored bytes differ");
            etags.push(published.etag.unwrap());
        }
        etags.dedup();
        assert_eq!(etags.len(), 4, "two versions have the same ETag");
        assert_eq!(names(&lake, OWN_DIRECTORY, None).await, Vec::<String>::new(), "staging is not empty");
    }
}

on_every_destination! {
    async fn published_file_is_kept_if_the_spool_file_is_gone(lake) {
        lake.overwrite(&path("a/data.parquet"), Bytes::from_static(b"old")).await.unwrap();
        let gone = lake.publish(FilePath::new("/nowhere/at/all.parquet"), &[0; 32], &path("a/data.parquet")).await.unwrap_err();
        assert!(gone.to_string().contains("/nowhere/at/all.parquet"));
        assert_eq!(text(&lake, "a/data.parquet").await.as_deref(), Some("old"));
    }
}

on_every_destination! {
    async fn spool_file_that_changed_is_not_published(lake) {
        let scratch = tempfile::tempdir().unwrap();
        let at = path("a/data.parquet");
        for length in [4, LARGE_BYTES] {
            lake.overwrite(&at, Bytes::from_static(b"old")).await.unwrap();
            let written = Sha256::digest(vec![b'w'; length]).into();
            for forged in [vec![b'f'; length], vec![b'w'; length + 1], vec![b'w'; length - 1]] {
                let error = lake.publish(&file(&scratch, &forged), &written, &at).await.unwrap_err();
                assert!(matches!(error, DestinationError::Spool { .. }), "{error}");
                assert_eq!(text(&lake, at.as_ref()).await.as_deref(), Some("old"));
            }
            assert_eq!(names(&lake, OWN_DIRECTORY, None).await, Vec::<String>::new(), "staging is not empty");
        }
    }
}

on_every_destination! {
    async fn reader_sees_the_old_file_or_the_new_one_and_nothing_between(lake) {
        let scratch = tempfile::tempdir().unwrap();
        let at = path("a/data.parquet");
        let (old, new) = (vec![b'o'; 3_000_000], vec![b'n'; LARGE_BYTES]);
        publish(&lake, &file(&scratch, &old), &at).await.unwrap();
        let from = file(&scratch, &new);
        let done = AtomicBool::new(false);
        let reading = async {
            let mut reads = 0;
            while !done.load(Ordering::Relaxed) || reads == 0 {
                let seen = lake.read(&at).await.unwrap().expect("the file vanished");
                assert!(seen == old || seen == new, "a partial file of {} bytes", seen.len());
                reads += 1;
                tokio::task::yield_now().await;
            }
        };
        let writing = async {
            publish(&lake, &from, &at).await.unwrap();
            done.store(true, Ordering::Relaxed);
        };
        tokio::join!(reading, writing);
        assert!(lake.read(&at).await.unwrap().unwrap() == new);
    }
}

on_every_destination! {
    async fn names_that_stores_may_dislike_are_kept(lake) {
        for name in ["h-c14cddc033f64b9dea80ea675cf280a0", "www.example.com", "0055737f-ccd7-5a93-ba6d-75d3217417cd"] {
            let at = format!("bots_v2/organization={name}/domain={name}/day=2026-03-01/data.parquet");
            lake.overwrite(&path(&at), Bytes::from_static(b"rows")).await.unwrap();
            assert_eq!(names(&lake, &format!("bots_v2/organization={name}"), None).await, [at]);
        }
    }
}

on_every_destination! {
    async fn probe_passes_and_leaves_no_object(lake) {
        lake.probe().await.unwrap();
        lake.probe().await.unwrap();
        assert_eq!(names(&lake, OWN_DIRECTORY, None).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn multipart_upload_is_aborted_if_any_step_fails() {
    let scratch = tempfile::tempdir().unwrap();
    let (at, from) = (path("a/data.parquet"), file(&scratch, &vec![7; LARGE_BYTES]));
    // Three parts and the completion; then none fails.
    for step in 0..=4 {
        let store = Bad::new(Arc::new(InMemory::new()), Vice::BreaksUploads { at: step });
        let lake = Destination::new(Arc::clone(&store) as Arc<dyn ObjectStore>, "memory:///");
        lake.overwrite(&at, Bytes::from_static(b"old")).await.unwrap();
        let published = publish(&lake, &from, &at).await;
        assert_eq!(published.is_ok(), step == 4);
        let published = lake.read(&at).await.unwrap().unwrap();
        assert_eq!(published.len(), if step == 4 { LARGE_BYTES } else { 3 });
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (completed, aborted) = (count(&store.uploads.completed), count(&store.uploads.aborted));
        assert_eq!(count(&store.uploads.begun), 1);
        assert_eq!((completed, aborted), if step == 4 { (1, 0) } else { (0, 1) }, "at step {step}");
    }
}

#[tokio::test]
async fn probe_continues_if_a_write_response_is_lost() {
    for at in 0..2 {
        let store = Bad::new(Arc::new(InMemory::new()), Vice::LosesAnswer { at });
        Destination::new(store, "memory:///").probe().await.unwrap();
    }
}

fn fact(category: String) -> Entry {
    let (fact, evidence) = (Fact::Category { id: category, present: true }, String::new());
    Entry::Learned(LearnedFact::new(fact, evidence, instant("2026-03-10T16:00:00Z")))
}

on_every_destination! {
    async fn every_record_of_many_writers_is_kept_in_one_order(lake) {
        let clock = Clock::starting_at(instant("2026-03-10T16:00:00Z"));
        let write = async |writer: usize| {
            let mut ledger = Ledger::open(lake.clone(), clock.clone()).await.unwrap();
            for number in 0..3 {
                let entry = fact(format!("{writer}/{number}"));
                let known = ledger.state().number;
                ledger.append(vec![entry], Some(known)).await.unwrap();
            }
        };
        futures::future::join_all((0..4).map(write)).await;
        let ledger = Ledger::open(lake.clone(), clock.clone()).await.unwrap();
        assert_eq!((ledger.state().number, ledger.state().facts.iter().count()), (12, 12));
        assert_eq!(names(&lake, OWN_DIRECTORY, None).await.len(), 12);
    }
}

on_every_destination! {
    async fn invalid_or_newer_record_is_rejected_by_name(lake) {
        let at = path("_profound_export/ledger/000000/000000001.json");
        for (bytes, words) in [
            (&b"{\"format\": 4, \"number\": 1}"[..], "ledger record 1 has format 4"),
            (b"<html>", "cannot read ledger record 1 at `_profound_export/ledger/000000/000000001.json`"),
        ] {
            lake.store().put(&at, PutPayload::from_static(bytes)).await.unwrap();
            let clock = Clock::starting_at(instant("2026-03-10T16:00:00Z"));
            let refused = Ledger::open(lake.clone(), clock).await.unwrap_err();
            assert!(refused.to_string().starts_with(words), "{refused}");
        }
    }
}

on_every_destination! {
    async fn lake_equals_the_api_after_two_runs_with_a_change_between_them(lake) {
        const STREAMS: [&str; 4] = ["visibility_v2_by_day", "bots_v2", "models", "prompts"];
        let export = Export::start(Place::Memory, account(), &STREAMS).await.on(lake);
        assert_eq!(export.run().await.outcome, Outcome::Complete);
        export.simulator.restate("2026-03-08".parse().unwrap());
        assert_eq!(export.run().await.outcome, Outcome::Complete);
        for stream in STREAMS {
            export.assert_equals_simulator(stream).await;
        }
        export.assert_ledger_knows_every_file().await;
        let coverage: Vec<Value> = export.coverage().await;
        assert!(coverage.iter().all(|row| row["status"] != "missing"));
    }
}

#[tokio::test]
async fn credentials_in_options_are_never_shown() {
    let config: DestinationConfig = serde_json::from_value(serde_json::json!({
        "url": "s3://bucket/prefix",
        "options": { "region": "eu-central-1", "aws_secret_access_key": "shh-secret", "aws_access_key_id": "AKIA" },
    }))
    .unwrap();
    let lake = Arc::new(Destination::open(&config).unwrap());
    assert!(!format!("{config:?} {lake:?} {}", lake.url()).contains("shh-secret"));
}

#[tokio::test]
async fn missing_and_forbidden_objects_differ_if_both_answer_403() {
    let store = Bad::new(Arc::new(InMemory::new()), Vice::Forbids { forbidden: "secret" });
    let lake = Destination::new(store, "memory:///");
    lake.create(&path("open/there"), Bytes::from_static(b"1")).await.unwrap();
    lake.create(&path("secret/there"), Bytes::from_static(b"1")).await.unwrap();
    assert_eq!(text(&lake, "open/there").await.as_deref(), Some("1"));
    assert_eq!(text(&lake, "open/absent").await, None);
    assert_eq!(text(&lake, "absent").await, None);
    let error = lake.read(&path("secret/there")).await.unwrap_err();
    assert!(error.to_string().contains("cannot read `secret/there`"), "{error}");
}

#[tokio::test]
async fn ledger_works_if_the_store_answers_403_for_missing_objects() {
    let store = Bad::new(Arc::new(InMemory::new()), Vice::Forbids { forbidden: "nothing" });
    let lake = Destination::new(store, "memory:///");
    for number in 1..=3 {
        let mut ledger = Ledger::open(lake.clone(), Clock::starting_at(instant("2026-11-23T12:00:00Z"))).await.unwrap();
        ledger.append(vec![fact(number.to_string())], Some(0)).await.unwrap();
        assert_eq!(ledger.state().number, number);
    }
}

#[tokio::test]
async fn directory_in_place_of_the_coverage_table_costs_no_success() {
    let export = Export::start(Place::Disk, account(), &["models"]).await;
    let table = export.lake.directory().unwrap().join("_profound_export/coverage.parquet");
    std::fs::create_dir_all(table.join("somebody's")).unwrap();
    let started = std::time::Instant::now();
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    assert!(started.elapsed().as_secs() < 30, "it was retried");
    assert!(table.join("somebody's").is_dir());
    std::fs::remove_dir_all(&table).unwrap();
    export.run().await;
    assert!(table.is_file());
}

#[tokio::test]
async fn file_is_published_although_its_directory_was_removed() {
    let scratch = tempfile::tempdir().unwrap();
    let lake = Place::Disk.destination(&scratch);
    let at = path("a/category=c/data.parquet");
    lake.overwrite(&at, Bytes::from_static(b"first")).await.unwrap();
    // Another process removes the directory, which this one believes to exist.
    std::fs::remove_dir_all(lake.directory().unwrap().join("a")).unwrap();
    lake.overwrite(&at, Bytes::from_static(b"second")).await.unwrap();
    assert_eq!(text(&lake, at.as_ref()).await.as_deref(), Some("second"));
}

#[tokio::test]
async fn single_writer_creates_an_object_once_without_hard_links() {
    let scratch = tempfile::tempdir().unwrap();
    let url = scratch.path().join("lake").display().to_string();
    let config = DestinationConfig { url, single_writer: true, ..DestinationConfig::default() };
    let lake = Destination::open(&config).unwrap();
    let at = path("_profound_export/ledger/000000/000000001.json");
    assert!(lake.create(&at, Bytes::from_static(b"first")).await.unwrap());
    assert!(!lake.create(&at, Bytes::from_static(b"second")).await.unwrap());
    assert_eq!(text(&lake, at.as_ref()).await.as_deref(), Some("first"));
}
