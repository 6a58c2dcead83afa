use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::alert::ears::Ears;
use crate::clock::Clock;
use crate::config::JobConfig;
use crate::ledger::{RunEnd, RunSummary, State};
use crate::model::event::{BudgetTold, Event, RunEnded, RunFigures};

const NOW: &str = "2026-03-10T16:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn config() -> Config {
    let job = JobConfig {
        name: "nightly".into(),
        cron: Some("30 6 * * *".into()),
        timezone: "UTC".into(),
        ..JobConfig::default()
    };
    let mut config = Config::default();
    config.jobs.push(job);
    config
}

/// A ledger whose last run of `nightly` began at `began` and ended as `outcome`.
fn ran(began: &str, outcome: &str) -> State {
    let end = RunEnd {
        run: Uuid::nil(),
        job: "nightly".into(),
        backfill: false,
        started_at: at(began),
        outcome: outcome.into(),
        slices: 1,
        slices_left: 0,
        history_left: 0,
        requests: 1,
        rows: 1,
        files: 1,
        unchanged: 0,
        bytes: 1,
        problems: Vec::new(),
        hint: None,
    };
    State { number: 5, runs: [RunSummary { ended_at: at(began), number: 5, end }].into(), ..State::default() }
}

fn run_ended(outcome: &'static str, at_destination: bool) -> Event {
    Event::RunEnded(Box::new(RunEnded {
        run: Uuid::nil(),
        job: "nightly".into(),
        outcome,
        summary: format!("nightly: {outcome}"),
        problem: Some("the disk is full".into()),
        hint: Some("make room".into()),
        at_destination,
        started_at: at(NOW),
        took: Duration::ZERO,
        figures: RunFigures::default(),
    }))
}

/// The keys of what is the matter at `now`.
fn keys(state: Option<&State>, told: &[Event], config: &Config, now: &str) -> Vec<String> {
    conditions(state, told, config, now).iter().map(Condition::key).collect()
}

fn conditions(state: Option<&State>, told: &[Event], config: &Config, now: &str) -> Vec<Condition> {
    conditions_of(None, &|_| false, state, told, config, now)
}

/// The same in a process that starts jobs at their time since `serves_since`.
fn conditions_of(
    serves_since: Option<&str>,
    stands: &dyn Fn(&str) -> bool,
    state: Option<&State>,
    told: &[Event],
    config: &Config,
    now: &str,
) -> Vec<Condition> {
    let ears = Ears::new(Clock::starting_at(at(now)));
    told.iter().for_each(|event| ears.events().tell(event));
    let status = state.map(|state| Status::of(state, config, at(now), 1).unwrap());
    Facts {
        status: status.as_ref(),
        heard: &ears.take(),
        destination: "s3://lake",
        destination_problem: state.is_none().then_some("nobody answers"),
        config,
        now: at(now),
        serves_since: serves_since.map(at),
        stands,
    }
    .conditions()
}

#[test]
fn nothing_is_the_matter_when_the_last_run_was_complete_and_the_next_lies_ahead() {
    let state = ran("2026-03-10T06:30:00Z", "complete");
    assert_eq!(keys(Some(&state), &[], &config(), NOW), [""; 0]);
    assert_eq!(keys(Some(&State::default()), &[], &config(), NOW), [""; 0], "nothing ran yet");
}

#[test]
fn last_run_tells_whether_a_job_failed_or_the_key_is_dead_also_after_a_restart() {
    let of = |outcome| keys(Some(&ran("2026-03-10T06:30:00Z", outcome)), &[], &config(), NOW);
    assert_eq!(of("failed"), ["job_failed/nightly"]);
    assert_eq!(of("unavailable"), ["job_failed/nightly"]);
    assert_eq!(of("incomplete"), [""; 0], "the next run continues");
    assert_eq!(of("key_rejected"), ["key_rejected"]);
}

#[test]
fn what_this_process_saw_counts_more_than_an_older_record() {
    let state = ran("2026-03-10T06:30:00Z", "failed");
    assert_eq!(keys(Some(&state), &[run_ended("complete", false)], &config(), NOW), [""; 0]);
    let state = ran("2026-03-10T06:30:00Z", "complete");
    let found = conditions(Some(&state), &[run_ended("failed", false)], &config(), NOW);
    assert_eq!(found[0].what, "nightly: failed: the disk is full");
    assert_eq!(found[0].to_do, "make room");
}

#[test]
fn destination_is_to_blame_once_and_not_the_job_too() {
    let state = ran("2026-03-10T06:30:00Z", "complete");
    let told = [run_ended("unavailable", true)];
    assert_eq!(keys(Some(&state), &told, &config(), NOW), ["destination_trouble/s3://lake"]);
    assert_eq!(keys(None, &told, &config(), NOW), ["destination_trouble/s3://lake"]);
    assert_eq!(keys(None, &[], &config(), NOW), ["destination_trouble/s3://lake"], "it cannot be looked at");
}

