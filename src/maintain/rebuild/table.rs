//! One table of a rebuilt ledger, from its files and the readable records of the old ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use object_store::path::Path;

use crate::layout::DataPath;
use crate::maintain::finding::{Finding, FindingKind, ScopeDay};
use crate::maintain::footer::FileFooter;
use crate::maintain::rebuild::meaning::FileMeanings;
use crate::maintain::walk::{MaintainedLake, TableFile};
use crate::model::coverage::{DayState, ScopeCoverage};
use crate::model::day::Day;
use crate::model::history::{history_of, list_of};
use crate::model::scope::{Scope, ScopeKey};
use crate::model::stream::Stream;
use crate::write::FileContent;

/// The coverage of a table.
pub type Scopes = BTreeMap<ScopeKey, ScopeCoverage>;

/// A table while its files are read.
pub struct RebuiltTable<'a> {
    pub name: &'a str,
    lake: &'a MaintainedLake,
    /// `None` if this version does not know it.
    stream: Option<Arc<Stream>>,
    /// From readable records of the old ledger.
    recorded: Scopes,
    found: Scopes,
    /// When the newest file of each scope was extracted: its names are the latest.
    newest: BTreeMap<ScopeKey, Timestamp>,
    pub meanings: FileMeanings,
    /// Files whose meaning is not the first, with its index.
    other_meanings: BTreeMap<(ScopeKey, Option<Day>), usize>,
    pub salts: BTreeSet<String>,
    pub organizations: BTreeSet<String>,
    pub counts: Counts,
    pub findings: Vec<Finding>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files in the new ledger.
    pub files: u64,
    pub bytes: u64,
    pub rows: u64,
    /// Files that match readable records.
    pub as_recorded: u64,
}

impl<'a> RebuiltTable<'a> {
    pub fn new(lake: &'a MaintainedLake, name: &'a str, recorded: Scopes) -> Self {
        let stream = lake.stream_of(name).map(|stream| match list_of(name) {
            Some(_) => Arc::new(history_of(stream)),
            None => Arc::clone(stream),
        });
        Self {
            name,
            lake,
            stream,
            recorded,
            found: Scopes::new(),
            newest: BTreeMap::new(),
            meanings: FileMeanings::default(),
            other_meanings: BTreeMap::new(),
            salts: BTreeSet::new(),
            organizations: BTreeSet::new(),
            counts: Counts::default(),
            findings: Vec::new(),
        }
    }

    /// Whether this version knows the stream of the table.
    pub fn is_known(&self) -> bool {
        self.stream.is_some()
    }

    /// The column that says whether there is something to extract.
    pub fn signal(&self) -> Option<&str> {
        self.stream.as_ref()?.signal.as_deref()
    }

    /// Adds a sound file.
    pub fn add(&mut self, path: &DataPath, bytes: u64, footer: FileFooter, content: &FileContent) {
        self.counts.files += 1;
        self.counts.bytes += bytes;
        self.counts.rows += content.rows;
        let meaning = self.meanings.add(self.stream.as_deref(), &footer, &content.columns);
        self.salts.extend(footer.salt.clone());
        self.organizations.extend(footer.organizations.iter().cloned());
        let key = footer.scope.key();
        if meaning > 0 {
            self.other_meanings.insert((key.clone(), path.day), meaning);
        }
        let recorded = self.recorded.get(&key).and_then(|coverage| coverage.state(path.day));
        let recorded = recorded.filter(|state| state.file && state.rows == content.rows && state.hash == content.hash);
        self.counts.as_recorded += u64::from(recorded.is_some());
        let extracted_at = Some(footer.extracted_at.into());
        let state = match recorded {
            Some(recorded) => DayState { bytes, ..recorded.clone() },
            None => DayState {
                extracted_at,
                changed_at: extracted_at,
                rows: content.rows,
                hash: content.hash,
                proof: footer.proof,
                file: true,
                bytes,
                stale: false,
                suspect: None,
                signal: content.signal,
            },
        };
        let coverage = self.found.entry(key.clone()).or_insert_with(|| ScopeCoverage::new(footer.scope.clone()));
        *coverage.state_mut(path.day) = state;
        let newest = self.newest.entry(key).or_insert(footer.extracted_at);
        if *newest <= footer.extracted_at {
            *newest = footer.extracted_at;
            coverage.scope = footer.scope;
        }
    }

