//! What has been exported: an append-only log of numbered records, and the state that replaying them gives.

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

pub use checkpoints::finish_rebuild;
pub use coverage_table::{CoverageRow, coverage_number, coverage_parquet, coverage_path};
pub use error::{CheckpointError, LedgerError};
pub use fact::{Fact, Facts, LearnedFact};
pub use log::{BasedEntries, Ledger, record_path};
pub use open_run::{OpenRun, PlannedSlices};
pub use record::{DayEntry, Entry, FileChange, Planned, Record, RunEnd, SliceEntry};
pub use salvage::{LogDamage, LostRecords, Salvage, begin_rebuild, check_log, salvage};
pub use state::{RunSummary, State};
pub use table::TableMeaning;
