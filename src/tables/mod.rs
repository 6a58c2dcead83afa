//! Delta Lake tables with compacted months, derived from the day files and the ledger of a lake.

mod action;
mod checkpoint;
mod error;
mod log;
mod publish;
mod schema;
mod statistics;
mod upkeep;
mod wanted;

pub use error::TablesError;
pub use publish::{PublishedTable, Tables, TablesPlace, TablesReport, TablesSource};