#[test]
fn run_that_this_process_saw_is_told_in_its_words_though_its_record_began_a_moment_later() {
    let state = ran("2026-03-10T16:00:00.001Z", "unavailable");
    let found = conditions(Some(&state), &[run_ended("unavailable", false)], &config(), NOW);
    let [failed] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(failed.what, "nightly: unavailable: the disk is full");
    assert_eq!(failed.to_do, "make room");
    let found = keys(Some(&state), &[run_ended("unavailable", true)], &config(), NOW);
    assert_eq!(found, ["destination_trouble/s3://lake"], "the destination is to blame, and not the job");
}

#[test]
fn job_is_overdue_an_hour_after_a_start_that_nobody_made() {
    let state = ran("2026-03-09T06:30:00Z", "complete");
    assert_eq!(keys(Some(&state), &[], &config(), "2026-03-10T07:29:00Z"), [""; 0]);
    assert_eq!(keys(Some(&state), &[], &config(), "2026-03-10T07:31:00Z"), ["job_overdue/nightly"]);
    let mut by_hand = config();
    by_hand.jobs[0].cron = None;
    assert_eq!(keys(Some(&state), &[], &by_hand, "2026-03-20T07:31:00Z"), [""; 0]);
}

#[test]
fn job_that_was_missed_is_overdue_only_when_the_daemon_that_came_back_does_not_begin_it() {
    let state = ran("2026-03-09T06:30:00Z", "complete");
    let overdue = |told: &[Event], stands: bool, now: &str| {
        let since = Some("2026-03-10T15:00:00Z");
        !conditions_of(since, &|_| stands, Some(&state), told, &config(), now).is_empty()
    };
    assert!(!overdue(&[], false, "2026-03-10T15:01:00Z"));
    assert!(overdue(&[], false, "2026-03-10T16:01:00Z"));
    assert!(overdue(&[], true, "2026-03-10T15:01:00Z"), "it was told, and is not over");
    let begun = [Event::RunStarted { run: Uuid::nil(), job: "nightly".into() }];
    assert!(!overdue(&begun, true, "2026-03-10T15:01:00Z"));
    assert!(!overdue(&begun, false, "2026-03-10T16:01:00Z"), "it waits for the API");
}

#[test]
fn key_that_expires_is_told_at_fourteen_seven_and_one_days() {
    let mut config = config();
    config.api.key_expires = Some("2026-03-31".parse().unwrap());
    let level = |now: &str| {
        let state = ran(&now.replace("T16", "T06"), "complete");
        let found = conditions(Some(&state), &[], &config, now);
        found.iter().find(|found| found.event == AlertEvent::KeyExpiring).map(|found| found.level)
    };
    assert_eq!(level("2026-03-16T16:00:00Z"), None);
    assert_eq!(level("2026-03-17T16:00:00Z"), Some(1));
    assert_eq!(level("2026-03-24T16:00:00Z"), Some(2));
    assert_eq!(level("2026-03-30T16:00:00Z"), Some(3));
    assert_eq!(level("2026-04-02T16:00:00Z"), Some(3));
}

#[test]
fn others_with_the_key_are_told_only_where_that_was_asked_for() {
    let told = [Event::BudgetTold(BudgetTold { foreign: 120, ..BudgetTold::default() })];
    let state = ran("2026-03-10T06:30:00Z", "complete");
    assert_eq!(keys(Some(&state), &told, &config(), NOW), [""; 0]);
    let mut config = config();
    config.alerts.foreign_requests = 100;
    assert_eq!(keys(Some(&state), &told, &config, NOW), ["key_used_elsewhere"]);
    config.alerts.foreign_requests = 120;
    assert_eq!(keys(Some(&state), &told, &config, NOW), [""; 0]);
}

#[test]
fn member_that_is_not_known_is_told_as_drift() {
    let drift = Event::Drift { stream: "answers_v2".into(), member: "mood".into(), example: "\"x\"".into() };
    let state = ran("2026-03-10T06:30:00Z", "complete");
    assert_eq!(keys(Some(&state), &[drift], &config(), NOW), ["schema_drift/answers_v2/mood"]);
}

#[test]
fn keys_tell_conditions_apart() {
    let mut seen = BTreeMap::new();
    for event in AlertEvent::ALL {
        assert_eq!(seen.insert(event.name(), event), None);
        assert_eq!(serde_json::to_value(event).unwrap(), event.name());
    }
}
