//! `verify` finds every problem of a lake, and the next run repairs it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use profound_export::clock::Clock;
use profound_export::config::Partition;
use profound_export::layout::Layout;
use profound_export::ledger::{Entry, Ledger, State};
use profound_export::maintain::{
    Depth, Finding, FindingKind, FindingRemedy, MaintainedLake, Verified, VerifyOptions, verify,
};
use profound_export::run::Outcome;

use crate::support::{Export, Place, account, day, instant, on_memory_and_disk};

const STREAMS: [&str; 4] = ["visibility_v2_by_day", "bots_v2", "models", "category_topics"];
const REPORT: &str = "visibility_v2_by_day";

pub fn maintained_lake(export: &Export) -> MaintainedLake {
    let destinations = export.settings().destinations;
    MaintainedLake {
        destination: export.lake.clone(),
        layout: export.layout(),
        catalog: Arc::new(export.catalog.clone()),
        now: export.simulator.now(),
        spool_dir: destinations.spool_dir,
        spool_bytes: u64::MAX,
    }
}

/// Verifies the whole lake, in a process of its own.
pub async fn verified(export: &Export, depth: Depth, marks: bool) -> (Verified, Vec<Finding>) {
    let lake = maintained_lake(export);
    let mut ledger = Ledger::open(export.lake.clone(), Clock::starting_at(lake.now)).await.unwrap();
    let options = VerifyOptions { tables: None, depth, marks };
    let mut findings = Vec::new();
    let verified = verify(&lake, &options, &mut ledger, |finding| findings.push(finding)).await.unwrap();
    (verified, findings)
}

async fn put(export: &Export, path: &str, bytes: Bytes) {
    export.lake.store().put(&Path::from(path), PutPayload::from_bytes(bytes)).await.unwrap();
}

async fn remove(export: &Export, path: &str) {
    export.lake.store().delete(&Path::from(path)).await.unwrap();
}

/// The path of a day of the first scope of a stream.
fn path(export: &Export, stream: &str, date: Option<&str>) -> String {
    export.layout().path_for(export.stream(stream), &export.first_scope(stream), date.map(day)).to_string()
}

/// A lake of final days, which no run re-extracts.
async fn final_lake(place: Place) -> Export {
    let export = Export::start(place, account(), &STREAMS).await;
    export.simulator.set_now(instant("2026-03-20T16:00:00Z"));
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    export
}

fn kinds(findings: &[Finding]) -> BTreeMap<&str, FindingKind> {
    findings.iter().map(|finding| (finding.path.as_str(), finding.kind)).collect()
}

on_memory_and_disk! {
    async fn sound_lake_has_no_findings_and_no_new_record(place) {
        let export = final_lake(place).await;
        let before = export.state().await.number;
        for depth in [Depth::Sizes, Depth::Rows] {
            let (verified, findings) = verified(&export, depth, true).await;
            assert!(verified.is_fine() && findings.is_empty(), "{findings:?}");
            assert_eq!(verified.files, export.files().await.len() as u64);
        }
        assert_eq!(export.state().await.number, before);
    }
}

on_memory_and_disk! {
    async fn broken_files_are_marked_and_replaced_by_the_next_run(place) {
        let export = final_lake(place).await;
        let clean = export.files().await;
        let [missing, cut, flipped, other] =
            ["2026-03-06", "2026-03-07", "2026-03-08", "2026-03-09"].map(|date| path(&export, REPORT, Some(date)));
        let list = path(&export, "category_topics", None);
        remove(&export, &missing).await;
        let whole = export.bytes(&cut).await;
        put(&export, &cut, whole.slice(..whole.len() / 2)).await;
        // One of the bytes of the rows, so that the length stays.
        let mut bytes = export.bytes(&flipped).await.to_vec();
        bytes[40] ^= 0xff;
        put(&export, &flipped, bytes.into()).await;
        // The file of another day, cut or filled up to the same length, is what a mistaken copy leaves.
        let neighbour = export.bytes(&path(&export, REPORT, Some("2026-03-10"))).await;
        put(&export, &other, neighbour).await;
        remove(&export, &list).await;

        let (report, findings) = verified(&export, Depth::Rows, true).await;
        assert!(!report.is_fine());
        let found = kinds(&findings);
        assert_eq!(found[missing.as_str()], FindingKind::Missing);
        assert_eq!(found[cut.as_str()], FindingKind::WrongSize);
        assert_eq!(found[flipped.as_str()], FindingKind::Damaged);
        assert!(found[other.as_str()].is_of_recorded_file());
        assert_eq!(found[list.as_str()], FindingKind::Missing);
        assert_eq!((found.len(), report.marked), (5, 5), "{findings:?}");
        assert!(findings.iter().all(|finding| finding.remedy == FindingRemedy::Rewrite));

        // A stale file is reported, but not marked twice.
        let number = export.state().await.number;
        assert_eq!(verified(&export, Depth::Rows, true).await.0.marked, 0);
        assert_eq!(export.state().await.number, number);

        let run = export.run().await;
        assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
        assert_eq!(clean.keys().collect::<Vec<_>>(), export.files().await.keys().collect::<Vec<_>>());
        for stream in STREAMS {
            export.assert_equals_simulator(stream).await;
        }
        export.assert_ledger_knows_every_file().await;
        let (report, findings) = verified(&export, Depth::Rows, true).await;
        assert!(report.is_fine(), "{findings:?}");
    }
}

