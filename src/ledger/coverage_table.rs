//! Coverage as a table, for sensors, freshness checks and incremental loads.

use std::sync::Arc;

use arrow_array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::ArrowError;
use bytes::Bytes;
use jiff::Timestamp;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;

use crate::destination::OWN_DIRECTORY;
use crate::model::compact_timestamp::CompactTimestamp;
use crate::model::day::Day;
use crate::model::day_status::DayStatus;
use crate::model::scope::{Scope, ScopePart};

/// Rows in memory at once. A large lake has more than a million.
const BATCH: usize = 8 * 1024;
const ROW_GROUP_ROWS: usize = 128 * 1024;
/// In the footer: the last record that the table shows.
const RECORD_KEY: &str = "profound_export.record";
const WRITTEN_KEY: &str = "profound_export.written_at";

/// One day of one stream and scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoverageRow<'a> {
    pub stream: &'a str,
    pub scope: &'a Scope,
    pub day: Option<Day>,
    pub status: DayStatus,
    /// Of the published file.
    pub rows: Option<u64>,
    /// Why the rows are known to be complete.
    pub proof: Option<&'static str>,
    /// When it was last extracted.
    pub extracted_at: Option<CompactTimestamp>,
    /// When its content last changed.
    pub changed_at: Option<CompactTimestamp>,
    /// Relative to the root of the lake; `None` without a file.
    pub path: Option<String>,
    /// What is wrong with the day, for people.
    pub problem: Option<&'a str>,
}

/// Writes `rows`, which the ledger has after record `number` at `at`, as a Parquet file. Holds the file and a few thousand rows in memory.
pub fn coverage_parquet<'a>(
    number: u64,
    at: Timestamp,
    rows: impl IntoIterator<Item = CoverageRow<'a>>,
) -> Result<Bytes, ParquetError> {
    let level = ZstdLevel::try_new(3).unwrap_or_default();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        // Every path occurs once.
        .set_column_dictionary_enabled("path".into(), false)
        .set_key_value_metadata(Some(vec![
            KeyValue::new(RECORD_KEY.to_owned(), number.to_string()),
            KeyValue::new(WRITTEN_KEY.to_owned(), at.to_string()),
        ]))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch_of(&[])?.schema(), Some(properties))?;
    let mut rows = rows.into_iter();
    loop {
        let chunk: Vec<CoverageRow<'a>> = rows.by_ref().take(BATCH).collect();
        if chunk.is_empty() {
            return writer.into_inner().map(Bytes::from);
        }
        writer.write(&batch_of(&chunk)?)?;
    }
}

/// Where the table is.
pub fn coverage_path() -> Path {
    Path::from_iter([OWN_DIRECTORY, "coverage.parquet"])
}

/// The number of the last record that a coverage table shows, and when it was written. `None` if it cannot be read, or an earlier version
/// wrote it.
pub fn coverage_number(table: &Bytes) -> Option<(u64, Timestamp)> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(table).ok()?;
    let pairs = metadata.file_metadata().key_value_metadata()?;
    let value = |key: &str| pairs.iter().find(|pair| pair.key == key)?.value.as_deref();
    Some((value(RECORD_KEY)?.parse().ok()?, value(WRITTEN_KEY)?.parse().ok()?))
}

fn batch_of(rows: &[CoverageRow<'_>]) -> Result<RecordBatch, ArrowError> {
    let mut columns = vec![("stream", texts(rows, |row| Some(row.stream)))];
    for part in ScopePart::ALL {
        let (id, name) = part.columns();
        if let Some(id) = id {
            columns.push((id, texts(rows, |row| row.scope.part(part).map(|named| named.id.as_str()))));
        }
        columns.push((name, texts(rows, |row| row.scope.part(part).map(|named| named.name.as_str()))));
    }
    let time = |value: &dyn Fn(&CoverageRow<'_>) -> Option<CompactTimestamp>| -> ArrayRef {
        let values = rows.iter().map(|row| value(row).map(CompactTimestamp::as_microsecond));
        Arc::new(values.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    };
    let days = rows.iter().map(|row| row.day.map(Day::to_epoch_days));
    let counts = rows.iter().map(|row| row.rows.and_then(|rows| i64::try_from(rows).ok()));
    columns.extend([
        ("day", Arc::new(days.collect::<Date32Array>()) as ArrayRef),
        ("status", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.status.to_string())))),
        ("rows", Arc::new(counts.collect::<Int64Array>())),
        ("proof", texts(rows, |row| row.proof)),
        ("extracted_at", time(&|row| row.extracted_at)),
        ("changed_at", time(&|row| row.changed_at)),
        ("path", texts(rows, |row| row.path.as_deref())),
        ("problem", texts(rows, |row| row.problem)),
    ]);
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
}

fn texts<'a>(rows: &'a [CoverageRow<'_>], value: impl Fn(&'a CoverageRow<'_>) -> Option<&'a str>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<StringArray>())
}
