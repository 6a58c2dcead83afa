use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::alert::message::Message;
use crate::alert::observer::RunObserver;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::{AlertConfig, AlertKind, JobConfig};
use crate::ledger::{OpenRun, RunEnd, RunSummary, State};
use crate::model::counters::Counters;
use crate::model::event::{Event, RateLimitStatus, RunFinished};
use crate::model::outcome::Outcome;
use crate::model::scope::{Named, Scope};
use crate::model::slice::Slice;
use crate::model::stream::Stream;
use crate::status::{NotEntitledStreams, SuspectDays};

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

/// A ledger whose last run of `nightly` started at `began` and ended with `outcome`.
fn ran(began: &str, outcome: Outcome) -> State {
    let end = RunEnd {
        run: Uuid::nil(),
        job: "nightly".into(),
        backfill: false,
        started_at: at(began),
        outcome,
        counters: Counters::default(),
        backfill_remaining: 0,
        waited_seconds: 0,
        failed_streams: [].into(),
        problems: Vec::new(),
        hint: None,
    };
    State {
        number: 5,
        runs: [RunSummary { ended_at: at(began), first_number: None, number: 5, end }].into(),
        ..State::default()
    }
}

fn run_ended(outcome: Outcome, is_destination_error: bool) -> Event {
    Event::RunFinished(Box::new(RunFinished {
        run: Uuid::nil(),
        job: "nightly".into(),
        outcome,
        summary: format!("nightly: {outcome}"),
        problem: Some("the disk is full".into()),
        hint: Some("make room".into()),
        is_destination_error,
        started_at: at(NOW),
        elapsed: Duration::ZERO,
        counters: Counters::default(),
    }))
}

/// The keys of the conditions at `now`.
fn keys(state: Option<&State>, events: &[Event], config: &Config, now: &str) -> Vec<String> {
    conditions(state, events, config, now).iter().map(Condition::key).collect()
}

fn conditions(state: Option<&State>, events: &[Event], config: &Config, now: &str) -> Vec<Condition> {
    let observer = RunObserver::new(Clock::starting_at(at(now)));
    conditions_of(&observer, &AlertState::default(), state, events, config, now)
}

/// The conditions of a process with `observer`, after `events`; `alerts` is the stored state.
fn conditions_of(
    observer: &RunObserver,
    alerts: &AlertState,
    state: Option<&State>,
    events: &[Event],
    config: &Config,
    now: &str,
) -> Vec<Condition> {
    events.iter().for_each(|event| observer.events().emit(event));
    let status = state.map(|state| Status::of(state, config, at(now), 1).unwrap());
    AlertInputs {
        status: status.as_ref(),
        observations: &observer.take(),
        destination: "s3://lake",
        destination_problem: state.is_none().then_some("no response"),
        config,
        now: at(now),
        state: alerts,
    }
    .conditions()
}

/// Evaluates `status` at `now`, records and delivers; returns the delivered messages.
fn evaluate(alerts: &mut AlertState, status: &Status, observer: &RunObserver, now: &str) -> Vec<Message> {
    let (config, observations) = (config(), observer.take());
    let inputs = AlertInputs {
        status: Some(status),
        observations: &observations,
        destination: "s3://lake",
        destination_problem: None,
        config: &config,
        now: at(now),
        state: alerts,
    };
    let (conditions, unknown) = (inputs.conditions(), inputs.unknown());
    alerts.record(conditions, |condition| unknown.contains(&condition.event), at(now));
    let target = AlertConfig { name: "ops".into(), kind: Some(AlertKind::Webhook), ..AlertConfig::default() };
    let due = alerts.pending(&target);
    due.iter().for_each(|message| alerts.record_delivered("ops", message));
    due
}

fn keys_of(due: &[Message]) -> Vec<String> {
    due.iter().map(|message| format!("{} {}", message.state_name(), message.key)).collect()
}

/// A status in which the account is not entitled to `streams` of `scopes`.
fn not_entitled(streams: &[String], scopes: &[String], now: &str) -> Status {
    let mut status = Status::of(&ran(now, Outcome::Complete), &config(), at(now), 1).unwrap();
    status.not_entitled = scopes
        .iter()
        .map(|scope| NotEntitledStreams {
            scope: category(scope).to_string(),
            detail: "no such plan".into(),
            at: at(now),
            streams: streams.to_vec(),
        })
        .collect();
    status
}