on_memory_and_disk! {
    async fn verify_without_marks_records_nothing(place) {
        let export = final_lake(place).await;
        remove(&export, &path(&export, REPORT, Some("2026-03-06"))).await;
        let before = export.state().await;
        let (report, _) = verified(&export, Depth::Sizes, false).await;
        assert_eq!((report.is_fine(), report.marked), (false, 0));
        assert_eq!(export.state().await, before);
    }
}

on_memory_and_disk! {
    async fn unmanaged_and_duplicate_files_are_reported_and_kept(place) {
        let export = final_lake(place).await;
        let scope = export.first_scope(REPORT);
        let elsewhere = Layout { partition: Partition::None }.data_path(REPORT, &scope, Some(day("2026-03-07")));
        let copy = export.bytes(&path(&export, REPORT, Some("2026-03-07"))).await;
        put(&export, elsewhere.as_ref(), copy).await;
        let foreign = format!("{REPORT}/part-0.parquet");
        put(&export, &foreign, Bytes::from_static(b"mine")).await;
        // A directory of no stream is ignored.
        put(&export, "notes/today.txt", Bytes::from_static(b"mine")).await;

        let (report, findings) = verified(&export, Depth::Rows, true).await;
        let found = kinds(&findings);
        assert_eq!(found[elsewhere.as_ref()], FindingKind::Duplicate);
        assert_eq!(found[foreign.as_str()], FindingKind::Unmanaged);
        assert_eq!((found.len(), report.marked), (2, 0), "{findings:?}");
        assert!(!report.is_fine());
        assert!(export.files().await.contains_key(&foreign));
    }
}

on_memory_and_disk! {
    async fn missing_past_snapshot_is_only_restorable_from_a_backup(place) {
        let mut export = Export::start(place, account(), &["category_topics"]).await;
        export.job.list_snapshots = true;
        export.run().await;
        let scope = export.first_scope("category_topics");
        let snapshot = export.layout().data_path("category_topics_history", &scope, Some(day("2026-03-10"))).to_string();
        let bytes = export.bytes(&snapshot).await;
        assert!(verified(&export, Depth::Rows, true).await.0.is_fine());

        export.simulator.set_now(instant("2026-03-12T16:00:00Z"));
        remove(&export, &snapshot).await;
        let (report, findings) = verified(&export, Depth::Rows, true).await;
        assert_eq!((findings[0].kind, findings[0].remedy, report.marked), (FindingKind::Missing, FindingRemedy::Restore, 0));
        put(&export, &snapshot, bytes).await;
        assert!(verified(&export, Depth::Rows, true).await.0.is_fine());
    }
}

