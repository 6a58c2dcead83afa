//! What slices ask of the ledger, and the coverage table made from it.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::catalog::Catalog;
use crate::destination::{Destination, OWN_DIRECTORY, retry_write};
use crate::layout::Layout;
use crate::ledger::{CoverageRow, coverage_parquet};
use crate::ledger::{DayEntry, Entry, State, TableMeaning};
use crate::model::coverage::{DayState, ScopeCoverage};
use crate::model::day::Day;
use crate::model::day_status::{DayStatus, Finality};
use crate::model::forgotten::Forgotten;
use crate::model::slice::Slice;
use crate::model::stream::Stream;
use crate::run::context::RunContext;
use crate::run::error::RunError;

impl RunContext<'_> {
    /// What is known of the slice's stream and scope.
    pub async fn coverage_of(&self, slice: &Slice) -> Option<ScopeCoverage> {
        self.coverage_and_number(slice).await.0
    }

    /// What is known of the slice's stream and scope, and the number of the record up to which that holds.
    pub async fn coverage_and_number(&self, slice: &Slice) -> (Option<ScopeCoverage>, u64) {
        let ledger = self.ledger.lock().await;
        let state = ledger.state();
        (state.scope(&slice.stream.name, &slice.scope.key()).cloned(), state.number)
    }

    /// Those days of the slice, or the list, that were forgotten, perhaps since it was planned. Reads the tail of the ledger.
    ///
    /// # Errors
    /// [`RunError::Ledger`].
    pub async fn forgotten(&self, slice: &Slice) -> Result<BTreeSet<Option<Day>>, RunError> {
        let mut ledger = self.ledger.lock().await;
        ledger.refresh().await?;
        let forgotten = &ledger.state().forgotten;
        let is_forgotten = |day: &Option<Day>| forgotten.covers(&slice.stream.name, &slice.scope, *day);
        Ok(slice.recorded_days().into_iter().filter(is_forgotten).collect())
    }

    /// Whether another process has read the slice since this run began, or has forgotten it. Reads the tail of the ledger.
    ///
    /// # Errors
    /// [`RunError::Ledger`].
    pub async fn is_done_elsewhere(&self, slice: &Slice) -> Result<bool, RunError> {
        let mut ledger = self.ledger.lock().await;
        ledger.refresh().await?;
        let (stream, scope) = (&slice.stream.name, slice.scope.key());
        let forgotten = &ledger.state().forgotten;
        if slice.recorded_days().into_iter().all(|day| forgotten.covers(stream, &slice.scope, day)) {
            return Ok(true);
        }
        let Some(coverage) = ledger.state().scope(stream, &scope) else {
            return Ok(false);
        };
        let fresh = |day: Option<Day>| {
            let sound = coverage.state(day).is_some_and(|state| !state.stale && state.suspect.is_none());
            sound && ledger.was_read_elsewhere(stream, &scope, day)
        };
        Ok(slice.recorded_days().into_iter().all(fresh))
    }

    /// Days of the slice for which a file stands, which a file without rows must replace when there are none any more.
    pub async fn standing(&self, slice: &Slice) -> BTreeSet<Option<Day>> {
        let Some(coverage) = self.coverage_of(slice).await else {
            return BTreeSet::new();
        };
        let stands = |day: &Option<Day>| coverage.state(*day).is_some_and(|state| state.file);
        slice.recorded_days().into_iter().filter(stands).collect()
    }

    /// Whether a killed run may have overwritten the file of `day` after it was recorded.
    pub async fn is_doubtful(&self, slice: &Slice, day: Option<Day>) -> bool {
        let ledger = self.ledger.lock().await;
        ledger.state().is_doubtful(&slice.stream.name, &slice.scope.key(), day, Some(self.run_id))
    }

    /// What must be recorded of the slice's table before its first row, or when it has got a column.
    pub async fn table_entry(&self, slice: &Slice) -> Vec<Entry> {
        let meaning = TableMeaning::of(&slice.stream);
        let ledger = self.ledger.lock().await;
        match ledger.state().tables.get(&slice.stream.name) == Some(&meaning) {
            true => Vec::new(),
            false => vec![Entry::Table { stream: slice.stream.name.clone(), meaning }],
        }
    }

    /// That a slice is doubtful.
    pub fn suspect(&self, slice: &Slice, problem: &str, awaiting: Vec<DayEntry>) -> Entry {
        Entry::Suspect {
            run: self.run_id,
            stream: slice.stream.name.clone(),
            scope: slice.scope.clone(),
            window: slice.recorded_window(),
            problem: problem.to_owned(),
            awaiting,
        }
    }
}

