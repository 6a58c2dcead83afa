//! A slice that is made of many requests: those whose parents have not changed are taken over from the table as it
//! stands, the others are asked one after the other.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicU64;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use jiff::{SignedDuration, Timestamp};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::sync::mpsc::Sender;

use crate::api::{ApiError, Asked, RequestFacts, Variables};
use crate::model::block::Block;
use crate::model::proof::Proof;
use crate::model::slice::Slice;
use crate::model::told::Told;
use crate::run::context::RunContext;
use crate::run::discover::hold;
use crate::run::error::RunError;
use crate::run::parents::Child;
use crate::run::read::Piece;
use crate::write::proof_of;

/// Requests of a slice that may fail before the whole slice does.
const MOST_FAILED: usize = 3;
/// A parent that changed so shortly before its children were read may have changed after.
const SAME_TIME: SignedDuration = SignedDuration::from_mins(5);

/// The requests that must be made, and the rows that need not be asked for again.
pub struct Due {
    pub children: Vec<Child>,
    pub kept: Vec<RecordBatch>,
}

/// What came of the requests of a slice.
pub struct Answers {
    pub told: Told,
    /// What failed while the others succeeded, in words.
    pub incomplete: Option<String>,
}

impl RunContext<'_> {
    /// Which of `children` are asked: those that changed since their rows in the table were read, or have none.
    ///
    /// # Errors
    /// [`RunError::Destination`] when the table as it stands cannot be read.
    pub async fn due(&self, slice: &Slice, children: Vec<Child>, schema: &SchemaRef) -> Result<Due, RunError> {
        let all = |children| Ok(Due { children, kept: Vec::new() });
        if self.rewrite || children.iter().all(|child| child.changed.is_none()) {
            return all(children);
        }
        let state = self.coverage_of(slice).await.and_then(|coverage| coverage.whole);
        if !state.is_some_and(|state| state.file && !state.stale) || self.is_doubtful(slice, None).await {
            return all(children);
        }
        let path = self.settings.destinations.layout.path_for(&slice.stream, &slice.scope, None);
        let Some(bytes) = self.settings.destinations.lake.read(&path).await? else {
            return all(children);
        };
        let batches = standing_rows(bytes, schema).unwrap_or_default();
        let names: Vec<String> =
            children.first().map(|child| child.variables.keys().cloned().collect()).unwrap_or_default();
        let mut read_at: HashMap<Variables, Timestamp> = HashMap::new();
        for batch in &batches {
            for row in 0..batch.num_rows() {
                if let (Some(variables), Some(at)) = (variables_of(batch, &names, row), extracted_at(batch, row)) {
                    read_at.insert(variables, at);
                }
            }
        }
        let unchanged = |child: &Child| match (child.changed, read_at.get(&child.variables)) {
            (Some(changed), Some(read)) => changed + SAME_TIME < *read,
            _ => false,
        };
        let (unchanged, children): (Vec<Child>, Vec<Child>) = children.into_iter().partition(unchanged);
        let unchanged: HashSet<Variables> = unchanged.into_iter().map(|child| child.variables).collect();
        let stays = |batch: &RecordBatch| -> Option<RecordBatch> {
            let rows = (0..batch.num_rows())
                .map(|row| variables_of(batch, &names, row).is_some_and(|variables| unchanged.contains(&variables)));
            filter_record_batch(batch, &BooleanArray::from(rows.collect::<Vec<bool>>())).ok()
        };
        let kept = batches.iter().filter_map(stays).collect();
        Ok(Due { children, kept })
    }

    /// Makes the requests of a slice one after the other, and sends what each brings once it is whole.
    ///
    /// # Errors
    /// What stops the run, or the first failure when nothing or too much failed.
    pub async fn ask_children(
        &self,
        piece: &Piece,
        facts: &RequestFacts,
        children: Vec<Child>,
        blocks: Sender<Block>,
        spent: &AtomicU64,
    ) -> Result<Answers, RunError> {
        let slice = &piece.slice;
        let all = children.len();
        let mut told = Told::new(Proof::Body);
        let (mut answered, mut refused, mut failed) = (0, None, Vec::new());
        for child in children {
            let asked = Asked { slice, transport: piece.transport, facts, variables: &child.variables };
            let held = hold(&asked, &self.settings.client, spent).await;
            let held = held.and_then(|held| match proof_of(&held.told, slice.stream.total) {
                Ok(_) => Ok(held),
                Err(doubt) => Err(RunError::Doubt { what: slice.to_string(), doubt }),
            });
            match held {
                Ok(held) => {
                    answered += 1;
                    told.add_page(held.told.rows, None);
                    for block in held.blocks {
                        if blocks.send(block).await.is_err() {
                            return Ok(Answers { told, incomplete: None });
                        }
                    }
                }
                // Gone since its parent was read, or never there in this variant.
                Err(RunError::Api(ApiError::NotEntitled { status: 404, .. })) => answered += 1,
                Err(error @ RunError::Api(ApiError::NotEntitled { .. })) => refused = refused.or(Some(error)),
                Err(error) if ends_all(&error) || MOST_FAILED <= failed.len() => return Err(error),
                Err(error) => failed.push(error),
            }
        }
        match (answered, refused, failed.len()) {
            (0, Some(error), 0) => Err(error),
            (0, _, 1..) => Err(failed.remove(0)),
            (_, _, 0) => Ok(Answers { told, incomplete: None }),
            (_, _, count) => {
                let incomplete = format!("{count} of {all} requests failed, the first: {}", failed.remove(0));
                Ok(Answers { told, incomplete: Some(incomplete) })
            }
        }
    }
}

/// Whether the requests that follow would fail alike.
fn ends_all(error: &RunError) -> bool {
    let out_of_reach = matches!(error, RunError::Api(ApiError::Unreachable { .. }) | RunError::Write(_));
    error.is_fatal() || out_of_reach
}

/// The rows of a file of the table, when it has the columns that the table has now.
fn standing_rows(bytes: bytes::Bytes, schema: &SchemaRef) -> Option<Vec<RecordBatch>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).ok()?;
    let alike = |stands: &SchemaRef| {
        let of = |schema: &SchemaRef| -> Vec<_> {
            schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
        };
        of(stands) == of(schema)
    };
    if !alike(reader.schema()) {
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
