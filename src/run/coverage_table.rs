//! The coverage table, made from the ledger.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::catalog::Catalog;
use crate::destination::{Destination, retry_write};
use crate::layout::Layout;
use crate::ledger::State;
use crate::ledger::{CoverageRow, coverage_parquet, coverage_path};
use crate::model::coverage::{DayState, ScopeCoverage};
use crate::model::day::Day;
use crate::model::day_status::{DayStatus, Finality};
use crate::model::forgotten::Forgotten;
use crate::model::stream::Stream;
use crate::plan::first_wanted_day;
use crate::run::error::RunError;

/// Writes the coverage table.
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
    let table = coverage_parquet(state.number, now, coverage_rows(state, catalog, layout, now)).map_err(|error| {
        RunError::ConfigMismatch {
            problem: format!("the coverage table cannot be made: {error}"),
            hint: "this is a fault of the program; please report it".into(),
        }
    })?;
    let path = coverage_path();
    match retry_write(|| lake.overwrite(&path, table.clone()), || true).await {
        // The ledger has everything that the table shows, so the run is as complete without it.
        Err(error) if error.is_occupied() => {
            tracing::warn!(%path, hint = error.hint(), "coverage table not written, a directory is in its place");
            Ok(())
        }
        written => Ok(written?),
    }
}

/// Every day of every stream and scope of the ledger, and those missing since the first day that any job exports. Lazy, one
/// scope at a time, so that the table needs little memory however large the lake is.
pub fn coverage_rows<'a>(
    state: &'a State,
    catalog: &'a Catalog,
    layout: Layout,
    now: Timestamp,
) -> impl Iterator<Item = CoverageRow<'a>> {
    state.coverage.iter().flat_map(move |(name, scopes)| {
        let stream = catalog.get(name);
        let kind = stream.and_then(|stream| stream.days.as_ref()).map(|days| days.kind).unwrap_or_default();
        let first =
            |(job, start): (&String, &Day)| first_wanted_day(kind, *start, state.single_starts.get(job).copied());
        let start = state.starts.iter().map(first).min();
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
        rows: state.filter(|state| state.extracted_at.is_some()).map(|state| state.rows),
        proof: state.and_then(|state| state.proof).map(|proof| proof.name()),
        extracted_at: state.and_then(|state| state.extracted_at),
        changed_at: state.and_then(|state| state.changed_at),
        path: state.filter(|state| state.file).map(|_| path(day).to_string()),
        problem: state.and_then(|state| state.problem()),
    };
    let mut rows = Vec::new();
    if let Some(denied) = &coverage.not_entitled {
        rows.push(CoverageRow { problem: Some(&denied.detail), ..row(None, DayStatus::NotEntitled, None) });
    }
    if let Some(whole) = &coverage.whole {
        rows.push(row(None, DayStatus::of(Some(whole), None), Some(whole)));
    }
    let Some(finality) = Finality::of_table(name, stream.map(Arc::as_ref)) else {
        return rows;
    };
    // Recorded days, and missing ones; a scope without entitlement misses nothing.
    let mut shown: BTreeSet<Day> = coverage.days.keys().copied().collect();
    // Snapshots that were not taken cannot be taken any more, so none is missing.
    if let (Finality::Lookback(days), Some(start), None) = (finality, start, &coverage.not_entitled) {
        // Forgotten days are not missing: they have no row at all.
        let is_missing = |day: &Day| !forgotten.covers(name, &coverage.scope, Some(*day));
        shown.extend(days.complete(start, now).filter(is_missing));
    }
    for day in shown {
        let state = coverage.days.get(&day);
        rows.push(row(Some(day), DayStatus::of(state, finality.final_from(day, now)), state));
    }
    rows
}
