//! A lost or damaged ledger is rebuilt from the files, atomically.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use profound_export::catalog::Catalog;
use profound_export::clock::Clock;
use profound_export::config::{Partition, Salt};
use profound_export::destination::{Destination, OWN_DIRECTORY};
use profound_export::layout::Layout;
use profound_export::ledger::{Entry, Ledger, LedgerError, State};
use profound_export::maintain::{
    Depth, Finding, FindingKind, MaintainError, RebuildOptions, Rebuilt, VerifyOptions, forget, rebuild, verify,
};
use profound_export::model::coverage::DayState;
use profound_export::model::day::Day;
use profound_export::model::forgotten::Erasure;
use profound_export::model::scope::ScopeKey;
use profound_export::run::{Outcome, RunError};
use profound_export::simulator::Account;
use uuid::Uuid;

use crate::support::stores::{Bad, Vice};
use crate::support::{Export, Place, account, day, instant, of_stream, on_memory_and_disk};
use crate::verify::maintained_lake;

/// A report, one requested day by day, one of domains, lists of the account and of categories.
const STREAMS: [&str; 6] =
    ["visibility_v2_by_day", "sentiment_v1", "bots_v2", "models", "category_topics", "organizations"];
const REPORT: &str = "visibility_v2_by_day";

/// Makes the ledger again, in a process of its own.
pub async fn rebuilt(export: &Export) -> (Rebuilt, Vec<Finding>) {
    let mut findings = Vec::new();
    let rebuilt =
        rebuild(&maintained_lake(export), &RebuildOptions::default(), |finding| findings.push(finding)).await.unwrap();
    (rebuilt, findings)
}

async fn rejection(export: &Export) -> String {
    match rebuild(&maintained_lake(export), &RebuildOptions::default(), |_| {}).await {
        Err(MaintainError::Rejected { problem, hint }) => format!("{problem}; {hint}"),
        other => panic!("not rejected: {other:?}"),
    }
}

async fn assert_verified(export: &Export) {
    let mut ledger = open(export).await.unwrap();
    let options = VerifyOptions { tables: None, depth: Depth::Rows, marks: false };
    let mut findings = Vec::new();
    let lake = maintained_lake(export);
    let verified = verify(&lake, &options, &mut ledger, |finding| findings.push(finding)).await.unwrap();
    assert!(verified.is_fine(), "{findings:?}");
    assert_eq!(verified.files, export.files().await.len() as u64);
}

async fn open(export: &Export) -> Result<Ledger, LedgerError> {
    Ledger::open(export.lake.clone(), Clock::starting_at(export.simulator.now())).await
}

/// Deletes these folders of the exporter's own directory.
async fn delete(export: &Export, folders: &[&str]) {
    for path in export.objects().await.into_keys() {
        if folders.iter().any(|folder| path.starts_with(&format!("{OWN_DIRECTORY}/{folder}/"))) {
            export.lake.store().delete(&Path::from(path)).await.unwrap();
        }
    }
}

async fn put(export: &Export, path: &str, bytes: impl Into<Bytes>) {
    export.lake.store().put(&Path::from(path), PutPayload::from_bytes(bytes.into())).await.unwrap();
}

fn record(number: u64) -> String {
    format!("{OWN_DIRECTORY}/ledger/000000/{number:09}.json")
}

/// A lake of final days, but for the last, in one run.
async fn final_lake(place: Place, partition: Partition) -> Export {
    let mut export = Export::start(place, account(), &STREAMS).await;
    export.partition = partition;
    export.job.list_snapshots = true;
    export.simulator.set_now(instant("2026-03-20T16:00:00Z"));
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
    export
}

/// Every state with a file, by table, scope and day.
fn of_files(state: &State) -> BTreeMap<(String, ScopeKey, Option<Day>), DayState> {
    let mut found = BTreeMap::new();
    for (stream, scopes) in &state.coverage {
        for (key, coverage) in scopes {
            let days = coverage.days.iter().map(|(day, state)| (Some(*day), state));
            for (day, state) in days.chain(coverage.whole.iter().map(|state| (None, state))).filter(|it| it.1.file) {
                found.insert((stream.clone(), key.clone(), day), state.clone());
            }
        }
    }
    found
}

