//! Writes the rows of day files as files of a table that engines scan: one schema, large row groups, a size to aim at.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Date32Array, ListArray, RecordBatch, StructArray, new_null_array};
use arrow_schema::{ArrowError, DataType, SchemaRef};
use arrow_select::interleave::interleave_record_batch;

use crate::config::Compression;
use crate::model::day::Day;
use crate::model::stream::Stream;
use crate::write::error::WriteError;
use crate::write::parquet_file::{DayContent, FileFormat, ParquetFile, SpooledFile};
use crate::write::read_content::{FileContent, FileReadError, FileSource, OpenFile};
use crate::write::row_order::RowOrder;
use crate::write::slice_writer::long_text_paths;
use crate::write::spool::SliceDir;

/// Decoded rows of a row group, which wait in memory until they are sorted: about a hundred thousand rows of figures, which is what engines
/// give to one thread.
const ROW_GROUP_BYTES: usize = 16 * 1024 * 1024;
/// A file has at least so many bytes of decoded rows for each byte that it may take: encoded, rows take a fraction.
const DECODED_PER_ENCODED: u64 = 4;
/// Sorted rows that are encoded at once.
const SORTED_ROWS: usize = 512;

/// Writes files of one table, one after the other, into a directory of the spool. Row groups are in the order of their days; the rows of each
/// are sorted by key and day. So memory is bounded without a second copy of the rows on disk, and filters by day and by key both skip rows.
pub struct TableWriter {
    stream: String,
    format: FileFormat,
    order: RowOrder,
    /// The column that gets the day of each day file; `None` for lists.
    day_column: Option<String>,
    target_bytes: u64,
    dir: SliceDir,
    /// The rows of the next row group, as they arrived.
    waiting: Vec<RecordBatch>,
    waiting_bytes: usize,
    row_group_bytes: usize,
    open: Option<ParquetFile>,
    /// Rows of the open file.
    rows: u64,
    files: Vec<SpooledFile>,
}

