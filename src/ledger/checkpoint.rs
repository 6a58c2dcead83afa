//! A checkpoint: the state as one Parquet file, with a row for each day and list.
//!
//! Rows are sorted by stream, scope and day. The metadata of the file contains the rest as JSON: [`State`] without its coverage, and
//! the scopes and streams that rows refer to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow_array::builder::FixedSizeBinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int64Type, UInt32Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, Date32Array, Int64Array, PrimitiveArray, RecordBatch,
    StringArray, UInt32Array, UInt64Array,
};
use arrow_schema::ArrowError;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::ledger::error::CheckpointError;
use crate::ledger::record::{FORGETTING_FORMAT, FORMAT, NEWEST_FORMAT};
use crate::ledger::state::State;
use crate::model::compact_timestamp::CompactTimestamp;
use crate::model::content_hash::ContentHash;
use crate::model::coverage::{Coverage, DayState, NotEntitled, ScopeCoverage, Suspect};
use crate::model::day::Day;
use crate::model::proof::Proof;
use crate::model::scope::Scope;

const BATCH: usize = 8 * 1024;
/// What a writer and a reader hold in memory.
const ROW_GROUP_ROWS: usize = 128 * 1024;
/// Upper bound in an ordinary lake, so that the buffer does not move while it grows.
const BYTES_PER_ROW: usize = 40;
/// Metadata key of the JSON.
const HEAD: &str = "profound_export.state";

/// The metadata.
#[derive(Serialize, Deserialize)]
struct Head<S> {
    format: u32,
    state: S,
    /// Each scope once; streams refer to them by index.
    scopes: Vec<Scope>,
    /// The scopes of each stream. A row refers to one by its index among all.
    streams: BTreeMap<String, Vec<StoredScope>>,
}

/// One scope of one stream.
#[derive(Serialize, Deserialize)]
struct StoredScope {
    scope: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_entitled: Option<NotEntitled>,
}

/// One day or list, and the index of its stream and scope.
type Row<'a> = (u32, Option<Day>, &'a DayState);

impl State {
    /// The bytes of a checkpoint. Yields to other tasks, since a large one takes a second.
    pub async fn to_checkpoint(&self) -> Result<Bytes, ParquetError> {
        let batch = columns(&[])?;
        let rows = self.coverage.values().flat_map(BTreeMap::values).map(|scope| scope.days.len() + 1).sum::<usize>();
        let bytes = Vec::with_capacity(rows * BYTES_PER_ROW);
        let mut writer = ArrowWriter::try_new(bytes, batch.schema(), Some(properties(self)?))?;
        let mut rows = rows_of(&self.coverage);
        loop {
            let some: Vec<Row<'_>> = rows.by_ref().take(BATCH).collect();
            if some.is_empty() {
                break;
            }
            writer.write(&columns(&some)?)?;
            tokio::task::yield_now().await;
        }
        writer.into_inner().map(Bytes::from)
    }

    /// The name contains a digest of the bytes: a damaged Parquet file may be read as a different one or make its reader panic, so
    /// damage must be detected before parsing.
    pub fn checkpoint_name(number: u64, bytes: &[u8]) -> String {
        format!("{number:09}-{:016x}.parquet", xxh3_64(bytes))
    }

    /// Parses the checkpoint `name`.
    pub fn from_named_checkpoint(name: &str, bytes: Bytes) -> Result<Self, CheckpointError> {
        let number = name.split_once('-').and_then(|(number, _)| number.parse().ok()).ok_or(CheckpointError::Name)?;
        if name != Self::checkpoint_name(number, &bytes) {
            return Err(CheckpointError::Name);
        }
        let state = Self::from_checkpoint(bytes)?;
        if state.number != number {
            return Err(CheckpointError::Part("number"));
        }
        Ok(state)
    }

