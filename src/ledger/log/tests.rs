use std::sync::Arc;

use object_store::memory::InMemory;

use super::*;
use crate::ledger::record::{DayEntry, Planned};
use crate::model::proof::Proof;
use crate::model::scope::{Named, Scope};
use crate::model::window::Window;

fn lake() -> Destination {
    Destination::new(Arc::new(InMemory::new()), "memory")
}

async fn open(lake: &Destination) -> Ledger {
    Ledger::open(lake.clone(), Clock::starting_at("2026-03-10T12:00:00Z".parse().unwrap())).await.unwrap()
}

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn category() -> Scope {
    Scope { category: Some(Named { id: "c1".into(), name: "Tea".into() }), ..Scope::default() }
}

fn slice(rows: u64, written: FileChange) -> Entry {
    Entry::Slice(SliceEntry {
        run: Uuid::now_v7(),
        stream: "visibility_v2".into(),
        fingerprint: "f".into(),
        scope: category(),
        window: Some(Window::from_day(day("2026-03-01"))),
        proof: Proof::Total,
        total: Some(rows),
        rows,
        outside_rows: 0,
        requests: 1,
        extracted_at: "2026-03-09T00:00:00Z".parse().unwrap(),
        days: vec![DayEntry {
            day: Some(day("2026-03-01")),
            rows,
            hash: u128::from(rows).into(),
            file: written,
            bytes: 10,
            etag: Some("e".into()),
            signal: None,
        }],
    })
}

#[tokio::test]
async fn ledger_reads_what_it_wrote() {
    let lake = lake();
    let mut writer = open(&lake).await;
    writer.append(vec![slice(7, FileChange::Published)], Some(writer.state().number)).await.unwrap();
    let reader = open(&lake).await;
    assert_eq!(reader.state(), writer.state());
    let found = reader.state().scope("visibility_v2", &category().key()).unwrap();
    assert_eq!(found.days[&day("2026-03-01")].rows, 7);
}

#[tokio::test]
async fn checkpoint_and_records_behind_it_add_up_to_the_same() {
    let lake = lake();
    let mut writer = open(&lake).await;
    for rows in 0..40 {
        writer.append(vec![slice(rows, FileChange::Published)], Some(writer.state().number)).await.unwrap();
        writer.checkpoint().await.unwrap();
    }
    let mut replayed = State::default();
    for number in 1..=40 {
        replayed.apply(&read(&lake, number).await.unwrap().unwrap());
    }
    assert_eq!(&replayed, writer.state());
    let reader = open(&lake).await;
    assert_eq!((reader.checkpoint, reader.state()), (32, writer.state()));
}

async fn paths(lake: &Destination, folder: &str) -> Vec<String> {
    let mut paths = lake.list(&Path::from_iter([OWN_DIRECTORY, folder]), None).await.unwrap();
    paths.sort();
    paths.iter().map(|path| path.filename().unwrap().to_owned()).collect()
}

/// The numbers of the checkpoints, and their paths.
async fn checkpoints(lake: &Destination) -> Vec<(String, Path)> {
    let names = paths(lake, "checkpoints").await;
    let numbered = names.iter().filter_map(|name| Some((name.split_once('-')?.0.to_owned(), name)));
    numbered.map(|(number, name)| (number, Path::from_iter([OWN_DIRECTORY, "checkpoints", name]))).collect()
}

async fn numbers(lake: &Destination) -> Vec<String> {
    checkpoints(lake).await.into_iter().map(|(number, _)| number).collect()
}

#[tokio::test]
async fn only_the_last_checkpoints_stay_and_every_record_does() {
    let lake = lake();
    let old = Path::from_iter([OWN_DIRECTORY, "checkpoints", "000000001.json"]);
    lake.create(&old, Bytes::from_static(b"{}")).await.unwrap();
    let mut writer = open(&lake).await;
    for rows in 0..96 {
        writer.append(vec![slice(rows, FileChange::Published)], Some(writer.state().number)).await.unwrap();
        writer.checkpoint().await.unwrap();
    }
    assert_eq!(numbers(&lake).await, ["000000064", "000000080", "000000096"]);
    assert_eq!(paths(&lake, "checkpoints").await[0], "000000001.json");
    assert_eq!(paths(&lake, "ledger").await.len(), 96);
    assert_eq!(open(&lake).await.state(), writer.state());
}

