//! The daily snapshot of a list, in a table of its own: requested once, written to both.

use std::sync::Arc;

use jiff::Timestamp;

use crate::model::history::{history_of, snapshot_day};
use crate::model::slice::Slice;
use crate::model::window::Window;
use crate::run::error::RunError;
use crate::run::slice::context::SliceContext;
use crate::write::{SliceDir, SpooledFile, write_snapshot};

/// The slice of the snapshot table that the list `list`, extracted at `at`, fills; `None` if it leaves no snapshot.
pub fn snapshot_slice(cx: &SliceContext<'_>, list: &Slice, at: Timestamp) -> Option<Slice> {
    let is_list = list.window.is_none() && list.stream.days.is_none();
    (cx.options.list_snapshots && is_list).then(|| Slice {
        stream: Arc::new(history_of(&list.stream)),
        scope: list.scope.clone(),
        window: Some(Window::from_day(snapshot_day(at))),
    })
}

/// Copies the file of `list` to one of the snapshot table, in the spool.
///
/// # Errors
/// [`RunError::Write`] or [`RunError::WorkerPanicked`].
pub async fn snapshot_file(
    cx: &SliceContext<'_>,
    list: &Slice,
    to: &Slice,
    file: &SpooledFile,
) -> Result<(SpooledFile, SliceDir), RunError> {
    let day = to.window.map_or_else(|| snapshot_day(cx.now()), |window| window.start);
    let (list, file, dir) = (list.clone(), file.clone(), cx.spool.create_extra_dir()?);
    let compression = cx.settings.destinations.compression;
    Ok(cx.worker.run(to, move || write_snapshot(&list, &file, day, compression, dir)).await??)
}
