//! What reads what others wrote neither panics nor takes memory beyond its bounds, whatever is put before it.

use std::sync::Mutex;

use xtask::fuzz::driver::fuzz;
use xtask::fuzz::targets;

/// Memory is that of the process, so targets come one after the other.
static ALONE: Mutex<()> = Mutex::new(());

/// Tries the corpus of a target, and some thousand mutations of it.
fn assert_stands(name: &str, inputs: u64) {
    let _alone = ALONE.lock().unwrap_or_else(|broken| broken.into_inner());
    let target = targets::ALL.into_iter().find(|target| target.name == name).expect("a target");
    let figures = fuzz(&target, inputs, 1);
    let problems: Vec<&str> = figures.problems.values().map(String::as_str).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(1 < figures.outcomes && figures.kept < figures.inputs, "nothing was tried: {figures:?}");
}

#[test]
fn event_streams_bring_the_same_rows_however_they_are_cut_and_whatever_they_hold() {
    assert_stands("events", 3000);
}

#[test]
fn lists_and_pages_bring_the_rows_of_their_json_and_nothing_else() {
    assert_stands("lists", 3000);
}

#[test]
fn rows_are_decoded_each_as_if_it_were_alone_or_refused() {
    assert_stands("decoding", 3000);
}

#[test]
fn settings_are_accepted_or_refused_in_words() {
    assert_stands("configuration", 400);
}

#[test]
fn paths_are_read_as_they_are_written_and_no_two_scopes_share_one() {
    assert_stands("paths", 4000);
}

#[test]
fn records_add_up_or_are_refused() {
    assert_stands("records", 3000);
}

#[test]
fn damaged_checkpoints_are_refused() {
    assert_stands("checkpoints", 3000);
}