#[tokio::test]
async fn checkpoint_that_cannot_be_read_is_passed_over() {
    let lake = lake();
    let mut writer = open(&lake).await;
    for rows in 0..40 {
        writer.append(vec![slice(rows, FileChange::Published)], Some(writer.state().number)).await.unwrap();
        writer.checkpoint().await.unwrap();
    }
    let (number, newest) = checkpoints(&lake).await.pop().unwrap();
    assert_eq!(number, "000000032");
    let whole = lake.read(&newest).await.unwrap().unwrap();
    let mut damaged = whole.to_vec();
    damaged[whole.len() / 2] ^= 1;
    for bytes in [Bytes::from_static(b"PAR1"), whole.slice(1..), Bytes::from(damaged)] {
        lake.overwrite(&newest, bytes).await.unwrap();
        let reader = open(&lake).await;
        assert_eq!((reader.checkpoint, reader.state()), (16, writer.state()));
    }
}

#[tokio::test]
async fn long_run_leaves_a_checkpoint_every_256_records() {
    let lake = lake();
    let mut writer = open(&lake).await;
    for rows in 0..600 {
        writer.append(vec![slice(rows, FileChange::Published)], Some(writer.state().number)).await.unwrap();
        writer.checkpoint_midway().await;
    }
    assert_eq!(numbers(&lake).await, ["000000256", "000000512"]);
    let reader = open(&lake).await;
    assert_eq!((reader.checkpoint, reader.state()), (512, writer.state()));
}

#[tokio::test]
async fn writer_that_lost_a_number_marks_days_both_wrote_as_stale() {
    let lake = lake();
    let (mut one, mut two) = (open(&lake).await, open(&lake).await);
    one.append(vec![slice(7, FileChange::Published)], Some(0)).await.unwrap();
    two.append(vec![slice(8, FileChange::Published)], Some(0)).await.unwrap();
    one.refresh().await.unwrap();
    assert_eq!(one.state(), two.state());
    assert_eq!(one.state().number, 2);
    assert!(one.state().scope("visibility_v2", &category().key()).unwrap().days[&day("2026-03-01")].stale);
    one.append(vec![slice(8, FileChange::Published)], Some(one.state().number)).await.unwrap();
    assert!(!one.state().scope("visibility_v2", &category().key()).unwrap().days[&day("2026-03-01")].stale);
}

#[tokio::test]
async fn day_published_by_another_during_an_extraction_is_stale() {
    let lake = lake();
    let (mut one, mut two) = (open(&lake).await, open(&lake).await);
    let begun = two.state().number;
    one.append(vec![slice(7, FileChange::Published)], Some(0)).await.unwrap();
    two.refresh().await.unwrap();
    two.append(vec![slice(8, FileChange::Unchanged)], Some(begun)).await.unwrap();
    assert!(two.state().scope("visibility_v2", &category().key()).unwrap().days[&day("2026-03-01")].stale);
    // What was begun after the other's record was read is not doubtful.
    two.append(vec![slice(8, FileChange::Published)], Some(two.state().number)).await.unwrap();
    assert!(!two.state().scope("visibility_v2", &category().key()).unwrap().days[&day("2026-03-01")].stale);
}

#[tokio::test]
async fn records_of_a_newer_version_and_other_objects_are_rejected() {
    let lake = lake();
    lake.create(&record_path(1), Bytes::from_static(b"{\"format\": 4, \"number\": 1}")).await.unwrap();
    let error = Ledger::open(lake.clone(), Clock::system()).await.unwrap_err();
    assert_eq!(error.to_string(), "ledger record 1 has format 4, which this version does not know");
    lake.overwrite(&record_path(1), Bytes::from_static(b"{\"format\": 1, \"numb")).await.unwrap();
    let error = Ledger::open(lake, Clock::system()).await.unwrap_err();
    assert!(
        error.to_string().starts_with("cannot read ledger record 1 at `_profound_export/ledger/000000/000000001.json`")
    );
}

