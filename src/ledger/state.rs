//! The state of a ledger: a pure fold of its records, so the same records give the same state in every process.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ledger::fact::Facts;
use crate::ledger::open_run::{OpenRun, PlannedSlices};
use crate::ledger::record::{DayEntry, Entry, FileChange, Record, RunEnd, SliceEntry};
use crate::ledger::table::TableMeaning;
use crate::model::compact_timestamp::CompactTimestamp;
use crate::model::coverage::{Coverage, NotEntitled, ScopeCoverage, Suspect};
use crate::model::day::{Day, DayZone};
use crate::model::forgotten::{Erasure, Forgotten};
use crate::model::scope::{Scope, ScopeKey};
use crate::model::window::Window;

/// The clocks of two machines may differ by this much without a doubt about what either recorded.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_hours(1);
/// Days before the present that the API may restate, with room: older ones are final whatever the clock says.
const RESTATED_DAYS: i64 = 70;
/// Runs kept for `status` and the page, with their problems.
const REMEMBERED_RUNS: usize = 50;
/// Earlier runs of each job, and backfills of each job, that are kept without problems: what the trend of a job shows.
const TREND_RUNS: usize = 30;
/// Bounds the checkpoint of a lake with very many jobs.
const MAX_RUNS: usize = 600;

/// The state after records 1 to `number`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Zero before the first record.
    pub number: u64,
    /// Ids of the organizations of the account; empty before the first record.
    pub organizations: BTreeSet<String>,
    /// `None` before the first record.
    pub partition: Option<String>,
    /// Where the lake was created; `None` before the first record and in lakes of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default)]
    pub facts: Facts,
    /// The first day of each job.
    pub starts: BTreeMap<String, Day>,
    /// The first day of each job for streams whose every day costs a request, where it differs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub single_starts: BTreeMap<String, Day>,
    pub tables: BTreeMap<String, TableMeaning>,
    /// A row per day in checkpoints: as JSON it would be too large.
    #[serde(skip)]
    pub coverage: Coverage,
    #[serde(default, skip_serializing_if = "Forgotten::is_empty")]
    pub forgotten: Forgotten,
    /// Runs without an end, and the files that they may have overwritten without a record.
    pub open_runs: BTreeMap<Uuid, OpenRun>,
    /// The last runs, oldest first.
    pub runs: VecDeque<RunSummary>,
}

/// A finished run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    pub ended_at: Timestamp,
    /// Of the record of its start; `None` if it planned nothing, or an older version wrote the checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_number: Option<u64>,
    /// Of the record of its end.
    pub number: u64,
    #[serde(flatten)]
    pub end: RunEnd,
}

impl State {
    pub fn scope(&self, stream: &str, scope: &ScopeKey) -> Option<&ScopeCoverage> {
        self.coverage.get(stream)?.get(scope)
    }

    pub fn apply(&mut self, record: &Record) {
        self.number = record.number;
        for entry in &record.entries {
            self.apply_entry(record.at, entry);
        }
    }

    /// A run that starts before the last one ended shows that a clock was ahead. Days that were extracted in the future, as `at` sees
    /// it, may not have ended then, so they are stale, even once that time is reached.
    fn doubt_future_days(&mut self, at: Timestamp) {
        let open = self.open_runs.values().filter_map(|run| run.last_record_at);
        let last = self.runs.back().map(|run| run.ended_at).into_iter().chain(open).max();
        if last.is_none_or(|last| last.duration_since(at) <= CLOCK_TOLERANCE) {
            return;
        }
        let latest = CompactTimestamp::from(at.saturating_add(CLOCK_TOLERANCE).unwrap_or(at));
        let first = DayZone::Utc.today(at).plus(-RESTATED_DAYS);
        for coverage in self.coverage.values_mut().flat_map(BTreeMap::values_mut) {
            let days = coverage.days.iter_mut().filter(|(day, _)| *day >= first).map(|(_, state)| state);
            for state in days.chain(&mut coverage.whole) {
                state.stale |= state.extracted_at.is_some_and(|extracted_at| extracted_at > latest);
            }
        }
    }

