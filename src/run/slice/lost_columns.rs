//! Columns without a value in the new rows, although the request names them or the published file has values.

use std::collections::BTreeMap;

use crate::api::RequestOptions;
use crate::config::OnShrink;
use crate::model::column::Protect;
use crate::model::coverage::{DayState, ScopeCoverage};
use crate::model::day::Day;
use crate::model::slice::Slice;
use crate::run::error::RunError;
use crate::run::slice::context::SliceContext;
use crate::run::slice::run_to_completion::run_to_completion;
use crate::write::{FilledColumns, VerifiedSlice, filled_columns_of};

/// Bytes at the end of a published file that are read at first: more than an ordinary footer.
const FOOTER_BYTES: u64 = 128 * 1024;
/// Footers that are read at the same time.
const MAX_READS: usize = 8;

/// Those of `missing`, which no new row has, that the account is not known to lack: the newest published file has no value of a known one.
///
/// # Errors
/// [`RunError::Destination`].
pub async fn unknown_missing(
    cx: &SliceContext<'_>,
    slice: &Slice,
    missing: Vec<String>,
) -> Result<Vec<String>, RunError> {
    if missing.is_empty() {
        return Ok(missing);
    }
    let coverage = cx.ledger.coverage(slice).await;
    let states = coverage.iter().flat_map(ScopeCoverage::states);
    let Some((day, state)) = states.filter(|(_, state)| has_rows(state)).last() else {
        return Ok(missing);
    };
    let published = published_columns(cx, slice, day, state.bytes).await?;
    let is_known = |column: &String| {
        let fields = format!("{column}.");
        let mut of_column =
            published.iter().filter(|(name, _)| *name == column || name.starts_with(&fields)).peekable();
        of_column.peek().is_some() && of_column.all(|(_, filled)| !filled)
    };
    Ok(missing.into_iter().filter(|column| !is_known(column)).collect())
}

/// The first column of each day that has values in the published file and none in the new one.
///
/// # Errors
/// [`RunError::Destination`].
pub async fn lost_columns(
    cx: &SliceContext<'_>,
    slice: &Slice,
    options: &RequestOptions,
    whole: &VerifiedSlice,
) -> Result<BTreeMap<Option<Day>, String>, RunError> {
    let is_expected = |name: &str| {
        let column = name.split('.').next().unwrap_or(name);
        let is_dropped = slice.stream.protect.get(column) == Some(&Protect::Drop);
        !is_dropped && slice.stream.column(column).is_some() && !is_left_out(options, column)
    };
    let before = cx.ledger.coverage(slice).await;
    let reads = whole.days.iter().filter(|day| day.rows > 0).filter_map(|day| {
        let state = before.as_ref().and_then(|before| before.state(day.day)).filter(|state| has_rows(state))?;
        let filled = whole.filled_columns(day.day)?.iter();
        let empty: Vec<&String> =
            filled.filter(|(name, filled)| !**filled && is_expected(name)).map(|(name, _)| name).collect();
        let is_new = state.hash != day.hash.into() && cx.options.on_shrink != OnShrink::Accept;
        let bytes = state.bytes;
        (is_new && !empty.is_empty()).then_some(async move {
            let published = published_columns(cx, slice, day.day, bytes).await?;
            let lost = empty.into_iter().find(|name| published.get(*name) == Some(&true));
            Ok::<_, RunError>(lost.map(|name| (day.day, name.clone())))
        })
    });
    Ok(run_to_completion(reads, MAX_READS).await?.into_iter().flatten().collect())
}

/// Whether the request leaves out the member of `column`, such as `include.citation_details`, because the API rejects it.
pub fn is_left_out(options: &RequestOptions, column: &str) -> bool {
    options.without.iter().any(|member| member.ends_with(column))
}

/// Whether the published file has rows of the present table meaning. Without a proof they are of another one.
fn has_rows(state: &DayState) -> bool {
    state.file && state.rows > 0 && state.proof.is_some()
}

/// The columns of the published file of `day`, which had `bytes` when it was recorded; none if it is missing or damaged, which `verify`
/// reports.
async fn published_columns(
    cx: &SliceContext<'_>,
    slice: &Slice,
    day: Option<Day>,
    bytes: u64,
) -> Result<FilledColumns, RunError> {
    let destinations = &cx.settings.destinations;
    let path = destinations.layout.path_for(&slice.stream, &slice.scope, day);
    // The file may be another one than was recorded, or have a longer footer.
    for start in [bytes.saturating_sub(FOOTER_BYTES), 0] {
        let end = destinations.lake.read_end(&path, start).await?;
        if let Some(columns) = end.and_then(|end| filled_columns_of(&end, start + end.len() as u64)) {
            return Ok(columns);
        }
    }
    Ok(FilledColumns::new())
}