#[tokio::test]
async fn record_and_checkpoint_under_another_number_are_rejected() {
    let lake = lake();
    let mut writer = open(&lake).await;
    for rows in 0..20 {
        writer.append(vec![slice(rows, FileChange::Published)], Some(writer.state().number)).await.unwrap();
        writer.checkpoint().await.unwrap();
    }
    let (_, checkpoint) = checkpoints(&lake).await.pop().unwrap();
    let copy = lake.read(&checkpoint).await.unwrap().unwrap();
    let other = Path::from_iter([OWN_DIRECTORY, "checkpoints", &State::checkpoint_name(18, &copy)]);
    lake.create(&other, copy).await.unwrap();
    let reader = open(&lake).await;
    assert_eq!((reader.checkpoint, reader.state()), (16, writer.state()));

    // Read again and again, a record that names an earlier number would lead back to itself.
    let earlier = lake.read(&record_path(20)).await.unwrap().unwrap();
    lake.create(&record_path(21), earlier).await.unwrap();
    let error = Ledger::open(lake, Clock::system()).await.unwrap_err();
    assert!(matches!(error, LedgerError::Misplaced { number: 21, found: 20, .. }), "{error}");
}

#[tokio::test]
async fn gap_in_the_records_is_an_error() {
    let lake = lake();
    let mut ledger = open(&lake).await;
    for rows in 1..=5 {
        ledger.append(vec![slice(rows, FileChange::Published)], Some(0)).await.unwrap();
    }
    object_store::ObjectStoreExt::delete(lake.store(), &record_path(4)).await.unwrap();
    let error = Ledger::open(lake, Clock::system()).await.unwrap_err();
    assert_eq!(error.to_string(), "ledger record 4 is missing, but later records exist");
}

#[tokio::test]
async fn planned_days_of_a_killed_run_are_due_until_extracted() {
    let lake = lake();
    let mut ledger = open(&lake).await;
    let (killed, key) = (Uuid::now_v7(), category().key());
    let planned = Planned {
        stream: "visibility_v2".into(),
        scope: key.clone(),
        window: Some(Window::from_day(day("2026-03-01"))),
    };
    ledger.append(vec![slice(7, FileChange::Published)], Some(ledger.state().number)).await.unwrap();
    ledger
        .append(
            vec![Entry::RunStarted { run: killed, job: "nightly".into(), planned: vec![planned], backfill: false }],
            Some(1),
        )
        .await
        .unwrap();
    let doubtful = |ledger: &Ledger, own| {
        ledger.state().is_possibly_overwritten("visibility_v2", &key, Some(day("2026-03-01")), own)
    };
    assert!(doubtful(&ledger, None));
    assert!(!doubtful(&ledger, Some(killed)));
    let read = |at: &str| match slice(8, FileChange::Published) {
        Entry::Slice(slice) => Entry::Slice(SliceEntry { extracted_at: at.parse().unwrap(), ..slice }),
        other => other,
    };
    // It may live still, and put the file that it had begun before this was recorded.
    ledger.append(vec![read("2026-03-10T12:09:00Z")], Some(ledger.state().number)).await.unwrap();
    assert!(doubtful(&ledger, None));
    // Its last record is old enough.
    ledger.append(vec![read("2026-03-10T12:11:00Z")], Some(ledger.state().number)).await.unwrap();
    assert!(!doubtful(&ledger, None));
    assert!(ledger.state().open_runs[&killed].planned.is_empty());
}

fn stale(ledger: &Ledger) -> bool {
    ledger.state().scope("visibility_v2", &category().key()).unwrap().days[&day("2026-03-01")].stale
}