    pub fn from_checkpoint(bytes: Bytes) -> Result<Self, CheckpointError> {
        let file = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
        let metadata = file.metadata().file_metadata().key_value_metadata();
        let head = metadata.into_iter().flatten().find(|pair| pair.key == HEAD).and_then(|pair| pair.value.as_ref());
        let Head { format, mut state, scopes, streams } =
            serde_json::from_str::<Head<Self>>(head.ok_or(CheckpointError::Part(HEAD))?)?;
        if format > NEWEST_FORMAT {
            return Err(CheckpointError::Format(format));
        }
        let (mut names, mut held) = (Vec::new(), Vec::new());
        for (stream, of_stream) in streams {
            for StoredScope { scope, not_entitled } in of_stream {
                let scope = scopes.get(scope).cloned().ok_or(CheckpointError::Part("scope"))?;
                names.push(stream.clone());
                held.push(ScopeCoverage { not_entitled, ..ScopeCoverage::new(scope) });
            }
        }
        for batch in file.with_batch_size(BATCH).build()? {
            apply_rows(&batch?, &mut held)?;
        }
        for (stream, mut coverage) in names.into_iter().zip(held) {
            coverage.days.shrink_to_fit();
            state.coverage.entry(stream).or_default().insert(coverage.scope.key(), coverage);
        }
        Ok(state)
    }
}

fn rows_of(coverage: &Coverage) -> impl Iterator<Item = Row<'_>> {
    (0..).zip(coverage.values().flat_map(BTreeMap::values)).flat_map(|(place, scope)| {
        let whole = scope.whole.iter().map(move |state| (place, None, state));
        whole.chain(scope.days.iter().map(move |(day, state)| (place, Some(*day), state)))
    })
}

fn properties(state: &State) -> Result<WriterProperties, ParquetError> {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_key_value_metadata(Some(vec![KeyValue::new(HEAD.to_owned(), head(state))]));
    // Values that differ little from row to row and rarely repeat.
    for column in ["day", "extracted_at", "changed_at", "rows", "bytes"] {
        builder = builder
            .set_column_dictionary_enabled(column.into(), false)
            .set_column_encoding(column.into(), Encoding::DELTA_BINARY_PACKED);
    }
    Ok(builder.set_column_dictionary_enabled("hash".into(), false).build())
}

fn head(state: &State) -> String {
    let mut scopes = Vec::new();
    let mut places: HashMap<&Scope, usize> = HashMap::new();
    let mut streams = BTreeMap::new();
    for (stream, of_stream) in &state.coverage {
        let held = of_stream.values().map(|coverage| {
            let scope = *places.entry(&coverage.scope).or_insert_with(|| {
                scopes.push(coverage.scope.clone());
                scopes.len() - 1
            });
            StoredScope { scope, not_entitled: coverage.not_entitled.clone() }
        });
        streams.insert(stream.clone(), held.collect());
    }
    let format = if state.forgotten.is_empty() { FORMAT } else { FORGETTING_FORMAT };
    serde_json::to_string(&Head { format, state, scopes, streams }).expect("plain data with text keys serializes")
}

