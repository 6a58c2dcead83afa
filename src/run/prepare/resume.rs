//! Other runs on the same lake: those in progress, and the one that this run resumes.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::ledger::State;
use crate::model::compact_timestamp::CompactTimestamp;
use crate::model::day::DayZone;

/// A run resumes one that was cut short this recently, and does not extract what that run has extracted.
const RESUMES_WITHIN: SignedDuration = SignedDuration::from_hours(12);

/// Runs of other processes in progress on the same lake, as far as its records say: the job, and since when.
pub fn alive_runs(state: &State, at: Timestamp) -> impl Iterator<Item = (&str, Timestamp)> {
    state.open_runs.values().filter(move |open| open.is_alive(at)).map(|open| (open.job.as_str(), open.at))
}

/// Whether a run that started before `own` is in progress on the same lake, as far as its records say.
pub fn has_concurrent_run(state: &State, own: Uuid, at: Timestamp) -> bool {
    let is_earlier = |number: u64| state.open_runs.get(&own).is_none_or(|own| number < own.number);
    state.open_runs.values().any(|open| is_earlier(open.number) && open.is_alive(at) && !open.planned.is_empty())
}

/// When the run started that a run of `job` at `at` resumes: the first of the runs in an unbroken chain that were cut short or
/// killed in the last twelve hours. Days extracted before the present Eastern day are extracted once more: they may have
/// been restated since, and one more day is over.
pub fn resume_point(state: &State, job: &str, at: Timestamp) -> Option<CompactTimestamp> {
    let is_recent = |started: &Timestamp| at.duration_since(*started).abs() < RESUMES_WITHIN;
    let of_job = || state.runs.iter().rev().filter(|run| run.end.job == job && !run.end.backfill);
    let cut_short = of_job().take_while(|run| run.end.is_cut_short()).map(|run| run.end.started_at);
    // Records are numbered, so that the order of runs does not depend on the clocks of two machines.
    let last_whole = of_job().find(|run| !run.end.is_cut_short()).map_or(0, |run| run.number);
    let killed = state.open_runs.values().filter(|run| run.job == job && !run.backfill && run.number > last_whole);
    let started = cut_short.chain(killed.map(|run| run.at)).filter(is_recent).min()?;
    let today = DayZone::Eastern.start_of(DayZone::Eastern.today(at));
    Some(started.max(today).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{OpenRun, RunEnd, RunSummary};
    use crate::model::counters::Counters;
    use crate::model::outcome::Outcome;

    const RUN: Uuid = Uuid::nil();

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The record `number` of a run of `nightly`.
    fn ended(number: u64, started_at: &str, outcome: Outcome, backfill: bool) -> RunSummary {
        let end = RunEnd {
            run: RUN,
            job: "nightly".into(),
            backfill,
            started_at: at(started_at),
            outcome,
            counters: Counters { deferred: u64::from(outcome == Outcome::Incomplete), ..Counters::default() },
            backfill_remaining: 0,
            waited_seconds: 0,
            failed_streams: [].into(),
            problems: Vec::new(),
            hint: None,
        };
        RunSummary { ended_at: at(started_at) + SignedDuration::from_mins(30), first_number: None, number, end }
    }

    fn open_run(number: u64, started: &str, last_record: &str) -> OpenRun {
        let planned = [crate::ledger::Planned {
            stream: "models".into(),
            scope: crate::model::scope::ScopeKey::default(),
            window: None,
        }];
        let planned = planned.iter().collect();
        let (at, last_record_at) = (at(started), Some(at(last_record)));
        OpenRun { at, number, last_record_at, backfill: false, job: "nightly".into(), planned }
    }

    fn since(state: &State, now: &str) -> Option<String> {
        resume_point(state, "nightly", at(now)).map(|moment| moment.to_timestamp().to_string())
    }

    #[test]
    fn run_resumes_the_chain_of_runs_that_were_cut_short() {
        let mut state = State::default();
        state.runs.push_back(ended(1, "2026-03-10T08:00:00Z", Outcome::Complete, false));
        assert_eq!(since(&state, "2026-03-10T16:00:00Z"), None);
        state.runs.push_back(ended(2, "2026-03-10T10:00:00Z", Outcome::Incomplete, false));
        state.runs.push_back(ended(3, "2026-03-10T12:00:00Z", Outcome::Incomplete, false));
        assert_eq!(since(&state, "2026-03-10T16:00:00Z").as_deref(), Some("2026-03-10T10:00:00Z"));
        assert_eq!(
            since(&state, "2026-03-10T23:00:00Z").as_deref(),
            Some("2026-03-10T12:00:00Z"),
            "twelve hours at most"
        );
    }

    #[test]
    fn days_extracted_on_another_day_are_extracted_once_more() {
        let mut state = State::default();
        state.runs.push_back(ended(1, "2026-03-11T02:00:00Z", Outcome::Incomplete, false));
        // Midnight in New York is 04:00 UTC in summer time.
        assert_eq!(since(&state, "2026-03-11T03:30:00Z").as_deref(), Some("2026-03-11T02:00:00Z"));
        assert_eq!(since(&state, "2026-03-11T06:00:00Z").as_deref(), Some("2026-03-11T04:00:00Z"));
    }

    #[test]
    fn backfill_is_not_resumed_and_breaks_no_chain() {
        let mut state = State::default();
        state.runs.push_back(ended(1, "2026-03-10T10:00:00Z", Outcome::Incomplete, false));
        state.runs.push_back(ended(2, "2026-03-10T11:00:00Z", Outcome::Complete, true));
        assert_eq!(since(&state, "2026-03-10T16:00:00Z").as_deref(), Some("2026-03-10T10:00:00Z"));
        state.runs.push_back(ended(3, "2026-03-10T12:00:00Z", Outcome::Complete, false));
        state.runs.push_back(ended(4, "2026-03-10T13:00:00Z", Outcome::Incomplete, true));
        assert_eq!(since(&state, "2026-03-10T16:00:00Z"), None);
    }

    #[test]
    fn killed_run_is_resumed_unless_a_later_record_completes_it() {
        let mut state = State::default();
        state.open_runs.insert(RUN, open_run(5, "2026-03-10T10:00:00Z", "2026-03-10T10:05:00Z"));
        assert_eq!(since(&state, "2026-03-10T16:00:00Z").as_deref(), Some("2026-03-10T10:00:00Z"));
        // Its clock was an hour behind.
        state.runs.push_back(ended(6, "2026-03-10T09:10:00Z", Outcome::Complete, false));
        assert_eq!(since(&state, "2026-03-10T16:00:00Z"), None);
    }

    #[test]
    fn run_is_concurrent_with_an_earlier_one_that_is_alive() {
        let mut state = State::default();
        state.open_runs.insert(RUN, open_run(5, "2026-03-10T10:00:00Z", "2026-03-10T10:05:00Z"));
        let (own, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        state.open_runs.insert(own, open_run(7, "2026-03-10T10:06:00Z", "2026-03-10T10:06:00Z"));
        assert!(has_concurrent_run(&state, own, at("2026-03-10T10:06:00Z")));
        assert!(!has_concurrent_run(&state, own, at("2026-03-10T10:20:00Z")), "it was killed");
        assert!(!has_concurrent_run(&state, RUN, at("2026-03-10T10:06:00Z")), "the first of two is not concurrent");
        assert!(has_concurrent_run(&state, other, at("2026-03-10T10:06:00Z")));
    }
}
