//! Splits the record batches of one slice into one file per day.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch, UInt32Array};
use arrow_schema::{DataType, SchemaRef};
use arrow_select::take::take_record_batch;

use crate::config::Compression;
use crate::model::day::Day;
use crate::model::proof::Proof;
use crate::model::response_totals::ResponseTotals;
use crate::model::slice::Slice;
use crate::model::stream::Stream;
use crate::write::columns::{OWN_COLUMNS, OwnColumns, Provenance, table_schema};
use crate::write::day_file::DayFile;
use crate::write::error::WriteError;
use crate::write::hash::row_hashes;
use crate::write::parquet_file::FileFormat;
use crate::write::row_keys::RowKeys;
use crate::write::rows_by_day::rows_by_day;
use crate::write::spool::SliceDir;

/// Rows of all slices that may wait in memory.
const WAITING_BYTES: usize = 8 * 1024 * 1024;
/// Encoded rows of all slices in memory: a row group of a share of it is written to disk.
pub(super) const ROW_GROUP_BYTES: usize = 8 * 1024 * 1024;
/// The encoded file gives way to another one after this many batches without rows for it.
const MAX_IDLE_BATCHES: u32 = 4;

pub struct SliceWriter {
    pub(super) slice: Slice,
    own: OwnColumns,
    format: FileFormat,
    /// The columns of decoded batches that are hashed.
    content: Vec<usize>,
    pub(super) keys: Option<RowKeys>,
    pub(super) entities: Option<RowKeys>,
    pub(super) dir: SliceDir,
    pub(super) files: BTreeMap<FileKey, DayFile>,
    /// The one file whose rows are encoded as they arrive.
    encoded: Option<FileKey>,
    pub(super) outside_rows: u64,
    /// Days of rows, also outside the window: they show how the API reads `end_date`.
    pub(super) seen: BTreeSet<Day>,
    /// Whether no batch had a row of an earlier day than the batches before it.
    is_in_day_order: bool,
    /// Why days, or the list, have a row that cannot be stored.
    pub(super) unfit: BTreeMap<FileKey, String>,
    /// Days, or the list, whose signal is on.
    pub(super) signalled: BTreeSet<Option<Day>>,
}

/// The day of a file; `None` for the file of a list.
pub(super) type FileKey = Option<Day>;

impl SliceWriter {
    /// Writes to `dir`.
    pub fn new(
        slice: &Slice,
        decoded: &SchemaRef,
        provenance: Provenance,
        compression: Compression,
        dir: SliceDir,
    ) -> Self {
        let schema = table_schema(decoded, slice.stream.scope);
        let long_text = long_text_paths(&slice.stream, &schema);
        Self {
            slice: slice.clone(),
            own: OwnColumns::new(provenance, slice.stream.scope),
            format: FileFormat::new(schema, compression, long_text),
            content: (0..decoded.fields().len()).collect(),
            keys: RowKeys::of_rows(&slice.stream, decoded, &dir),
            entities: RowKeys::of_entities(&slice.stream, decoded, &dir),
            dir,
            files: BTreeMap::new(),
            encoded: None,
            outside_rows: 0,
            seen: BTreeSet::new(),
            is_in_day_order: true,
            unfit: BTreeMap::new(),
            signalled: BTreeSet::new(),
        }
    }

    pub fn slice(&self) -> &Slice {
        &self.slice
    }

    /// The file for blocks that cannot be decoded yet.
    pub fn waiting_blocks_file(&self) -> std::path::PathBuf {
        self.dir.file("waiting.blocks")
    }

    /// Waits until the spool has space for all rows so far and for `more` bytes of rows.
    ///
    /// # Errors
    /// [`WriteError::SpoolFull`] if other slices hold the space for too long.
    pub async fn wait_for_space(&mut self, more: u64) -> Result<(), WriteError> {
        let files: u64 = self.files.values().map(DayFile::expected_bytes).sum();
        self.dir.reserve((files + self.key_bytes()).saturating_add(more)).await
    }

