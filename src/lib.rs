//! Exports everything a Profound API key can read to partitioned Parquet. ARCHITECTURE.md is the map.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod catalog;
pub mod model;
pub mod simulator;