async fn assert_rebuilt(place: Place, partition: Partition) {
    let export = final_lake(place, partition).await;
    let (before, files) = (export.state().await, export.files().await);
    delete(&export, &["ledger", "checkpoints"]).await;

    // Until then a run does not treat the lake as empty.
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::ConfigMismatch);
    let Some(RunError::Ledger(lost @ LedgerError::Lost { .. })) = run.error else { panic!("{:?}", run.error) };
    assert!(lost.to_string().contains("but no ledger") && lost.hint().contains("ledger rebuild"), "{lost}");
    assert_eq!(export.state().await.number, 0);

    let (report, findings) = rebuilt(&export).await;
    assert!(report.is_fine() && findings.is_empty(), "{findings:?}");
    assert_eq!((report.record, report.files, report.as_recorded), (Some(1), files.len() as u64, 0));
    assert_eq!(report.partition, export.layout().name());
    assert!(report.unknown.iter().any(|unknown| unknown.contains("forgotten")), "{:?}", report.unknown);
    let after = export.state().await;
    assert_eq!(of_files(&after), of_files(&before), "the rebuilt state differs");
    assert_eq!(after.organizations, before.organizations);
    let with_files: BTreeMap<_, _> =
        before.tables.iter().filter(|(name, _)| after.coverage.contains_key(*name)).collect();
    assert_eq!(after.tables.iter().collect::<BTreeMap<_, _>>(), with_files);
    assert_verified(&export).await;
    export.assert_ledger_knows_every_file().await;

    let versions = export.versions(REPORT).await;
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.error);
    for request in of_stream(&received, REPORT) {
        let first = day(request.body["start_date"].as_str().unwrap());
        let is_empty = before.coverage[REPORT].values().any(|scope| !scope.days[&first].file);
        assert!(is_empty || day("2026-03-16") < first, "{first} is final, but requested");
    }
    assert_eq!(export.versions(REPORT).await, versions, "no day changed, so no file is written");
    let written: Vec<_> = export
        .files()
        .await
        .into_iter()
        .filter(|(path, file)| files.get(path).is_none_or(|before| before.last_modified != file.last_modified))
        .map(|(path, _)| path)
        .collect();
    assert!(written.is_empty(), "written needlessly: {written:?}");
    for stream in STREAMS {
        export.assert_equals_simulator(stream).await;
    }
    export.assert_ledger_knows_every_file().await;
    assert_verified(&export).await;
}

on_memory_and_disk! {
    async fn deleted_ledger_is_rebuilt_from_day_directories(place) {
        assert_rebuilt(place, Partition::Day).await;
    }
}

on_memory_and_disk! {
    async fn deleted_ledger_is_rebuilt_from_month_directories(place) {
        assert_rebuilt(place, Partition::Month).await;
    }
}

on_memory_and_disk! {
    async fn deleted_ledger_is_rebuilt_from_days_in_one_directory(place) {
        assert_rebuilt(place, Partition::None).await;
    }
}

#[tokio::test]
async fn layout_is_read_from_the_files_not_the_configuration() {
    let mut export = final_lake(Place::Memory, Partition::Month).await;
    delete(&export, &["ledger", "checkpoints"]).await;
    export.partition = Partition::Day;
    assert_eq!(rebuilt(&export).await.0.partition, "month");
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::ConfigMismatch, "two layouts never mix");
}

#[tokio::test]
async fn dry_run_of_a_rebuild_writes_nothing() {
    let export = final_lake(Place::Memory, Partition::Day).await;
    delete(&export, &["ledger", "checkpoints"]).await;
    let before = export.objects().await.into_keys().collect::<Vec<_>>();
    let report =
        rebuild(&maintained_lake(&export), &RebuildOptions { dry_run: true, ..RebuildOptions::default() }, |_| {})
            .await
            .unwrap();
    assert_eq!((report.record, report.files), (None, export.files().await.len() as u64));
    assert_eq!(export.objects().await.into_keys().collect::<Vec<_>>(), before);
}

