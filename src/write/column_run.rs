//! Column chunks whose rows all have the same value, written as one run.
//!
//! Many columns of a file are such: those of the scope and of provenance, the day, `_extra` of most streams. A column writer would hash
//! the value of every row, and hold a codec for a few bytes; a run costs the same for any number of rows.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Date32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_schema::{ArrowError, DataType};
use arrow_select::take::take;
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Type};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

/// Longer texts are no run: their statistics would have to be cut.
const MAX_TEXT_BYTES: usize = 64;
/// Rows of a run that are made at once when the run ends.
const REPEATED: usize = 4096;

/// Rows that all have one value.
#[derive(Debug)]
pub struct ColumnRun {
    /// Its only row is the value.
    value: ArrayRef,
    rows: usize,
}

impl ColumnRun {
    /// The run of all rows of `arrays`, if they are one.
    pub fn new(arrays: &[&ArrayRef]) -> Option<Self> {
        let first = arrays.iter().find(|array| !array.is_empty())?;
        let run = Self { value: first.slice(0, 1), rows: 0 };
        run.extended(arrays)
    }

    /// The run with all rows of `arrays` added, if their value is the same.
    pub fn extended(&self, arrays: &[&ArrayRef]) -> Option<Self> {
        let is_same = arrays.iter().all(|array| is_run_of(&self.value, array));
        let rows = arrays.iter().map(|array| array.len()).sum::<usize>();
        is_same.then(|| Self { value: self.value.clone(), rows: self.rows + rows })
    }

    /// The rows, some at a time.
    pub fn arrays(&self) -> impl Iterator<Item = Result<ArrayRef, ArrowError>> + '_ {
        let starts = (0..self.rows).step_by(REPEATED);
        starts.map(|start| take(&self.value, &UInt32Array::from(vec![0; REPEATED.min(self.rows - start)]), None))
    }

    /// The bytes of a chunk of the column `descriptor`, and their description.
    pub fn chunk(&self, descriptor: &ColumnDescPtr) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        let rows = u32::try_from(self.rows).map_err(|error| ParquetError::External(error.into()))?;
        let value = bytes_of(&self.value);
        let (mut sink, mut encodings) = (TrackedWrite::new(Vec::new()), vec![Encoding::PLAIN, Encoding::RLE]);
        let mut pages = SerializedPageWriter::new(&mut sink);
        let mut uncompressed_bytes = 0;
        let mut write = |page: Page| {
            let bytes = page.buffer().len();
            let spec = pages.write_page(CompressedPage::new(page, bytes))?;
            uncompressed_bytes += spec.uncompressed_size;
            Ok::<_, ParquetError>(spec)
        };
        let mut dictionary_offset = None;
        let mut encoding = Encoding::PLAIN;
        if let Some(value) = &value {
            encoding = Encoding::RLE_DICTIONARY;
            encodings.push(encoding);
            let is_text = descriptor.physical_type() == Type::BYTE_ARRAY;
            let length = if is_text { (value.len() as u32).to_le_bytes().to_vec() } else { Vec::new() };
            let buf = [length, value.clone()].concat().into();
            let page = Page::DictionaryPage { buf, num_values: 1, encoding: Encoding::PLAIN, is_sorted: false };
            dictionary_offset = Some(write(page)?.offset as i64);
        }
        let page = Page::DataPage {
            buf: data_page(rows, descriptor.max_def_level() > 0, value.is_some()).into(),
            num_values: rows,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let data = write(page)?;
        let bytes: Bytes = sink.into_inner()?.into();
        let nulls = if value.is_some() { 0 } else { rows };
        let mut offsets = OffsetIndexBuilder::new();
        offsets.append_row_count(rows.into());
        offsets.append_offset_and_size(data.offset as i64, data.compressed_size as i32);
        let mut index = ColumnIndexBuilder::new(descriptor.physical_type());
        let bound = value.clone().unwrap_or_default();
        let is_float = descriptor.physical_type() == Type::DOUBLE;
        index.append(value.is_none(), bound.clone(), bound, nulls.into(), is_float.then_some(0));
        let metadata = ColumnChunkMetaData::builder(Arc::clone(descriptor))
            .set_compression(Compression::UNCOMPRESSED)
            .set_encodings(encodings)
            .set_num_values(rows.into())
            .set_total_uncompressed_size(uncompressed_bytes as i64)
            .set_total_compressed_size(bytes.len() as i64)
            .set_dictionary_page_offset(dictionary_offset)
            .set_data_page_offset(data.offset as i64)
            .set_statistics(statistics(descriptor.physical_type(), value.as_deref(), nulls.into()));
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: rows.into(),
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: Some(index.build()?),
            offset_index: Some(offsets.build()),
        };
        Ok((bytes, close))
    }
}

