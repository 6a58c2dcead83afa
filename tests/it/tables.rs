//! Tables of query engines hold exactly the rows of the lake, also if processes are killed, race or interfere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use jiff::SignedDuration;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use parquet::file::metadata::{ParquetMetaDataReader, RowGroupMetaData};
use profound_export::clock::Clock;
use profound_export::config::WholeDays;
use profound_export::destination::Destination;
use profound_export::ledger::Ledger;
use profound_export::maintain::forget;
use profound_export::model::forgotten::Erasure;
use profound_export::model::scope::ScopePart;
use profound_export::observe::Metrics;
use profound_export::run::{Outcome, run_job};
use profound_export::tables::{TableProblem, TableProblemKind, Tables, TablesPlace};
use serde_json::{Value, json};

use crate::support::lake::table_of;
use crate::support::stores::{Bad, Vice};
use crate::support::{Export, Place, account, day, instant, is_long_test, on_memory_and_disk};

const REPORT: &str = "visibility_v2_by_day";
/// A report of days, answers with nested columns, a list, and totals of months.
const STREAMS: [&str; 4] = [REPORT, "answers_v2", "category_topics", "visibility_v2_month"];

fn tables_at(destination: Destination, export: &Export) -> Tables {
    let streams = export.catalog.streams().map(|stream| stream.name.clone()).collect();
    Tables {
        place: TablesPlace::Opened(destination),
        streams,
        target_file_bytes: 128 << 20,
        retention: SignedDuration::from_hours(24 * 7),
    }
}

/// An export that publishes tables next to its lake.
async fn with_tables(place: Place, streams: &[&str]) -> (Export, tempfile::TempDir) {
    let mut export = Export::start(place, account(), streams).await;
    let scratch = tempfile::tempdir().unwrap();
    export.tables = Some(tables_at(place.destination(&scratch), &export));
    (export, scratch)
}

/// A table as the log says, read by the rules of the protocol.
#[derive(Debug, Default)]
struct Read {
    version: u64,
    metadata: Value,
    adds: BTreeMap<String, Value>,
    txns: BTreeMap<String, i64>,
    /// The actions of the last commit.
    head: Vec<Value>,
    rows: Vec<Value>,
}

fn store(export: &Export) -> Arc<dyn ObjectStore> {
    Arc::clone(export.tables.as_ref().unwrap().open().unwrap().store())
}

async fn bytes(export: &Export, path: &str) -> Option<Bytes> {
    Some(store(export).get(&Path::from(path)).await.ok()?.bytes().await.unwrap())
}

async fn objects(export: &Export) -> BTreeSet<String> {
    let all: Vec<_> = store(export).list(None).try_collect().await.unwrap();
    all.into_iter().map(|object| object.location.to_string()).collect()
}

/// The table, with every row; `None` if it has no commit.
async fn read(export: &Export, table: &str) -> Option<Read> {
    let mut read = Read::default();
    let checkpoints = objects(export).await;
    let checkpoints = checkpoints.iter().filter_map(|path| path.strip_prefix(&format!("{table}/_delta_log/")));
    let checkpoint = checkpoints.filter_map(|name| name.strip_suffix(".checkpoint.parquet")).max();
    let mut is_found = false;
    if let Some(number) = checkpoint {
        let path = format!("{table}/_delta_log/{number}.checkpoint.parquet");
        read.version = number.parse().unwrap();
        for action in checkpoint_rows(bytes(export, &path).await.unwrap()) {
            apply(&mut read, &action);
        }
        is_found = true;
    }
    for version in checkpoint.map_or(0, |number| number.parse::<u64>().unwrap() + 1).. {
        let path = format!("{table}/_delta_log/{version:020}.json");
        let Some(commit) = bytes(export, &path).await else { break };
        (is_found, read.version) = (true, version);
        read.head = commit
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        for action in read.head.clone() {
            apply(&mut read, &action);
        }
    }
    for (path, add) in &read.adds {
        let file = bytes(export, &format!("{table}/{path}")).await.unwrap_or_else(|| panic!("{path} is missing"));
        assert_eq!(add["size"], file.len(), "{path}");
        assert_sorted(&file, path);
        let rows = table_of(file).rows;
        let stats: Value = serde_json::from_str(add["stats"].as_str().unwrap()).unwrap();
        assert_eq!(stats["numRecords"], rows.len(), "{path}");
        for mut row in rows {
            for (column, least) in stats["minValues"].as_object().unwrap() {
                assert_within(&row[column], least, &stats["maxValues"][column], column);
            }
            for (column, value) in add["partitionValues"].as_object().unwrap() {
                assert!(row.as_object_mut().unwrap().insert(column.clone(), value.clone()).is_none(), "{column}");
            }
            read.rows.push(row);
        }
    }
    is_found.then_some(read)
}