#[tokio::test]
async fn readable_ledger_is_kept_unless_a_rebuild_is_forced() {
    let export = final_lake(Place::Memory, Partition::Day).await;
    let before = export.state().await;
    assert!(rejection(&export).await.contains("--force"));
    assert_eq!(export.state().await, before);
    let report =
        rebuild(&maintained_lake(&export), &RebuildOptions { force: true, ..RebuildOptions::default() }, |_| {})
            .await
            .unwrap();
    assert_eq!((report.record, report.as_recorded, report.unknown.len()), (Some(before.number + 1), report.files, 0));
    let after = export.state().await;
    assert_eq!(State { number: before.number, ..after }, before);
}

#[tokio::test]
async fn ledger_of_a_live_run_is_not_rebuilt_until_it_counts_as_killed() {
    let export = final_lake(Place::Memory, Partition::Day).await;
    let mut ledger = open(&export).await.unwrap();
    let began = Entry::RunStarted { run: Uuid::now_v7(), job: "nightly".into(), planned: Vec::new(), backfill: false };
    ledger.append(vec![began], Some(0)).await.unwrap();
    put(&export, &record(2), "{").await;
    let message = rejection(&export).await;
    assert!(message.contains("a run of job `nightly`") && message.contains("ten minutes"), "{message}");
    export.simulator.set_now(instant("2026-03-20T16:20:00Z"));
    rebuilt(&export).await;
}

/// Damages a record, checks how the ledger is rejected, and rebuilds it.
async fn assert_rebuilt_after(spoil: impl AsyncFn(&Export), refusal: &str) {
    let export = final_lake(Place::Memory, Partition::Day).await;
    let (before, files) = (export.state().await, export.files().await);
    delete(&export, &["checkpoints"]).await;
    spoil(&export).await;
    let error = open(&export).await.unwrap_err();
    assert!(crate::support::error_chain(&error).contains(refusal), "{error}: {refusal}");
    assert!(error.hint().contains("profound-export ledger rebuild"), "{}", error.hint());
    assert_eq!(export.run().await.outcome, Outcome::ConfigMismatch);

    let (report, findings) = rebuilt(&export).await;
    assert!(findings.is_empty(), "{findings:?}");
    assert!(!report.lost.is_empty() && report.record.is_some_and(|record| before.number < record), "{report:?}");
    assert_eq!(report.unknown.len(), 1, "{:?}", report.unknown);
    let after = export.state().await;
    assert_eq!(of_files(&after), of_files(&before));
    assert_eq!((&after.starts, &after.facts), (&before.starts, &before.facts), "the content of other records is kept");
    assert_verified(&export).await;
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    let written =
        export.files().await.into_iter().filter(|(path, file)| files[path].last_modified != file.last_modified);
    assert_eq!(written.count(), 0);
    export.assert_ledger_knows_every_file().await;
}

#[tokio::test]
async fn half_written_record_is_named_and_the_ledger_rebuilt() {
    let halve = async |export: &Export| {
        let whole = export.bytes(&record(2)).await;
        put(export, &record(2), whole.slice(..whole.len() / 2)).await;
    };
    assert_rebuilt_after(halve, "cannot read ledger record 2 at `_profound_export/ledger/000000/000000002.json`: EOF")
        .await;
}

#[tokio::test]
async fn empty_record_is_named_and_the_ledger_rebuilt() {
    let empty = async |export: &Export| put(export, &record(2), "").await;
    assert_rebuilt_after(empty, "cannot read ledger record 2 at `_profound_export/ledger/000000/000000002.json`: EOF")
        .await;
}

#[tokio::test]
async fn record_that_is_not_json_is_named_and_the_ledger_rebuilt() {
    let html = async |export: &Export| put(export, &record(2), "<html>Welcome to the proxy</html>").await;
    assert_rebuilt_after(
        html,
        "cannot read ledger record 2 at `_profound_export/ledger/000000/000000002.json`: expected value",
    )
    .await;
}

