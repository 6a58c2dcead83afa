//! Feeds a target, and counts.

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

use fastrand::Rng;
use xxhash_rust::xxh3::xxh3_64;

use super::targets::Target;
use super::{ALLOCATOR, corpus, mutate};

/// Inputs kept in memory because what came of them was new.
const MOST_KEPT: usize = 4000;

/// What came of many inputs.
#[derive(Debug, Default)]
pub struct Figures {
    /// Inputs of the corpus, each tried as it is.
    pub kept: u64,
    /// All inputs.
    pub inputs: u64,
    /// Inputs that ended in a panic, be it of the code or of a promise that was looked at.
    pub panics: u64,
    /// Inputs that took more memory than their bound.
    pub beyond: u64,
    /// The most bytes that one input held at a time.
    pub most_bytes: usize,
    /// The longest that one input took.
    pub slowest: Duration,
    /// All of it.
    pub took: Duration,
    /// What came of inputs, each once: how many different things.
    pub outcomes: usize,
    /// A problem of each kind, and where its input was written.
    pub problems: BTreeMap<String, String>,
}

/// Where the last panic happened, and why.
static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

/// Panics of inputs are counted, not printed.
fn listen_to_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| match TRYING.with(|trying| trying.get()) {
            true => *LAST_PANIC.lock().unwrap_or_else(|broken| broken.into_inner()) = info.to_string(),
            false => usual(info),
        }));
    });
}

thread_local! {
    /// Whether this thread is trying an input.
    static TRYING: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Tries the corpus of `target`, then as many mutations as make `inputs`.
pub fn fuzz(target: &Target, inputs: u64, seed: u64) -> Figures {
    listen_to_panics();
    let mut pool = corpus::kept(target.name);
    pool.extend((target.seeds)());
    assert!(!pool.is_empty(), "no corpus");
    let mut rng = Rng::with_seed(seed ^ xxh3_64(target.name.as_bytes()));
    let mut figures = Figures { kept: pool.len() as u64, ..Figures::default() };
    let mut seen = HashSet::new();
    // What is made once, such as the catalog, is not held against the first input.
    let _ = tried(target, &pool[0]);
    let began = Instant::now();
    for input in &pool {
        figures.try_one(target, input, &mut seen);
    }
    while figures.inputs < inputs {
        let input = mutate::mutated(&pool, target.words, &mut rng);
        if figures.try_one(target, &input, &mut seen) && pool.len() < MOST_KEPT {
            pool.push(input);
        }
    }
    figures.took = began.elapsed();
    figures.outcomes = seen.len();
    figures
}

/// What came of one input, or the words of its panic.
fn tried(target: &Target, input: &[u8]) -> Result<super::targets::Outcome, String> {
    TRYING.with(|trying| trying.set(true));
    let tried = catch_unwind(AssertUnwindSafe(|| (target.try_one)(input)));
    TRYING.with(|trying| trying.set(false));
    tried.map_err(|_| std::mem::take(&mut *LAST_PANIC.lock().unwrap_or_else(|broken| broken.into_inner())))
}

impl Figures {
    /// Whether something new came of it.
    fn try_one(&mut self, target: &Target, input: &[u8], seen: &mut HashSet<u64>) -> bool {
        self.inputs += 1;
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        let began = Instant::now();
        let outcome = tried(target, input);
        self.slowest = self.slowest.max(began.elapsed());
        let bytes = ALLOCATOR.peak_usage().saturating_sub(before);
        self.most_bytes = self.most_bytes.max(bytes);
        match outcome {
            Ok(outcome) => {
                let bound = target.bytes + target.bytes_a_byte * input.len() + outcome.named_bytes;
                if bound < bytes {
                    self.beyond += 1;
                    self.report(target, input, format!("{} bytes are more than {}", bytes, bound));
                }
                seen.insert(outcome.kind)
            }
            Err(words) => {
                self.panics += 1;
                self.report(target, input, words);
                false
            }
        }
    }

    fn report(&mut self, target: &Target, input: &[u8], words: String) {
        // One of a kind: figures differ, places do not.
        let kind: String = words.lines().next().unwrap_or_default().chars().filter(|c| !c.is_ascii_digit()).collect();
        if self.problems.len() < 20 && !self.problems.contains_key(&kind) {
            let directory = corpus::root().join("target/fuzz");
            let path = directory.join(format!("{}-{:016x}", target.name, xxh3_64(input)));
            let written = std::fs::create_dir_all(&directory).and_then(|()| std::fs::write(&path, input));
            let place = written.map_or_else(|error| error.to_string(), |()| path.display().to_string());
            self.problems.insert(kind, format!("{}: {words}\n  input: {place}", target.name));
        }
    }
}
