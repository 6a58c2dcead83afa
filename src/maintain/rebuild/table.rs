//! One table of a new ledger: what its files say, and what could still be read of the old ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use object_store::path::Path;

use crate::catalog::Catalog;
use crate::layout::{DataPath, Layout};
use crate::maintain::finding::{Finding, FindingKind, FindingRemedy};
use crate::maintain::rebuild::footer::FileFooter;
use crate::maintain::rebuild::meaning::FileMeanings;
use crate::model::coverage::{DayState, ScopeCoverage};
use crate::model::day::Day;
use crate::model::history::{history_of, list_of};
use crate::model::scope::{Named, Scope, ScopeKey, ScopePart};
use crate::model::stream::Stream;
use crate::write::FileContent;

/// The scopes of a table.
pub type Scopes = BTreeMap<ScopeKey, ScopeCoverage>;

/// One table while its files are read.
pub struct RebuiltTable {
    pub name: String,
    /// The stream whose rows it holds; none where this version does not know it.
    pub stream: Option<Arc<Stream>>,
    layout: Layout,
    /// What could still be read of the old ledger.
    known: Scopes,
    found: Scopes,
    /// When the newest file of each scope was read, whose names count.
    named_at: BTreeMap<ScopeKey, Timestamp>,
    pub meanings: FileMeanings,
    /// Files that mean something else than the first, and which of the meanings that is.
    others: BTreeMap<(ScopeKey, Option<Day>), usize>,
    /// How files contradict what the table means, in words.
    pub conflict: Option<String>,
    pub salts: BTreeSet<String>,
    pub organizations: BTreeSet<String>,
    pub counts: Counts,
    pub findings: Vec<Finding>,
}

/// What a table came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files that are in the new ledger.
    pub files: u64,
    pub bytes: u64,
    pub rows: u64,
    /// How many of them are as records say that could still be read.
    pub as_recorded: u64,
}

impl RebuiltTable {
    /// The table called `name`, of which `known` could still be read.
    pub fn new(name: String, catalog: &Catalog, layout: Layout, known: Scopes) -> Self {
        let stream = match list_of(&name) {
            Some(list) => catalog.get(list).map(|list| Arc::new(history_of(list))),
            None => catalog.get(&name).cloned(),
        };
        Self {
            name,
            stream,
            layout,
            known,
            found: Scopes::new(),
            named_at: BTreeMap::new(),
            meanings: FileMeanings::default(),
            others: BTreeMap::new(),
            conflict: None,
            salts: BTreeSet::new(),
            organizations: BTreeSet::new(),
            counts: Counts::default(),
            findings: Vec::new(),
        }
    }

    /// The column of the table that says whether there is something to read.
    pub fn signal(&self) -> Option<&str> {
        self.stream.as_ref()?.signal.as_deref()
    }

    /// Takes in a file that is whole, lies where it belongs, and holds `read`.
    pub fn take(&mut self, path: &DataPath, bytes: u64, said: FileFooter, read: &FileContent) {
        self.counts.files += 1;
        self.counts.bytes += bytes;
        self.counts.rows += read.rows;
        let meaning = self.meanings.add(self.stream.as_deref(), &said, &read.columns);
        self.salts.extend(said.salt.clone());
        self.organizations.extend(said.organizations.iter().cloned());
        let key = said.scope.key();
        if let Some(other) = meaning.filter(|which| 0 < *which) {
            self.others.insert((key.clone(), path.day), other);
        }
        let known = self.known.get(&key).and_then(|coverage| coverage.state(path.day));
        let recorded = known.filter(|known| known.file && known.rows == read.rows && known.hash == read.hash);
        self.counts.as_recorded += u64::from(recorded.is_some());
        let extracted_at = Some(said.extracted_at.into());
        let state = match recorded {
            Some(recorded) => DayState { bytes, ..recorded.clone() },
            None => DayState {
                extracted_at,
                changed_at: extracted_at,
                rows: read.rows,
                hash: read.hash,
                proof: said.proof,
                file: true,
                bytes,
                stale: false,
                suspect: None,
                signal: read.signal,
            },
        };
        let coverage = self.found.entry(key.clone()).or_insert_with(|| ScopeCoverage::new(said.scope.clone()));
        *coverage.state_mut(path.day) = state;
        let named_at = self.named_at.entry(key).or_insert(said.extracted_at);
        if *named_at <= said.extracted_at {
            *named_at = said.extracted_at;
            coverage.scope = said.scope;
        }
    }

    /// Whether the old ledger names a file there.
    pub fn is_known(&self, file: &DataPath) -> bool {
        let known = self.scope_at(file).and_then(|scope| self.known.get(&scope.key()));
        known.and_then(|coverage| coverage.state(file.day)).is_some_and(|state| state.file)
    }