fn apply(read: &mut Read, action: &Value) {
    if let Some(metadata) = action.get("metaData") {
        read.metadata = metadata.clone();
    }
    if let Some(txn) = action.get("txn") {
        read.txns.insert(txn["appId"].as_str().unwrap().to_owned(), txn["version"].as_i64().unwrap());
    }
    if let Some(remove) = action.get("remove") {
        read.adds.remove(remove["path"].as_str().unwrap());
    }
    if let Some(add) = action.get("add") {
        assert!(read.adds.insert(add["path"].as_str().unwrap().to_owned(), add.clone()).is_none(), "{add} twice");
    }
}

/// The columns by which a file says that each of its row groups is sorted.
fn sorting_columns(file: &Bytes) -> Vec<String> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(file).unwrap();
    let schema = metadata.file_metadata().schema_descr();
    let of_group = |group: &RowGroupMetaData| {
        let columns = group.sorting_columns().cloned().unwrap_or_default();
        assert!(columns.iter().all(|column| !column.descending && column.nulls_first));
        columns.iter().map(|column| schema.column(column.column_idx as usize).path().string()).collect()
    };
    let mut groups: Vec<Vec<String>> = metadata.row_groups().iter().map(of_group).collect();
    groups.dedup();
    assert_eq!(groups.len(), 1, "row groups differ in their order: {groups:?}");
    groups.remove(0)
}

/// Panics if the rows of a file are not in the order that it declares. No file of the tests has more than one row group.
fn assert_sorted(file: &Bytes, path: &str) {
    let columns = sorting_columns(file);
    let key = |row: &Value| -> Vec<Option<String>> {
        let part = |path: &String| path.split('.').fold(row, |value, name| &value[name]).as_str().map(str::to_owned);
        columns.iter().map(part).collect()
    };
    assert!(table_of(file.clone()).rows.is_sorted_by_key(key), "{path} is not sorted by {columns:?}");
}

/// The actions of a checkpoint, as JSON.
fn checkpoint_rows(bytes: Bytes) -> Vec<Value> {
    table_of(bytes).rows.into_iter().map(without_nulls).collect()
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        other => other,
    }
}

fn assert_within(value: &Value, least: &Value, most: &Value, column: &str) {
    let is_within = match value {
        Value::Null => true,
        Value::Number(number) => {
            let number = number.as_f64().unwrap();
            least.as_f64().unwrap() <= number && number <= most.as_f64().unwrap()
        }
        // Instants have another number of digits in the log.
        Value::String(text) if column == "_extracted_at" || text.ends_with('Z') => true,
        Value::String(text) => least.as_str().unwrap() <= text.as_str() && text.as_str() <= most.as_str().unwrap(),
        _ => true,
    };
    assert!(is_within, "{column}: {value} is not within {least} and {most}");
}

/// The rows of the lake as the table should have them, and those of the table, sorted.
async fn both(export: &Export, table: &str) -> (Vec<String>, Vec<String>) {
    let mut expected = Vec::new();
    for (path, _) in export.files().await.into_iter().filter(|(path, _)| path.split('/').next() == Some(table)) {
        let parsed = export.layout().parse(&Path::from(path.as_str())).unwrap();
        for mut row in export.table(&path).await.rows {
            let members = row.as_object_mut().unwrap();
            if let Some(day) = parsed.day {
                members.insert("day".to_owned(), json!(day.to_string()));
                members.insert("month".to_owned(), json!(day.month()));
            }
            expected.push(row);
        }
    }
    let found = read(export, table).await.map(|read| read.rows).unwrap_or_default();
    let sorted = |rows: Vec<Value>| {
        let text = |row: Value| {
            let members: BTreeMap<String, Value> = row.as_object().unwrap().clone().into_iter().collect();
            serde_json::to_string(&members).unwrap()
        };
        let mut texts: Vec<String> = rows.into_iter().map(text).collect();
        texts.sort();
        texts
    };
    (sorted(expected), sorted(found))
}

async fn assert_equals_lake(export: &Export, tables: &[&str], what: &str) {
    for table in tables {
        let (expected, found) = both(export, table).await;
        assert!(expected == found, "{what}: {table} has {} rows, the lake {}", found.len(), expected.len());
    }
}

async fn complete(export: &Export, what: &str) {
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Complete, "{what}: {} {:?} {:?}", run.summary(), run.error, run.failed);
}

on_memory_and_disk! {
    async fn tables_equal_the_day_files(place) {
        let (mut export, _scratch) = with_tables(place, &STREAMS).await;
        export.job.list_snapshots = true;
        export.job.start = Some(day("2026-02-20"));
        let run = export.run().await;
        assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.error);
        let all = ["visibility_v2_by_day", "answers_v2", "category_topics", "category_topics_history", "visibility_v2_month"];
        assert_eq!(run.tables.keys().collect::<Vec<_>>(), BTreeSet::from(all).iter().collect::<Vec<_>>());
        assert_equals_lake(&export, &all, "first run").await;

        let table = read(&export, REPORT).await.unwrap();
        assert_eq!(table.metadata["partitionColumns"], json!(["category_id", "month"]));
        let description = table.metadata["description"].as_str().unwrap();
        assert!(description.contains("Key: category_id, date, asset.name."), "{description}");
        let schema: Value = serde_json::from_str(table.metadata["schemaString"].as_str().unwrap()).unwrap();
        let column = |name: &str| schema["fields"].as_array().unwrap().iter().find(|field| field["name"] == name).unwrap().clone();
        let comment = column("visibility_score")["metadata"]["comment"].as_str().unwrap().to_owned();
        assert!(comment.starts_with("share of answers") && comment.ends_with("(share, 0 to 1)"), "{comment}");
        assert_eq!(column("date")["type"], "date");
        let [(application, record)] = table.txns.iter().collect::<Vec<_>>()[..] else { panic!("{:?}", table.txns) };
        assert!(application.starts_with("profound-export/") && *record > 0, "{application} {record}");
    }
}

