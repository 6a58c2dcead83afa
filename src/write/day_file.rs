//! The rows of one day of a slice, and the file that they become.
//!
//! Rows of many days arrive in any order, and a Parquet file that is being encoded holds a codec, a dictionary and a page per column.
//! So rows wait in memory until there are enough of them, and beyond a limit those of other days wait on disk.

use std::path::PathBuf;

use arrow_array::RecordBatch;

use crate::write::error::WriteError;
use crate::write::filled_columns::{FilledColumns, add_filled};
use crate::write::parquet_file::{DayContent, FileFormat, ParquetFile, SpooledFile};
use crate::write::spill::Spill;

pub struct DayFile {
    path: PathBuf,
    format: FileFormat,
    /// `None` until the first row is encoded: rows that are already published need no encoder.
    file: Option<ParquetFile>,
    waiting: Vec<RecordBatch>,
    waiting_bytes: usize,
    spill: Option<Spill>,
    filled: FilledColumns,
    hash: u128,
    rows: u64,
    idle_batches: u32,
}

impl DayFile {
    pub fn new(path: PathBuf, format: FileFormat) -> Self {
        let (file, spill, waiting, filled) = (None, None, Vec::new(), FilledColumns::new());
        Self { path, format, file, waiting, waiting_bytes: 0, spill, filled, hash: 0, rows: 0, idle_batches: 0 }
    }

    /// Adds rows whose hashes sum to `hash`. They wait in memory, where they take `bytes`.
    pub fn add(&mut self, batch: RecordBatch, bytes: usize, hash: u128) {
        self.rows += batch.num_rows() as u64;
        self.hash = self.hash.wrapping_add(hash);
        add_filled(&mut self.filled, &batch);
        self.waiting_bytes += bytes;
        self.waiting.push(batch);
        self.idle_batches = 0;
    }

    /// Counts a batch of the slice without rows for this file.
    pub fn count_idle_batch(&mut self) {
        self.idle_batches = self.idle_batches.saturating_add(1);
    }

    /// Batches since the last rows of this file, that batch included.
    pub fn idle_batches(&self) -> u32 {
        self.idle_batches
    }

    /// Bytes of rows waiting in memory.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Approximate.
    pub fn disk_bytes(&self) -> u64 {
        self.file.as_ref().map_or(0, ParquetFile::written_bytes) + self.spill.as_ref().map_or(0, Spill::bytes)
    }

    /// Upper bound of the bytes on disk once all rows are in the file and before spilled rows are removed. Rows in memory are counted as
    /// they are, neither encoded nor compressed.
    pub fn expected_bytes(&self) -> u64 {
        let spilled = self.spill.as_ref().map_or(0, Spill::bytes);
        let encoded = self.file.as_ref().map_or(0, ParquetFile::expected_bytes);
        encoded + 2 * spilled + self.waiting_bytes as u64
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub fn filled_columns(&self) -> &FilledColumns {
        &self.filled
    }

    /// The sum of the hashes of its rows.
    pub fn hash(&self) -> u128 {
        self.hash
    }

    /// Encodes all waiting rows into the open row group, which is written to disk once it has `row_group` bytes.
    pub fn encode(&mut self, row_group: usize) -> Result<(), WriteError> {
        self.file = Some(self.encoded(row_group, false)?);
        Ok(())
    }

    /// The file with all rows so far, and whether there will be no others.
    fn encoded(&mut self, row_group: usize, is_last: bool) -> Result<ParquetFile, WriteError> {
        let is_whole = is_last && self.file.is_none() && self.spill.is_none();
        let mut file = match self.file.take() {
            Some(file) => file,
            None => ParquetFile::create(self.path.clone(), self.format.clone())?,
        };
        let mut encode = |batches: &[RecordBatch], is_whole: bool| {
            file.write(batches, is_whole)?;
            if file.encoded_bytes() > row_group { file.flush() } else { Ok(()) }
        };
        if let Some(spill) = self.spill.take() {
            spill.drain(|batch| encode(&[batch], false))?;
        }
        self.waiting_bytes = 0;
        encode(&std::mem::take(&mut self.waiting), is_whole)?;
        Ok(file)
    }

    pub fn end_row_group(&mut self) -> Result<(), WriteError> {
        self.file.as_mut().map_or(Ok(()), ParquetFile::flush)
    }

    /// Moves the waiting rows to disk.
    pub fn spill(&mut self) -> Result<(), WriteError> {
        let spill = match (&mut self.spill, self.waiting.first()) {
            (_, None) => return Ok(()),
            (Some(spill), _) => spill,
            (none, Some(batch)) => none.insert(Spill::create(self.path.with_extension("rows"), batch.schema())?),
        };
        self.waiting_bytes = 0;
        spill.write(&std::mem::take(&mut self.waiting))
    }

    /// Encodes all rows that wait and completes the file with `metadata` in its footer.
    pub fn close(
        mut self,
        content: DayContent,
        row_group: usize,
        metadata: &[(String, String)],
    ) -> Result<SpooledFile, WriteError> {
        self.encoded(row_group, true)?.close(content, metadata)
    }
}
