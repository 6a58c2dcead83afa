//! What a lake looks like to its readers: every path, and the coverage table.

mod coverage_table;
mod layout;

pub use coverage_table::{CoverageRow, coverage_parquet};
pub use layout::{DataPath, Layout};
