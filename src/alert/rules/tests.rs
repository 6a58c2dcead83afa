use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::alert::ears::Ears;
use crate::alert::message::Message;
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

/// A ledger whose last run of `nightly` began at `began` and ended as `outcome`.
fn ran(began: &str, outcome: Outcome) -> State {
    let end = RunEnd {
        run: Uuid::nil(),
        job: "nightly".into(),
        backfill: false,
        started_at: at(began),
        outcome,
        counters: Counters::default(),
        backfill_remaining: 0,
        problems: Vec::new(),
        hint: None,
    };
    State { number: 5, runs: [RunSummary { ended_at: at(began), number: 5, end }].into(), ..State::default() }
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

/// The keys of what is the matter at `now`.
fn keys(state: Option<&State>, told: &[Event], config: &Config, now: &str) -> Vec<String> {
    conditions(state, told, config, now).iter().map(Condition::key).collect()
}

fn conditions(state: Option<&State>, told: &[Event], config: &Config, now: &str) -> Vec<Condition> {
    let ears = Ears::new(Clock::starting_at(at(now)));
    conditions_of(&ears, &Book::default(), state, told, config, now)
}

/// The same of a process that hears with `ears`, and knows what `book` says.
fn conditions_of(
    ears: &Ears,
    book: &Book,
    state: Option<&State>,
    told: &[Event],
    config: &Config,
    now: &str,
) -> Vec<Condition> {
    told.iter().for_each(|event| ears.events().emit(event));
    let status = state.map(|state| Status::of(state, config, at(now), 1).unwrap());
    Facts {
        status: status.as_ref(),
        heard: &ears.take(),
        destination: "s3://lake",
        destination_problem: state.is_none().then_some("nobody answers"),
        config,
        now: at(now),
        book,
    }
    .conditions()
}

/// Judges `status` after `told` at `now`, takes it into `book` as a turn does, and returns what is due to a target.
fn judged(book: &mut Book, status: &Status, ears: &Ears, now: &str) -> Vec<Message> {
    let (config, heard) = (config(), ears.take());
    let facts = Facts {
        status: Some(status),
        heard: &heard,
        destination: "s3://lake",
        destination_problem: None,
        config: &config,
        now: at(now),
        book,
    };
    let (conditions, unknown) = (facts.conditions(), facts.unknown());
    book.see(conditions, |condition| unknown.contains(&condition.event), at(now));
    let target = AlertConfig { name: "ops".into(), kind: Some(AlertKind::Webhook), ..AlertConfig::default() };
    let due = book.due(&target, at(now));
    due.iter().for_each(|message| book.told("ops", message));
    due
}

fn keys_of(due: &[Message]) -> Vec<String> {
    due.iter().map(|message| format!("{} {}", message.state_name(), message.key)).collect()
}

/// A status in which the account may not read `streams` of `scopes`.
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

fn lose(ears: &Ears, streams: &[String], scopes: &[String]) {
    let catalog = Catalog::embedded().unwrap();
    let known = catalog.get("visibility_v2_by_day").unwrap();
    for (name, scope) in streams.iter().flat_map(|stream| scopes.iter().map(move |scope| (stream, scope))) {
        let stream = Arc::new(Stream { name: name.clone(), ..(**known).clone() });
        let slice = Slice { stream, scope: category(scope), window: None };
        ears.events().emit(&Event::NotEntitled { slice, detail: "no such plan".into(), had_access: true });
    }
}

fn category(name: &str) -> Scope {
    Scope { category: Some(Named { id: name.into(), name: name.into() }), ..Scope::default() }
}

#[test]
fn nothing_is_the_matter_when_the_last_run_was_complete_and_the_next_lies_ahead() {
    let state = ran("2026-03-10T06:30:00Z", Outcome::Complete);
    assert_eq!(keys(Some(&state), &[], &config(), NOW), [""; 0]);
    assert_eq!(keys(Some(&State::default()), &[], &config(), NOW), [""; 0], "nothing ran yet");
}

#[test]
fn last_run_tells_whether_a_job_failed_or_the_key_is_dead_also_after_a_restart() {
    let of = |outcome| keys(Some(&ran("2026-03-10T06:30:00Z", outcome)), &[], &config(), NOW);
    assert_eq!(of(Outcome::Failed), ["job_failed/nightly"]);
    assert_eq!(of(Outcome::Unavailable), ["job_failed/nightly"]);
    assert_eq!(of(Outcome::Incomplete), [""; 0], "the next run continues");
    assert_eq!(of(Outcome::KeyRejected), ["key_rejected"]);
}

#[test]
fn what_this_process_saw_counts_more_than_an_older_record() {
    let state = ran("2026-03-10T06:30:00Z", Outcome::Failed);
    assert_eq!(keys(Some(&state), &[run_ended(Outcome::Complete, false)], &config(), NOW), [""; 0]);
    let state = ran("2026-03-10T06:30:00Z", Outcome::Complete);
    let found = conditions(Some(&state), &[run_ended(Outcome::Failed, false)], &config(), NOW);
    assert_eq!(found[0].what, "nightly: failed: the disk is full");
    assert_eq!(found[0].to_do, "make room");
}

#[test]
fn destination_is_to_blame_once_and_not_the_job_too() {
    let state = ran("2026-03-10T06:30:00Z", Outcome::Complete);
    let told = [run_ended(Outcome::Unavailable, true)];
    assert_eq!(keys(Some(&state), &told, &config(), NOW), ["destination_trouble/s3://lake"]);
    assert_eq!(keys(None, &told, &config(), NOW), ["destination_trouble/s3://lake"]);
    assert_eq!(keys(None, &[], &config(), NOW), ["destination_trouble/s3://lake"], "it cannot be looked at");
}

#[test]
fn run_that_this_process_saw_is_told_in_its_words_though_its_record_began_a_moment_later() {
    let state = ran("2026-03-10T16:00:00.001Z", Outcome::Unavailable);
    let found = conditions(Some(&state), &[run_ended(Outcome::Unavailable, false)], &config(), NOW);
    let [failed] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(failed.what, "nightly: unavailable: the disk is full");
    assert_eq!(failed.to_do, "make room");
    let found = keys(Some(&state), &[run_ended(Outcome::Unavailable, true)], &config(), NOW);
    assert_eq!(found, ["destination_trouble/s3://lake"], "the destination is to blame, and not the job");
}

#[test]
fn job_is_overdue_an_hour_after_a_start_that_nobody_made() {
    let state = ran("2026-03-09T06:30:00Z", Outcome::Complete);
    assert_eq!(keys(Some(&state), &[], &config(), "2026-03-10T07:29:00Z"), [""; 0]);
    assert_eq!(keys(Some(&state), &[], &config(), "2026-03-10T07:31:00Z"), ["job_overdue/nightly"]);
    let mut by_hand = config();
    by_hand.jobs[0].cron = None;
    assert_eq!(keys(Some(&state), &[], &by_hand, "2026-03-20T07:31:00Z"), [""; 0]);
}

#[test]
fn job_that_was_missed_is_overdue_only_when_the_daemon_that_came_back_does_not_begin_it() {
    let state = ran("2026-03-09T06:30:00Z", Outcome::Complete);
    let overdue = |told: &[Event], stands: bool, now: &str| {
        let ears = Ears::new(Clock::starting_at(at("2026-03-10T15:00:00Z")));
        ears.begin_jobs();
        let mut book = Book::default();
        if stands {
            let told = Condition::of(AlertEvent::JobOverdue, "nightly", at("2026-03-10T06:30:00Z"));
            book.see(vec![told], |_| false, at("2026-03-10T08:00:00Z"));
        }
        !conditions_of(&ears, &book, Some(&state), told, &config(), now).is_empty()
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
        let state = ran(&now.replace("T16", "T06"), Outcome::Complete);
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
    let told = [Event::RateLimitStatus(RateLimitStatus { external_requests: 120, ..RateLimitStatus::default() })];
    let state = ran("2026-03-10T06:30:00Z", Outcome::Complete);
    assert_eq!(keys(Some(&state), &told, &config(), NOW), [""; 0]);
    let mut config = config();
    config.alerts.external_requests = 100;
    assert_eq!(keys(Some(&state), &told, &config, NOW), ["key_used_elsewhere"]);
    config.alerts.external_requests = 120;
    assert_eq!(keys(Some(&state), &told, &config, NOW), [""; 0]);
}

#[test]
fn member_that_is_not_known_is_told_as_drift() {
    let drift = Event::SchemaDrift { stream: "answers_v2".into(), field: "mood".into(), example: "\"x\"".into() };
    let state = ran("2026-03-10T06:30:00Z", Outcome::Complete);
    assert_eq!(keys(Some(&state), &[drift], &config(), NOW), ["schema_drift/mood"]);
}

#[test]
fn keys_tell_conditions_apart() {
    let mut seen = BTreeMap::new();
    for event in AlertEvent::ALL {
        assert_eq!(seen.insert(event.name(), event), None);
        assert_eq!(serde_json::to_value(event).unwrap(), event.name());
    }
}

#[test]
fn plan_that_is_lost_is_one_message_and_resolved_by_one() {
    let (streams, scopes) = (named("stream", 50), named("scope", 200));
    let (mut book, ears) = (Book::default(), Ears::new(Clock::starting_at(at(NOW))));
    lose(&ears, &streams, &scopes);
    let due = judged(&mut book, &not_entitled(&streams, &scopes, NOW), &ears, NOW);
    assert_eq!(keys_of(&due), ["firing not_entitled"]);
    assert_eq!(
        due[0].condition.what,
        "the account may not read `stream-000` and 49 other streams of \"scope-000\" and 199 other scopes any more: \
         no such plan"
    );
    // Another process reads the book.
    let mut book: Book = serde_json::from_str(&serde_json::to_string(&book).unwrap()).unwrap();
    let ears = Ears::new(Clock::starting_at(at(NOW)));
    let later = "2026-03-12T16:00:00Z";
    assert_eq!(keys_of(&judged(&mut book, &not_entitled(&streams, &scopes, later), &ears, later)), [""; 0]);
    assert_eq!(keys_of(&judged(&mut book, &not_entitled(&[], &[], later), &ears, later)), ["resolved not_entitled"]);
}

#[test]
fn few_streams_are_told_each_by_itself_and_more_together_without_another_key_for_the_first() {
    let (few, scopes) = (named("a", 2), named("scope", 3));
    let (mut book, ears) = (Book::default(), Ears::new(Clock::starting_at(at(NOW))));
    lose(&ears, &few, &scopes);
    let due = judged(&mut book, &not_entitled(&few, &scopes, NOW), &ears, NOW);
    assert_eq!(keys_of(&due), ["firing not_entitled/a-000", "firing not_entitled/a-001"]);
    let all = [few, named("b", 30)].concat();
    lose(&ears, &all, &scopes);
    let due = judged(&mut book, &not_entitled(&all, &scopes, NOW), &ears, NOW);
    assert_eq!(keys_of(&due), ["firing not_entitled"]);
    let (later, left) = ("2026-03-12T16:00:00Z", named("a", 1));
    let due = judged(&mut book, &not_entitled(&left, &scopes, later), &ears, later);
    assert_eq!(keys_of(&due), ["resolved not_entitled", "resolved not_entitled/a-001"]);
}

#[test]
fn more_that_is_lost_is_told_again_after_a_day_and_once() {
    let (streams, mut scopes) = (named("stream", 1), named("scope", 1));
    let (mut book, ears) = (Book::default(), Ears::new(Clock::starting_at(at(NOW))));
    let mut due_at = |count, now: &str| {
        scopes = named("scope", count);
        lose(&ears, &streams, &scopes);
        keys_of(&judged(&mut book, &not_entitled(&streams, &scopes, now), &ears, now)).len()
    };
    assert_eq!(due_at(1, "2026-03-10T16:00:00Z"), 1);
    assert_eq!(due_at(2, "2026-03-10T17:00:00Z"), 0);
    assert_eq!(due_at(2, "2026-03-11T17:00:00Z"), 1, "what came within the day was not told yet");
    assert_eq!(due_at(2, "2026-03-13T17:00:00Z"), 0);
    assert_eq!(due_at(3, "2026-03-14T17:00:00Z"), 1);
}

#[test]
fn what_the_account_could_never_read_is_no_alert_though_another_scope_was_lost() {
    let (streams, scopes) = (named("stream", 1), named("scope", 5));
    let (mut book, ears) = (Book::default(), Ears::new(Clock::starting_at(at(NOW))));
    lose(&ears, &streams, &scopes[..1]);
    assert_eq!(judged(&mut book, &not_entitled(&streams, &scopes, NOW), &ears, NOW).len(), 1);
    let ears = Ears::new(Clock::starting_at(at(NOW)));
    let due = judged(&mut book, &not_entitled(&streams, &scopes[1..], NOW), &ears, NOW);
    assert_eq!(keys_of(&due), ["resolved not_entitled/stream-000"]);
}

#[test]
fn doubtful_readings_of_a_stream_are_one_message_and_those_of_many_streams_too() {
    let status = |streams: &[String]| {
        let mut status = not_entitled(&[], &[], NOW);
        let suspects = streams.iter().flat_map(|stream| {
            named("scope", 20).into_iter().map(|scope| SuspectDays {
                stream: stream.clone(),
                scope,
                problem: "the totals differ".into(),
                days: Vec::new(),
            })
        });
        status.suspects = suspects.collect();
        status
    };
    let ears = Ears::new(Clock::starting_at(at(NOW)));
    let due = judged(&mut Book::default(), &status(&named("stream", 1)), &ears, NOW);
    assert_eq!(keys_of(&due), ["firing stream_suspect/stream-000"]);
    assert_eq!(due[0].condition.what, "`stream-000`, scope-000: the totals differ and 19 other doubtful readings");
    let due = judged(&mut Book::default(), &status(&named("stream", 40)), &ears, NOW);
    assert_eq!(keys_of(&due), ["firing stream_suspect"]);
    assert_eq!(
        due[0].condition.what,
        "readings of 40 streams could not be proven whole, such as `stream-000`, scope-000: the totals differ"
    );
}

#[test]
fn members_that_are_not_known_are_told_by_name_and_many_of_them_together() {
    let drift = |streams: &[String], members: &[String]| {
        let pairs = streams.iter().flat_map(|stream| members.iter().map(move |member| (stream, member)));
        pairs
            .map(|(stream, member)| Event::SchemaDrift {
                stream: stream.clone(),
                field: member.clone(),
                example: "1".into(),
            })
            .collect::<Vec<_>>()
    };
    let mut book = Book::default();
    let mut told = |events: &[Event], now: &str| {
        let ears = Ears::new(Clock::starting_at(at(now)));
        events.iter().for_each(|event| ears.events().emit(event));
        keys_of(&judged(&mut book, &not_entitled(&[], &[], now), &ears, now))
    };
    assert_eq!(told(&drift(&named("s", 30), &named("m", 1)), NOW), ["firing schema_drift/m-000"]);
    assert_eq!(told(&drift(&named("s", 30), &named("m", 30)), NOW), ["firing schema_drift"]);
    assert_eq!(told(&[], "2026-03-12T16:00:00Z"), [""; 0], "nothing was read since");
    assert_eq!(told(&drift(&named("s", 2), &named("m", 9)), "2026-03-13T16:00:00Z"), [""; 0]);
}

#[test]
fn what_a_run_finds_is_told_when_it_has_ended() {
    let (streams, scopes) = (named("stream", 1), named("scope", 1));
    let (mut book, ears) = (Book::default(), Ears::new(Clock::starting_at(at(NOW))));
    let run = Uuid::nil();
    ears.events().emit(&Event::RunStarted { run, job: "nightly".into() });
    lose(&ears, &streams, &scopes);
    let status = not_entitled(&streams, &scopes, NOW);
    assert_eq!(keys_of(&judged(&mut book, &status, &ears, NOW)), [""; 0]);
    ears.events().emit(&run_ended(Outcome::Complete, false));
    // The next has begun already when somebody looks.
    ears.events().emit(&Event::RunStarted { run: Uuid::max(), job: "nightly".into() });
    assert_eq!(keys_of(&judged(&mut book, &status, &ears, NOW)), ["firing not_entitled/stream-000"]);
    assert_eq!(keys_of(&judged(&mut book, &not_entitled(&[], &[], NOW), &ears, NOW)), [""; 0], "nor is its end");
}

#[test]
fn job_is_not_overdue_while_it_runs_or_waits_for_a_run_or_a_daemon_makes_up_for_it() {
    let overdue = |state: &State, ears: &Ears, now: &str| {
        let status = Status::of(state, &config(), at(now), 1).unwrap();
        judged(&mut Book::default(), &status, ears, now).iter().any(|due| due.event_name() == "job_overdue")
    };
    let (state, now) = (ran("2026-03-09T06:30:00Z", Outcome::Complete), "2026-03-10T16:00:00Z");
    let silent = || Ears::new(Clock::starting_at(at(now)));
    assert!(overdue(&state, &silent(), now));
    let busy = silent();
    busy.events().emit(&Event::RunStarted { run: Uuid::nil(), job: "weekly".into() });
    assert!(!overdue(&state, &busy, now), "jobs run one after the other");
    let daemon = silent();
    daemon.begin_jobs();
    assert!(!overdue(&state, &daemon, now), "it has just begun");
    assert!(!overdue(&state, &daemon, "2026-03-10T16:59:00Z"));
    assert!(overdue(&state, &daemon, "2026-03-10T17:01:00Z"));
    // What was told before the daemon came back is not over before it made up for it.
    let mut book = Book::default();
    let status = Status::of(&state, &config(), at(now), 1).unwrap();
    assert_eq!(keys_of(&judged(&mut book, &status, &silent(), now)), ["firing job_overdue/nightly"]);
    assert_eq!(keys_of(&judged(&mut book, &status, &daemon, now)), [""; 0]);
    let made_up = Status::of(&ran("2026-03-10T16:05:00Z", Outcome::Complete), &config(), at(now), 1).unwrap();
    assert_eq!(keys_of(&judged(&mut book, &made_up, &daemon, now)), ["resolved job_overdue/nightly"]);
    // The run of another process, alive, since yesterday.
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
fn rejected_key_stands_until_a_run_used_another_one() {
    let mut state = ran("2026-03-10T06:30:00Z", Outcome::KeyRejected);
    assert_eq!(
        keys(Some(&state), &[run_ended(Outcome::ConfigMismatch, false)], &config(), NOW),
        ["key_rejected", "job_failed/nightly"]
    );
    state.runs.push_back(ran("2026-03-10T07:30:00Z", Outcome::Complete).runs.remove(0).unwrap());
    assert_eq!(keys(Some(&state), &[], &config(), NOW), [""; 0]);
}

#[test]
fn words_of_what_lasts_do_not_change_with_each_look() {
    let mut config = config();
    config.alerts.external_requests = 100;
    let what = |foreign| {
        let told =
            [Event::RateLimitStatus(RateLimitStatus { external_requests: foreign, ..RateLimitStatus::default() })];
        conditions(Some(&ran("2026-03-10T06:30:00Z", Outcome::Complete)), &told, &config, NOW).remove(0).what
    };
    assert_eq!(what(130), "others sent at least 100 requests with the same key within an hour");
    assert_eq!(what(150), what(130));
    assert_eq!(what(450), "others sent at least 400 requests with the same key within an hour");
}

#[test]
fn what_runs_of_this_process_saw_is_told_though_the_lake_cannot_be_looked_at() {
    let of = |outcome| keys(None, &[run_ended(outcome, false)], &config(), NOW);
    assert_eq!(of(Outcome::KeyRejected), ["key_rejected", "destination_trouble/s3://lake"]);
    assert_eq!(of(Outcome::Failed), ["destination_trouble/s3://lake", "job_failed/nightly"]);
    let ears = Ears::new(Clock::starting_at(at(NOW)));
    ears.events().emit(&run_ended(Outcome::Unavailable, true));
    let (config, heard, book) = (config(), ears.take(), Book::default());
    // A lake that did not answer in time.
    let (status, destination, destination_problem, now) = (None, "s3://lake", None, at(NOW));
    let slow = Facts { status, heard: &heard, destination, destination_problem, config: &config, now, book: &book };
    assert_eq!(slow.conditions().iter().map(Condition::key).collect::<Vec<_>>(), ["destination_trouble/s3://lake"]);
    let nothing = Heard::default();
    let silent = Facts { heard: &nothing, ..slow };
    assert!(silent.conditions().is_empty() && silent.unknown().contains(&AlertEvent::DestinationTrouble));
}
