//! A published file once more: whether it can be read, and what its rows say.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use arrow::datatypes::{DataType, TimeUnit};
use arrow::error::ArrowError;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::model::content_hash::ContentHash;
use crate::write::columns::OWN_COLUMNS;
use crate::write::hash::row_hashes;
use crate::write::slice_writer::signals;

/// Rows that are read at once; a row may be an answer of many pages.
const BATCH: usize = 512;
/// What the exporter's own pairs of a footer begin with.
const OWN_PAIR: &str = "profound_export.";

/// A published file, where it lies on this machine or in memory.
#[derive(Debug)]
pub enum Held {
    /// On this machine.
    File(File),
    /// In memory.
    Bytes(Bytes),
}

impl Length for Held {
    fn len(&self) -> u64 {
        match self {
            Self::File(file) => file.len(),
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

impl ChunkReader for Held {
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

/// The exporter's own pairs of a footer, without what all their names begin with.
pub type Footer = BTreeMap<String, String>;

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reread {
    /// Its rows.
    pub rows: u64,
    /// What they say, as it was counted when they were written.
    pub hash: ContentHash,
    /// The exporter's own pairs of the footer.
    pub footer: Footer,
    /// The columns of the API, with their types.
    pub columns: Vec<(String, DataType)>,
    /// Whether any row's signal says that there is something to read; none where no column was named.
    pub signal: Option<bool>,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RereadError {
    /// It is no Parquet file, or a damaged one.
    #[error("it is not a whole Parquet file")]
    Parquet(#[from] ParquetError),
    /// Its rows cannot be read.
    #[error("its rows cannot be read")]
    Rows(#[from] ArrowError),
    /// No table of the exporter's has such a column.
    #[error("its column `{name}` is a {data_type}, which the exporter does not write")]
    Column {
        /// Which column.
        name: String,
        /// Its type.
        data_type: DataType,
    },
    /// It has fewer columns than those that the exporter adds to every table.
    #[error("it lacks the exporter's own columns")]
    Columns,
}

/// Reads `file` from its first row to its last. `added` columns before the decoded ones are the exporter's: those of the
/// scope, and the day of a snapshot. Holds some rows, however many there are.
///
/// # Errors
/// [`RereadError`].
pub fn reread(file: impl ChunkReader + 'static, added: usize) -> Result<Reread, RereadError> {
    Opened::of(file)?.read(added, None)
}

/// A published file whose footer was read, and none of its rows.
pub struct Opened<R: ChunkReader + 'static> {
    reader: ParquetRecordBatchReaderBuilder<R>,
    /// The exporter's own pairs of the footer; none in files of others.
    pub footer: Footer,
}

impl<R: ChunkReader + 'static> Opened<R> {
    /// Reads the footer of `file`.
    ///
    /// # Errors
    /// [`RereadError::Parquet`].
    pub fn of(file: R) -> Result<Self, RereadError> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let pairs = reader.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
        let own = pairs.into_iter().filter_map(|pair| {
            let name = pair.key.strip_prefix(OWN_PAIR)?.to_owned();
            Some((name, pair.value.unwrap_or_default()))
        });
        Ok(Self { footer: own.collect(), reader })
    }

    /// Reads the rows, as [`reread`] does, and the column `signal` among them.
    ///
    /// # Errors
    /// [`RereadError`].
    pub fn read(self, added: usize, signal: Option<&str>) -> Result<Reread, RereadError> {
        let Self { reader, footer } = self;
        let fields = reader.schema().fields();
        let content =
            fields.len().checked_sub(OWN_COLUMNS.len()).filter(|end| added <= *end).ok_or(RereadError::Columns)?;
        let content: Vec<usize> = (added..content).collect();
        let column = |index: &usize| (fields[*index].name().clone(), fields[*index].data_type().clone());
        let columns: Vec<(String, DataType)> = content.iter().map(column).collect();
        if let Some((name, data_type)) = columns.iter().find(|(_, data_type)| !is_written(data_type)) {
            return Err(RereadError::Column { name: name.clone(), data_type: data_type.clone() });
        }
        let (mut rows, mut hash, mut signalled) = (0, 0_u128, false);
        for batch in reader.with_batch_size(BATCH).build()? {
            let batch = batch?;
            rows += batch.num_rows() as u64;
            hash = row_hashes(&batch, &content).into_iter().fold(hash, u128::wrapping_add);
            signalled |= signal.and_then(|column| signals(&batch, column)).is_some_and(|rows| rows.contains(&true));
        }
        Ok(Reread { rows, hash: hash.into(), footer, columns, signal: signal.map(|_| signalled) })
    }
}

/// Whether the catalog has such a type.
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

    use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;

    use super::*;

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
    fn rows_say_what_they_said_when_they_were_written() {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        let batch = RecordBatch::try_from_iter([("text", Arc::clone(&text))]).unwrap();
        let hash = row_hashes(&batch, &[0]).into_iter().fold(0, u128::wrapping_add);
        let columns = [("category_id", Arc::clone(&text)), ("text", text)].into_iter().chain(own());
        let read = reread(file(columns.collect()), 1).unwrap();
        assert_eq!((read.rows, read.hash), (2, hash.into()));
    }

    #[test]
    fn other_files_are_refused_in_words() {
        let number: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
        let columns = [("number", Arc::clone(&number))].into_iter().chain(own());
        let refused = reread(file(columns.collect()), 0).unwrap_err().to_string();
        assert_eq!(refused, "its column `number` is a Int32, which the exporter does not write");
        assert!(matches!(reread(file(vec![("number", number)]), 0), Err(RereadError::Columns)));
        assert!(matches!(reread(Bytes::from_static(b"no table"), 0), Err(RereadError::Parquet(_))));
    }
}
