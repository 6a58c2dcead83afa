//! The files that the ledger names for one table, found by path.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use object_store::path::Path;

use crate::layout::Layout;
use crate::ledger::State;
use crate::maintain::walk::MaintainedLake;
use crate::model::coverage::{DayState, ScopeCoverage};
use crate::model::day::Day;
use crate::model::history::list_of;
use crate::model::scope::{Scope, ScopePart};
use crate::model::stream::Stream;

/// The recorded files of one table.
pub struct KnownTable<'a> {
    name: &'a str,
    stream: Option<&'a Arc<Stream>>,
    layout: Layout,
    /// By the scope in paths.
    scopes: HashMap<Vec<(ScopePart, String)>, KnownScope<'a>>,
}

struct KnownScope<'a> {
    coverage: &'a ScopeCoverage,
    /// Days whose file was found.
    found: HashSet<Option<Day>>,
}

/// A file that the ledger names.
#[derive(Clone, Copy)]
pub struct KnownFile<'a> {
    pub scope: &'a Scope,
    pub day: Option<Day>,
    pub state: &'a DayState,
}

impl<'a> KnownTable<'a> {
    pub fn new(lake: &'a MaintainedLake, state: &'a State, name: &'a str) -> Self {
        let mut table = Self { name, stream: lake.catalog.get(name), layout: lake.layout, scopes: HashMap::new() };
        for coverage in state.coverage.get(name).into_iter().flat_map(|scopes| scopes.values()) {
            let parts = lake.layout.parse(&table.path_of(&coverage.scope, None)).map(|path| path.scope);
            table.scopes.extend(parts.map(|parts| (parts, KnownScope { coverage, found: HashSet::new() })));
        }
        table
    }

    /// The path of the file of `scope` and `day`.
    pub fn path_of(&self, scope: &Scope, day: Option<Day>) -> Path {
        self.layout.path_in(self.stream.map(Arc::as_ref), self.name, scope, day)
    }

    /// The recorded file of the scope and day that `path` names in `layout`.
    fn parse(&self, layout: Layout, path: &Path) -> Option<(Vec<(ScopePart, String)>, KnownFile<'a>)> {
        let parsed = layout.parse(path)?;
        let coverage = self.scopes.get(&parsed.scope)?.coverage;
        let state = coverage.state(parsed.day).filter(|state| state.file)?;
        Some((parsed.scope, KnownFile { scope: &coverage.scope, day: parsed.day, state }))
    }

    /// The file that the ledger names at `path`; marks it as found.
    pub fn find(&mut self, path: &Path) -> Option<KnownFile<'a>> {
        let (parts, file) = self.parse(self.layout, path)?;
        if self.path_of(file.scope, file.day) != *path {
            return None;
        }
        self.scopes.get_mut(&parts)?.found.insert(file.day);
        Some(file)
    }

    /// The recorded file of the day that `path` names in another layout.
    pub fn find_in_other_layout(&self, path: &Path) -> Option<KnownFile<'a>> {
        Layout::ALL.into_iter().find_map(|layout| self.parse(layout, path)).map(|(_, file)| file)
    }

    /// The recorded files that were not found.
    pub fn missing(&self) -> impl Iterator<Item = KnownFile<'a>> {
        self.scopes.values().flat_map(|known| {
            let coverage: &'a ScopeCoverage = known.coverage;
            coverage
                .states()
                .filter(|(day, state)| state.file && !known.found.contains(day))
                .map(|(day, state)| KnownFile { scope: &coverage.scope, day, state })
        })
    }
}

/// Whether a run in progress plans to write the file at `path` of the table called `name`.
pub fn is_being_written(state: &State, name: &str, path: &Path) -> bool {
    // A snapshot is written with its list.
    let (planned, is_snapshot) = list_of(name).map_or((name, false), |list| (list, true));
    Layout::ALL.into_iter().filter_map(|layout| layout.parse(path)).any(|parsed| {
        let day = parsed.day.filter(|_| !is_snapshot);
        parsed
            .scope()
            .is_some_and(|scope| state.open_runs.values().any(|open| open.planned.contains(planned, &scope.key(), day)))
    })
}
