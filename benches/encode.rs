//! How long rows take from the decoder to files in the spool, next to parquet-rs alone on the same rows, and how large the files are:
//! `cargo bench --bench encode`.

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::Arc;

use arrow_array::RecordBatch;
use divan::Bencher;
use divan::counter::ItemsCount;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::file::properties::WriterProperties;
use profound_export::catalog::Catalog;
use profound_export::config::Compression;
use profound_export::decode::{Decoder, TableSchema};
use profound_export::model::day::Day;
use profound_export::model::proof::Proof;
use profound_export::model::response_totals::ResponseTotals;
use profound_export::model::slice::Slice;
use profound_export::model::window::Window;
use profound_export::simulator::{Account, Simulator};
use profound_export::write::{Provenance, SliceWriter, Spool, SpooledFile, UnverifiedSlice};
use uuid::Uuid;

/// Stream, days, and rows of each: a large report, many small days of it, and answers.
const LOADS: [(&str, i64, u64); 3] =
    [("visibility_v1", 1, 30_000), ("visibility_v1", 31, 60), ("answers_v2", 1, 2_000)];
/// Rows that are decoded at once, about as many as a block has.
const BATCH: usize = 1_000;
const LEVEL: i32 = 3;
/// More than any load needs.
const SPOOL_BYTES: u64 = 1 << 30;

fn main() {
    sizes();
    divan::main();
}

/// Hashing, and splitting by day.
#[divan::bench(args = 0..LOADS.len(), sample_count = 5, sample_size = 1)]
fn hash_and_split(bencher: Bencher<'_, '_>, load: usize) {
    let load = Load::new(load);
    let spool = Spooled::new();
    bencher.counter(load.counter()).bench_local(|| load.written(&spool));
}

/// The same, and every file is encoded.
#[divan::bench(args = 0..LOADS.len(), sample_count = 5, sample_size = 1)]
fn write_files(bencher: Bencher<'_, '_>, load: usize) {
    let load = Load::new(load);
    let spool = Spooled::new();
    bencher.counter(load.counter()).bench_local(|| load.files(&spool, |_| ()));
}

/// The limit: parquet-rs with its own properties, in memory.
#[divan::bench(args = 0..LOADS.len(), sample_count = 5, sample_size = 1)]
fn parquet_rs(bencher: Bencher<'_, '_>, load: usize) {
    let load = Load::new(load);
    let days = load.days();
    bencher.counter(load.counter()).bench_local(|| encoded(&days));
}

/// The decoded rows of a slice.
struct Load {
    slice: Slice,
    batches: Vec<RecordBatch>,
}

impl Load {
    fn new(load: usize) -> Self {
        let (stream, days, rows) = LOADS[load];
        let catalog = Arc::new(Catalog::embedded().expect("the catalog is sound"));
        let account = Account {
            now: Some("2026-04-10T12:00:00Z".parse().expect("an instant")),
            rows_per_day: [(stream.to_owned(), rows)].into(),
            ..Account::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let simulator = runtime.block_on(Simulator::start(catalog.clone(), account)).expect("a simulator");
        let stream = Arc::clone(catalog.get(stream).expect("a stream"));
        let scope = simulator.scopes(stream.scope).remove(0);
        let start: Day = "2026-03-01".parse().expect("a day");
        let window = Window::new(start, start.plus(days));
        let rows = simulator.rows(&stream, &scope, window);
        let mut decoder = Decoder::new(Arc::new(TableSchema::new(&stream))).with_scope(&scope);
        let batches = rows.chunks(BATCH).map(|rows| {
            let json = serde_json::to_vec(rows).expect("JSON");
            decoder.decode(&json, rows.len()).expect("they fit")
        });
        let batches = batches.collect();
        Self { slice: Slice { stream, scope, window }, batches }
    }

    fn counter(&self) -> ItemsCount {
        ItemsCount::new(self.batches.iter().map(RecordBatch::num_rows).sum::<usize>())
    }

    fn written(&self, spool: &Spooled) -> UnverifiedSlice {
        let Slice { scope, window, .. } = &self.slice;
        let provenance = Provenance {
            run_id: Uuid::nil(),
            extracted_at: "2026-04-10T12:00:00Z".parse().expect("an instant"),
            scope: scope.clone(),
            window: *window,
            footer: Vec::new(),
        };
        let dir = spool.spool.create_slice_dir().expect("a directory");
        let schema = self.batches[0].schema();
        let mut writer = SliceWriter::new(&self.slice, &schema, provenance, Compression::Zstd(LEVEL), dir);
        self.batches.iter().for_each(|batch| writer.write(batch).expect("it is written"));
        writer.finish()
    }

    /// Passes each file to `visit` while it exists.
    fn files(&self, spool: &Spooled, visit: impl FnMut(&SpooledFile)) {
        let totals = ResponseTotals::new(Proof::Total);
        let verified = self.written(spool).verify(totals, &BTreeSet::new());
        let mut whole = verified.expect("its keys are read").expect("it is whole");
        let days = whole.days.iter().map(|content| content.day).collect();
        whole.encode(&days).expect("it is written").iter().for_each(visit);
    }

    /// The rows of each file, with all columns.
    fn days(&self) -> Vec<RecordBatch> {
        let mut days = Vec::new();
        self.files(&Spooled::new(), |file| {
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&file.path).expect("a file"));
            let reader =
                reader.expect("Parquet").with_batch_size(file.content.rows as usize).build().expect("a reader");
            days.extend(reader.map(|batch| batch.expect("rows")));
        });
        days
    }
}

struct Spooled {
    spool: Arc<Spool>,
    _root: tempfile::TempDir,
}

impl Spooled {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        Self { spool: Spool::open(root.path(), Uuid::now_v7(), SPOOL_BYTES).expect("a spool"), _root: root }
    }
}

/// The bytes of a file for each of `days`.
fn encoded(days: &[RecordBatch]) -> usize {
    let level = ZstdLevel::try_new(LEVEL).expect("a level");
    let properties = WriterProperties::builder().set_compression(Codec::ZSTD(level)).build();
    let file = |day: &RecordBatch| {
        let mut writer = ArrowWriter::try_new(Vec::new(), day.schema(), Some(properties.clone())).expect("a writer");
        writer.write(day).expect("it is written");
        writer.into_inner().expect("it is written").len()
    };
    days.iter().map(file).sum()
}

/// Prints the bytes of the files, and those of parquet-rs.
fn sizes() {
    println!("| load | stream | days | rows a day | bytes | parquet-rs | ratio |");
    println!("|---:|---|---:|---:|---:|---:|---:|");
    for (number, (stream, days, rows)) in LOADS.into_iter().enumerate() {
        let (load, mut bytes) = (Load::new(number), 0);
        load.files(&Spooled::new(), |file| bytes += file.bytes);
        let limit = encoded(&load.days());
        let ratio = bytes as f64 / limit as f64;
        println!("| {number} | {stream} | {days} | {rows} | {bytes} | {limit} | {ratio:.2} |");
    }
    println!();
}