on_memory_and_disk! {
    async fn run_with_nothing_new_commits_nothing(place) {
        let (mut export, _scratch) = with_tables(place, &[REPORT]).await;
        export.job.lookback = Some(WholeDays(0));
        complete(&export, "first").await;
        let before = objects(&export).await;
        let run = export.run().await;
        assert_eq!((run.outcome, run.tables.len()), (Outcome::Complete, 0));
        assert_eq!(objects(&export).await, before);
    }
}

#[tokio::test]
async fn metrics_count_commits_and_failures_of_tables() {
    let (export, _scratch) = with_tables(Place::Memory, &[REPORT]).await;
    let metrics = Metrics::new(Clock::starting_at(export.simulator.now()));
    let value = |name: &str| {
        export.take_events().iter().for_each(|event| metrics.events().emit(event));
        let values = metrics.values(&format!("profound_export_table_{name}_total"));
        values.into_iter().map(|(labels, value)| (labels[0].1.clone(), value)).collect::<Vec<_>>()
    };
    complete(&export, "first").await;
    let files = read(&export, REPORT).await.unwrap().adds.len() as f64;
    assert_eq!(value("commits"), [(REPORT.to_owned(), 1.0)]);
    assert_eq!(value("files"), [(REPORT.to_owned(), files)]);
    assert_eq!(value("failures"), [(REPORT.to_owned(), 0.0)]);
    for path in objects(&export).await.into_iter().filter(|path| path.contains("_delta_log")) {
        store(&export).delete(&Path::from(path)).await.unwrap();
    }
    problem(&export).await;
    assert_eq!(value("commits"), [(REPORT.to_owned(), 1.0)]);
    assert_eq!(value("failures"), [(REPORT.to_owned(), 1.0)]);
}

on_memory_and_disk! {
    async fn commit_replaces_exactly_the_days_that_changed(place) {
        let (export, _scratch) = with_tables(place, &[REPORT]).await;
        complete(&export, "first").await;
        let before = read(&export, REPORT).await.unwrap();
        export.simulator.restate(day("2026-03-09"));
        export.simulator.set_now(instant("2026-03-11T16:00:00Z"));
        complete(&export, "second").await;
        let after = read(&export, REPORT).await.unwrap();
        assert_eq!(after.version, before.version + 1, "one commit");
        assert_equals_lake(&export, &[REPORT], "second").await;
        // Days beyond the lookback stay as they are.
        assert!(after.adds.keys().any(|path| before.adds.contains_key(path)), "a file of an unchanged day was replaced");
        assert!(after.adds.keys().any(|path| !before.adds.contains_key(path)));
    }
}

on_memory_and_disk! {
    async fn tables_catch_up_with_runs_that_published_none(place) {
        let (mut export, _scratch) = with_tables(place, &[REPORT, "category_topics"]).await;
        let tables = export.tables.take();
        complete(&export, "without tables").await;
        export.tables = tables;
        // Nothing is due but the tables.
        complete(&export, "with tables").await;
        assert_equals_lake(&export, &[REPORT, "category_topics"], "caught up").await;
    }
}

#[tokio::test]
async fn tables_equal_the_lake_after_a_kill_at_any_of_their_writes() {
    for done in [false, true] {
        for at in 0.. {
            let what = format!("write {at}, done: {done}");
            let mut export = Export::start(Place::Memory, account(), &[REPORT, "category_topics"]).await;
            let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            let good = tables_at(Destination::new(Arc::clone(&inner), "memory:///tables"), &export);
            // The table has a commit already, whose days change.
            export.tables = Some(good.clone());
            complete(&export, &what).await;
            export.simulator.restate(day("2026-03-09"));
            export.simulator.set_now(instant("2026-03-11T16:00:00Z"));
            let bad = Bad::new(inner, Vice::Kills { at, done });
            export.tables = Some(tables_at(Destination::new(Arc::clone(&bad) as _, "memory:///tables"), &export));
            let is_killed = tokio::select! {
                run = export.run() => { assert_eq!(run.outcome, Outcome::Complete, "{what}"); false }
                () = bad.reached() => true,
            };
            export.tables = Some(good);
            complete(&export, &what).await;
            assert_equals_lake(&export, &[REPORT, "category_topics"], &what).await;
            if !is_killed {
                assert!(at > 3, "only {at} writes were tried");
                break;
            }
        }
    }
}

