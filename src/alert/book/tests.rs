use super::*;
use crate::config::AlertEvent;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn condition(event: AlertEvent, subject: &str, level: u8) -> Condition {
    Condition {
        job: Some(subject.into()),
        level,
        is_lasting: event == AlertEvent::SchemaDrift,
        what: format!("{subject} at {level}"),
        ..Condition::of(event, subject, at("2026-03-10T10:00:00Z"))
    }
}

fn target(name: &str) -> AlertConfig {
    AlertConfig { name: name.into(), kind: Some(AlertKind::Webhook), ..AlertConfig::default() }
}

/// Sees `conditions`, tells `target` all that is due, and returns the states.
fn turn(book: &mut Book, conditions: Vec<Condition>, target: &AlertConfig, now: &str) -> Vec<&'static str> {
    book.see(conditions, |_| false, at(now));
    let due = book.due(target, at(now));
    for message in &due {
        book.told(&target.name, message);
    }
    due.iter().map(Message::state_name).collect()
}

#[test]
fn condition_is_told_once_however_long_it_lasts_and_once_when_it_is_over() {
    let (mut book, ops) = (Book::default(), target("ops"));
    let failed = || vec![condition(AlertEvent::JobFailed, "nightly", 0)];
    assert_eq!(turn(&mut book, failed(), &ops, "2026-03-10T10:00:00Z"), ["firing"]);
    assert_eq!(turn(&mut book, failed(), &ops, "2026-03-11T10:00:00Z"), [""; 0]);
    assert_eq!(turn(&mut book, vec![], &ops, "2026-03-12T10:00:00Z"), ["resolved"]);
    assert_eq!(turn(&mut book, vec![], &ops, "2026-03-13T10:00:00Z"), [""; 0]);
    assert_eq!(book, Book::default(), "nothing is left to remember");
    assert_eq!(turn(&mut book, failed(), &ops, "2026-03-14T10:00:00Z"), ["firing"], "it is another one");
}

#[test]
fn nothing_is_told_again_after_a_restart() {
    let (mut book, ops) = (Book::default(), target("ops"));
    let failed = || vec![condition(AlertEvent::JobFailed, "nightly", 0)];
    assert_eq!(turn(&mut book, failed(), &ops, "2026-03-10T10:00:00Z"), ["firing"]);
    let mut read: Book = serde_json::from_str(&serde_json::to_string(&book).unwrap()).unwrap();
    assert_eq!(turn(&mut read, failed(), &ops, "2026-03-11T10:00:00Z"), [""; 0]);
    assert_eq!(turn(&mut read, vec![], &ops, "2026-03-12T10:00:00Z"), ["resolved"]);
}

#[test]
fn what_could_not_be_told_waits_and_is_not_told_when_it_is_over_before() {
    let (mut book, ops) = (Book::default(), target("ops"));
    let now = "2026-03-10T10:00:00Z";
    book.see(vec![condition(AlertEvent::JobFailed, "nightly", 0)], |_| false, at(now));
    assert_eq!(book.due(&ops, at(now)).len(), 1);
    assert_eq!(book.due(&ops, at(now)).len(), 1, "nobody took it");
    assert_eq!(turn(&mut book, vec![], &ops, now), [""; 0]);
}

#[test]
fn what_gets_worse_is_told_again_and_resolved_once() {
    let (mut book, ops) = (Book::default(), target("ops"));
    let expiring = |level| vec![condition(AlertEvent::KeyExpiring, "", level)];
    assert_eq!(turn(&mut book, expiring(1), &ops, "2026-03-01T10:00:00Z"), ["firing"]);
    assert_eq!(turn(&mut book, expiring(1), &ops, "2026-03-02T10:00:00Z"), [""; 0]);
    assert_eq!(turn(&mut book, expiring(2), &ops, "2026-03-08T10:00:00Z"), ["firing"]);
    assert_eq!(turn(&mut book, vec![], &ops, "2026-03-09T10:00:00Z"), ["resolved"]);
}

#[test]
fn what_cannot_be_judged_stays_as_it_is() {
    let (mut book, ops) = (Book::default(), target("ops"));
    turn(&mut book, vec![condition(AlertEvent::JobOverdue, "nightly", 0)], &ops, "2026-03-10T10:00:00Z");
    book.see(vec![], |condition| condition.event == AlertEvent::JobOverdue, at("2026-03-10T11:00:00Z"));
    assert!(book.due(&ops, at("2026-03-10T11:00:00Z")).is_empty() && book.standing_as("job_overdue/nightly").is_some());
}

