//! Is everything there, and if not, what is done about it.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::catalog::Catalog;
use crate::ledger::State;
use crate::model::day::Day;
use crate::status::jobs::JobStatus;
use crate::status::streams::StreamStatus;
use crate::status::troubles::SuspectDays;

/// Is everything there, and if not, why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Headline {
    /// Whether nothing is exported yet.
    pub is_new: bool,
    /// Jobs whose last run did not end well, with how it ended.
    pub bad_runs: Vec<(String, String)>,
    /// Streams that lack a day which a job wants, for a scope that may be read.
    pub streams_lacking_days: u64,
    /// Doubtful readings.
    pub suspects: u64,
    /// How much of what lies before the first readings is there; none where nothing does.
    pub history: Option<HistoryStatus>,
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
        let bad = |job: &JobStatus| {
            let outcome = &job.last_run.as_ref()?.end.outcome;
            let is_bad = !matches!(outcome.as_str(), "complete" | "incomplete");
            is_bad.then(|| (job.name.clone(), outcome.replace('_', " ")))
        };
        Self {
            is_new: state.number == 0,
            bad_runs: jobs.iter().filter_map(bad).collect(),
            streams_lacking_days: streams.iter().filter(|stream| stream.lacks_days).count() as u64,
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
        match self.streams_lacking_days {
            0 => {}
            1 => parts.push("1 stream lacks days".to_owned()),
            lacking => parts.push(format!("{lacking} streams lack days")),
        }
        match self.suspects {
            0 => {}
            1 => parts.push("1 reading is suspect".to_owned()),
            suspects => parts.push(format!("{suspects} readings are suspect")),
        }
        parts
    }
}

impl fmt::Display for Headline {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_new {
            return out.write_str("Nothing is exported yet: `profound-export run` begins.");
        }
        match self.is_fresh() {
            true => out.write_str("Everything that was due is there.")?,
            false => write!(
                out,
                "Not everything is there: {}. The next run asks for what is missing.",
                self.troubles().join(", ")
            )?,
        }
        match &self.history {
            None => Ok(()),
            Some(HistoryStatus { from, percent }) => write!(
                out,
                " History from {from} on is {percent} % there; runs go on with it as far as their requests reach."
            ),
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
