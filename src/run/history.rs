//! The daily snapshot of a list, in a table of its own: read once, written to both.

use std::sync::Arc;

use jiff::Timestamp;

use crate::ledger::{DayEntry, Entry, SliceEntry, TableMeaning};
use crate::model::day::Day;
use crate::model::history::{history_of, snapshot_day};
use crate::model::slice::Slice;
use crate::model::window::Window;
use crate::run::context::RunContext;
use crate::run::error::RunError;
use crate::run::publish::{empty_day, publish_day};
use crate::write::{WholeSlice, snapshot};

/// A slice of the table of snapshots, where a list that was read at `at` leaves one.
pub fn snapshot_slice(cx: &RunContext<'_>, list: &Slice, at: Timestamp) -> Option<Slice> {
    let is_list = list.window.is_none() && list.stream.days.is_none();
    (cx.list_snapshots && is_list).then(|| Slice {
        stream: Arc::new(history_of(&list.stream)),
        scope: list.scope.clone(),
        window: Some(Window::from_day(snapshot_day(at))),
    })
}

/// Publishes the snapshot of `list`, which is published already, and says what must be recorded of it.
///
/// A second one of the same day replaces the first; one that says the same is not written again.
///
/// # Errors
/// [`RunError::Write`], [`RunError::Destination`] or [`RunError::Worker`].
pub async fn publish_snapshot(
    cx: &RunContext<'_>,
    list: &Slice,
    to: &Slice,
    whole: &WholeSlice,
    extracted_at: Timestamp,
) -> Result<Vec<Entry>, RunError> {
    let day = snapshot_day(extracted_at);
    let before = cx.coverage_of(to).await;
    let entry = match whole.days.first() {
        Some(file) => publish_file(cx, list, to, file, day, before.as_ref()).await?,
        // A list that never had a row has no file, and leaves none.
        None => empty_day(to, Some(day)),
    };
    let mut entries = cx.table_entry(to).await;
    entries.push(Entry::Slice(SliceEntry {
        run: cx.run_id,
        stream: to.stream.name.clone(),
        fingerprint: TableMeaning::of(&to.stream).fingerprint(),
        scope: to.scope.clone(),
        window: to.window,
        proof: whole.proof,
        total: whole.told.total,
        rows: whole.told.rows,
        outside: 0,
        // The list paid for them.
        requests: 0,
        extracted_at,
        days: vec![entry],
    }));
    Ok(entries)
}

async fn publish_file(
    cx: &RunContext<'_>,
    list: &Slice,
    to: &Slice,
    file: &crate::write::WholeDay,
    day: Day,
    before: Option<&crate::model::coverage::ScopeCoverage>,
) -> Result<DayEntry, RunError> {
    let same = crate::write::WholeDay { day: Some(day), ..file.clone() };
    if let Some(entry) = cx.unchanged(to, &same, before).await {
        return Ok(entry);
    }
    let (slice, file, dir) = (list.clone(), file.clone(), cx.spool.begin_beside()?);
    let compression = cx.settings.destinations.compression;
    let copying = tokio::task::spawn_blocking(move || snapshot(&slice, &file, day, compression, dir)).await;
    let copy = copying.map_err(|_| RunError::WorkerPanicked { slice: to.to_string() })??;
    publish_day(cx, to, &copy.whole, before).await
}