#[tokio::test]
async fn two_processes_publish_every_row_once() {
    let (export, _scratch) = with_tables(Place::Memory, &[REPORT, "category_topics"]).await;
    for round in 0..4 {
        export.simulator.restate(day("2026-03-09"));
        export.a_minute_later();
        let (one, other) = (export.settings(), export.settings());
        let goal = export.goal();
        let (one, other) = tokio::join!(run_job(&one, &goal), run_job(&other, &goal));
        for run in [one, other] {
            assert!(
                matches!(run.outcome, Outcome::Complete | Outcome::Incomplete),
                "{} {:?}",
                run.summary(),
                run.error
            );
        }
        export.simulator.set_now(export.simulator.now() + SignedDuration::from_hours(24));
        complete(&export, "after both").await;
        assert_equals_lake(&export, &[REPORT, "category_topics"], &format!("round {round}")).await;
    }
}

/// Adds a commit of another engine.
async fn commit_of_other_engine(export: &Export, version: u64, actions: &[Value]) {
    let text: String = actions.iter().map(|action| format!("{action}\n")).collect();
    let path = Path::from(format!("{REPORT}/_delta_log/{version:020}.json"));
    store(export).put(&path, PutPayload::from(text)).await.unwrap();
}

#[tokio::test]
async fn files_of_other_engines_are_replaced_by_the_rows_of_the_lake() {
    let (export, _scratch) = with_tables(Place::Memory, &[REPORT]).await;
    complete(&export, "first").await;
    let table = read(&export, REPORT).await.unwrap();
    // One file is rewritten, as OPTIMIZE does, and one deleted, as DELETE does.
    let mut adds = table.adds.values();
    let (optimized, deleted) = (adds.next().unwrap(), adds.next().unwrap());
    let path = optimized["path"].as_str().unwrap();
    let copy = bytes(&export, &format!("{REPORT}/{path}")).await.unwrap();
    store(&export).put(&Path::from(format!("{REPORT}/part-00000.parquet")), PutPayload::from(copy)).await.unwrap();
    let remove = |add: &Value| json!({"remove": {"path": add["path"], "deletionTimestamp": 1, "dataChange": true}});
    let mut other = optimized.clone();
    other["path"] = json!("part-00000.parquet");
    other.as_object_mut().unwrap().shift_remove("tags");
    let mut metadata = table.metadata.clone();
    let mut schema: Value = serde_json::from_str(metadata["schemaString"].as_str().unwrap()).unwrap();
    schema["fields"]
        .as_array_mut()
        .unwrap()
        .insert(0, json!({"name": "theirs", "type": "double", "nullable": true, "metadata": {}}));
    metadata["schemaString"] = json!(schema.to_string());
    metadata["configuration"]["delta.logRetentionDuration"] = json!("interval 60 days");
    let actions = [
        json!({"commitInfo": {"operation": "OPTIMIZE"}}),
        json!({"metaData": metadata}),
        remove(optimized),
        remove(deleted),
        json!({"add": other}),
    ];
    commit_of_other_engine(&export, table.version + 1, &actions).await;

    complete(&export, "second").await;
    assert_equals_lake(&export, &[REPORT], "after a commit of another engine").await;
    let after = read(&export, REPORT).await.unwrap();
    assert!(!after.adds.contains_key("part-00000.parquet"));
    assert_eq!(after.metadata["configuration"]["delta.logRetentionDuration"], "interval 60 days");
    assert!(after.metadata["schemaString"].as_str().unwrap().contains("theirs"), "their column is kept, null");
    let version = after.version;
    complete(&export, "third").await;
    assert_eq!(read(&export, REPORT).await.unwrap().version, version, "nothing more to do");
}

/// Damages the table, runs once, and returns the problem; the lake itself must be complete.
async fn problem(export: &Export) -> String {
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Failed, "{} {:?}", run.summary(), run.error);
    let state = export.state().await;
    let recorded = state.runs.back().unwrap().end.problems.join("\n");
    assert!(!recorded.is_empty(), "`status` shows what the last record says");
    recorded
}

