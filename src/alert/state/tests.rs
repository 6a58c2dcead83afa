use super::*;
use crate::config::AlertEvent;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn condition(event: AlertEvent, subject: &str) -> Condition {
    Condition {
        job: Some(subject.into()),
        is_lasting: event == AlertEvent::SchemaDrift,
        summary: format!("{subject} fired"),
        ..Condition::new(event, subject, at("2026-03-10T10:00:00Z"))
    }
}

fn target(name: &str) -> AlertConfig {
    AlertConfig { name: name.into(), kind: Some(AlertKind::Webhook), ..AlertConfig::default() }
}

/// Records `conditions`, delivers what is pending to `target`, and returns the states.
fn turn(state: &mut AlertState, conditions: Vec<Condition>, target: &AlertConfig, now: &str) -> Vec<&'static str> {
    state.record(conditions, |_| false, at(now));
    let due = state.pending(target);
    for message in &due {
        state.record_delivered(&target.name, message);
    }
    due.iter().map(Message::state_name).collect()
}

#[test]
fn condition_notifies_once_when_firing_and_once_when_resolved() {
    let (mut state, ops) = (AlertState::default(), target("ops"));
    let failed = || vec![condition(AlertEvent::JobFailed, "nightly")];
    assert_eq!(turn(&mut state, failed(), &ops, "2026-03-10T10:00:00Z"), ["firing"]);
    assert_eq!(turn(&mut state, failed(), &ops, "2026-03-11T10:00:00Z"), [""; 0]);
    assert_eq!(turn(&mut state, vec![], &ops, "2026-03-12T10:00:00Z"), ["resolved"]);
    assert_eq!(turn(&mut state, vec![], &ops, "2026-03-13T10:00:00Z"), [""; 0]);
    assert_eq!(state, AlertState::default(), "nothing is kept");
    assert_eq!(turn(&mut state, failed(), &ops, "2026-03-14T10:00:00Z"), ["firing"], "it is a new one");
}

#[test]
fn restart_repeats_no_notification() {
    let (mut state, ops) = (AlertState::default(), target("ops"));
    let failed = || vec![condition(AlertEvent::JobFailed, "nightly")];
    assert_eq!(turn(&mut state, failed(), &ops, "2026-03-10T10:00:00Z"), ["firing"]);
    let mut read: AlertState = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
    assert_eq!(turn(&mut read, failed(), &ops, "2026-03-11T10:00:00Z"), [""; 0]);
    assert_eq!(turn(&mut read, vec![], &ops, "2026-03-12T10:00:00Z"), ["resolved"]);
}

#[test]
fn undelivered_notification_is_dropped_when_resolved_first() {
    let (mut state, ops) = (AlertState::default(), target("ops"));
    let now = "2026-03-10T10:00:00Z";
    state.record(vec![condition(AlertEvent::JobFailed, "nightly")], |_| false, at(now));
    assert_eq!(state.pending(&ops).len(), 1);
    assert_eq!(state.pending(&ops).len(), 1, "it was not delivered");
    assert_eq!(turn(&mut state, vec![], &ops, now), [""; 0]);
}

#[test]
fn unknown_condition_stays_as_it_is() {
    let (mut state, ops) = (AlertState::default(), target("ops"));
    turn(&mut state, vec![condition(AlertEvent::JobOverdue, "nightly")], &ops, "2026-03-10T10:00:00Z");
    state.record(vec![], |condition| condition.event == AlertEvent::JobOverdue, at("2026-03-10T11:00:00Z"));
    assert!(state.pending(&ops).is_empty() && state.firing_condition("job_overdue/nightly").is_some());
}

#[test]
fn lasting_condition_notifies_once_and_expires_after_a_month() {
    let (mut state, ops) = (AlertState::default(), target("ops"));
    let drift = || vec![condition(AlertEvent::SchemaDrift, "answers_v2/mood")];
    assert_eq!(turn(&mut state, drift(), &ops, "2026-03-01T10:00:00Z"), ["firing"]);
    assert_eq!(turn(&mut state, vec![], &ops, "2026-03-02T10:00:00Z"), [""; 0]);
    assert_eq!(turn(&mut state, drift(), &ops, "2026-03-30T10:00:00Z"), [""; 0]);
    assert_eq!(turn(&mut state, vec![], &ops, "2026-05-30T10:00:00Z"), [""; 0]);
    assert_eq!(state, AlertState::default());
}

#[test]
fn target_gets_only_its_events_and_jobs() {
    let mut state = AlertState::default();
    let failed = condition(AlertEvent::JobFailed, "nightly");
    let key = Condition { job: None, ..condition(AlertEvent::KeyRejected, "") };
    state.record(vec![failed, key], |_| false, at("2026-03-10T10:00:00Z"));
    let only_key = AlertConfig { events: vec![AlertEvent::KeyRejected], ..target("phone") };
    let other_job = AlertConfig { jobs: vec!["weekly".into()], ..target("weekly") };
    let events = |target: &AlertConfig| state.pending(target).iter().map(Message::event_name).collect::<Vec<_>>();
    assert_eq!(events(&target("ops")), ["job_failed", "key_rejected"]);
    assert_eq!(events(&only_key), ["key_rejected"]);
    assert_eq!(events(&other_job), ["key_rejected"], "conditions without a job always");
    let heartbeat = AlertConfig { kind: Some(AlertKind::Heartbeat), ..target("beat") };
    assert_eq!(events(&heartbeat), [""; 0]);
}

#[test]
fn removed_target_is_forgotten() {
    let (mut state, ops) = (AlertState::default(), target("ops"));
    turn(&mut state, vec![condition(AlertEvent::JobFailed, "nightly")], &ops, "2026-03-10T10:00:00Z");
    state.record(vec![], |_| false, at("2026-03-11T10:00:00Z"));
    state.retain_targets(&[target("other")]);
    assert_eq!(state, AlertState::default());
}

#[test]
fn unchanged_state_is_not_written_within_a_day() {
    let (mut state, ops) = (AlertState::default(), target("ops"));
    let failed = || vec![condition(AlertEvent::JobFailed, "nightly")];
    turn(&mut state, failed(), &ops, "2026-03-10T10:00:00Z");
    let before = state.clone();
    turn(&mut state, failed(), &ops, "2026-03-11T09:59:00Z");
    assert_eq!(state, before);
}