    fn apply_entry(&mut self, at: Timestamp, entry: &Entry) {
        if let Some(open) = entry.run().and_then(|run| self.open_runs.get_mut(&run)) {
            open.last_record_at = Some(at);
        }
        match entry {
            Entry::Root { organizations, partition, url } => {
                self.url.clone_from(url);
                // Two writers may create the lake at once: the first record wins.
                if self.partition.is_none() {
                    self.organizations = organizations.iter().cloned().collect();
                    self.partition = Some(partition.clone());
                }
            }
            Entry::Organizations { added } => self.organizations.extend(added.iter().cloned()),
            Entry::Learned(learned) => self.facts.learn(learned.clone()),
            Entry::Start { job, day, single } => {
                self.starts.insert(job.clone(), *day);
                match single {
                    Some(single) => self.single_starts.insert(job.clone(), *single),
                    None => self.single_starts.remove(job),
                };
            }
            Entry::Table { stream, meaning } => {
                let before = self.tables.insert(stream.clone(), meaning.clone());
                if before.is_some_and(|before| before.conflict(meaning).is_some()) {
                    self.mark_table_stale(stream);
                }
            }
            Entry::RunStarted { run, job, planned, backfill } => {
                self.doubt_future_days(at);
                let (number, job) = (self.number, job.clone());
                let new = || OpenRun {
                    at,
                    number,
                    last_record_at: Some(at),
                    backfill: *backfill,
                    job,
                    planned: PlannedSlices::default(),
                };
                // A run that renews its plan keeps the time and the number of its start.
                let open = self.open_runs.entry(*run).or_insert_with(new);
                planned.iter().for_each(|planned| open.planned.add(planned));
            }
            Entry::Slice(slice) => self.apply_slice(slice),
            Entry::Suspect { stream, scope, window, problem, unconfirmed, .. } => {
                self.apply_suspect(stream, scope, *window, problem, unconfirmed);
            }
            Entry::NotEntitled { stream, scope, .. } if self.forgotten.covers(stream, scope, None) => {}
            Entry::NotEntitled { run, stream, scope, detail } => {
                let coverage = self.scope_mut(stream, scope);
                let is_confirmed =
                    coverage.not_entitled.as_ref().is_some_and(|before| before.is_confirmed || before.run != *run);
                coverage.not_entitled = Some(NotEntitled { run: *run, at, detail: detail.clone(), is_confirmed });
            }
            // A file written after its day was forgotten stays unknown; `verify` finds it.
            Entry::Stale { stream, scope, day } if self.forgotten.covers(stream, scope, *day) => {}
            Entry::Stale { stream, scope, day } => self.scope_mut(stream, scope).state_mut(*day).stale = true,
            Entry::Forgotten { stream, erasure } => self.apply_forgotten(stream, erasure),
            // Replaced by the checkpoint of the same number.
            Entry::Rebuilding => {}
            Entry::RunEnded(end) => {
                let first_number = self.open_runs.remove(&end.run).map(|open| open.number);
                self.runs.push_back(RunSummary { ended_at: at, first_number, number: self.number, end: end.clone() });
                self.trim_runs();
            }
        }
    }

    /// Keeps the last runs of all jobs, and of the earlier ones those that the trend of a job shows.
    fn trim_runs(&mut self) {
        let Some(earlier) = self.runs.len().checked_sub(REMEMBERED_RUNS + 1) else {
            return;
        };
        let left = &mut self.runs[earlier];
        left.end.problems.clear();
        left.end.failed_streams.clear();
        left.end.hint = None;
        let kind = |run: &RunSummary| (run.end.job.clone(), run.end.backfill);
        let newest = self.runs.back().map(kind);
        let mut of_newest = self.runs.iter().enumerate().filter(|(_, run)| Some(kind(run)) == newest);
        let oldest = of_newest.next().map(|(at, _)| at);
        match oldest.filter(|at| *at <= earlier && of_newest.count() >= TREND_RUNS) {
            Some(oldest) => _ = self.runs.remove(oldest),
            None if self.runs.len() > MAX_RUNS => _ = self.runs.pop_front(),
            None => {}
        }
    }

    /// The meaning of the table changed: every day is extracted again, and its former number of rows is no reason to doubt the new one.
    fn mark_table_stale(&mut self, stream: &str) {
        for coverage in self.coverage.get_mut(stream).into_iter().flat_map(BTreeMap::values_mut) {
            for state in coverage.days.values_mut().chain(&mut coverage.whole) {
                state.stale = true;
                state.proof = None;
                state.suspect = None;
            }
        }
    }

    fn apply_slice(&mut self, slice: &SliceEntry) {
        let key = slice.scope.key();
        for (run, open) in &mut self.open_runs {
            // Another run may have started to upload a file of these days before this record and finish after it.
            if *run == slice.run || open.presumed_killed_at() <= slice.extracted_at {
                open.planned.remove(&slice.stream, &key, slice.window);
            }
        }
        let is_kept = |day: &&DayEntry| !self.forgotten.covers(&slice.stream, &slice.scope, day.day);
        let days: Vec<&DayEntry> = slice.days.iter().filter(is_kept).collect();
        if days.is_empty() && !slice.days.is_empty() {
            return;
        }
        let coverage = self.scope_mut(&slice.stream, &slice.scope);
        coverage.not_entitled = None;
        let extracted_at = CompactTimestamp::from(slice.extracted_at);
        for day in days {
            let state = coverage.state_mut(day.day);
            let changed = day.file == FileChange::Published || state.hash != day.hash || state.changed_at.is_none();
            if changed {
                state.changed_at = Some(extracted_at);
            }
            if day.file == FileChange::Published {
                state.file = true;
                state.bytes = day.bytes;
            }
            state.extracted_at = Some(extracted_at);
            state.rows = day.rows;
            state.hash = day.hash;
            state.proof = Some(slice.proof);
            state.signal = day.signal;
            state.stale = false;
            state.suspect = None;
        }
    }