#[test]
fn what_is_never_over_is_told_once_and_forgotten_after_a_month() {
    let (mut book, ops) = (Book::default(), target("ops"));
    let drift = || vec![condition(AlertEvent::SchemaDrift, "answers_v2/mood", 0)];
    assert_eq!(turn(&mut book, drift(), &ops, "2026-03-01T10:00:00Z"), ["firing"]);
    assert_eq!(turn(&mut book, vec![], &ops, "2026-03-02T10:00:00Z"), [""; 0]);
    assert_eq!(turn(&mut book, drift(), &ops, "2026-03-30T10:00:00Z"), [""; 0]);
    assert_eq!(turn(&mut book, vec![], &ops, "2026-05-30T10:00:00Z"), [""; 0]);
    assert_eq!(book, Book::default());
}

#[test]
fn target_hears_only_what_it_wants_and_each_is_told_by_itself() {
    let mut book = Book::default();
    let failed = condition(AlertEvent::JobFailed, "nightly", 0);
    let key = Condition { job: None, ..condition(AlertEvent::KeyRejected, "", 0) };
    book.see(vec![failed, key], |_| false, at("2026-03-10T10:00:00Z"));
    let only_key = AlertConfig { events: vec![AlertEvent::KeyRejected], ..target("phone") };
    let other_job = AlertConfig { jobs: vec!["weekly".into()], ..target("weekly") };
    let now = at("2026-03-10T10:00:00Z");
    let events = |target: &AlertConfig| book.due(target, now).iter().map(Message::event_name).collect::<Vec<_>>();
    assert_eq!(events(&target("ops")), ["job_failed", "key_rejected"]);
    assert_eq!(events(&only_key), ["key_rejected"]);
    assert_eq!(events(&other_job), ["key_rejected"], "what belongs to no job is always told");
    let heartbeat = AlertConfig { kind: Some(AlertKind::Heartbeat), ..target("beat") };
    assert_eq!(events(&heartbeat), [""; 0]);
}

#[test]
fn target_that_is_gone_is_not_waited_for() {
    let (mut book, ops) = (Book::default(), target("ops"));
    turn(&mut book, vec![condition(AlertEvent::JobFailed, "nightly", 0)], &ops, "2026-03-10T10:00:00Z");
    book.see(vec![], |_| false, at("2026-03-11T10:00:00Z"));
    book.keep_targets(&[target("other")]);
    assert_eq!(book, Book::default());
}

#[test]
fn what_was_refused_is_told_again_after_longer_and_longer_and_in_the_end_not_at_all() {
    let (mut book, ops) = (Book::default(), target("ops"));
    let began = at("2026-03-10T10:00:00Z");
    let asked: Vec<i64> = (0..200)
        .filter(|hour| {
            let now = began + SignedDuration::from_hours(*hour);
            book.see(vec![condition(AlertEvent::JobFailed, "nightly", 0)], |_| false, now);
            let due = book.due(&ops, now);
            due.iter().for_each(|message| book.refused("ops", message, now));
            !due.is_empty()
        })
        .collect();
    assert_eq!(asked, [0, 1, 3, 7, 15]);
}

#[test]
fn what_was_refused_and_is_taken_later_is_told_and_resolved_once() {
    let (mut book, ops) = (Book::default(), target("ops"));
    let failed = || vec![condition(AlertEvent::JobFailed, "nightly", 0)];
    book.see(failed(), |_| false, at("2026-03-10T10:00:00Z"));
    let due = book.due(&ops, at("2026-03-10T10:00:00Z"));
    book.refused("ops", &due[0], at("2026-03-10T10:00:00Z"));
    assert_eq!(turn(&mut book, failed(), &ops, "2026-03-10T10:30:00Z"), [""; 0]);
    assert_eq!(turn(&mut book, failed(), &ops, "2026-03-10T11:00:00Z"), ["firing"]);
    assert_eq!(turn(&mut book, failed(), &ops, "2026-03-11T11:00:00Z"), [""; 0]);
    assert_eq!(turn(&mut book, vec![], &ops, "2026-03-12T10:00:00Z"), ["resolved"]);
}

#[test]
fn book_is_the_same_for_a_day_when_nothing_changes() {
    let (mut book, ops) = (Book::default(), target("ops"));
    let failed = || vec![condition(AlertEvent::JobFailed, "nightly", 0)];
    turn(&mut book, failed(), &ops, "2026-03-10T10:00:00Z");
    let before = book.clone();
    turn(&mut book, failed(), &ops, "2026-03-11T09:59:00Z");
    assert_eq!(book, before);
}