on_memory_and_disk! {
    async fn unrecorded_work_of_a_killed_run_is_not_a_problem(place) {
        let export = final_lake(place).await;
        let state = export.state().await;
        let (scope, window) = (export.first_scope(REPORT), crate::support::days("2026-03-07", "2026-03-21"));
        let planned = profound_export::ledger::Planned { stream: REPORT.into(), scope: scope.key(), window: Some(window) };
        let began = profound_export::ledger::Entry::RunStarted { run: uuid::Uuid::now_v7(), job: "nightly".into(), planned: vec![planned], backfill: false };
        export.a_minute_later();
        let mut ledger = Ledger::open(export.lake.clone(), Clock::starting_at(export.simulator.now())).await.unwrap();
        ledger.append(vec![began], Some(state.number)).await.unwrap();
        let (written, fresh) = (path(&export, REPORT, Some("2026-03-07")), path(&export, REPORT, Some("2026-03-20")));
        put(&export, &written, Bytes::from_static(b"another size")).await;
        put(&export, &fresh, Bytes::from_static(b"not recorded yet")).await;

        let (report, findings) = verified(&export, Depth::Rows, true).await;
        let found = kinds(&findings);
        assert_eq!(found[written.as_str()], FindingKind::Unsettled);
        assert_eq!(found[fresh.as_str()], FindingKind::Unsettled);
        assert!(report.is_fine() && report.marked == 0, "{findings:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn unusual_names_are_reported_escaped_and_stop_no_command() {
    use std::os::unix::ffi::OsStrExt;
    let export = final_lake(Place::Disk).await;
    let root = export.lake.directory().unwrap().to_owned();
    let ledger = "_profound_export/ledger/000000";
    for directory in [REPORT, ledger, "_profound_export/checkpoints"] {
        let directory = root.join(directory);
        std::fs::create_dir_all(&directory).unwrap();
        for name in [&b"Icon\r"[..], b"999999999-\xff.parquet", b"\x07.json"] {
            std::fs::write(directory.join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
        }
        std::os::unix::fs::symlink("..", directory.join("back")).unwrap();
        std::os::unix::fs::symlink("itself", directory.join("itself")).unwrap();
    }
    let expected = ["%07.json", "999999999-%FF.parquet", "Icon%0D"]
        .map(|name| (format!("{REPORT}/{name}"), FindingKind::Unmanaged));
    let (_, findings) = verified(&export, Depth::Rows, true).await;
    let found: BTreeMap<String, FindingKind> = findings.into_iter().map(|of| (of.path, of.kind)).collect();
    assert_eq!(found, expected.into());
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
}

on_memory_and_disk! {
    async fn damage_of_the_log_behind_a_checkpoint_is_found(place) {
        for damaged in [false, true] {
            let export = final_lake(place).await;
            let mut ledger = Ledger::open(export.lake.clone(), Clock::starting_at(export.simulator.now())).await.unwrap();
            // Enough records for a checkpoint that hides the first ones.
            for number in 1..=20 {
                let entry = Entry::Organizations { added: vec![format!("organization-{number}")] };
                ledger.append(vec![entry], None).await.unwrap();
            }
            ledger.checkpoint().await.unwrap();
            assert!(verified(&export, Depth::Rows, true).await.1.is_empty());
            let record = "_profound_export/ledger/000000/000000003.json";
            if damaged {
                put(&export, record, Bytes::from_static(b"{\"format\": 1, garbage")).await;
            } else {
                remove(&export, record).await;
            }
            let (report, findings) = verified(&export, Depth::Rows, true).await;
            assert!(!report.is_fine());
            let expected = if damaged { FindingKind::Damaged } else { FindingKind::Missing };
            assert_eq!(kinds(&findings), [(record, expected)].into());
            assert!(findings[0].problem.starts_with("ledger record 3: "), "{}", findings[0].problem);
            assert_eq!(findings[0].remedy, FindingRemedy::Restore);
        }
    }
}

on_memory_and_disk! {
    async fn lost_last_records_are_found_by_the_coverage_table(place) {
        let export = final_lake(place).await;
        let last = export.state().await.number;
        let record = |number: u64| format!("_profound_export/ledger/000000/{number:09}.json");
        for lost in [last, last - 1] {
            remove(&export, &record(lost)).await;
            for depth in [Depth::Sizes, Depth::Rows] {
                let (report, findings) = verified(&export, depth, true).await;
                assert!(!report.is_fine());
                let found = findings.iter().find(|finding| finding.path == record(lost)).unwrap();
                assert!(found.problem.starts_with(&format!("ledger records {lost} to {last} are gone")), "{found:?}");
            }
        }
        // Files that only the lost records named are listed, too.
        assert!(verified(&export, Depth::Sizes, false).await.1.len() > 1);
        export.run().await;
        assert!(verified(&export, Depth::Rows, true).await.1.is_empty());
    }
}

#[tokio::test]
async fn checkpoint_that_differs_from_the_records_is_found() {
    let export = final_lake(Place::Memory).await;
    let clock = Clock::starting_at(export.simulator.now());
    let mut ledger = Ledger::open(export.lake.clone(), clock.clone()).await.unwrap();
    // A record is replaced by a readable one of fewer days, as a restored older object is.
    let mut state = ledger.state().clone();
    state.coverage.remove(REPORT).unwrap();
    let bytes = state.to_checkpoint().await.unwrap();
    let name = format!("_profound_export/checkpoints/{}", State::checkpoint_name(state.number, &bytes));
    put(&export, &name, bytes).await;
    ledger.refresh().await.unwrap();
    let lake = maintained_lake(&export);
    let options = VerifyOptions { tables: None, depth: Depth::Rows, marks: false };
    let mut findings = Vec::new();
    verify(&lake, &options, &mut ledger, |finding| findings.push(finding)).await.unwrap();
    assert_eq!(kinds(&findings), [(name.as_str(), FindingKind::Damaged)].into());
}