#[tokio::test]
async fn record_with_another_number_is_named_and_the_ledger_rebuilt() {
    let swap = async |export: &Export| put(export, &record(2), export.bytes(&record(1)).await).await;
    assert_rebuilt_after(swap, "`_profound_export/ledger/000000/000000002.json` contains ledger record 1 instead of 2")
        .await;
}

#[tokio::test]
async fn missing_record_is_named_and_the_ledger_rebuilt() {
    let lose = async |export: &Export| export.lake.store().delete(&Path::from(record(2))).await.unwrap();
    assert_rebuilt_after(lose, "ledger record 2 is missing").await;
}

#[tokio::test]
async fn record_of_a_newer_version_stops_a_rebuild() {
    let export = final_lake(Place::Memory, Partition::Day).await;
    delete(&export, &["checkpoints"]).await;
    put(&export, &record(1), "{\"format\": 9, \"number\": 1}").await;
    let error = rebuild(&maintained_lake(&export), &RebuildOptions::default(), |_| {}).await.unwrap_err();
    assert!(matches!(error, MaintainError::Ledger(LedgerError::Newer { number: 1, format: 9 })), "{error:?}");
}

#[tokio::test]
async fn unmanaged_objects_between_records_are_ignored() {
    let export = final_lake(Place::Memory, Partition::Day).await;
    let before = export.state().await;
    delete(&export, &["checkpoints"]).await;
    for name in ["000000/.DS_Store", "000000/000000009 (copy).json", "notes.txt"] {
        put(&export, &format!("{OWN_DIRECTORY}/ledger/{name}"), "mine").await;
    }
    assert_eq!(export.state().await, before);
}

#[tokio::test]
async fn lost_or_damaged_rebuilt_ledger_is_rejected_by_name() {
    let export = final_lake(Place::Memory, Partition::Day).await;
    delete(&export, &["ledger", "checkpoints"]).await;
    rebuilt(&export).await;
    let base = export.objects().await.into_keys().find(|path| path.ends_with(".rebuilt.parquet")).unwrap();
    assert!(base.starts_with(&format!("{OWN_DIRECTORY}/checkpoints/000000001-")), "{base}");
    let whole = export.bytes(&base).await;
    put(&export, &base, whole.slice(..whole.len() / 2)).await;
    let error = open(&export).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot read the rebuilt ledger at `{base}`"));
    assert!(error.hint().contains("ledger rebuild"));
    delete(&export, &["checkpoints"]).await;
    let error = open(&export).await.unwrap_err();
    assert_eq!(error.to_string(), "`ledger rebuild` has started with record 1 and not finished");
    assert_eq!(rebuilt(&export).await.0.record, Some(2));
    assert_eq!(export.run().await.outcome, Outcome::Complete);
}

#[tokio::test]
async fn rebuilt_ledger_is_kept_when_checkpoints_are_deleted() {
    let export = Export::start(Place::Memory, account(), &["models"]).await;
    export.run().await;
    delete(&export, &["ledger", "checkpoints"]).await;
    rebuilt(&export).await;
    for _ in 0..26 {
        assert_eq!(export.run().await.outcome, Outcome::Complete);
    }
    let checkpoints: Vec<_> =
        export.objects().await.into_keys().filter(|path| path.contains("/checkpoints/")).collect();
    let is_base = checkpoints[0].contains("/000000001-") && checkpoints[0].ends_with(".rebuilt.parquet");
    assert!(is_base && checkpoints.len() == 4, "{checkpoints:?}");
    let with = export.state().await;
    for path in &checkpoints[1..] {
        export.lake.store().delete(&Path::from(path.as_str())).await.unwrap();
    }
    assert_eq!(export.state().await, with, "checkpoints equal the rebuilt ledger and the records after it");
}

