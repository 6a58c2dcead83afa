//! Values that a job drops or hashes are never in the lake, in the spool or in a message.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use profound_export::catalog::Catalog;
use profound_export::config::{Salt, Sources, load};
use profound_export::model::event::Event;
use profound_export::run::{Outcome, RunError};
use profound_export::simulator::{Account, Fault, FaultKind};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::{Export, Place, account, on_memory_and_disk};

const SALT: &[u8] = b"0123456789abcdef";

/// Drops and hashes columns of a document-like, a positional and a list stream.
const JOB: &str = r#"
[privacy]
salt_file = "salt"

[[job]]
name = "nightly"
streams = ["answers_v2", "visibility_v1", "category_tags"]
drop = ["answers_v2.response"]
hash = ["visibility_v1.asset_name", "category_t*.name"]
"#;

const STREAMS: [&str; 3] = ["answers_v2", "visibility_v1", "category_tags"];

fn catalog(text: &str) -> Catalog {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let config = load(&Sources { file: Some(file.path().to_owned()), ..Sources::default() });
    Catalog::clone(config.unwrap().catalog())
}

pub async fn protected(place: Place, account: Account) -> Export {
    let mut export = Export::start_with(place, account, catalog(JOB), &STREAMS).await;
    export.salt = Some(Salt::from_bytes(SALT).unwrap());
    export
}

fn hash(text: &str) -> String {
    let digest = Sha256::digest([SALT, text.as_bytes()].concat());
    const_hex::encode(digest)
}

/// The texts that must be nowhere.
fn secrets(export: &Export) -> Vec<String> {
    let mut found = Vec::new();
    for (stream, column) in [("answers_v2", "response"), ("visibility_v1", "asset_name"), ("category_tags", "name")] {
        let stream = export.stream(stream);
        for scope in export.simulator.scopes(stream.scope) {
            let rows = export.simulator.rows(stream, &scope, export.wanted(stream));
            found.extend(rows.iter().filter_map(|row| row[column].as_str().map(str::to_owned)));
        }
    }
    found.retain(|text| 6 < text.len());
    found.sort();
    found.dedup();
    assert!(3 < found.len(), "{found:?}");
    found
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| if entry.path().is_dir() { files_below(&entry.path()) } else { vec![entry.path()] })
        .collect()
}

fn values(rows: &[Value], column: &str) -> Vec<Value> {
    rows.iter().map(|row| row[column].clone()).collect()
}

on_memory_and_disk! {
    async fn protected_columns_are_null_or_hashed_and_others_unchanged(place) {
        let export = protected(place, account()).await;
        let run = export.run().await;
        assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
        let answers = export.all_rows("answers_v2").await;
        assert!(!answers.is_empty() && values(&answers, "response").iter().all(Value::is_null));
        assert!(values(&answers, "prompt").iter().all(|prompt| !prompt.is_null()));
        for (stream, column) in [("visibility_v1", "asset_name"), ("category_tags", "name")] {
            let declared = export.stream(stream);
            for scope in export.simulator.scopes(declared.scope) {
                let simulated = export.simulator.rows(declared, &scope, export.wanted(declared));
                let sorted = |mut texts: Vec<Option<String>>| { texts.sort(); texts };
                let expected = sorted(simulated.iter().map(|row| row[column].as_str().map(hash)).collect());
                let found = values(&export.rows(stream, &scope).await, column);
                let found = sorted(found.iter().map(|value| value.as_str().map(str::to_owned)).collect());
                assert_eq!(found, expected, "{stream}");
            }
        }
    }
}

#[tokio::test]
async fn original_texts_are_in_no_row_or_message_if_the_api_changes() {
    let export = protected(Place::Memory, Account { named_events: false, ..account() }).await;
    export.simulator.inject(FaultKind::ExtraField.into());
    export.simulator.inject(FaultKind::NullQuery.into());
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
    let secrets = secrets(&export);
    for stream in STREAMS {
        for row in export.all_rows(stream).await {
            for secret in &secrets {
                // Other columns may hold the same words: names of scopes and of assets in prompts.
                let of_stream =
                    export.stream(stream).protect.keys().chain([&"_extra".to_owned()]).cloned().collect::<Vec<_>>();
                assert!(of_stream.iter().all(|column| !row[column].to_string().contains(secret.as_str())), "{row}");
            }
        }
    }
}

