//! Fuzzing without a sanitizer: seeded mutations of a kept corpus, on stable Rust. `cargo test` makes a short run,
//! `cargo xtask fuzz` one of any length.

mod command;
pub mod corpus;
pub mod driver;
pub mod mutate;
pub mod targets;

pub use command::{FuzzArgs, run};

use peak_alloc::PeakAlloc;

/// Counts allocated bytes, so that memory bounds can be asserted.
#[global_allocator]
pub static ALLOCATOR: PeakAlloc = PeakAlloc;
