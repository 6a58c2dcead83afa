//! The text of `jobs.toml`.

use std::cell::RefCell;
use std::path::PathBuf;

use super::{FuzzOutcome, FuzzTarget, kind_of};
use crate::fuzz::corpus;
use profound_export::config::{Place, Sources, load};

pub const TARGET: FuzzTarget = FuzzTarget {
    name: "configuration",
    seeds: || vec![corpus::file("jobs.toml")],
    try_one,
    bytes: 4 << 20,
    bytes_per_byte: 256,
};

thread_local! {
    /// The file of this thread, in its own directory.
    static FILE: RefCell<Option<(tempfile::TempDir, PathBuf)>> = const { RefCell::new(None) };
}

fn try_one(text: &[u8]) -> FuzzOutcome {
    let path = FILE.with(|file| {
        let mut file = file.borrow_mut();
        let (_, path) = file.get_or_insert_with(|| {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("jobs.toml");
            (directory, path)
        });
        std::fs::write(&*path, text).expect("a file");
        path.clone()
    });
    let sources = Sources { file: Some(path), ..Sources::default() };
    let lines = text.split(|byte| *byte == b'\n').count();
    match load(&sources) {
        Ok(config) => {
            let chosen = config.jobs.iter().map(|job| config.streams_of(job).map_or(0, |streams| streams.len()));
            let chosen: Vec<usize> = chosen.map(|streams| streams.min(4)).collect();
            assert!(!config.effective().is_empty(), "no setting is shown");
            config.warnings.iter().for_each(|warning| drop(warning.to_string()));
            FuzzOutcome::new((chosen, config.warnings.len().min(4), config.streams.len().min(4)))
        }
        Err(error) => {
            assert!(!error.problems.is_empty(), "rejected without a problem");
            for problem in &error.problems {
                if let Some(Place::File { line, .. }) = &problem.place {
                    assert!((1..=lines).contains(line), "line {line} of {lines}");
                }
            }
            let kinds: Vec<String> =
                error.problems.iter().take(3).map(|problem| kind_of(&problem.to_string())).collect();
            FuzzOutcome::new(kinds)
        }
    }
}
