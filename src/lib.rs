//! Exports everything a Profound API key can read to partitioned Parquet. ARCHITECTURE.md is the map.

#![forbid(unsafe_code)]

pub mod alert;
pub mod api;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod decode;
pub mod destination;
pub mod document;
pub mod ledger;
pub mod model;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod plan;
pub mod publish;
pub mod reference;
pub mod report;
pub mod run;
pub mod schedule;
pub mod server;
pub mod simulator;
pub mod status;
pub mod upkeep;
pub mod write;
