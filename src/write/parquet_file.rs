//! One Parquet file in the spool.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression as ParquetCompression, ZstdLevel};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterPropertiesPtr};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::ColumnPath;

use crate::config::Compression;
use crate::model::day::Day;
use crate::write::column_run::ColumnRun;
use crate::write::error::WriteError;
use crate::write::private_file::{FileDigest, HashedWriter, create_file};

/// Texts in statistics are cut to this.
const STATISTICS_BYTES: usize = 64;
/// Beyond this a column falls back to plain encoding. Each column of an open row group holds one dictionary in memory.
const DICTIONARY_BYTES: usize = 256 * 1024;
const PAGE_BYTES: usize = 256 * 1024;
/// A column of a whole file with less data is not compressed: creating a codec costs more than all else, and saves next to nothing.
const MIN_COMPRESSED_BYTES: usize = 512;

/// How the files of a table are written.
#[derive(Debug, Clone)]
pub struct FileFormat {
    pub schema: SchemaRef,
    compression: Compression,
    long_text: Arc<[String]>,
    /// Paths of the columns by which the rows of each row group are sorted.
    order: Arc<[String]>,
    /// Made when the first file is: most slices of a quiet night write none.
    properties: Arc<OnceLock<Properties>>,
}

#[derive(Debug)]
struct Properties {
    compressed: WriterPropertiesPtr,
    uncompressed: WriterPropertiesPtr,
}

impl FileFormat {
    /// A dictionary is useless for measures, and for the columns `long_text`, whose texts do not repeat.
    pub fn new(schema: SchemaRef, compression: Compression, long_text: Vec<String>) -> Self {
        let (long_text, order) = (long_text.into(), Arc::default());
        Self { schema, compression, long_text, order, properties: Arc::default() }
    }

    /// Declares that the rows of each row group are sorted by the columns at `paths`, nulls first.
    pub fn sorted_by<'a>(self, paths: impl Iterator<Item = &'a str>) -> Self {
        Self { order: paths.map(str::to_owned).collect(), properties: Arc::default(), ..self }
    }

    fn properties(&self) -> &Properties {
        self.properties.get_or_init(|| {
            let mut compressed = self.builder(codec(self.compression)).build();
            add_encoded_arrow_schema_to_metadata(&self.schema, &mut compressed);
            let uncompressed = self.builder(ParquetCompression::UNCOMPRESSED).build();
            Properties { compressed: compressed.into(), uncompressed: uncompressed.into() }
        })
    }

    fn builder(&self, codec: ParquetCompression) -> WriterPropertiesBuilder {
        let builder = WriterProperties::builder()
            .set_compression(codec)
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_statistics_truncate_length(Some(STATISTICS_BYTES))
            .set_data_page_size_limit(PAGE_BYTES)
            .set_dictionary_page_size_limit(DICTIONARY_BYTES)
            .set_sorting_columns(self.sorting_columns())
            .set_created_by(format!("profound-export {}", env!("CARGO_PKG_VERSION")));
        let measures = self.schema.fields().iter().filter(|field| *field.data_type() == DataType::Float64);
        let paths = self.long_text.iter().chain(measures.map(|field| field.name()));
        paths.fold(builder, |builder, path| {
            let path = ColumnPath::from(path.split('.').map(str::to_owned).collect::<Vec<_>>());
            builder.set_column_dictionary_enabled(path, false)
        })
    }

    /// `None` without an order, or if a column of it does not exist.
    fn sorting_columns(&self) -> Option<Vec<SortingColumn>> {
        let schema = ArrowSchemaConverter::new().convert(&self.schema).ok()?;
        let place = |path: &String| {
            let leaf = schema.columns().iter().position(|column| column.path().string() == *path)?;
            Some(SortingColumn { column_idx: i32::try_from(leaf).ok()?, descending: false, nulls_first: true })
        };
        self.order.iter().map(place).collect::<Option<Vec<_>>>().filter(|columns| !columns.is_empty())
    }
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

