//! A slice that is made of many requests, one for each row of its parent. Children whose parent has not changed keep their
//! rows of the published file; the others are requested one after the other.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicU64;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use jiff::{SignedDuration, Timestamp};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::sync::mpsc::Sender;

use crate::api::{ApiError, RequestOptions, SliceRequest, Variables};
use crate::error_text::error_chain;
use crate::model::proof::Proof;
use crate::model::response_totals::ResponseTotals;
use crate::model::slice::Slice;
use crate::run::disposition::FailureScope;
use crate::run::error::RunError;
use crate::run::slice::attempt::SliceAttempt;
use crate::run::slice::context::SliceContext;
use crate::run::slice::decode::RowInput;
use crate::run::slice::parents::Child;
use crate::run::slice::prefetch::prefetch_verified;

/// First requests of a slice that may fail before the others are not sent.
const MAX_FIRST_FAILURES: usize = 3;
/// A parent that changed this shortly before its children were requested may have changed after.
const CHANGE_MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// The requests of a fan-out that must be sent, and the published rows of all of them.
pub struct PendingRequests {
    pub children: Vec<Child>,
    unchanged: HashSet<Variables>,
    published: Vec<RecordBatch>,
    variable_names: Vec<String>,
}

/// The results of the requests of a fan-out.
pub struct ChildResults {
    pub totals: ResponseTotals,
    /// What failed while other requests succeeded.
    pub incomplete: Option<String>,
    pub failed: HashSet<Variables>,
}

impl PendingRequests {
    /// Those of `children` that have changed since their published rows were extracted, or have none.
    ///
    /// # Errors
    /// [`RunError::Destination`] if the published file cannot be read.
    pub async fn new(
        cx: &SliceContext<'_>,
        slice: &Slice,
        children: Vec<Child>,
        schema: &SchemaRef,
    ) -> Result<Self, RunError> {
        let variable_names: Vec<String> =
            children.first().map(|child| child.variables.keys().cloned().collect()).unwrap_or_default();
        let published = published_rows(cx, slice, schema).await?;
        let mut extracted: HashMap<Variables, Timestamp> = HashMap::new();
        for batch in published.iter().filter(|_| !cx.options.rewrite) {
            for row in 0..batch.num_rows() {
                extracted.extend(variables_of(batch, &variable_names, row).zip(extracted_at(batch, row)));
            }
        }
        let is_unchanged = |child: &Child| match (child.changed, extracted.get(&child.variables)) {
            (Some(changed), Some(extracted)) => *extracted > changed + CHANGE_MARGIN,
            _ => false,
        };
        let (unchanged, children): (Vec<Child>, Vec<Child>) = children.into_iter().partition(is_unchanged);
        let unchanged = unchanged.into_iter().map(|child| child.variables).collect();
        Ok(Self { children, unchanged, published, variable_names })
    }

    pub fn unchanged_rows(&self) -> Vec<RecordBatch> {
        self.rows_of(&self.unchanged)
    }

    /// The published rows of the requests with these variables.
    pub fn rows_of(&self, wanted: &HashSet<Variables>) -> Vec<RecordBatch> {
        let rows = |batch: &RecordBatch| -> Option<RecordBatch> {
            let is_wanted = (0..batch.num_rows()).map(|row| {
                variables_of(batch, &self.variable_names, row).is_some_and(|variables| wanted.contains(&variables))
            });
            filter_record_batch(batch, &BooleanArray::from(is_wanted.collect::<Vec<bool>>())).ok()
        };
        self.published.iter().filter_map(rows).collect()
    }
}

/// The rows of the published file of a slice that has one file; none if it cannot be trusted.
async fn published_rows(
    cx: &SliceContext<'_>,
    slice: &Slice,
    schema: &SchemaRef,
) -> Result<Vec<RecordBatch>, RunError> {
    let mark = slice.recorded_days().first().copied().flatten();
    let coverage = cx.ledger.coverage(slice).await;
    let state = coverage.as_ref().and_then(|coverage| coverage.state(mark));
    if !state.is_some_and(|state| state.file && !state.stale) || cx.ledger.may_be_overwritten(slice, mark).await {
        return Ok(Vec::new());
    }
    let path = cx.settings.destinations.layout.path_for(&slice.stream, &slice.scope, mark);
    let bytes = cx.settings.destinations.lake.read(&path).await?;
    Ok(bytes.and_then(|bytes| rows_of_file(bytes, schema)).unwrap_or_default())
}