fn named(what: &str, count: usize) -> Vec<String> {
    (0..count).map(|index| format!("{what}-{index:03}")).collect()
}

fn lose(observer: &RunObserver, streams: &[String], scopes: &[String]) {
    let catalog = Catalog::embedded().unwrap();
    let known = catalog.get("visibility_v2_by_day").unwrap();
    for (name, scope) in streams.iter().flat_map(|stream| scopes.iter().map(move |scope| (stream, scope))) {
        let stream = Arc::new(Stream { name: name.clone(), ..(**known).clone() });
        let slice = Slice { stream, scope: category(scope), window: None };
        observer.events().emit(&Event::NotEntitled { slice, detail: "no such plan".into(), had_access: true });
    }
}

fn category(name: &str) -> Scope {
    Scope { category: Some(Named { id: name.into(), name: name.into() }), ..Scope::default() }
}

#[test]
fn no_alert_after_a_complete_run() {
    let state = ran("2026-03-10T06:30:00Z", Outcome::Complete);
    assert_eq!(keys(Some(&state), &[], &config(), NOW), [""; 0]);
    assert_eq!(keys(Some(&State::default()), &[], &config(), NOW), [""; 0], "nothing ran yet");
}

#[test]
fn ledger_shows_a_failed_job_and_a_rejected_key_after_a_restart() {
    let of = |outcome| keys(Some(&ran("2026-03-10T06:30:00Z", outcome)), &[], &config(), NOW);
    assert_eq!(of(Outcome::Failed), ["job_failed/nightly"]);
    assert_eq!(of(Outcome::Unavailable), ["job_failed/nightly"]);
    assert_eq!(of(Outcome::Incomplete), [""; 0], "the next run continues");
    assert_eq!(of(Outcome::KeyRejected), ["key_rejected"]);
}

#[test]
fn own_observation_outranks_an_older_record() {
    let state = ran("2026-03-10T06:30:00Z", Outcome::Failed);
    assert_eq!(keys(Some(&state), &[run_ended(Outcome::Complete, false)], &config(), NOW), [""; 0]);
    let state = ran("2026-03-10T06:30:00Z", Outcome::Complete);
    let found = conditions(Some(&state), &[run_ended(Outcome::Failed, false)], &config(), NOW);
    assert_eq!(found[0].summary, "nightly: failed: the disk is full");
    assert_eq!(found[0].action, "make room");
}

#[test]
fn destination_error_is_no_job_failure() {
    let state = ran("2026-03-10T06:30:00Z", Outcome::Complete);
    let events = [run_ended(Outcome::Unavailable, true)];
    assert_eq!(keys(Some(&state), &events, &config(), NOW), ["destination_trouble/s3://lake"]);
    assert_eq!(keys(None, &events, &config(), NOW), ["destination_trouble/s3://lake"]);
    assert_eq!(keys(None, &[], &config(), NOW), ["destination_trouble/s3://lake"], "it is unavailable");
}

#[test]
fn own_run_is_described_by_its_own_summary() {
    let state = ran("2026-03-10T16:00:00.001Z", Outcome::Unavailable);
    let found = conditions(Some(&state), &[run_ended(Outcome::Unavailable, false)], &config(), NOW);
    let [failed] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(failed.summary, "nightly: unavailable: the disk is full");
    assert_eq!(failed.action, "make room");
    let found = keys(Some(&state), &[run_ended(Outcome::Unavailable, true)], &config(), NOW);
    assert_eq!(found, ["destination_trouble/s3://lake"], "the destination failed, not the job");
}

#[test]
fn job_is_overdue_an_hour_after_a_missed_run() {
    let state = ran("2026-03-09T06:30:00Z", Outcome::Complete);
    assert_eq!(keys(Some(&state), &[], &config(), "2026-03-10T07:29:00Z"), [""; 0]);
    assert_eq!(keys(Some(&state), &[], &config(), "2026-03-10T07:31:00Z"), ["job_overdue/nightly"]);
    let mut by_hand = config();
    by_hand.jobs[0].cron = None;
    assert_eq!(keys(Some(&state), &[], &by_hand, "2026-03-20T07:31:00Z"), [""; 0]);
}

