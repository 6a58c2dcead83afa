//! One Parquet file in the spool, while it grows and when it is whole.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as ParquetCompression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::config::Compression;
use crate::model::day::Day;
use crate::write::error::WriteError;

/// Bytes of statistics kept of a text.
const STATISTICS_BYTES: usize = 64;
/// A dictionary beyond this is given up; it is held in memory once a column and open row group.
const DICTIONARY_BYTES: usize = 256 * 1024;
/// A page is encoded and compressed when it reaches this.
const PAGE_BYTES: usize = 256 * 1024;

/// The properties of every file of a table whose columns `long_text` hold texts that do not repeat.
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
        // The level is checked with the configuration.
        Compression::Zstd(level) => ParquetCompression::ZSTD(ZstdLevel::try_new(level).unwrap_or_default()),
        Compression::Snappy => ParquetCompression::SNAPPY,
        Compression::Lz4 => ParquetCompression::LZ4_RAW,
        Compression::None => ParquetCompression::UNCOMPRESSED,
    }
}

/// A file that grows. While a row group of it is open, each of its columns has a codec and buffers of its own, of some
/// hundred kB together with its dictionary: few should be open at once.
pub struct ParquetFile {
    path: PathBuf,
    writer: ArrowWriter<BufWriter<File>>,
    rows: u64,
}

impl std::fmt::Debug for ParquetFile {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ParquetFile").field("path", &self.path).field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// A file that is complete in the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeDay {
    /// The day; `None` for lists, which have none.
    pub day: Option<Day>,
    /// Where the file lies.
    pub path: PathBuf,
    /// Rows in the file.
    pub rows: u64,
    /// Length of the file.
    pub bytes: u64,
    /// What the rows say, whatever their order: see the hash module.
    pub hash: u128,
    /// Whether the stream's signal says that there is something to read; none for streams without a signal.
    pub signal: Option<bool>,
}

impl ParquetFile {
    /// Starts the file at `path`.
    ///
    /// # Errors
    /// [`WriteError::Disk`] or [`WriteError::Parquet`].
    pub fn create(path: PathBuf, schema: SchemaRef, properties: WriterProperties) -> Result<Self, WriteError> {
        let file = File::create(&path).map_err(|source| WriteError::Disk { path: path.clone(), source })?;
        let writer = ArrowWriter::try_new(BufWriter::new(file), schema, Some(properties))
            .map_err(|source| WriteError::Parquet { path: path.clone(), source })?;
        Ok(Self { path, writer, rows: 0 })
    }

    /// Appends rows.
    ///
    /// # Errors
    /// [`WriteError::Parquet`], also when the disk is full.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), WriteError> {
        self.writer.write(batch).map_err(|source| WriteError::Parquet { path: self.path.clone(), source })?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Bytes of rows that are encoded and not on disk yet.
    pub fn encoded_bytes(&self) -> usize {
        self.writer.memory_size()
    }

    /// Bytes on disk, about.
    pub fn written_bytes(&self) -> u64 {
        self.writer.bytes_written() as u64
    }

    /// Bytes on disk once all rows are, about: pages that are still open are not compressed yet.
    pub fn expected_bytes(&self) -> u64 {
        self.written_bytes() + self.writer.in_progress_size() as u64
    }

    /// Writes what is held in memory as a row group.
    ///
    /// # Errors
    /// [`WriteError::Parquet`], also when the disk is full.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.writer.flush().map_err(|source| WriteError::Parquet { path: self.path.clone(), source })
    }

    /// Completes the file with `metadata` in its footer. `hash` is what its rows say.
    ///
    /// # Errors
    /// [`WriteError::Parquet`] or [`WriteError::Disk`].
    pub fn close(
        mut self,
        day: Option<Day>,
        hash: u128,
        metadata: &[(String, String)],
    ) -> Result<WholeDay, WriteError> {
        for (key, value) in metadata {
            self.writer.append_key_value_metadata(KeyValue::new(key.clone(), value.clone()));
        }
        let parquet = |source| WriteError::Parquet { path: self.path.clone(), source };
        self.writer.finish().map_err(parquet)?;
        let file = self.writer.inner_mut();
        let disk = |source| WriteError::Disk { path: self.path.clone(), source };
        let bytes = std::io::Write::flush(file).and_then(|()| file.get_ref().metadata()).map_err(disk)?.len();
        Ok(WholeDay { day, path: self.path, rows: self.rows, bytes, hash, signal: None })
    }
}