/// Whether every row of `array` is `value`, an array of one row.
fn is_run_of(value: &ArrayRef, array: &ArrayRef) -> bool {
    if array.null_count() > 0 || value.null_count() > 0 {
        let is_flat = !array.data_type().is_nested();
        return is_flat && value.null_count() > 0 && array.null_count() == array.len();
    }
    match array.data_type() {
        DataType::Utf8 => {
            let (value, texts) = (value.as_string::<i32>().value(0), array.as_string::<i32>());
            value.len() <= MAX_TEXT_BYTES && (0..texts.len()).all(|row| texts.value(row) == value)
        }
        DataType::Int64 => are_all::<Int64Type>(value, array),
        DataType::Date32 => are_all::<Date32Type>(value, array),
        DataType::Timestamp(..) => are_all::<TimestampMicrosecondType>(value, array),
        _ => false,
    }
}

fn are_all<T: ArrowPrimitiveType>(value: &ArrayRef, array: &ArrayRef) -> bool {
    let value = value.as_primitive::<T>().value(0);
    array.as_primitive::<T>().values().iter().all(|other| *other == value)
}

/// The bytes of the value as statistics have them; `None` for null.
fn bytes_of(value: &ArrayRef) -> Option<Vec<u8>> {
    if value.null_count() > 0 {
        return None;
    }
    Some(match value.data_type() {
        DataType::Utf8 => value.as_string::<i32>().value(0).as_bytes().to_vec(),
        DataType::Date32 => value.as_primitive::<Date32Type>().value(0).to_le_bytes().to_vec(),
        DataType::Int64 => value.as_primitive::<Int64Type>().value(0).to_le_bytes().to_vec(),
        _ => value.as_primitive::<TimestampMicrosecondType>().value(0).to_le_bytes().to_vec(),
    })
}

/// One run of definition levels, and one of indexes into a dictionary of one value, which take no bits.
fn data_page(rows: u32, has_levels: bool, is_valid: bool) -> Vec<u8> {
    let mut run = Vec::new();
    // A run's header is twice its length, as a varint.
    let mut header = u64::from(rows) << 1;
    while header >= 0x80 {
        run.push(header as u8 | 0x80);
        header >>= 7;
    }
    run.push(header as u8);
    let mut page = Vec::new();
    if has_levels {
        page.extend_from_slice(&(run.len() as u32 + 1).to_le_bytes());
        page.extend_from_slice(&run);
        page.push(u8::from(is_valid));
    }
    if is_valid {
        page.push(0);
        page.extend_from_slice(&run);
    }
    page
}

fn statistics(kind: Type, value: Option<&[u8]>, nulls: u64) -> Statistics {
    let (nulls, is_deprecated) = (Some(nulls), false);
    match kind {
        Type::BOOLEAN => Statistics::boolean(None, None, None, nulls, is_deprecated),
        Type::INT32 => {
            let value = value.and_then(|value| Some(i32::from_le_bytes(value.try_into().ok()?)));
            Statistics::int32(value, value, None, nulls, is_deprecated)
        }
        Type::INT64 => {
            let value = value.and_then(|value| Some(i64::from_le_bytes(value.try_into().ok()?)));
            Statistics::int64(value, value, None, nulls, is_deprecated)
        }
        Type::DOUBLE => Statistics::double(None, None, None, nulls, is_deprecated),
        _ => {
            let value = value.map(|value| ByteArray::from(value.to_vec()));
            Statistics::byte_array(value.clone(), value, None, nulls, is_deprecated)
        }
    }
}
