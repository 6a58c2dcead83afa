//! How long planning takes for accounts of 20, 200 and 2,000 categories with tier `core`: `cargo bench --bench plan`.

mod support;

use divan::Bencher;
use profound_export::ledger::State;
use profound_export::plan::{Known, plan};
use support::{Account, CATEGORIES};

fn main() {
    divan::main();
}

/// The plan of a run after a complete year.
#[divan::bench(args = CATEGORIES, sample_count = 5, sample_size = 1)]
fn run_after_a_year(bencher: Bencher<'_, '_>, categories: usize) {
    let account = Account::of(categories);
    let state = account.state();
    bencher.bench_local(|| planned(&account, &state));
}

/// The same after a killed run, whose planned days are stale.
#[divan::bench(args = CATEGORIES, sample_count = 5, sample_size = 1)]
fn run_after_a_killed_run(bencher: Bencher<'_, '_>, categories: usize) {
    let account = Account::of(categories);
    let mut state = account.state();
    state.apply(&account.run(2)[0]);
    bencher.bench_local(|| planned(&account, &state));
}

/// The plan of a first run, for a year without any exported day.
#[divan::bench(args = CATEGORIES, sample_count = 5, sample_size = 1)]
fn first_run(bencher: Bencher<'_, '_>, categories: usize) {
    let account = Account::of(categories);
    let state = State::default();
    bencher.bench_local(|| planned(&account, &state));
}

fn planned(account: &Account, state: &State) -> usize {
    let doubtful = |stream: &str, scope: &_, day| state.is_possibly_overwritten(stream, scope, day, None);
    let known = Known::at(account.now, &state.coverage, &state.forgotten, &doubtful);
    plan(&account.wanted, &known).slices.len()
}
