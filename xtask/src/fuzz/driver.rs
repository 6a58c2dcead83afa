//! Feeds a target with inputs and counts the results.

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::{Duration, Instant};

use fastrand::Rng;
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use super::targets::FuzzTarget;
use super::{ALLOCATOR, corpus, mutate};

/// Inputs kept in memory because they had a new outcome.
const MAX_KEPT: usize = 4000;

/// Results of one target.
#[derive(Debug, Default)]
pub struct Figures {
    /// Inputs of the corpus.
    pub kept: u64,
    pub inputs: u64,
    /// Inputs that panicked, in the code or in an assertion.
    pub panics: u64,
    /// Inputs that exceeded their memory bound.
    pub over_bound: u64,
    pub max_bytes: usize,
    pub slowest: Duration,
    pub elapsed: Duration,
    /// Distinct ones.
    pub outcomes: usize,
    /// One problem of each kind, with the file of its input.
    pub problems: BTreeMap<String, String>,
}

static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

/// Panics of inputs are counted, not printed.
fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if TRYING.with(|trying| trying.get()) { *LAST_PANIC.lock() = info.to_string() } else { usual(info) }
        }));
    });
}

thread_local! {
    static TRYING: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Tries the corpus of `target`, then mutations, `inputs` in total.
pub fn fuzz(target: &FuzzTarget, inputs: u64, seed: u64) -> Figures {
    install_panic_hook();
    let words = corpus::words(target.name);
    let mut pool = corpus::kept(target.name);
    pool.extend((target.seeds)());
    assert!(!pool.is_empty(), "no corpus");
    let mut rng = Rng::with_seed(seed ^ xxh3_64(target.name.as_bytes()));
    let mut figures = Figures { kept: pool.len() as u64, ..Figures::default() };
    let mut seen = HashSet::new();
    // One-time allocations, such as the catalog, do not count for the first input.
    let _ = try_input(target, &pool[0]);
    let began = Instant::now();
    for input in &pool {
        figures.try_one(target, input, &mut seen);
    }
    while figures.inputs < inputs {
        let input = mutate::mutated(&pool, &words, &mut rng);
        if figures.try_one(target, &input, &mut seen) && pool.len() < MAX_KEPT {
            pool.push(input);
        }
    }
    figures.elapsed = began.elapsed();
    figures.outcomes = seen.len();
    figures
}

/// The outcome, or the message of the panic.
fn try_input(target: &FuzzTarget, input: &[u8]) -> Result<super::targets::FuzzOutcome, String> {
    TRYING.with(|trying| trying.set(true));
    let tried = catch_unwind(AssertUnwindSafe(|| (target.try_one)(input)));
    TRYING.with(|trying| trying.set(false));
    tried.map_err(|_| std::mem::take(&mut *LAST_PANIC.lock()))
}

impl Figures {
    /// Whether the outcome was new.
    fn try_one(&mut self, target: &FuzzTarget, input: &[u8], seen: &mut HashSet<u64>) -> bool {
        self.inputs += 1;
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        let began = Instant::now();
        let outcome = try_input(target, input);
        self.slowest = self.slowest.max(began.elapsed());
        let bytes = ALLOCATOR.peak_usage().saturating_sub(before);
        self.max_bytes = self.max_bytes.max(bytes);
        match outcome {
            Ok(outcome) => {
                let bound = target.bytes + target.bytes_per_byte * input.len() + outcome.named_bytes;
                if bytes > bound {
                    self.over_bound += 1;
                    self.report(target, input, format!("{} bytes are more than {}", bytes, bound));
                }
                seen.insert(outcome.kind)
            }
            Err(message) => {
                self.panics += 1;
                self.report(target, input, message);
                false
            }
        }
    }

    fn report(&mut self, target: &FuzzTarget, input: &[u8], message: String) {
        // Numbers differ between problems of one kind, locations do not.
        let kind: String = message.lines().next().unwrap_or_default().chars().filter(|c| !c.is_ascii_digit()).collect();
        if self.problems.len() < 20 && !self.problems.contains_key(&kind) {
            let directory = corpus::root().join("target/fuzz");
            let path = directory.join(format!("{}-{:016x}", target.name, xxh3_64(input)));
            let written = std::fs::create_dir_all(&directory).and_then(|()| std::fs::write(&path, input));
            let place = written.map_or_else(|error| error.to_string(), |()| path.display().to_string());
            self.problems.insert(kind, format!("{}: {message}\n  input: {place}", target.name));
        }
    }
}
