//! A published file once more: whether it can be read, and what its rows say.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, TimeUnit};
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::reader::ChunkReader;

use crate::model::content_hash::ContentHash;
use crate::write::columns::OWN_COLUMNS;
use crate::write::hash::row_hashes;

/// Rows that are read at once; a row may be an answer of many pages.
const BATCH: usize = 512;
/// What the exporter's own pairs of a footer begin with.
const OWN_PAIR: &str = "profound_export.";

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reread {
    /// Its rows.
    pub rows: u64,
    /// What they say, as it was counted when they were written.
    pub hash: ContentHash,
    /// The exporter's own pairs of the footer, without what all their names begin with.
    pub footer: BTreeMap<String, String>,
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
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let footer = reader.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    let footer = footer.into_iter().filter_map(|pair| {
        let name = pair.key.strip_prefix(OWN_PAIR)?.to_owned();
        Some((name, pair.value.unwrap_or_default()))
    });
    let footer = footer.collect();
    let fields = reader.schema().fields();
    let content =
        fields.len().checked_sub(OWN_COLUMNS.len()).filter(|end| added <= *end).ok_or(RereadError::Columns)?;
    let content: Vec<usize> = (added..content).collect();
    for field in content.iter().map(|column| &fields[*column]) {
        if !is_written(field.data_type()) {
            return Err(RereadError::Column { name: field.name().clone(), data_type: field.data_type().clone() });
        }
    }
    let (mut rows, mut hash) = (0, 0_u128);
    for batch in reader.with_batch_size(BATCH).build()? {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        hash = row_hashes(&batch, &content).into_iter().fold(hash, u128::wrapping_add);
    }
    Ok(Reread { rows, hash: hash.into(), footer })
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
    use bytes::Bytes;
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
