//! Is everything due exported, and if not, what happens next.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::catalog::Catalog;
use crate::error_text::as_sentence;
use crate::ledger::{RunSummary, State};
use crate::model::coverage::ScopeCoverage;
use crate::model::day::Day;
use crate::model::format::format_count;
use crate::model::outcome::Outcome;
use crate::plan::{Reason, owed_days};
use crate::status::exceptions::SuspectDays;
use crate::status::jobs::JobStatus;
use crate::status::streams::StreamStatus;

/// The next step for a rejected key if the run's record has no hint.
const NEW_KEY: &str = "Create a new key under Settings → API Keys and replace the rejected one; the next run resumes.";

/// Is everything due exported, and if not, why not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Headline {
    /// Nothing was ever published.
    pub is_new: bool,
    /// Jobs that started once or more and whose runs never ended: what they lack is not known.
    pub unfinished_jobs: Vec<String>,
    /// Jobs whose last run failed, with its outcome.
    pub failed_runs: Vec<(String, Outcome)>,
    /// Jobs whose last run left slices to the next one, and how many; zero if it ended before it had a plan. Backfill does not count.
    pub deferred_runs: Vec<(String, u64)>,
    /// The first of the failed runs.
    pub problem: Option<FailedRun>,
    /// Streams with a missing day that a job wants, for a scope that the account may read.
    pub streams_missing_days: u64,
    /// The first missing day of all streams.
    pub missing_since: Option<Day>,
    /// Streams with suspect data.
    pub suspects: u64,
    /// `None` if no day before the regular window is missing.
    pub backfill: Option<BackfillProgress>,
}

/// A run with an outcome that needs attention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedRun {
    pub job: String,
    pub at: Timestamp,
    pub key_rejected: bool,
    /// The first problem of the run, if the ledger has one.
    pub problem: Option<String>,
    pub hint: Option<String>,
}

/// How far the automatic backfill is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackfillProgress {
    /// The first wanted day.
    pub from: Day,
    /// Exported share of all wanted days, in whole percent.
    pub percent: u64,
}

impl Headline {
    pub(super) fn of(
        state: &State,
        catalog: &Catalog,
        starts: &BTreeMap<String, Day>,
        jobs: &[JobStatus],
        streams: &[StreamStatus],
        suspects: &[SuspectDays],
        now: Timestamp,
    ) -> Self {
        let failed: Vec<(&JobStatus, &RunSummary)> = jobs
            .iter()
            .filter_map(|job| Some((job, job.last_run.as_ref()?)))
            .filter(|(_, run)| run.end.outcome.is_failure())
            .collect();
        let incomplete = || streams.iter().filter(|stream| stream.has_missing_days);
        Self {
            is_new: !state.coverage.values().flat_map(BTreeMap::values).any(is_published),
            unfinished_jobs: jobs
                .iter()
                .filter(|job| job.last_run.is_none() && job.last_start.is_some())
                .map(|job| job.name.clone())
                .collect(),
            problem: failed.first().map(|(job, run)| FailedRun::new(&job.name, run)),
            failed_runs: failed.iter().map(|(job, run)| (job.name.clone(), run.end.outcome)).collect(),
            deferred_runs: jobs.iter().filter_map(|job| Some((job.name.clone(), job.deferred?))).collect(),
            streams_missing_days: incomplete().count() as u64,
            missing_since: incomplete().filter_map(|stream| stream.missing_since).min(),
            suspects: suspects.chunk_by(|one, next| one.stream == next.stream).count() as u64,
            backfill: backfill(state, catalog, starts, now),
        }
    }