/// A file that is being written. Each column of an open row group that is no run holds a codec, buffers and a dictionary, some hundred kB
/// together, so few files should be open at once.
pub struct ParquetFile {
    path: PathBuf,
    format: FileFormat,
    writer: SerializedFileWriter<Output>,
    /// The columns of the open row group.
    columns: Vec<OpenColumn>,
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
    pub fn create(path: PathBuf, format: FileFormat) -> Result<Self, WriteError> {
        let file = create_file(&path)?;
        match file_writer(Output { file, footer: None }, &format.schema, &format.properties().compressed) {
            Ok(writer) => Ok(Self { path, format, writer, columns: Vec::new(), rows: 0 }),
            Err(source) => Err(WriteError::Parquet { path, source }),
        }
    }

    /// Adds rows to the open row group. `is_whole` if there are no others.
    pub fn write(&mut self, batches: &[RecordBatch], is_whole: bool) -> Result<(), WriteError> {
        let (schema, Properties { compressed, uncompressed }) = (&self.format.schema, self.format.properties());
        self.columns.resize_with(schema.fields().len(), || OpenColumn::Run(None));
        for (index, (column, field)) in self.columns.iter_mut().zip(schema.fields()).enumerate() {
            let arrays: Vec<&ArrayRef> =
                batches.iter().map(|batch| batch.column(index)).filter(|array| !array.is_empty()).collect();
            let bytes = || arrays.iter().map(|array| array.to_data().get_slice_memory_size()).sum::<Result<usize, _>>();
            let is_small = is_whole && bytes().is_ok_and(|bytes| bytes < MIN_COMPRESSED_BYTES);
            let written = column.write(field, &arrays, if is_small { uncompressed } else { compressed });
            written.map_err(|source| WriteError::Parquet { path: self.path.clone(), source })?;
        }
        self.rows += batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>();
        Ok(())
    }

    /// Encoded and not on disk yet.
    pub fn encoded_bytes(&self) -> usize {
        self.columns.iter().flat_map(OpenColumn::writers).map(ArrowColumnWriter::memory_size).sum()
    }

    /// Approximate.
    pub fn written_bytes(&self) -> u64 {
        self.writer.bytes_written() as u64
    }

    /// Approximate bytes on disk once all rows are written: open pages are not compressed yet.
    pub fn expected_bytes(&self) -> u64 {
        let open = self.columns.iter().flat_map(OpenColumn::writers);
        self.written_bytes() + open.map(|writer| writer.get_estimated_total_bytes() as u64).sum::<u64>()
    }

    /// Ends the row group and writes it.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        let columns = std::mem::take(&mut self.columns);
        let flushed = write_row_group(&mut self.writer, columns);
        flushed.map_err(|source| WriteError::Parquet { path: self.path.clone(), source })
    }

    /// Completes the file, which has the rows of `content`, with `metadata` in its footer.
    pub fn close(mut self, content: DayContent, metadata: &[(String, String)]) -> Result<SpooledFile, WriteError> {
        debug_assert_eq!(self.rows, content.rows);
        self.flush()?;
        for (key, value) in metadata {
            self.writer.append_key_value_metadata(KeyValue::new(key.clone(), value.clone()));
        }
        let parquet = |source| WriteError::Parquet { path: self.path.clone(), source };
        let disk = |source| WriteError::Disk { path: self.path.clone(), source };
        self.writer.flush().map_err(disk)?;
        self.writer.inner_mut().footer = Some(Vec::new());
        self.writer.finish().map_err(parquet)?;
        let columns = self.writer.schema_descr().num_columns();
        let Output { file, footer } = self.writer.inner_mut();
        let mut footer = footer.take().unwrap_or_default();
        declare_order_of_floats(&mut footer, columns);
        file.write_all(&footer).and_then(|()| file.flush()).map_err(disk)?;
        let (bytes, sha256) = (file.get_ref().bytes(), file.get_ref().digest());
        Ok(SpooledFile { content, path: self.path, bytes, sha256 })
    }
}

fn file_writer<W: Write + Send>(
    to: W,
    schema: &Schema,
    properties: &WriterPropertiesPtr,
) -> Result<SerializedFileWriter<W>, ParquetError> {
    let schema = ArrowSchemaConverter::new().convert(schema)?;
    SerializedFileWriter::new(to, schema.root_schema_ptr(), Arc::clone(properties))
}