#[test]
fn missed_run_is_overdue_only_if_the_daemon_does_not_catch_up() {
    let state = ran("2026-03-09T06:30:00Z", Outcome::Complete);
    let overdue = |events: &[Event], is_firing: bool, now: &str| {
        let observer = RunObserver::new(Clock::starting_at(at("2026-03-10T15:00:00Z")));
        observer.start_scheduling();
        let mut alerts = AlertState::default();
        if is_firing {
            let firing = Condition::new(AlertEvent::JobOverdue, "nightly", at("2026-03-10T06:30:00Z"));
            alerts.record(vec![firing], |_| false, at("2026-03-10T08:00:00Z"));
        }
        !conditions_of(&observer, &alerts, Some(&state), events, &config(), now).is_empty()
    };
    assert!(!overdue(&[], false, "2026-03-10T15:01:00Z"));
    assert!(overdue(&[], false, "2026-03-10T16:01:00Z"));
    assert!(overdue(&[], true, "2026-03-10T15:01:00Z"), "it fires until the daemon caught up");
    let begun = [Event::RunStarted { run: Uuid::nil(), job: "nightly".into() }];
    assert!(!overdue(&begun, true, "2026-03-10T15:01:00Z"));
    assert!(!overdue(&begun, false, "2026-03-10T16:01:00Z"), "it waits for the API");
}

#[test]
fn expiring_key_fires_fourteen_days_before() {
    let mut config = config();
    config.api.key_expires = Some("2026-03-31".parse().unwrap());
    let fires = |now: &str| {
        let state = ran(&now.replace("T16", "T06"), Outcome::Complete);
        conditions(Some(&state), &[], &config, now).iter().any(|found| found.event == AlertEvent::KeyExpiring)
    };
    assert!(!fires("2026-03-16T16:00:00Z"));
    assert!(fires("2026-03-17T16:00:00Z") && fires("2026-04-02T16:00:00Z"));
}

#[test]
fn external_requests_fire_only_above_a_configured_limit() {
    let events = [Event::RateLimitStatus(RateLimitStatus { external_requests: 120, ..RateLimitStatus::default() })];
    let state = ran("2026-03-10T06:30:00Z", Outcome::Complete);
    assert_eq!(keys(Some(&state), &events, &config(), NOW), [""; 0]);
    let mut config = config();
    config.alerts.external_requests = 100;
    assert_eq!(keys(Some(&state), &events, &config, NOW), ["key_used_elsewhere"]);
    config.alerts.external_requests = 120;
    assert_eq!(keys(Some(&state), &events, &config, NOW), [""; 0]);
}

#[test]
fn unknown_field_is_schema_drift() {
    let drift = Event::SchemaDrift { stream: "answers_v2".into(), field: "mood".into(), example: "\"x\"".into() };
    let state = ran("2026-03-10T06:30:00Z", Outcome::Complete);
    assert_eq!(keys(Some(&state), &[drift], &config(), NOW), ["schema_drift"]);
}

#[test]
fn event_names_are_unique() {
    let mut seen = BTreeMap::new();
    for event in AlertEvent::ALL {
        assert_eq!(seen.insert(event.name(), event), None);
        assert_eq!(serde_json::to_value(event).unwrap(), event.name());
    }
}

#[test]
fn lost_plan_is_one_notification_and_one_resolution() {
    let (streams, scopes) = (named("stream", 50), named("scope", 200));
    let (mut alerts, observer) = (AlertState::default(), RunObserver::new(Clock::starting_at(at(NOW))));
    lose(&observer, &streams, &scopes);
    let due = evaluate(&mut alerts, &not_entitled(&streams, &scopes, NOW), &observer, NOW);
    assert_eq!(keys_of(&due), ["firing not_entitled"]);
    assert_eq!(
        due[0].condition.summary,
        "the account lost access to `stream-000` and 49 other streams of \"scope-000\" and 199 other scopes: no such plan"
    );
    // Another process reads the alerts.
    let mut alerts: AlertState = serde_json::from_str(&serde_json::to_string(&alerts).unwrap()).unwrap();
    let observer = RunObserver::new(Clock::starting_at(at(NOW)));
    let later = "2026-03-12T16:00:00Z";
    assert_eq!(keys_of(&evaluate(&mut alerts, &not_entitled(&streams, &scopes, later), &observer, later)), [""; 0]);
    assert_eq!(
        keys_of(&evaluate(&mut alerts, &not_entitled(&[], &[], later), &observer, later)),
        ["resolved not_entitled"]
    );
}