    /// Adds the rows of `batch` to the files of their days.
    ///
    /// # Errors
    /// [`WriteError`]; the writer must then be dropped.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), WriteError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        for keys in [&mut self.keys, &mut self.entities].into_iter().flatten() {
            keys.add(batch)?;
        }
        let hashes = row_hashes(batch, &self.content);
        let signal = self.slice.stream.signal.as_deref().and_then(|column| signals(batch, column));
        if let Some(day) = self.single_file() {
            let hash = sum(hashes.iter().copied());
            self.seen.extend(day);
            if signal.is_some_and(|signal| signal.contains(&true)) {
                self.signalled.insert(day);
            }
            self.add(day, batch, hash)?;
            return self.bound_memory();
        }
        let mut undated = 0;
        let days = self.days_of(batch);
        let first = days.keys().flatten().next();
        self.is_in_day_order &= first.is_none_or(|first| self.seen.last().is_none_or(|last| last <= first));
        for (day, rows) in days {
            let window = self.slice.window;
            let Some(day) = day else {
                undated += rows.len();
                continue;
            };
            self.seen.insert(day);
            if window.is_some_and(|window| !window.contains(day)) {
                self.outside_rows += rows.len() as u64;
                continue;
            }
            if signal.as_ref().is_some_and(|signal| rows.iter().any(|row| signal[*row as usize])) {
                self.signalled.insert(Some(day));
            }
            let hash = sum(rows.iter().map(|row| hashes[*row as usize]));
            if rows.len() == batch.num_rows() {
                self.add(Some(day), batch, hash)?;
            } else {
                let part = take_record_batch(batch, &UInt32Array::from(rows)).map_err(|source| self.shape(source))?;
                self.add(Some(day), &part, hash)?;
            }
        }
        if undated > 0 {
            let (stream, column) = (self.slice.stream.name.clone(), days_column(&self.slice));
            return Err(WriteError::Undated { stream, column, rows: undated });
        }
        self.bound_memory()
    }

    /// Adds decoded rows of `day`.
    fn add(&mut self, day: FileKey, rows: &RecordBatch, hash: u128) -> Result<(), WriteError> {
        // The other columns share their memory with those of all other rows.
        let bytes = rows.get_array_memory_size();
        let full = self.own.add_to(rows, &self.format.schema).map_err(|source| self.shape(source))?;
        self.open(day).add(full, bytes, hash);
        Ok(())
    }

    /// Keeps the day of `row`, or the list, from being published: the row cannot be stored. Call it before the batch is written, which
    /// fails if the row has no day.
    pub fn reject(&mut self, batch: &RecordBatch, row: usize, problem: &dyn std::fmt::Display) {
        let days = match self.single_file() {
            Some(day) => vec![day],
            None => self.days_of(&batch.slice(row, 1)).into_keys().flatten().map(Some).collect(),
        };
        for day in days {
            self.unfit.entry(day).or_insert_with(|| problem.to_string());
        }
    }

    /// The one file of all rows of a list, or of a stream whose rows carry no date.
    fn single_file(&self) -> Option<FileKey> {
        match (&self.slice.stream.days, self.slice.window) {
            (None, _) => Some(None),
            (Some(days), Some(window)) if days.kind.is_single() => Some(Some(window.start)),
            _ => None,
        }
    }

    /// The rows of each day; `None` for those whose day is unknown.
    fn days_of(&self, batch: &RecordBatch) -> BTreeMap<Option<Day>, Vec<u32>> {
        let Some(days) = &self.slice.stream.days else {
            return BTreeMap::new();
        };
        let mut rows = rows_by_day(batch, days);
        // A window of one day leaves no choice.
        if let Some(window) = self.slice.window.filter(|window| window.len_days() == 1 && days.margin == 0)
            && let Some(undated) = rows.remove(&None)
        {
            rows.entry(Some(window.start)).or_default().extend(undated);
        }
        rows
    }

    /// Carries over rows of the published file that are not requested again. Their columns are those of the file.
    pub fn keep(&mut self, batch: &RecordBatch) -> Result<(), WriteError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let first = self.format.schema.fields().len() - OWN_COLUMNS.len() - self.content.len();
        let content: Vec<usize> = (first..first + self.content.len()).collect();
        let decoded = batch.project(&content).map_err(|source| self.shape(source))?;
        let hash = sum(row_hashes(&decoded, &self.content).into_iter());
        // A slice that carries rows over is a list, or one day of rows without a date.
        let mark = self.slice.recorded_days().first().copied().flatten();
        self.open(mark).add(batch.clone(), batch.get_array_memory_size(), hash);
        self.bound_memory()
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.format.schema
    }

    pub fn finish(self) -> UnverifiedSlice {
        UnverifiedSlice(self)
    }

    /// The file of `day`.
    pub(super) fn open(&mut self, day: Option<Day>) -> &mut DayFile {
        self.files.entry(day).or_insert_with(|| {
            let name = day.map_or_else(|| "data.parquet".to_owned(), |day| format!("{day}.parquet"));
            DayFile::new(self.dir.file(&name), self.format.clone())
        })
    }

    /// Encodes or spills the fullest files until few enough rows wait in memory.
    fn bound_memory(&mut self) -> Result<(), WriteError> {
        self.files.values_mut().for_each(DayFile::count_idle_batch);
        let mut waiting: usize = self.files.values().map(DayFile::waiting_bytes).sum();
        let (limit, row_group) = (self.dir.share(WAITING_BYTES), self.dir.share(ROW_GROUP_BYTES));
        while waiting > limit {
            let Some(fullest) = self.files.iter().max_by_key(|(_, file)| file.waiting_bytes()).map(|(day, _)| *day)
            else {
                break;
            };
            let is_encoded = self.make_encoded(fullest)?;
            let Some(file) = self.files.get_mut(&fullest) else {
                break;
            };
            waiting -= file.waiting_bytes();
            if is_encoded {
                file.encode(row_group)?;
            } else {
                file.spill()?;
            }
        }
        let files: u64 = self.files.values().map(DayFile::disk_bytes).sum();
        self.dir.occupy(files + self.key_bytes())
    }

    fn key_bytes(&self) -> u64 {
        [&self.keys, &self.entities].into_iter().flatten().map(RowKeys::disk_bytes).sum()
    }

    /// Makes `day` the encoded file if the present one is idle. Rows mostly arrive day by day, so a finished day gives way: at once if no
    /// day had rows after a later one.
    fn make_encoded(&mut self, day: Option<Day>) -> Result<bool, WriteError> {
        if let Some(other) = self.encoded.filter(|encoded| *encoded != day)
            && let Some(file) = self.files.get_mut(&other)
        {
            let max_idle_batches = if self.is_in_day_order { 1 } else { MAX_IDLE_BATCHES };
            if file.idle_batches() <= max_idle_batches {
                return Ok(false);
            }
            file.end_row_group()?;
        }
        self.encoded = Some(day);
        Ok(true)
    }

    fn shape(&self, source: arrow_schema::ArrowError) -> WriteError {
        WriteError::Shape { stream: self.slice.stream.name.clone(), source }
    }
}