/// Kills a rebuild at each of its writes in turn, before or after it is done.
async fn assert_any_write_may_be_the_last(wholly_gone: bool, done: bool) {
    for at in 0.. {
        let small = Account { categories: 1, domains: 1, ..account() };
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let export = Export::start(Place::Memory, small, &[REPORT, "models"]).await;
        let mut export = export.on(Destination::new(Arc::clone(&store), "test:///"));
        export.run().await;
        let before = export.state().await;
        if wholly_gone {
            delete(&export, &["ledger", "checkpoints"]).await
        } else {
            put(&export, &record(2), "{").await
        }
        let bad = Bad::new(Arc::clone(&store), Vice::Kills { at, done });
        let good =
            std::mem::replace(&mut export.lake, Destination::new(Arc::clone(&bad) as Arc<dyn ObjectStore>, "test:///"));
        let (lake, options) = (maintained_lake(&export), RebuildOptions::default());
        let over = tokio::select! {
            result = rebuild(&lake, &options, |_| {}) => result.is_ok(),
            () = bad.reached() => false,
        };
        export.lake = good;
        // A run reads a complete ledger or rejects it.
        let run = export.run().await;
        if run.outcome == Outcome::Complete {
            assert_eq!(export.state().await.tables, before.tables);
        } else {
            assert!(matches!(run.outcome, Outcome::ConfigMismatch | Outcome::Unavailable), "{:?}", run.error);
            let (report, _) = rebuilt(&export).await;
            assert_eq!(report.files, export.files().await.len() as u64, "write {at}");
            assert_eq!(export.run().await.outcome, Outcome::Complete);
        }
        export.assert_equals_simulator(REPORT).await;
        export.assert_ledger_knows_every_file().await;
        assert_verified(&export).await;
        if over {
            assert_eq!(at, 2, "one object reserves the number, one is the ledger");
            return;
        }
    }
}

#[tokio::test]
async fn ledger_is_old_or_new_if_a_rebuild_dies_before_a_write() {
    assert_any_write_may_be_the_last(true, false).await;
    assert_any_write_may_be_the_last(false, false).await;
}

#[tokio::test]
async fn ledger_is_old_or_new_if_a_rebuild_dies_after_a_write() {
    assert_any_write_may_be_the_last(true, true).await;
    assert_any_write_may_be_the_last(false, true).await;
}

#[tokio::test]
async fn run_with_the_old_ledger_open_is_stopped() {
    let export = final_lake(Place::Memory, Partition::Day).await;
    let mut old = open(&export).await.unwrap();
    put(&export, &record(2), "{").await;
    rebuilt(&export).await;
    let start = Entry::Start { job: "job".into(), day: day("2026-03-01"), single: None };
    let stopped = old.append(vec![start], Some(0)).await.unwrap_err();
    assert!(matches!(stopped, LedgerError::Rebuilding { .. }), "{stopped:?}");
}

#[tokio::test]
async fn damaged_files_are_re_extracted_and_unmanaged_ones_kept() {
    let export = final_lake(Place::Memory, Partition::Day).await;
    let scope = export.first_scope(REPORT);
    let [cut, flipped, misplaced, foreign, missing] = ["08", "09", "10", "11", "12"]
        .map(|date| export.path_of(REPORT, &scope, Some(day(&format!("2026-03-{date}")))));
    let whole = export.bytes(&cut).await;
    put(&export, &cut, whole.slice(..whole.len() / 2)).await;
    let mut bytes = export.bytes(&flipped).await.to_vec();
    bytes[40] ^= 0xff;
    put(&export, &flipped, bytes).await;
    put(&export, &misplaced, export.bytes(&export.path_of(REPORT, &scope, Some(day("2026-03-07")))).await).await;
    put(&export, &foreign, export.bytes(&format!("{OWN_DIRECTORY}/coverage.parquet")).await).await;
    export.lake.store().delete(&Path::from(missing.as_str())).await.unwrap();
    let elsewhere = Layout { partition: Partition::None }.data_path(REPORT, &scope, Some(day("2026-03-07")));
    put(&export, elsewhere.as_ref(), "mine").await;
    put(&export, &format!("{REPORT}/notes.txt"), "mine").await;
    put(&export, "my_own/day=2026-03-07/data.parquet", "mine").await;
    delete(&export, &["checkpoints"]).await;
    put(&export, &record(1), export.bytes(&record(1)).await.slice(..9)).await;

    let (report, findings) = rebuilt(&export).await;
    let found: BTreeMap<&str, FindingKind> =
        findings.iter().map(|finding| (finding.path.as_str(), finding.kind)).collect();
    let notes = format!("{REPORT}/notes.txt");
    let expected = BTreeMap::from([
        (cut.as_str(), FindingKind::Damaged),
        (flipped.as_str(), FindingKind::Damaged),
        (misplaced.as_str(), FindingKind::Misplaced),
        (foreign.as_str(), FindingKind::Misplaced),
        (missing.as_str(), FindingKind::Missing),
        (elsewhere.as_ref(), FindingKind::Duplicate),
        (notes.as_str(), FindingKind::Unmanaged),
    ]);
    assert_eq!(found, expected, "{findings:?}");
    assert!(!report.is_fine());

    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    export.lake.store().delete(&elsewhere).await.unwrap();
    export.lake.store().delete(&Path::from(notes)).await.unwrap();
    export.assert_equals_simulator(REPORT).await;
    assert!(export.objects().await.contains_key("my_own/day=2026-03-07/data.parquet"));
}

