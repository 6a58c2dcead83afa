//! Is everything there, and if not, what is done about it.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::catalog::Catalog;
use crate::error_text::as_sentence;
use crate::ledger::{RunSummary, State};
use crate::model::day::Day;
use crate::model::outcome::Outcome;
use crate::status::exceptions::SuspectDays;
use crate::status::jobs::JobStatus;
use crate::status::streams::StreamStatus;

/// What is to be done where a record does not say it.
const NEW_KEY: &str =
    "Make a new key under Settings → API Keys and put it where the old one stands; the next start goes on.";

/// Is everything there, and if not, why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Headline {
    /// Whether nothing is exported yet.
    pub is_new: bool,
    /// Jobs whose last run did not end well, with how it ended.
    pub bad_runs: Vec<(String, String)>,
    /// What went wrong in the first of these.
    pub problem: Option<BadRun>,
    /// Streams that lack a day which a job wants, for a scope that may be read.
    pub streams_lacking_days: u64,
    /// The first day that any of them lacks.
    pub lacking_since: Option<Day>,
    /// Doubtful readings.
    pub suspects: u64,
    /// How much of what lies before the first readings is there; none where nothing does.
    pub history: Option<HistoryStatus>,
}

/// A run that did not end well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadRun {
    /// Its job.
    pub job: String,
    /// When it ended.
    pub at: Timestamp,
    /// Whether the API rejected the key.
    pub key_rejected: bool,
    /// What went wrong first, where the ledger says so.
    pub what: Option<String>,
    /// What mends that.
    pub hint: Option<String>,
}

/// How much of history is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryStatus {
    /// The first day wanted.
    pub from: Day,
    /// Whole percent of all days wanted that are there.
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
        let last = |job: &JobStatus| Some((job.name.clone(), job.last_run.clone()?));
        let is_bad = |(_, run): &(String, RunSummary)| run.end.outcome.is_failure();
        let bad: Vec<(String, RunSummary)> = jobs.iter().filter_map(last).filter(is_bad).collect();
        let lacking = || streams.iter().filter(|stream| stream.lacks_days);
        Self {
            is_new: state.number == 0,
            problem: bad.first().map(|(job, run)| BadRun::of(job, run)),
            bad_runs: bad.into_iter().map(|(job, run)| (job, run.end.outcome.label())).collect(),
            streams_lacking_days: lacking().count() as u64,
            lacking_since: lacking().filter_map(|stream| stream.missing_since).min(),
            suspects: suspects.len() as u64,
            history: history(state, catalog, starts, now),
        }
    }

    /// Whether everything that was due is there.
    pub fn is_fresh(&self) -> bool {
        !self.is_new && self.bad_runs.is_empty() && self.streams_lacking_days == 0 && self.suspects == 0
    }

    /// What is not as it should be, in words.
    fn troubles(&self) -> Vec<String> {
        let mut parts = Vec::new();
        if let Some((job, outcome)) = self.bad_runs.first() {
            parts.push(format!("the last run of `{job}` ended {outcome}"));
        }
        let since = self.lacking_since.map(|day| format!(" since {}", day.short())).unwrap_or_default();
        match self.streams_lacking_days {
            0 => {}
            1 => parts.push(format!("1 stream lacks days{since}")),
            lacking => parts.push(format!("{lacking} streams lack days{since}")),
        }
        match self.suspects {
            0 => {}
            1 => parts.push("1 reading is suspect".to_owned()),
            suspects => parts.push(format!("{suspects} readings are suspect")),
        }
        parts
    }
}

impl Headline {
    /// What stands, in one sentence.
    pub fn sentence(&self) -> String {
        match &self.problem {
            _ if self.is_new => "Nothing is exported yet.".to_owned(),
            Some(run) if run.key_rejected => {
                format!("The API rejected the key in the last run of `{}`, and nothing more is exported.", run.job)
            }
            _ if self.is_fresh() => "Everything that was due is there.".to_owned(),
            _ => format!("Not everything is there: {}.", self.troubles().join(", ")),
        }
    }