/// The files of a slice with all its rows, not yet compared with the announced total.
pub struct UnverifiedSlice(pub(super) SliceWriter);

impl UnverifiedSlice {
    /// Days of rows, also outside the window.
    pub fn days_seen(&self) -> &BTreeSet<Day> {
        &self.0.seen
    }

    /// Whether there is no day of rows, or list, that can be published.
    pub fn is_unfit(&self) -> bool {
        !self.0.files.is_empty() && self.0.files.keys().all(|day| self.0.unfit.contains_key(day))
    }
}

impl SliceWriter {
    /// The footer of every file of the slice.
    pub(super) fn metadata(&self, totals: &ResponseTotals, proof: Proof) -> Vec<(String, String)> {
        let Self { slice, own: OwnColumns { provenance, .. }, .. } = self;
        let mut pairs = vec![
            ("stream", slice.stream.name.clone()),
            ("scope", serde_json::json!(slice.scope).to_string()),
            ("run_id", provenance.run_id.to_string()),
            ("extracted_at", provenance.extracted_at.to_string()),
            ("proof", proof.name().to_owned()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        if let Some(window) = slice.window {
            pairs.push(("window_start", window.start.to_string()));
            pairs.push(("window_end", window.end.to_string()));
        }
        if let Some(total) = totals.total {
            pairs.push(("total_announced", total.to_string()));
        }
        pairs.extend(provenance.footer.iter().cloned());
        pairs.into_iter().map(|(key, value)| (format!("profound_export.{key}"), value)).collect()
    }
}

fn days_column(slice: &Slice) -> String {
    slice.stream.days.as_ref().map(|days| days.column.clone()).unwrap_or_default()
}

fn sum(hashes: impl Iterator<Item = u128>) -> u128 {
    hashes.fold(0, u128::wrapping_add)
}

/// Whether `column` is true, or a number above zero, in each row.
pub(super) fn signals(batch: &RecordBatch, column: &str) -> Option<Vec<bool>> {
    let array = batch.column_by_name(column)?;
    let above_zero = |row: usize| match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row) > 0,
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row) > 0.0,
        _ => false,
    };
    Some((0..batch.num_rows()).map(|row| array.is_valid(row) && above_zero(row)).collect())
}

/// Parquet paths of the columns whose texts do not repeat.
pub(super) fn long_text_paths(stream: &Stream, schema: &SchemaRef) -> Vec<String> {
    let mut paths = Vec::new();
    for column in stream.columns.iter().filter(|column| column.long_text) {
        if let Ok(field) = schema.field_with_name(&column.name) {
            leaves(field.name().clone(), field.data_type(), &mut paths);
        }
    }
    paths
}

fn leaves(path: String, data_type: &DataType, paths: &mut Vec<String>) {
    match data_type {
        DataType::List(item) => leaves(format!("{path}.list.element"), item.data_type(), paths),
        DataType::Struct(fields) => {
            fields.iter().for_each(|field| leaves(format!("{path}.{}", field.name()), field.data_type(), paths));
        }
        _ => paths.push(path),
    }
}