#[tokio::test]
async fn mismatch_of_a_protected_column_hides_the_value() {
    let text = "[[job]]\nname = \"nightly\"\nstreams = [\"visibility_v2_by_day\"]\ndrop = [\"visibility_v2_by_day.visibility_score\"]\n";
    let export = Export::start_with(Place::Memory, account(), catalog(text), &["visibility_v2_by_day"]).await;
    let fault = FaultKind::WrongType { column: "visibility_score".into() };
    export.simulator.inject(Fault::from(fault).of_stream("visibility_v2_by_day"));
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Failed, "{}", run.summary());
    assert!(!run.failed.is_empty());
    assert!(run.failed.iter().all(|(_, words)| words.contains("the API sent (not shown)")), "{:?}", run.failed);
}

#[tokio::test]
async fn positional_rows_wait_for_their_names_in_memory() {
    let mut export = protected(Place::Memory, account()).await;
    export.api.event_streams = false;
    export.simulator.inject(FaultKind::DataFirst.into());
    let secrets = secrets(&export);
    // Looks into the spool whenever something happens.
    let spool = export.settings().destinations.spool_dir;
    let seen = Arc::new(Mutex::new((0_usize, Vec::new())));
    let looked = Arc::clone(&seen);
    export.listen(move |event| {
        let mut looked = looked.lock().unwrap();
        looked.0 += usize::from(matches!(event, Event::SlicePublished { .. }));
        for file in files_below(&spool) {
            let waits = file.file_name().is_some_and(|name| name == "waiting.blocks");
            let bytes = std::fs::read(&file).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            if secrets.iter().any(|secret| waits && text.contains(secret.as_str())) {
                looked.1.push(file);
            }
        }
    });
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::Complete, "{} {:?}", run.summary(), run.failed);
    let (looks, found) = std::mem::take(&mut *seen.lock().unwrap());
    assert!(looks > 0 && found.is_empty(), "{found:?}");
    assert!(export.all_rows("visibility_v1").await.iter().all(|row| row["asset_name"].as_str().unwrap().len() == 64));
}

#[tokio::test]
async fn rows_with_another_protection_are_rejected() {
    let mut export = Export::start(Place::Memory, account(), &STREAMS).await;
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    export.catalog = catalog(JOB);
    export.salt = Some(Salt::from_bytes(SALT).unwrap());
    let run = export.run().await;
    assert_eq!(run.outcome, Outcome::ConfigMismatch);
    let Some(RunError::ConfigMismatch { problem, .. }) = run.error else {
        panic!("{:?}", run.error);
    };
    assert!(problem.contains("column `response` was unprotected and is now to be dropped"), "{problem}");
}

#[tokio::test]
async fn snapshots_of_a_list_are_protected_like_the_list() {
    let mut export = protected(Place::Memory, account()).await;
    export.job.list_snapshots = true;
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    let mut tables = 0;
    for path in export.files().await.keys().filter(|path| path.starts_with("category_tags_history/")) {
        let rows = export.table(path).await.rows;
        assert!(rows.iter().all(|row| row["name"].as_str().unwrap().len() == 64));
        tables += 1;
    }
    assert_eq!(tables, export.categories().len());
}

#[tokio::test]
async fn lake_hashed_with_one_salt_rejects_another() {
    let mut export = protected(Place::Memory, account()).await;
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    assert_eq!(export.run().await.outcome, Outcome::Complete);
    for salt in [Some(Salt::from_bytes(b"another-0123456789").unwrap()), None] {
        export.salt = salt;
        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::ConfigMismatch);
        let words = run.error.unwrap().to_string();
        assert!(words.contains("salt"), "{words}");
        assert!(received.iter().all(|request| request.stream.as_deref() != Some("visibility_v1")));
    }
}
