//! What the ledger says of one table, found by path.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use object_store::path::Path;

use crate::layout::{DataPath, Layout};
use crate::ledger::State;
use crate::model::coverage::{DayState, ScopeCoverage};
use crate::model::day::Day;
use crate::model::history::list_of;
use crate::model::scope::{Named, Scope, ScopePart};
use crate::model::stream::Stream;

/// The days of one table.
pub struct KnownTable<'a> {
    name: &'a str,
    stream: Option<&'a Arc<Stream>>,
    layout: Layout,
    /// Scopes by what stands for them in paths.
    scopes: HashMap<Vec<(ScopePart, String)>, KnownScope<'a>>,
}

/// One scope of a table, and the days whose files were found.
struct KnownScope<'a> {
    coverage: &'a ScopeCoverage,
    seen: HashSet<Option<Day>>,
}

/// A file that the ledger names.
#[derive(Clone, Copy)]
pub struct KnownFile<'a> {
    pub scope: &'a Scope,
    pub day: Option<Day>,
    pub state: &'a DayState,
}

impl<'a> KnownTable<'a> {
    /// What `state` says of the table called `name`, whose stream is `stream`.
    pub fn new(state: &'a State, name: &'a str, stream: Option<&'a Arc<Stream>>, layout: Layout) -> Self {
        let mut table = Self { name, stream, layout, scopes: HashMap::new() };
        for coverage in state.coverage.get(name).into_iter().flat_map(|scopes| scopes.values()) {
            let parts = layout.parse(&table.path_of(&coverage.scope, None)).map(|path| path.scope);
            table.scopes.extend(parts.map(|parts| (parts, KnownScope { coverage, seen: HashSet::new() })));
        }
        table
    }

    /// Where the file of `scope` and `day` lies.
    pub fn path_of(&self, scope: &Scope, day: Option<Day>) -> Path {
        match self.stream {
            Some(stream) => self.layout.path_for(stream, scope, day),
            None => self.layout.data_path(self.name, scope, day),
        }
    }

    /// The file that the ledger names at `path`, which is then seen.
    pub fn find(&mut self, path: &Path) -> Option<KnownFile<'a>> {
        let parsed = self.layout.parse(path)?;
        let coverage = self.scopes.get(&parsed.scope)?.coverage;
        let state = coverage.state(parsed.day).filter(|state| state.file)?;
        if self.path_of(&coverage.scope, parsed.day) != *path {
            return None;
        }
        self.scopes.get_mut(&parsed.scope)?.seen.insert(parsed.day);
        Some(KnownFile { scope: &coverage.scope, day: parsed.day, state })
    }

    /// The day of a file at a path of another layout, where the ledger has that day elsewhere.
    pub fn find_elsewhere(&self, path: &Path) -> Option<KnownFile<'a>> {
        let of_layout = |layout: Layout| {
            let parsed = layout.parse(path)?;
            let coverage = self.scopes.get(&parsed.scope)?.coverage;
            let state = coverage.state(parsed.day).filter(|state| state.file)?;
            Some(KnownFile { scope: &coverage.scope, day: parsed.day, state })
        };
        Layout::ALL.into_iter().find_map(of_layout)
    }

    /// The files that the ledger names and that were not seen.
    pub fn unseen(&self) -> impl Iterator<Item = KnownFile<'a>> {
        self.scopes.values().flat_map(|known| {
            let coverage: &'a ScopeCoverage = known.coverage;
            let days = coverage.days.iter().map(|(day, state)| (Some(*day), state));
            let all = days.chain(coverage.whole.iter().map(|state| (None, state)));
            all.filter(|(day, state)| state.file && !known.seen.contains(day)).map(|(day, state)| KnownFile {
                scope: &coverage.scope,
                day,
                state,
            })
        })
    }
}

/// Whether a run that has not ended means to write the file at `path` of the table called `name`.
pub fn is_being_written(state: &State, name: &str, path: &Path) -> bool {
    // A snapshot is written with its list.
    let (planned, is_snapshot) = list_of(name).map_or((name, false), |list| (list, true));
    let of_layout = |layout: Layout| layout.parse(path);
    Layout::ALL.into_iter().filter_map(of_layout).any(|parsed| {
        let key = scope_of(&parsed).key();
        let day = parsed.day.filter(|_| !is_snapshot);
        state.open_runs.values().any(|open| open.planned.contains(planned, &key, day))
    })
}

/// The scope that a path says, with what stands in the path for names.
fn scope_of(path: &DataPath) -> Scope {
    let mut scope = Scope::default();
    for (part, value) in &path.scope {
        let named = Some(Named { id: value.clone(), name: value.clone() });
        match part {
            ScopePart::Organization => scope.organization = named,
            ScopePart::Category => scope.category = named,
            ScopePart::Asset => scope.asset = named,
            ScopePart::Domain => scope.domain = named,
        }
    }
    scope
}