    /// What is done about it, or is to be done.
    pub fn next_step(&self) -> Option<String> {
        match &self.problem {
            _ if self.is_new => Some("`profound-export run` begins.".to_owned()),
            _ if self.is_fresh() => None,
            Some(BadRun { key_rejected: true, hint, .. }) => {
                Some(hint.as_deref().map_or_else(|| NEW_KEY.to_owned(), as_sentence))
            }
            Some(BadRun { what: Some(what), hint: Some(hint), .. }) => Some(as_sentence(&format!("{what}: {hint}"))),
            Some(BadRun { what: Some(what), .. }) => Some(format!("{} The next run tries again.", as_sentence(what))),
            _ => Some("The next run asks for what is missing.".to_owned()),
        }
    }

    /// How much of history is there, in one sentence.
    pub fn history_words(&self) -> Option<String> {
        let HistoryStatus { from, percent } = self.history.as_ref()?;
        Some(format!("History from {from} on is {percent} % there; runs go on with it as far as their requests reach."))
    }
}

impl fmt::Display for Headline {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let history = self.history_words().filter(|_| !self.is_new);
        let sentences = [Some(self.sentence()), self.next_step(), history];
        out.write_str(&sentences.into_iter().flatten().collect::<Vec<_>>().join(" "))
    }
}

impl BadRun {
    fn of(job: &str, run: &RunSummary) -> Self {
        Self {
            job: job.to_owned(),
            at: run.ended_at,
            key_rejected: run.end.outcome == Outcome::KeyRejected,
            what: run.end.problems.first().cloned(),
            hint: run.end.hint.clone(),
        }
    }
}

fn history(state: &State, catalog: &Catalog, starts: &BTreeMap<String, Day>, now: Timestamp) -> Option<HistoryStatus> {
    let from = *starts.values().min()?;
    let (mut wanted, mut missing) = (0_u64, 0_u64);
    for (name, scopes) in &state.coverage {
        let dated = catalog.get(name).and_then(|stream| stream.days.as_ref()).filter(|days| !days.kind.is_single());
        let (Some(days), Some(start)) = (dated, starts.get(name)) else {
            continue;
        };
        let complete: Vec<Day> = days.complete(*start, now).collect();
        for scope in scopes.values().filter(|scope| scope.not_entitled.is_none()) {
            let Some(first) = scope.history_ends() else {
                continue;
            };
            let before = &complete[..complete.partition_point(|day| *day < first)];
            let is_forgotten = |day: &&Day| state.forgotten.covers(name, &scope.scope, Some(**day));
            let is_read = |day: &&Day| scope.days.get(day).is_some_and(|state| state.read_at.is_some());
            let forgotten = before.iter().filter(is_forgotten).count();
            wanted += (complete.len() - forgotten) as u64;
            missing += before.iter().filter(|day| !is_forgotten(day) && !is_read(day)).count() as u64;
        }
    }
    let percent = 100 * (wanted - missing) / wanted.max(1);
    (0 < missing).then_some(HistoryStatus { from, percent })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headline_says_what_is_wrong_and_what_to_do() {
        let run = |key_rejected, what: &str, hint: Option<&str>| BadRun {
            job: "nightly".into(),
            at: Timestamp::UNIX_EPOCH,
            key_rejected,
            what: Some(what.into()),
            hint: hint.map(str::to_owned),
        };
        let ended = |outcome: &str, run: BadRun| Headline {
            bad_runs: vec![("nightly".into(), outcome.into())],
            problem: Some(run),
            ..Headline::default()
        };
        let history = HistoryStatus { from: "2026-01-01".parse().unwrap(), percent: 40 };
        let lacking = Headline {
            streams_lacking_days: 3,
            lacking_since: Some("2026-11-24".parse().unwrap()),
            suspects: 1,
            history: Some(history),
            ..Headline::default()
        };
        let all = [
            Headline::default(),
            Headline { is_new: true, ..Headline::default() },
            lacking,
            ended("unavailable", run(false, "no space is left on `/data`", Some("make room there"))),
            ended("failed", run(false, "answers_v2 of \"Acme\": a value does not fit", None)),
            ended("key rejected", run(true, "the API rejected the key (HTTP 401)", Some("make a new key"))),
        ];
        insta::assert_snapshot!(all.map(|headline| headline.to_string()).join("\n"));
    }
}