#[test]
fn more_lost_scopes_repeat_no_notification() {
    let (streams, scopes) = (named("stream", 1), named("scope", 3));
    let (mut state, observer) = (AlertState::default(), RunObserver::new(Clock::starting_at(at(NOW))));
    lose(&observer, &streams, &scopes[..1]);
    assert_eq!(evaluate(&mut state, &not_entitled(&streams, &scopes[..1], NOW), &observer, NOW).len(), 1);
    lose(&observer, &streams, &scopes);
    assert_eq!(evaluate(&mut state, &not_entitled(&streams, &scopes, NOW), &observer, NOW).len(), 0);
}

#[test]
fn scope_that_never_had_access_is_no_alert() {
    let (streams, scopes) = (named("stream", 1), named("scope", 5));
    let (mut alerts, observer) = (AlertState::default(), RunObserver::new(Clock::starting_at(at(NOW))));
    lose(&observer, &streams, &scopes[..1]);
    assert_eq!(evaluate(&mut alerts, &not_entitled(&streams, &scopes, NOW), &observer, NOW).len(), 1);
    let observer = RunObserver::new(Clock::starting_at(at(NOW)));
    let due = evaluate(&mut alerts, &not_entitled(&streams, &scopes[1..], NOW), &observer, NOW);
    assert_eq!(keys_of(&due), ["resolved not_entitled"]);
}

#[test]
fn suspect_days_of_many_streams_are_one_notification() {
    let mut status = not_entitled(&[], &[], NOW);
    let suspect = |stream| SuspectDays {
        stream,
        scope: "scope-000".into(),
        problem: "the totals differ".into(),
        days: Vec::new(),
    };
    status.suspects = named("stream", 40).into_iter().map(suspect).collect();
    let observer = RunObserver::new(Clock::starting_at(at(NOW)));
    let due = evaluate(&mut AlertState::default(), &status, &observer, NOW);
    assert_eq!(keys_of(&due), ["firing stream_suspect"]);
    let summary = "suspect days of `stream-000` and 39 other streams: scope-000: the totals differ";
    assert_eq!(due[0].condition.summary, summary);
}

#[test]
fn unknown_fields_are_one_notification_for_a_month() {
    let drift = |fields: usize| {
        let event = |field| Event::SchemaDrift { stream: "answers_v2".into(), field, example: "1".into() };
        named("field", fields).into_iter().map(event).collect::<Vec<_>>()
    };
    let mut state = AlertState::default();
    let mut notified = |events: &[Event], now: &str| {
        let observer = RunObserver::new(Clock::starting_at(at(now)));
        events.iter().for_each(|event| observer.events().emit(event));
        keys_of(&evaluate(&mut state, &not_entitled(&[], &[], now), &observer, now))
    };
    assert_eq!(notified(&drift(30), NOW), ["firing schema_drift"]);
    assert_eq!(notified(&[], "2026-03-12T16:00:00Z"), [""; 0], "no run since");
    assert_eq!(notified(&drift(9), "2026-03-13T16:00:00Z"), [""; 0]);
}

#[test]
fn findings_of_a_run_are_notified_at_its_end() {
    let (streams, scopes) = (named("stream", 1), named("scope", 1));
    let (mut alerts, observer) = (AlertState::default(), RunObserver::new(Clock::starting_at(at(NOW))));
    let run = Uuid::nil();
    observer.events().emit(&Event::RunStarted { run, job: "nightly".into() });
    lose(&observer, &streams, &scopes);
    let status = not_entitled(&streams, &scopes, NOW);
    assert_eq!(keys_of(&evaluate(&mut alerts, &status, &observer, NOW)), [""; 0]);
    observer.events().emit(&run_ended(Outcome::Complete, false));
    // The next run has already started at the evaluation.
    observer.events().emit(&Event::RunStarted { run: Uuid::max(), job: "nightly".into() });
    assert_eq!(keys_of(&evaluate(&mut alerts, &status, &observer, NOW)), ["firing not_entitled"]);
    assert_eq!(
        keys_of(&evaluate(&mut alerts, &not_entitled(&[], &[], NOW), &observer, NOW)),
        [""; 0],
        "nor is its end"
    );
}