fn columns(rows: &[Row<'_>]) -> Result<RecordBatch, ArrowError> {
    let mut hashes = FixedSizeBinaryBuilder::with_capacity(rows.len(), 16);
    rows.iter().try_for_each(|(_, _, state)| hashes.append_value(state.hash.bytes()))?;
    let moment = |at: Option<CompactTimestamp>| at.map(CompactTimestamp::as_microsecond);
    RecordBatch::try_from_iter_with_nullable([
        ("scope", Arc::new(rows.iter().map(|row| row.0).collect::<UInt32Array>()) as ArrayRef, false),
        ("day", Arc::new(rows.iter().map(|row| row.1.map(Day::to_epoch_days)).collect::<Date32Array>()), true),
        ("extracted_at", array::<Int64Array, _>(rows, |state| moment(state.extracted_at)), true),
        ("changed_at", array::<Int64Array, _>(rows, |state| moment(state.changed_at)), true),
        ("rows", array::<UInt64Array, _>(rows, |state| Some(state.rows)), false),
        ("hash", Arc::new(hashes.finish()), false),
        ("proof", array::<StringArray, _>(rows, |state| state.proof.map(Proof::name)), true),
        ("file", array::<BooleanArray, _>(rows, |state| Some(state.file)), false),
        ("bytes", array::<UInt64Array, _>(rows, |state| Some(state.bytes)), false),
        ("stale", array::<BooleanArray, _>(rows, |state| Some(state.stale)), false),
        ("problem", array::<StringArray, _>(rows, |state| state.problem()), true),
        ("unconfirmed", array::<UInt64Array, _>(rows, |state| state.suspect.as_ref()?.unconfirmed), true),
        ("signal", array::<BooleanArray, _>(rows, |state| state.signal), true),
    ])
}

fn array<'a, A: Array + FromIterator<Option<T>> + 'static, T>(
    rows: &[Row<'a>],
    value: impl Fn(&'a DayState) -> Option<T>,
) -> ArrayRef {
    Arc::new(rows.iter().map(|row| value(row.2)).collect::<A>())
}

/// Adds the rows of `batch` to the scopes that they refer to.
fn apply_rows(batch: &RecordBatch, held: &mut [ScopeCoverage]) -> Result<(), CheckpointError> {
    let places = primitive::<UInt32Type>(batch, "scope")?;
    let days = primitive::<Date32Type>(batch, "day")?;
    let extracted_at = primitive::<Int64Type>(batch, "extracted_at")?;
    let changed_at = primitive::<Int64Type>(batch, "changed_at")?;
    let rows = primitive::<UInt64Type>(batch, "rows")?;
    let hashes = column(batch, "hash", AsArray::as_fixed_size_binary_opt)?;
    let proofs = column(batch, "proof", AsArray::as_string_opt::<i32>)?;
    let files = column(batch, "file", AsArray::as_boolean_opt)?;
    let bytes = primitive::<UInt64Type>(batch, "bytes")?;
    let stale = column(batch, "stale", AsArray::as_boolean_opt)?;
    let problems = column(batch, "problem", AsArray::as_string_opt::<i32>)?;
    let unconfirmed = primitive::<UInt64Type>(batch, "unconfirmed")?;
    let signals = column(batch, "signal", AsArray::as_boolean_opt)?;
    for row in 0..batch.num_rows() {
        let coverage = held.get_mut(places.value(row) as usize).ok_or(CheckpointError::Part("scope"))?;
        let proof = proofs.is_valid(row).then(|| Proof::from_name(proofs.value(row)));
        let proof = proof.map(|proof| proof.ok_or(CheckpointError::Part("proof"))).transpose()?;
        let suspect = problems.is_valid(row).then(|| {
            Box::new(Suspect { problem: problems.value(row).to_owned(), unconfirmed: optional(unconfirmed, row) })
        });
        let hash: [u8; 16] = hashes.value(row).try_into().map_err(|_| CheckpointError::Part("hash"))?;
        *coverage.state_mut(optional(days, row).map(Day::from_epoch_days)) = DayState {
            extracted_at: optional(extracted_at, row).map(CompactTimestamp::from_microsecond),
            changed_at: optional(changed_at, row).map(CompactTimestamp::from_microsecond),
            rows: rows.value(row),
            hash: ContentHash::from(hash),
            proof,
            file: files.value(row),
            bytes: bytes.value(row),
            stale: stale.value(row),
            suspect,
            signal: signals.is_valid(row).then(|| signals.value(row)),
        };
    }
    Ok(())
}

fn optional<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, row: usize) -> Option<T::Native> {
    array.is_valid(row).then(|| array.value(row))
}

fn primitive<'a, T: ArrowPrimitiveType>(
    batch: &'a RecordBatch,
    name: &'static str,
) -> Result<&'a PrimitiveArray<T>, CheckpointError> {
    column(batch, name, AsArray::as_primitive_opt::<T>)
}

fn column<'a, A>(
    batch: &'a RecordBatch,
    name: &'static str,
    typed: impl FnOnce(&'a ArrayRef) -> Option<&'a A>,
) -> Result<&'a A, CheckpointError> {
    batch.column_by_name(name).and_then(typed).ok_or(CheckpointError::Part(name))
}

#[cfg(test)]
mod tests;