/// A file whose footer is held back once it is begun.
struct Output {
    file: HashedWriter,
    footer: Option<Vec<u8>>,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.footer {
            Some(footer) => footer.write(bytes),
            None => self.file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Declares for the floats among `columns` columns that their bounds are in the order of their type. parquet-rs declares the total order of
/// IEEE 754 and has no setting for it; pyarrow ignores bounds in that order. Without NaN, which JSON lacks, the bounds are the same.
///
/// The orders are the last field of the footer in Thrift's compact protocol: a union of three bytes for each column, whose first byte says
/// which order. A footer that ends otherwise stays as it is.
fn declare_order_of_floats(footer: &mut [u8], columns: usize) {
    const TYPE_ORDER: [u8; 3] = [0x1c, 0, 0];
    const IEEE_754_TOTAL_ORDER: [u8; 3] = [0x2c, 0, 0];
    // Behind the orders are the end of the structure, its length and the magic number.
    const END: usize = 1 + 4 + 4;
    let Some(end) = footer.len().checked_sub(END) else { return };
    let Some(start) = end.checked_sub(columns * TYPE_ORDER.len()) else { return };
    let (orders, _) = footer[start..end].as_chunks_mut::<3>();
    if orders.iter().all(|order| [TYPE_ORDER, IEEE_754_TOTAL_ORDER].contains(order)) {
        orders.fill(TYPE_ORDER);
    }
}

fn write_row_group(writer: &mut SerializedFileWriter<Output>, columns: Vec<OpenColumn>) -> Result<(), ParquetError> {
    let mut chunks = Vec::new();
    for column in columns {
        match column {
            OpenColumn::Run(None) => return Ok(()),
            OpenColumn::Run(Some(run)) => {
                let (bytes, close) = run.chunk(&writer.schema_descr().column(chunks.len()))?;
                chunks.push(Chunk::Run(bytes, close));
            }
            OpenColumn::Encoded(writers) => {
                for writer in writers {
                    chunks.push(Chunk::Encoded(writer.close()?));
                }
            }
        }
    }
    if chunks.is_empty() {
        return Ok(());
    }
    let has_pages = chunks
        .iter_mut()
        .any(|chunk| chunk.close_mut().offset_index.as_ref().is_some_and(|index| index.page_locations.len() > 1));
    let mut group = writer.next_row_group()?;
    for mut chunk in chunks {
        if !has_pages {
            omit_pages(chunk.close_mut())?;
        }
        chunk.append_to(&mut group)?;
    }
    group.close().map(drop)
}

/// Removes what describes the pages of a chunk that has only one: most files are so small that their footer is the larger half.
fn omit_pages(close: &mut ColumnCloseResult) -> Result<(), ParquetError> {
    (close.column_index, close.offset_index) = (None, None);
    let metadata = close.metadata.clone().into_builder().clear_page_encoding_stats();
    let metadata = metadata.set_unencoded_byte_array_data_bytes(None);
    close.metadata = metadata.set_repetition_level_histogram(None).set_definition_level_histogram(None).build()?;
    Ok(())
}

/// A column of the open row group.
enum OpenColumn {
    /// All rows so far have the same value, if there are any.
    Run(Option<ColumnRun>),
    /// A writer for each leaf.
    Encoded(Vec<ArrowColumnWriter>),
}

impl OpenColumn {
    fn write(
        &mut self,
        field: &FieldRef,
        arrays: &[&ArrayRef],
        properties: &WriterPropertiesPtr,
    ) -> Result<(), ParquetError> {
        if let Self::Run(run) = self {
            let longer = run.as_ref().map_or_else(|| ColumnRun::new(arrays), |run| run.extended(arrays));
            if longer.is_some() || arrays.is_empty() {
                *run = longer.or(run.take());
                return Ok(());
            }
            let mut writers = column_writers(field, properties)?;
            for array in run.iter().flat_map(ColumnRun::arrays) {
                write_leaves(&mut writers, field, &array?)?;
            }
            *self = Self::Encoded(writers);
        }
        match self {
            Self::Run(_) => Ok(()),
            Self::Encoded(writers) => arrays.iter().try_for_each(|array| write_leaves(writers, field, array)),
        }
    }

    fn writers(&self) -> &[ArrowColumnWriter] {
        match self {
            Self::Run(_) => &[],
            Self::Encoded(writers) => writers,
        }
    }
}

/// parquet-rs makes the writers of all columns of a file at once, each with a codec. A file of one column needs only its own.
fn column_writers(field: &FieldRef, properties: &WriterPropertiesPtr) -> Result<Vec<ArrowColumnWriter>, ParquetError> {
    let schema = Arc::new(Schema::new(vec![Arc::clone(field)]));
    let file = file_writer(io::sink(), &schema, properties)?;
    ArrowRowGroupWriterFactory::new(&file, schema).create_column_writers(0)
}

fn write_leaves(writers: &mut [ArrowColumnWriter], field: &Field, array: &ArrayRef) -> Result<(), ParquetError> {
    let leaves = compute_leaves(field, array)?;
    writers.iter_mut().zip(&leaves).try_for_each(|(writer, leaf)| writer.write(leaf))
}

/// A column of a row group that ends.
enum Chunk {
    Run(Bytes, ColumnCloseResult),
    Encoded(ArrowColumnChunk),
}

impl Chunk {
    fn close_mut(&mut self) -> &mut ColumnCloseResult {
        match self {
            Self::Run(_, close) => close,
            Self::Encoded(chunk) => chunk.close_mut(),
        }
    }

    fn append_to(self, group: &mut SerializedRowGroupWriter<'_, Output>) -> Result<(), ParquetError> {
        match self {
            Self::Run(bytes, close) => group.append_column(&bytes, close),
            Self::Encoded(chunk) => chunk.append_to_row_group(group),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use arrow_array::{
        BooleanArray, Date32Array, Float64Array, Int64Array, ListArray, StringArray, TimestampMicrosecondArray,
    };
    use arrow_select::concat::concat_batches;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use parquet::basic::ColumnOrder;
    use parquet::file::metadata::ParquetMetaData;
    use parquet::file::statistics::Statistics;
    use proptest::prelude::*;

    use super::*;

    /// Rows of every type, by a number each: equal numbers are equal rows, and 0 is null.
    fn rows(numbers: &[i64]) -> RecordBatch {
        let values = || numbers.iter().map(|number| Some(*number).filter(|number| *number > 0));
        let text = || values().map(|value| value.map(|value| format!("value {value}"))).collect::<StringArray>();
        let at = TimestampMicrosecondArray::from_iter(values()).with_timezone("UTC");
        let item = Arc::new(Field::new("element", DataType::Int64, true));
        let list = ListArray::from_iter_primitive::<arrow_array::types::Int64Type, _, _>(
            values().map(|value| value.map(|value| vec![Some(value), None])),
        );
        let list = list.into_parts();
        let list = ListArray::new(item, list.1, list.2, list.3);
        let columns: [(&str, ArrayRef); 7] = [
            ("text", Arc::new(text())),
            ("int", Arc::new(Int64Array::from_iter(values()))),
            ("float", Arc::new(Float64Array::from_iter(values().map(|value| value.map(|value| value as f64 / 4.0))))),
            ("bool", Arc::new(values().map(|value| value.map(|value| value > 1)).collect::<BooleanArray>())),
            ("date", Arc::new(Date32Array::from_iter(values().map(|value| value.map(|value| value as i32))))),
            ("at", Arc::new(at)),
            ("list", Arc::new(list)),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
    }

    /// Writes row groups of batches to a file and reads it back.
    fn written(groups: &[Vec<RecordBatch>], is_whole: bool) -> (RecordBatch, ParquetMetaData) {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("file.parquet");
        let schema = groups[0][0].schema();
        let format = FileFormat::new(Arc::clone(&schema), Compression::Zstd(3), Vec::new());
        let mut file = ParquetFile::create(path.clone(), format).unwrap();
        for group in groups {
            group.chunks(2).for_each(|batches| file.write(batches, is_whole).unwrap());
            file.flush().unwrap();
        }
        let rows = groups.iter().flatten().map(|batch| batch.num_rows() as u64).sum();
        file.close(DayContent { day: None, rows, hash: 0, signal: None }, &[]).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
        let metadata = ParquetMetaData::clone(reader.metadata());
        let read: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
        (concat_batches(&schema, &read).unwrap(), metadata)
    }

    proptest! {
        #[test]
        fn rows_read_back_as_written_wherever_runs_begin_and_end(
            groups in proptest::collection::vec(
                proptest::collection::vec(proptest::collection::vec(0_i64..3, 1..6), 1..6),
                1..3,
            ),
            is_whole: bool,
        ) {
            let groups: Vec<Vec<RecordBatch>> =
                groups.iter().map(|group| group.iter().map(|numbers| rows(numbers)).collect()).collect();
            let all: Vec<RecordBatch> = groups.iter().flatten().cloned().collect();
            let (read, _) = written(&groups, is_whole);
            prop_assert_eq!(read, concat_batches(&all[0].schema(), &all).unwrap());
        }
    }

    #[test]
    fn column_of_one_value_takes_as_many_bytes_for_any_number_of_rows() {
        let size = |rows_of_group: usize| {
            let (read, metadata) = written(&[vec![rows(&vec![1; rows_of_group]); 3]], false);
            assert_eq!(read.num_rows(), 3 * rows_of_group);
            metadata.row_group(0).column(0).compressed_size()
        };
        assert!(size(10_000) <= size(1) + 8, "{} and {}", size(10_000), size(1));
    }

    #[test]
    fn long_run_that_ends_reads_back_whole() {
        let numbers: Vec<i64> = (0..10_000).map(|row| 1 + row / 9_999).collect();
        let batches: Vec<RecordBatch> = numbers.chunks(1_111).map(rows).collect();
        let (read, metadata) = written(&[batches], false);
        assert_eq!(read, rows(&numbers));
        let Some(Statistics::ByteArray(bounds)) = metadata.row_group(0).column(0).statistics() else { panic!() };
        assert_eq!(bounds.min_opt().unwrap().as_utf8().unwrap(), "value 1");
        assert_eq!(bounds.max_opt().unwrap().as_utf8().unwrap(), "value 2");
    }

    #[test]
    fn statistics_of_runs_are_those_of_other_columns() {
        // Booleans and floats of one value are encoded as usual.
        let (_, run) = written(&[vec![rows(&[2, 2])]], false);
        let (_, null) = written(&[vec![rows(&[0, 0])]], false);
        let bounds = |metadata: &ParquetMetaData, column: usize| {
            let statistics = metadata.row_group(0).column(column).statistics().unwrap().clone();
            (
                statistics.min_bytes_opt().map(<[u8]>::to_vec),
                statistics.max_bytes_opt().map(<[u8]>::to_vec),
                statistics.null_count_opt(),
            )
        };
        let same = |bytes: &[u8]| (Some(bytes.to_vec()), Some(bytes.to_vec()), Some(0));
        assert_eq!(bounds(&run, 0), same(b"value 2"));
        assert_eq!(bounds(&run, 1), same(&2_i64.to_le_bytes()));
        assert_eq!(bounds(&run, 2), same(&0.5_f64.to_le_bytes()));
        assert_eq!(bounds(&run, 4), same(&2_i32.to_le_bytes()));
        assert!((0..6).all(|column| bounds(&null, column) == (None, None, Some(2))));
    }

    #[test]
    fn order_of_floats_is_one_that_other_readers_know() {
        let (_, metadata) = written(&[vec![rows(&[1, 2, 0])]], true);
        let orders = metadata.file_metadata().column_orders().unwrap();
        assert!(orders.iter().all(|order| matches!(order, ColumnOrder::TYPE_DEFINED_ORDER(_))), "{orders:?}");
        let Some(Statistics::Double(bounds)) = metadata.row_group(0).column(2).statistics() else { panic!() };
        assert_eq!((bounds.min_opt(), bounds.max_opt()), (Some(&0.25), Some(&0.5)));
    }

    #[test]
    fn columns_of_many_pages_have_an_index_and_small_files_none() {
        let numbers: Vec<i64> = (1..60_000).collect();
        let (_, large) = written(&[vec![rows(&numbers)]], false);
        let (_, small) = written(&[vec![rows(&[1, 2])]], true);
        let has_index = |metadata: &ParquetMetaData| {
            let mut columns = metadata.row_group(0).columns().iter();
            columns.all(|column| column.offset_index_offset().is_some() && column.column_index_offset().is_some())
        };
        assert!(has_index(&large) && !has_index(&small));
    }
}