#[derive(Debug, thiserror::Error)]
pub enum TableWriteError {
    #[error(transparent)]
    Read(#[from] FileReadError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl TableWriter {
    /// Writes columns of `schema`: those of day files by name, and `day_column`. A file of `target_bytes` or more is followed by another.
    pub fn new(
        stream: &Stream,
        schema: SchemaRef,
        day_column: Option<&str>,
        compression: Compression,
        target_bytes: u64,
        dir: SliceDir,
    ) -> Self {
        let long_text = long_text_paths(stream, &schema);
        let order = RowOrder::new(stream, &schema);
        Self {
            stream: stream.name.clone(),
            format: FileFormat::new(schema, compression, long_text).sorted_by(order.paths()),
            order,
            day_column: day_column.map(str::to_owned),
            target_bytes,
            dir,
            waiting: Vec::new(),
            waiting_bytes: 0,
            row_group_bytes: usize::try_from(target_bytes.saturating_mul(DECODED_PER_ENCODED))
                .map_or(ROW_GROUP_BYTES, |bytes| bytes.min(ROW_GROUP_BYTES)),
            open: None,
            rows: 0,
            files: Vec::new(),
        }
    }

    /// The scratch directory of the files.
    pub fn dir(&self) -> &SliceDir {
        &self.dir
    }

    /// Appends the rows of the file of `day`, whose first `added` columns are not those of the API. The writer must be dropped after an
    /// error, and if the content is not the one that was wanted.
    ///
    /// # Errors
    /// [`TableWriteError::Read`] if the day file is damaged.
    pub fn append(&mut self, file: FileSource, added: usize, day: Option<Day>) -> Result<FileContent, TableWriteError> {
        OpenFile::new(file)?.read_each(added, None, |batch| Ok(self.write(batch, day)?))
    }

    fn write(&mut self, batch: &RecordBatch, day: Option<Day>) -> Result<(), WriteError> {
        let rows = batch.num_rows();
        let column = |field: &arrow_schema::FieldRef| -> Result<ArrayRef, ArrowError> {
            match (batch.column_by_name(field.name()), day) {
                (_, Some(day)) if self.day_column.as_ref() == Some(field.name()) => {
                    Ok(Arc::new(Date32Array::from(vec![day.to_epoch_days(); rows])))
                }
                (Some(array), _) => fitted(array, field.data_type()),
                // Added to the stream after the file was written.
                (None, _) => Ok(new_null_array(field.data_type(), rows)),
            }
        };
        let columns: Result<Vec<_>, _> = self.format.schema.fields().iter().map(column).collect();
        let fitted = columns.and_then(|columns| RecordBatch::try_new(Arc::clone(&self.format.schema), columns));
        let fitted = fitted.map_err(|source| self.shape(source))?;
        self.waiting_bytes += fitted.get_array_memory_size();
        self.waiting.push(fitted);
        if self.waiting_bytes < self.row_group_bytes {
            return Ok(());
        }
        self.end_row_group()?;
        if self.open.as_ref().is_some_and(|file| file.written_bytes() >= self.target_bytes) {
            self.end_file()?;
        }
        self.occupy()
    }

    fn shape(&self, source: ArrowError) -> WriteError {
        WriteError::Shape { stream: self.stream.clone(), source }
    }

    /// Sorts and writes the rows that wait.
    fn end_row_group(&mut self) -> Result<(), WriteError> {
        self.waiting_bytes = 0;
        let waiting = std::mem::take(&mut self.waiting);
        let (places, batches) = (self.order.sorted(&waiting), waiting.iter().collect::<Vec<_>>());
        if places.is_empty() {
            return Ok(());
        }
        let file = match &mut self.open {
            Some(file) => file,
            None => {
                let path = self.dir.file(&format!("table-{}.parquet", self.files.len()));
                self.open.insert(ParquetFile::create(path, self.format.clone())?)
            }
        };
        for places in places.chunks(SORTED_ROWS) {
            let sorted = interleave_record_batch(&batches, places);
            let shape = |source| WriteError::Shape { stream: self.stream.clone(), source };
            file.write(&[sorted.map_err(shape)?], false)?;
        }
        file.flush()?;
        self.rows += places.len() as u64;
        Ok(())
    }

    fn occupy(&mut self) -> Result<(), WriteError> {
        let complete: u64 = self.files.iter().map(|file| file.bytes).sum();
        self.dir.occupy(complete + self.open.as_ref().map_or(0, ParquetFile::written_bytes))
    }

    fn end_file(&mut self) -> Result<(), WriteError> {
        if let Some(file) = self.open.take() {
            let content = DayContent { day: None, rows: std::mem::take(&mut self.rows), hash: 0, signal: None };
            self.files.push(file.close(content, &[])?);
        }
        self.occupy()
    }

    /// The complete files, and the directory that removes them when it is dropped.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn finish(mut self) -> Result<(Vec<SpooledFile>, SliceDir), WriteError> {
        self.end_row_group()?;
        self.end_file()?;
        Ok((self.files, self.dir))
    }
}

/// `array` as `wanted`: members that were added to a struct are null.
fn fitted(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), wanted) {
        (found, wanted) if found == wanted => Ok(Arc::clone(array)),
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let found = array.as_struct();
            let member = |field: &arrow_schema::FieldRef| match found.column_by_name(field.name()) {
                Some(member) => fitted(member, field.data_type()),
                None => Ok(new_null_array(field.data_type(), found.len())),
            };
            let members = fields.iter().map(member).collect::<Result<Vec<_>, _>>()?;
            Ok(Arc::new(StructArray::try_new(fields.clone(), members, found.nulls().cloned())?))
        }
        (DataType::List(_), DataType::List(item)) => {
            let found = array.as_list::<i32>();
            let values = fitted(found.values(), item.data_type())?;
            let (offsets, nulls) = (found.offsets().clone(), found.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, nulls)?))
        }
        (found, wanted) => Err(ArrowError::SchemaError(format!("a column has type {found} instead of {wanted}"))),
    }
}