/// A file of `from` in the lake of `to`.
async fn mix(from: &Export, to: &Export) -> String {
    let path = from.path_of(REPORT, &from.first_scope(REPORT), Some(day("2026-03-09")));
    put(to, &path, from.bytes(&path).await).await;
    path
}

#[tokio::test]
async fn files_of_another_account_are_reported_and_excluded() {
    let export = final_lake(Place::Memory, Partition::Day).await;
    let other = Export::start(Place::Memory, Account { seed: 77, ..account() }, &[REPORT]).await;
    other.run().await;
    let (own, others) = (export.state().await.organizations, other.state().await.organizations);
    assert!(own.is_disjoint(&others), "the accounts are the same");
    let path = mix(&other, &export).await;
    delete(&export, &["ledger", "checkpoints"]).await;

    // The files do not say which account owns the lake.
    let message = rejection(&export).await;
    assert!(message.contains("several accounts") && message.contains("--organization"), "{message}");
    let mut findings = Vec::new();
    let options = RebuildOptions { organizations: own.clone(), ..RebuildOptions::default() };
    let report = rebuild(&maintained_lake(&export), &options, |finding| findings.push(finding)).await.unwrap();
    assert_eq!(
        findings.iter().map(|it| (it.kind, it.path.as_str())).collect::<Vec<_>>(),
        [(FindingKind::OtherAccount, path.as_str())]
    );
    assert_eq!(report.organizations, own);
    assert_eq!(
        other.on(export.lake.clone()).run().await.outcome,
        Outcome::ConfigMismatch,
        "a root belongs to one account"
    );
    assert_eq!(export.run().await.outcome, Outcome::Complete);
}

#[tokio::test]
async fn forgotten_days_are_kept_out_if_their_record_is_readable() {
    for lost in [false, true] {
        let export = final_lake(Place::Memory, Partition::Day).await;
        let number = export.state().await.number;
        let mut ledger = open(&export).await.unwrap();
        forget(&export.lake, &mut ledger, &[(REPORT.to_owned(), Erasure::default())]).await.unwrap();
        delete(&export, &["checkpoints"]).await;
        if !lost {
            put(&export, &record(2), "{").await
        } else {
            let whole = export.bytes(&record(number + 1)).await;
            put(&export, &record(number + 1), whole.slice(..whole.len() - 2)).await;
        }
        let (report, _) = rebuilt(&export).await;
        assert_eq!(report.lost.iter().any(|lost| lost.mentions_forgotten), lost, "{report:?}");
        let says = if lost { "an unreadable record mentions it" } else { "whether more was forgotten" };
        assert!(report.unknown.iter().any(|unknown| unknown.contains(says)), "{:?}", report.unknown);
        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete);
        assert_eq!(of_stream(&received, REPORT).is_empty(), !lost);
    }
}

