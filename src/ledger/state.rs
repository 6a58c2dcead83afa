//! What the records of a ledger add up to. A pure fold: the same records give the same state, whoever reads them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ledger::fact::Facts;
use crate::ledger::open_run::OpenRun;
use crate::ledger::record::{DayEntry, Entry, Record, RunEnd, SliceEntry, Written};
use crate::ledger::table::TableMeaning;
use crate::model::compact_timestamp::CompactTimestamp;
use crate::model::coverage::{Coverage, NotEntitled, ScopeCoverage, Suspect};
use crate::model::day::Day;
use crate::model::forgotten::{Erasure, Forgotten};
use crate::model::scope::{Scope, ScopeKey};
use crate::model::window::Window;

/// Runs remembered for people to see.
const REMEMBERED_RUNS: usize = 50;

/// What the records 1 to `number` add up to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The last record folded in; zero for none.
    pub number: u64,
    /// Ids of the organizations of the account; empty for a lake that has no first record yet.
    pub organizations: BTreeSet<String>,
    /// How days become directories.
    pub partition: Option<String>,
    /// What was learned about the account and the destination.
    #[serde(default)]
    pub facts: Facts,
    /// The first day each job wants.
    pub starts: BTreeMap<String, Day>,
    /// What each table means.
    pub tables: BTreeMap<String, TableMeaning>,
    /// What has been read. Too much for text: checkpoints keep it apart.
    #[serde(skip)]
    pub coverage: Coverage,
    /// What was removed for good.
    #[serde(default, skip_serializing_if = "Forgotten::is_empty")]
    pub forgotten: Forgotten,
    /// Runs that have begun and not ended: when, and what they may have overwritten without a record.
    pub open_runs: BTreeMap<Uuid, OpenRun>,
    /// The last runs that ended, oldest first.
    pub runs: VecDeque<RunSummary>,
}

/// A run that ended, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// When it ended.
    pub ended_at: Timestamp,
    /// The number of the record that says so; zero where an older version folded it.
    #[serde(default)]
    pub number: u64,
    /// How.
    #[serde(flatten)]
    pub end: RunEnd,
}

impl State {
    /// What is known of `stream` of `scope`.
    pub fn scope(&self, stream: &str, scope: &ScopeKey) -> Option<&ScopeCoverage> {
        self.coverage.get(stream)?.get(scope)
    }

    /// Folds in the next record.
    pub fn apply(&mut self, record: &Record) {
        self.number = record.number;
        for entry in &record.entries {
            self.apply_entry(record.at, entry);
        }
    }

    fn apply_entry(&mut self, at: Timestamp, entry: &Entry) {
        if let Some(open) = entry.run().and_then(|run| self.open_runs.get_mut(&run)) {
            open.heard_at = Some(at);
        }
        match entry {
            Entry::Root { organizations, partition } => {
                // A second first record, of a writer that lost the race to another, changes nothing.
                if self.partition.is_none() {
                    self.organizations = organizations.iter().cloned().collect();
                    self.partition = Some(partition.clone());
                }
            }
            Entry::Organizations { added } => self.organizations.extend(added.iter().cloned()),
            Entry::Learned(learned) => self.facts.learn(learned.clone()),
            Entry::Start { job, day } => {
                self.starts.insert(job.clone(), *day);
            }
            Entry::Table { stream, meaning } => {
                let before = self.tables.insert(stream.clone(), meaning.clone());
                if before.is_some_and(|before| before.conflict(meaning).is_some()) {
                    self.expect_anew(stream);
                }
            }
            Entry::RunStarted { run, job, planned, backfill } => {
                let (job, planned) = (job.clone(), planned.iter().collect());
                let open = OpenRun { at, number: self.number, heard_at: Some(at), job, planned, backfill: *backfill };
                self.open_runs.insert(*run, open);
            }
            Entry::Slice(slice) => self.apply_slice(slice),
            Entry::Suspect { stream, scope, window, problem, awaiting, .. } => {
                self.apply_suspect(stream, scope, *window, problem, awaiting);
            }
            Entry::NotEntitled { stream, scope, .. } if self.forgotten.covers(stream, scope, None) => {}
            Entry::NotEntitled { stream, scope, detail, .. } => {
                self.scope_mut(stream, scope).not_entitled = Some(NotEntitled { at, detail: detail.clone() });
            }
            // A file that a run wrote after its day was forgotten is no more known than before; `verify` finds it.
            Entry::Stale { stream, scope, day } if self.forgotten.covers(stream, scope, *day) => {}
            Entry::Stale { stream, scope, day } => self.scope_mut(stream, scope).state_mut(*day).stale = true,
            Entry::Forgotten { stream, erasure } => self.apply_forgotten(stream, erasure),
            // Nobody folds it: what is read instead is the checkpoint of its number.
            Entry::Rebuilding => {}
            Entry::RunEnded(end) => {
                self.open_runs.remove(&end.run);
                self.runs.push_back(RunSummary { ended_at: at, number: self.number, end: end.clone() });
                while REMEMBERED_RUNS < self.runs.len() {
                    self.runs.pop_front();
                }
            }
        }
    }

    /// What was read of `stream` says something else than its table means now: every day is to be read again, and how many
    /// rows it had tells nothing of how many it will have.
    fn expect_anew(&mut self, stream: &str) {
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
            // Another run may still be about to put a file of these days, which it had begun before this was recorded.
            if *run == slice.run || open.counts_as_killed_at() <= slice.extracted_at {
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
        let read_at = CompactTimestamp::from(slice.extracted_at);
        for day in days {
            let state = coverage.state_mut(day.day);
            let changed = day.written == Written::File || state.hash != day.hash || state.changed_at.is_none();
            if changed {
                state.changed_at = Some(read_at);
            }
            if day.written == Written::File {
                state.file = true;
                state.bytes = day.bytes;
            }
            state.read_at = Some(read_at);
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
        awaiting: &[DayEntry],
    ) {
        let mut days: Vec<Option<Day>> = match (awaiting.is_empty(), window) {
            (false, _) => awaiting.iter().map(|day| day.day).collect(),
            (true, Some(window)) => window.days().map(Some).collect(),
            (true, None) => vec![None],
        };
        days.retain(|day| !self.forgotten.covers(stream, scope, *day));
        if days.is_empty() {
            return;
        }
        let coverage = self.scope_mut(stream, scope);
        for day in days {
            let awaiting = awaiting.iter().find(|read| read.day == day).map(|read| read.rows);
            let suspect = Suspect { problem: problem.to_owned(), awaiting };
            coverage.state_mut(day).suspect = Some(Box::new(suspect));
        }
    }

    fn apply_forgotten(&mut self, stream: &str, erasure: &Erasure) {
        self.forgotten.add(stream, erasure);
        let Some(scopes) = self.coverage.get_mut(stream) else {
            return;
        };
        scopes.retain(|_, coverage| match erasure.window {
            _ if !erasure.is_of(&coverage.scope) => true,
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

    /// Whether a run that has not ended may have overwritten `day` of `stream` of `scope` after it was read.
    pub fn is_doubtful(&self, stream: &str, scope: &ScopeKey, day: Option<Day>, own: Option<Uuid>) -> bool {
        let mut others = self.open_runs.iter().filter(|(run, _)| Some(**run) != own).map(|(_, open)| open);
        others.any(|open| {
            let read_at = || self.scope(stream, scope)?.state(day)?.read_at;
            let killed_at = open.counts_as_killed_at().into();
            open.planned.contains(stream, scope, day) && read_at().is_none_or(|read_at| read_at < killed_at)
        })
    }
}