#[tokio::test]
async fn tables_that_cannot_be_written_safely_are_rejected_by_name() {
    let newer = json!({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}});
    let later = |app: &str| json!({"txn": {"appId": app, "version": 1_000_000}});
    let metadata = |table: &Read, change: &dyn Fn(&mut Value)| {
        let mut metadata = table.metadata.clone();
        change(&mut metadata);
        json!({"metaData": metadata})
    };
    for (case, expected) in [
        ("newer", "reader version 3 and writer version 7"),
        ("other lake", "published from another lake"),
        ("not ours", "it was not published by this program"),
        ("later", "shows record 1000000"),
        ("append only", "`delta.appendOnly` is set"),
        ("partitions", "partitioned by month instead of category_id, month"),
        ("type", "column `date` has type \"string\" instead of \"date\""),
        ("gap", "this commit is gone"),
        ("no log", "`_delta_log` was deleted"),
    ] {
        let (export, _scratch) = with_tables(Place::Memory, &[REPORT]).await;
        complete(&export, case).await;
        let table = read(&export, REPORT).await.unwrap();
        let app = table.txns.keys().next().unwrap();
        let action = match case {
            "newer" => newer.clone(),
            "other lake" => metadata(&table, &|metadata| {
                metadata["configuration"]["profoundExport.lake"] = json!("profound-export/other")
            }),
            "not ours" => metadata(&table, &|metadata| metadata["configuration"] = json!({})),
            "later" => later(app),
            "append only" => {
                metadata(&table, &|metadata| metadata["configuration"]["delta.appendOnly"] = json!("true"))
            }
            "partitions" => metadata(&table, &|metadata| metadata["partitionColumns"] = json!(["month"])),
            "type" => metadata(&table, &|metadata| {
                let schema = metadata["schemaString"]
                    .as_str()
                    .unwrap()
                    .replace("\"name\":\"date\",\"type\":\"date\"", "\"name\":\"date\",\"type\":\"string\"");
                metadata["schemaString"] = json!(schema);
            }),
            _ => json!({"commitInfo": {"operation": "WRITE"}}),
        };
        let version = table.version + 1 + u64::from(case == "gap");
        if case == "no log" {
            for path in objects(&export).await.into_iter().filter(|path| path.contains("_delta_log")) {
                store(&export).delete(&Path::from(path)).await.unwrap();
            }
        } else {
            commit_of_other_engine(&export, version, &[action]).await;
        }
        let before = objects(&export).await;
        export.simulator.set_now(instant("2026-03-11T16:00:00Z"));
        let problem = if case == "later" {
            let run = export.run().await;
            assert_eq!(run.outcome, Outcome::Incomplete, "{case}");
            run.error.unwrap().to_string()
        } else {
            problem(&export).await
        };
        export.assert_ledger_knows_every_file().await;
        assert!(problem.contains(expected), "{case}: {problem}");
        assert!(problem.contains(REPORT), "{case}: {problem}");
        assert_eq!(objects(&export).await, before, "{case}: nothing was written");

        // A rebuild takes over every table but those of a newer protocol, without a request.
        let state = export.state().await;
        let requests = export.simulator.requests().len();
        let settings = export.settings();
        let source = settings.tables_source(&state, &settings.cancel);
        let rebuilt = export.tables.as_ref().unwrap().rebuild(source, |table| table == REPORT).await;
        if case == "newer" {
            assert_eq!(rebuilt.failed.len(), 1, "{case}: {rebuilt:?}");
            continue;
        }
        assert!(rebuilt.failed.is_empty() && rebuilt.published.len() == 1, "{case}: {rebuilt:?}");
        assert_equals_lake(&export, &[REPORT], case).await;
        assert_eq!(export.simulator.requests().len(), requests, "{case}");
        complete(&export, case).await;
        assert_equals_lake(&export, &[REPORT], case).await;
    }
}

#[tokio::test]
async fn table_keeps_the_rows_of_a_day_whose_file_is_damaged() {
    let (mut export, _scratch) = with_tables(Place::Memory, &[REPORT]).await;
    export.job.lookback = Some(WholeDays(0));
    complete(&export, "first").await;
    let before = read(&export, REPORT).await.unwrap();
    // The table lost its file of that day, and the lake's is damaged.
    let (path, add) = before.adds.iter().next().unwrap();
    let scope = add["partitionValues"]["category_id"].as_str().unwrap();
    let date = add["tags"]["profoundExport.days"].as_str().unwrap().split('=').next().unwrap();
    let damaged = Path::from(format!("{REPORT}/category={scope}/day={date}/data.parquet"));
    export.lake.store().put(&damaged, PutPayload::from_static(b"no Parquet")).await.unwrap();
    let remove = json!({"remove": {"path": path, "deletionTimestamp": 1, "dataChange": true}});
    commit_of_other_engine(&export, before.version + 1, &[remove]).await;
    export.simulator.set_now(instant("2026-03-11T16:00:00Z"));
    let problem = problem(&export).await;
    assert!(problem.contains(damaged.as_ref()), "{problem}");
    // Every other day is published, also the new one.
    let after = read(&export, REPORT).await.unwrap();
    let days = |read: &Read| {
        read.rows.iter().map(|row| (row["category_id"].to_string(), row["day"].to_string())).collect::<BTreeSet<_>>()
    };
    assert!(days(&after).len() > days(&before).len() - 1, "{:?}", days(&after));
    assert!(!days(&after).contains(&(json!(scope).to_string(), json!(date).to_string())));
}