    /// Whether everything due is exported.
    pub fn is_fresh(&self) -> bool {
        !self.is_new && self.problems().is_empty()
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some((job, outcome)) = self.failed_runs.first() {
            problems.push(format!("the last run of `{job}` {}", outcome.verb()));
        }
        if let Some(job) = self.unfinished_jobs.first() {
            problems.push(format!("the first run of `{job}` has not finished"));
        }
        if let Some((job, slices)) = self.deferred_runs.first() {
            let deferred = match slices {
                0 => "ended before it had a plan".to_owned(),
                slices => format!("deferred {}", format_count(*slices, "slice")),
            };
            problems.push(format!("the last run of `{job}` {deferred}"));
        }
        if self.streams_missing_days > 0 {
            let since = self.missing_since.map(|day| format!(" since {}", day.short())).unwrap_or_default();
            problems.push(format!("{} with missing days{since}", format_count(self.streams_missing_days, "stream")));
        }
        if self.suspects > 0 {
            problems.push(format!("{} with suspect data", format_count(self.suspects, "stream")));
        }
        problems
    }

    /// The status in one sentence.
    pub fn sentence(&self) -> String {
        match &self.problem {
            Some(run) if run.key_rejected => {
                format!("The API rejected the key in the last run of `{}`; exports are stopped.", run.job)
            }
            _ if self.is_fresh() => "Everything due is exported.".to_owned(),
            None if self.is_new => "Nothing is exported yet.".to_owned(),
            Some(_) if self.is_new => format!("Nothing is exported yet: {}.", self.problems().join(", ")),
            _ => format!("Not everything is exported: {}.", self.problems().join(", ")),
        }
    }

    /// What a person, or the next run, does about it.
    pub fn next_step(&self) -> Option<String> {
        match &self.problem {
            _ if self.is_fresh() => None,
            None if self.is_new && self.unfinished_jobs.is_empty() => {
                Some("Start with `profound-export run`.".to_owned())
            }
            Some(FailedRun { key_rejected: true, hint, .. }) => {
                Some(hint.as_deref().map_or_else(|| NEW_KEY.to_owned(), as_sentence))
            }
            Some(FailedRun { problem: Some(problem), hint: Some(hint), .. }) => {
                Some(as_sentence(&format!("{problem}: {hint}")))
            }
            Some(FailedRun { problem: Some(problem), .. }) => {
                Some(format!("{} The next run retries.", as_sentence(problem)))
            }
            _ => Some("The next run extracts what is missing.".to_owned()),
        }
    }

    pub fn backfill_sentence(&self) -> Option<String> {
        let BackfillProgress { from, percent } = self.backfill.as_ref()?;
        Some(format!("Backfill from {from} is {percent} % complete; each run continues it with spare requests."))
    }
}

impl fmt::Display for Headline {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backfill = self.backfill_sentence().filter(|_| !self.is_new);
        let sentences = [Some(self.sentence()), self.next_step(), backfill];
        out.write_str(&sentences.into_iter().flatten().collect::<Vec<_>>().join(" "))
    }
}

fn is_published(scope: &ScopeCoverage) -> bool {
    scope.states().any(|(_, state)| state.extracted_at.is_some())
}

impl FailedRun {
    fn new(job: &str, run: &RunSummary) -> Self {
        Self {
            job: job.to_owned(),
            at: run.ended_at,
            key_rejected: run.end.outcome == Outcome::KeyRejected,
            problem: run.end.problems.first().cloned(),
            hint: run.end.hint.clone(),
        }
    }
}

