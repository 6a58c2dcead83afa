//! Exports everything a Profound API key can read to partitioned Parquet. ARCHITECTURE.md is the map.

// They panic if standard output or standard error is full or closed; `cli::print` and `cli::print_error_line` do not.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod alert;
pub mod api;
pub mod cli;
pub mod config;
pub mod decode;
pub mod destination;
pub mod error_text;
pub mod http;
mod inline_code;
pub mod layout;
pub mod ledger;
pub mod maintain;
pub mod model;
pub mod observe;
pub mod plan;
pub mod reference;
pub mod report;
pub mod retry;
pub mod run;
pub mod schedule;
pub mod server;
pub mod status;
pub mod tables;
pub mod write;

pub use catalog::{self, clock, document};
pub use simulator;
