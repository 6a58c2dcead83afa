//! Reading the columns that charts need from a day file.

use arrow_array::RecordBatch;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::task::spawn_blocking;

use super::source::Relation;
use crate::destination::{Destination, DestinationError};
use crate::error_text::error_chain;
use crate::write::{FileReadError, FileSource};

/// The columns of `relation` in the file at `path`, or why they cannot be read. A file of a bucket is read into memory.
///
/// # Errors
/// [`DestinationError`] if the store fails.
pub async fn read(
    lake: &Destination,
    path: &Path,
    relation: &'static Relation,
) -> Result<Result<Vec<RecordBatch>, String>, DestinationError> {
    let source = match lake.local_file(path) {
        Some(file) => FileSource::File(file),
        None => match lake.read(path).await? {
            Some(bytes) => FileSource::Bytes(bytes),
            None => return Ok(Err("the file is missing".to_owned())),
        },
    };
    Ok(match spawn_blocking(move || batches(source, relation)).await {
        Ok(batches) => batches.map_err(|error| error_chain(&error)),
        // parquet-rs panics on some damaged bytes.
        Err(_) => Err("the Parquet reader panicked".to_owned()),
    })
}

fn batches(source: FileSource, relation: &Relation) -> Result<Vec<RecordBatch>, FileReadError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(source)?;
    let paths = relation.columns.iter().map(|column| column.path);
    let mask = ProjectionMask::columns(reader.parquet_schema(), paths);
    let reader = reader.with_projection(mask).build()?;
    reader.collect::<Result<_, _>>().map_err(FileReadError::from)
}
