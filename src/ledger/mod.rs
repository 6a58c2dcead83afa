//! What has been exported: an append-only log of numbered records, and what they add up to.

mod checkpoint;
mod checkpoints;
mod coverage_table;
mod error;
mod fact;
mod log;
mod open_run;
mod record;
mod salvage;
mod state;
mod table;

pub use checkpoint::Unreadable;
pub use coverage_table::{CoverageRow, coverage_parquet};
pub use error::LedgerError;
pub use fact::{Fact, Facts, LearnedFact};
pub use log::Ledger;
pub use open_run::{OpenRun, PlannedSlices};
pub use record::{DayEntry, Entry, Planned, Record, RunEnd, SliceEntry, Written};
pub use salvage::{Lost, Salvage, begin_rebuild, finish_rebuild, salvage};
pub use state::{RunSummary, State};
pub use table::TableMeaning;
