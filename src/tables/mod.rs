//! Delta Lake tables with compacted months, derived from the day files and the ledger of a lake.

mod action;
mod checkpoint;
mod error;
mod log;
mod partition_plan;
mod publish;
mod schema;
mod scratch;
mod statistics;
mod upkeep;
mod verify;
mod wanted;

pub use error::TablesError;
pub use publish::{PublishedTable, Tables, TablesPlace, TablesReport, TablesSource};
pub use verify::{TableProblem, TableProblemKind, VerifiedTables};