#[tokio::test]
async fn day_marked_stale_by_another_during_an_extraction_stays_stale() {
    let lake = lake();
    let (mut one, mut two) = (open(&lake).await, open(&lake).await);
    // One put a file, could not put the next, and records that the published file is uncertain.
    let doubt = Entry::Stale { stream: "visibility_v2".into(), scope: category(), day: Some(day("2026-03-01")) };
    one.append(vec![doubt], None).await.unwrap();
    two.append(vec![slice(8, FileChange::Published)], Some(0)).await.unwrap();
    assert!(stale(&two));
    assert!(two.extracted_elsewhere("visibility_v2", &category().key(), Some(day("2026-03-01"))).is_none());
    two.append(vec![slice(8, FileChange::Published)], Some(two.state().number)).await.unwrap();
    assert!(!stale(&two));
}

#[tokio::test(start_paused = true)]
async fn day_without_a_written_record_is_stale_in_the_next_one() {
    let store = Arc::new(InMemory::new());
    let lake = Destination::new(store, "memory");
    let mut ledger = open(&lake).await;
    ledger.append(vec![slice(7, FileChange::Published)], Some(0)).await.unwrap();
    // Something that is no record is at the next number until it is removed.
    lake.create(&record_path(2), Bytes::from_static(b"{")).await.unwrap();
    ledger.append(vec![slice(8, FileChange::Published)], Some(ledger.state().number)).await.unwrap_err();
    lake.delete(&record_path(2)).await.unwrap();
    let start = || Entry::Start { job: "job".into(), day: "2026-03-01".parse().unwrap(), single: None };
    ledger.append(vec![start()], None).await.unwrap();
    assert!(stale(&ledger), "its file may be the published one");

    // It is said once.
    ledger.append(vec![slice(9, FileChange::Published)], Some(ledger.state().number)).await.unwrap();
    ledger.append(vec![start()], None).await.unwrap();
    assert!(!stale(&ledger));
    assert_eq!(open(&lake).await.state(), ledger.state());
}

#[tokio::test]
async fn rows_of_another_meaning_are_rejected_and_their_days_stale() {
    let lake = lake();
    let (mut one, mut two) = (open(&lake).await, open(&lake).await);
    let table = |request: &str| {
        let meaning =
            TableMeaning { request: request.into(), columns: Default::default(), protected: Default::default() };
        Entry::Table { stream: "visibility_v2".into(), meaning }
    };
    one.append(vec![table("one"), slice(7, FileChange::Published)], Some(0)).await.unwrap();
    // Whether it says what its rows mean or took that from the table as it was.
    let error = two.append(vec![slice(8, FileChange::Published)], Some(0)).await.unwrap_err();
    assert!(error.to_string().contains("`visibility_v2`"), "{error}");
    let error = two.append(vec![table("another"), slice(8, FileChange::Published)], Some(0)).await.unwrap_err();
    assert!(error.to_string().contains("`visibility_v2`"), "{error}");
    two.append(vec![Entry::Start { job: "job".into(), day: "2026-03-01".parse().unwrap(), single: None }], None)
        .await
        .unwrap();
    assert!(stale(&two));
    assert_eq!(two.state().tables["visibility_v2"].request, "one");
}

#[tokio::test]
async fn table_with_a_new_meaning_has_only_stale_days() {
    let lake = lake();
    let mut ledger = open(&lake).await;
    let table = |request: &str| {
        let meaning =
            TableMeaning { request: request.into(), columns: Default::default(), protected: Default::default() };
        let fingerprint = meaning.fingerprint();
        (Entry::Table { stream: "visibility_v2".into(), meaning }, fingerprint)
    };
    let rows_of = |fingerprint: String| match slice(7, FileChange::Published) {
        Entry::Slice(slice) => Entry::Slice(SliceEntry { fingerprint, ..slice }),
        other => other,
    };
    let ((one, of_one), (another, of_another)) = (table("one"), table("another"));
    ledger.append(vec![one.clone(), rows_of(of_one)], Some(0)).await.unwrap();
    ledger.append(vec![one], None).await.unwrap();
    assert!(!stale(&ledger), "the same meaning");
    ledger.append(vec![another], None).await.unwrap();
    assert!(stale(&ledger));
    ledger.append(vec![rows_of(of_another)], Some(ledger.state().number)).await.unwrap();
    assert!(!stale(&ledger));
}
