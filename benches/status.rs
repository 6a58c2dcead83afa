//! How long the status of a lake and its page take, of 20, 200 and 2,000 categories with tier `core` and a year of days:
//! `cargo bench --bench status`. The largest has as many days as 200 categories with every stream there is.

mod support;

use std::sync::Arc;

use divan::Bencher;
use profound_export::clock::Clock;
use profound_export::config::{Config, Sources, load};
use profound_export::ledger::State;
use profound_export::observe::ActivityMonitor;
use profound_export::server::StatusServer;
use profound_export::status::{Status, StatusCache};
use support::{Account, CATEGORIES};

fn main() {
    divan::main();
}

/// The status that a process recomputes during a run.
#[divan::bench(args = CATEGORIES, sample_count = 5, sample_size = 1)]
fn status_of_a_year(bencher: Bencher<'_, '_>, categories: usize) {
    let (account, state, config) = lake(categories);
    bencher.bench_local(|| Status::of(&state, &config, account.now, 90).unwrap());
}

/// The status of one category, as requested by a reader of the page.
#[divan::bench(args = CATEGORIES, sample_count = 5, sample_size = 1)]
fn one_category(bencher: Bencher<'_, '_>, categories: usize) {
    let (account, state, config) = lake(categories);
    let category = Status::of(&state, &config, account.now, 1).unwrap().categories.remove(0).id;
    bencher.bench_local(|| Status::streams_of_category(&state, &config, account.now, 90, &category));
}

/// The page that a browser loads, with as many categories in its filter.
#[divan::bench(args = CATEGORIES, sample_count = 5, sample_size = 1)]
fn page_of_a_year(bencher: Bencher<'_, '_>, categories: usize) {
    let (account, state, config) = lake(categories);
    let status = Arc::new(Status::of(&state, &config, account.now, 90).unwrap());
    let clock = Clock::starting_at(account.now);
    let cache = Arc::new(StatusCache::new(Arc::new(config), clock.clone(), 90));
    let server = StatusServer::new(cache, ActivityMonitor::new(clock.clone()), clock);
    bencher.bench_local(|| server.page(Arc::clone(&status)));
}

fn lake(categories: usize) -> (Account, State, Config) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("jobs.toml");
    std::fs::write(&file, "[[job]]\nname = \"nightly\"\nstreams = [\"core\"]\n").unwrap();
    let config = load(&Sources { file: Some(file), ..Sources::default() }).unwrap();
    let account = Account::of(categories);
    let state = account.state();
    (account, state, config)
}
