//! The rows of one day of a slice, on their way into its file.
//!
//! Rows of many days may come in any order, and a Parquet file that is being encoded is costly to hold open. So rows wait in
//! memory until there are many or all of them are there; where too many wait, those of other days wait on the disk.

use std::path::PathBuf;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::file::properties::WriterProperties;

use crate::model::day::Day;
use crate::write::error::WriteError;
use crate::write::parquet_file::{ParquetFile, WholeDay};
use crate::write::spill::Spill;

/// A row group that is encoded and reaches this is written to disk.
const ROW_GROUP_BYTES: usize = 12 * 1024 * 1024;

/// The rows of one day, and the file that they become.
#[derive(Debug)]
pub struct DayFile {
    path: PathBuf,
    file: ParquetFile,
    waiting: Vec<RecordBatch>,
    waiting_bytes: usize,
    spill: Option<Spill>,
    hash: u128,
    rows: u64,
    resting_batches: u32,
}

impl DayFile {
    /// Starts the file at `path`.
    ///
    /// # Errors
    /// [`WriteError::Disk`] or [`WriteError::Parquet`].
    pub fn create(path: PathBuf, schema: SchemaRef, properties: WriterProperties) -> Result<Self, WriteError> {
        let file = ParquetFile::create(path.clone(), schema, properties)?;
        Ok(Self {
            path,
            file,
            waiting: Vec::new(),
            waiting_bytes: 0,
            spill: None,
            hash: 0,
            rows: 0,
            resting_batches: 0,
        })
    }

    /// Takes rows whose hashes add up to `hash`. They wait in memory.
    pub fn take(&mut self, batch: RecordBatch, hash: u128) {
        self.rows += batch.num_rows() as u64;
        self.hash = self.hash.wrapping_add(hash);
        self.waiting_bytes += batch.get_array_memory_size();
        self.waiting.push(batch);
        self.resting_batches = 0;
    }

    /// Another batch of the slice is over.
    pub fn rest(&mut self) {
        self.resting_batches = self.resting_batches.saturating_add(1);
    }

    /// Batches of the slice that are over since rows came for this file, the one that brought them included.
    pub fn resting_batches(&self) -> u32 {
        self.resting_batches
    }

    /// Bytes of rows that wait in memory.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Bytes on disk, about.
    pub fn disk_bytes(&self) -> u64 {
        self.file.written_bytes() + self.spill.as_ref().map_or(0, Spill::bytes)
    }

    /// Bytes on disk once all rows are in the file, and before what waited there is removed, at most: what waits in memory is
    /// neither encoded nor compressed.
    pub fn expected_bytes(&self) -> u64 {
        let spilled = self.spill.as_ref().map_or(0, Spill::bytes);
        self.file.expected_bytes() + 2 * spilled + self.waiting_bytes as u64
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Encodes all rows that wait, into a row group that stays open.
    ///
    /// # Errors
    /// [`WriteError`], also when the disk is full.
    pub fn encode(&mut self) -> Result<(), WriteError> {
        if let Some(spill) = self.spill.take() {
            spill.drain(|batch| encode(&mut self.file, &batch))?;
        }
        self.waiting_bytes = 0;
        std::mem::take(&mut self.waiting).iter().try_for_each(|batch| encode(&mut self.file, batch))
    }

    /// Ends the row group that is open.
    ///
    /// # Errors
    /// [`WriteError::Parquet`], also when the disk is full.
    pub fn end_row_group(&mut self) -> Result<(), WriteError> {
        self.file.flush()
    }

    /// Lets the rows that wait do so on the disk.
    ///
    /// # Errors
    /// [`WriteError`], also when the disk is full.
    pub fn spill(&mut self) -> Result<(), WriteError> {
        let spill = match (&mut self.spill, self.waiting.first()) {
            (_, None) => return Ok(()),
            (Some(spill), _) => spill,
            (none, Some(batch)) => none.insert(Spill::create(self.path.with_extension("rows"), &batch.schema())?),
        };
        self.waiting_bytes = 0;
        std::mem::take(&mut self.waiting).iter().try_for_each(|batch| spill.write(batch))
    }

    /// Completes the file with `metadata` in its footer.
    ///
    /// # Errors
    /// [`WriteError`], also when the disk is full.
    pub fn close(mut self, day: Option<Day>, metadata: &[(String, String)]) -> Result<WholeDay, WriteError> {
        self.encode()?;
        self.file.close(day, self.hash, metadata)
    }
}

fn encode(file: &mut ParquetFile, batch: &RecordBatch) -> Result<(), WriteError> {
    file.write(batch)?;
    if ROW_GROUP_BYTES < file.encoded_bytes() { file.flush() } else { Ok(()) }
}
