//! How long the ledger of 20, 200 and 2,000 categories with tier `core` and a year of days takes to replay, write and read,
//! and how large it is: `cargo bench --bench ledger`.

mod support;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use profound_export::catalog::Catalog;
use profound_export::config::Partition;
use profound_export::layout::Layout;
use profound_export::ledger::State;
use profound_export::ledger::coverage_parquet;
use profound_export::run::coverage_rows;
use support::{Account, CATEGORIES, known};

const LAYOUT: Layout = Layout { partition: Partition::Day };

fn main() {
    sizes();
    divan::main();
}

/// Replaying the records of one run onto a year.
#[divan::bench(args = CATEGORIES, sample_count = 5, sample_size = 1)]
fn replay_a_run(bencher: Bencher<'_, '_>, categories: usize) {
    let account = Account::of(categories);
    let mut state = account.state();
    let records = account.run(2);
    bencher
        .counter(ItemsCount::new(records.len()))
        .bench_local(|| records.iter().for_each(|record| state.apply(record)));
}

#[divan::bench(args = CATEGORIES, sample_count = 3, sample_size = 1)]
fn write_checkpoint(bencher: Bencher<'_, '_>, categories: usize) {
    let state = Account::of(categories).state();
    bencher.counter(ItemsCount::new(known(&state))).bench_local(|| checkpoint(&state));
}

#[divan::bench(args = CATEGORIES, sample_count = 3, sample_size = 1)]
fn read_checkpoint(bencher: Bencher<'_, '_>, categories: usize) {
    let bytes = checkpoint(&Account::of(categories).state());
    let counter = BytesCount::new(bytes.len());
    bencher.counter(counter).bench_local(|| State::from_checkpoint(bytes.clone()).expect("it is whole"));
}

#[divan::bench(args = CATEGORIES, sample_count = 3, sample_size = 1)]
fn write_coverage_table(bencher: Bencher<'_, '_>, categories: usize) {
    let account = Account::of(categories);
    let state = account.state();
    bencher.counter(ItemsCount::new(known(&state))).bench_local(|| table(&account, &state));
}

fn checkpoint(state: &State) -> bytes::Bytes {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(state.to_checkpoint()).expect("it can be written")
}

fn table(account: &Account, state: &State) -> bytes::Bytes {
    let catalog = Catalog::embedded().expect("the catalog is sound");
    coverage_parquet(state.number, account.now, coverage_rows(state, &catalog, LAYOUT, account.now))
        .expect("it can be written")
}

/// Prints the size of a year in memory, in a checkpoint and in the coverage table. The maximum is the resident memory while
/// these were made, the state included.
fn sizes() {
    // They are kept, so that none reuses the memory of another.
    let mut states = Vec::new();
    println!("| categories | days and lists | state | checkpoint | coverage table | at most |");
    println!("|---:|---:|---:|---:|---:|---:|");
    for categories in CATEGORIES {
        let account = Account::of(categories);
        let before = memory("VmRSS:");
        let state = account.state();
        let resident = memory("VmRSS:").saturating_sub(before);
        let checkpoint = checkpoint(&state).len() / 1024;
        let table = table(&account, &state).len() / 1024;
        let most = memory("VmHWM:").saturating_sub(before);
        let known = known(&state);
        println!("| {categories} | {known} | {resident} KiB | {checkpoint} KiB | {table} KiB | {most} KiB |");
        states.push(state);
    }
    println!();
}

/// A figure of `/proc/self/status` in KiB; zero where there is no such file.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}