#[test]
fn running_or_waiting_job_is_not_overdue() {
    let overdue = |state: &State, observer: &RunObserver, now: &str| {
        let status = Status::of(state, &config(), at(now), 1).unwrap();
        evaluate(&mut AlertState::default(), &status, observer, now).iter().any(|due| due.event_name() == "job_overdue")
    };
    let (state, now) = (ran("2026-03-09T06:30:00Z", Outcome::Complete), "2026-03-10T16:00:00Z");
    let silent = || RunObserver::new(Clock::starting_at(at(now)));
    assert!(overdue(&state, &silent(), now));
    let busy = silent();
    busy.events().emit(&Event::RunStarted { run: Uuid::nil(), job: "weekly".into() });
    assert!(!overdue(&state, &busy, now), "jobs run one after the other");
    let daemon = silent();
    daemon.start_scheduling();
    assert!(!overdue(&state, &daemon, now), "it has just begun");
    assert!(!overdue(&state, &daemon, "2026-03-10T16:59:00Z"));
    assert!(overdue(&state, &daemon, "2026-03-10T17:01:00Z"));
    // An alert from before the restart fires until the daemon caught up.
    let mut alerts = AlertState::default();
    let status = Status::of(&state, &config(), at(now), 1).unwrap();
    assert_eq!(keys_of(&evaluate(&mut alerts, &status, &silent(), now)), ["firing job_overdue/nightly"]);
    assert_eq!(keys_of(&evaluate(&mut alerts, &status, &daemon, now)), [""; 0]);
    let made_up = Status::of(&ran("2026-03-10T16:05:00Z", Outcome::Complete), &config(), at(now), 1).unwrap();
    assert_eq!(keys_of(&evaluate(&mut alerts, &made_up, &daemon, now)), ["resolved job_overdue/nightly"]);
    // A run of another process, in progress since yesterday.
    let mut elsewhere = ran("2026-03-08T06:30:00Z", Outcome::Complete);
    let open = OpenRun {
        at: at("2026-03-09T06:30:00Z"),
        number: 4,
        last_record_at: Some(at("2026-03-10T15:55:00Z")),
        backfill: false,
        job: "nightly".into(),
        planned: Default::default(),
    };
    elsewhere.open_runs.insert(Uuid::nil(), open);
    assert!(!overdue(&elsewhere, &silent(), now));
    assert!(overdue(&elsewhere, &silent(), "2026-03-10T16:30:00Z"), "it was killed");
}

#[test]
fn rejected_key_fires_until_a_run_uses_another() {
    let mut state = ran("2026-03-10T06:30:00Z", Outcome::KeyRejected);
    assert_eq!(
        keys(Some(&state), &[run_ended(Outcome::ConfigMismatch, false)], &config(), NOW),
        ["key_rejected", "job_failed/nightly"]
    );
    state.runs.push_back(ran("2026-03-10T07:30:00Z", Outcome::Complete).runs.remove(0).unwrap());
    assert_eq!(keys(Some(&state), &[], &config(), NOW), [""; 0]);
}

#[test]
fn own_runs_are_judged_without_the_lake() {
    let of = |outcome| keys(None, &[run_ended(outcome, false)], &config(), NOW);
    assert_eq!(of(Outcome::KeyRejected), ["key_rejected", "destination_trouble/s3://lake"]);
    assert_eq!(of(Outcome::Failed), ["destination_trouble/s3://lake", "job_failed/nightly"]);
    let observer = RunObserver::new(Clock::starting_at(at(NOW)));
    observer.events().emit(&run_ended(Outcome::Unavailable, true));
    let (config, observations, alerts) = (config(), observer.take(), AlertState::default());
    // A lake that did not respond in time.
    let (status, destination, destination_problem, now) = (None, "s3://lake", None, at(NOW));
    let slow = AlertInputs {
        status,
        observations: &observations,
        destination,
        destination_problem,
        config: &config,
        now,
        state: &alerts,
    };
    assert_eq!(slow.conditions().iter().map(Condition::key).collect::<Vec<_>>(), ["destination_trouble/s3://lake"]);
    let nothing = RunObservations::default();
    let silent = AlertInputs { observations: &nothing, ..slow };
    assert!(silent.conditions().is_empty() && silent.unknown().contains(&AlertEvent::DestinationTrouble));
}
