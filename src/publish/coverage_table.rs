//! Coverage as a table, for sensors, freshness checks and incremental loads.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use bytes::Bytes;
use jiff::Timestamp;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::model::day::Day;
use crate::model::scope::Scope;

/// What is known of one day of one stream and scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoverageRow {
    /// The stream.
    pub stream: String,
    /// The scope.
    pub scope: Scope,
    /// The day; none for lists.
    pub day: Option<Day>,
    /// `final`, `provisional`, `empty`, `suspect`, `missing` or `not_entitled`.
    pub state: &'static str,
    /// Rows of the file that stands.
    pub rows: Option<u64>,
    /// How the end was known.
    pub proof: Option<&'static str>,
    /// When it was last read.
    pub extracted_at: Option<Timestamp>,
    /// When what was read last differed from what stood.
    pub changed_at: Option<Timestamp>,
    /// The file, from the root of the lake; none where there is none.
    pub path: Option<String>,
    /// What is wrong, in words.
    pub problem: Option<String>,
}

/// The table as the bytes of a Parquet file.
///
/// # Errors
/// Only what a bug could cause.
pub fn coverage_parquet(rows: &[CoverageRow]) -> Result<Bytes, ParquetError> {
    let batch = batch_of(rows)?;
    let level = ZstdLevel::try_new(3).unwrap_or_default();
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(Bytes::from(bytes))
}

fn batch_of(rows: &[CoverageRow]) -> Result<RecordBatch, arrow::error::ArrowError> {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    let mut add = |name: &str, data_type: DataType, array: ArrayRef| {
        fields.push(Field::new(name, data_type, true));
        arrays.push(array);
    };
    let text = |value: &dyn Fn(&CoverageRow) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(value).collect::<StringArray>())
    };
    let time = |value: &dyn Fn(&CoverageRow) -> Option<Timestamp>| -> ArrayRef {
        let values = rows.iter().map(|row| value(row).map(Timestamp::as_microsecond));
        Arc::new(values.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    };
    add("stream", DataType::Utf8, text(&|row| Some(row.stream.clone())));
    for part in crate::model::scope::ScopePart::ALL {
        let (id, name) = part.columns();
        if let Some(id) = id {
            add(id, DataType::Utf8, text(&|row| row.scope.part(part).map(|named| named.id.clone())));
        }
        add(name, DataType::Utf8, text(&|row| row.scope.part(part).map(|named| named.name.clone())));
    }
    add(
        "day",
        DataType::Date32,
        Arc::new(rows.iter().map(|row| row.day.map(Day::to_epoch_days)).collect::<Date32Array>()),
    );
    add("state", DataType::Utf8, text(&|row| Some(row.state.to_owned())));
    let counts = rows.iter().map(|row| row.rows.and_then(|rows| i64::try_from(rows).ok()));
    add("rows", DataType::Int64, Arc::new(counts.collect::<Int64Array>()));
    add("proof", DataType::Utf8, text(&|row| row.proof.map(str::to_owned)));
    add("extracted_at", instant.clone(), time(&|row| row.extracted_at));
    add("changed_at", instant, time(&|row| row.changed_at));
    add("path", DataType::Utf8, text(&|row| row.path.clone()));
    add("problem", DataType::Utf8, text(&|row| row.problem.clone()));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}
