//! One Parquet file in the spool.

use std::path::PathBuf;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as ParquetCompression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::config::Compression;
use crate::model::day::Day;
use crate::write::error::WriteError;
use crate::write::private_file::{FileDigest, HashedWriter, create_file};

/// Texts in statistics are cut to this.
const STATISTICS_BYTES: usize = 64;
/// Beyond this a column falls back to plain encoding. Each column of an open row group holds one dictionary in memory.
const DICTIONARY_BYTES: usize = 256 * 1024;
const PAGE_BYTES: usize = 256 * 1024;

/// The properties of every file of a table. A dictionary is useless for the columns `long_text`, whose texts do not repeat.
pub fn properties(compression: Compression, long_text: &[String]) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_compression(codec(compression))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_statistics_truncate_length(Some(STATISTICS_BYTES))
        .set_data_page_size_limit(PAGE_BYTES)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_created_by(format!("profound-export {}", env!("CARGO_PKG_VERSION")));
    for column in long_text {
        let path = ColumnPath::from(column.split('.').map(str::to_owned).collect::<Vec<_>>());
        builder = builder.set_column_dictionary_enabled(path, false);
    }
    builder.build()
}

fn codec(compression: Compression) -> ParquetCompression {
    match compression {
        // The configuration checks the level.
        Compression::Zstd(level) => ParquetCompression::ZSTD(ZstdLevel::try_new(level).unwrap_or_default()),
        Compression::Snappy => ParquetCompression::SNAPPY,
        Compression::Lz4 => ParquetCompression::LZ4_RAW,
        Compression::None => ParquetCompression::UNCOMPRESSED,
    }
}

/// A file that is being written. Each column of an open row group holds a codec, buffers and a dictionary, some hundred kB together, so few
/// files should be open at once.
pub struct ParquetFile {
    path: PathBuf,
    writer: ArrowWriter<HashedWriter>,
    rows: u64,
}

/// The rows of one day, or of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayContent {
    /// `None` for lists.
    pub day: Option<Day>,
    pub rows: u64,
    /// Independent of the order of rows; see the hash module.
    pub hash: u128,
    /// Whether gated streams have data on this day; `None` for streams without a signal.
    pub signal: Option<bool>,
}

/// A complete file in the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpooledFile {
    pub content: DayContent,
    pub path: PathBuf,
    pub bytes: u64,
    /// Of the bytes that were written: they are compared when the file is read.
    pub sha256: FileDigest,
}

impl ParquetFile {
    pub fn create(path: PathBuf, schema: SchemaRef, properties: WriterProperties) -> Result<Self, WriteError> {
        let writer = ArrowWriter::try_new(create_file(&path)?, schema, Some(properties))
            .map_err(|source| WriteError::Parquet { path: path.clone(), source })?;
        Ok(Self { path, writer, rows: 0 })
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), WriteError> {
        self.writer.write(batch).map_err(|source| WriteError::Parquet { path: self.path.clone(), source })?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Encoded and not on disk yet.
    pub fn encoded_bytes(&self) -> usize {
        self.writer.memory_size()
    }

    /// Approximate.
    pub fn written_bytes(&self) -> u64 {
        self.writer.bytes_written() as u64
    }

    /// Approximate bytes on disk once all rows are written: open pages are not compressed yet.
    pub fn expected_bytes(&self) -> u64 {
        self.written_bytes() + self.writer.in_progress_size() as u64
    }

    /// Ends the row group and writes it.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.writer.flush().map_err(|source| WriteError::Parquet { path: self.path.clone(), source })
    }

    /// Completes the file, which has the rows of `content`, with `metadata` in its footer.
    pub fn close(mut self, content: DayContent, metadata: &[(String, String)]) -> Result<SpooledFile, WriteError> {
        debug_assert_eq!(self.rows, content.rows);
        for (key, value) in metadata {
            self.writer.append_key_value_metadata(KeyValue::new(key.clone(), value.clone()));
        }
        let parquet = |source| WriteError::Parquet { path: self.path.clone(), source };
        self.writer.finish().map_err(parquet)?;
        let file = self.writer.inner_mut();
        let disk = |source| WriteError::Disk { path: self.path.clone(), source };
        std::io::Write::flush(file).map_err(disk)?;
        let (bytes, sha256) = (file.get_ref().bytes(), file.get_ref().digest());
        Ok(SpooledFile { content, path: self.path, bytes, sha256 })
    }
}