#[tokio::test]
async fn months_that_are_over_are_one_file_each_and_old_files_are_deleted() {
    let (mut export, _scratch) = with_tables(Place::Memory, &[REPORT]).await;
    export.job.start = Some(day("2026-02-20"));
    export.tables.as_mut().unwrap().retention = SignedDuration::from_hours(24 * 3);
    for date in 10..32 {
        export.simulator.set_now(instant(&format!("2026-03-{date}T16:00:00Z")));
        export.simulator.restate(day(&format!("2026-03-{:02}", date - 2)));
        complete(&export, &format!("{date}")).await;
        assert_equals_lake(&export, &[REPORT], &format!("{date}")).await;
    }
    let open = read(&export, REPORT).await.unwrap();
    let files =
        |read: &Read, month: &str| read.adds.values().filter(|add| add["partitionValues"]["month"] == month).count();
    let march = open.rows.iter().filter(|row| row["month"] == "2026-03");
    let days: BTreeSet<String> = march.map(|row| format!("{} {}", row["category_id"], row["day"])).collect();
    assert!(days.len() > 50, "{}", days.len());
    let expected = (2, days.len());
    assert_eq!(
        (files(&open, "2026-02"), files(&open, "2026-03")),
        expected,
        "a file for each category, and for each open day"
    );
    // The log has a checkpoint, and vacuumed files are those that no version of the last days names.
    let objects_before = objects(&export).await;
    assert!(objects_before.iter().any(|path| path.ends_with(".checkpoint.parquet")), "{objects_before:?}");
    let stored = |objects: &BTreeSet<String>| objects.iter().filter(|path| path.contains("month=")).count();
    assert!(
        stored(&objects_before) > open.adds.len(),
        "files of the last days are kept for readers of earlier versions"
    );

    // Six weeks later March is final.
    for date in 10..22 {
        export.simulator.set_now(instant(&format!("2026-04-{date}T16:00:00Z")));
        complete(&export, &format!("April {date}")).await;
    }
    assert_equals_lake(&export, &[REPORT], "April").await;
    let compacted = read(&export, REPORT).await.unwrap();
    assert_eq!((files(&compacted, "2026-02"), files(&compacted, "2026-03")), (2, 2));
    let left: Vec<String> = objects(&export).await.into_iter().filter(|path| path.contains("month=2026-03")).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[tokio::test]
async fn rows_of_a_file_are_sorted_by_key_and_day() {
    let (mut export, _scratch) = with_tables(Place::Memory, &STREAMS).await;
    export.job.start = Some(day("2026-02-20"));
    export.simulator.set_now(instant("2026-03-20T16:00:00Z"));
    complete(&export, "first").await;
    for (table, expected) in [
        (REPORT, vec!["asset.name", "date"]),
        ("answers_v2", vec!["run_id"]),
        ("category_topics", vec!["id"]),
        ("visibility_v2_month", vec!["asset.name"]),
    ] {
        // Reading asserts that the rows are in the declared order.
        let read = read(&export, table).await.unwrap();
        for path in read.adds.keys() {
            let file = bytes(&export, &format!("{table}/{path}")).await.unwrap();
            assert_eq!(sorting_columns(&file), expected, "{path}");
        }
    }
    let days = |add: &Value| add["tags"]["profoundExport.days"].as_str().unwrap().split(' ').count();
    assert!(read(&export, REPORT).await.unwrap().adds.values().any(|add| days(add) > 1), "no month is compacted");
}

#[tokio::test]
async fn files_of_commits_that_were_never_made_are_deleted() {
    let (export, _scratch) = with_tables(Place::Memory, &[REPORT]).await;
    complete(&export, "first").await;
    for (name, content) in
        [("v0-00.parquet", "left"), ("v9999-00.parquet", "of a commit to come"), ("notes.txt", "theirs")]
    {
        let path = Path::from(format!("{REPORT}/category_id=a/month=2026-03/{name}"));
        store(&export).put(&path, PutPayload::from_static(content.as_bytes())).await.unwrap();
    }
    for date in 11..25 {
        export.simulator.set_now(instant(&format!("2026-03-{date}T16:00:00Z")));
        complete(&export, &format!("{date}")).await;
    }
    let objects = objects(&export).await;
    let left: Vec<&str> = objects
        .iter()
        .filter(|path| path.contains("category_id=a/"))
        .map(|path| path.rsplit('/').next().unwrap())
        .collect();
    assert_eq!(left, ["notes.txt", "v9999-00.parquet"]);
    assert_equals_lake(&export, &[REPORT], "after the vacuum").await;
}

#[tokio::test]
async fn compacted_month_is_split_near_the_target_size() {
    let (mut export, _scratch) = with_tables(Place::Memory, &["answers_v2"]).await;
    export.job.start = Some(day("2026-02-20"));
    export.tables.as_mut().unwrap().target_file_bytes = 4 * 1024;
    export.simulator.set_now(instant("2026-03-20T16:00:00Z"));
    complete(&export, "first").await;
    assert_equals_lake(&export, &["answers_v2"], "first").await;
    let table = read(&export, "answers_v2").await.unwrap();
    let parts = table.adds.values().filter(|add| add["partitionValues"]["month"] == "2026-02").count();
    assert!(parts > 2, "{parts} files for two categories");
    let version = table.version;
    complete(&export, "second").await;
    // The days of March may have changed; those of February have not.
    let after = read(&export, "answers_v2").await.unwrap();
    let february = |read: &Read| {
        read.adds
            .iter()
            .filter(|(_, add)| add["partitionValues"]["month"] == "2026-02")
            .map(|(path, _)| path.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(february(&after), february(&table), "from version {version}");
}

#[tokio::test]
async fn repeated_forget_leaves_nothing_after_a_kill_at_any_write() {
    // Deletions count as writes.
    let step = if is_long_test() { 1 } else { 3 };
    for done in [false, true] {
        for at in (u64::from(done)..).step_by(step) {
            let what = format!("write {at}, done: {done}");
            let mut export = Export::start(Place::Memory, account(), &[REPORT, "category_topics"]).await;
            let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            let good = tables_at(Destination::new(Arc::clone(&inner), "memory:///tables"), &export);
            export.tables = Some(good.clone());
            complete(&export, &what).await;
            // Files that a commit removed, and versions that name the category.
            export.simulator.restate(day("2026-03-09"));
            export.simulator.set_now(instant("2026-03-11T16:00:00Z"));
            complete(&export, &what).await;
            let [one, other] = <[String; 2]>::try_from(export.categories()).unwrap();
            let erasure = Erasure { scope: [(ScopePart::Category, one.clone())].into(), window: None };
            let erasures = [REPORT, "category_topics"].map(|table| (table.to_owned(), erasure.clone()));
            let clock = Clock::starting_at(export.simulator.now());
            let mut ledger = Ledger::open(export.lake.clone(), clock).await.unwrap();
            forget(&export.lake, &mut ledger, &erasures).await.unwrap();
            let settings = export.settings();
            let source = settings.tables_source(ledger.state(), &settings.cancel);
            let bad = Bad::new(inner, Vice::Kills { at, done });
            let killed = tables_at(Destination::new(Arc::clone(&bad) as _, "memory:///tables"), &export);
            let is_killed = tokio::select! {
                report = killed.forget(source, |_| true) => { assert!(report.failed.is_empty(), "{what}: {report:?}"); false }
                () = bad.reached() => true,
            };
            // A run may come first: it publishes what the ledger says, and readers no longer see the category.
            if is_killed && at % 2 == 1 {
                complete(&export, &what).await;
                assert_equals_lake(&export, &[REPORT, "category_topics"], &what).await;
            }
            let state = export.state().await;
            let source = settings.tables_source(&state, &settings.cancel);
            let report = good.forget(source, |_| true).await;
            assert!(report.failed.is_empty(), "{what}: {report:?}");
            assert_equals_lake(&export, &[REPORT, "category_topics"], &what).await;
            let rows = read(&export, REPORT).await.unwrap().rows;
            assert!(!rows.is_empty() && rows.iter().all(|row| row["category_id"] == other.as_str()), "{what}");
            for path in objects(&export).await {
                let content = bytes(&export, &path).await.unwrap();
                let is_named = path.contains(&one) || content.windows(one.len()).any(|part| part == one.as_bytes());
                assert!(!is_named, "{what}: {path} names the category");
            }
            if !is_killed {
                assert!(at > 25, "only {at} writes were tried");
                break;
            }
        }
    }
}

/// What `verify` says about the tables: kind, path and problem.
async fn problems(export: &Export, reads_rows: bool) -> Vec<(TableProblemKind, String, String)> {
    let (state, settings) = (export.state().await, export.settings());
    let mut problems = Vec::new();
    let source = settings.tables_source(&state, &settings.cancel);
    let report = |found: TableProblem| problems.push((found.kind, found.path, found.problem));
    export.tables.as_ref().unwrap().verify(source, reads_rows, |_| true, report).await.unwrap();
    problems
}

on_memory_and_disk! {
    async fn verify_names_every_problem_of_a_table(place) {
        let (mut export, _scratch) = with_tables(place, &STREAMS).await;
        export.job.list_snapshots = true;
        export.job.start = Some(day("2026-02-20"));
        complete(&export, "first").await;
        export.simulator.set_now(instant("2026-03-20T16:00:00Z"));
        complete(&export, "second").await;
        assert_eq!(problems(&export, true).await, [], "of tables as they should be");

        let table = read(&export, REPORT).await.unwrap();
        let march = table.adds.values().filter(|add| add["partitionValues"]["month"] == "2026-03");
        let [gone, cut, flipped, other, source] = march.take(5).collect::<Vec<_>>()[..] else { panic!("{table:?}") };
        let path = |add: &Value| Path::from(format!("{REPORT}/{}", add["path"].as_str().unwrap()));
        let content = async |add: &Value| bytes(&export, path(add).as_ref()).await.unwrap();
        let put = async |path: Path, bytes: Bytes| store(&export).put(&path, PutPayload::from_bytes(bytes)).await.unwrap();
        store(&export).delete(&path(gone)).await.unwrap();
        put(path(cut), content(cut).await.slice(1..)).await;
        let mut bits = content(flipped).await.to_vec();
        bits[40] ^= 0xff;
        put(path(flipped), bits.into()).await;
        // Another engine says that a file has the rows of a day, and it has those of another.
        let mut forged = other.clone();
        let name = path(other).filename().unwrap().replace(".parquet", "-0.parquet");
        forged["path"] = json!(other["path"].as_str().unwrap().replace(path(other).filename().unwrap(), &name));
        forged["size"] = source["size"].clone();
        put(path(&forged), content(source).await).await;
        let remove = json!({"remove": {"path": other["path"], "deletionTimestamp": 1, "dataChange": true}});
        commit_of_other_engine(&export, table.version + 1, &[remove, json!({"add": forged})]).await;
        for (name, text) in [("notes.txt", "theirs"), ("v9999-00.parquet", "of a killed run")] {
            put(Path::from(format!("{REPORT}/{name}")), Bytes::from_static(text.as_bytes())).await;
        }
        let of = |add: &Value| path(add).to_string();
        let expected = |reads_rows: bool| {
            let mut expected = vec![
                (TableProblemKind::Missing, of(gone)),
                (TableProblemKind::WrongSize, of(cut)),
                (TableProblemKind::Unmanaged, format!("{REPORT}/notes.txt")),
                (TableProblemKind::Unsettled, format!("{REPORT}/v9999-00.parquet")),
            ];
            let damaged = [of(flipped), of(&forged)].map(|path| (TableProblemKind::Damaged, path));
            expected.extend(damaged.into_iter().filter(|_| reads_rows));
            expected.sort();
            expected
        };
        for reads_rows in [false, true] {
            let mut found: Vec<_> = problems(&export, reads_rows).await.into_iter().map(|(kind, path, _)| (kind, path)).collect();
            found.sort();
            assert_eq!(found, expected(reads_rows), "rows: {reads_rows}");
        }

        let (state, settings) = (export.state().await, export.settings());
        let source = settings.tables_source(&state, &settings.cancel);
        let rebuilt = export.tables.as_ref().unwrap().rebuild(source, |table| table == REPORT).await;
        assert!(rebuilt.failed.is_empty(), "{rebuilt:?}");
        let left: Vec<_> = problems(&export, true).await.into_iter().map(|(kind, _, _)| kind).collect();
        assert_eq!(left, [TableProblemKind::Unmanaged, TableProblemKind::Unsettled]);

        // The lake goes on without its tables.
        let tables = export.tables.take();
        export.simulator.set_now(instant("2026-03-21T16:00:00Z"));
        complete(&export, "without tables").await;
        export.tables = tables;
        let behind = problems(&export, true).await;
        assert!(behind.iter().any(|(kind, path, problem)| *kind == TableProblemKind::Outdated && path.contains("month=2026-03") && problem.contains("it lacks")), "{behind:?}");
        for path in objects(&export).await.into_iter().filter(|path| path.contains("answers_v2/_delta_log")) {
            store(&export).delete(&Path::from(path)).await.unwrap();
        }
        let lost = problems(&export, false).await;
        assert!(lost.iter().any(|(_, path, problem)| path == "answers_v2" && problem.contains("`_delta_log` was deleted")), "{lost:?}");
    }
}

on_memory_and_disk! {
    async fn forgotten_category_is_in_no_file_and_no_version_of_its_tables(place) {
        let (mut export, _scratch) = with_tables(place, &[REPORT, "category_topics"]).await;
        export.job.list_snapshots = true;
        complete(&export, "first").await;
        let [one, other] = <[String; 2]>::try_from(export.categories()).unwrap();
        let erasure = Erasure { scope: [(ScopePart::Category, one.clone())].into(), window: None };
        let tables = [REPORT, "category_topics", "category_topics_history"];
        let erasures = tables.map(|table| (table.to_owned(), erasure.clone()));
        let clock = Clock::starting_at(export.simulator.now());
        let mut ledger = Ledger::open(export.lake.clone(), clock).await.unwrap();
        forget(&export.lake, &mut ledger, &erasures).await.unwrap();
        let settings = export.settings();
        let source = settings.tables_source(ledger.state(), &settings.cancel);
        let report = export.tables.as_ref().unwrap().forget(source, |table| tables.contains(&table)).await;
        assert!(report.failed.is_empty(), "{report:?}");

        assert_equals_lake(&export, &tables, "forgotten").await;
        let found = read(&export, REPORT).await.unwrap();
        assert!(!found.rows.is_empty() && found.rows.iter().all(|row| row["category_id"] == other.as_str()));
        for path in objects(&export).await {
            assert!(!path.contains(&one), "{path}");
            let content = bytes(&export, &path).await.unwrap();
            assert!(!content.windows(one.len()).any(|part| part == one.as_bytes()), "{path} names the category");
        }
        complete(&export, "after").await;
        assert_equals_lake(&export, &tables, "the next run").await;
    }
}
