//! Writes a list a second time, as the snapshot of a day.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Date32Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;

use crate::config::Compression;
use crate::model::day::Day;
use crate::model::history::{SNAPSHOT_COLUMN, history_name};
use crate::model::slice::Slice;
use crate::write::error::WriteError;
use crate::write::parquet_file::{DayContent, FileFormat, ParquetFile, SpooledFile};
use crate::write::private_file::open_unchanged;
use crate::write::slice_writer::long_text_paths;
use crate::write::spool::SliceDir;

/// Writes the rows of `list`, a file of `slice`, to `dir` as the snapshot of `day`: the column of the day follows those of the scope, and
/// the footer names the table of snapshots. Returns the file, with the hash of the rows of the list, and the directory that removes it when
/// it is dropped.
pub fn write_snapshot(
    slice: &Slice,
    list: &SpooledFile,
    day: Day,
    compression: Compression,
    mut dir: SliceDir,
) -> Result<(SpooledFile, SliceDir), WriteError> {
    let parquet = |source| WriteError::Parquet { path: list.path.clone(), source };
    let shape = |source| WriteError::Shape { stream: slice.stream.name.clone(), source };
    let file = open_unchanged(&list.path, &list.sha256)?;
    let rows = ParquetRecordBatchReaderBuilder::try_new(file).map_err(parquet)?;
    let footer = rows.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    let at = slice.stream.scope.parts().iter().map(|part| 1 + usize::from(part.columns().0.is_some())).sum();
    let schema = with_day(rows.schema(), at);
    let format = FileFormat::new(Arc::clone(&schema), compression, long_text_paths(&slice.stream, &schema));
    let mut copy = ParquetFile::create(dir.file("snapshot.parquet"), format)?;
    for batch in rows.build().map_err(parquet)? {
        let batch = batch.map_err(shape)?;
        let days: ArrayRef = Arc::new(Date32Array::from(vec![day.to_epoch_days(); batch.num_rows()]));
        let mut columns = batch.columns().to_vec();
        columns.insert(at, days);
        copy.write(&[RecordBatch::try_new(Arc::clone(&schema), columns).map_err(shape)?], false)?;
        dir.occupy(copy.written_bytes())?;
    }
    let content = DayContent { day: Some(day), ..list.content };
    let file = copy.close(content, &snapshot_footer(&slice.stream.name, day, footer))?;
    dir.occupy(file.bytes)?;
    Ok((file, dir))
}

fn with_day(schema: &SchemaRef, at: usize) -> SchemaRef {
    let comment = HashMap::from([("comment".to_owned(), "UTC day of the snapshot".to_owned())]);
    let mut fields = schema.fields().to_vec();
    fields.insert(at, Arc::new(Field::new(SNAPSHOT_COLUMN, DataType::Date32, true).with_metadata(comment)));
    Arc::new(Schema::new(fields))
}

/// The footer of the list, adapted to the table of its snapshots.
fn snapshot_footer(list: &str, day: Day, footer: Vec<KeyValue>) -> Vec<(String, String)> {
    let own = footer.into_iter().filter(|pair| pair.key.starts_with("profound_export."));
    let renamed = own.filter_map(|pair| match pair.key.as_str() {
        "profound_export.stream" => Some((pair.key, history_name(list))),
        "profound_export.request" => None,
        "profound_export.snapshot_request" => Some(("profound_export.request".to_owned(), pair.value?)),
        _ => Some((pair.key, pair.value.unwrap_or_default())),
    });
    renamed.chain([("profound_export.day".to_owned(), day.to_string())]).collect()
}
