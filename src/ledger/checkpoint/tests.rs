use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::ledger::fact::{Fact, LearnedFact};
use crate::ledger::record::{DayEntry, Entry, FileChange, Planned, Record, RunEnd, SliceEntry};
use crate::ledger::table::TableMeaning;
use crate::model::counters::Counters;
use crate::model::days::WindowEnd;
use crate::model::scope::Named;
use crate::model::window::Window;

fn instant(seconds: i64) -> jiff::Timestamp {
    jiff::Timestamp::new(1_772_323_200 + seconds, 123_456_789).unwrap()
}

fn scope(number: u8) -> Scope {
    // The account, and categories that change their names.
    let category = Named { id: format!("c{}", number % 4), name: format!("Tea {number}") };
    Scope { category: (!number.is_multiple_of(4)).then_some(category), ..Scope::default() }
}

fn window(start: u8, length: u8) -> Option<Window> {
    let start = Day::from_epoch_days(20_000 + i32::from(start));
    // A quarter are lists.
    (!length.is_multiple_of(4)).then(|| Window::new(start, start.plus(i64::from(length))).unwrap())
}

fn days(window: Option<Window>, rows: u64) -> Vec<DayEntry> {
    let marks: Vec<Option<Day>> = window.map_or_else(|| vec![None], |window| window.days().map(Some).collect());
    let written = [FileChange::Published, FileChange::Unchanged, FileChange::Absent];
    let entry = |(index, day): (u64, Option<Day>)| DayEntry {
        day,
        rows: rows * index,
        hash: (u128::from(rows) << 100 | u128::from(index)).into(),
        file: written[(rows as usize + index as usize) % 3],
        bytes: rows * 7,
        etag: Some("e".into()),
        signal: [None, Some(true), Some(false)][rows as usize % 3],
    };
    (0..).zip(marks).map(entry).collect()
}

prop_compose! {
    fn entry()(
        (kind, stream, number) in (0_u8..10, 0_u8..3, any::<u8>()),
        (start, length) in (any::<u8>(), 0_u8..30),
        (rows, seconds) in (0_u64..1_000_000, 0_i64..1_000_000),
    ) -> Entry {
        let (run, stream) = (Uuid::from_u128(u128::from(number % 3)), format!("stream_{stream}"));
        let (scope, window) = (scope(number), window(start, length));
        match kind {
            0 => Entry::RunStarted {
                run,
                job: "nightly".into(),
                planned: vec![Planned { stream, scope: scope.key(), window }],
                backfill: number % 2 == 0,
            },
            1 => Entry::Suspect { run, stream, scope, window, problem: format!("problem {number}"), unconfirmed: Vec::new() },
            2 => Entry::Suspect {
                run, stream, scope, window, problem: "fewer rows".into(), unconfirmed: days(window, rows),
            },
            3 => Entry::NotEntitled { run, stream, scope, detail: format!("not in the plan {number}") },
            4 => Entry::Stale { stream, scope, day: window.map(Window::last) },
            5 => Entry::RunEnded(RunEnd {
                run,
                job: "nightly".into(),
                backfill: number % 2 == 1,
                started_at: instant(seconds),
                outcome: crate::model::outcome::Outcome::Complete,
                counters: Counters { slices: rows, requests: 1, rows, files: 1, bytes: 2, ..Counters::default() },
                backfill_remaining: 0,
                waited_seconds: 0,
                failed_streams: [].into(),
                problems: Vec::new(),
                hint: None,
            }),
            _ => Entry::Slice(SliceEntry {
                run,
                stream,
                fingerprint: "f".into(),
                scope,
                window,
                proof: Proof::ALL[number as usize % Proof::ALL.len()],
                total: None,
                rows,
                outside_rows: 0,
                requests: 1,
                extracted_at: instant(seconds),
                days: days(window, rows),
            }),
        }
    }
}

fn state_of(entries: Vec<Entry>) -> State {
    let small = vec![
        Entry::Root {
            organizations: vec!["o1".into()],
            partition: "month".into(),
            url: Some("s3://bucket/lake".into()),
        },
        Entry::Learned(LearnedFact::new(
            Fact::WindowEnd { family: "reports_v2".into(), end: WindowEnd::Inclusive },
            "seen",
            instant(0),
        )),
        Entry::Start { job: "nightly".into(), day: Day::from_epoch_days(20_000), single: None },
        Entry::Table {
            stream: "stream_0".into(),
            meaning: TableMeaning { request: "r".into(), columns: BTreeMap::new(), protected: BTreeMap::new() },
        },
    ];
    let mut state = State::default();
    for (number, entries) in (1..).zip([small, entries]) {
        state.apply(&Record { format: FORMAT, number, id: Uuid::nil(), at: instant(0), version: "0".into(), entries });
    }
    state
}

fn written(state: &State) -> Bytes {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(state.to_checkpoint()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn checkpoint_reads_back_as_the_state_it_was_made_of(entries in prop::collection::vec(entry(), 0..40)) {
        let state = state_of(entries);
        prop_assert_eq!(State::from_checkpoint(written(&state)).unwrap(), state);
    }
}

#[test]
fn damaged_and_other_files_are_rejected() {
    let whole = written(&state_of(Vec::new()));
    assert!(matches!(State::from_checkpoint(whole.slice(..whole.len() - 9)), Err(CheckpointError::Parquet(_))));
    assert!(matches!(State::from_checkpoint(Bytes::from_static(b"{}")), Err(CheckpointError::Parquet(_))));

    let mut other = ArrowWriter::try_new(Vec::new(), columns(&[]).unwrap().schema(), None).unwrap();
    other.write(&columns(&[]).unwrap()).unwrap();
    let other = Bytes::from(other.into_inner().unwrap());
    assert_eq!(State::from_checkpoint(other).unwrap_err().to_string(), "`profound_export.state` is missing or invalid");
}
