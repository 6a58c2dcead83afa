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

use crate::api::{ApiError, RequestFacts, SliceRequest, Variables};
use crate::error_text::error_chain;
use crate::model::block::Block;
use crate::model::proof::Proof;
use crate::model::response_totals::ResponseTotals;
use crate::model::slice::Slice;
use crate::run::context::RunContext;
use crate::run::discover::hold;
use crate::run::disposition::FailureScope;
use crate::run::error::RunError;
use crate::run::parents::Child;
use crate::run::read::Piece;
use crate::write::proof_of;

/// First requests of a slice that may fail before the others are not made.
const MOST_FAILED: usize = 3;
/// A parent that changed so shortly before its children were read may have changed after.
const SAME_TIME: SignedDuration = SignedDuration::from_mins(5);

/// The requests that must be made, and what the table holds of them all.
pub struct Due {
    /// The requests.
    pub children: Vec<Child>,
    unchanged: HashSet<Variables>,
    standing: Vec<RecordBatch>,
    names: Vec<String>,
}

/// What came of the requests of a slice.
pub struct Answers {
    pub told: ResponseTotals,
    /// What failed while the others succeeded, in words.
    pub incomplete: Option<String>,
    /// Which requests that were.
    pub failed: HashSet<Variables>,
}

impl Answers {
    /// Answers of which none is missing.
    pub fn whole(told: ResponseTotals) -> Self {
        Self { told, incomplete: None, failed: HashSet::new() }
    }
}

impl Due {
    /// The rows of requests that need not be made again.
    pub fn kept(&self) -> Vec<RecordBatch> {
        self.rows_of(&self.unchanged)
    }

    /// The rows that the table holds of the requests with these variables.
    pub fn rows_of(&self, wanted: &HashSet<Variables>) -> Vec<RecordBatch> {
        let rows = |batch: &RecordBatch| -> Option<RecordBatch> {
            let is_wanted = (0..batch.num_rows())
                .map(|row| variables_of(batch, &self.names, row).is_some_and(|variables| wanted.contains(&variables)));
            filter_record_batch(batch, &BooleanArray::from(is_wanted.collect::<Vec<bool>>())).ok()
        };
        self.standing.iter().filter_map(rows).collect()
    }
}

impl RunContext<'_> {
    /// Which of `children` are asked: those that changed since their rows in the table were read, or have none.
    ///
    /// # Errors
    /// [`RunError::Destination`] when the table as it stands cannot be read.
    pub async fn due(&self, slice: &Slice, children: Vec<Child>, schema: &SchemaRef) -> Result<Due, RunError> {
        let names = children.first().map(|child| child.variables.keys().cloned().collect()).unwrap_or_default();
        let standing = self.standing_rows(slice, schema).await?;
        let mut due = Due { children, unchanged: HashSet::new(), standing, names };
        if self.rewrite {
            return Ok(due);
        }
        let mut read_at: HashMap<Variables, Timestamp> = HashMap::new();
        for batch in &due.standing {
            for row in 0..batch.num_rows() {
                if let (Some(variables), Some(at)) = (variables_of(batch, &due.names, row), extracted_at(batch, row)) {
                    read_at.insert(variables, at);
                }
            }
        }
        let is_unchanged = |child: &Child| match (child.changed, read_at.get(&child.variables)) {
            (Some(changed), Some(read)) => changed + SAME_TIME < *read,
            _ => false,
        };
        let (unchanged, children): (Vec<Child>, Vec<Child>) = due.children.into_iter().partition(is_unchanged);
        due.unchanged = unchanged.into_iter().map(|child| child.variables).collect();
        due.children = children;
        Ok(due)
    }

    /// The rows of the file that stands for a slice of one file, none where it cannot be trusted.
    async fn standing_rows(&self, slice: &Slice, schema: &SchemaRef) -> Result<Vec<RecordBatch>, RunError> {
        let mark = slice.recorded_days().first().copied().flatten();
        let coverage = self.coverage_of(slice).await;
        let stands = coverage.as_ref().and_then(|coverage| coverage.state(mark));
        if !stands.is_some_and(|state| state.file && !state.stale) || self.is_doubtful(slice, mark).await {
            return Ok(Vec::new());
        }
        let path = self.settings.destinations.layout.path_for(&slice.stream, &slice.scope, mark);
        let bytes = self.settings.destinations.lake.read(&path).await?;
        Ok(bytes.and_then(|bytes| rows_of_file(bytes, schema)).unwrap_or_default())
    }

    /// Makes the requests of a slice one after the other, and sends what each brings once it is whole. `taken_over` says
    /// whether other rows of the slice are taken over from the table.
    ///
    /// # Errors
    /// What stops the run, or the first failure when nothing succeeded.
    pub async fn ask_children(
        &self,
        piece: &Piece,
        facts: &RequestFacts,
        children: Vec<Child>,
        taken_over: bool,
        blocks: Sender<Block>,
        spent: &AtomicU64,
    ) -> Result<Answers, RunError> {
        let slice = &piece.slice;
        let all = children.len();
        let mut told = ResponseTotals::new(Proof::Body);
        let (mut answered, mut gone, mut problems, mut failed) = (0, None, Vec::new(), HashSet::new());
        for child in children {
            let asked = SliceRequest { slice, transport: piece.transport, facts, variables: &child.variables };
            let held = hold(&asked, &self.settings.client, spent).await;
            let held = held.and_then(|held| match proof_of(&held.told, slice.stream.total) {
                Ok(_) => Ok(held),
                Err(doubt) => Err(RunError::Unproven { slice: slice.to_string(), doubt, transport: piece.transport }),
            });
            match held {
                Ok(held) => {
                    answered += 1;
                    told.add_page(held.told.rows, None);
                    for block in held.blocks {
                        if blocks.send(block).await.is_err() {
                            return Ok(Answers::whole(told));
                        }
                    }
                }
                // Gone since its parent was read, or never there in this variant.
                Err(error @ RunError::Api(ApiError::NotEntitled { status: 404, .. })) => gone = Some(error),
                Err(error) if error.disposition().scope > FailureScope::Slice => return Err(error),
                Err(error) => {
                    let is_refusal = matches!(error, RunError::Api(ApiError::NotEntitled { .. }));
                    failed.insert(child.variables);
                    problems.push(error);
                    if MOST_FAILED < problems.len() && answered == 0 && !is_refusal {
                        return Err(problems.remove(0));
                    }
                }
            }
        }
        match (answered, problems.len(), gone) {
            (0, 1.., _) if !taken_over => Err(problems.remove(0)),
            // Where rows are taken over, one that is gone is only that.
            (0, 0, Some(error)) if !taken_over => Err(error),
            (_, 0, _) => Ok(Answers::whole(told)),
            (_, count, _) => {
                let incomplete = format!("{count} of {all} requests failed, the first: {}", error_chain(&problems[0]));
                Ok(Answers { told, incomplete: Some(incomplete), failed })
            }
        }
    }
}

/// The rows of a file of the table, when it has the columns that the table has now.
fn rows_of_file(bytes: bytes::Bytes, schema: &SchemaRef) -> Option<Vec<RecordBatch>> {
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