    fn apply_suspect(
        &mut self,
        stream: &str,
        scope: &Scope,
        window: Option<Window>,
        problem: &str,
        unconfirmed: &[DayEntry],
    ) {
        let mut days: Vec<Option<Day>> = match (unconfirmed.is_empty(), window) {
            (false, _) => unconfirmed.iter().map(|day| day.day).collect(),
            (true, Some(window)) => window.days().map(Some).collect(),
            (true, None) => vec![None],
        };
        days.retain(|day| !self.forgotten.covers(stream, scope, *day));
        if days.is_empty() {
            return;
        }
        let coverage = self.scope_mut(stream, scope);
        for day in days {
            let unconfirmed = unconfirmed.iter().find(|read| read.day == day).map(|read| read.rows);
            let suspect = Suspect { problem: problem.to_owned(), unconfirmed };
            coverage.state_mut(day).suspect = Some(Box::new(suspect));
        }
    }

    fn apply_forgotten(&mut self, stream: &str, erasure: &Erasure) {
        self.forgotten.add(stream, erasure);
        let Some(scopes) = self.coverage.get_mut(stream) else {
            return;
        };
        scopes.retain(|_, coverage| match erasure.window {
            _ if !erasure.has_scope(&coverage.scope) => true,
            None => false,
            Some(window) => {
                coverage.days.remove(window);
                !coverage.days.is_empty() || coverage.whole.is_some() || coverage.not_entitled.is_some()
            }
        });
        if scopes.is_empty() {
            self.coverage.remove(stream);
        }
    }

    fn scope_mut(&mut self, stream: &str, scope: &Scope) -> &mut ScopeCoverage {
        let scopes = self.coverage.entry(stream.to_owned()).or_default();
        let coverage = scopes.entry(scope.key()).or_insert_with(|| ScopeCoverage::new(scope.clone()));
        coverage.scope = scope.clone();
        coverage
    }

    /// How this state differs from `other` in what readers of the lake rely on; `None` if it does not. Members that another version may
    /// compute otherwise are not compared.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let root = |state: &Self| (state.partition.clone(), state.organizations.clone(), state.forgotten.clone());
        if root(self) != root(other) {
            return Some("its account, layout or forgotten data differ from the records".to_owned());
        }
        let files = |state: &Self| {
            let scopes = state.coverage.iter().flat_map(|(stream, scopes)| scopes.iter().map(move |of| (stream, of)));
            let days = scopes.flat_map(|(stream, (scope, coverage))| {
                coverage.states().map(move |(day, state)| {
                    ((stream.clone(), scope.clone(), day), (state.file, state.rows, state.bytes, state.hash))
                })
            });
            days.filter(|(_, (is_file, ..))| *is_file).collect::<BTreeMap<_, _>>()
        };
        let (own, others) = (files(self), files(other));
        let differing = own.iter().filter(|(day, file)| others.get(*day) != Some(file)).count();
        let missing = others.keys().filter(|day| !own.contains_key(*day)).count();
        let count = differing + missing;
        (count > 0).then(|| format!("it differs from the records in {count} files"))
    }

    /// Whether an open run other than `own` may have overwritten the file of `day` since it was recorded.
    pub fn is_possibly_overwritten(&self, stream: &str, scope: &ScopeKey, day: Option<Day>, own: Option<Uuid>) -> bool {
        let mut others = self.open_runs.iter().filter(|(run, _)| Some(**run) != own).map(|(_, open)| open);
        others.any(|open| {
            let extracted_at = || self.scope(stream, scope)?.state(day)?.extracted_at;
            let killed_at = open.presumed_killed_at().into();
            open.planned.contains(stream, scope, day)
                && extracted_at().is_none_or(|extracted_at| extracted_at < killed_at)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end_run(state: &mut State, job: &str, backfill: bool) {
        let end = RunEnd {
            run: Uuid::nil(),
            job: job.into(),
            backfill,
            started_at: Timestamp::UNIX_EPOCH,
            outcome: crate::model::outcome::Outcome::Failed,
            counters: crate::model::counters::Counters::default(),
            backfill_remaining: 0,
            waited_seconds: 0,
            failed_streams: ["a_stream".into()].into(),
            problems: vec!["a problem".into()],
            hint: None,
        };
        state.number += 1;
        state.apply_entry(Timestamp::UNIX_EPOCH, &Entry::RunEnded(end));
    }

    #[test]
    fn thirty_runs_of_each_job_are_kept_whatever_the_others_do() {
        let mut state = State::default();
        for _ in 0..40 {
            end_run(&mut state, "weekly", false);
        }
        for _ in 0..200 {
            end_run(&mut state, "hourly", false);
            end_run(&mut state, "hourly", true);
        }
        let kept =
            |job, backfill| state.runs.iter().filter(|run| run.end.job == job && run.end.backfill == backfill).count();
        assert_eq!([kept("weekly", false), kept("hourly", false), kept("hourly", true)], [40, 30, 30]);
        let with_problems = state.runs.iter().filter(|run| !run.end.problems.is_empty()).count();
        assert_eq!(with_problems, REMEMBERED_RUNS);
        assert_eq!(state.runs.back().map(|run| run.number), Some(440));
        for job in 0..700 {
            end_run(&mut state, &job.to_string(), false);
        }
        assert_eq!(state.runs.len(), MAX_RUNS);
    }
}