#[tokio::test]
async fn files_of_an_earlier_table_meaning_are_re_extracted() {
    let mut export = Export::start(Place::Memory, account(), &[REPORT]).await;
    export.simulator.set_now(instant("2026-03-20T16:00:00Z"));
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    // The same stream with a key of its own, into which one day has been written.
    let mut stream = profound_export::model::stream::Stream::clone(export.stream(REPORT));
    // The same columns in another order still identify every row.
    stream.key.reverse();
    export.catalog = export.catalog.with_streams(vec![stream]).unwrap();
    let other = Export::start_with(Place::Memory, account(), export.catalog.clone(), &[REPORT]).await;
    other.simulator.set_now(instant("2026-03-20T17:00:00Z"));
    assert_eq!(other.run().await.outcome, Outcome::Complete);
    let newer = other.path_of(REPORT, &other.first_scope(REPORT), Some(day("2026-03-07")));
    put(&export, &newer, other.bytes(&newer).await).await;
    delete(&export, &["ledger", "checkpoints"]).await;

    let (report, _) = rebuilt(&export).await;
    assert!(report.unknown.iter().any(|unknown| unknown.contains(REPORT)), "{:?}", report.unknown);
    let of_report = of_files(&export.state().await);
    let sound: Vec<_> = of_report.iter().filter(|(_, state)| !state.stale).map(|(file, _)| file.2).collect();
    assert_eq!(sound, [Some(day("2026-03-07"))]);
    export.simulator.set_now(instant("2026-03-20T18:00:00Z"));
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Complete, "{:?}", run.error);
    assert!(of_files(&export.state().await).values().all(|state| !state.stale));
}

#[tokio::test]
async fn signals_periods_and_children_are_rebuilt_from_files() {
    let streams = [
        "accuracy_factcheck_setup_status",
        "factcheck_scores_v2_by_model",
        "shopping_trigger_rate_v2",
        "citations_v2_domain_week",
        "citations_v2_domain_month",
        "projects",
        "project_details",
        "documents",
        "document_contents",
    ];
    for partition in [Partition::Day, Partition::None] {
        let mut export = Export::start(Place::Memory, account(), &streams).await;
        export.partition = partition;
        export.job.start = Some(day("2026-01-20"));
        let run = export.run().await;
        assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
        let before = export.state().await;
        delete(&export, &["ledger", "checkpoints"]).await;
        let (report, findings) = rebuilt(&export).await;
        assert!(report.is_fine(), "{findings:?}");
        let after = export.state().await;
        let (before, after) = (of_files(&before), of_files(&after));
        assert_eq!(after, before);
        for stream in streams {
            assert!(after.keys().any(|(name, ..)| name == stream), "no file of {stream} was checked");
        }
        assert!(after.values().any(|state| state.signal == Some(true)), "no signal was checked");
        assert_verified(&export).await;
    }
}

#[tokio::test]
async fn protection_and_salt_are_rebuilt_from_files() {
    let mut export = crate::privacy::protected(Place::Memory, account()).await;
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    let before = export.state().await;
    assert!(before.tables.values().all(|table| !table.protected.is_empty()));
    delete(&export, &["ledger", "checkpoints"]).await;

    // The configuration has lost the protection when the ledger is rebuilt.
    let protected = std::mem::replace(&mut export.catalog, Catalog::embedded().unwrap());
    rebuilt(&export).await;
    let after = export.state().await;
    assert_eq!(after.tables, before.tables);
    assert_eq!(after.facts.salt(), before.facts.salt());
    assert_eq!(export.run().await.outcome, Outcome::ConfigMismatch, "tables keep their meaning");
    export.catalog = protected;
    let salt = export.salt.replace(Salt::from_bytes(b"another salt, just as long").unwrap());
    assert_eq!(export.run().await.outcome, Outcome::ConfigMismatch, "texts keep their hashes");
    export.salt = salt;
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    export.assert_ledger_knows_every_file().await;
}
