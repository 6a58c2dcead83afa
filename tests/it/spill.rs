//! How the rows of a slice are written to the files of their days.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, Date32Array, RecordBatch, StringArray, new_null_array};
use arrow_schema::SchemaRef;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use profound_export::catalog::Catalog;
use profound_export::config::Compression;
use profound_export::decode::{EXTRA_COLUMN, TableSchema};
use profound_export::model::day::Day;
use profound_export::model::proof::Proof;
use profound_export::model::response_totals::ResponseTotals;
use profound_export::model::scope::{Named, Scope};
use profound_export::model::slice::Slice;
use profound_export::model::window::Window;
use profound_export::write::{Provenance, SliceWriter, Spool, SpooledFile, VerifiedSlice};
use uuid::Uuid;

/// Days of the slice.
const DAYS: i64 = 20;
/// Batches of it, each of which has rows of several days.
const BATCHES: usize = 24;
/// The day of a row by its number, counted from the first.
type DayOf = fn(usize) -> i64;

/// Rows of a batch, each of about a kilobyte: all of them are several times the memory limit.
const ROWS: usize = 1000;

/// Rows `first..` of a made-up report: the day of each, and a text that no other row has.
fn batch(schema: &SchemaRef, first: usize, days: impl Fn(usize) -> i64, start: Day) -> RecordBatch {
    let rows = first..first + ROWS;
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "date" => {
                Arc::new(Date32Array::from_iter_values(rows.clone().map(|row| start.plus(days(row)).to_epoch_days())))
            }
            EXTRA_COLUMN => Arc::new(StringArray::from_iter_values(rows.clone().map(|row| format!("{row:0>1000}")))),
            _ => new_null_array(field.data_type(), ROWS),
        }
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect()).unwrap()
}

/// A whole slice of [`BATCHES`] batches whose rows fall on `days`, written below `root`, and its files. `look` sees the directory of the
/// slice after each batch.
fn written(
    root: &Path,
    days: impl Fn(usize) -> i64 + Copy,
    mut look: impl FnMut(&Path),
) -> (VerifiedSlice, Vec<SpooledFile>) {
    let stream = Catalog::embedded().unwrap().get("visibility_v2_by_day").cloned().unwrap();
    let schema = Arc::clone(&TableSchema::new(&stream).arrow);
    let start: Day = "2026-03-01".parse().unwrap();
    let category = Named { id: "018f6a33-8f4f-7e30-9c2b-111111111111".into(), name: "Running shoes".into() };
    let scope = Scope { category: Some(category), ..Scope::default() };
    let window = Window::new(start, start.plus(DAYS)).unwrap();
    let slice = Slice { stream, scope: scope.clone(), window: Some(window) };
    let provenance = Provenance {
        run_id: Uuid::now_v7(),
        extracted_at: "2026-04-01T03:00:00Z".parse().unwrap(),
        scope,
        window: Some(window),
        footer: Vec::new(),
    };
    let spool = Spool::open(root, provenance.run_id, u64::MAX).unwrap();
    let dir = spool.create_slice_dir().unwrap();
    let place = dir.file("").to_owned();
    let mut writer = SliceWriter::new(&slice, &schema, provenance, Compression::Zstd(3), dir);
    for number in 0..BATCHES {
        writer.write(&batch(&schema, number * ROWS, days, start)).unwrap();
        look(&place);
    }
    let totals = ResponseTotals::new(Proof::Total);
    let mut whole = writer.finish().verify(totals, &BTreeSet::new()).unwrap().unwrap();
    let days = whole.days.iter().map(|content| content.day).collect();
    let files = whole.encode(&days).unwrap();
    (whole, files)
}

/// The rows of each file by their numbers, and how many row groups it has.
fn read(files: &[SpooledFile]) -> BTreeMap<i64, (Vec<usize>, usize)> {
    let start: Day = "2026-03-01".parse().unwrap();
    let files = files.iter().map(|file| {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&file.path).unwrap()).unwrap();
        let groups = reader.metadata().num_row_groups();
        let mut rows = Vec::new();
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let texts = batch.column_by_name(EXTRA_COLUMN).unwrap().as_string::<i32>();
            rows.extend(texts.iter().map(|text| text.unwrap().parse::<usize>().unwrap()));
        }
        assert_eq!(file.content.rows, rows.len() as u64);
        (file.content.day.unwrap().since(start), (rows, groups))
    });
    files.collect()
}

fn expected(days: impl Fn(usize) -> i64) -> BTreeMap<i64, Vec<usize>> {
    let mut expected: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    (0..BATCHES * ROWS).for_each(|row| expected.entry(days(row)).or_default().push(row));
    expected
}

#[test]
fn rows_keep_their_order_and_form_few_row_groups() {
    let orders: [(&str, DayOf); 3] = [
        ("a day after the other", |row| (row * DAYS as usize / (BATCHES * ROWS)) as i64),
        ("all days in each batch", |row| (row % DAYS as usize) as i64),
        ("one day, and then all", |row| if row < BATCHES * ROWS / 2 { 7 } else { (row % DAYS as usize) as i64 }),
    ];
    for (name, days) in orders {
        let root = tempfile::tempdir().unwrap();
        let (_whole, files) = written(root.path(), days, |_| ());
        let read = read(&files);
        assert!(read.values().all(|(_, groups)| *groups <= 3), "{name}: {read:?}");
        assert_eq!(
            read.into_iter().map(|(day, (rows, _))| (day, rows)).collect::<BTreeMap<_, _>>(),
            expected(days),
            "{name}"
        );
        // Only the files of days are left, wherever rows were buffered.
        let dir = files[0].path.parent().unwrap().to_owned();
        assert_eq!(std::fs::read_dir(dir).unwrap().count(), files.len(), "{name}");
    }
}

#[test]
fn rows_in_day_order_are_encoded_and_never_spilled() {
    let root = tempfile::tempdir().unwrap();
    let mut spilled = 0;
    // Three batches a day: a few days fill the memory.
    let (_whole, files) = written(
        root.path(),
        |row| (row / ROWS / 3) as i64,
        |dir| {
            let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
            spilled += names.filter(|name| name.extension().is_some_and(|extension| extension == "rows")).count();
        },
    );
    assert_eq!((spilled, files.len()), (0, BATCHES / 3));
}
