//! Parsers of foreign data neither panic nor exceed their memory bounds.

use parking_lot::Mutex;
use xtask::fuzz::driver::fuzz;
use xtask::fuzz::targets;

/// Memory is measured for the process, so targets run one after another.
static SERIAL: Mutex<()> = Mutex::new(());

/// Tries the corpus of a target, and some thousand mutations of it.
fn assert_robust(name: &str, inputs: u64) {
    let _serial = SERIAL.lock();
    let target = targets::ALL.into_iter().find(|target| target.name == name).expect("a target");
    let figures = fuzz(&target, inputs, 1);
    let problems: Vec<&str> = figures.problems.values().map(String::as_str).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(figures.outcomes > 1 && figures.kept < figures.inputs, "no mutations: {figures:?}");
}

#[test]
fn event_streams_have_the_same_rows_however_they_are_cut() {
    assert_robust("events", 3000);
}

#[test]
fn lists_and_pages_have_exactly_the_rows_of_their_json() {
    assert_robust("lists", 3000);
}

#[test]
fn rows_are_decoded_independently_or_rejected() {
    assert_robust("decoding", 3000);
}

#[test]
fn settings_are_accepted_or_rejected_with_a_reason() {
    assert_robust("configuration", 400);
}

#[test]
fn paths_round_trip_and_scopes_never_share_one() {
    assert_robust("paths", 4000);
}

#[test]
fn records_replay_or_are_rejected() {
    assert_robust("records", 3000);
}

#[test]
fn damaged_checkpoints_are_rejected() {
    assert_robust("checkpoints", 3000);
}