/// Counts the days before the regular window.
fn backfill(
    state: &State,
    catalog: &Catalog,
    starts: &BTreeMap<String, Day>,
    now: Timestamp,
) -> Option<BackfillProgress> {
    let from = *starts.values().min()?;
    let (mut wanted, mut missing) = (0_u64, 0_u64);
    for (name, scopes) in &state.coverage {
        let days = catalog.get(name).and_then(|stream| stream.days.as_ref());
        let (Some(days), Some(start)) = (days, starts.get(name)) else {
            continue;
        };
        for scope in scopes.values().filter(|scope| scope.not_entitled.is_none()) {
            let is_forgotten = |day: &Day| state.forgotten.covers(name, &scope.scope, Some(*day));
            wanted += days.complete(*start, now).filter(|day| !is_forgotten(day)).count() as u64;
            let of_backfill = owed_days(scope, days, *start, now).filter(|(_, reason)| *reason == Reason::Backfill);
            missing += of_backfill.filter(|(day, _)| !is_forgotten(day)).count() as u64;
        }
    }
    let percent = 100 * (wanted - missing) / wanted.max(1);
    (missing > 0).then_some(BackfillProgress { from, percent })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headline_names_the_problem_and_its_remedy() {
        let run = |key_rejected, problem: &str, hint: Option<&str>| FailedRun {
            job: "nightly".into(),
            at: Timestamp::UNIX_EPOCH,
            key_rejected,
            problem: Some(problem.into()),
            hint: hint.map(str::to_owned),
        };
        let ended = |outcome: Outcome, run: FailedRun| Headline {
            failed_runs: vec![("nightly".into(), outcome)],
            problem: Some(run),
            ..Headline::default()
        };
        let backfill = BackfillProgress { from: "2026-01-01".parse().unwrap(), percent: 40 };
        let missing_days = Headline {
            streams_missing_days: 3,
            missing_since: Some("2026-11-24".parse().unwrap()),
            suspects: 1,
            backfill: Some(backfill),
            ..Headline::default()
        };
        let all = [
            Headline::default(),
            Headline { is_new: true, ..Headline::default() },
            Headline { is_new: true, ..ended(Outcome::Failed, run(false, "the list of categories is empty", None)) },
            Headline { unfinished_jobs: vec!["nightly".into()], ..Headline::default() },
            Headline { deferred_runs: vec![("nightly".into(), 9)], ..Headline::default() },
            Headline { deferred_runs: vec![("nightly".into(), 0)], ..Headline::default() },
            missing_days,
            ended(Outcome::Unavailable, run(false, "no space is left on `/data`", Some("make room there"))),
            ended(Outcome::Failed, run(false, "answers_v2 of \"Acme\": a value does not fit", None)),
            ended(Outcome::KeyRejected, run(true, "the API rejected the key (HTTP 401)", Some("make a new key"))),
        ];
        insta::assert_snapshot!(all.map(|headline| headline.to_string()).join("\n"));
    }

    #[test]
    fn everything_is_exported_only_if_a_run_has_ended() {
        use crate::ledger::{OpenRun, PlannedSlices};
        use crate::model::coverage::DayState;
        use crate::status::Status;

        let now: Timestamp = "2026-03-10T16:00:00Z".parse().unwrap();
        let mut config = crate::config::load(&crate::config::Sources::default()).unwrap();
        config.jobs.push(crate::config::JobConfig { name: "nightly".into(), ..Default::default() });
        let open = |at: &str| OpenRun {
            at: at.parse().unwrap(),
            number: 2,
            last_record_at: None,
            backfill: false,
            job: "nightly".into(),
            planned: PlannedSlices::default(),
        };
        let mut state = State { number: 9, ..State::default() };
        state.open_runs.insert(uuid::Uuid::nil(), open("2026-03-10T15:59:00Z"));
        let sentence = |state: &State| Status::of(state, &config, now, 30).unwrap().headline.sentence();
        assert_eq!(sentence(&state), "Nothing is exported yet.", "records alone are no data");
        let mut list = ScopeCoverage::new(crate::model::scope::Scope::default());
        list.whole = Some(DayState { extracted_at: Some(now.into()), rows: 5, ..DayState::unknown() });
        state.coverage.insert("regions".into(), BTreeMap::from([(list.scope.key(), list)]));
        assert_eq!(sentence(&state), "Not everything is exported: the first run of `nightly` has not finished.");
        let killed_since = |state: &State| Status::of(state, &config, now, 30).unwrap().jobs[0].killed_since;
        assert_eq!(killed_since(&state), None, "it may still run");
        state.open_runs.insert(uuid::Uuid::nil(), open("2026-03-10T15:00:00Z"));
        assert_eq!(killed_since(&state), Some("2026-03-10T15:00:00Z".parse().unwrap()));
    }
}