    /// Tells of a file that cannot be believed, and lets the day that it is of be read again. Who it is of, its own footer
    /// says, or else its path.
    pub fn doubt(
        &mut self,
        path: &Path,
        file: &DataPath,
        bytes: u64,
        scope: Option<Scope>,
        kind: FindingKind,
        problem: String,
    ) {
        let scope = scope.or_else(|| self.scope_at(file));
        let remedy = match (&scope, list_of(&self.name)) {
            (_, Some(_)) => FindingRemedy::Restore,
            (Some(_), None) if self.stream.is_some() => FindingRemedy::Rewrite,
            _ => FindingRemedy::Look,
        };
        if let (FindingRemedy::Rewrite, Some(scope)) = (remedy, &scope) {
            let coverage = self.found.entry(scope.key()).or_insert_with(|| ScopeCoverage::new(scope.clone()));
            let known = self.known.get(&scope.key()).and_then(|coverage| coverage.state(file.day));
            let state = known.cloned().unwrap_or_else(DayState::unknown);
            let bytes = if state.file { state.bytes } else { bytes };
            *coverage.state_mut(file.day) = DayState { file: true, stale: true, bytes, ..state };
        }
        self.tell(path, scope, file.day, kind, problem, remedy);
    }

    /// Tells of a file that is left alone.
    pub fn leave(&mut self, path: &Path, kind: FindingKind, problem: String) {
        let remedy = if kind == FindingKind::Forgotten { FindingRemedy::Forget } else { FindingRemedy::Look };
        self.tell(path, None, None, kind, problem, remedy);
    }

    fn tell(
        &mut self,
        path: &Path,
        scope: Option<Scope>,
        day: Option<Day>,
        kind: FindingKind,
        problem: String,
        remedy: FindingRemedy,
    ) {
        let (stream, path) = (self.name.clone(), path.to_string());
        self.findings.push(Finding { kind, stream, scope, day, path, problem, remedy });
    }

    /// The scope that a path says: one that is known, or one whose ids stand there as they are.
    fn scope_at(&self, file: &DataPath) -> Option<Scope> {
        let is_its = |scope: &&Scope| {
            scope.parts().count() == file.scope.len()
                && scope.parts().all(|(part, named)| file.has_part(part, &named.id))
        };
        let known = self.found.values().chain(self.known.values()).map(|coverage| &coverage.scope).find(is_its);
        if let Some(scope) = known {
            return Some(scope.clone());
        }
        let mut scope = Scope::default();
        for (part, id) in &file.scope {
            let named = file.has_part(*part, id).then(|| Named { id: id.clone(), name: id.clone() })?;
            *match part {
                ScopePart::Organization => &mut scope.organization,
                ScopePart::Category => &mut scope.category,
                ScopePart::Asset => &mut scope.asset,
                ScopePart::Domain => &mut scope.domain,
            } = Some(named);
        }
        let is_kind = self.stream.as_ref().is_some_and(|stream| {
            stream.scope.parts().iter().eq(scope.parts().map(|(part, _)| part).collect::<Vec<_>>().iter())
        });
        is_kind.then_some(scope)
    }

    /// All files were read. What the old ledger says of days without a file is taken over; where it names one that is not
    /// there, the day is read again.
    pub fn settle(&mut self) -> Scopes {
        let mut found = std::mem::take(&mut self.found);
        let conflicts: Vec<Option<String>> =
            (0..self.meanings.len()).map(|which| self.meanings.conflict(which)).collect();
        self.conflict = conflicts.iter().flatten().next().cloned();
        if self.conflict.is_some() && list_of(&self.name).is_none() {
            // Rows of two meanings do not belong in one table, whatever their days are.
            for (key, coverage) in &mut found {
                let means = |day| self.others.get(&(key.clone(), day)).copied().unwrap_or_default();
                let days: Vec<Day> = coverage.days.keys().copied().collect();
                for day in days.into_iter().map(Some).chain(coverage.whole.is_some().then_some(None)) {
                    coverage.state_mut(day).stale |= conflicts[means(day)].is_some();
                }
            }
        }
        for (key, mut known) in std::mem::take(&mut self.known) {
            let coverage = found.entry(key).or_insert_with(|| ScopeCoverage::new(known.scope.clone()));
            coverage.not_entitled = known.not_entitled.take();
            let days = known.days.iter().map(|(day, state)| (Some(*day), state));
            for (day, state) in days.chain(known.whole.iter().map(|state| (None, state))) {
                if coverage.state(day).is_some() {
                    continue;
                }
                let is_snapshot = list_of(&self.name).is_some();
                let missing = state.file;
                *coverage.state_mut(day) = DayState { stale: state.stale || missing && !is_snapshot, ..state.clone() };
                if missing {
                    let path = match &self.stream {
                        Some(stream) => self.layout.path_for(stream, &known.scope, day),
                        None => self.layout.data_path(&self.name, &known.scope, day),
                    };
                    let remedy = if self.stream.is_some() && !is_snapshot {
                        FindingRemedy::Rewrite
                    } else {
                        FindingRemedy::Restore
                    };
                    self.tell(&path, Some(known.scope.clone()), day, FindingKind::Missing, MISSING.to_owned(), remedy);
                }
            }
        }
        found.values_mut().for_each(|coverage| coverage.days.shrink_to_fit());
        found
    }
}

const MISSING: &str = "a record names it, and it is not there";