/// Writes the coverage table anew.
///
/// # Errors
/// [`RunError::Destination`].
pub async fn write_coverage(
    lake: &Destination,
    layout: Layout,
    state: &State,
    catalog: &Catalog,
    now: Timestamp,
) -> Result<(), RunError> {
    let table =
        coverage_parquet(coverage_rows(state, catalog, layout, now)).map_err(|error| RunError::ConfigMismatch {
            problem: format!("the coverage table cannot be made: {error}"),
            hint: "this is a fault of the program; please report it".into(),
        })?;
    let path = object_store::path::Path::from_iter([OWN_DIRECTORY, "coverage.parquet"]);
    Ok(retry_write(|| lake.overwrite(&path, table.clone()), || true).await?)
}

/// Every day of every stream and scope of the ledger, and those missing since the first day any job wants. Made one
/// scope at a time, as they are asked for.
pub fn coverage_rows<'a>(
    state: &'a State,
    catalog: &'a Catalog,
    layout: Layout,
    now: Timestamp,
) -> impl Iterator<Item = CoverageRow<'a>> {
    let start = state.starts.values().min().copied();
    state.coverage.iter().flat_map(move |(name, scopes)| {
        let stream = catalog.get(name);
        let rows = move |coverage| scope_rows(name, stream, coverage, &state.forgotten, start, layout, now);
        scopes.values().flat_map(rows)
    })
}

fn scope_rows<'a>(
    name: &'a str,
    stream: Option<&'a Arc<Stream>>,
    coverage: &'a ScopeCoverage,
    forgotten: &Forgotten,
    start: Option<Day>,
    layout: Layout,
    now: Timestamp,
) -> Vec<CoverageRow<'a>> {
    let path = |day| match stream {
        Some(stream) => layout.path_for(stream, &coverage.scope, day),
        None => layout.data_path(name, &coverage.scope, day),
    };
    let row = |day: Option<Day>, status: DayStatus, state: Option<&'a DayState>| CoverageRow {
        stream: name,
        scope: &coverage.scope,
        day,
        status,
        rows: state.filter(|state| state.read_at.is_some()).map(|state| state.rows),
        proof: state.and_then(|state| state.proof).map(|proof| proof.name()),
        extracted_at: state.and_then(|state| state.read_at),
        changed_at: state.and_then(|state| state.changed_at),
        path: state.filter(|state| state.file).map(|_| path(day).to_string()),
        problem: state.and_then(|state| state.problem()),
    };
    let mut rows = Vec::new();
    if let Some(told) = &coverage.not_entitled {
        rows.push(CoverageRow { problem: Some(&told.detail), ..row(None, DayStatus::NotEntitled, None) });
    }
    if let Some(whole) = &coverage.whole {
        rows.push(row(None, DayStatus::of(Some(whole), None), Some(whole)));
    }
    let Some(finality) = Finality::of_table(name, stream.map(Arc::as_ref)) else {
        return rows;
    };
    // What is there, wherever it came from, and what is wanted and not there; a scope that may not be read lacks nothing.
    let mut shown: BTreeSet<Day> = coverage.days.keys().copied().collect();
    // Snapshots that were not taken cannot be taken any more, so none is missing.
    if let (Finality::Lookback(days), Some(start), None) = (finality, start, &coverage.not_entitled) {
        // Nobody misses what was forgotten: it has no row at all.
        let is_missed = |day: &Day| !forgotten.covers(name, &coverage.scope, Some(*day));
        shown.extend(coverage.wanted(days, start, now).filter(is_missed));
    }
    for day in shown {
        let state = coverage.days.get(&day);
        rows.push(row(Some(day), DayStatus::of(state, finality.final_from(day, now)), state));
    }
    rows
}
