//! Reading a published file: its footer, its rows and their hash.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use arrow_array::cast::AsArray;
use arrow_array::types::Date32Type;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::model::content_hash::ContentHash;
use crate::model::day::Day;
use crate::write::columns::OWN_COLUMNS;
use crate::write::hash::row_hashes;
use crate::write::slice_writer::signals;

/// Rows read at once; a row may contain an answer of many pages.
const BATCH: usize = 512;
/// Prefix of the keys that the exporter adds to footers.
const KEY_PREFIX: &str = "profound_export.";

/// A local file, or one in memory.
#[derive(Debug)]
pub enum FileSource {
    File(File),
    Bytes(Bytes),
}

impl Length for FileSource {
    fn len(&self) -> u64 {
        match self {
            Self::File(file) => file.len(),
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

impl ChunkReader for FileSource {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(match self {
            Self::File(file) => Box::new(file.get_read(start)?),
            Self::Bytes(bytes) => Box::new(bytes.get_read(start)?),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        match self {
            Self::File(file) => file.get_bytes(start, length),
            Self::Bytes(bytes) => bytes.get_bytes(start, length),
        }
    }
}

/// The pairs of a footer that the exporter wrote, without the prefix of their keys.
pub type Footer = BTreeMap<String, String>;

/// Rows and hashes by day; `None` is the day of rows without one. Hashes of several files of a day add up.
pub type ContentOfDays = BTreeMap<Option<Day>, (u64, u128)>;

/// The content of a published file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileContent {
    pub rows: u64,
    /// Comparable with the hash in the ledger.
    pub hash: ContentHash,
    /// Names and types of the columns of the API.
    pub columns: Vec<(String, DataType)>,
    /// Whether the signal of any row is on; `None` if no signal column was given.
    pub signal: Option<bool>,
}

#[derive(Debug, thiserror::Error)]
pub enum FileReadError {
    #[error("not a valid Parquet file")]
    Parquet(#[from] ParquetError),
    #[error("unreadable rows")]
    Rows(#[from] ArrowError),
    #[error("column `{name}` has type {data_type}, which the exporter does not write")]
    Column { name: String, data_type: DataType },
    #[error("the columns that the exporter adds are missing")]
    Columns,
}

/// A published file whose footer was read.
pub struct OpenFile<R: ChunkReader + 'static> {
    reader: ParquetRecordBatchReaderBuilder<R>,
    /// Empty if another program wrote the file.
    pub footer: Footer,
}

impl<R: ChunkReader + 'static> OpenFile<R> {
    /// Reads the footer.
    pub fn new(file: R) -> Result<Self, FileReadError> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let pairs = reader.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
        let own = pairs.into_iter().filter_map(|pair| {
            let name = pair.key.strip_prefix(KEY_PREFIX)?.to_owned();
            Some((name, pair.value.unwrap_or_default()))
        });
        Ok(Self { footer: own.collect(), reader })
    }

    /// Reads all rows, a batch at a time, and evaluates the column `signal`. The first `added` columns are those of the scope and the day
    /// of a snapshot.
    pub fn read(self, added: usize, signal: Option<&str>) -> Result<FileContent, FileReadError> {
        self.read_each(added, signal, |_| Ok(()))
    }

    /// The same, and calls `each` with every batch.
    pub fn read_each<E: From<FileReadError>>(
        self,
        added: usize,
        signal: Option<&str>,
        mut each: impl FnMut(&RecordBatch) -> Result<(), E>,
    ) -> Result<FileContent, E> {
        let Self { reader, .. } = self;
        let fields = reader.schema().fields();
        let content =
            fields.len().checked_sub(OWN_COLUMNS.len()).filter(|end| added <= *end).ok_or(FileReadError::Columns)?;
        let content: Vec<usize> = (added..content).collect();
        let column = |index: &usize| (fields[*index].name().clone(), fields[*index].data_type().clone());
        let columns: Vec<(String, DataType)> = content.iter().map(column).collect();
        if let Some((name, data_type)) = columns.iter().find(|(_, data_type)| !is_written(data_type)) {
            return Err(FileReadError::Column { name: name.clone(), data_type: data_type.clone() }.into());
        }
        let (mut rows, mut hash, mut signalled) = (0, 0_u128, false);
        for batch in reader.with_batch_size(BATCH).build().map_err(FileReadError::from)? {
            let batch = batch.map_err(FileReadError::from)?;
            rows += batch.num_rows() as u64;
            hash = row_hashes(&batch, &content).into_iter().fold(hash, u128::wrapping_add);
            signalled |= signal.and_then(|column| signals(&batch, column)).is_some_and(|rows| rows.contains(&true));
            each(&batch)?;
        }
        Ok(FileContent { rows, hash: hash.into(), columns, signal: signal.map(|_| signalled) })
    }

    /// Rows and hash over the columns called `content`, of each day of the column `day`, or of all rows. Columns that the file lacks are null.
    pub fn read_days(self, content: &[String], day: Option<&str>) -> Result<ContentOfDays, FileReadError> {
        let schema = self.reader.schema();
        let content: Vec<usize> = content.iter().filter_map(|name| schema.index_of(name).ok()).collect();
        let unknown = content.iter().map(|index| schema.field(*index)).find(|field| !is_written(field.data_type()));
        if let Some(field) = unknown {
            return Err(FileReadError::Column { name: field.name().clone(), data_type: field.data_type().clone() });
        }
        let mut sums = ContentOfDays::new();
        for batch in self.reader.with_batch_size(BATCH).build()? {
            let batch = batch?;
            let days = day.and_then(|day| batch.column_by_name(day)?.as_primitive_opt::<Date32Type>());
            for (row, hash) in row_hashes(&batch, &content).into_iter().enumerate() {
                let day = days.filter(|days| days.is_valid(row)).map(|days| Day::from_epoch_days(days.value(row)));
                let sum = sums.entry(day).or_default();
                *sum = (sum.0 + 1, sum.1.wrapping_add(hash));
            }
        }
        Ok(sums)
    }
}

/// Whether the catalog has this type.
fn is_written(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::Int64 | DataType::Float64 | DataType::Boolean | DataType::Date32 => true,
        DataType::Timestamp(unit, _) => *unit == TimeUnit::Microsecond,
        DataType::List(item) => is_written(item.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| is_written(field.data_type())),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int32Array, StringArray};
    use parquet::arrow::ArrowWriter;

    use super::*;

    fn read(file: Bytes, added: usize) -> Result<FileContent, FileReadError> {
        OpenFile::new(file)?.read(added, None)
    }

    fn file(columns: Vec<(&str, ArrayRef)>) -> Bytes {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap().into()
    }

    fn own<'a>() -> impl Iterator<Item = (&'a str, ArrayRef)> {
        OWN_COLUMNS.iter().map(|(name, _)| (*name, Arc::new(StringArray::from(vec!["x", "y"])) as ArrayRef))
    }

    #[test]
    fn hash_is_that_of_the_written_rows() {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        let batch = RecordBatch::try_from_iter([("text", Arc::clone(&text))]).unwrap();
        let hash = row_hashes(&batch, &[0]).into_iter().fold(0, u128::wrapping_add);
        let columns = [("category_id", Arc::clone(&text)), ("text", text)].into_iter().chain(own());
        let read = read(file(columns.collect()), 1).unwrap();
        assert_eq!((read.rows, read.hash), (2, hash.into()));
    }

    #[test]
    fn files_of_other_programs_are_rejected() {
        let number: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
        let columns = [("number", Arc::clone(&number))].into_iter().chain(own());
        let error = read(file(columns.collect()), 0).unwrap_err().to_string();
        assert_eq!(error, "column `number` has type Int32, which the exporter does not write");
        assert!(matches!(read(file(vec![("number", number)]), 0), Err(FileReadError::Columns)));
        assert!(matches!(read(Bytes::from_static(b"no table"), 0), Err(FileReadError::Parquet(_))));
    }
}