/// Sends the requests of a slice one after the other, and passes on the rows of each once it is complete. `has_kept_rows`
/// says whether the slice keeps other rows of the published file.
///
/// # Errors
/// A failure that reaches further than its request, or the first one if no request succeeded.
pub async fn request_children(
    cx: &SliceContext<'_>,
    attempt: &SliceAttempt,
    options: &RequestOptions,
    children: Vec<Child>,
    has_kept_rows: bool,
    rows: &Sender<RowInput>,
    requests: &AtomicU64,
) -> Result<ChildResults, RunError> {
    let (slice, transport) = (&attempt.slice, attempt.transport);
    let all = children.len();
    let mut results =
        ChildResults { totals: ResponseTotals::new(Proof::Body), incomplete: None, failed: HashSet::new() };
    let (mut succeeded, mut gone, mut problems) = (0, None, Vec::new());
    for child in children {
        let request = SliceRequest { slice, transport, options, variables: &child.variables };
        match prefetch_verified(&request, &cx.settings.client, requests).await {
            Ok(prefetched) => {
                succeeded += 1;
                results.totals.add_page(prefetched.totals.rows, None);
                for block in prefetched.blocks {
                    if rows.send(RowInput::Block(block)).await.is_err() {
                        return Ok(results);
                    }
                }
            }
            // Deleted since its parent was requested, or never present in this variant.
            Err(error @ RunError::Api(ApiError::NotEntitled { status: 404, .. })) => gone = Some(error),
            Err(error) if error.disposition().scope > FailureScope::Slice => return Err(error),
            Err(error) => {
                let is_denied = matches!(error, RunError::Api(ApiError::NotEntitled { .. }));
                results.failed.insert(child.variables);
                problems.push(error);
                if problems.len() > MAX_FIRST_FAILURES && succeeded == 0 && !is_denied {
                    return Err(problems.remove(0));
                }
            }
        }
    }
    match (succeeded, problems.len(), gone) {
        (0, 1.., _) if !has_kept_rows => Err(problems.remove(0)),
        (0, 0, Some(error)) if !has_kept_rows => Err(error),
        (_, 0, _) => Ok(results),
        (_, count, _) => {
            let incomplete = format!("{count} of {all} requests failed, the first: {}", error_chain(&problems[0]));
            Ok(ChildResults { incomplete: Some(incomplete), ..results })
        }
    }
}

/// The rows of a file, if it has the columns that the table has now.
fn rows_of_file(bytes: bytes::Bytes, schema: &SchemaRef) -> Option<Vec<RecordBatch>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).ok()?;
    let columns = |schema: &SchemaRef| -> Vec<_> {
        schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
    };
    if columns(reader.schema()) != columns(schema) {
        return None;
    }
    let batches = reader.build().ok()?.collect::<Result<Vec<_>, _>>().ok()?;
    let with_schema = |batch: RecordBatch| RecordBatch::try_new(schema.clone(), batch.columns().to_vec()).ok();
    batches.into_iter().map(with_schema).collect()
}

fn variables_of(batch: &RecordBatch, names: &[String], row: usize) -> Option<Variables> {
    let text = |name: &String| -> Option<(String, String)> {
        let column = batch.column_by_name(name)?.as_string_opt::<i32>()?;
        column.is_valid(row).then(|| (name.clone(), column.value(row).to_owned()))
    };
    names.iter().map(text).collect()
}

fn extracted_at(batch: &RecordBatch, row: usize) -> Option<Timestamp> {
    let column = batch.column_by_name("_extracted_at")?.as_primitive_opt::<TimestampMicrosecondType>()?;
    Timestamp::from_microsecond(column.value(row)).ok()
}