    /// Whether a readable record names a file at `path`.
    pub fn is_recorded(&self, path: &DataPath) -> bool {
        let recorded = self.scope_at(path).and_then(|scope| self.recorded.get(&scope.key()));
        recorded.and_then(|coverage| coverage.state(path.day)).is_some_and(|state| state.file)
    }

    /// Reports a damaged or misplaced file, and makes its day stale. The scope is that of the footer, else that of the path.
    pub fn reject(&mut self, file: &TableFile, path: &DataPath, scope: Option<Scope>, problem: (FindingKind, String)) {
        let scope = scope.or_else(|| self.scope_at(path));
        if let Some(scope) = scope.as_ref().filter(|_| self.can_rewrite()) {
            let coverage = self.found.entry(scope.key()).or_insert_with(|| ScopeCoverage::new(scope.clone()));
            let recorded = self.recorded.get(&scope.key()).and_then(|coverage| coverage.state(path.day));
            let state = recorded.cloned().unwrap_or_else(DayState::unknown);
            let bytes = if state.file { state.bytes } else { file.bytes };
            *coverage.state_mut(path.day) = DayState { file: true, stale: true, bytes, ..state };
        }
        self.report(&file.path, scope.as_ref().map(|scope| (scope, path.day)), problem);
    }

    /// Reports a file that stays as it is and is not in the new ledger.
    pub fn skip(&mut self, path: &Path, problem: (FindingKind, String)) {
        self.report(path, None, problem);
    }

    fn report(&mut self, path: &Path, of: ScopeDay<'_>, problem: (FindingKind, String)) {
        let can_rewrite = of.is_some() && self.can_rewrite();
        self.findings.push(Finding::new(self.name, path, of, problem, can_rewrite));
    }

    /// Whether a run can write a file of the table again.
    fn can_rewrite(&self) -> bool {
        self.is_known() && list_of(self.name).is_none()
    }

    /// The scope at `path`: a known one, or one whose ids are in the path.
    fn scope_at(&self, path: &DataPath) -> Option<Scope> {
        let is_at = |scope: &&Scope| {
            scope.parts().count() == path.scope.len()
                && scope.parts().all(|(part, named)| path.has_part(part, &named.id))
        };
        let mut known = self.found.values().chain(self.recorded.values()).map(|coverage| &coverage.scope);
        known.find(is_at).cloned().or_else(|| {
            let kind = self.stream.as_ref()?.scope;
            path.scope().filter(|scope| kind.parts().iter().copied().eq(scope.parts().map(|(part, _)| part)))
        })
    }

    /// The coverage of the table once all files are read, and why files contradict the meaning of the table. Days without a file are
    /// as recorded; a day whose recorded file is missing is stale.
    pub fn finish(&mut self) -> (Scopes, Option<String>) {
        let mut found = std::mem::take(&mut self.found);
        let conflicts = self.meanings.conflicts();
        if list_of(self.name).is_none() {
            // A table must not contain rows of two meanings, even of different days.
            for (key, coverage) in &mut found {
                let days: Vec<Option<Day>> = coverage.states().map(|(day, _)| day).collect();
                for day in days {
                    let meaning = self.other_meanings.get(&(key.clone(), day)).copied().unwrap_or_default();
                    coverage.state_mut(day).stale |= conflicts.get(meaning).is_some_and(Option::is_some);
                }
            }
        }
        for (key, mut recorded) in std::mem::take(&mut self.recorded) {
            let coverage = found.entry(key).or_insert_with(|| ScopeCoverage::new(recorded.scope.clone()));
            coverage.not_entitled = recorded.not_entitled.take();
            for (day, state) in recorded.states() {
                if coverage.state(day).is_some() {
                    continue;
                }
                let is_stale = state.stale || state.file && list_of(self.name).is_none();
                *coverage.state_mut(day) = DayState { stale: is_stale, ..state.clone() };
                if state.file {
                    let path = self.lake.layout.path_in(self.stream.as_deref(), self.name, &recorded.scope, day);
                    self.report(&path, Some((&recorded.scope, day)), FindingKind::missing());
                }
            }
        }
        found.values_mut().for_each(|coverage| coverage.days.shrink_to_fit());
        (found, conflicts.into_iter().flatten().next())
    }
}
